"""Which row belongs to which column: of a transport plan, by the Hungarian method, and by nearest neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from limbeck.transport.arguments import checked_cost
from limbeck.transport.sinkhorn import TransportPlan

# Masses of a plan that agree to this share are ties, and reach a threshold: they are known no better.
_TIE = 1e-6


class Matching(NamedTuple):
    """A partner, or none, for each row and for each column. The two directions need not agree.

    Attributes:
        first_to_second: (..., n) int64: the column that each row is matched to, -1 for none.
        second_to_first: (..., m) int64: the row that each column is matched to, -1 for none.
    """

    first_to_second: Tensor
    second_to_first: Tensor

    def mutual(self) -> Matching:
        """Only the pairs that choose each other; the others have no partner.

        Example:
            >>> Matching(torch.tensor([0, 0, 1]), torch.tensor([1, 2])).mutual().first_to_second.tolist()
            [-1, 0, 1]
        """
        return Matching(
            _answered(self.first_to_second, self.second_to_first), _answered(self.second_to_first, self.first_to_second)
        )


def plan_matching(transport: TransportPlan, *, threshold: float = 0.0) -> Matching:
    r"""Each row goes to the column that most of its mass goes to, and each column to the row most of its comes from.

    .. math:: i \mapsto \arg\max_j Q_{ij} \;\text{ if }\; \max_j Q_{ij} \ge t \, a_i, \qquad
        j \mapsto \arg\max_i Q_{ij} \;\text{ if }\; \max_i Q_{ij} \ge t \, b_j

    where :math:`Q` is the plan, :math:`a` and :math:`b` are the priors and :math:`t` is the `threshold`. Several rows
    may go to one column. Of masses that agree to one part in a million the lowest index is taken. What has no mass in
    the plan has no partner.

    Args:
        transport: a plan, of `sinkhorn`, `partial_sinkhorn` or `unbalanced_sinkhorn`.
        threshold: t in [0, 1], the share of its prior mass that must go to one partner. Shares are measured by the
            prior, so that in partial and unbalanced transport what keeps its mass has no partner.

    Returns:
        `Matching`.

    Raises:
        ValueError: the threshold is not in [0, 1].

    Source: ours; both directions of a plan with uniform priors as in RPNR (Yin et al. 2024, ACM MM).

    Example:
        >>> from limbeck.transport import sinkhorn
        >>> cost = torch.tensor([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0]])
        >>> plan_matching(sinkhorn(cost)).first_to_second.tolist()
        [0, 0, 1]
        >>> plan_matching(sinkhorn(cost), threshold=0.9).first_to_second.tolist()
        [0, -1, 1]
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1], not {threshold}")
    plan = transport.plan
    return Matching(
        _largest(plan, threshold * transport.row_prior), _largest(plan.mT, threshold * transport.column_prior)
    )


def nearest_neighbour_matching(cost: Tensor) -> Matching:
    """Each row goes to its cheapest column and each column to its cheapest row; of equal costs, to the lowest index.

    A baseline: a column that is close to everything ("hub") draws many rows.

    Args:
        cost: (..., n, m), finite.

    Returns:
        `Matching`; nobody has a partner where there are no rows or no columns.

    Raises:
        ValueError: the cost is not a matrix or not finite.

    Example:
        >>> nearest_neighbour_matching(torch.tensor([[0.0, 1.0], [0.1, 0.9]])).second_to_first.tolist()
        [0, 1]
    """
    values = checked_cost(cost)
    if values.numel() == 0:
        return _nobody(values)
    return Matching(values.argmin(dim=-1), values.argmin(dim=-2))


def hungarian_matching(cost: Tensor, *, rounds: int | None = 1) -> Matching:
    r"""One-to-one matching of least total cost, repeated for those that are left over.

    .. math:: \min_\sigma \sum_i C_{i \sigma(i)} \quad \text{over injections of the smaller side into the larger}

    The first round matches min(n, m) pairs. Each further round matches what is left of the larger side to the whole
    smaller side again; the smaller side keeps its partners of the first round.

    Args:
        cost: (..., n, m), finite. Computed on the CPU, one matrix after another.
        rounds: how many at most; what is left then has no partner. None: as many as it takes, ⌈max(n, m) / min(n, m)⌉.

    Returns:
        `Matching`, on the device of the cost; nobody has a partner where there are no rows or no columns.

    Raises:
        ValueError: the cost is not a matrix or not finite, or `rounds` is not positive.

    Source: Kuhn 1955; Wu and Ye 2023 (CVPR, "PGM") match in two rounds, which leaves some without a partner where
    one side has more than twice as many clusters as the other.

    Example:
        >>> cost = torch.tensor([[0.0, 9.0], [1.0, 9.0], [9.0, 2.0]])
        >>> hungarian_matching(cost).first_to_second.tolist()
        [0, -1, 1]
        >>> hungarian_matching(cost, rounds=None).first_to_second.tolist()
        [0, 0, 1]
    """
    if rounds is not None and rounds < 1:
        raise ValueError(f"rounds must be at least 1, or None for as many as it takes, not {rounds}")
    values = checked_cost(cost)
    found = _nobody(values)
    if values.numel() == 0:
        return found
    n, m = values.shape[-2:]
    matrices = values.reshape(-1, n, m).cpu().numpy()
    rows = np.full((len(matrices), n), -1)
    columns = np.full((len(matrices), m), -1)
    for matrix, first, second in zip(matrices, rows, columns, strict=True):
        if n >= m:
            _match_rounds(matrix, first, second, rounds)
        else:
            _match_rounds(matrix.T, second, first, rounds)
    return Matching(
        *(torch.from_numpy(part).to(old).view_as(old) for part, old in zip((rows, columns), found, strict=True))
    )


def _match_rounds(cost: np.ndarray, larger: np.ndarray, smaller: np.ndarray, rounds: int | None) -> None:
    """Fill in the partners of both sides; the cost has at least as many rows as columns."""
    left = np.arange(len(larger))
    done = 0
    while len(left) and (rounds is None or done < rounds):
        row, column = linear_sum_assignment(cost[left])
        larger[left[row]] = column
        if done == 0:
            smaller[column] = left[row]
        left = np.delete(left, row)
        done += 1


def _largest(plan: Tensor, least: Tensor) -> Tensor:
    """The column of each row's largest mass, the first of those that tie; -1 where it is 0 or below `least`."""
    if plan.shape[-1] == 0:
        return torch.full(plan.shape[:-1], -1, dtype=torch.int64, device=plan.device)
    most = plan.amax(dim=-1)
    column = (plan >= (1 - _TIE) * most.unsqueeze(-1)).to(torch.uint8).argmax(dim=-1)
    return torch.where((most > 0) & (most >= (1 - _TIE) * least), column, -1)


def _answered(there: Tensor, back: Tensor) -> Tensor:
    if back.shape[-1] == 0:
        return torch.full_like(there, -1)
    own = torch.arange(there.shape[-1], device=there.device)
    return torch.where((there >= 0) & (back.gather(-1, there.clamp(min=0)) == own), there, -1)


def _nobody(cost: Tensor) -> Matching:
    shape = cost.shape
    rows, columns = (*shape[:-2], shape[-2]), (*shape[:-2], shape[-1])
    return Matching(*(torch.full(size, -1, dtype=torch.int64, device=cost.device) for size in (rows, columns)))
