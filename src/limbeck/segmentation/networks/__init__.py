"""Networks that give a class to every point: the LiDAR's, the camera's, what joins them, and both together."""

from limbeck.segmentation.networks.fusion import LIFusion
from limbeck.segmentation.networks.sampling import Sight, sampled
from limbeck.segmentation.networks.spvcnn import SPVCNN
from limbeck.segmentation.networks.swiftnet import SwiftMaps, SwiftNet
from limbeck.segmentation.networks.two_branch import PerPoint, PointPredictions, TwoBranchNetwork

__all__ = [
    "SPVCNN",
    "LIFusion",
    "PerPoint",
    "PointPredictions",
    "Sight",
    "SwiftMaps",
    "SwiftNet",
    "TwoBranchNetwork",
    "sampled",
]
