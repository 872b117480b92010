"""Focal loss and Lovász-softmax against loops over points and classes in float64, and what is known of them."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.objectives import lovasz_softmax, multi_class_focal


def _batch(seed: int, points: int = 40, classes: int = 6, *, ignored: float = 0.2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(points, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes - 1, (points,), generator=generator)  # the last class has no point
    labels[torch.rand(points, generator=generator) < ignored] = -1
    return logits, labels


def _focal_loop(logits: Tensor, labels: Tensor, gamma: float, alpha: list[float]) -> list[float]:
    values = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        if label == -1:
            values.append(0.0)
            continue
        p = math.exp(row[label]) / sum(math.exp(s) for s in row)
        values.append(-alpha[label] * (1 - p) ** gamma * math.log(p))
    return values


def _jaccard_loss(wrong: set[int], members: set[int]) -> float:
    """1 - IoU of a class whose members are `members` where exactly the points of `wrong` are predicted wrongly."""
    predicted = (members - wrong) | (wrong - members)
    union = predicted | members
    return 1 - len(predicted & members) / len(union) if union else 0.0


def _lovasz_loop(logits: Tensor, labels: Tensor, classes: str) -> float:
    keep = labels != -1
    probabilities, labels = logits[keep].softmax(dim=1).tolist(), labels[keep].tolist()
    values = []
    for c in range(logits.shape[1]):
        members = {p for p, label in enumerate(labels) if label == c}
        if not labels or (classes == "present" and not members):
            continue
        errors = {p: abs((p in members) - row[c]) for p, row in enumerate(probabilities)}
        wrong: set[int] = set()
        value = 0.0
        for p in sorted(errors, key=errors.get, reverse=True):
            before = _jaccard_loss(wrong, members)
            wrong.add(p)
            value += errors[p] * (_jaccard_loss(wrong, members) - before)
        values.append(value)
    return sum(values) / len(values) if values else 0.0


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_focal_is_that_of_a_loop(gamma: float, weighted: bool) -> None:
    for seed in range(5):
        logits, labels = _batch(seed)
        alpha = [0.5 + c for c in range(6)] if weighted else [1.0] * 6
        given = torch.tensor(alpha, dtype=torch.float64) if weighted else None
        expected = _focal_loop(logits, labels, gamma, alpha)
        options = {"gamma": gamma, "alpha": given}
        assert multi_class_focal(logits, labels, reduction="none", **options).tolist() == pytest.approx(expected)
        assert multi_class_focal(logits, labels, reduction="sum", **options).item() == pytest.approx(sum(expected))
        mean = sum(expected) / (labels != -1).sum().item()
        assert multi_class_focal(logits, labels, **options).item() == pytest.approx(mean, rel=1e-12)


def test_focal_of_gamma_0_is_cross_entropy_over_any_leading_dimensions() -> None:
    logits, labels = _batch(1, points=24)
    expected = F.cross_entropy(logits, labels, ignore_index=-1)
    torch.testing.assert_close(multi_class_focal(logits, labels, gamma=0), expected)
    folded = multi_class_focal(logits.view(2, 3, 4, 6), labels.view(2, 3, 4), gamma=0)
    torch.testing.assert_close(folded, expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_at_logits_of_1e4_in_float32(gamma: float) -> None:
    """Certain and right: 0. Certain and wrong: the distance of the logits, whatever gamma."""
    logits = torch.tensor([[1e4, -1e4, 0.0], [1e4, -1e4, 0.0], [1e4, 1e4, 0.0]]).requires_grad_()
    values = multi_class_focal(logits, torch.tensor([0, 1, 1]), gamma=gamma, reduction="none")
    assert values.tolist() == pytest.approx([0.0, 2e4, 0.5**gamma * math.log(2)], rel=1e-6)
    values.sum().backward()
    assert logits.grad.isfinite().all()


def test_focal_of_a_sure_point_keeps_its_digits_in_float32() -> None:
    """P = 1 / (1 + 1e-9) is 1 in float32; the loss is 1e-27 and its logarithm's gradient 3."""
    margin = 9 * math.log(10)
    logits = torch.tensor([[margin, 0.0]]).requires_grad_()
    value = multi_class_focal(logits, torch.tensor([0]))
    assert value.item() == pytest.approx(1e-27, rel=1e-4)
    value.backward()
    assert (logits.grad / value).tolist()[0] == pytest.approx([-3, 3], rel=1e-4)


