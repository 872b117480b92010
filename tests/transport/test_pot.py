"""The same plans as POT's solvers in the log domain, where these converge."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.transport.problems import clustered_cost, positive_prior, random_cost
from torch import Tensor

from limbeck.transport import partial_sinkhorn, sinkhorn, unbalanced_sinkhorn

ot = pytest.importorskip("ot")

each_cost = pytest.mark.parametrize("kind", [random_cost, clustered_cost])


def _pot(function: Callable[..., np.ndarray], *arguments: object, **options: object) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # POT only warns where it does not converge
        return torch.from_numpy(function(*arguments, **options))


@each_cost
@pytest.mark.parametrize("size", [(30, 30), (60, 35), (20, 33)])
@pytest.mark.parametrize("epsilon", [0.5, 0.1, 0.05])
@pytest.mark.parametrize("uniform", [True, False])
def test_balanced_plans(kind: Callable[..., Tensor], size: tuple[int, int], epsilon: float, uniform: bool) -> None:
    cost = kind(*size)
    priors = () if uniform else (positive_prior(size[0], seed=1), positive_prior(size[1], seed=2))
    result = sinkhorn(cost, *priors, epsilon=epsilon, tolerance=1e-12)
    a, b = result.row_prior.numpy(), result.column_prior.numpy()
    expected = _pot(
        ot.bregman.sinkhorn_log, a, b, cost.numpy(), result.epsilon.item(), numItermax=20_000, stopThr=1e-13
    )
    torch.testing.assert_close(result.plan, expected, rtol=0, atol=1e-10)


@pytest.mark.slow
@each_cost
@pytest.mark.parametrize("size", [(400, 400), (740, 425)])
def test_balanced_plans_at_the_sizes_of_the_published_logs(kind: Callable[..., Tensor], size: tuple[int, int]) -> None:
    cost = kind(*size)
    result = sinkhorn(cost, epsilon=0.05, tolerance=1e-10)
    a, b = result.row_prior.numpy(), result.column_prior.numpy()
    expected = _pot(ot.bregman.sinkhorn_log, a, b, cost.numpy(), result.epsilon.item(), numItermax=2_000, stopThr=1e-12)
    torch.testing.assert_close(result.plan, expected, rtol=0, atol=1e-10)


@each_cost
@pytest.mark.parametrize("epsilon", [0.5, 0.1])
@pytest.mark.parametrize("mass", [0.2, 0.7, 0.95])
@pytest.mark.parametrize("uniform", [True, False])
def test_partial_plans(kind: Callable[..., Tensor], epsilon: float, mass: float, uniform: bool) -> None:
    cost = kind(12, 9)
    priors = () if uniform else (positive_prior(12, seed=1), positive_prior(9, seed=2))
    result = partial_sinkhorn(cost, *priors, mass=mass, epsilon=epsilon, tolerance=1e-12)
    # POT's entropy is the divergence to a b' once -ε log (a b') is added to the cost.
    product = result.row_prior[:, None] * result.column_prior
    expected = _pot(
        ot.partial.entropic_partial_wasserstein_logscale,
        result.row_prior.numpy(),
        result.column_prior.numpy(),
        (cost - result.epsilon * product.log()).numpy(),
        result.epsilon.item(),
        m=mass,
        numItermax=20_000,
        stopThr=1e-12,
    )
    torch.testing.assert_close(result.plan, expected, rtol=0, atol=1e-9)


@each_cost
@pytest.mark.parametrize("epsilon", [0.5, 0.05])
@pytest.mark.parametrize("strength", [0.1, 1.0, 4.0])
def test_unbalanced_plans(kind: Callable[..., Tensor], epsilon: float, strength: float) -> None:
    cost, a, b = kind(30, 21), positive_prior(30, seed=1), positive_prior(21, seed=2)
    options = {"strength": strength, "epsilon": epsilon, "relative": False}
    result = unbalanced_sinkhorn(cost, a, b, tolerance=1e-12, **options)
    expected = _pot(
        ot.unbalanced.sinkhorn_unbalanced,
        a.numpy(),
        b.numpy(),
        cost.numpy(),
        epsilon,
        strength,
        method="sinkhorn_stabilized",
        reg_type="kl",
        numItermax=50_000,
        stopThr=1e-13,
    )
    torch.testing.assert_close(result.plan, expected, rtol=0, atol=1e-9)
