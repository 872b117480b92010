"""Entropic transport against closed forms, identities, optimality conditions and refusals."""

import math
from collections.abc import Callable

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from tests.transport.problems import clustered_cost, positive_prior, random_cost
from torch import Tensor
from torch.nn import functional as F

from limbeck.transport import (
    ConvergenceError,
    TransportPlan,
    partial_sinkhorn,
    sinkhorn,
    unbalanced_sinkhorn,
)

Transport = Callable[..., TransportPlan]
WITH_OPTIONS: list[tuple[Transport, dict[str, float]]] = [
    (sinkhorn, {}),
    (partial_sinkhorn, {"mass": 0.7}),
    (unbalanced_sinkhorn, {"strength": 0.3}),
]
each_transport = pytest.mark.parametrize(
    ("transport", "options"), WITH_OPTIONS, ids=[function.__name__ for function, _ in WITH_OPTIONS]
)


def _marginal_error(result: TransportPlan) -> float:
    rows = (result.plan.sum(dim=-1) - result.row_prior).abs().sum(dim=-1)
    columns = (result.plan.sum(dim=-2) - result.column_prior).abs().sum(dim=-1)
    return float((rows + columns).max())


def _from_potentials(result: TransportPlan, cost: Tensor) -> Tensor:
    """The plan by the formula of `TransportPlan`."""
    total = (result.row_prior.sum(dim=-1) * result.column_prior.sum(dim=-1)).sqrt()[..., None, None]
    exponent = result.row_potential.unsqueeze(-1) + result.column_potential.unsqueeze(-2) - cost.double()
    weights = result.row_prior.unsqueeze(-1) * result.column_prior.unsqueeze(-2) / total
    return weights * (exponent / result.epsilon[..., None, None]).exp()


# Closed forms


@pytest.mark.parametrize("epsilon", [3.0, 0.3, 0.05])
def test_two_by_two_in_closed_form(epsilon: float) -> None:
    # Q = ((q, 1/2 - q), (1/2 - q, q)) with q² / (1/2 - q)² = exp(2 (1 - 0) / ε).
    result = sinkhorn(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), epsilon=epsilon, tolerance=1e-12)
    q = 0.5 / (1 + math.exp(-1 / epsilon))
    torch.testing.assert_close(
        result.plan, torch.tensor([[q, 0.5 - q], [0.5 - q, q]], dtype=torch.float64), rtol=0, atol=1e-8
    )
    assert result.cost.item() == pytest.approx(1 - 2 * q, abs=1e-8)
    entropy = -2 * sum(p * math.log(p) for p in (q, 0.5 - q))
    assert result.entropy.item() == pytest.approx(entropy, abs=1e-7)


@pytest.mark.parametrize("epsilon", [1.0, 1e-3])
def test_a_separable_cost_has_the_product_of_the_priors(epsilon: float) -> None:
    a, b = positive_prior(30, seed=1), positive_prior(20, seed=2)
    cost = torch.randn(30, 1, generator=torch.Generator().manual_seed(0)).double() + torch.linspace(0, 1, 20).double()
    result = sinkhorn(cost, a, b, epsilon=epsilon)
    torch.testing.assert_close(result.plan, a[:, None] * b, rtol=1e-7, atol=1e-10)


