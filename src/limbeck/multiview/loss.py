"""The training objective of a multi-view classifier, for every model of a stack."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.multiview.network import Predictions
from limbeck.multiview.recipe import Recipe
from limbeck.objectives import cross_entropy, gaussian_kl_to_prior, mv2d, ranked_list_loss


class Loss(NamedTuple):
    """The objective of each model, and the share of anchors that the ranked list loss could use.

    Attributes:
        total: (models,), the mean over the batch.
        ranked: (models,), anchors with a positive in the batch over all anchors; NaN when the loss has no such term.
    """

    total: Tensor
    ranked: Tensor


def training_loss(
    predictions: Predictions,
    labels: Tensor,
    recipe: Recipe,
    *,
    present: Tensor | None = None,
    weight: Tensor | None = None,
) -> Loss:
    r"""Classification, ranking and distillation, as the recipe weighs them.

    .. math:: L = w_c (CE(y, P_{z_{1..n}}) + \overline{CE}(y, P_{v_i}) + \overline{CE}(y, P_{z_i}))
        + w_r (\overline{RLL}(v_i) + \overline{RLL}(z_i)) + w_d L_{MV^2D}

    where bars are means over the views that a sample has (:math:`L_{MV^2D}` is that mean or, as printed, the sum, see
    `Recipe.over_views`; its two sums are weighed by `sufficiency_weight` and `consistency_weight`), :math:`P` the
    predictions, :math:`v_i, z_i` the observations and representations, and :math:`w_c, w_r, w_d` the
    `classification_weight`, `ranking_weight` and `distillation_weight` of the recipe. For "cib" the last term is the
    Gaussian KL to the prior times `compression_weight`; without a bottleneck the terms in :math:`z_i` alone are absent.
    With view dropout :math:`CE(y, P_{z_{1..n}})` is of the views that it leaves; MV2D's terms are of all that are
    there.

    Args:
        predictions: of a batch.
        labels: (models, batch).
        recipe: weights and options.
        present: (models, views, batch) booleans; default: everything is there.
        weight: (models, batch) weights of the samples in all terms but the ranked list loss; default 1.

    Source: Tian et al. 2022, §5.2.2 and appendix B.3 ("both {v_i} and {z_i} are entailed for loss computation").
    """

    def over_views(terms: Tensor) -> Tensor:
        if present is None:
            return terms.mean(dim=1)
        return torch.where(present, terms, 0.0).sum(dim=1) / present.sum(dim=1).clamp(min=1)

    def classify(logits: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(logits, target, label_smoothing=recipe.label_smoothing, reduction="none")

    def known(tensor: Tensor) -> Tensor:
        # What is masked before it is used has no gradient, whatever it holds; masked afterwards, NaN has.
        return tensor if present is None else torch.where(present.unsqueeze(-1), tensor, 0.0)

    def classify_views(logits: Tensor) -> Tensor:
        return over_views(classify(known(logits), per_view))

    per_view = labels.unsqueeze(1)
    dropped = predictions.dropped_joint_logits
    joint_logits = predictions.joint_logits if dropped is None else dropped
    loss = classify(joint_logits, labels) + classify_views(predictions.observation_logits)
    if recipe.bottleneck:
        loss = loss + classify_views(predictions.representation_logits)
    loss = recipe.classification_weight * loss
    if recipe.objective in ("mv2d", "released-2021"):
        loss = loss + recipe.distillation_weight * mv2d(
            predictions.observation_logits,
            predictions.representation_logits,
            predictions.joint_logits,
            predictions.leave_one_out_logits,
            present=present,
            sufficiency=recipe.sufficiency_weight,
            consistency=recipe.consistency_weight,
            over_views=recipe.over_views,
            detach_teacher=recipe.detach_teacher,
            detach_joint=recipe.detach_joint,
            arithmetic="paper" if recipe.objective == "mv2d" else "released-2021",
            reduction="none",
        )
    elif recipe.objective == "cib" and predictions.distribution is not None:
        compression = gaussian_kl_to_prior(*map(known, predictions.distribution), reduction="none")
        loss = loss + recipe.compression_weight * over_views(compression)
    if weight is None:
        total = loss.mean(dim=-1)
    else:  # a batch without any weight asks for nothing
        total = (loss * weight).sum(dim=-1) / weight.sum(dim=-1).clamp(min=torch.finfo(loss.dtype).tiny)

    ranked = torch.full_like(total, torch.nan)
    if recipe.ranking_weight:
        target = per_view.expand(predictions.observations.shape[:-1])
        lists = ranked_list_loss(predictions.observations, target, usable=present)
        ranking = lists.loss
        if recipe.bottleneck:
            ranking = ranking + ranked_list_loss(predictions.representations, target, usable=present).loss
        total = total + recipe.ranking_weight * ranking.mean(dim=1)
        ranked = lists.valid.float().mean(dim=(1, 2))
    return Loss(total, ranked.detach())
