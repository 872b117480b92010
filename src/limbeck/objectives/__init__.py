"""The equations of the papers: pure functions on tensors, blind to where the logits came from."""

from limbeck.objectives.bottleneck import gaussian_kl_to_prior, jensen_shannon_information
from limbeck.objectives.classification import cross_entropy
from limbeck.objectives.distance_losses import (
    center_loss,
    contrastive_contrast,
    contrastive_loss,
    contrastive_tightness,
    mean_neighbour_entropy,
    triplet_loss,
)
from limbeck.objectives.distillation import mutual_learning, mv2d, released_2021_divergence, vcd, vmd, vsd
from limbeck.objectives.divergences import js_divergence, kl_divergence, symmetric_kl
from limbeck.objectives.neighbourhood import (
    kernel_information,
    multi_similarity_contrast,
    multi_similarity_loss,
    multi_similarity_tightness,
    nca,
    snca,
    snca_contrast,
    snca_tightness,
    supervised_contrastive_loss,
)
from limbeck.objectives.pairing import identity_pairs
from limbeck.objectives.pairwise_cross_entropy import (
    pairwise_cross_entropy,
    pairwise_cross_entropy_contrast,
    pairwise_cross_entropy_tightness,
    simplified_pairwise_cross_entropy,
    weight_decayed_cross_entropy_bound,
)
from limbeck.objectives.prototypes import (
    carried,
    cross_prediction_alignment,
    fairness,
    prototype_contrast,
    prototype_logits,
    sharpness,
)
from limbeck.objectives.proxies import margin_logits, proxy_anchor, proxy_nca
from limbeck.objectives.ranked_list import RankedList, ranked_list_loss
from limbeck.objectives.reconstruction import laplacian_pyramid, laplacian_pyramid_l1, reconstruction_loss
from limbeck.objectives.segmentation import lovasz_softmax, multi_class_focal

__all__ = [
    "RankedList",
    "carried",
    "center_loss",
    "contrastive_contrast",
    "contrastive_loss",
    "contrastive_tightness",
    "cross_entropy",
    "cross_prediction_alignment",
    "fairness",
    "gaussian_kl_to_prior",
    "identity_pairs",
    "jensen_shannon_information",
    "js_divergence",
    "kernel_information",
    "kl_divergence",
    "laplacian_pyramid",
    "laplacian_pyramid_l1",
    "lovasz_softmax",
    "margin_logits",
    "mean_neighbour_entropy",
    "multi_class_focal",
    "multi_similarity_contrast",
    "multi_similarity_loss",
    "multi_similarity_tightness",
    "mutual_learning",
    "mv2d",
    "nca",
    "pairwise_cross_entropy",
    "pairwise_cross_entropy_contrast",
    "pairwise_cross_entropy_tightness",
    "prototype_contrast",
    "prototype_logits",
    "proxy_anchor",
    "proxy_nca",
    "ranked_list_loss",
    "reconstruction_loss",
    "released_2021_divergence",
    "sharpness",
    "simplified_pairwise_cross_entropy",
    "snca",
    "snca_contrast",
    "snca_tightness",
    "supervised_contrastive_loss",
    "symmetric_kl",
    "triplet_loss",
    "vcd",
    "vmd",
    "vsd",
    "weight_decayed_cross_entropy_bound",
]
