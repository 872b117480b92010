"""The equations of the papers: pure functions on tensors, blind to where the logits came from."""

from limbeck.objectives.bottleneck import gaussian_kl_to_prior, jensen_shannon_information
from limbeck.objectives.classification import cross_entropy
from limbeck.objectives.distillation import mutual_learning, mv2d, released_2021_divergence, vcd, vmd, vsd
from limbeck.objectives.divergences import js_divergence, kl_divergence, symmetric_kl
from limbeck.objectives.pairing import identity_pairs
from limbeck.objectives.prototypes import (
    carried,
    cross_prediction_alignment,
    fairness,
    prototype_contrast,
    prototype_logits,
    sharpness,
)
from limbeck.objectives.ranked_list import RankedList, ranked_list_loss
from limbeck.objectives.reconstruction import laplacian_pyramid, laplacian_pyramid_l1, reconstruction_loss

__all__ = [
    "RankedList",
    "carried",
    "cross_entropy",
    "cross_prediction_alignment",
    "fairness",
    "gaussian_kl_to_prior",
    "identity_pairs",
    "jensen_shannon_information",
    "js_divergence",
    "kl_divergence",
    "laplacian_pyramid",
    "laplacian_pyramid_l1",
    "mutual_learning",
    "mv2d",
    "prototype_contrast",
    "prototype_logits",
    "ranked_list_loss",
    "reconstruction_loss",
    "released_2021_divergence",
    "sharpness",
    "symmetric_kl",
    "vcd",
    "vmd",
    "vsd",
]
