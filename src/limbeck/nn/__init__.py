"""Building blocks without task knowledge: bottleneck, heads, critic, and layers that hold many copies of themselves."""

from limbeck.nn.bottleneck import Bottleneck, Gaussian
from limbeck.nn.critic import PairCritic, PairScores
from limbeck.nn.heads import AdditiveHead, JointPrediction
from limbeck.nn.stacked import SparseRows, StackedBatchNorm, StackedDropout, StackedLinear, StackedSparseLinear

__all__ = [
    "AdditiveHead",
    "Bottleneck",
    "Gaussian",
    "JointPrediction",
    "PairCritic",
    "PairScores",
    "SparseRows",
    "StackedBatchNorm",
    "StackedDropout",
    "StackedLinear",
    "StackedSparseLinear",
]
