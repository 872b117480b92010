"""Gradient reversal: the identity forward, and minus the numerical gradient backward."""

import pytest
import torch
from torch import Tensor

from limbeck.nn import reverse_gradient


def _function(x: Tensor) -> Tensor:
    return (x.sin() * x.square()).sum()


@pytest.mark.parametrize("scale", [1.0, 0.25, 0.0, 3.0])
def test_gradient_is_minus_scale_times_the_numerical_one(scale: float) -> None:
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    numerical = torch.empty_like(x)
    for index in range(x.numel()):
        step = torch.zeros(x.numel(), dtype=torch.float64)
        step[index] = 1e-6
        step = step.view_as(x)
        numerical.view(-1)[index] = (_function(x + step) - _function(x - step)) / 2e-6
    leaf = x.clone().requires_grad_()
    _function(reverse_gradient(leaf, scale)).backward()
    torch.testing.assert_close(leaf.grad, -scale * numerical, rtol=1e-6, atol=1e-8)


def test_values_are_untouched_and_the_input_too() -> None:
    x = torch.randn(5, generator=torch.Generator().manual_seed(1)).requires_grad_()
    y = reverse_gradient(x)
    assert torch.equal(x, y)
    assert y is not x
    assert not reverse_gradient(x.detach()).requires_grad


def test_twice_is_the_identity_and_the_head_behind_learns_as_usual() -> None:
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: reverse_gradient(reverse_gradient(t, 2.0), 0.5) ** 3, x)
    head = torch.ones(3, dtype=torch.float64, requires_grad=True)
    (reverse_gradient(x) @ head).sum().backward()
    torch.testing.assert_close(head.grad, x.detach().sum(0))
    torch.testing.assert_close(x.grad, -torch.ones_like(x))
