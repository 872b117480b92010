"""What holds of every loss over pairs: values as in loops, gradients as of finite differences, all ways to be empty."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from tests.objectives.metric_batches import (
    SEEDS,
    balanced,
    batch,
    mean,
    normal,
    partners,
    product,
    referenced,
    scaled,
    squared,
)
from torch import Tensor

from limbeck.objectives import (
    center_loss,
    contrastive_contrast,
    contrastive_loss,
    contrastive_tightness,
    kernel_information,
    multi_similarity_contrast,
    multi_similarity_loss,
    multi_similarity_tightness,
    nca,
    simplified_pairwise_cross_entropy,
    snca,
    snca_contrast,
    snca_tightness,
    supervised_contrastive_loss,
    triplet_loss,
)

# --- each loss of one anchor as a loop: (anchor, positives, negatives) -> value, None where it does not count

Rows = list[list[float]]


def _contrastive(z: list[float], positives: Rows, negatives: Rows, margin: float) -> float:
    pulled = math.fsum(squared(z, p) for p in positives)
    return pulled + math.fsum(max(margin - math.sqrt(squared(z, n)), 0.0) ** 2 for n in negatives)


def _snca(z: list[float], positives: Rows, negatives: Rows, temperature: float) -> float | None:
    near, far = (
        math.fsum(math.exp(product(z, other) / temperature) for other in kind) for kind in (positives, negatives)
    )
    return -math.log(near / (near + far)) if positives else None


def _nca(z: list[float], positives: Rows, negatives: Rows, temperature: float) -> float | None:
    near, far = (
        math.fsum(math.exp(-squared(z, other) / temperature) for other in kind) for kind in (positives, negatives)
    )
    return -math.log(near / (near + far)) if positives else None


def _supervised(z: list[float], positives: Rows, negatives: Rows, temperature: float) -> float | None:
    total = math.fsum(math.exp(product(z, other) / temperature) for other in positives + negatives)
    return mean([-math.log(math.exp(product(z, p) / temperature) / total) for p in positives]) if positives else None


def _multi(z: list[float], positives: Rows, negatives: Rows, mining: float | None = None) -> float:
    near, far = [product(z, p) for p in positives], [product(z, n) for n in negatives]
    if mining is not None:
        near, far = (
            [s for s in near if far and s < max(far) + mining],
            [s for s in far if near and s > min(near) - mining],
        )
    pull = math.log(1 + math.fsum(math.exp(-2 * (s - 0.5)) for s in near)) / 2
    return pull + math.log(1 + math.fsum(math.exp(50 * (s - 0.5)) for s in far)) / 50


def _triplets(
    z: list[float], positives: Rows, negatives: Rows, mining: str, margin: float, power: float
) -> float | None:
    near, far = (sorted(squared(z, other) ** (power / 2) for other in kind) for kind in (positives, negatives))
    if mining == "all":
        chosen = [(p, n) for p in near for n in far]
    elif mining == "hard":
        chosen = [(near[-1], far[0])] if near and far else []
    else:
        chosen = [(p, min(n for n in far if n > p)) for p in near if far and far[-1] > p]
    return mean([max(margin + p - n, 0.0) for p, n in chosen]) if chosen else None


def _information(z: list[float], positives: Rows, negatives: Rows, temperature: float) -> float | None:
    density = [
        mean([math.exp(product(z, o) / temperature) for o in some]) for some in (positives, positives + negatives)
    ]
    return math.log(density[0] / density[1]) if positives else None


LOOPS: dict[str, tuple[Callable[..., Tensor], Callable[..., float | None], bool]] = {
    "contrastive": (partial(contrastive_loss, margin=2.0), partial(_contrastive, margin=2.0), False),
    "contrastive, normalised": (
        partial(contrastive_loss, margin=1.2, normalize=True),
        partial(_contrastive, margin=1.2),
        True,
    ),
    "contrastive, parts": (
        lambda *a, **k: contrastive_tightness(*a, **k) + contrastive_contrast(*a, margin=2.0, **k),
        partial(_contrastive, margin=2.0),
        False,
    ),
    "snca": (partial(snca, temperature=0.3), partial(_snca, temperature=0.3), True),
    "snca, parts": (
        lambda *a, **k: snca_tightness(*a, temperature=0.3, **k) + snca_contrast(*a, temperature=0.3, **k),
        partial(_snca, temperature=0.3),
        True,
    ),
    "nca": (partial(nca, temperature=2.0), partial(_nca, temperature=2.0), False),
    "nca, normalised": (partial(nca, normalize=True), partial(_nca, temperature=1.0), True),
    "supervised contrastive": (supervised_contrastive_loss, partial(_supervised, temperature=0.1), True),
    "multi-similarity": (multi_similarity_loss, _multi, True),
    "multi-similarity, mined": (partial(multi_similarity_loss, mining=0.1), partial(_multi, mining=0.1), True),
    "multi-similarity, parts": (
        lambda *a, **k: multi_similarity_tightness(*a, **k) + multi_similarity_contrast(*a, **k),
        _multi,
        True,
    ),
    "kernel information": (partial(kernel_information, temperature=0.3), partial(_information, temperature=0.3), True),
} | {
    f"triplet, {mining}, {squares}": (
        partial(triplet_loss, mining=mining, squared=squares, margin=0.3),
        partial(_triplets, mining=mining, margin=0.3, power=2 if squares else 1),
        True,
    )
    for mining in ("all", "semihard", "hard")
    for squares in (True, False)
}
EVERY = pytest.mark.parametrize("name", LOOPS)
LOSSES = {name: function for name, (function, _, _) in LOOPS.items()} | {
    "center": center_loss,
    "spce": simplified_pairwise_cross_entropy,
    "spce, leave one out": partial(simplified_pairwise_cross_entropy, leave_one_out=True),
}
EVERY_LOSS = pytest.mark.parametrize("name", LOSSES)
WITH_REFERENCES = pytest.mark.parametrize("name", [name for name in LOSSES if "leave one out" not in name])


@SEEDS
@EVERY
@pytest.mark.parametrize("with_references", [False, True])
def test_values_are_those_of_a_loop(seed: int, name: str, with_references: bool) -> None:
    function, loop, normalize = LOOPS[name]
    embeddings, labels = batch(seed)
    given = referenced(seed) if with_references else {}
    rows, others, other_labels, own = partners(embeddings, labels, given, normalize=normalize)
    expected = []
    for i, row in enumerate(rows):
        positives = [other for other, label in zip(others[i], other_labels[i], strict=True) if label == own[i]]
        negatives = [other for other, label in zip(others[i], other_labels[i], strict=True) if label != own[i]]
        expected.append(loop(row, positives, negatives))
    found = function(embeddings, labels, reduction="none", **given)
    assert found.tolist() == pytest.approx([value or 0.0 for value in expected], rel=1e-9, abs=1e-12)
    counted = [value for value in expected if value is not None]
    assert function(embeddings, labels, **given).item() == pytest.approx(mean(counted), rel=1e-9, abs=1e-12)
    summed = function(embeddings, labels, reduction="sum", **given)
    assert summed.item() == pytest.approx(math.fsum(counted), rel=1e-9, abs=1e-12)
    assert max(abs(value) for value in counted) > 1e-2
    assert name.startswith(("contrastive", "multi")) or len(counted) < len(expected)  # one is alone in its class


@SEEDS
@EVERY_LOSS
@pytest.mark.parametrize("with_references", [False, True])
def test_gradients_are_those_of_finite_differences(seed: int, name: str, with_references: bool) -> None:
    embeddings, labels = batch(seed)
    given = referenced(seed) if with_references and "leave one out" not in name else {}

    def called(points: Tensor, *references: Tensor) -> Tensor:
        return LOSSES[name](points, labels, **(given | ({"references": references[0]} if given else {})))

    leaves = [embeddings.requires_grad_(), *([given["references"].requires_grad_()] if given else [])]
    assert torch.autograd.gradcheck(called, leaves)
    gradients = torch.autograd.grad(called(*leaves), leaves)
    assert all(gradient.abs().max() > 1e-4 for gradient in gradients)


@SEEDS
@pytest.mark.parametrize("normalize", [False, True])
def test_center_loss_is_that_of_a_loop(seed: int, normalize: bool) -> None:
    embeddings, labels = batch(seed)
    rows = [scaled(row) if normalize else row for row in embeddings.tolist()]
    expected = []
    for row, label in zip(rows, labels.tolist(), strict=True):
        members = [other for other, theirs in zip(rows, labels.tolist(), strict=True) if theirs == label]
        expected.append(0.5 * squared(row, [mean(list(column)) for column in zip(*members, strict=True)]))
    found = center_loss(embeddings, labels, normalize=normalize, reduction="none")
    assert found.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert center_loss(embeddings, labels, normalize=normalize).item() == pytest.approx(mean(expected), rel=1e-9)


def test_center_loss_takes_given_centers_and_the_means_of_references() -> None:
    embeddings, labels = batch(0)
    centers = normal(1, 4, 4)
    found = center_loss(embeddings, labels, references=centers, reference_labels=torch.arange(4), reduction="none")
    torch.testing.assert_close(found, 0.5 * (embeddings - centers[labels]).square().sum(1))
    given = referenced(0)
    found = center_loss(embeddings, labels, reduction="none", **given)
    for i, label in enumerate(labels):
        members = given["references"][given["reference_labels"] == label]
        expected = (
            0.5 * (embeddings[i] - members.mean(0)).square().sum() if len(members) else torch.tensor(0.0).double()
        )
        torch.testing.assert_close(found[i], expected)


@SEEDS
@pytest.mark.parametrize("kind", ["with itself", "leave one out", "references"])
def test_spce_is_that_of_a_loop(seed: int, kind: str) -> None:
    embeddings, labels = batch(seed)
    given = referenced(seed) if kind == "references" else {}
    rows, others, other_labels, own = partners(embeddings, labels, given, normalize=False)
    if kind == "with itself":
        others, other_labels = [rows] * len(rows), [own] * len(rows)
    expected: list[float | None] = []
    for row, some, theirs, label in zip(rows, others, other_labels, own, strict=True):
        scores = {
            k: 1.7 * math.fsum(product(row, o) for o, t in zip(some, theirs, strict=True) if t == k) / len(some)
            for k in set(theirs)
        }
        total = math.log(math.fsum(math.exp(score) for score in scores.values()))
        expected.append(total - scores[label] if label in scores else None)
    options = {"scale": 1.7, "leave_one_out": kind == "leave one out", **given}
    found = simplified_pairwise_cross_entropy(embeddings, labels, reduction="none", **options)
    assert found.tolist() == pytest.approx([value or 0.0 for value in expected], rel=1e-9, abs=1e-12)
    counted = [value for value in expected if value is not None]
    assert simplified_pairwise_cross_entropy(embeddings, labels, **options).item() == pytest.approx(mean(counted))


# --- references ---------------------------------------------------------------------------------------------------


@WITH_REFERENCES
def test_the_batch_as_references_brings_every_sample_to_itself(name: str) -> None:
    """With references nothing is excluded: a copy of the batch is another batch, as a memory that holds it would be."""
    embeddings, labels = balanced(0)
    copied = {"references": embeddings.clone(), "reference_labels": labels}
    itself, memory = (LOSSES[name](embeddings, labels, **given) for given in ({}, copied))
    # A pair at distance 0 adds nothing, is not hard or informative, or was there already.
    same = ("center", "contrastive", "triplet, hard")
    if name == "spce" or name.endswith("mined") or name.startswith(same):
        torch.testing.assert_close(memory, itself)
    else:
        assert (memory - itself).abs() > 1e-3


@EVERY_LOSS
def test_duplicates_are_pairs_like_any_other(name: str) -> None:
    """A sample that was put in twice is its own twin's positive: only the index says what a sample itself is."""
    embeddings, labels = batch(1)
    twice, their_labels = torch.cat([embeddings, embeddings[:1]]), torch.cat([labels, labels[:1]])
    value = LOSSES[name](twice.requires_grad_(), their_labels, reduction="none")
    assert value.isfinite().all()
    assert value[0].item() == pytest.approx(value[-1].item(), rel=1e-9, abs=1e-12)
    (gradient,) = torch.autograd.grad(value.sum(), twice)
    assert gradient.isfinite().all()
    if name.startswith(("snca", "nca", "supervised")):  # it was alone in its class, and did not count
        assert LOSSES[name](embeddings, labels, reduction="none")[0] == 0
        assert value[0] > 0


