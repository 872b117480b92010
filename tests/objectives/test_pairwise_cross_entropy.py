"""The pairwise cross-entropy, its simplification and the dual bound; and what of "cross-entropy is an upper bound of a
pairwise loss" (Proposition 1, of which only the abstract is at hand) holds. docs/metric.md says the same in words.

Throughout, θ is a linear classifier without bias, CE its mean cross-entropy, p its predictions, C^q = q'Z/n, and

    f1(θ) = -(1/n) Σ θ_yi·z_i + (λ/2) |θ|²,    f2(θ) = (1/n) Σ log Σ_k exp(θ_k·z_i) - (λ/2) |θ|²,    CE = f1 + f2.

The premises as reconstructed, which are ours: embeddings are fixed; p is held fixed; λ > 0 is at most the smallest
eigenvalue of (1/n) Σ_i (p_ik - p_ik²) z_i z_i' over all k; f2 is least where λ θ_k = c^p_k.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.objectives.metric_batches import balanced, batch, normal
from torch import Tensor

from limbeck.objectives import (
    cross_entropy,
    pairwise_cross_entropy,
    pairwise_cross_entropy_contrast,
    pairwise_cross_entropy_tightness,
    simplified_pairwise_cross_entropy,
    weight_decayed_cross_entropy_bound,
)

SEEDS = pytest.mark.parametrize("seed", range(20))
COEFFICIENTS = pytest.mark.parametrize("coefficient", [1e-3, 0.1, 1.0, 7.0])
CLASSES = 4
EXACT = {"rtol": 1e-9, "atol": 1e-9}
PAGE = Path(__file__).parents[2] / "docs" / "metric.md"


def _problem(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings of any length, labels of unequal classes, a random classifier."""
    points, labels = batch(seed)
    return points, labels, normal(seed + 7, CLASSES, points.shape[1])


def _means(assignment: Tensor, points: Tensor) -> Tensor:
    return assignment.T @ points / len(points)


def _hard(labels: Tensor, classes: int = CLASSES) -> Tensor:
    return torch.nn.functional.one_hot(labels, classes).double()


def _f2(classifier: Tensor, points: Tensor, coefficient: float) -> Tensor:
    return (points @ classifier.T).logsumexp(1).mean() - coefficient / 2 * classifier.square().sum()


