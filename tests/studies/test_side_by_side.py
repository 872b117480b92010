"""Work in several processes."""

import operator

import pytest
import torch

from limbeck.studies.side_by_side import side_by_side


def threads_of(_: int) -> int:
    return torch.get_num_threads()


def test_one_job_works_here_and_one_item_after_another() -> None:
    done: list[int] = []
    made = side_by_side(done.append, [1, 2, 3], 1)
    assert done == []
    next(made)
    assert done == [1]
    assert list(side_by_side(operator.neg, [], 2)) == []


@pytest.mark.slow
def test_several_jobs_give_the_same_in_order_with_a_share_of_the_cores() -> None:
    assert list(side_by_side(operator.neg, range(5), 2)) == [0, -1, -2, -3, -4]
    threads = max(1, torch.get_num_threads() // 2)
    assert list(side_by_side(threads_of, [0, 1], 2)) == [threads, threads]
