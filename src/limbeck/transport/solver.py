"""The dual of entropic transport, solved by Sinkhorn iterations and, where these are slow, Newton's method.

Everything here is in units: priors and plans of the total mass, potentials of epsilon. With potentials φ of the rows
and γ of the columns, priors a and b and scaled costs X = C / ε, the plan is

    P_ij = a_i b_j exp(φ_i + γ_j - X_ij).

The dual is concave, and for given γ the best φ has a closed form. So a plan belongs to every γ, and the dual is
maximised over γ alone. A Sinkhorn iteration maximises over φ and γ in turn. Newton's method solves a linear system for
γ, with a line search along which the dual has to rise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

_START = 0.25  # share of the cost's range at which annealing starts
_FACTOR = 4.0  # the most that epsilon is divided by between two levels of annealing
_LEVEL_TOLERANCE = 1e-2  # error at which a level that is not the last is left
_SLOW = 0.1  # where a round of Sinkhorn iterations leaves more of the error than this, Newton's method takes over
_CAP = 20.0  # the most that a Newton step changes a potential by, so that exponentials stay in range
_HALVINGS = 8
_TINY = 1e-300
_ROUNDING = 1e-12
_NEGLIGIBLE = -650.0  # exponents below this count as -inf: numbers that small slow every product down


class Problem(NamedTuple):
    """Problems of one shape: with exact marginals where neither `strength` nor `mass` is given.

    Attributes:
        cost: (batch, n, m). Newton's method costs n m² + m³: have m ≤ n.
        row_prior: (batch, n), at least 0.
        column_prior: (batch, m), at least 0.
        epsilon: (batch,), positive.
        strength: (batch,): ρ of unbalanced problems.
        mass: (batch,): what partial problems transport.
    """

    cost: Tensor
    row_prior: Tensor
    column_prior: Tensor
    epsilon: Tensor
    strength: Tensor | None = None
    mass: Tensor | None = None

    @property
    def softness(self) -> Tensor:
        """ε / ρ, (batch, 1); 0 where marginals are exact or bounded."""
        return (self.epsilon / self.strength if self.strength is not None else torch.zeros_like(self.epsilon))[:, None]

    def take(self, items: Tensor) -> Problem:
        """The problems at some positions, in order."""
        if len(items) == len(self.epsilon):
            return self
        strength, mass = (None if field is None else field[items] for field in (self.strength, self.mass))
        cost, row_prior, column_prior, epsilon = (field[items] for field in self[:4])
        return Problem(cost, row_prior, column_prior, epsilon, strength, mass)


class State(NamedTuple):
    """A point of the dual, and what belongs to it.

    Attributes:
        column: (batch, m): γ; at most 0 in partial problems.
        row: (batch, n): φ, the best for γ.
        plan: (batch, n, m).
        error: (batch,): the mass that the best new γ would add to the columns or take from them.
        value: (batch,): the dual.
    """

    column: Tensor
    row: Tensor
    plan: Tensor
    error: Tensor
    value: Tensor

    def take(self, items: Tensor) -> State:
        """The points at some positions, in order."""
        return self if len(items) == len(self.error) else State(*(field[items] for field in self))

    def put(self, items: Tensor, new: State) -> State:
        """With other points at these positions."""
        if len(items) == len(self.error):
            return new
        return State(*(old.index_copy(0, items, part) for old, part in zip(self, new, strict=True)))

    def where(self, condition: Tensor, new: State) -> State:
        """With other points where the condition (batch,) holds."""
        if condition.all():
            return new
        pairs = zip(new, self, strict=True)
        return State(*(torch.where(condition.view(-1, *[1] * (old.ndim - 1)), part, old) for part, old in pairs))


@torch.no_grad()
def solve(problem: Problem, *, spread: Tensor, tolerance: float, iterations: int) -> tuple[State, Tensor]:
    """Potentials and plan, and how many iterations they took, (batch,).

    Epsilon is annealed from a quarter of the cost's `spread` (batch,) down to that of the problem. An item stops when
    its error is at most `tolerance`, or after about so many `iterations`: the caller has to look. A Newton step counts
    for as many iterations as take its time.
    """
    ratio = (_START * spread / problem.epsilon).clamp(min=1)
    # Each item has levels of its own, so that its solution does not depend on those beside it.
    steps = (ratio.log() / math.log(_FACTOR) - 1e-9).ceil().clamp(min=0)
    column = torch.zeros_like(problem.column_prior)
    count = torch.zeros_like(problem.epsilon, dtype=torch.int64)
    for left in range(int(steps.max()), -1, -1):
        epsilon = problem.epsilon * ratio ** (steps.clamp(max=left) / steps.clamp(min=1))
        goal = torch.full_like(epsilon, tolerance)
        goal = torch.where(steps.clamp(max=left) > 0, goal.clamp(min=_LEVEL_TOLERANCE), goal)
        there = problem._replace(epsilon=epsilon)
        state, count = _solve_level(there, column / epsilon[:, None], count, goal, iterations)
        column = state.column * epsilon[:, None]
    return state, count


def _solve_level(
    problem: Problem, column: Tensor, count: Tensor, tolerance: Tensor, iterations: int
) -> tuple[State, Tensor]:
    """Rounds of Sinkhorn iterations or Newton steps, as each item needs, at one epsilon."""
    state = _evaluate(problem, column)
    slow = torch.zeros_like(count, dtype=torch.bool)
    length = 10 + problem.cost.shape[-1] // 16  # iterations in the time of a Newton step
    sinkhorn: Callable[[Problem, State], tuple[State, Tensor]] = partial(_sinkhorn, count=length)
    while True:
        waiting = ~(state.error <= tolerance) & (count < iterations)
        if not waiting.any():
            return state, count
        for step, chosen in ((_newton, waiting & slow), (sinkhorn, waiting & ~slow)):
            items = chosen.nonzero().squeeze(-1)
            if len(items):
                changed, still = step(problem.take(items), state.take(items))
                state = state.put(items, changed)
                slow = slow.index_copy(0, items, still)
                count = count.index_add(0, items, torch.full_like(items, length))


def _evaluate(problem: Problem, column: Tensor) -> State:
    exponent = (problem.column_prior.log() + column)[:, None] - problem.cost / problem.epsilon[:, None, None]
    top = exponent.amax(dim=-1, keepdim=True)
    plan = torch.threshold_(exponent.sub_(top), _NEGLIGIBLE, -math.inf).exp_()
    total = plan.sum(dim=-1, keepdim=True)
    log_sums = (total.log() + top).squeeze(-1)
    row = _best_rows(log_sums, problem)
    plan.mul_((problem.row_prior * (row + log_sums).exp()).unsqueeze(-1) / total)

    sums = plan.sum(dim=-2)
    if problem.mass is None:
        target = problem.column_prior * (-problem.softness * column).exp()
        value = _gain(problem.row_prior, row, problem) + _gain(problem.column_prior, column, problem) - sums.sum(dim=-1)
    else:
        # A column below its bound has potential 0. `fmin` takes the prior where 0 · inf gave NaN.
        target = torch.fmin(problem.column_prior, sums * (-column).exp())
        level = _level(row, problem)
        value = (problem.row_prior * (row - level)).sum(dim=-1) + (problem.column_prior * column).sum(dim=-1)
        value = value + problem.mass * level.squeeze(-1)
    return State(column, row, plan, (target - sums).abs().sum(dim=-1), value)


def _best_rows(log_sums: Tensor, problem: Problem) -> Tensor:
    """The best φ where sum / prior would be the exponential of `log_sums` with φ = 0."""
    if problem.mass is None:
        return -log_sums / (1 + problem.softness)
    # Rows are full, down to some log-sum: those below it share one potential λ, which is such that the mass is right.
    ordered, order = log_sums.sort(dim=-1, descending=True)
    prior = problem.row_prior.gather(-1, order)
    rest = problem.mass[:, None] - (prior.cumsum(dim=-1) - prior)  # mass left for each row and those after it
    tail = (prior.log() + ordered).flip(-1).logcumsumexp(dim=-1).flip(-1)
    level = rest.clamp(min=_TINY).log() - tail
    # Where the mass is what some rows hold to the last bit, rounding must not make λ miss its place.
    fits = (rest > 0) & (ordered + level <= _ROUNDING)
    first = fits.to(torch.uint8).argmax(dim=-1, keepdim=True)
    full = -torch.where(problem.row_prior > 0, log_sums, math.inf).amin(dim=-1, keepdim=True)
    return torch.minimum(-log_sums, torch.where(fits.any(dim=-1, keepdim=True), level.gather(-1, first), full))


def _best_columns(log_sums: Tensor, problem: Problem) -> Tensor:
    """The best γ, likewise."""
    if problem.mass is None:
        return -log_sums / (1 + problem.softness)
    return _raised((-log_sums).clamp(max=0), problem)


def _raised(column: Tensor, problem: Problem) -> Tensor:
    """Potentials of a partial problem, raised until one is 0: λ falls as much, and the plan is the same."""
    column = column.clamp(max=0)
    return column - torch.where(problem.column_prior > 0, column, -math.inf).amax(dim=-1, keepdim=True)


def _level(row: Tensor, problem: Problem) -> Tensor:
    """λ of a partial problem: the largest of the rows' potentials."""
    return torch.where(problem.row_prior > 0, row, -math.inf).amax(dim=-1, keepdim=True)


