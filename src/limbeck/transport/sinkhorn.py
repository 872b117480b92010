"""Entropic optimal transport between two sets: with exact marginals, with bounded ones, and with softly kept ones."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.transport.arguments import checked_cost, checked_positive, checked_prior
from limbeck.transport.solver import Problem, solve


class ConvergenceError(ValueError):
    """A plan was not found to the tolerance that was asked for; the message says how close it came and what to do.

    Attributes:
        error: the marginal error reached, as a share of the mass; of the worst item of a batch.
        epsilon: the epsilon of that item, in units of the cost.
        iterations: how many it took.
    """

    def __init__(self, message: str, *, error: float, epsilon: float, iterations: int) -> None:
        super().__init__(message)
        self.error = error
        self.epsilon = epsilon
        self.iterations = iterations


class TransportPlan(NamedTuple):
    r"""What `sinkhorn`, `partial_sinkhorn` and `unbalanced_sinkhorn` return; all of float64.

    .. math:: Q_{ij} = \frac{a_i b_j}{T} \exp \frac{f_i + g_j - C_{ij}}{\varepsilon}, \qquad
        T = \sqrt{\textstyle\sum_i a_i \sum_j b_j}

    Attributes:
        plan: (..., n, m): Q ≥ 0, mass that goes from each row to each column.
        row_potential: (..., n): f, in units of the cost; some finite number where the prior is 0.
        column_potential: (..., m): g. With exact marginals Σ_j b_j g_j = 0, for only f + g is determined.
        row_prior: (..., n): a.
        column_prior: (..., m): b.
        marginal_error: (...): how far Q is from the marginals it should have, as a share of T. Each function says how
            it is measured; at most the tolerance.
        iterations: (...) integers: Sinkhorn iterations; a Newton step counts for as many as take its time.
        epsilon: (...): ε as it was used, in units of the cost.
        cost: (...): Σ Q C.
        entropy: (...): -Σ Q log Q, in nats.
    """

    plan: Tensor
    row_potential: Tensor
    column_potential: Tensor
    row_prior: Tensor
    column_prior: Tensor
    marginal_error: Tensor
    iterations: Tensor
    epsilon: Tensor
    cost: Tensor
    entropy: Tensor


def sinkhorn(
    cost: Tensor,
    row_prior: Tensor | None = None,
    column_prior: Tensor | None = None,
    *,
    epsilon: float = 0.05,
    relative: bool = True,
    tolerance: float = 1e-8,
    iterations: int = 20_000,
) -> TransportPlan:
    r"""Entropic optimal transport: the plan of least cost, smoothed, that has the priors as its marginals.

    .. math::
        Q = \arg\min_{Q \ge 0} \; \langle Q, C \rangle + \varepsilon \, \mathrm{KL}(Q \,\|\, a b^\top / T)
        \quad \text{subject to} \quad Q 1 = a, \; Q^\top 1 = b

    where :math:`C` is the `cost`, :math:`a` and :math:`b` are the priors, both of sum :math:`T`. The divergence to
    :math:`a b^\top / T` and the negative entropy of Q differ by a constant here. Uniform priors state that every
    row and every column deserves the same mass ("fairness").

    Everything is computed in float64 with potentials in the log domain. ε is annealed from a quarter of the cost's
    range; where Sinkhorn iterations are slow, Newton steps on the dual with a line search replace them, so that small ε
    takes tens of steps instead of 10⁵ iterations. Newton's method takes time :math:`n m^2 + m^3` and memory of
    :math:`m^2` numbers, :math:`m` being the smaller side. Nothing here is recorded by autograd, so the plan has no
    gradient. By the envelope theorem that of the minimum with respect to C is Q (with ε fixed in units of the cost).

    The size of ε: at 0.05 of the range mass spreads over several near-equal columns, at 0.001 the plan is close to an
    assignment, and towards infinity it is :math:`a b^\top / T`.

    Args:
        cost: (..., n, m) finite numbers of any precision; leading dimensions are independent problems. Without rows or
            without columns there is nothing to transport: the plan is empty, whatever the priors.
        row_prior: a, broadcasts to (..., n): at least 0, of positive sum. Rows of prior 0 change nothing else, so that
            problems of different sizes can be padded to one batch. Default: uniform, with the sum of the other prior,
            or 1.
        column_prior: b, broadcasts to (..., m), the same.
        epsilon: ε as a share of the cost's range: of largest less smallest over the pairs of positive priors, in each
            problem. A cost that is constant up to the rounding of its precision counts as having range 1 (its plan is
            :math:`a b^\top / T` whatever ε is).
        relative: False takes `epsilon` in units of the cost.
        tolerance: the largest :math:`(\|Q 1 - a\|_1 + \|Q^\top 1 - b\|_1) / T`, reported as `marginal_error`.
        iterations: where to give up.

    Returns:
        `TransportPlan`.

    Raises:
        ConvergenceError: the tolerance was not reached.
        ValueError: an argument is out of range or not finite, shapes disagree, or the priors' sums do.

    Source: Cuturi 2013 (NeurIPS); in the log domain and with annealing: Schmitzer 2019 (SIAM J. Sci. Comput.), §3;
    Newton's method: Brauer et al. 2017, "A Sinkhorn-Newton method for entropic optimal transport". Uniform priors to
    match visible and infrared clusters: arXiv 2407.12758; this is a re-implementation, without the authors' code.

    Example:
        >>> result = sinkhorn(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), epsilon=1.0)
        >>> [[round(value, 4) for value in row] for row in result.plan.tolist()]
        [[0.3655, 0.1345], [0.1345, 0.3655]]
    """
    return _transport(
        "sinkhorn", cost, row_prior, column_prior, (epsilon, relative, tolerance, iterations), sums_agree=True
    )


def partial_sinkhorn(
    cost: Tensor,
    row_prior: Tensor | None = None,
    column_prior: Tensor | None = None,
    *,
    mass: float,
    epsilon: float = 0.05,
    relative: bool = True,
    tolerance: float = 1e-8,
    iterations: int = 20_000,
) -> TransportPlan:
    r"""Entropic transport of a part of the mass: for sets that overlap only in part.

    .. math::
        Q = \arg\min_{Q \ge 0} \; \langle Q, C \rangle + \varepsilon \, \mathrm{KL}(Q \,\|\, a b^\top / T)
        \quad \text{subject to} \quad Q 1 \le a, \; Q^\top 1 \le b, \; 1^\top Q 1 = s

    where :math:`s` is the `mass` and :math:`T = \sqrt{\sum a \sum b}`. What costs most stays where it is. The optimum
    has the form of `TransportPlan` with :math:`f_i \le \lambda` for one number :math:`\lambda`, and equality where the
    sum of the row is below :math:`a_i`; and likewise :math:`g_j \le \mu`. The solver is that of `sinkhorn`.

    Args:
        cost: as in `sinkhorn`.
        row_prior: a, as in `sinkhorn`; the priors' sums need not agree.
        column_prior: b.
        mass: s, above 0 and at most the smaller of the priors' sums (1 where both are left out).
        epsilon: as in `sinkhorn`.
        relative: as in `sinkhorn`.
        tolerance: the largest :math:`\sum_j |c_j - \min(b_j, c_j e^{(\mu - g_j) / \varepsilon})| / T` for the sums
            :math:`c` of the columns (of the rows, where there are fewer): by how much they exceed their priors or
            fall short of what their potentials say. The other conditions hold to rounding.
        iterations: as in `sinkhorn`.

    Returns:
        `TransportPlan`.

    Raises:
        ConvergenceError: the tolerance was not reached.
        ValueError: an argument is out of range or not finite, or shapes disagree.

    Source: Benamou et al. 2015 (SIAM J. Sci. Comput.), §5.2, whose Dykstra iterations find the same plan (with the
    entropy in place of the divergence, which is the same for uniform priors).

    Example:
        >>> result = partial_sinkhorn(torch.tensor([[0.0, 5.0], [5.0, 5.0]]), mass=0.5, epsilon=0.01)
        >>> [[round(value, 4) for value in row] for row in result.plan.tolist()]
        [[0.5, 0.0], [0.0, 0.0]]
    """
    checked_positive(mass, "mass")
    return _transport(
        "partial_sinkhorn", cost, row_prior, column_prior, (epsilon, relative, tolerance, iterations), mass=mass
    )


def unbalanced_sinkhorn(
    cost: Tensor,
    row_prior: Tensor | None = None,
    column_prior: Tensor | None = None,
    *,
    strength: float = 1.0,
    epsilon: float = 0.05,
    relative: bool = True,
    tolerance: float = 1e-8,
    iterations: int = 20_000,
) -> TransportPlan:
    r"""Entropic transport whose marginals need only be close to the priors.

    .. math::
        Q = \arg\min_{Q \ge 0} \; \langle Q, C \rangle + \varepsilon \, \mathrm{KL}(Q \,\|\, a b^\top / T)
        + \rho \, \mathrm{KL}(Q 1 \,\|\, a) + \rho \, \mathrm{KL}(Q^\top 1 \,\|\, b)

    with :math:`\mathrm{KL}(x \| y) = \sum x \log (x / y) - x + y`, :math:`T = \sqrt{\sum a \sum b}`, and
    :math:`\rho` the `strength`. A pair is not worth its cost where that is far above ρ: such rows keep their mass. As ρ
    grows this becomes `sinkhorn`. The optimum has the form of `TransportPlan` with :math:`Q 1 = a e^{-f / \rho}` and
    :math:`Q^\top 1 = b e^{-g / \rho}`. The solver is that of `sinkhorn`.

    The zero of the cost matters here: adding a constant to it changes the plan.

    Args:
        cost: as in `sinkhorn`.
        row_prior: a, as in `sinkhorn`; the priors' sums need not agree.
        column_prior: b.
        strength: ρ > 0, as a share of the cost's range like `epsilon`.
        epsilon: as in `sinkhorn`.
        relative: False takes both `epsilon` and `strength` in units of the cost.
        tolerance: the largest :math:`\|Q^\top 1 - b e^{-g / \rho}\|_1 / T` (that of the rows, where there are fewer);
            the other side's condition holds to rounding.
        iterations: as in `sinkhorn`.

    Returns:
        `TransportPlan`.

    Raises:
        ConvergenceError: the tolerance was not reached.
        ValueError: an argument is out of range or not finite, or shapes disagree.

    Source: Chizat et al. 2018 (Math. Comp.), "Scaling algorithms for unbalanced optimal transport problems".

    Example:
        >>> result = unbalanced_sinkhorn(torch.zeros(2, 3), strength=1.0)
        >>> round(result.plan.sum().item(), 4)
        1.0
    """
    checked_positive(strength, "strength")
    return _transport(
        "unbalanced_sinkhorn",
        cost,
        row_prior,
        column_prior,
        (epsilon, relative, tolerance, iterations),
        strength=strength,
    )


@torch.no_grad()
def _transport(
    name: str,
    cost: Tensor,
    row_prior: Tensor | None,
    column_prior: Tensor | None,
    how: tuple[float, bool, float, int],
    *,
    mass: float | None = None,
    strength: float | None = None,
    sums_agree: bool = False,
) -> TransportPlan:
    epsilon, relative, tolerance, iterations = how
    checked_positive(epsilon, "epsilon")
    checked_positive(tolerance, "tolerance")
    checked_positive(iterations, "iterations")
    rounding = torch.finfo(cost.dtype).eps if cost.is_floating_point() else 0.0
    cost = checked_cost(cost)
    batch, (n, m) = cost.shape[:-2], cost.shape[-2:]
    a = checked_prior(row_prior, (*batch, n), "row_prior", like=cost, other=column_prior)
    b = checked_prior(column_prior, (*batch, m), "column_prior", like=cost, other=row_prior)
    if cost.numel() == 0:
        none = cost.new_zeros(batch)
        return TransportPlan(
            cost, torch.zeros_like(a), torch.zeros_like(b), a, b, none, none.long(), none + epsilon, none, none
        )

    sums = a.sum(dim=-1), b.sum(dim=-1)
    total = (sums[0] * sums[1]).sqrt()
    if _check_sums(sums, mass, sums_agree):
        mass = None  # the marginals are the priors

    smallest, spread = _range(cost, a, b)
    unit = torch.ones_like(spread)
    used = cost
    if relative:
        constant = spread <= 8 * rounding * torch.maximum(smallest.abs(), (smallest + spread).abs())
        unit = torch.where(constant, 1.0, spread)
        used = torch.where(constant[..., None, None], smallest[..., None, None], cost)
    offset = smallest if strength is None else torch.zeros_like(smallest)
    swap = n < m
    flat = (used - offset[..., None, None]).reshape(-1, n, m)
    priors = ((a / total[..., None]).reshape(-1, n), (b / total[..., None]).reshape(-1, m))
    problem = Problem(
        flat.mT.contiguous() if swap else flat,
        *(priors[::-1] if swap else priors),
        (epsilon * unit).reshape(-1),
        None if strength is None else (strength * unit).reshape(-1),
        None if mass is None else (mass / total).reshape(-1),
    )
    # A little below what is asked for: the other marginal has errors of rounding.
    state, count = solve(problem, spread=spread.reshape(-1), tolerance=0.99 * tolerance, iterations=iterations)

    plan, potentials = state.plan, (state.row, state.column)
    if swap:
        plan, potentials = plan.mT.contiguous(), potentials[::-1]
    plan = plan.reshape(cost.shape)
    absolute = problem.epsilon.reshape(batch)
    f = potentials[0].reshape(a.shape) * absolute[..., None] + offset[..., None]
    g = potentials[1].reshape(b.shape) * absolute[..., None]
    error = state.error.reshape(batch)
    if strength is None and mass is None:
        shift = (b * g).sum(dim=-1, keepdim=True) / sums[1][..., None]
        f, g = f + shift, g - shift
        rows, columns = (plan.sum(dim=-1) - priors[0].view_as(a)).abs(), (plan.sum(dim=-2) - priors[1].view_as(b)).abs()
        error = rows.sum(dim=-1) + columns.sum(dim=-1)
    _require(name, error, count.reshape(batch), absolute, tolerance)
    plan = plan * total[..., None, None]
    return TransportPlan(
        plan,
        f,
        g,
        a,
        b,
        error,
        count.reshape(batch),
        absolute,
        (plan * cost).sum(dim=(-2, -1)),
        torch.special.entr(plan).sum(dim=(-2, -1)),
    )


def _check_sums(sums: tuple[Tensor, Tensor], mass: float | None, sums_agree: bool) -> bool:
    """Whether all the mass of both priors is to be transported; refuses sums that the problem cannot have."""
    apart = (sums[0] - sums[1]).abs() / torch.minimum(*sums)
    agree = bool((apart <= 1e-9).all())
    if sums_agree and not agree:
        rows, columns = (float(values.flatten()[apart.argmax()]) for values in sums)
        raise ValueError(
            f"row_prior sums to {rows:.12g} and column_prior to {columns:.12g}, and no plan has both as marginals: "
            "divide each by its sum in float64, or use unbalanced_sinkhorn"
        )
    if mass is None:
        return sums_agree
    most = torch.minimum(*sums).min().item()
    if not mass <= (1 + 1e-9) * most:
        raise ValueError(f"mass must be at most the smaller sum of the priors, which is {most:g}, not {mass}")
    return agree and bool((mass >= (1 - 1e-12) * sums[0]).all())


def _range(cost: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest cost and the range, over pairs of positive priors."""
    pairs = (a > 0)[..., :, None] & (b > 0)[..., None, :]
    smallest = torch.where(pairs, cost, torch.inf).amin(dim=(-2, -1))
    spread = torch.where(pairs, cost, -torch.inf).amax(dim=(-2, -1)) - smallest
    if not spread.isfinite().all():
        raise ValueError("cost must have a range that float64 holds: scale it")
    return smallest, spread


def _require(name: str, error: Tensor, iterations: Tensor, epsilon: Tensor, tolerance: float) -> None:
    failed = ~(error <= tolerance)
    if not failed.any():
        return
    worst = int(torch.where(failed, error.nan_to_num(nan=torch.inf), -1.0).argmax())
    reached, count = float(error.flatten()[worst]), int(iterations.flatten()[worst])
    size = float(epsilon.flatten()[worst])
    item = f" of item {worst} of the batch" if error.numel() > 1 else ""
    raise ConvergenceError(
        f"{name}: with epsilon {size:.3g} in units of the cost, the marginal error{item} is {reached:.2g} of the mass "
        f"after {count} iterations, above the tolerance {tolerance:g}: raise epsilon, iterations or tolerance",
        error=reached,
        epsilon=size,
        iterations=count,
    )