def test_a_large_epsilon_gives_the_product_of_the_priors() -> None:
    a, b = positive_prior(30, seed=1), positive_prior(20, seed=2)
    result = sinkhorn(random_cost(30, 20), a, b, epsilon=1e9)
    torch.testing.assert_close(result.plan, a[:, None] * b, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("kind", [random_cost, clustered_cost])
def test_a_small_epsilon_gives_the_assignment(kind: Callable[..., Tensor]) -> None:
    cost = kind(40, 40, seed=3)
    rows, columns = linear_sum_assignment(cost.numpy())
    result = sinkhorn(cost, epsilon=1e-4)
    assert result.plan.argmax(dim=-1).tolist() == columns.tolist()
    # The plan is at most ε log n above the least cost, and nothing is below.
    least = cost[rows, columns].mean().item()
    assert least - 1e-7 <= result.cost.item() <= least + result.epsilon.item() * 2 * math.log(40)


@pytest.mark.parametrize("size", [(1, 7), (7, 1), (1, 1)])
def test_one_row_or_one_column_takes_the_other_prior(size: tuple[int, int]) -> None:
    a, b = positive_prior(size[0], seed=1), positive_prior(size[1], seed=2)
    result = sinkhorn(random_cost(*size), a, b, epsilon=1e-3)
    torch.testing.assert_close(result.plan, a[:, None] * b, rtol=0, atol=1e-8)


@pytest.mark.parametrize("value", [0.0, 7.0, -1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_constant_cost_has_the_product_of_the_priors(value: float, dtype: torch.dtype) -> None:
    cost = torch.full((5, 3), value, dtype=dtype)
    cost[0, 0] += abs(value) * torch.finfo(dtype).eps  # rounding is no preference
    result = sinkhorn(cost, epsilon=1e-3)
    torch.testing.assert_close(result.plan, torch.full((5, 3), 1 / 15, dtype=torch.float64), rtol=0, atol=1e-9)
    assert result.epsilon.item() == 1e-3  # of a range that counts as 1


def test_partial_transport_in_closed_form() -> None:
    # One row, two columns: bounded by neither prior, mass s splits as the softmax of -C / ε.
    cost = torch.tensor([[0.0, 1.0]])
    result = partial_sinkhorn(cost, mass=0.4, epsilon=1.0)
    torch.testing.assert_close(result.plan, 0.4 * F.softmax(-cost.double(), dim=-1), rtol=1e-7, atol=0)
    # At 0.9 the first column is full.
    result = partial_sinkhorn(cost, mass=0.9, epsilon=1.0)
    torch.testing.assert_close(result.plan, torch.tensor([[0.5, 0.4]]).double(), rtol=1e-7, atol=0)


@pytest.mark.parametrize("cost", [0.0, 0.5, 40.0, -1.0])
def test_unbalanced_transport_of_one_pair_in_closed_form(cost: float) -> None:
    # C + ε log q + 2 ρ log q = 0 for a = b = 1.
    epsilon, strength = 0.3, 0.8
    result = unbalanced_sinkhorn(
        torch.tensor([[cost]]), strength=strength, epsilon=epsilon, relative=False, tolerance=1e-14
    )
    assert result.plan.item() == pytest.approx(math.exp(-cost / (epsilon + 2 * strength)), rel=1e-6)


# Marginals and optimality


@pytest.mark.parametrize("kind", [random_cost, clustered_cost])
@pytest.mark.parametrize("size", [(30, 30), (60, 35), (35, 60), (100, 3)])
@pytest.mark.parametrize("epsilon", [0.5, 0.05, 0.01, 1e-3, 1e-4])
@pytest.mark.parametrize("uniform", [True, False])
def test_marginals_and_form_of_the_plan(
    kind: Callable[..., Tensor], size: tuple[int, int], epsilon: float, uniform: bool
) -> None:
    cost = kind(*size, seed=5)
    priors = () if uniform else (positive_prior(size[0], seed=1), positive_prior(size[1], seed=2))
    result = sinkhorn(cost, *priors, epsilon=epsilon)
    assert _marginal_error(result) <= 1e-8
    assert result.marginal_error.item() == pytest.approx(_marginal_error(result), abs=1e-14)
    assert (result.plan >= 0).all()
    assert result.epsilon.item() == pytest.approx(epsilon * (cost.max() - cost.min()).item(), rel=1e-12)
    # A plan with the right marginals that has this form is the optimum: the problem is strictly convex.
    torch.testing.assert_close(_from_potentials(result, cost), result.plan, rtol=1e-8, atol=1e-14)
    assert abs((result.column_prior * result.column_potential).sum().item()) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("kind", [random_cost, clustered_cost])
@pytest.mark.parametrize("size", [(400, 400), (740, 425)])
@pytest.mark.parametrize("epsilon", [0.05, 0.01, 0.005, 1e-3])
def test_marginals_at_the_sizes_of_the_published_logs(
    kind: Callable[..., Tensor], size: tuple[int, int], epsilon: float
) -> None:
    cost = kind(*size, seed=0)
    result = sinkhorn(cost, epsilon=epsilon)
    assert _marginal_error(result) <= 1e-8
    torch.testing.assert_close(_from_potentials(result, cost), result.plan, rtol=1e-8, atol=1e-14)


def test_tied_costs() -> None:
    cost = (random_cost(40, 25) * 3).round()
    cost = torch.cat([cost, cost[:10]])  # copies of rows
    result = sinkhorn(cost, epsilon=1e-3)
    assert _marginal_error(result) <= 1e-8
    torch.testing.assert_close(result.plan[:10], result.plan[40:], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("kind", [random_cost, clustered_cost])
@pytest.mark.parametrize("size", [(60, 35), (30, 30), (35, 60)])
@pytest.mark.parametrize("epsilon", [0.5, 0.02, 1e-3])
@pytest.mark.parametrize("mass", [0.1, 0.9, 1 - 1e-5])
def test_partial_transport_meets_the_optimality_conditions(
    kind: Callable[..., Tensor], size: tuple[int, int], epsilon: float, mass: float
) -> None:
    cost = kind(*size, seed=6)
    a, b = positive_prior(size[0], seed=1), 2 * positive_prior(size[1], seed=2)
    result = partial_sinkhorn(cost, a, b, mass=mass, epsilon=epsilon)
    torch.testing.assert_close(_from_potentials(result, cost), result.plan, rtol=1e-8, atol=1e-14)
    assert result.plan.sum().item() == pytest.approx(mass, abs=2e-8)
    for sums, prior, potential in (
        (result.plan.sum(dim=-1), a, result.row_potential),
        (result.plan.sum(dim=-2), b, result.column_potential),
    ):
        below = prior - sums
        assert (below >= -3e-8).all()
        # Mass may be left only where the potential is at its bound.
        bound = potential.max()
        assert (below[potential < bound - 1e-9 * result.epsilon] <= 3e-8).all()
        assert below.sum().item() == pytest.approx(prior.sum().item() - mass, abs=3e-8)


@pytest.mark.parametrize("epsilon", [0.05, 0.01, 1e-3])
@pytest.mark.parametrize("pairs", range(1, 7))
def test_a_mass_that_some_pairs_hold_to_the_last_bit(pairs: int, epsilon: float) -> None:
    """Where the price of mass has a whole range of values, rounding must not make it miss all of them."""
    cost = torch.full((12, 6), 1.0, dtype=torch.float64)
    cost[torch.arange(6), torch.arange(6)] = 0.01 * torch.arange(6, dtype=torch.float64)
    found = partial_sinkhorn(cost, mass=pairs / 12, epsilon=epsilon)
    assert found.plan.sum().item() == pytest.approx(pairs / 12, rel=1e-9)
    assert (found.plan.sum(1) <= 1 / 12 + 1e-9).all()
    assert (found.plan.sum(0) <= 1 / 6 + 1e-9).all()


def test_partial_transport_of_everything_is_balanced() -> None:
    cost = clustered_cost(30, 20)
    torch.testing.assert_close(partial_sinkhorn(cost, mass=1.0).plan, sinkhorn(cost).plan, rtol=0, atol=1e-12)
    # With unequal sums everything of the smaller side moves.
    result = partial_sinkhorn(cost, torch.full((30,), 1 / 30), torch.full((20,), 0.1), mass=1.0)
    torch.testing.assert_close(result.plan.sum(dim=-1), result.row_prior, rtol=0, atol=1e-7)
    assert (result.plan.sum(dim=-2) <= 0.1 + 1e-7).all()


@pytest.mark.parametrize("kind", [random_cost, clustered_cost])
@pytest.mark.parametrize("size", [(60, 35), (35, 60)])
@pytest.mark.parametrize("epsilon", [0.5, 0.05, 1e-3])
@pytest.mark.parametrize("strength", [0.02, 0.3, 5.0, 1e3])
def test_unbalanced_transport_meets_the_optimality_conditions(
    kind: Callable[..., Tensor], size: tuple[int, int], epsilon: float, strength: float
) -> None:
    cost = kind(*size, seed=7)
    a, b = positive_prior(size[0], seed=1), 2 * positive_prior(size[1], seed=2)
    result = unbalanced_sinkhorn(cost, a, b, strength=strength, epsilon=epsilon)
    rho = strength * (cost.max() - cost.min())
    torch.testing.assert_close(_from_potentials(result, cost), result.plan, rtol=1e-8, atol=1e-14)
    rows, columns = a * (-result.row_potential / rho).exp(), b * (-result.column_potential / rho).exp()
    assert (result.plan.sum(dim=-1) - rows).abs().sum() <= 3e-8
    assert (result.plan.sum(dim=-2) - columns).abs().sum() <= 3e-8


def test_a_strong_unbalanced_problem_is_balanced() -> None:
    cost = clustered_cost(30, 20)
    strong = unbalanced_sinkhorn(cost, strength=1e7)
    torch.testing.assert_close(strong.plan, sinkhorn(cost).plan, rtol=0, atol=1e-7)


def test_what_has_no_counterpart_keeps_its_mass() -> None:
    cost = torch.full((6, 5), 1.0).double()
    cost[:5].fill_diagonal_(0.0)  # the last row is far from everything
    partial = partial_sinkhorn(cost, torch.ones(6), torch.ones(5), mass=5.0, epsilon=0.02)
    unbalanced = unbalanced_sinkhorn(cost, torch.ones(6), torch.ones(5), strength=0.1, epsilon=0.02)
    for result in (partial, unbalanced):
        assert (result.plan[:5].diagonal() > 0.8).all()
        assert result.plan[5].sum() < 0.1


# Identities


@each_transport
def test_permuting_rows_and_columns_permutes_the_plan(transport: Transport, options: dict[str, float]) -> None:
    cost = clustered_cost(30, 20)
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.randperm(30, generator=generator), torch.randperm(20, generator=generator)
    plan = transport(cost, epsilon=0.01, tolerance=1e-11, **options).plan
    permuted = transport(cost[rows][:, columns], epsilon=0.01, tolerance=1e-11, **options).plan
    torch.testing.assert_close(permuted, plan[rows][:, columns], rtol=0, atol=1e-10)


@each_transport
def test_transposing_the_cost_transposes_the_plan(transport: Transport, options: dict[str, float]) -> None:
    cost = clustered_cost(30, 20)
    plan = transport(cost, epsilon=0.01, tolerance=1e-11, **options).plan
    transposed = transport(cost.mT, epsilon=0.01, tolerance=1e-11, **options)
    torch.testing.assert_close(transposed.plan, plan.mT, rtol=0, atol=1e-10)
    torch.testing.assert_close(_from_potentials(transposed, cost.mT), transposed.plan, rtol=1e-8, atol=1e-14)


def test_constants_of_rows_and_columns_change_nothing() -> None:
    cost = clustered_cost(30, 20)
    shifted = cost + 3 * random_cost(30, 1) - 5 * random_cost(1, 20)
    plans = [sinkhorn(c, epsilon=0.01, relative=False, tolerance=1e-11).plan for c in (cost, shifted)]
    torch.testing.assert_close(plans[1], plans[0], rtol=0, atol=1e-9)


@each_transport
def test_scaling_the_cost_scales_epsilon(transport: Transport, options: dict[str, float]) -> None:
    cost = clustered_cost(30, 20)
    first, second = (transport(factor * cost, epsilon=0.01, tolerance=1e-11, **options) for factor in (1, 1e6))
    torch.testing.assert_close(second.plan, first.plan, rtol=0, atol=1e-10)
    assert second.epsilon.item() == pytest.approx(1e6 * first.epsilon.item())
    absolute = {key: value * first.epsilon.item() / 0.01 for key, value in options.items() if key == "strength"}
    again = transport(cost, epsilon=first.epsilon.item(), relative=False, tolerance=1e-11, **(options | absolute))
    torch.testing.assert_close(again.plan, first.plan, rtol=0, atol=1e-10)


@each_transport
def test_plans_scale_with_the_mass(transport: Transport, options: dict[str, float]) -> None:
    cost, a, b = clustered_cost(30, 20), positive_prior(30, seed=1), positive_prior(20, seed=2)
    heavier = {key: value * (1e4 if key == "mass" else 1) for key, value in options.items()}
    plan = transport(cost, a, b, tolerance=1e-11, **options).plan
    heavy = transport(cost, 1e4 * a, 1e4 * b, tolerance=1e-11, **heavier)
    torch.testing.assert_close(heavy.plan / 1e4, plan, rtol=0, atol=1e-10)
    assert heavy.marginal_error <= 1e-11
    torch.testing.assert_close(_from_potentials(heavy, cost), heavy.plan, rtol=1e-8, atol=1e-14)


@each_transport
def test_a_split_row_takes_what_the_whole_one_took(transport: Transport, options: dict[str, float]) -> None:
    # A cluster that was cut in two: with the divergence to the product of the priors nothing changes for the others.
    cost, a = clustered_cost(10, 8), positive_prior(10, seed=1)
    plan = transport(cost, a, tolerance=1e-11, **options).plan
    parts = torch.cat([a[:1] * 0.3, a[:1] * 0.7, a[1:]])
    split = transport(torch.cat([cost[:1], cost]), parts, tolerance=1e-11, **options).plan
    torch.testing.assert_close(split[2:], plan[1:], rtol=0, atol=1e-10)
    torch.testing.assert_close(split[:2].sum(dim=0), plan[0], rtol=0, atol=1e-10)


@each_transport
def test_rows_and_columns_of_prior_zero_change_nothing(transport: Transport, options: dict[str, float]) -> None:
    cost, a, b = clustered_cost(12, 9), positive_prior(12, seed=1), positive_prior(9, seed=2)
    whole = transport(cost, a, b, epsilon=0.01, tolerance=1e-11, **options)
    padded = torch.full((15, 11), 1e3).double()
    padded[3:, :9] = cost
    result = transport(padded, F.pad(a, (3, 0)), F.pad(b, (0, 2)), epsilon=0.01, tolerance=1e-11, **options)
    torch.testing.assert_close(result.plan[3:, :9], whole.plan, rtol=0, atol=1e-12)
    assert result.plan[:3].eq(0).all()
    assert result.plan[:, 9:].eq(0).all()
    assert result.epsilon == whole.epsilon
    for potential in (result.row_potential, result.column_potential):
        assert potential.isfinite().all()


@each_transport
@pytest.mark.parametrize("epsilon", [0.05, 1e-3])
def test_a_batch_is_a_loop(transport: Transport, options: dict[str, float], epsilon: float) -> None:
    costs = torch.stack([random_cost(25, 18, seed=1), 9 * clustered_cost(25, 18), torch.ones(25, 18).double()] * 2)
    a = torch.stack([positive_prior(25, seed=seed) for seed in range(6)]).view(2, 3, 25)
    result = transport(costs.view(2, 3, 25, 18), a, epsilon=epsilon, **options)
    assert result.plan.shape == (2, 3, 25, 18)
    assert result.marginal_error.shape == result.iterations.shape == result.epsilon.shape == result.cost.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            single = transport(costs.view(2, 3, 25, 18)[i, j], a[i, j], epsilon=epsilon, **options)
            for field, value in single._asdict().items():
                torch.testing.assert_close(getattr(result, field)[i, j], value, rtol=1e-6, atol=1e-9, msg=field)


@each_transport
def test_repeating_gives_the_same_bits(transport: Transport, options: dict[str, float]) -> None:
    cost = clustered_cost(30, 20)
    first, second = (transport(cost, epsilon=1e-3, **options) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.int64])
def test_any_precision_is_computed_in_float64(dtype: torch.dtype) -> None:
    cost = (clustered_cost(20, 15) * 8).to(dtype)
    result = sinkhorn(cost, epsilon=0.01)
    assert result.plan.dtype == torch.float64
    assert torch.equal(result.plan, sinkhorn(cost.double(), epsilon=0.01).plan)
    assert _marginal_error(result) <= 1e-8


def test_autocast_changes_nothing() -> None:
    cost = clustered_cost(20, 15)
    plain = sinkhorn(cost, epsilon=1e-3).plan
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(sinkhorn(cost, epsilon=1e-3).plan, plain)


def test_the_plan_is_the_gradient_of_the_minimum() -> None:
    cost, step = clustered_cost(6, 5), 1e-4
    direction = random_cost(6, 5, seed=9)

    def minimum(values: Tensor) -> float:
        result = sinkhorn(values, epsilon=0.1, relative=False, tolerance=1e-13)
        product = result.row_prior[:, None] * result.column_prior
        divergence = (result.plan * (result.plan / product).log()).sum()
        return float(result.cost + 0.1 * divergence)

    slope = (minimum(cost + step * direction) - minimum(cost - step * direction)) / (2 * step)
    variable = cost.clone().requires_grad_()
    plan = sinkhorn(variable, epsilon=0.1, relative=False, tolerance=1e-13).plan
    assert not plan.requires_grad
    assert slope == pytest.approx((plan * direction).sum().item(), rel=1e-6)


# Degenerate input and refusals


@each_transport
@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0), (3, 0, 4), (0, 4, 5)])
def test_without_rows_or_columns_the_plan_is_empty(
    transport: Transport, options: dict[str, float], shape: tuple[int, ...]
) -> None:
    result = transport(torch.zeros(shape), **options)
    assert result.plan.shape == shape
    assert result.row_potential.shape == shape[:-1]
    assert result.column_prior.shape == (*shape[:-2], shape[-1])
    assert result.cost.shape == shape[:-2]
    assert result.cost.eq(0).all()


