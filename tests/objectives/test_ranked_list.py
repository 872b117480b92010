"""The ranked list loss against a loop over anchors, and its gradient against autograd with a fixed gallery."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.objectives import ranked_list_loss

DEFAULTS = {"margin": 0.4, "boundary": 1.2, "temperature": 10.0, "balance": 0.5}
OTHERS = {"margin": 0.7, "boundary": 1.0, "temperature": 2.0, "balance": 0.3}


def _batch(seed: int, samples: int = 12, features: int = 5, classes: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(samples, features, generator=generator, dtype=torch.float64)
    return embeddings, torch.randint(classes, (samples,), generator=generator)


def _naive(
    embeddings: Tensor,
    labels: Tensor,
    *,
    margin: float = 0.4,
    boundary: float = 1.2,
    temperature: float = 10.0,
    balance: float = 0.5,
    normalize: bool = True,
) -> tuple[list[Tensor], list[bool]]:
    """Each anchor's loss, with gradients to that anchor alone; and whether it has a positive."""
    points = F.normalize(embeddings, dim=-1) if normalize else embeddings
    gallery = points.detach()
    losses, valid = [], []
    for i, anchor in enumerate(points):
        pulls, pushes, weights, positives = [], [], [], 0
        for j, other in enumerate(gallery):
            if i == j:
                continue
            distance = (anchor - other).norm()
            if labels[i] == labels[j]:
                positives += 1
                if distance > boundary - margin:
                    pulls.append(distance - (boundary - margin))
            elif distance < boundary:
                pushes.append(boundary - distance)
                weights.append(math.exp(temperature * (boundary - distance.item())))
        loss = anchor.sum() * 0
        if positives and pulls:
            loss = loss + (1 - balance) * sum(pulls) / len(pulls)
        if positives and pushes:
            loss = loss + balance * sum(w * p for w, p in zip(weights, pushes, strict=True)) / math.fsum(weights)
        losses.append(loss)
        valid.append(positives > 0)
    return losses, valid


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [DEFAULTS, OTHERS, {"temperature": 0.0}, {"balance": 0.0}, {"balance": 1.0}])
@pytest.mark.parametrize("normalize", [True, False])
def test_values_and_gradients_equal_a_loop_over_anchors(seed: int, options: dict[str, float], normalize: bool) -> None:
    embeddings, labels = _batch(seed)
    embeddings = embeddings / (1 if normalize else 2)
    expected_losses, expected_valid = _naive(embeddings.requires_grad_(), labels, normalize=normalize, **options)
    expected = sum(expected_losses) / max(sum(expected_valid), 1)
    (expected_gradient,) = torch.autograd.grad(expected, embeddings)

    result = ranked_list_loss(embeddings, labels, normalize=normalize, **options)
    assert result.valid.tolist() == expected_valid
    torch.testing.assert_close(result.per_anchor, torch.stack(expected_losses), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(result.loss, expected, rtol=1e-9, atol=1e-12)
    (gradient,) = torch.autograd.grad(result.loss, embeddings)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-12)
    assert gradient.abs().max() > 1e-3


def test_each_anchor_has_its_own_gradient() -> None:
    embeddings, labels = _batch(4)
    result = ranked_list_loss(embeddings.requires_grad_(), labels)
    expected, _ = _naive(embeddings, labels)
    for anchor in range(len(labels)):
        gradient, loop = (
            torch.autograd.grad(losses[anchor], embeddings, retain_graph=True)[0]
            for losses in (result.per_anchor, expected)
        )
        torch.testing.assert_close(gradient, loop)
        others = torch.arange(len(labels)) != anchor
        assert gradient[others].abs().max() == 0


def test_the_hand_computed_example() -> None:
    """Unit vectors at 0, 90 and 60 degrees; classes a, a, b. Distances are 2 sin(angle / 2).

    Anchor 0: its positive is at sqrt 2 = 1.4142, its negative at 1: .5 (1.4142 - .8) + .5 (1.2 - 1) = .4071.
    Anchor 1: its negative is at 2 sin 15° = .5176: .3071 + .5 (1.2 - .5176) = .6483. Anchor 2 has no positive.
    """
    angles = torch.tensor([0.0, 90.0, 60.0], dtype=torch.float64).deg2rad()
    result = ranked_list_loss(torch.stack([angles.cos(), angles.sin()], dim=-1), torch.tensor([0, 0, 1]))
    assert result.per_anchor.tolist() == pytest.approx([0.4071, 0.6483, 0.0], abs=1e-4)
    assert result.valid.tolist() == [True, True, False]
    assert result.loss.item() == pytest.approx((0.4071 + 0.6483) / 2, abs=1e-4)