def _fitted(points: Tensor, labels: Tensor, classes: int, weight_decay: float) -> Tensor:
    """The classifier of least weight-decayed cross-entropy."""
    classifier = torch.zeros(classes, points.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [classifier], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-18, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = cross_entropy(points @ classifier.T, labels) + weight_decay / 2 * classifier.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return classifier.detach()


# --- what the functions are -----------------------------------------------------------------------------------------


@SEEDS
@COEFFICIENTS
def test_pairwise_cross_entropy_is_the_sum_over_pairs(seed: int, coefficient: float) -> None:
    points, labels, classifier = _problem(seed)
    logits = points @ classifier.T
    p, n = logits.softmax(1), len(points)
    tightness = contrast = 0.0
    for i in range(n):
        tightness -= sum((points[i] @ points[j]).item() for j in range(n) if labels[j] == labels[i])
        scores = [sum((p[j, k] * (points[i] @ points[j])).item() for j in range(n)) for k in range(CLASSES)]
        largest = max(scores) / (coefficient * n)
        contrast += largest + math.log(sum(math.exp(s / (coefficient * n) - largest) for s in scores))
    tightness /= 2 * coefficient * n**2
    contrast = contrast / n - sum(
        (sum(p[i, k] * points[i] for i in range(n)) / n).square().sum().item() for k in range(CLASSES)
    ) / (2 * coefficient)
    found = [
        part(points, labels, logits, coefficient=coefficient).item()
        for part in (pairwise_cross_entropy_tightness, pairwise_cross_entropy_contrast, pairwise_cross_entropy)
    ]
    assert found == pytest.approx([tightness, contrast, tightness + contrast], rel=1e-9, abs=1e-9)


@SEEDS
@COEFFICIENTS
def test_tightness_is_the_length_of_the_means(seed: int, coefficient: float) -> None:
    points, labels, classifier = _problem(seed)
    found = pairwise_cross_entropy_tightness(points, labels, points @ classifier.T, coefficient=coefficient)
    expected = -_means(_hard(labels), points).square().sum() / (2 * coefficient)
    torch.testing.assert_close(found, expected, **EXACT)


@SEEDS
@COEFFICIENTS
def test_pairwise_cross_entropy_is_a_cross_entropy_less_a_distance_of_means(seed: int, coefficient: float) -> None:
    points, labels, classifier = _problem(seed)
    logits = points @ classifier.T
    hard, soft = _means(_hard(labels), points), _means(logits.softmax(1), points)
    expected = cross_entropy(points @ soft.T / coefficient, labels) - (hard - soft).square().sum() / (2 * coefficient)
    torch.testing.assert_close(
        pairwise_cross_entropy(points, labels, logits, coefficient=coefficient), expected, **EXACT
    )


@SEEDS
def test_gradients_are_those_of_finite_differences(seed: int) -> None:
    points, labels, classifier = _problem(seed)
    leaves = points.requires_grad_(), (points.detach() @ classifier.T).requires_grad_()
    for function in (
        lambda z, t: pairwise_cross_entropy(z, labels, t, coefficient=0.3),
        lambda z, t: pairwise_cross_entropy_contrast(z, labels, t, coefficient=0.3),
        lambda z, t: weight_decayed_cross_entropy_bound(z, labels, t, weight_decay=0.3),
    ):
        assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradcheck(lambda z: pairwise_cross_entropy_tightness(z, labels, leaves[1]), leaves[0])


@SEEDS
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_the_simplified_one_is_cross_entropy_at_the_class_means(seed: int, scale: float) -> None:
    """So the best classifier has no more cross-entropy: the simplified loss bounds it from above, not from below."""
    points, labels, _ = _problem(seed)
    means = _means(_hard(labels), points)
    missing = torch.bincount(labels, minlength=CLASSES) == 0
    logits = (scale * points @ means.T)[:, ~missing]
    present = torch.cumsum(~missing, 0)[labels] - 1
    found = simplified_pairwise_cross_entropy(points, labels, scale=scale, reduction="none")
    torch.testing.assert_close(found, cross_entropy(logits, present, reduction="none"), **EXACT)
    best = _fitted(points, labels, CLASSES, 1e-6)
    assert cross_entropy(points @ best.T, labels) < found.mean()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize("labels", [[0], [1, 1, 1], [0, 1, 2]])
@pytest.mark.parametrize("collapsed", ["no", "equal", "zero"])
def test_all_ways_to_be_empty_are_finite(dtype: torch.dtype, labels: list[int], collapsed: str) -> None:
    points = normal(2, len(labels), 3)
    if collapsed != "no":
        points = torch.zeros_like(points) if collapsed == "zero" else points[:1].expand_as(points)
    leaves = points.to(dtype).clone().requires_grad_(), (100 * normal(3, len(labels), 3)).to(dtype).requires_grad_()
    for function, name in (
        (pairwise_cross_entropy, "coefficient"),
        (pairwise_cross_entropy_contrast, "coefficient"),
        (weight_decayed_cross_entropy_bound, "weight_decay"),
    ):
        value = function(leaves[0], torch.tensor(labels), leaves[1], **{name: 0.01})
        assert value.isfinite()
        assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(value, leaves))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z, y, t: pairwise_cross_entropy(z, y, t, coefficient=0.0), "coefficient must be positive"),
        (lambda z, y, t: pairwise_cross_entropy(z, y, t[1:]), "labels of shape"),
        (lambda z, y, t: pairwise_cross_entropy(z, y, t[0]), "logits must be"),
        (
            lambda z, y, t: weight_decayed_cross_entropy_bound(z, y, t, weight_decay=-1.0),
            "weight_decay must be positive",
        ),
    ],
)
def test_wrong_input_is_refused_by_name(call: Callable[..., Tensor], message: str) -> None:
    points, labels, classifier = _problem(0)
    with pytest.raises(ValueError, match=message):
        call(points, labels, points @ classifier.T)


# --- what bounds cross-entropy --------------------------------------------------------------------------------------