@each_transport
def test_what_does_not_converge_is_refused(transport: Transport, options: dict[str, float]) -> None:
    cost = clustered_cost(60, 35)
    with pytest.raises(ConvergenceError, match=f"{transport.__name__}: with epsilon .* raise epsilon") as caught:
        transport(cost, epsilon=1e-3, iterations=20, **options)
    assert caught.value.error > 1e-8
    assert caught.value.iterations >= 20
    assert caught.value.epsilon == pytest.approx(1e-3 * (cost.max() - cost.min()).item())
    with pytest.raises(ConvergenceError, match="of item 1 of the batch"):
        transport(torch.stack([torch.zeros_like(cost), cost]), epsilon=1e-3, iterations=20, **options)
    with pytest.raises(ConvergenceError, match="above the tolerance 1e-300"):
        transport(cost, tolerance=1e-300, iterations=200, **options)


@each_transport
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(transport: Transport, options: dict[str, float], bad: float) -> None:
    cost = torch.zeros(3, 2)
    cost[1, 1] = bad
    with pytest.raises(ValueError, match="cost must be finite"):
        transport(cost, **options)
    with pytest.raises(ValueError, match="row_prior must be finite and at least 0"):
        transport(torch.zeros(3, 2), torch.tensor([0.5, 0.5, bad]), **options)
    with pytest.raises(ValueError, match="epsilon must be a positive finite number"):
        transport(torch.zeros(3, 2), epsilon=bad, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cost": torch.zeros(3)}, r"cost must be \(..., rows, columns\)"),
        ({"cost": torch.zeros(3, 2, dtype=torch.complex64)}, "cost must hold real numbers"),
        ({"cost": torch.zeros(3, 2, dtype=torch.bool)}, "cost must hold real numbers"),
        ({"cost": torch.tensor([[1e308, -1e308]], dtype=torch.float64)}, "cost must have a range that float64 holds"),
        ({"row_prior": torch.ones(2) / 2}, "row_prior of shape .2,. does not fit"),
        ({"column_prior": torch.ones(3) / 3}, "column_prior of shape .3,. does not fit"),
        ({"row_prior": torch.tensor([1.0, 0.5, -0.5])}, "row_prior must be finite and at least 0"),
        ({"column_prior": torch.zeros(2)}, "column_prior must have a positive sum"),
        ({"row_prior": torch.ones(3, dtype=torch.bool)}, "row_prior must hold real numbers"),
        ({"row_prior": torch.ones(3), "column_prior": torch.ones(2)}, "row_prior sums to 3 and column_prior to 2"),
        ({"epsilon": 0.0}, "epsilon must be a positive finite number"),
        ({"tolerance": -1.0}, "tolerance must be a positive finite number"),
        ({"iterations": 0}, "iterations must be a positive finite number"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sinkhorn(**({"cost": torch.zeros(3, 2)} | arguments))  # type: ignore[arg-type]


@pytest.mark.parametrize("mass", [0.0, -1.0, math.nan, 1.5])
def test_a_mass_that_is_not_there_is_refused(mass: float) -> None:
    with pytest.raises(ValueError, match="mass must be"):
        partial_sinkhorn(torch.zeros(3, 2), mass=mass)
    with pytest.raises(ValueError, match=r"which is 1, not 1\.2"):
        partial_sinkhorn(torch.zeros(3, 2), torch.ones(3), torch.ones(2) / 2, mass=1.2)


@pytest.mark.parametrize("strength", [0.0, -1.0, math.nan, math.inf])
def test_a_strength_that_is_not_positive_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match="strength must be a positive finite number"):
        unbalanced_sinkhorn(torch.zeros(3, 2), strength=strength)


def test_counts_serve_as_priors_and_a_missing_one_follows() -> None:
    counts = torch.tensor([5, 1, 2])
    result = sinkhorn(random_cost(3, 4), counts)
    assert result.column_prior.tolist() == [2.0] * 4
    torch.testing.assert_close(result.plan.sum(dim=-1), counts.double(), rtol=0, atol=1e-7)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@each_transport
def test_the_gpu_gives_the_same_plan(transport: Transport, options: dict[str, float]) -> None:
    costs = torch.stack([random_cost(60, 35), clustered_cost(60, 35)])
    for epsilon in (0.05, 1e-3):
        here = transport(costs, epsilon=epsilon, tolerance=1e-11, **options)
        there = transport(costs.cuda(), epsilon=epsilon, tolerance=1e-11, **options)
        assert there.plan.is_cuda
        torch.testing.assert_close(there.plan.cpu(), here.plan, rtol=0, atol=1e-9)
