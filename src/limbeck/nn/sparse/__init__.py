"""Convolution over occupied voxels, in plain torch: the same on any device, with any number of threads."""

from limbeck.nn.sparse.convolution import convolve
from limbeck.nn.sparse.layers import (
    DownConv3d,
    SubmanifoldConv3d,
    UpConv3d,
    weight_from_spconv,
    weight_from_torchsparse,
)
from limbeck.nn.sparse.maps import Grid, KernelMap
from limbeck.nn.sparse.points import PointVoxels, WeightedSums, trilinear, voxel_means

__all__ = [
    "DownConv3d",
    "Grid",
    "KernelMap",
    "PointVoxels",
    "SubmanifoldConv3d",
    "UpConv3d",
    "WeightedSums",
    "convolve",
    "trilinear",
    "voxel_means",
    "weight_from_spconv",
    "weight_from_torchsparse",
]
