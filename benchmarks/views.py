"""One training step with MV2D against the same step with cross-entropy only, as the number of views grows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from benchmarks.timing import medians
from limbeck.multiview.loss import training_loss
from limbeck.multiview.network import MultiViewNetwork, ViewShape
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.tensors import Batch
from limbeck.nn import AdditiveHead

VIEWS = (2, 4, 8, 16, 32)
FEATURES, CLASSES, BATCH = 100, 20, 64


def run() -> Table:
    """Time and memory of a step for 2 to 32 views, and of the joint head against n + 1 separate evaluations."""
    table = Table(title=f"One step: batch {BATCH}, {FEATURES} features a view, {CLASSES} classes")
    for heading in (
        "views",
        "cross-entropy ms",
        "+ MV2D ms",
        "ratio",
        "kept for backward MB",
        "+ MV2D MB",
        "additive head ms",
        "n + 1 heads ms",
    ):
        table.add_column(heading, justify="right")
    times = []
    for views in VIEWS:
        recipe = Recipe(ranking_weight=0.0)
        plain, mv2d = _step(views, dataclasses.replace(recipe, objective="none")), _step(views, recipe)
        additive, separate = _heads(views)
        seconds = medians({"plain": plain, "mv2d": mv2d, "additive": additive, "separate": separate}, repeats=15)
        times.append(seconds["mv2d"])
        table.add_row(
            str(views),
            f"{1e3 * seconds['plain']:.1f}",
            f"{1e3 * seconds['mv2d']:.1f}",
            f"{seconds['mv2d'] / seconds['plain']:.2f}",
            f"{_kept(plain) / 1e6:.1f}",
            f"{_kept(mv2d) / 1e6:.1f}",
            f"{1e3 * seconds['additive']:.2f}",
            f"{1e3 * seconds['separate']:.2f}",
        )
    exponent = math.log(times[-1] / times[-3]) / math.log(VIEWS[-1] / VIEWS[-3])
    table.caption = f"From {VIEWS[-3]} to {VIEWS[-1]} views the MV2D step grows like n^{exponent:.2f}."
    return table


def _step(views: int, recipe: Recipe) -> Callable[[], None]:
    network = MultiViewNetwork([ViewShape(FEATURES)] * views, CLASSES, recipe)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    generator = torch.Generator().manual_seed(0)
    batch = Batch(tuple(torch.randn(1, BATCH, FEATURES, generator=generator) for _ in range(views)), None)
    labels = torch.randint(CLASSES, (1, BATCH), generator=generator)

    def step() -> None:
        optimizer.zero_grad()
        training_loss(network(batch), labels, recipe).total.sum().backward()
        optimizer.step()

    return step


def _heads(views: int, features: int = 256) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The joint and all leave-one-out predictions: by subtraction, and by evaluating the head once for each."""
    head = AdditiveHead(features, CLASSES, views)
    representations = torch.randn(views, BATCH, features)
    keep = ~torch.eye(views, dtype=torch.bool)

    def separate() -> list[Tensor]:
        masks = [torch.ones(views, dtype=torch.bool), *keep]
        return [head(representations, mask.unsqueeze(1).expand(-1, BATCH)).joint for mask in masks]

    return lambda: head(representations), separate


def _kept(step: Callable[[], None]) -> int:
    """Bytes that autograd keeps between the forward and the backward pass, each storage once."""
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    return sum(sizes.values())
