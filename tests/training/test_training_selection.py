"""The rule by which a training keeps its best network."""

import math

import pytest

from limbeck.training.selection import improves

NAN = math.nan


@pytest.mark.parametrize(
    ("figures", "kept"),
    [
        ([0.1, 0.3, 0.2], 1),
        ([0.3, 0.1, 0.3, 0.3], 0),
        ([NAN, NAN], 0),
        ([NAN, 0.0, NAN, 0.0], 1),
        ([-math.inf, -1.0, math.inf, math.inf], 2),
    ],
)
def test_the_earliest_of_the_best_is_kept(figures: list[float], kept: int) -> None:
    best = None
    for place, figure in enumerate(figures):
        if improves(figure, None if best is None else figures[best]):
            best = place
    assert best == kept


@pytest.mark.parametrize(
    ("figures", "kept"), [([0.1, 0.3, 0.2], 1), ([0.3, 0.1, 0.3, 0.2], 2), ([NAN, NAN], 0), ([NAN, 0.0, NAN, 0.0], 3)]
)
def test_the_latest_of_the_best_is_kept_on_request(figures: list[float], kept: int) -> None:
    best = None
    for place, figure in enumerate(figures):
        if improves(figure, None if best is None else figures[best], ties="latest"):
            best = place
    assert best == kept
