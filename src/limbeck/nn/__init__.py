"""Building blocks without task knowledge: encoders and their weights, bottleneck, heads, critic, stacks of layers."""

from limbeck.nn.bottleneck import Bottleneck, Gaussian
from limbeck.nn.critic import PairCritic, PairScores
from limbeck.nn.encoders import Encoder, OwnEncoder, TimmEncoder, make_encoder
from limbeck.nn.heads import AdditiveHead, BNNeck, ClassificationHead, JointPrediction, PairwiseHead
from limbeck.nn.memory import CrossBatchMemory, cluster_means, moved_prototypes
from limbeck.nn.normalization import PictureNormalization
from limbeck.nn.pooling import GeneralizedMean, Stripes, make_pooling
from limbeck.nn.resnet import ResNet, resnet18, resnet50
from limbeck.nn.reversal import reverse_gradient
from limbeck.nn.small import SmallResNet
from limbeck.nn.stacked import SparseRows, StackedBatchNorm, StackedDropout, StackedLinear, StackedSparseLinear
from limbeck.nn.unet import UNet
from limbeck.nn.weights import load_weights

__all__ = [
    "AdditiveHead",
    "BNNeck",
    "Bottleneck",
    "ClassificationHead",
    "CrossBatchMemory",
    "Encoder",
    "Gaussian",
    "GeneralizedMean",
    "JointPrediction",
    "OwnEncoder",
    "PairCritic",
    "PairScores",
    "PairwiseHead",
    "PictureNormalization",
    "ResNet",
    "SmallResNet",
    "SparseRows",
    "StackedBatchNorm",
    "StackedDropout",
    "StackedLinear",
    "StackedSparseLinear",
    "Stripes",
    "TimmEncoder",
    "UNet",
    "cluster_means",
    "load_weights",
    "make_encoder",
    "make_pooling",
    "moved_prototypes",
    "resnet18",
    "resnet50",
    "reverse_gradient",
]
