"""Prototype objectives against loops over samples and closed forms."""

import math

import pytest
import torch
from torch import Tensor

from limbeck.objectives import (
    carried,
    cross_prediction_alignment,
    fairness,
    kl_divergence,
    prototype_contrast,
    prototype_logits,
    sharpness,
)

SAMPLES, FEATURES, CLUSTERS, OTHERS = 7, 5, 4, 3


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _plan(seed: int = 0) -> Tensor:
    return torch.rand(CLUSTERS, OTHERS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_logits_are_cosines_over_the_temperature() -> None:
    embeddings, prototypes = 3 * _normal(0, SAMPLES, FEATURES), 0.1 * _normal(1, CLUSTERS, FEATURES)
    found = prototype_logits(embeddings, prototypes, temperature=0.07)
    for i, f in enumerate(embeddings):
        for k, m in enumerate(prototypes):
            assert found[i, k].item() == pytest.approx((f @ m / f.norm() / m.norm() / 0.07).item(), rel=1e-12)
    plain = prototype_logits(embeddings, prototypes, temperature=2.0, normalize=False)
    torch.testing.assert_close(plain, embeddings @ prototypes.T / 2)
    zero = prototype_logits(torch.zeros(1, FEATURES), prototypes.float())
    assert zero.abs().max() == 0


@pytest.mark.parametrize("scale", [1e-25, 1e20])
def test_logits_do_not_depend_on_the_magnitude(scale: float) -> None:
    embeddings, prototypes = _normal(0, SAMPLES, FEATURES).float(), _normal(1, CLUSTERS, FEATURES).float()
    torch.testing.assert_close(
        prototype_logits(embeddings * scale, prototypes), prototype_logits(embeddings, prototypes)
    )


def test_contrast_is_the_cross_entropy_of_those_that_have_a_prototype() -> None:
    logits = 3 * _normal(2, SAMPLES, CLUSTERS)
    labels = torch.tensor([0, -1, 3, 2, -1, 1, 1])
    each = [
        0.0 if y < 0 else -math.log(math.exp(row[y]) / math.fsum(math.exp(s) for s in row))
        for row, y in zip(logits.tolist(), labels.tolist(), strict=True)
    ]
    assert prototype_contrast(logits, labels, reduction="none").tolist() == pytest.approx(each, rel=1e-12)
    assert prototype_contrast(logits, labels).item() == pytest.approx(math.fsum(each) / 5, rel=1e-12)
    assert prototype_contrast(logits, labels, reduction="sum").item() == pytest.approx(math.fsum(each), rel=1e-12)


def test_nothing_is_learned_where_nobody_has_a_prototype() -> None:
    logits = _normal(3, SAMPLES, CLUSTERS).requires_grad_()
    loss = prototype_contrast(logits, torch.full((SAMPLES,), -1))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().max() == 0


def test_one_prototype_asks_for_nothing() -> None:
    assert prototype_contrast(_normal(4, SAMPLES, 1), torch.zeros(SAMPLES, dtype=torch.long)).item() == 0


def test_carried_predictions_are_sums_over_the_plan() -> None:
    logits, plan = _normal(5, SAMPLES, CLUSTERS), _plan()
    plan[1] = 0  # a prototype that nothing is matched to
    predicted = logits.softmax(1)
    for i in range(SAMPLES):
        expected = [0.0] * OTHERS
        for k in range(CLUSTERS):
            for j in range(OTHERS):
                share = 1 / OTHERS if k == 1 else (plan[k, j] / plan[k].sum()).item()
                expected[j] += predicted[i, k].item() * share
        assert carried(logits, plan).exp()[i].tolist() == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(carried(logits, plan).exp().sum(1), torch.ones(SAMPLES, dtype=torch.float64))
    permutation = torch.eye(CLUSTERS, dtype=torch.float64)[[2, 0, 3, 1]] / CLUSTERS
    torch.testing.assert_close(carried(logits, permutation).exp(), predicted[:, [1, 3, 0, 2]])


def test_alignment_by_the_plan_is_a_divergence_from_the_carried_prediction() -> None:
    own, other, plan = _normal(6, SAMPLES, CLUSTERS), _normal(7, SAMPLES, OTHERS), _plan()
    found = cross_prediction_alignment(own, other, plan, reduction="none")
    teacher = own.softmax(1) @ (plan / plan.sum(1, keepdim=True))
    expected = (teacher * (teacher / other.softmax(1)).log()).sum(1)
    torch.testing.assert_close(found, expected)
    assert found.min() >= 0
    agreed = cross_prediction_alignment(own, teacher.log(), plan)
    assert abs(agreed.item()) < 1e-12


def test_alignment_by_the_batch_explains_each_sample_by_those_like_it() -> None:
    own, other, plan = _normal(8, SAMPLES, CLUSTERS), _normal(9, 6, OTHERS), _plan()
    back = plan.T / plan.T.sum(1, keepdim=True)
    mapped = (other.softmax(1) @ back).log()
    alike = torch.stack(
        [torch.stack([row @ column / row.norm() / column.norm() for column in mapped]) for row in own]
    ).softmax(1)
    expected = kl_divergence(own, alike @ mapped)
    torch.testing.assert_close(cross_prediction_alignment(own, other, plan, form="batch"), expected)


@pytest.mark.parametrize("form", ["plan", "batch"])
def test_the_gradient_of_alignment_is_that_of_finite_differences_and_spares_the_teacher(form: str) -> None:
    own, other = (_normal(seed, SAMPLES, width).requires_grad_() for seed, width in ((10, CLUSTERS), (11, OTHERS)))
    plan = _plan()

    def both(a: Tensor, b: Tensor) -> Tensor:
        return cross_prediction_alignment(a, b, plan, form=form, detach_teacher=False)

    assert torch.autograd.gradcheck(both, (own, other))
    cross_prediction_alignment(own, other, plan, form="plan").backward()
    assert own.grad is None
    assert other.grad is not None
    assert other.grad.abs().max() > 1e-3


def test_sharpness_and_fairness_make_up_the_information() -> None:
    """I(y; x) = H(E P) - E H(P) = log K - fairness - sharpness, and both ends of each."""
    logits = 2 * _normal(12, 3, SAMPLES, CLUSTERS)
    predicted = logits.softmax(-1).reshape(-1, CLUSTERS)
    mean = predicted.mean(0)
    information = -(mean * mean.log()).sum() + (predicted * predicted.log()).sum(1).mean()
    torch.testing.assert_close(math.log(CLUSTERS) - fairness(logits) - sharpness(logits), information)
    even = torch.zeros(5, CLUSTERS)
    assert sharpness(even).item() == pytest.approx(math.log(CLUSTERS))
    assert fairness(even).item() == pytest.approx(0, abs=1e-6)
    all_one = torch.tensor([[1e4, 0.0, 0.0, 0.0]] * 5)
    assert sharpness(all_one).item() == 0
    assert fairness(all_one).item() == pytest.approx(math.log(CLUSTERS))
    one_each = 1e4 * torch.eye(CLUSTERS)
    assert sharpness(one_each).item() == pytest.approx(0, abs=1e-6)
    assert fairness(one_each).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: prototype_logits(torch.ones(2, 3), torch.ones(4, 2)), "prototypes must be"),
        (lambda: prototype_logits(torch.ones(2, 3), torch.ones(0, 3)), "prototypes must be"),
        (lambda: prototype_logits(torch.ones(2, 3), torch.ones(4, 3), temperature=0), "temperature must be positive"),
        (lambda: prototype_contrast(torch.ones(2, 3), torch.zeros(3, dtype=torch.long)), "labels of shape"),
        (lambda: carried(torch.ones(2, 3), torch.ones(4, 2)), "plan of shape"),
        (lambda: cross_prediction_alignment(torch.ones(2, 3), torch.ones(2, 2), torch.ones(3, 4)), "plan of shape"),
        (
            lambda: cross_prediction_alignment(torch.ones(2, 3), torch.ones(2, 4), torch.ones(3, 4), form="x"),
            "form must be",
        ),
        (lambda: sharpness(torch.ones(0, 3)), "logits is empty"),
    ],
)
def test_wrong_input_is_refused_by_name(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
