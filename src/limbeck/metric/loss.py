"""The training objective of deep metric learning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from limbeck.errors import InputError
from limbeck.metric.network import CLASSIFIERS, MetricNetwork, Outputs
from limbeck.metric.recipe import PARAMETERS, WITH_REFERENCES, LossSettings
from limbeck.nn import CrossBatchMemory
from limbeck.objectives import (
    center_loss,
    contrastive_loss,
    cross_entropy,
    margin_logits,
    multi_similarity_loss,
    nca,
    prototype_logits,
    proxy_anchor,
    proxy_nca,
    ranked_list_loss,
    simplified_pairwise_cross_entropy,
    snca,
    supervised_contrastive_loss,
    triplet_loss,
    vcd,
    vsd,
)

PAIRS: Mapping[str, Callable[..., Tensor]] = {
    "contrastive": contrastive_loss,
    "triplet": triplet_loss,
    "multi-similarity": multi_similarity_loss,
    "nca": nca,
    "snca": snca,
    "supervised-contrastive": supervised_contrastive_loss,
    "spce": simplified_pairwise_cross_entropy,
    "ranked-list": lambda *given, **options: ranked_list_loss(*given, **options).loss,
}
SOFTMAX_TEMPERATURE = 0.05  # of "normalized-softmax" where the recipe says none, as Zhai and Wu 2019 have it


def training_terms(
    outputs: Outputs,
    labels: Tensor,
    settings: LossSettings,
    *,
    network: MetricNetwork,
    memories: Mapping[str, CrossBatchMemory] | None = None,
) -> dict[str, Tensor]:
    r"""The terms of the objective, each already weighted; their sum is minimised.

    .. math:: L = L_{metric}(v) + [L_{metric}(z) + \beta KL[P_v \| P_z] + \gamma L_{VCD}] + w_m L_{memory}

    :math:`L_{metric}` is the loss that `settings.name` says; what stands in brackets is there with a bottleneck.
    :math:`P_v, P_z` are what classifiers predict from v and z: those of the loss, or, where it has none, classifiers
    that are trained beside it by cross-entropy. :math:`L_{VCD}` pairs each picture with the next one of its class in
    the batch. :math:`L_{memory}` is the loss of pairs against pictures of earlier batches.

    Args:
        outputs: of a batch; of several processes, gathered.
        labels: (pictures,) of the batch, likewise.
        settings: weights and options.
        network: holds proxies and external losses.
        memories: "v" and "z" -> earlier embeddings; they are read and not changed.

    Returns:
        name -> scalar: "metric", "metric z", "memory", "memory z", "classification", "vsd", "vcd", those that the
        settings ask for. In nats but for losses of distances.

    Source: Boudiaf et al. 2020; each loss's own source is in its function of `limbeck.objectives`.
    """
    outputs = outputs.each(lambda tensor: tensor.float() if tensor.dtype.itemsize < 4 else tensor)
    levels = {"v": (outputs.observation, outputs.observation_logits)}
    if outputs.representation is not None:
        levels["z"] = (outputs.representation, outputs.representation_logits)
    terms: dict[str, Tensor] = {}
    for name, (vectors, logits) in levels.items():
        suffix = "" if name == "v" else f" {name}"
        terms[f"metric{suffix}"] = _metric(name, vectors, logits, labels, settings, network)
        memory = (memories or {}).get(name)
        if memory is not None and len(memory):
            references = {"references": memory.embeddings.to(vectors), "reference_labels": memory.labels.to(labels)}
            found = PAIRS[settings.name](vectors, labels, **references, **_options(settings))
            terms[f"memory{suffix}"] = settings.memory_weight * found
    if outputs.representation is not None:
        terms |= _distillation(outputs, labels, settings)
    return terms


def _metric(
    name: str,
    vectors: Tensor,
    logits: Tensor | None,
    labels: Tensor,
    settings: LossSettings,
    network: MetricNetwork,
) -> Tensor:
    if settings.name in CLASSIFIERS:
        assert logits is not None
        found = _classification(logits, labels, settings)
        if settings.name == "center":
            found = found + settings.center_weight * center_loss(vectors, labels)
    elif settings.name in PAIRS:
        found = PAIRS[settings.name](vectors, labels, **_options(settings))
    elif settings.name == "pytorch-metric-learning":
        found = network.external[name](vectors, labels)
    else:
        found = _with_proxies(vectors, labels, network.proxies[name], settings)
    return found


def _with_proxies(vectors: Tensor, labels: Tensor, proxies: Tensor, settings: LossSettings) -> Tensor:
    options = _options(settings)
    if settings.name == "proxy-nca":
        return proxy_nca(vectors, labels, proxies)
    if settings.name == "proxy-anchor":
        return proxy_anchor(vectors, labels, proxies, **options)
    if settings.name == "normalized-softmax":
        temperature = options.get("temperature", SOFTMAX_TEMPERATURE)
        return _classification(prototype_logits(vectors, proxies, temperature=temperature), labels, settings)
    cosines = prototype_logits(vectors, proxies, temperature=1.0)
    kind: Literal["arcface", "cosface"] = "arcface" if settings.name == "arcface" else "cosface"
    return _classification(margin_logits(cosines, labels, kind=kind, **options), labels, settings)


def _options(settings: LossSettings) -> dict[str, Any]:
    """What the recipe says of the parameters of the loss."""
    found = {name: getattr(settings, name) for name, users in PARAMETERS.items() if settings.name in users}
    if settings.name == "triplet":
        found["mining"] = settings.triplets
    return {name: value for name, value in found.items() if value is not None}


def _classification(logits: Tensor, labels: Tensor, settings: LossSettings) -> Tensor:
    """Smoothed cross-entropy; mass that goes to the other classes alone is as if more of it went to all of them."""
    classes = logits.shape[-1]
    smoothing = settings.label_smoothing
    if settings.smoothing_over == "others" and classes > 1:
        smoothing *= classes / (classes - 1)
        if smoothing >= 1:
            raise InputError(f"loss.label_smoothing must be below {(classes - 1) / classes} with {classes} classes")
    return cross_entropy(logits, labels, label_smoothing=smoothing)


def _distillation(outputs: Outputs, labels: Tensor, settings: LossSettings) -> dict[str, Tensor]:
    of_v, of_z = outputs.observation_logits, outputs.representation_logits
    assert of_v is not None
    assert of_z is not None
    terms: dict[str, Tensor] = {}
    if settings.name not in CLASSIFIERS:
        both = _classification(of_v, labels, settings) + _classification(of_z, labels, settings)
        terms["classification"] = settings.classification_weight * both
    temperature = settings.distillation_temperature
    terms["vsd"] = settings.distillation_weight * vsd(of_v, of_z, temperature=temperature)
    if settings.consistency == "vcd":
        first, second = next_of_class(labels)
        weight = settings.consistency_weight
        terms["vcd"] = weight * (
            vcd(of_v[first], of_v[second], of_z[first], of_z[second], temperature=temperature)
            if len(first)
            else of_z.sum() * 0
        )
    return terms


def next_of_class(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of each sample and of the next one of its class, the first behind the last; singles are left out.

    Example:
        >>> [part.tolist() for part in next_of_class(torch.tensor([4, 7, 4, 9, 4]))]
        [[0, 2, 4], [2, 4, 0]]
    """
    order = labels.argsort(stable=True)
    ordered = labels[order]
    begins = torch.searchsorted(ordered, ordered, right=False)
    ends = torch.searchsorted(ordered, ordered, right=True)
    place = torch.arange(len(labels), device=labels.device)
    following = order[torch.where(place + 1 < ends, place + 1, begins)]
    several = ends - begins > 1
    return order[several], following[several]


assert set(WITH_REFERENCES) <= set(PAIRS)