def test_normalisation_ignores_the_lengths() -> None:
    embeddings, labels = _batch(5)
    lengths = torch.linspace(0.1, 10, len(labels), dtype=torch.float64).unsqueeze(1)
    torch.testing.assert_close(
        ranked_list_loss(embeddings * lengths, labels).per_anchor, ranked_list_loss(embeddings, labels).per_anchor
    )


# --- collapse ----------------------------------------------------------------------------------------------------

COLLAPSED = [[0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0], [0, 1, 2] * 4]


@pytest.mark.parametrize("labels", COLLAPSED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("normalize", [True, False])
def test_a_collapsed_batch_costs_its_due_and_has_a_gradient(
    labels: list[int], dtype: torch.dtype, normalize: bool
) -> None:
    """All distances are 0: no positive is too far, and every negative is 1.2 - 0 too near: .5 * 1.2 = .6."""
    row = torch.randn(16, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    embeddings = row.repeat(len(labels), 1).requires_grad_()
    result = ranked_list_loss(embeddings, torch.tensor(labels), normalize=normalize)
    assert result.loss.item() == pytest.approx(0.6, rel=1e-6)
    result.loss.backward()
    assert torch.isfinite(embeddings.grad).all()
    assert embeddings.grad.norm() > 1e-2


def _released_from_collapse(labels: Tensor, steps: int, dtype: torch.dtype) -> tuple[float, Tensor]:
    """Gradient descent from one unit vector for all samples: the loss and the distances at the end."""
    row = torch.randn(16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    embeddings = F.normalize(row, dim=-1).to(dtype).repeat(len(labels), 1).requires_grad_()
    for _ in range(steps):
        (gradient,) = torch.autograd.grad(ranked_list_loss(embeddings, labels).loss, embeddings)
        embeddings = (embeddings - len(labels) / 20 * gradient).detach().requires_grad_()
    distance = torch.cdist(*[F.normalize(embeddings.detach().double(), dim=-1)] * 2)
    return ranked_list_loss(embeddings, labels).loss.item(), distance


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_few_gradient_steps_take_a_collapsed_batch_apart(classes: int, dtype: torch.dtype) -> None:
    labels = torch.arange(classes).repeat_interleave(4)
    loss, distance = _released_from_collapse(labels, 40, dtype)
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    assert loss < 0.2
    assert distance[~same].min() > 0.8
    assert distance[same].max() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("labels", COLLAPSED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_collapsed_batch_comes_apart_whatever_the_order_of_the_labels(labels: list[int], dtype: torch.dtype) -> None:
    loss, distance = _released_from_collapse(torch.tensor(labels), 1000, dtype)
    same = torch.tensor(labels).unsqueeze(0) == torch.tensor(labels).unsqueeze(1)
    assert loss < 0.01
    assert distance[~same].min() > 1.1
    assert distance[same].max() < 0.9


# --- anchors that count and anchors that do not ------------------------------------------------------------------


def test_anchors_without_positives_are_reported_and_not_averaged() -> None:
    embeddings, _ = _batch(6, samples=6)
    labels = torch.tensor([0, 1, 0, 2, 1, 3])
    result = ranked_list_loss(embeddings.requires_grad_(), labels)
    assert result.valid.tolist() == [True, True, True, False, True, False]
    assert result.per_anchor[[3, 5]].tolist() == [0, 0]
    torch.testing.assert_close(result.loss, result.per_anchor[[0, 1, 2, 4]].mean())
    result.loss.backward()
    assert embeddings.grad[[3, 5]].abs().max() == 0
    # They are still negatives of the others.
    alone = ranked_list_loss(embeddings.detach()[[0, 1, 2, 4]], labels[[0, 1, 2, 4]])
    assert (alone.per_anchor - result.per_anchor[[0, 1, 2, 4]].detach()).abs().max() > 1e-3


@pytest.mark.parametrize("collapsed", [False, True])
@pytest.mark.parametrize("samples", [1, 5])
def test_a_batch_without_any_positive_costs_nothing_and_has_no_nan(collapsed: bool, samples: int) -> None:
    embeddings, _ = _batch(7, samples=samples)
    if collapsed:
        embeddings = embeddings[:1].repeat(samples, 1)
    result = ranked_list_loss(embeddings.requires_grad_(), torch.arange(samples))
    result.loss.backward()
    assert result.loss.item() == 0
    assert not result.valid.any()
    assert embeddings.grad.abs().max() == 0


def test_a_batch_of_one_class_is_only_pulled() -> None:
    embeddings, _ = _batch(8)
    labels = torch.zeros(len(embeddings), dtype=torch.long)
    result = ranked_list_loss(embeddings, labels)
    torch.testing.assert_close(result.per_anchor, torch.stack(_naive(embeddings, labels)[0]))
    assert result.loss > 0.1
    assert ranked_list_loss(embeddings, labels, balance=1.0).loss == 0


def test_a_batch_that_is_already_ranked_costs_nothing() -> None:
    corners = torch.eye(3).repeat_interleave(2, dim=0)  # classes are sqrt 2 > 1.2 apart, positives coincide
    embeddings = corners.requires_grad_()
    result = ranked_list_loss(embeddings, torch.tensor([0, 0, 1, 1, 2, 2]))
    result.loss.backward()
    assert result.loss.item() == 0
    assert embeddings.grad.abs().max() == 0


def test_duplicates_within_a_class_and_between_classes_are_like_any_pair() -> None:
    embeddings, labels = _batch(9)
    labels[:4] = torch.tensor([0, 0, 1, 1])
    embeddings[1] = embeddings[0]  # of one class
    embeddings[3] = embeddings[0]  # of another
    result = ranked_list_loss(embeddings.requires_grad_(), labels)
    torch.testing.assert_close(result.per_anchor, torch.stack(_naive(embeddings, labels)[0]), rtol=1e-6, atol=1e-8)
    result.loss.backward()
    assert torch.isfinite(embeddings.grad).all()


def test_a_zero_embedding_does_not_make_the_gradient_explode() -> None:
    embeddings, labels = _batch(10)
    embeddings[0] = 0
    labels[:2] = 0
    ranked_list_loss(embeddings.requires_grad_(), labels).loss.backward()
    assert torch.isfinite(embeddings.grad).all()
    assert embeddings.grad[0].norm() < 100 * embeddings.grad[1:].norm()


# --- samples that are not there ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_unusable_samples_are_as_if_dropped(seed: int) -> None:
    embeddings, labels = _batch(seed, samples=14)
    usable = torch.rand(14, generator=torch.Generator().manual_seed(seed)) < 0.7
    embeddings[~usable] = torch.where(torch.arange(5) % 2 == 0, 0.0, embeddings[~usable] * 100)
    kept = embeddings[usable].clone().requires_grad_()
    dropped = ranked_list_loss(kept, labels[usable])
    masked = ranked_list_loss(embeddings.requires_grad_(), labels, usable=usable)
    torch.testing.assert_close(masked.per_anchor[usable], dropped.per_anchor)
    torch.testing.assert_close(masked.loss, dropped.loss)
    assert masked.valid[usable].tolist() == dropped.valid.tolist()
    assert not masked.valid[~usable].any()
    masked.loss.backward()
    dropped.loss.backward()
    torch.testing.assert_close(embeddings.grad[usable], kept.grad)
    assert embeddings.grad[~usable].abs().max() == 0


def test_no_usable_sample_costs_nothing() -> None:
    embeddings, labels = _batch(11)
    usable = torch.zeros(len(labels), dtype=torch.bool)
    result = ranked_list_loss(torch.zeros_like(embeddings).requires_grad_(), labels, usable=usable)
    assert result.loss.item() == 0
    assert not result.valid.any()


# --- stacks, precision, extremes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
def test_leading_dimensions_are_one_batch_each(masked: bool) -> None:
    pairs = [_batch(20 + seed) for seed in range(6)]
    embeddings = torch.stack([pair[0] for pair in pairs]).unflatten(0, (2, 3)).requires_grad_()
    labels = torch.stack([pair[1] for pair in pairs[:2]]).unsqueeze(1)  # (2, 1, batch), shared by the views
    usable = torch.rand(2, 3, 12, generator=torch.Generator().manual_seed(0)) < 0.8 if masked else None
    result = ranked_list_loss(embeddings, labels, usable=usable)
    assert (result.loss.shape, result.per_anchor.shape, result.valid.shape) == ((2, 3), (2, 3, 12), (2, 3, 12))
    (gradient,) = torch.autograd.grad(result.loss.sum(), embeddings)
    for i in range(2):
        for j in range(3):
            alone = embeddings[i, j].detach().requires_grad_()
            expected = ranked_list_loss(alone, labels[i, 0], usable=None if usable is None else usable[i, j])
            torch.testing.assert_close(result.per_anchor[i, j], expected.per_anchor)
            torch.testing.assert_close(result.loss[i, j], expected.loss)
            assert result.valid[i, j].tolist() == expected.valid.tolist()
            torch.testing.assert_close(gradient[i, j], torch.autograd.grad(expected.loss, alone)[0])


@pytest.mark.parametrize("spread", [1.0, 0.05])
def test_float32_follows_float64(spread: float) -> None:
    embeddings, labels = _batch(12, samples=40, features=16)
    embeddings = embeddings[0] + spread * embeddings
    results = []
    for dtype in (torch.float64, torch.float32):
        leaf = embeddings.to(dtype, copy=True).requires_grad_()
        result = ranked_list_loss(leaf, labels)
        result.loss.backward()
        results.append((result.per_anchor.detach().double(), leaf.grad.double()))
    (exact, exact_gradient), (single, single_gradient) = results
    torch.testing.assert_close(single, exact, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(single_gradient, exact_gradient, rtol=1e-2, atol=1e-4 * exact_gradient.abs().max())


def test_a_huge_temperature_pushes_the_nearest_negative_alone() -> None:
    embeddings, labels = _batch(13)
    result = ranked_list_loss(embeddings.float(), labels, temperature=1e6, balance=1.0)
    distance = torch.cdist(*[F.normalize(embeddings, dim=-1)] * 2)
    distance[labels.unsqueeze(0) == labels.unsqueeze(1)] = math.inf
    nearest = (1.2 - distance.min(dim=1).values).clamp(min=0)
    expected = torch.where(result.valid, nearest, 0.0)
    torch.testing.assert_close(result.per_anchor.double(), expected, rtol=0, atol=1e-4)


def test_distances_of_any_size_are_finite_without_normalisation() -> None:
    embeddings, labels = _batch(14)
    for scale in (1e-6, 1e3, 1e6):
        leaf = (scale * embeddings).float().requires_grad_()
        result = ranked_list_loss(leaf, labels, normalize=False)
        result.loss.backward()
        expected = torch.stack(_naive(leaf.detach().double(), labels, normalize=False)[0])
        torch.testing.assert_close(result.per_anchor.double(), expected, rtol=1e-4, atol=1e-4)
        assert torch.isfinite(leaf.grad).all()


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": 0.0}, "margin must lie between 0 and boundary"),
        ({"margin": 1.2}, "margin must lie between 0 and boundary"),
        ({"boundary": 0.3}, "margin must lie between 0 and boundary"),
        ({"balance": -0.1}, "balance must be in"),
        ({"balance": 1.1}, "balance must be in"),
        ({"temperature": -1.0}, "temperature must be at least 0"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ranked_list_loss(*_batch(15), **options)


def test_shapes_that_do_not_fit_are_refused_by_name() -> None:
    embeddings, labels = _batch(16)
    with pytest.raises(ValueError, match=r"labels of shape \(11,\) do not fit embeddings of shape \(12, 5\)"):
        ranked_list_loss(embeddings, labels[:-1])
    for wrong in (embeddings[0], embeddings[:0], embeddings[:, :0]):
        with pytest.raises(ValueError, match="embeddings must be"):
            ranked_list_loss(wrong, labels[: len(wrong)])


@pytest.mark.parametrize("shape", [(11,), (2, 12), (12, 5)])
def test_a_mask_that_does_not_fit_is_refused_by_name(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="usable"):
        ranked_list_loss(*_batch(17), usable=torch.ones(shape, dtype=torch.bool))
