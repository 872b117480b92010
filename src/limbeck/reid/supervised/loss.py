"""The training objective of the three-branch network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from limbeck.nn import reverse_gradient
from limbeck.objectives import (
    cross_entropy,
    identity_pairs,
    jensen_shannon_information,
    mutual_learning,
    mv2d,
    ranked_list_loss,
    reconstruction_loss,
    vcd,
    vmd,
    vsd,
)
from limbeck.objectives.distillation import Arithmetic
from limbeck.reid.network import BranchOutput, Outputs, ReidNetwork
from limbeck.reid.recipe import LossSettings


def training_terms(
    outputs: Outputs,
    labels: Tensor,
    settings: LossSettings,
    *,
    network: ReidNetwork | None = None,
    gather: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, Tensor]:
    r"""The terms of the objective, each already weighted; their sum is minimised.

    .. math:: L = w_c L_{cls} + w_r L_{metric} + \alpha L_{DML} + \beta (L_{VSD} + L_{VCD} + L_{VML})

    :math:`L_{cls}` is the label-smoothed cross-entropy of the predictions from v and from z (for MV2D also of
    the joint one), :math:`L_{metric}` the ranked list loss on v and on z, where visible and infrared pictures of the
    batch rank each other; both are means over the pictures of the specific branches plus means over those of the shared
    branch. :math:`L_{DML}` is deep mutual
    learning between the visible and the infrared branch's predictions from v. :math:`L_{VSD}` is the mean over the
    pictures of the two specific branches, :math:`L_{VCD}` and :math:`L_{VML}` (or VMD, or in place of both MV2D, a sum
    over the views) stand on the shared one.
    Where two views must show one thing, row i of the views is paired with row i, or, with ``pairs="all"``, every two
    rows of a person.

    For "cib" the last term is absent and a critic on every branch maximises :math:`I_{JS}(v; z)`, while v and z receive
    its gradient reversed, times `compression_weight`.

    Args:
        outputs: of a batch.
        labels: of the batch, one for each row of its pictures, whatever the routing.
        settings: weights and options.
        network: holds the critics; needed for "cib".
        gather: `limbeck.training.gather`, where outputs and labels are one process's share of a batch.

    Returns:
        name -> scalar: "classification", "ranking", "mutual", "vsd", "vcd", "vml", "mv2d", "critic", "reconstruction",
        those that the settings ask for. All in nats but "ranking" (a distance) and "reconstruction".

    Source: Tian et al. 2021, eq. 16-17; Tian et al. 2022, §5.1.2 and eq. 9, 13, 17, 18, 43.
    """
    target = _row_labels(outputs, labels)
    if gather is not None:
        # The rows' labels, and not the batch's: each process's rows come in one piece.
        target, outputs = gather(target), outputs.each(gather)
    # Divergences and distances are computed in full precision, whatever the network ran in.
    outputs = outputs.each(lambda tensor: tensor.float() if tensor.dtype.itemsize < 4 else tensor)
    kinds = {name: views for name, views in (("specific", outputs.specific), ("shared", outputs.shared)) if views}
    total: dict[str, list[Tensor]] = {"classification": [], "ranking": []}
    for views in kinds.values():
        repeated = target.repeat(len(views))
        if settings.supervise_observation:
            v = torch.cat([view.observation for view in views])
            total["classification"].append(_classify([view.observation_logits for view in views], repeated, settings))
            total["ranking"].append(_rank(v, repeated, settings))
        if views[0].representation is not None:
            total["classification"].append(_classify([_z(view)[1] for view in views], repeated, settings))
            total["ranking"].append(_rank(torch.cat([_z(view)[0] for view in views]), repeated, settings))
    if outputs.joint is not None:
        total["classification"].append(_classify([outputs.joint.joint], target, settings))
    terms = {
        "classification": settings.classification_weight * torch.stack(total["classification"]).sum(),
        "ranking": settings.ranking_weight * torch.stack(total["ranking"]).sum(),
    }
    if outputs.specific and settings.mutual_weight and settings.supervise_observation:
        first, second = (view.observation_logits for view in _paired(outputs.specific, target, settings))
        terms["mutual"] = settings.mutual_weight * mutual_learning(first, second)
    terms |= _distillation(outputs, target, settings)
    if settings.objective == "cib":
        assert network is not None
        terms["critic"] = _critic(outputs, network, settings.compression_weight)
    if outputs.reconstructed is not None:
        made, grey = outputs.reconstructed
        terms["reconstruction"] = reconstruction_loss(grey, made, weight=settings.reconstruction_weight)
    return terms


def _row_labels(outputs: Outputs, labels: Tensor) -> Tensor:
    """The label of every row of the outputs: with the routing "grey" each view has the whole batch, so each twice."""
    rows = len((outputs.specific or outputs.shared)[0].observation)
    return labels.repeat(rows // len(labels))


def _distillation(outputs: Outputs, target: Tensor, settings: LossSettings) -> dict[str, Tensor]:
    if settings.objective not in ("vd", "released-2021"):
        return {}
    released = settings.objective == "released-2021"
    arithmetic: Arithmetic = "released-2021" if released else "paper"
    detach, temperature, weight = settings.detach_teacher, settings.temperature, settings.distillation_weight
    terms: dict[str, Tensor] = {}
    if outputs.specific and settings.vsd:
        v = torch.cat([view.observation_logits for view in outputs.specific])
        z = torch.cat([_z(view)[1] for view in outputs.specific])
        terms["vsd"] = weight * vsd(v, z, detach_teacher=detach, temperature=temperature, arithmetic=arithmetic)
    if not outputs.shared or settings.consistency == "none":
        return terms
    if settings.consistency == "mv2d" and not released:
        assert outputs.joint is not None
        terms["mv2d"] = weight * mv2d(
            torch.stack([view.observation_logits for view in outputs.shared]),
            torch.stack([_z(view)[1] for view in outputs.shared]),
            outputs.joint.joint,
            outputs.joint.leave_one_out,
            over_views=settings.over_views,
            detach_teacher=detach,
            detach_joint=settings.detach_joint,
            temperature=temperature,
        )
        return terms
    first, second = _paired(outputs.shared, target, settings)
    first_z, second_z = _z(first)[1], _z(second)[1]
    terms["vcd"] = weight * vcd(
        first.observation_logits,
        second.observation_logits,
        first_z,
        second_z,
        equation=settings.vcd_equation,
        detach_teacher=detach,
        temperature=temperature,
        arithmetic=arithmetic,
    )
    if not released and settings.consistency != "vcd":
        divergence: Literal["js", "symmetric-kl"] = "js" if settings.consistency == "vcd+vml" else "symmetric-kl"
        terms["vml"] = weight * vmd(first_z, second_z, divergence=divergence, temperature=temperature)
    return terms


def _critic(outputs: Outputs, network: ReidNetwork, scale: float) -> Tensor:
    """What the critics minimise, the mean over the branches of -I_JS; v and z get its gradient reversed."""
    assert network.critics is not None
    groups: dict[str, Sequence[BranchOutput]] = {}
    if outputs.specific:
        groups |= {"visible": outputs.specific[:1], "infrared": outputs.specific[1:]}
    if outputs.shared:
        groups["shared"] = outputs.shared
    losses = []
    for name, views in groups.items():
        v = reverse_gradient(torch.cat([view.observation for view in views]), scale)
        z = reverse_gradient(torch.cat([_z(view)[0] for view in views]), scale)
        order = _far_apart(len(v))
        losses.append(-jensen_shannon_information(*network.critics[name](v[order], z[order])))
    return torch.stack(losses).mean()


def _far_apart(count: int) -> list[int]:
    """An order in which neighbours stood far apart: rows stand by person, the critic takes neighbours for strangers."""
    stride = max(1, round(0.382 * count))
    while math.gcd(stride, count) != 1:
        stride += 1
    return [place * stride % count for place in range(count)]


def _paired(views: Sequence[BranchOutput], target: Tensor, settings: LossSettings) -> tuple[BranchOutput, BranchOutput]:
    """The first two views' outputs, row by row of what counts as a pair."""
    first, second = views[0], views[1]
    if settings.pairs == "matched":
        return first, second
    left, right = identity_pairs(target, target, how="all")
    return _rows(first, left), _rows(second, right)


def _rows(output: BranchOutput, rows: Tensor) -> BranchOutput:
    z, z_logits = output.representation, output.representation_logits
    return BranchOutput(
        output.observation[rows],
        output.observation_logits[rows],
        None if z is None else z[rows],
        None if z_logits is None else z_logits[rows],
    )


def _z(output: BranchOutput) -> tuple[Tensor, Tensor]:
    """z and its logits."""
    assert output.representation is not None
    assert output.representation_logits is not None
    return output.representation, output.representation_logits


def _classify(logits: Sequence[Tensor], target: Tensor, settings: LossSettings) -> Tensor:
    return cross_entropy(torch.cat(list(logits)), target, label_smoothing=settings.label_smoothing)


def _rank(embeddings: Tensor, target: Tensor, settings: LossSettings) -> Tensor:
    return ranked_list_loss(
        embeddings,
        target,
        margin=settings.margin,
        boundary=settings.boundary,
        temperature=settings.ranking_temperature,
    ).loss