def _gain(prior: Tensor, potential: Tensor, problem: Problem) -> Tensor:
    """The dual's own term of one side's potentials."""
    if problem.strength is None:
        return (prior * potential).sum(dim=-1)
    return -(prior * torch.expm1(-problem.softness * potential) / problem.softness).sum(dim=-1)


def _sinkhorn(problem: Problem, state: State, *, count: int) -> tuple[State, Tensor]:
    """Iterations as products of the plan with u and v, the exponentials of how far the potentials have moved.

    Says of each item whether they were slow.
    """
    plan, transposed = state.plan, state.plan.mT
    row_prior, column_prior = problem.row_prior.clamp(min=_TINY), problem.column_prior.clamp(min=_TINY)
    column = state.column
    u, v = torch.ones_like(state.row), torch.ones_like(column)
    for number in range(count):
        if number:  # the rows of the plan are the best ones
            sums = (plan @ v.unsqueeze(-1)).squeeze(-1)
            row = _best_rows((sums / row_prior).clamp(min=_TINY).log() - state.row, problem)
            u = _bounded(row - state.row, problem.row_prior).exp()
        sums = (transposed @ u.unsqueeze(-1)).squeeze(-1)
        best = _best_columns((sums / column_prior).clamp(min=_TINY).log() - state.column, problem)
        shift = _bounded(best - state.column, problem.column_prior)
        column, v = state.column + shift, shift.exp()
    found = _evaluate(problem, column)
    return found, ~(found.error <= _SLOW * state.error)