@SEEDS
@COEFFICIENTS
def test_young_bound(seed: int, coefficient: float) -> None:
    """f1 is least at θ = C^h/λ, for any λ and θ: that half of the proposition holds."""
    points, labels, classifier = _problem(seed)
    means = _means(_hard(labels), points)

    def slack(theta: Tensor) -> Tensor:
        logits = points @ theta.T
        tightness = pairwise_cross_entropy_tightness(points, labels, logits, coefficient=coefficient)
        return cross_entropy(logits, labels) - (tightness + _f2(theta, points, coefficient))

    expected = coefficient / 2 * (classifier - means / coefficient).square().sum()
    torch.testing.assert_close(slack(classifier), expected, rtol=1e-6, atol=1e-9)
    assert expected > 0
    assert slack(means / coefficient).abs() < 1e-6


@SEEDS
@COEFFICIENTS
def test_the_dual_bound_holds_for_every_classifier_and_assignment(seed: int, coefficient: float) -> None:
    points, labels, classifier = _problem(seed)
    for scale in (0.0, 0.1, 1.0, 10.0):
        theta = scale * classifier
        primal = cross_entropy(points @ theta.T, labels) + coefficient / 2 * theta.square().sum()
        for logits in (points @ theta.T, 3 * normal(seed + 30, len(points), CLASSES), 100 * (_hard(labels) - 0.5)):
            bound = weight_decayed_cross_entropy_bound(points, labels, logits, weight_decay=coefficient)
            assert bound <= primal + 1e-12


@SEEDS
@pytest.mark.parametrize("weight_decay", [1e-3, 1e-2, 1e-1])
def test_the_dual_bound_is_reached_at_the_minimum(seed: int, weight_decay: float) -> None:
    points, labels, _ = _problem(seed)
    theta = _fitted(points, labels, CLASSES, weight_decay)
    logits = points @ theta.T
    stationary = _means(_hard(labels), points) - _means(logits.softmax(1), points) - weight_decay * theta
    assert stationary.abs().max() < 1e-7
    primal = cross_entropy(logits, labels) + weight_decay / 2 * theta.square().sum()
    bound = weight_decayed_cross_entropy_bound(points, labels, logits, weight_decay=weight_decay)
    assert bound.item() == pytest.approx(primal.item(), abs=1e-6)


@SEEDS
def test_the_dual_bound_has_the_tightness_of_pairwise_cross_entropy(seed: int) -> None:
    points, labels, classifier = _problem(seed)
    logits = points @ classifier.T
    q = logits.softmax(1)
    hard, soft = _means(_hard(labels), points), _means(q, points)
    expected = (
        pairwise_cross_entropy_tightness(points, labels, logits, coefficient=0.3)
        + (hard * soft).sum() / 0.3
        - soft.square().sum() / 0.6
        - (q * q.log()).sum(1).mean()
    )
    found = weight_decayed_cross_entropy_bound(points, labels, logits, weight_decay=0.3)
    torch.testing.assert_close(found, expected, **EXACT)


# --- cross-entropy against pairwise cross-entropy -------------------------------------------------------------------


def _smallest_eigenvalue(points: Tensor, p: Tensor) -> float:
    """The largest λ of the reconstructed premise."""
    blocks = torch.einsum("nk,nf,ng->kfg", p - p.square(), points, points) / len(points)
    return torch.linalg.eigvalsh(blocks)[:, 0].min().item()


def _clusters(seed: int, separation: float) -> tuple[Tensor, Tensor]:
    """Three balanced classes of 20 unit vectors with four features; their means before that are this far apart."""
    labels = torch.arange(60) % 3
    points = normal(seed, 60, 4) + separation * normal(seed + 1000, 3, 4)[labels]
    return points / points.norm(dim=1, keepdim=True), labels


def _slack(points: Tensor, labels: Tensor, classifier: Tensor, coefficient: float | None = None) -> float:
    """CE - PCE, by default at the largest coefficient of the premise."""
    logits = points @ classifier.T
    coefficient = coefficient or _smallest_eigenvalue(points, logits.softmax(1))
    assert coefficient > 0
    return (
        cross_entropy(logits, labels) - pairwise_cross_entropy(points, labels, logits, coefficient=coefficient)
    ).item()


