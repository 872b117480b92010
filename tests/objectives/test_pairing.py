"""Pairs of one identity against loops over all samples."""

import pytest
import torch

from limbeck.objectives import identity_pairs


def _naive(first: list[int], second: list[int], how: str) -> list[tuple[int, int]]:
    pairs = []
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            if a == b and (how == "all" or first[:i].count(a) == second[:j].count(b)):
                pairs.append((i, j))
    return pairs


def _pairs(first: list[int], second: list[int], **options: str) -> list[tuple[int, int]]:
    found = identity_pairs(torch.tensor(first, dtype=torch.int64), torch.tensor(second, dtype=torch.int64), **options)
    assert all(positions.dtype == torch.int64 for positions in found)
    return list(zip(*(positions.tolist() for positions in found), strict=True))


@pytest.mark.parametrize("how", ["matched", "all"])
@pytest.mark.parametrize("seed", range(20))
def test_pairs_are_those_of_the_loops_in_their_order(seed: int, how: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    first, second = (
        torch.randint(-2, 5, (int(torch.randint(0, 20, (), generator=generator)),), generator=generator).tolist()
        for _ in range(2)
    )
    assert _pairs(first, second, how=how) == _naive(first, second, how)


def test_a_batch_of_p_times_k_is_matched_row_by_row() -> None:
    labels = [3, 3, 1, 1, 2, 2]
    assert _pairs(labels, labels) == [(k, k) for k in range(6)]
    assert len(_pairs(labels, labels, how="all")) == 3 * 2 * 2


def test_surplus_samples_are_left_out_and_matched_is_the_default() -> None:
    assert _pairs([5, 5, 5, 7], [7, 5, 9, 5]) == [(0, 1), (1, 3), (3, 0)]


@pytest.mark.parametrize("how", ["matched", "all"])
def test_swapping_the_views_swaps_the_pairs(how: str) -> None:
    first, second = [4, 1, 4, 2, 1, 4], [1, 4, 4, 3, 1, 1]
    assert sorted((j, i) for i, j in _pairs(second, first, how=how)) == _pairs(first, second, how=how)


@pytest.mark.parametrize("how", ["matched", "all"])
@pytest.mark.parametrize(("first", "second"), [([], []), ([1], []), ([], [1]), ([1, 2], [3])])
def test_nothing_in_common_gives_no_pairs(first: list[int], second: list[int], how: str) -> None:
    assert _pairs(first, second, how=how) == []


@pytest.mark.parametrize("labels", [torch.zeros(2, 1, dtype=torch.int64), torch.tensor(3), torch.zeros(2)])
def test_other_labels_are_refused(labels: torch.Tensor) -> None:
    good = torch.tensor([1, 2])
    with pytest.raises(ValueError, match="first_labels must be"):
        identity_pairs(labels, good)
    with pytest.raises(ValueError, match="second_labels must be"):
        identity_pairs(good, labels)
    with pytest.raises(ValueError, match="how must be 'matched' or 'all', not 'some'"):
        identity_pairs(good, good, how="some")
