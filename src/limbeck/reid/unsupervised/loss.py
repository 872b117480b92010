"""The training objective without labels: prototypes within and across modalities."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.modalities import INFRARED, VISIBLE
from limbeck.objectives import (
    cross_prediction_alignment,
    fairness,
    prototype_contrast,
    prototype_logits,
    sharpness,
    vsd,
)
from limbeck.reid.unsupervised.recipe import PrototypeLossSettings
from limbeck.transport import Matching


class Rows(NamedTuple):
    """A batch's rows of one modality.

    Attributes:
        labels: (rows,) the cluster among those of the modality.
        observation: v, (rows, features).
        representation: z, (rows, features); None without a bottleneck.
    """

    labels: Tensor
    observation: Tensor
    representation: Tensor | None = None


class Memory(NamedTuple):
    """The prototypes of one modality: of v, (clusters, features), and of z, None without a bottleneck."""

    observation: Tensor
    representation: Tensor | None = None


def unsupervised_terms(
    rows: tuple[Rows, Rows],
    memory: tuple[Memory, Memory],
    plan: Tensor,
    matching: Matching,
    settings: PrototypeLossSettings,
    *,
    epoch: int = 0,
) -> dict[str, Tensor]:
    r"""The terms of the objective, each already weighted; their sum is minimised.

    .. math:: L = \sum_m \left[ w_i L_{con}(v_m, y_m; M_m) + w_c L_{con}(v_m, \pi_m(y_m); M_{m'})
        + w_a L_{CPAL}(v_m) + w_s H_m + w_f D_m + w_v L_{VSD} \right] + w_{cd} L_{VCD}

    over the modalities m, with m' the other one: :math:`L_{con}` is `prototype_contrast` with the prototypes M,
    :math:`y_m` a row's cluster and :math:`\pi_m` the match of a cluster; :math:`L_{CPAL}` is
    `cross_prediction_alignment` through the plan; :math:`H` and :math:`D` are `sharpness` and `fairness` of the
    predictions of a modality's own prototypes. With a bottleneck z contrasts with prototypes of its own as v does,
    :math:`L_{VSD}` asks z to predict of its own modality's prototypes what v does, and :math:`L_{VCD}` what the v of
    the other modality does, of rows whose clusters are matched, over the prototypes of the teacher's modality.

    Args:
        rows: of a batch, visible and infrared, as many of each.
        memory: prototypes, visible and infrared.
        plan: (visible clusters, infrared clusters).
        matching: of the clusters.
        settings: weights and options.
        epoch: from 0; before `intra_epochs` nothing is asked across modalities, and with `alternate` it says which
            modality's cross terms count.

    Returns:
        name -> scalar, in nats: "intra", "cross", "alignment", "sharpness", "fairness", "vsd", "vcd", those whose
        weight is not 0.

    Source: ours throughout, see docs/unsupervised.md, after arXiv 2407.12758.
    """
    terms: dict[str, list[Tensor]] = {"intra": []}
    partners = matching.first_to_second, matching.second_to_first
    across = epoch >= settings.intra_epochs and bool((matching.first_to_second >= 0).any())

    def add(name: str, weight: float, value: Tensor) -> None:
        terms.setdefault(name, []).append(weight * value)

    def predicted(vectors: Tensor, prototypes: Tensor) -> Tensor:
        return prototype_logits(vectors, prototypes, temperature=settings.temperature)

    own = [predicted(rows[m].observation, memory[m].observation) for m in (VISIBLE, INFRARED)]
    for m in (VISIBLE, INFRARED):
        other = 1 - m
        add("intra", settings.intra_weight, prototype_contrast(own[m], rows[m].labels))
        if settings.sharpness_weight:
            add("sharpness", settings.sharpness_weight, sharpness(own[m]))
        if settings.fairness_weight:
            add("fairness", settings.fairness_weight, fairness(own[m]))
        target = partners[m][rows[m].labels]
        counted = across and not (settings.alternate and epoch % 2 != m)
        if settings.cross_weight and counted:
            there = predicted(rows[m].observation, memory[other].observation)
            add("cross", settings.cross_weight, prototype_contrast(there, target))
        if settings.alignment_weight and across:
            towards = plan if m == VISIBLE else plan.mT
            if settings.alignment_form == "plan":
                there = predicted(rows[m].observation, memory[other].observation)
            else:
                there = own[other]
            aligned = cross_prediction_alignment(own[m], there, towards, form=settings.alignment_form)
            add("alignment", settings.alignment_weight, aligned)
        z, memory_z = rows[m].representation, memory[m].representation
        if z is not None and memory_z is not None:
            of_z = predicted(z, memory_z)
            add("intra", settings.intra_weight, prototype_contrast(of_z, rows[m].labels))
            memory_other = memory[other].representation
            assert memory_other is not None
            if settings.cross_weight and counted:
                add("cross", settings.cross_weight, prototype_contrast(predicted(z, memory_other), target))
            if settings.sufficiency_weight:
                add("vsd", settings.sufficiency_weight, vsd(own[m], of_z))
    if settings.consistency_weight and across:
        add("vcd", settings.consistency_weight, _vcd(rows, memory, partners, settings))
    return {name: torch.stack(values).sum() for name, values in terms.items()}


def _vcd(
    rows: tuple[Rows, Rows],
    memory: tuple[Memory, Memory],
    partners: tuple[Tensor, Tensor],
    settings: PrototypeLossSettings,
) -> Tensor:
    """VCD of the rows that are matched either way, each direction over the prototypes of its teacher's modality."""
    first, second = rows
    matched = (partners[VISIBLE][first.labels] == second.labels) | (partners[INFRARED][second.labels] == first.labels)
    assert first.representation is not None
    assert second.representation is not None
    total = first.observation.new_zeros(())
    for teacher, student, m in ((first, second, VISIBLE), (second, first, INFRARED)):
        of_v = prototype_logits(teacher.observation, memory[m].observation, temperature=settings.temperature)
        z, prototypes = student.representation, memory[m].representation
        assert z is not None
        assert prototypes is not None
        of_z = prototype_logits(z, prototypes, temperature=settings.temperature)
        each = vsd(of_v, of_z, reduction="none")
        total = total + torch.where(matched, each, 0.0).sum() / matched.sum().clamp(min=1)
    return total
