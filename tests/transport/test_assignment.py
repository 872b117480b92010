"""Matchings against loops, scipy and the cases of few, many and no clusters."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from tests.transport.problems import clustered_cost, random_cost
from torch import Tensor

from limbeck.transport import (
    Matching,
    TransportPlan,
    hungarian_matching,
    nearest_neighbour_matching,
    partial_sinkhorn,
    plan_matching,
    sinkhorn,
    unbalanced_sinkhorn,
)

Matcher = Callable[[Tensor], Matching]
MATCHERS: dict[str, Matcher] = {
    "sinkhorn": lambda cost: plan_matching(sinkhorn(cost)),
    "partial": lambda cost: plan_matching(partial_sinkhorn(cost, mass=0.5)),
    "unbalanced": lambda cost: plan_matching(unbalanced_sinkhorn(cost)),
    "nearest": nearest_neighbour_matching,
    "hungarian": hungarian_matching,
    "hungarian in rounds": lambda cost: hungarian_matching(cost, rounds=None),
}
each_matcher = pytest.mark.parametrize("matcher", MATCHERS.values(), ids=MATCHERS)


def _plan(values: list[list[float]]) -> TransportPlan:
    plan = torch.tensor(values, dtype=torch.float64)
    none = torch.zeros(())
    rows, columns = plan.sum(dim=-1), plan.sum(dim=-2)
    return TransportPlan(plan, rows, columns, rows, columns, none, none, none, none, none)


# Of a plan


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6])
def test_a_plan_is_matched_as_by_loops(seed: int, threshold: float) -> None:
    result = sinkhorn(random_cost(17, 12, seed=seed), epsilon=0.1)
    plan, a, b = (values.tolist() for values in (result.plan, result.row_prior, result.column_prior))
    found = plan_matching(result, threshold=threshold)
    rows = [max(range(12), key=lambda j, i=i: plan[i][j]) for i in range(17)]
    columns = [max(range(17), key=lambda i, j=j: plan[i][j]) for j in range(12)]
    rows = [j if plan[i][j] >= threshold * a[i] else -1 for i, j in enumerate(rows)]
    columns = [i if plan[i][j] >= threshold * b[j] else -1 for j, i in enumerate(columns)]
    assert found.first_to_second.tolist() == rows
    assert found.second_to_first.tolist() == columns
    assert found.first_to_second.dtype == found.second_to_first.dtype == torch.int64
    mutual = found.mutual()
    assert mutual.first_to_second.tolist() == [j if j >= 0 and columns[j] == i else -1 for i, j in enumerate(rows)]
    assert mutual.second_to_first.tolist() == [i if i >= 0 and rows[i] == j else -1 for j, i in enumerate(columns)]


def test_ties_go_to_the_lowest_index() -> None:
    tied = _plan([[0.1, 0.2, 0.2 * (1 + 1e-9)], [0.3, 0.3, 0.1], [0.0, 0.0, 0.0]])
    assert plan_matching(tied).first_to_second.tolist() == [1, 0, -1]
    assert nearest_neighbour_matching(torch.tensor([[3, 1, 1], [3, 2, 1]])) == (
        pytest.approx([1, 2]),
        pytest.approx([0, 0, 0]),
    )


def test_thresholds_are_shares_of_the_prior() -> None:
    result = _plan([[0.06, 0.04], [0.45, 0.45]])
    assert plan_matching(result, threshold=0.6).first_to_second.tolist() == [0, -1]
    assert plan_matching(result, threshold=0.61).first_to_second.tolist() == [-1, -1]
    assert plan_matching(_plan([[0.3], [0.7]]), threshold=1.0).first_to_second.tolist() == [0, 0]


def test_in_partial_transport_those_without_a_counterpart_abstain() -> None:
    # Five identities in both views, three rows and two columns of nobody else.
    cost = torch.full((8, 7), 1.0)
    cost[:5, :5].fill_diagonal_(0.0)
    a, b = torch.ones(8), torch.ones(7)
    everything = plan_matching(sinkhorn(cost))
    assert (everything.first_to_second >= 0).all()
    for result in (partial_sinkhorn(cost, a, b, mass=5.0), unbalanced_sinkhorn(cost, a, b, strength=0.1)):
        found = plan_matching(result, threshold=0.5)
        assert found.first_to_second.tolist() == [0, 1, 2, 3, 4, -1, -1, -1]
        assert found.second_to_first.tolist() == [0, 1, 2, 3, 4, -1, -1]


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_is_no_share_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\]"):
        plan_matching(_plan([[1.0]]), threshold=threshold)


# Any number of clusters on either side


@each_matcher
@pytest.mark.parametrize(
    "size", [(30, 18), (18, 30), (40, 12), (12, 40), (20, 20), (1, 9), (9, 1), (1, 1)], ids=lambda s: f"{s[0]}x{s[1]}"
)
def test_any_numbers_of_clusters(matcher: Matcher, size: tuple[int, int]) -> None:
    n, m = size
    first, second = matcher(clustered_cost(n, m))
    assert first.shape == (n,)
    assert second.shape == (m,)
    assert ((first >= -1) & (first < m)).all()
    assert ((second >= -1) & (second < n)).all()
    if matcher not in (MATCHERS["hungarian"], MATCHERS["partial"], MATCHERS["unbalanced"]):
        assert (first >= 0).all(), "more than twice as many on one side leave nobody out"
        assert (second >= 0).all()


@each_matcher
@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0), (2, 0, 4), (0, 3, 4)])
def test_without_clusters_nobody_has_a_partner(matcher: Matcher, shape: tuple[int, ...]) -> None:
    found = matcher(torch.zeros(shape))
    assert found.first_to_second.shape == shape[:-1]
    assert found.second_to_first.shape == (*shape[:-2], shape[-1])
    for matching in (found, found.mutual()):
        for partners in matching:
            assert partners.dtype == torch.int64
            assert partners.eq(-1).all()


@each_matcher
def test_a_batch_is_matched_as_a_loop(matcher: Matcher) -> None:
    costs = torch.stack([clustered_cost(14, 9, seed=seed) for seed in range(4)]).view(2, 2, 14, 9)
    found = matcher(costs)
    for i in range(2):
        for j in range(2):
            for whole, single in zip(
                (*found, *found.mutual()), (*(one := matcher(costs[i, j])), *one.mutual()), strict=True
            ):
                assert torch.equal(whole[i, j], single)


@each_matcher
def test_swapping_the_views_swaps_the_directions(matcher: Matcher) -> None:
    cost = clustered_cost(25, 14)
    first, second = matcher(cost)
    other = matcher(cost.mT)
    assert torch.equal(other.first_to_second, second)
    assert torch.equal(other.second_to_first, first)


# The Hungarian method


@pytest.mark.parametrize("size", [(20, 20), (31, 20), (20, 31), (52, 20), (20, 61)])
def test_one_round_is_scipys_assignment(size: tuple[int, int]) -> None:
    cost = random_cost(*size, seed=3)
    rows, columns = linear_sum_assignment(cost.numpy())
    first, second = hungarian_matching(cost)
    expected = np.full(size[0], -1)
    expected[rows] = columns
    assert first.tolist() == expected.tolist()
    assert int((first >= 0).sum()) == int((second >= 0).sum()) == min(size)
    assert torch.equal(hungarian_matching(cost).mutual().first_to_second, first)


@pytest.mark.parametrize("swap", [False, True])
def test_rounds_match_what_is_left(swap: bool) -> None:
    cost = random_cost(52, 20, seed=3)
    left, expected, used = list(range(52)), np.full(52, -1), []
    while left:
        rows, columns = linear_sum_assignment(cost.numpy()[left])
        expected[np.array(left)[rows]] = columns
        used.append(len(rows))
        left = [row for number, row in enumerate(left) if number not in set(rows.tolist())]
    assert used == [20, 20, 12]
    found = hungarian_matching(cost.mT if swap else cost, rounds=None)
    first, second = found[::-1] if swap else found
    assert first.tolist() == expected.tolist()
    two = hungarian_matching(cost.mT if swap else cost, rounds=2)[1 if swap else 0]
    assert int((two == -1).sum()) == 12
    assert torch.equal(two[two >= 0], first[two >= 0])
    assert torch.equal(second, hungarian_matching(cost).second_to_first)


@pytest.mark.parametrize("rounds", [0, -1])
def test_no_rounds_are_refused(rounds: int) -> None:
    with pytest.raises(ValueError, match="rounds must be at least 1"):
        hungarian_matching(torch.zeros(2, 2), rounds=rounds)


@pytest.mark.parametrize("matcher", [nearest_neighbour_matching, hungarian_matching])
def test_costs_that_are_not_finite_are_refused(matcher: Matcher) -> None:
    with pytest.raises(ValueError, match="cost must be finite"):
        matcher(torch.tensor([[0.0, float("nan")]]))
    with pytest.raises(ValueError, match="cost must be"):
        matcher(torch.zeros(3))


# Which is better


@pytest.mark.slow
def test_transport_finds_more_partners_than_the_baselines_where_there_are_hubs() -> None:
    generator = torch.Generator().manual_seed(0)
    people, width = 95, 64
    centres = torch.nn.functional.normalize(torch.randn(people, width, generator=generator).double(), dim=-1)
    first, second = (
        torch.cat([torch.arange(people), torch.randint(people, (k,), generator=generator)]) for k in (83, 7)
    )
    hub = centres.mean(dim=0) * 6

    def view(who: Tensor, pull: float) -> Tensor:
        noise = torch.randn(len(who), width, generator=generator).double() * 0.13
        near = torch.rand(len(who), 1, generator=generator).double() * pull
        return torch.nn.functional.normalize(centres[who] + noise + near * hub, dim=-1)

    cost = 1 - view(first, 2.5) @ view(second, 2.5).mT
    right = {}
    for name in ("sinkhorn", "nearest", "hungarian in rounds"):
        partners = MATCHERS[name](cost).first_to_second
        assert (partners >= 0).all()
        right[name] = (second[partners] == first).double().mean().item()
    assert right["sinkhorn"] > right["nearest"] + 0.05
    assert right["sinkhorn"] > right["hungarian in rounds"] + 0.05
    every = plan_matching(sinkhorn(cost))
    mutual = every.mutual().first_to_second
    precision = (second[mutual] == first)[mutual >= 0].double().mean().item()
    assert precision > right["sinkhorn"] + 0.05