@SEEDS
@COEFFICIENTS
def test_by_how_much_cross_entropy_exceeds_the_pairwise_one(seed: int, coefficient: float) -> None:
    """CE(θ) - PCE = (λ/2) |θ - C^h/λ|² + f2(θ) - f2(C^p/λ), so that CE >= PCE wherever f2(θ) >= f2(C^p/λ).

    It holds at θ = 0, since |C^h|² >= |z's mean|²/K, and at θ = C^p/λ whatever p is.
    """
    points, labels, classifier = _problem(seed)
    p = (points @ classifier.T).softmax(1)
    soft = _means(p, points) / coefficient
    young = coefficient / 2 * (classifier - _means(_hard(labels), points) / coefficient).square().sum()
    expected = young + _f2(classifier, points, coefficient) - _f2(soft, points, coefficient)
    assert _slack(points, labels, classifier, coefficient) == pytest.approx(expected.item(), rel=1e-6, abs=1e-6)
    assert _slack(points, labels, torch.zeros_like(classifier), coefficient) > 0
    at_soft = cross_entropy(points @ soft.T, labels) - pairwise_cross_entropy(
        points, labels, p.log(), coefficient=coefficient
    )
    assert at_soft > 0


@SEEDS
@COEFFICIENTS
def test_f2_has_no_least_value(seed: int, coefficient: float) -> None:
    """The same vector added to all rows moves no prediction; along it f2 is a line less a parabola, for every λ > 0."""
    points, _, classifier = _problem(seed)
    step = normal(seed + 40, 1, points.shape[1])
    step = step / step.norm()
    values = [_f2(classifier + size * step, points, coefficient).item() for size in (0.0, 1e2, 1e4, 1e6)]
    assert values[3] < values[2] < values[0]
    assert values[3] < -1e6
    # And it is concave along it: so no λ makes f2 convex.
    curvature = (
        _f2(classifier + step, points, coefficient)
        + _f2(classifier - step, points, coefficient)
        - 2 * _f2(classifier, points, coefficient)
    )
    assert curvature.item() == pytest.approx(-coefficient * CLASSES, rel=1e-6)


def test_cross_entropy_below_the_pairwise_one() -> None:
    """The counter-example of docs/metric.md: the premises on λ and p are kept, the classifier is a fitted one."""
    points, labels = _clusters(0, 1.0)
    classifier = _fitted(points, labels, 3, 0.01)
    logits = points @ classifier.T
    coefficient = _smallest_eigenvalue(points, logits.softmax(1))
    loss = cross_entropy(logits, labels).item()
    pairwise = pairwise_cross_entropy(points, labels, logits, coefficient=coefficient).item()
    assert loss < pairwise
    said = f"λ = {coefficient:.4f}, CE = {loss:.3f} and PCE = {pairwise:.3f}"
    assert said in PAGE.read_text()


@pytest.mark.slow
def test_where_cross_entropy_is_above_the_pairwise_one() -> None:
    """Of 20 problems each, with the largest λ of the premise: at θ = 0, at a random and at a fitted classifier."""
    page = PAGE.read_text()
    for separation in (0.0, 0.5, 1.0, 3.0, 8.0):
        above = [0, 0, 0]
        for seed in range(20):
            points, labels = _clusters(seed, separation)
            random, fitted = normal(seed + 2000, 3, 4), _fitted(points, labels, 3, 0.01)
            for place, classifier in enumerate((torch.zeros_like(random), random, fitted)):
                above[place] += _slack(points, labels, classifier) >= 0
        assert f"\n| {separation:g} | {above[0]} | {above[1]} | {above[2]} |\n" in page


def test_the_premise_leaves_no_coefficient_in_many_features() -> None:
    """With as many features as samples, or more, the smallest eigenvalue is 0: no λ > 0 meets the premise."""
    points, labels = balanced(0, features=40)
    p = (points @ normal(1, CLASSES, 40).T).softmax(1)
    assert len(points) < 40
    assert abs(_smallest_eigenvalue(points, p)) < 1e-12
    assert labels.max() < CLASSES
