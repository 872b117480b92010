"""The equations of the papers: pure functions on tensors, blind to where the logits came from."""

from limbeck.objectives.bottleneck import gaussian_kl_to_prior, jensen_shannon_information
from limbeck.objectives.classification import cross_entropy
from limbeck.objectives.distillation import mv2d, released_2021_divergence, vcd, vmd, vsd
from limbeck.objectives.divergences import js_divergence, kl_divergence, symmetric_kl
from limbeck.objectives.ranked_list import RankedList, ranked_list_loss

__all__ = [
    "RankedList",
    "cross_entropy",
    "gaussian_kl_to_prior",
    "jensen_shannon_information",
    "js_divergence",
    "kl_divergence",
    "mv2d",
    "ranked_list_loss",
    "released_2021_divergence",
    "symmetric_kl",
    "vcd",
    "vmd",
    "vsd",
]
