"""Re-identification: what the divergences cost, what two encoder passes a picture save, how fast pictures come.

Steps take turns and each is compared with the other of its round, so that a drift of the machine meets both alike.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from rich.box import SIMPLE
from rich.table import Table
from torch import Tensor

from limbeck.reid.batches import Batch
from limbeck.reid.cache import decoded_images
from limbeck.reid.commands import load_people
from limbeck.reid.loss import training_terms
from limbeck.reid.network import Outputs, ReidNetwork
from limbeck.reid.people import PeopleSettings, make_people
from limbeck.reid.recipe import ReidRecipe
from limbeck.reid.task import ReidTask
from limbeck.studies.table4 import small_recipe

_CLASSES, _ROUNDS, _STEPS = 320, 15, 60


def run() -> Table:
    """Ratios of steps of the small network, and pictures a second."""
    table = Table(title="re-identification: the small encoder on 64 x 32, 64 pictures a step", box=SIMPLE)
    for heading in ("what", "seconds", "of", "ratio"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    recipe = small_recipe()
    plain = replace(recipe, loss=replace(recipe.loss, objective="none"))
    grey = replace(recipe, network=replace(recipe.network, routing="grey"))
    for what, first, second in (
        ("step with VD, over the same network's step without", _step(recipe), _step(plain)),
        ("step with two passes a picture, over the published four, written plainly", _step(recipe), _published(grey)),
    ):
        mine, other, ratio = _compared(first, second)
        table.add_row(what, f"{mine:.3f}", f"{other:.3f}", f"{ratio:.3f}")
    loading, training = _throughput(recipe)
    table.add_row("pictures a second: decoded, changed, in a batch", f"{loading:,.0f}", "", "")
    table.add_row("pictures a second: training on them", f"{training:,.0f}", "", "")
    return table


def _batch(recipe: ReidRecipe) -> Batch:
    data = recipe.data
    shape = (data.identities * data.pictures, 3, data.height, data.width)
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(data.identities).repeat_interleave(data.pictures)
    return Batch(torch.rand(shape, generator=rng), torch.rand(shape, generator=rng), labels)


def _step(recipe: ReidRecipe) -> Callable[[], None]:
    """One training step of the shipped network."""
    torch.manual_seed(0)
    network = ReidNetwork(recipe, _CLASSES).train()
    batch = _batch(recipe)

    def terms() -> dict[str, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            outputs = network(batch.visible, batch.infrared)
        return training_terms(outputs, batch.labels, recipe.loss)

    return _optimised(network, terms)


def _published(recipe: ReidRecipe) -> Callable[[], None]:
    """One step as the authors' code does it: four encoder passes of all pictures, one after the other."""
    torch.manual_seed(0)
    network = ReidNetwork(recipe, _CLASSES).train()
    batch = _batch(recipe)

    def terms() -> dict[str, Tensor]:
        pictures = torch.cat([batch.visible, batch.infrared])
        with torch.autocast("cpu", torch.bfloat16):
            # Grey is made picture by picture, as there.
            grey = torch.stack([(one * network.luma).sum(0, keepdim=True).expand_as(one) for one in pictures])
            branches = network.branches
            colour, tones = (branches["visible"](pictures), branches["infrared"](grey))
            shared = branches["shared"](pictures), branches["shared"](grey)
        return training_terms(Outputs((colour, tones), shared), batch.labels, recipe.loss)

    return _optimised(network, terms)


def _optimised(network: ReidNetwork, terms: Callable[[], dict[str, Tensor]]) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, foreach=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms().values())).sum().backward()
        optimizer.step()

    return step


def _compared(first: Callable[[], None], second: Callable[[], None]) -> tuple[float, float, float]:
    """Median seconds of both, and the median of the rounds' ratios."""
    for step in (first, second):
        step()
        step()
    rounds = []
    for number in range(_ROUNDS):
        seconds = {}
        for step in (first, second) if number % 2 else (second, first):
            started = time.perf_counter()
            step()
            seconds[step] = time.perf_counter() - started
        rounds.append((seconds[first], seconds[second]))
    mine, other = zip(*rounds, strict=True)
    return statistics.median(mine), statistics.median(other), statistics.median(a / b for a, b in rounds)


def _throughput(recipe: ReidRecipe) -> tuple[float, float]:
    """Pictures a second out of the cache into augmented batches, and through training steps too."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / "people"
        make_people(place, PeopleSettings(train_identities=40, validation_identities=0, test_identities=1))
        people = load_people("sysu", place)
        size = recipe.data.height, recipe.data.width
        images = decoded_images(people.root, people.path, Path(name) / "cache", size=size).images
        data = replace(recipe.data, root=str(place), parts=("train",))
        task = ReidTask(replace(recipe, data=data), people, images)
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
