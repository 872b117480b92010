"""The conventional bottleneck: the Gaussian bound against torch.distributions, I_JS on distributions known exactly."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from limbeck.objectives import gaussian_kl_to_prior, jensen_shannon_information


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- the bound on I(v; z) ----------------------------------------------------------------------------------------


def test_gaussian_kl_equals_that_of_torch_distributions() -> None:
    mean, log_variance = 2 * _normal(0, 3, 20, 6), 2 * _normal(1, 3, 20, 6)
    prior = Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), prior).sum(dim=-1)
    values = gaussian_kl_to_prior(mean, log_variance, reduction="none")
    assert values.shape == (3, 20)
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close(gaussian_kl_to_prior(mean, log_variance), expected.mean())
    torch.testing.assert_close(gaussian_kl_to_prior(mean, log_variance, reduction="sum"), expected.sum())


def test_gaussian_kl_is_zero_at_the_prior_and_positive_elsewhere() -> None:
    zeros = torch.zeros(4, 3)
    assert gaussian_kl_to_prior(zeros, zeros).item() == 0
    for step in (-1e-3, 1e-3):
        assert gaussian_kl_to_prior(zeros + step, zeros).item() > 0
        assert gaussian_kl_to_prior(zeros, zeros + step).item() > 0


def test_gaussian_kl_is_exact_near_the_prior_in_float32() -> None:
    """At s = 1e-3, (exp(s) - 1 - s) / 2 = s^2 / 4 + O(s^3) = 2.5e-7, about the spacing of float32 numbers around 1."""
    value = gaussian_kl_to_prior(torch.zeros(1, 1), torch.full((1, 1), 1e-3)).item()
    assert value == pytest.approx((math.expm1(1e-3) - 1e-3) / 2, rel=1e-3)


def test_gaussian_kl_gradients_are_those_of_finite_differences() -> None:
    pair = _normal(2, 4, 3).requires_grad_(), _normal(3, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda m, s: gaussian_kl_to_prior(m, s, reduction="none"), pair)


def test_gaussian_kl_refuses_what_does_not_fit() -> None:
    zeros = torch.zeros(4, 3)
    with pytest.raises(ValueError, match=r"log_variance has shape \(4, 2\), but mean has \(4, 3\)"):
        gaussian_kl_to_prior(zeros, zeros[:, :2])
    with pytest.raises(ValueError, match="not empty"):
        gaussian_kl_to_prior(zeros[:0], zeros[:0])
    with pytest.raises(ValueError, match=r"reduction must be .*not 'all'"):
        gaussian_kl_to_prior(zeros, zeros, reduction="all")


# --- I_JS --------------------------------------------------------------------------------------------------------


def _counts(seed: int, rows: int = 4, columns: int = 5) -> Tensor:
    """A joint distribution of v and z as whole numbers of equally likely pairs."""
    return torch.randint(1, 6, (rows, columns), generator=torch.Generator().manual_seed(seed))


def _information(scores: Tensor, counts: Tensor) -> Tensor:
    """I_JS of a critic given as a table T(v, z), with each pair listed as often as it is likely.

    p(v, z) = n_vz / N and p(v) p(z) = n_v n_z / N^2, so that listing pairs n_vz and n_v n_z times makes both averages
    exact expectations.
    """
    products = counts.sum(1, keepdim=True) * counts.sum(0)
    joint = scores.flatten().repeat_interleave(counts.flatten())
    product = scores.flatten().repeat_interleave(products.flatten())
    return jensen_shannon_information(joint, product)


def _tables(counts: Tensor) -> tuple[Tensor, Tensor]:
    joint = counts.double() / counts.sum()
    return joint, joint.sum(1, keepdim=True) * joint.sum(0)


@pytest.mark.parametrize("seed", range(4))
def test_the_best_critic_attains_twice_the_js_divergence_less_two_log_two(seed: int) -> None:
    counts = _counts(seed)
    p, q = _tables(counts)
    middle = (p + q) / 2
    js = ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum()) / 2
    torch.testing.assert_close(_information((p / q).log(), counts), 2 * js - 2 * math.log(2))


@pytest.mark.parametrize("seed", range(4))
def test_any_other_critic_is_lower(seed: int) -> None:
    counts = _counts(seed)
    p, q = _tables(counts)
    best = (p / q).log()
    for size in (1e-2, 0.3, 3.0):
        assert _information(best + size * _normal(seed, *best.shape), counts) < _information(best, counts)
    for other in (torch.zeros_like(best), -best, 2 * best):
        assert _information(other, counts) < _information(best, counts)


def test_the_bound_lies_between_minus_two_log_two_and_zero() -> None:
    independent = torch.tensor([[2, 4], [3, 6]])
    silent = _information(torch.zeros(2, 2, dtype=torch.float64), independent)
    assert silent.item() == pytest.approx(-2 * math.log(2))
    sure = torch.full((5,), 1e4)
    assert jensen_shannon_information(sure, -sure).item() == 0
    assert math.isfinite(jensen_shannon_information(-sure, sure).item())


def test_jensen_shannon_gradients_are_those_of_finite_differences() -> None:
    scores = _normal(4, 5).requires_grad_(), _normal(5, 7).requires_grad_()
    assert torch.autograd.gradcheck(jensen_shannon_information, scores)


def test_empty_scores_are_refused() -> None:
    for pair in ((torch.zeros(0), torch.zeros(3)), (torch.zeros(3), torch.zeros(0))):
        with pytest.raises(ValueError, match="must not be empty"):
            jensen_shannon_information(*pair)