# --- nothing there ------------------------------------------------------------------------------------------------


@EVERY_LOSS
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize(
    "labels", [[0], [0, 1, 2, 3], [1, 1, 1, 1], [0, 0, 1, 1]], ids=["one", "no positives", "one class", "two classes"]
)
@pytest.mark.parametrize("collapsed", ["no", "equal", "zero"])
def test_all_ways_to_be_empty_are_finite(name: str, dtype: torch.dtype, labels: list[int], collapsed: str) -> None:
    embeddings = normal(2, len(labels), 3)
    if collapsed != "no":
        embeddings = torch.zeros_like(embeddings) if collapsed == "zero" else embeddings[:1].expand_as(embeddings)
    embeddings = embeddings.to(dtype).clone().requires_grad_()
    value = LOSSES[name](embeddings, torch.tensor(labels))
    value.backward()
    assert value.isfinite()
    assert embeddings.grad.isfinite().all()
    if labels != [0, 0, 1, 1] and name.startswith("triplet"):
        assert value == 0
    if labels in ([0], [0, 1, 2, 3]) and name.startswith(("snca", "nca", "supervised", "kernel")):
        assert value == 0
        assert embeddings.grad.abs().max() == 0
    if labels in ([0], [1, 1, 1, 1]) and name.startswith(("snca", "nca", "spce", "kernel")):
        assert value.item() == pytest.approx(0, abs=1e-6)


