"""Label-smoothed cross-entropy against torch's and against its definition."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.objectives import cross_entropy


def _batch(seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    """Logits of that shape, and labels for them."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(*shape, generator=generator, dtype=torch.float64)
    return logits, torch.randint(shape[-1], shape[:-1], generator=generator)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_equals_torch(smoothing: float, reduction: str) -> None:
    logits, labels = _batch(0, 50, 7)
    torch.testing.assert_close(
        cross_entropy(logits, labels, label_smoothing=smoothing, reduction=reduction),
        F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction=reduction),
    )


def test_smoothing_is_spread_over_all_classes() -> None:
    """Target 1 - ε + ε/C at the true class and ε/C elsewhere; for P = (1/2, 1/4, 1/4), y = 0, ε = 0.3, C = 3.

    -(0.8 log 1/2 + 0.1 log 1/4 + 0.1 log 1/4) = (0.8 + 0.2 + 0.2) log 2 = 1.2 log 2.
    """
    logits = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64).log()
    loss = cross_entropy(logits, torch.tensor([0]), label_smoothing=0.3)
    assert loss.item() == pytest.approx(1.2 * math.log(2), rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_labels_broadcast_over_views(smoothing: float) -> None:
    logits, _ = _batch(1, 2, 3, 6, 5)
    _, labels = _batch(2, 2, 1, 6, 5)
    values = cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
    assert values.shape == (2, 3, 6)
    for model in range(2):
        for view in range(3):
            expected = F.cross_entropy(
                logits[model, view], labels[model, 0], label_smoothing=smoothing, reduction="none"
            )
            torch.testing.assert_close(values[model, view], expected)
    torch.testing.assert_close(cross_entropy(logits, labels, label_smoothing=smoothing), values.mean())
    one = cross_entropy(logits, labels[0, 0], reduction="none")
    torch.testing.assert_close(one[1, 2], F.cross_entropy(logits[1, 2], labels[0, 0], reduction="none"))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_finite_at_huge_float32_logits(smoothing: float) -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]] * 3).requires_grad_()
    values = cross_entropy(logits, torch.tensor([0, 1, 2]), label_smoothing=smoothing, reduction="none")
    values.sum().backward()
    assert torch.isfinite(logits.grad).all()
    # -log P = (0, 2e4, 1e4) and its mean over the classes is 1e4.
    expected = [(1 - smoothing) * loss + smoothing * 1e4 for loss in (0.0, 2e4, 1e4)]
    assert values.tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradients_are_those_of_finite_differences(smoothing: float) -> None:
    logits, labels = _batch(3, 2, 4, 5)
    assert torch.autograd.gradcheck(
        lambda x: cross_entropy(x, labels, label_smoothing=smoothing, reduction="none"), (logits.requires_grad_(),)
    )


def test_what_does_not_fit_is_refused_by_name() -> None:
    logits, labels = _batch(4, 6, 5)
    with pytest.raises(ValueError, match=r"labels of shape \(5,\) do not fit logits of shape \(6, 5\)"):
        cross_entropy(logits, labels[:5])
    with pytest.raises(ValueError, match=r"labels of shape \(2, 6\)"):
        cross_entropy(logits, labels.expand(2, 6))
    for empty in (logits[:0], logits[:, :0]):
        with pytest.raises(ValueError, match="logits is empty"):
            cross_entropy(empty, labels[: len(empty)])
    for smoothing in (-0.1, 1.0, math.nan):
        with pytest.raises(ValueError, match="label_smoothing must be in"):
            cross_entropy(logits, labels, label_smoothing=smoothing)
    with pytest.raises(ValueError, match=r"reduction must be .*not 'average'"):
        cross_entropy(logits, labels, reduction="average")
