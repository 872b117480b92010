"""Re-identification: what the divergences cost, what two encoder passes a picture save, how fast pictures come.

Steps take turns and each is compared with the other of its round, so that a drift of the machine meets both alike.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from rich.box import SIMPLE
from rich.table import Table

from limbeck.images.cache import decoded_images
from limbeck.reid.network import Outputs, ReidNetwork
from limbeck.reid.recipe import ReidRecipe
from limbeck.reid.sets import load_people
from limbeck.reid.supervised.batches import Batch
from limbeck.reid.supervised.task import ReidTask
from limbeck.studies.people import small_recipe
from limbeck.studies.reid_cost.run import training_step
from limbeck.studies.timing import in_turns
from limbeck.synthetic.people import PeopleSettings, make_people

_CLASSES, _ROUNDS, _STEPS = 320, 15, 60


def run() -> Table:
    """Ratios of steps of the small network, and pictures a second."""
    table = Table(title="re-identification: the small encoder on 64 x 32, 64 pictures a step", box=SIMPLE)
    for heading in ("what", "seconds", "of", "ratio"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    recipe = small_recipe()
    plain = replace(recipe, loss=replace(recipe.loss, objective="none"))
    grey = replace(recipe, network=replace(recipe.network, routing="grey"))
    step = partial(training_step, classes=_CLASSES, device=torch.device("cpu"), precision="bf16")
    for what, first, second in (
        ("step with VD, over the same network's step without", step(recipe), step(plain)),
        (
            "step with two passes a picture, over the published four, written plainly",
            step(recipe),
            step(grey, forward=_published),
        ),
    ):
        mine, other, ratio = _compared(first, second)
        table.add_row(what, f"{mine:.3f}", f"{other:.3f}", f"{ratio:.3f}")
    loading, training = _throughput(recipe)
    table.add_row("pictures a second: decoded, changed, in a batch", f"{loading:,.0f}", "", "")
    table.add_row("pictures a second: training on them", f"{training:,.0f}", "", "")
    return table


def _published(network: ReidNetwork, batch: Batch) -> Outputs:
    """As the authors' code does it: four encoder passes of all pictures, one after the other."""
    pictures = torch.cat([batch.visible, batch.infrared])
    # Grey is made picture by picture, as there.
    grey = torch.stack([(one * network.luma).sum(0, keepdim=True).expand_as(one) for one in pictures])
    branches = network.branches
    return Outputs(
        (branches["visible"](pictures), branches["infrared"](grey)),
        (branches["shared"](pictures), branches["shared"](grey)),
    )


def _compared(first: Callable[[], None], second: Callable[[], None]) -> tuple[float, float, float]:
    """Median seconds of both, and the median of the rounds' ratios."""
    for step in (first, second):
        step()
        step()
    mine, other = in_turns({"first": first, "second": second}, repeats=_ROUNDS).values()
    ratios = (a / b for a, b in zip(mine, other, strict=True))
    return statistics.median(mine), statistics.median(other), statistics.median(ratios)


def _throughput(recipe: ReidRecipe) -> tuple[float, float]:
    """Pictures a second out of the cache into augmented batches, and through training steps too."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / "people"
        make_people(place, PeopleSettings(train_identities=40, validation_identities=0, test_identities=1))
        people = load_people("sysu", place)
        size = recipe.data.height, recipe.data.width
        decoded = decoded_images(people.root, people.path, Path(name) / "cache", size=size)
        data = replace(recipe.data, root=str(place), splits=("train",))
        task = ReidTask(replace(recipe, data=data), people, decoded.images, decoded.rows)
        count = 2 * data.identities * data.pictures * _STEPS
        started = time.perf_counter()
        for _ in task.batches(0, _STEPS):
            pass
        loading = count / (time.perf_counter() - started)
        optimizer = torch.optim.AdamW(task.network.parameters(), lr=1e-4, foreach=True)
        task.network.train()
        started = time.perf_counter()
        for batch in task.batches(0, _STEPS):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16):
                terms = task.terms(task.network, batch)
            torch.stack(list(terms.values())).sum().backward()
            optimizer.step()
        return loading, count / (time.perf_counter() - started)