@WITH_REFERENCES
def test_no_class_in_common_with_the_references_is_finite(name: str) -> None:
    embeddings, labels = batch(3)
    given = {"references": normal(4, 5, 4), "reference_labels": torch.full((5,), 9)}
    value = LOSSES[name](embeddings.requires_grad_(), labels, **given)
    (gradient,) = torch.autograd.grad(value, embeddings)
    assert value.isfinite()
    assert gradient.isfinite().all()
    if not name.startswith(("contrastive", "multi")) or name.endswith("mined"):
        assert value == 0


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 2] * 4])
@pytest.mark.parametrize("normalize", [False, True])
def test_a_collapsed_batch_comes_apart(labels: list[int], normalize: bool) -> None:
    """Distances that are not squared have a subgradient where they are 0; steps along it separate the classes."""
    for loss in (
        partial(contrastive_loss, margin=1.0, normalize=normalize),
        partial(triplet_loss, mining="hard", squared=False, margin=0.5, normalize=normalize),
        partial(triplet_loss, mining="all", squared=False, margin=0.5, normalize=normalize),
    ):
        start = normal(5, 1, 8)
        embeddings = (start / start.norm()).expand(len(labels), -1).clone().requires_grad_()
        first = loss(embeddings, torch.tensor(labels))
        for _ in range(100):
            (gradient,) = torch.autograd.grad(loss(embeddings, torch.tensor(labels)), embeddings)
            assert gradient.isfinite().all()
            embeddings = (embeddings - 0.05 * gradient).detach().requires_grad_()
        assert loss(embeddings, torch.tensor(labels)) < 0.2 * first
        assert first > 0.4


