"""The training objective against a recomputation sample by sample and view by view."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.multiview.loss import training_loss
from limbeck.multiview.network import Predictions
from limbeck.multiview.recipe import Recipe
from limbeck.nn import Gaussian
from limbeck.objectives import ranked_list_loss

MODELS, VIEWS, BATCH, CLASSES, WIDTH = 2, 3, 7, 4, 5
RECIPE = Recipe(
    label_smoothing=0.2,
    classification_weight=0.7,
    ranking_weight=0.3,
    distillation_weight=1.5,
    compression_weight=0.4,
)


def _predictions(seed: int = 0) -> Predictions:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    stack = (MODELS, VIEWS, BATCH)
    return Predictions(
        observations=draw(*stack, WIDTH),
        representations=draw(*stack, WIDTH),
        observation_logits=draw(*stack, CLASSES),
        representation_logits=draw(*stack, CLASSES),
        joint_logits=draw(MODELS, BATCH, CLASSES),
        leave_one_out_logits=draw(*stack, CLASSES),
        distribution=Gaussian(draw(*stack, WIDTH), draw(*stack, WIDTH)),
    )


LABELS = torch.tensor([[0, 0, 1, 1, 2, 3, 2], [3, 2, 1, 0, 3, 2, 1]])
WEIGHT = torch.tensor([[1.0, 2.0, 0.0, 1.0, 0.5, 3.0, 1.0], [1.0, 1.0, 1.0, 0.0, 0.0, 4.0, 1.0]], dtype=torch.float64)


def _present() -> Tensor:
    present = torch.rand(MODELS, VIEWS, BATCH, generator=torch.Generator().manual_seed(5)) > 0.4
    present[:, 0] |= ~present.any(dim=1)
    present[0, :, 0] = torch.tensor([True, False, False])  # one view only: nothing to leave out
    return present


def _smoothed(logits: Tensor, label: Tensor, smoothing: float) -> Tensor:
    log_probability = logits.log_softmax(-1)
    return -(1 - smoothing) * log_probability[label] - smoothing * log_probability.mean()


def _kl(teacher: Tensor, student: Tensor) -> Tensor:
    return F.kl_div(student.log_softmax(-1), teacher.log_softmax(-1), log_target=True, reduction="sum")


def _mean(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).mean() if terms else torch.zeros((), dtype=torch.float64)


def _naive(p: Predictions, recipe: Recipe, present: Tensor, weight: Tensor) -> list[Tensor]:
    totals = []
    for m in range(MODELS):
        samples = []
        for s in range(BATCH):
            here = [i for i in range(VIEWS) if present[m, i, s]]
            label = LABELS[m, s]

            def classify(logits: Tensor, label: Tensor = label) -> Tensor:
                return _smoothed(logits, label, recipe.label_smoothing)

            loss = classify(p.joint_logits[m, s]) + _mean([classify(p.observation_logits[m, i, s]) for i in here])
            if recipe.bottleneck:
                loss = loss + _mean([classify(p.representation_logits[m, i, s]) for i in here])
            loss = recipe.classification_weight * loss
            if recipe.objective == "mv2d":
                sufficiency = [_kl(p.observation_logits[m, i, s], p.representation_logits[m, i, s]) for i in here]
                consistency = [_kl(p.joint_logits[m, s], p.leave_one_out_logits[m, i, s]) for i in here]
                over = _mean if recipe.over_views == "mean" else sum
                loss = loss + recipe.distillation_weight * (
                    recipe.sufficiency_weight * over(sufficiency)
                    + recipe.consistency_weight * over(consistency if len(here) > 1 else [])
                )
            elif recipe.objective == "cib":
                assert p.distribution is not None
                mean, log_variance = (part[m, :, s] for part in p.distribution)
                kl = (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1) / 2
                loss = loss + recipe.compression_weight * _mean([kl[i] for i in here])
            samples.append(loss)
        total = (torch.stack(samples) * weight[m]).sum() / weight[m].sum()
        for i in range(VIEWS):
            for embedding in (p.observations, p.representations)[: 1 + recipe.bottleneck]:
                here = present[m, i]
                if here.sum() > 1:
                    ranked = ranked_list_loss(embedding[m, i, here], LABELS[m, here]).loss
                    total = total + recipe.ranking_weight * ranked / VIEWS
        totals.append(total)
    return totals


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"over_views": "sum"},
        {"sufficiency_weight": 0.6, "consistency_weight": 0.0},
        {"sufficiency_weight": 0.0, "consistency_weight": 1.7},
        {"objective": "none"},
        {"objective": "none", "bottleneck": False},
        {"objective": "cib"},
        {"ranking_weight": 0.0},
        {"label_smoothing": 0.0},
    ],
)
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_equals_a_recomputation_one_by_one(changes: dict[str, Any], missing: bool, weighted: bool) -> None:
    recipe, p = replace(RECIPE, **changes), _predictions()
    present = _present() if missing else torch.ones(MODELS, VIEWS, BATCH, dtype=torch.bool)
    weight = WEIGHT if weighted else torch.ones_like(WEIGHT)
    loss = training_loss(p, LABELS, recipe, present=present if missing else None, weight=WEIGHT if weighted else None)
    torch.testing.assert_close(loss.total, torch.stack(_naive(p, recipe, present, weight)))


@pytest.mark.parametrize("objective", ["mv2d", "released-2021", "cib", "none"])
def test_absent_views_may_hold_nan(objective: str) -> None:
    recipe, present = replace(RECIPE, objective=objective), _present()
    expected = training_loss(_predictions(), LABELS, recipe, present=present).total
    p = _predictions()
    per_view = (p.observations, p.representations, p.observation_logits, p.representation_logits, *p.distribution)
    for tensor in per_view:
        tensor[~present] = torch.nan
        tensor.requires_grad_()
    found = training_loss(p, LABELS, recipe, present=present).total
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    for tensor in per_view:
        if tensor.grad is not None:
            assert tensor.grad[~present].abs().max() == 0
            assert tensor.grad.isfinite().all()


@pytest.mark.parametrize("taught", ["observation_logits", "joint_logits"])
def test_teachers_learn_only_where_they_are_asked_to(taught: str) -> None:
    p = _predictions()
    teacher = getattr(p, taught).requires_grad_()
    option = {"observation_logits": "detach_teacher", "joint_logits": "detach_joint"}[taught]
    recipe = replace(RECIPE, classification_weight=0.0, ranking_weight=0.0)
    for detach in (True, False):
        total = training_loss(p, LABELS, replace(recipe, **{option: detach})).total.sum()
        (gradient,) = torch.autograd.grad(total + 0 * teacher.sum(), teacher)
        assert (gradient.abs().max() == 0) == detach


@pytest.mark.parametrize(
    ("weight", "students"),
    [("sufficiency_weight", "representation_logits"), ("consistency_weight", "leave_one_out_logits")],
)
def test_each_sum_of_mv2d_teaches_its_own_students(weight: str, students: str) -> None:
    p = _predictions()
    taught = getattr(p, students).requires_grad_()
    recipe = replace(RECIPE, classification_weight=0.0, ranking_weight=0.0)
    for value in (0.0, 1.0, 2.0):
        total = training_loss(p, LABELS, replace(recipe, **{weight: value})).total.sum()
        (gradient,) = torch.autograd.grad(total + 0 * taught.sum(), taught)
        if value == 1:
            once = gradient
            assert once.abs().max() > 1e-3
        elif value:
            torch.testing.assert_close(gradient, 2 * once)
        else:
            assert gradient.abs().max() == 0


def test_all_present_is_the_default() -> None:
    p, everywhere = _predictions(), torch.ones(MODELS, VIEWS, BATCH, dtype=torch.bool)
    torch.testing.assert_close(
        training_loss(p, LABELS, RECIPE).total, training_loss(p, LABELS, RECIPE, present=everywhere).total
    )


def test_the_ranked_share_counts_anchors_that_have_a_positive() -> None:
    ranked = training_loss(_predictions(), LABELS, RECIPE).ranked
    torch.testing.assert_close(ranked, torch.tensor([6 / 7, 6 / 7]))
    assert training_loss(_predictions(), LABELS, replace(RECIPE, ranking_weight=0.0)).ranked.isnan().all()


def test_padding_with_absent_samples_of_no_weight_changes_nothing() -> None:
    p = _predictions()
    longer = {
        name: torch.cat([part, torch.full_like(part[..., :2, :], 9.0)], dim=-2)
        for name, part in vars(p).items()
        if isinstance(part, Tensor)
    }
    padded = Predictions(**longer, distribution=None)
    there = torch.ones(MODELS, VIEWS, BATCH + 2, dtype=torch.bool)
    there[..., BATCH:] = False
    labels = torch.cat([LABELS, torch.zeros(MODELS, 2, dtype=torch.int64)], dim=1)
    loss = training_loss(padded, labels, RECIPE, present=there, weight=there[:, 0].double())
    torch.testing.assert_close(loss.total, training_loss(p, LABELS, RECIPE).total)


def test_each_model_has_its_own_loss() -> None:
    p = _predictions()
    p.joint_logits.requires_grad_()
    training_loss(p, LABELS, RECIPE).total[0].backward()
    assert p.joint_logits.grad is not None
    assert p.joint_logits.grad[0].abs().sum() > 0
    assert p.joint_logits.grad[1].abs().sum() == 0