def _bounded(shift: Tensor, prior: Tensor) -> Tensor:
    """Changes of potentials, bounded so that exponentials stay in range, and 0 where there is no mass."""
    return torch.where(prior > 0, shift.clamp(-200, 200), 0.0)


def _newton(problem: Problem, state: State) -> tuple[State, Tensor]:
    """A Newton step, as far as the dual rises. Says of each item whether there was one."""
    step, gradient = _direction(problem, state)
    found = state
    length = torch.ones_like(state.error)
    searching = torch.ones_like(state.error, dtype=torch.bool)
    for _ in range(_HALVINGS):
        column = state.column + length[:, None] * step
        reached = _evaluate(problem, column if problem.mass is None else _raised(column, problem))
        rise = reached.value - state.value
        slope = (gradient * (reached.column - state.column)).sum(dim=-1)
        # Close to the top the dual cannot tell any more; the error can.
        flat = (rise.abs() <= 1e-13 * (1 + state.value.abs())) & (reached.error <= 0.9 * state.error)
        taken = searching & (((slope > 0) & (rise >= 0.01 * slope)) | flat)
        found = found.where(taken, reached)
        searching &= ~taken
        if not searching.any():
            break
        length = torch.where(searching, length / 2, 0.0)
    return found, ~searching


def _direction(problem: Problem, state: State) -> tuple[Tensor, Tensor]:
    """The Newton direction, and the gradient of the dual."""
    plan, softness = state.plan, problem.softness
    rows, columns = plan.sum(dim=-1), plan.sum(dim=-2)
    target = problem.column_prior * (-softness * state.column).exp()
    gradient = side = target - columns
    diagonal = columns + softness * target
    scale = diagonal.clamp(min=_TINY).rsqrt()
    # How much of a change of its log-sum-exp the potential of a row takes back.
    response = (1 / (1 + softness)).expand_as(rows)
    if problem.mass is not None:
        response = (state.row < _level(state.row, problem)).to(rows.dtype)
    weighted = plan * (response / rows.clamp(min=_TINY)).sqrt().unsqueeze(-1)
    matrix = torch.diag_embed(diagonal) - weighted.mT @ weighted
    if problem.mass is not None:
        # The rows that share λ answer together, so that the mass stays.
        edge = ((1 - response)[:, None] @ plan).squeeze(-2)
        matrix = matrix - edge[:, :, None] * (edge / edge.sum(dim=-1, keepdim=True).clamp(min=_TINY))[:, None]
        bound = (state.column >= 0) & (gradient >= 0)
        scale = torch.where(bound, 0.0, scale)
        # Where no column is at its bound, a change common to all changes nothing.
        common = side.sum(dim=-1, keepdim=True) / columns.sum(dim=-1, keepdim=True)
        side = torch.where(bound.any(dim=-1, keepdim=True), side, side - common * columns)
    # In these units the diagonal is at most 1; the damping bounds the condition number, and vanishes at the optimum.
    damping = (1e-3 * state.error).clamp(1e-11, 1e-2)
    matrix = matrix * scale.unsqueeze(-1) * scale.unsqueeze(-2)
    matrix = matrix + torch.diag_embed(damping[:, None] + (scale == 0).to(scale.dtype))
    factor, _ = torch.linalg.cholesky_ex(matrix)
    step = torch.cholesky_solve((side * scale).unsqueeze(-1), factor).squeeze(-1) * scale
    most = step.abs().amax(dim=-1, keepdim=True)
    # Where the factorisation failed there is no step: the search finds no rise, and Sinkhorn iterations follow.
    return torch.where(most.isfinite(), step * (_CAP / most.clamp(min=_CAP)), 0.0), gradient