def test_semihard_skips_a_positive_beyond_all_negatives() -> None:
    """On a line: 0 and 5 of one class, 1 of another. From 0 no negative is beyond 5; from 5, 4 is not beyond 5."""
    points, labels = torch.tensor([[0.0], [5.0], [1.0]]), torch.tensor([0, 0, 1])
    options = {"squared": False, "normalize": False, "margin": 1.0}
    assert triplet_loss(points, labels, **options) == 0
    assert triplet_loss(points, labels, mining="hard", **options).item() == pytest.approx((5 + 2) / 2)
    # With one more negative at 5.5 only 0 has a triplet, [1 + 5 - 5.5]; 5 has none and is left out of the mean.
    points, labels = torch.tensor([[0.0], [5.0], [1.0], [5.5]]), torch.tensor([0, 0, 1, 2])
    assert triplet_loss(points, labels, reduction="none", **options).tolist() == [0.5, 0, 0, 0]
    assert triplet_loss(points, labels, **options) == 0.5
    # A negative as far as the positive is not beyond it.
    points, labels = torch.tensor([[0.0], [2.0], [-2.0], [2.5]]), torch.tensor([0, 0, 1, 2])
    assert triplet_loss(points, labels, reduction="none", **options)[0] == 0.5


# --- precision ----------------------------------------------------------------------------------------------------


