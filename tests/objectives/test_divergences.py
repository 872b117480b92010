"""The divergences against their definitions, written as float64 loops, and against scipy."""

import math
from collections.abc import Callable

import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from torch import Tensor

from limbeck.objectives import js_divergence, kl_divergence, symmetric_kl

ALL = (kl_divergence, symmetric_kl, js_divergence)


def _logits(seed: int, *shape: int, scale: float = 3.0, dtype: torch.dtype = torch.float64) -> Tensor:
    return (scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(dtype)


def _softmax(row: list[float], temperature: float = 1.0) -> list[float]:
    powers = [math.exp(value / temperature) for value in row]
    return [power / math.fsum(powers) for power in powers]


def _kl(p: list[float], q: list[float]) -> float:
    return math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def _symmetric(p: list[float], q: list[float]) -> float:
    return _kl(p, q) + _kl(q, p)


def _js(p: list[float], q: list[float]) -> float:
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (_kl(p, middle) + _kl(q, middle)) / 2


DEFINITIONS = pytest.mark.parametrize(
    ("function", "definition"), [(kl_divergence, _kl), (symmetric_kl, _symmetric), (js_divergence, _js)]
)
EVERY = pytest.mark.parametrize("function", ALL)


@DEFINITIONS
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_values_equal_the_definition(function: Callable, definition: Callable, temperature: float) -> None:
    first, second = _logits(0, 40, 7), _logits(1, 40, 7)
    expected = [
        definition(_softmax(p, temperature), _softmax(q, temperature))
        for p, q in zip(first.tolist(), second.tolist(), strict=True)
    ]
    values = function(first, second, temperature=temperature, reduction="none")
    torch.testing.assert_close(values, torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-12)


def test_values_equal_scipy() -> None:
    first, second = _logits(2, 30, 5), _logits(3, 30, 5)
    p, q = first.softmax(-1).numpy(), second.softmax(-1).numpy()
    forward, backward = (torch.from_numpy(rel_entr(*pair).sum(-1)) for pair in ((p, q), (q, p)))
    torch.testing.assert_close(kl_divergence(first, second, reduction="none"), forward)
    torch.testing.assert_close(symmetric_kl(first, second, reduction="none"), forward + backward)
    # scipy gives the distance, the square root of the divergence.
    distance = torch.from_numpy(jensenshannon(p, q, axis=-1))
    torch.testing.assert_close(js_divergence(first, second, reduction="none"), distance.square())


@EVERY
def test_never_negative_and_zero_only_at_equality(function: Callable) -> None:
    first, second = _logits(4, 500, 6), _logits(5, 500, 6)
    assert function(first, second, reduction="none").min() > 1e-4
    nearby = function(first, first + 1e-3 * second, reduction="none")
    assert nearby.min() > 0
    assert nearby.max() < 1e-4
    assert function(first, first).abs() < 1e-15
    # A softmax does not see a constant, so neither may the divergence.
    assert function(first, first + 5.0).abs() < 1e-14


@EVERY
def test_gradient_vanishes_at_equality(function: Callable) -> None:
    first, second = (_logits(6, 20, 6).requires_grad_() for _ in range(2))
    function(first, second, reduction="sum").backward()
    assert max(first.grad.abs().max(), second.grad.abs().max()) < 1e-14


def test_js_is_symmetric_and_at_most_log_two() -> None:
    first, second = _logits(7, 500, 4, scale=30.0), _logits(8, 500, 4, scale=30.0)
    values = js_divergence(first, second, reduction="none")
    torch.testing.assert_close(values, js_divergence(second, first, reduction="none"), rtol=1e-14, atol=1e-15)
    assert math.log(2) - 1e-3 < values.max() <= math.log(2) + 1e-12


def test_kl_is_not_symmetric_and_symmetric_kl_is_the_sum() -> None:
    first, second = _logits(9, 50, 4), _logits(10, 50, 4)
    forward, backward = kl_divergence(first, second, reduction="none"), kl_divergence(second, first, reduction="none")
    assert (forward - backward).abs().max() > 0.1
    torch.testing.assert_close(symmetric_kl(first, second, reduction="none"), forward + backward)


@EVERY
def test_finite_with_finite_gradients_at_huge_float32_logits(function: Callable) -> None:
    corners = torch.cartesian_prod(*[torch.tensor([-1e4, 0.0, 1e4])] * 3)
    first = corners.repeat_interleave(27, dim=0).requires_grad_()
    second = corners.repeat(27, 1).requires_grad_()
    values = function(first, second, reduction="none")
    values.sum().backward()
    for tensor in (values, first.grad, second.grad):
        assert torch.isfinite(tensor).all()
    assert values.min() > -1e-6
    assert values[first.eq(second).all(dim=-1)].abs().max() < 1e-6


def test_huge_float32_logits_give_the_closed_forms() -> None:
    """Certain of class 0 against certain of class 1.

    log P = (0, -2e4) and log Q = (-2e4, 0) to all digits, so KL = 1 * (0 + 2e4) + 0 and JS = log 2.
    """
    certain = torch.tensor([[1e4, -1e4]])
    assert kl_divergence(certain, -certain).item() == 2e4
    assert symmetric_kl(certain, -certain).item() == 4e4
    assert js_divergence(certain, -certain).item() == pytest.approx(math.log(2), rel=1e-6)


@EVERY
def test_float32_follows_float64(function: Callable) -> None:
    first, second = _logits(11, 100, 10), _logits(12, 100, 10)
    exact = function(first, second, reduction="none")
    torch.testing.assert_close(
        function(first.float(), second.float(), reduction="none").double(), exact, rtol=1e-5, atol=1e-6
    )


@EVERY
def test_temperature_divides_both_logits(function: Callable) -> None:
    first, second = _logits(13, 20, 5), _logits(14, 20, 5)
    cold = function(first, second, temperature=0.5)
    torch.testing.assert_close(cold, function(2 * first, 2 * second))
    assert cold > function(first, second) > function(first, second, temperature=3.0)


@EVERY
def test_reductions_cover_all_leading_dimensions(function: Callable) -> None:
    first, second = _logits(15, 2, 3, 4, 5), _logits(16, 2, 3, 4, 5)
    values = function(first, second, reduction="none")
    assert values.shape == (2, 3, 4)
    flat = function(first.reshape(24, 5), second.reshape(24, 5), reduction="none")
    torch.testing.assert_close(values.flatten(), flat)
    torch.testing.assert_close(function(first, second), values.sum() / 24)
    torch.testing.assert_close(function(first, second, reduction="sum"), values.sum())


@EVERY
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_gradients_are_those_of_finite_differences(function: Callable, temperature: float) -> None:
    pair = _logits(17, 4, 5).requires_grad_(), _logits(18, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda p, q: function(p, q, temperature=temperature, reduction="none"), pair)


def test_student_gradient_is_the_difference_of_the_predictions() -> None:
    """d/ds_k sum_c P_c (log P_c - log Q_c) = -P_k + Q_k sum_c P_c = Q_k - P_k."""
    teacher, student = _logits(19, 8, 5), _logits(20, 8, 5).requires_grad_()
    kl_divergence(teacher, student, reduction="sum").backward()
    torch.testing.assert_close(student.grad, student.detach().softmax(-1) - teacher.softmax(-1))


@EVERY
def test_shapes_that_differ_are_refused_by_name(function: Callable) -> None:
    name = "student_logits" if function is kl_divergence else "second_logits"
    for other in (torch.zeros(4, 3), torch.zeros(1, 5), torch.zeros(5)):
        with pytest.raises(ValueError, match=rf"{name} has shape .*\(4, 5\).*equal"):
            function(torch.zeros(4, 5), other)


@EVERY
@pytest.mark.parametrize("shape", [(0, 5), (4, 0), (2, 0, 5), ()])
def test_empty_logits_are_refused(function: Callable, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="is empty"):
        function(torch.zeros(shape), torch.zeros(shape))


@EVERY
def test_unknown_reductions_and_temperatures_are_refused_by_name(function: Callable) -> None:
    logits = torch.zeros(4, 5)
    with pytest.raises(ValueError, match=r"reduction must be .*'batchmean'"):
        function(logits, logits, reduction="batchmean")
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="temperature must be positive"):
            function(logits, logits, temperature=temperature)