@pytest.mark.parametrize("classes", ["present", "all"])
def test_lovasz_is_that_of_a_loop(classes: str) -> None:
    for seed in range(12):
        logits, labels = _batch(seed, ignored=(0.0, 0.2, 0.9)[seed % 3])
        expected = _lovasz_loop(logits, labels, classes)
        assert lovasz_softmax(logits, labels, classes=classes).item() == pytest.approx(expected, rel=1e-12)
    for points in (1, 2):
        logits, labels = _batch(1, points=points, ignored=0)
        expected = _lovasz_loop(logits, labels, classes)
        assert lovasz_softmax(logits, labels, classes=classes).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_lovasz_of_certain_predictions_is_1_minus_iou(dtype: torch.dtype) -> None:
    _, labels = _batch(2)
    predicted = torch.randint(6, labels.shape, generator=torch.Generator().manual_seed(3))
    logits = 2e4 * F.one_hot(predicted, 6).to(dtype) - 1e4
    known = labels != -1
    ious = []
    for c in labels[known].unique():
        both = ((predicted == c) & (labels == c)).sum().item()
        either = (((predicted == c) | (labels == c)) & known).sum().item()
        ious.append(both / either)
    assert lovasz_softmax(logits, labels).item() == pytest.approx(1 - sum(ious) / len(ious), rel=1e-6)


def test_lovasz_in_float32_with_many_points_is_that_in_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200_000, 4, generator=generator)
    labels = torch.where(torch.rand(200_000, generator=generator) < 1e-4, 1, 0)
    values = []
    for dtype in (torch.float32, torch.float64):
        given = logits.detach().to(dtype, copy=True).requires_grad_()
        value = lovasz_softmax(given, labels)
        value.backward()
        values.append((value.item(), given.grad.double()))
    (found, gradient), (expected, wanted) = values
    assert found == pytest.approx(expected, rel=1e-5)
    assert (gradient - wanted).norm() < 1e-4 * wanted.norm()


def test_gradients_are_those_of_finite_differences() -> None:
    logits, labels = _batch(4, points=9)
    alpha = torch.linspace(0.1, 2, 6, dtype=torch.float64)
    logits.requires_grad_()
    for gamma in (0.0, 0.5, 2.0):
        assert torch.autograd.gradcheck(
            lambda x, gamma=gamma: multi_class_focal(x, labels, gamma=gamma, alpha=alpha, reduction="none"), (logits,)
        )
    for classes in ("present", "all"):
        assert torch.autograd.gradcheck(lambda x, k=classes: lovasz_softmax(x, labels, classes=k), (logits,))


@pytest.mark.parametrize("loss", [multi_class_focal, lovasz_softmax])
def test_what_is_ignored_has_no_part(loss) -> None:
    logits, labels = _batch(5)
    known = labels != -1
    assert 0 < known.sum() < len(known)
    expected = loss(logits[known], labels[known])
    logits[~known] = torch.nan
    logits.requires_grad_()
    found = loss(logits, labels)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert logits.grad[known].isfinite().all()
    assert not logits.grad[~known].any()


@pytest.mark.parametrize("options", [{}, {"classes": "all"}])
def test_all_ignored_or_nothing_is_0(options: dict[str, str]) -> None:
    losses = [lovasz_softmax] if options else [lovasz_softmax, multi_class_focal]
    for loss in losses:
        for count in (0, 3):
            logits = torch.randn(count, 4).requires_grad_()
            value = loss(logits, torch.full((count,), -1), **options)
            assert value.item() == 0
            value.backward()
            assert not logits.grad.any()


def test_what_does_not_fit_is_refused() -> None:
    logits, labels = _batch(6)
    for loss in (multi_class_focal, lovasz_softmax):
        with pytest.raises(ValueError, match=r"labels of shape \(39,\) do not fit logits of shape \(40, 6\)"):
            loss(logits, labels[:-1])
        for wrong in (6, -2, 255):  # never taken for another class
            with pytest.raises((RuntimeError, IndexError), match="out of bounds"):
                loss(logits, torch.full_like(labels, wrong))
    with pytest.raises(ValueError, match="at least 2 classes"):
        multi_class_focal(logits[:, :1], labels)
    with pytest.raises(ValueError, match="gamma must not be negative"):
        multi_class_focal(logits, labels, gamma=-1)
    with pytest.raises(ValueError, match=r"alpha must be \(6 classes,\)"):
        multi_class_focal(logits, labels, alpha=torch.ones(5))
    with pytest.raises(ValueError, match="classes must be 'present' or 'all', not 'some'"):
        lovasz_softmax(logits, labels, classes="some")
    with pytest.raises(ValueError, match=r"logits must be \(points, classes\)"):
        lovasz_softmax(logits[None], labels[None])
