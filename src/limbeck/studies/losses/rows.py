"""The rows of the study and the grid that each is tuned on: as many points for every row."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from limbeck.metric.recipe import MetricRecipe

RowName = Literal[
    "cross-entropy",
    "cross-entropy-random",
    "normalized-softmax",
    "arcface",
    "cosface",
    "center",
    "contrastive",
    "triplet",
    "ranked-list",
    "multi-similarity",
    "snca",
    "supervised-contrastive",
    "spce",
    "proxy-nca",
    "proxy-anchor",
]
GridName = Literal["small", "standard", "large"]
REFERENCE: RowName = "cross-entropy"
UNTRAINED, BOTTLENECK, DISTILLED = "untrained", "best+bottleneck", "best+VSD/VCD"
DISTILLATION = "distillation_weight"


@dataclass(frozen=True)
class Row:
    """A loss, and what of it is tuned beside the learning rate.

    Attributes:
        meaning: in a few words.
        parameter: the one setting of `limbeck.metric.recipe.LossSettings` that is tuned.
        values: of it, the most usual one first.
        loss: other settings of the loss, as its authors have them.
        random: batches are drawn at random, not as classes with several pictures each.
    """

    meaning: str
    parameter: str
    values: tuple[float, float, float]
    loss: dict[str, Any] = field(default_factory=dict)
    random: bool = False


ROWS: dict[RowName, Row] = {
    "cross-entropy": Row("a linear classifier that starts from 0", "label_smoothing", (0.1, 0.0, 0.3)),
    "cross-entropy-random": Row(
        "the same with batches drawn at random, as its authors have it",
        "label_smoothing",
        (0.1, 0.0, 0.3),
        {"name": "cross-entropy"},
        random=True,
    ),
    "normalized-softmax": Row("cross-entropy of cosines with class vectors", "temperature", (0.05, 0.1, 0.2)),
    "arcface": Row("the same with an angle added to the own class's", "margin", (0.5, 0.25, 0.1), {"scale": 32.0}),
    "cosface": Row("the same with a margin off the own class's cosine", "margin", (0.35, 0.2, 0.1), {"scale": 32.0}),
    "center": Row("cross-entropy and the distance to the class's mean", "center_weight", (0.01, 0.1, 0.001)),
    "contrastive": Row("Hadsell's, over all pairs of the batch", "margin", (1.0, 0.5, 1.3)),
    "triplet": Row("semi-hard triplets", "margin", (0.2, 0.1, 0.5)),
    "ranked-list": Row("ranked list loss", "margin", (0.4, 0.2, 0.6)),
    "multi-similarity": Row(
        "multi-similarity with its mining", "negative_scale", (50.0, 20.0, 10.0), {"mining": 0.1, "offset": 0.5}
    ),
    "snca": Row("scalable neighbourhood component analysis, in the batch", "temperature", (0.05, 0.1, 0.2)),
    "supervised-contrastive": Row("SupCon in its outer form, one view a picture", "temperature", (0.1, 0.05, 0.2)),
    "spce": Row("simplified pairwise cross-entropy", "scale", (16.0, 64.0, 4.0)),
    "proxy-nca": Row("ProxyNCA; the rate of its proxies is tuned", "rate_factor", (1.0, 10.0, 100.0)),
    "proxy-anchor": Row("Proxy-Anchor; the rate of its proxies is tuned", "rate_factor", (10.0, 1.0, 100.0)),
}
# What is run unless something else is asked for: of each kind of loss the best known.
DEFAULT: tuple[RowName, ...] = (
    "cross-entropy",
    "cross-entropy-random",
    "normalized-softmax",
    "center",
    "contrastive",
    "triplet",
    "multi-similarity",
    "snca",
    "spce",
    "proxy-anchor",
)
DISTILLATION_WEIGHTS = (1.0, 0.3, 3.0)
ADDED = {
    UNTRAINED: "the network as it begins: the floor",
    BOTTLENECK: "the best of the losses with a bottleneck behind v, no divergence; tuned as the loss is",
    DISTILLED: "the same with VSD and VCD; their common weight is tuned, the loss's own parameter is the best's",
}
# Learning rates, and how many values of the own parameter.
GRIDS: dict[GridName, tuple[tuple[float, ...], int]] = {
    "small": ((1e-3, 4e-3), 1),
    "standard": ((1e-3, 4e-3), 2),
    "large": ((5e-4, 2e-3, 8e-3), 3),
}


@dataclass(frozen=True)
class Point:
    """A point of a grid.

    Attributes:
        rate: the learning rate.
        parameter: of the loss.
        value: of it.
    """

    rate: float
    parameter: str
    value: float

    def __str__(self) -> str:
        return f"rate {self.rate:g}, {self.parameter} {self.value:g}"

    @property
    def folder(self) -> str:
        """As a part of a path."""
        return f"rate-{self.rate:g}-{self.parameter}-{self.value:g}"


def points(grid: GridName, parameter: str, values: tuple[float, ...]) -> tuple[Point, ...]:
    """The points of a grid for a parameter."""
    rates, count = GRIDS[grid]
    return tuple(Point(rate, parameter, value) for rate, value in itertools.product(rates, values[:count]))


def row_recipe(base: MetricRecipe, row: RowName, point: Point, seed: int) -> MetricRecipe:
    """A training of a loss at a point of its grid.

    Args:
        base: network, augmentation, batches and length, the same for all.
        row: the loss.
        point: of its grid.
        seed: of weights and batches.
    """
    given = ROWS[row]
    loss = {"name": row, **given.loss, point.parameter: point.value}
    return replace(
        base,
        sampler=replace(base.sampler, kind="random" if given.random else "classes"),
        loss=replace(base.loss, **loss),
        training=replace(base.training, learning_rate=point.rate, seed=seed),
    )


def bottleneck_recipe(base: MetricRecipe, row: RowName, chosen: Point, point: Point, seed: int) -> MetricRecipe:
    """A training of a loss with a bottleneck behind v, with or without divergences.

    Args:
        base: as of `row_recipe`.
        row: the loss.
        chosen: the best point of the loss without a bottleneck.
        point: of the grid: of the loss's own parameter, and there is no divergence, or of the weight of VSD and VCD,
            and the loss's own parameter is as chosen.
        seed: of weights and batches.
    """
    distilled = point.parameter == DISTILLATION
    made = row_recipe(base, row, replace(chosen, rate=point.rate) if distilled else point, seed)
    weights: dict[str, Any] = {"distillation_weight": 0.0, "consistency": "none"}
    if distilled:
        weights = {"distillation_weight": point.value, "consistency": "vcd", "consistency_weight": point.value}
    return replace(made, network=replace(made.network, bottleneck=True), loss=replace(made.loss, **weights))