def test_soft_neighbours_keep_the_hardest_samples_and_the_easiest() -> None:
    """float32 at σ = 0.01: a share of e^-100 is a loss of 100, and one of 1 - e^-100 is not 0 either."""
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    hard = snca(points, torch.tensor([0, 0, 1, 1]), temperature=0.01, reduction="none")
    assert hard.tolist() == pytest.approx([100.0] * 4, rel=1e-6)
    easy = snca(points, torch.tensor([0, 1, 0, 1]), temperature=0.05, reduction="none")
    assert easy.tolist() == pytest.approx([2 * math.exp(-20)] * 4, rel=1e-5)


@pytest.mark.parametrize(
    "loss", [center_loss, contrastive_loss, nca, partial(triplet_loss, normalize=False, mining="all")]
)
def test_distances_keep_their_digits_far_from_the_origin(loss: Callable[..., Tensor]) -> None:
    embeddings, labels = batch(8, samples=20)
    far = (embeddings + 1000).float()
    torch.testing.assert_close(loss(far, labels).double(), loss(far.double(), labels), rtol=1e-5, atol=1e-5)


@EVERY_LOSS
def test_nothing_is_of_half_precision_under_autocast(name: str) -> None:
    embeddings, labels = batch(6, samples=16)
    expected = LOSSES[name](embeddings.float(), labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = LOSSES[name](embeddings.float(), labels)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_triplets_of_a_large_batch_take_memory_of_pairs() -> None:
    """800 samples have 8e7 triplets of 5 classes: each anchor's mean is that over its own, taken one by one."""
    embeddings, labels = normal(7, 800, 4), torch.arange(800) % 5
    found = triplet_loss(embeddings, labels, mining="all", normalize=False, reduction="none")
    squares = torch.cdist(embeddings, embeddings).square()
    for i in range(0, 800, 307):
        same = labels == labels[i]
        near, far = squares[i][same & (torch.arange(800) != i)], squares[i][~same]
        expected = (0.2 + near.unsqueeze(1) - far).relu().mean()
        assert found[i].item() == pytest.approx(expected.item(), rel=1e-9)


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z, y: snca(z, y[:-1]), r"labels of shape \(10,\) do not fit embeddings of shape \(11, 4\)"),
        (lambda z, y: nca(z[0], y), "embeddings must be"),
        (lambda z, y: center_loss(z[:0], y[:0]), "embeddings must be"),
        (lambda z, y: snca(z, y, references=z), "references and reference_labels go together"),
        (lambda z, y: snca(z, y, references=z[:, :2], reference_labels=y), "references have 2 features"),
        (lambda z, y: snca(z, y, references=z, reference_labels=y[1:]), "reference_labels of shape"),
        (lambda z, y: snca(z, y, temperature=0.0), "temperature must be positive"),
        (lambda z, y: contrastive_loss(z, y, margin=0.0), "margin must be positive"),
        (lambda z, y: multi_similarity_loss(z, y, positive_scale=-1.0), "positive_scale must be positive"),
        (lambda z, y: triplet_loss(z, y, margin=-0.1), "margin must be at least 0"),
        (lambda z, y: triplet_loss(z, y, mining="easy"), "mining must be"),
        (lambda z, y: simplified_pairwise_cross_entropy(z, y, scale=0.0), "scale must be positive"),
        (
            lambda z, y: simplified_pairwise_cross_entropy(z, y, references=z, reference_labels=y, leave_one_out=True),
            "leave_one_out is for pairs inside the batch",
        ),
        (lambda z, y: snca(z, y, reduction="max"), "reduction must be"),
    ],
)
def test_wrong_input_is_refused_by_name(call: Callable[..., Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(*batch(0))
