"""Table 5 of Tian et al. 2022 (Table 4 of 2021): what the bottleneck and the objectives cost in time and parameters."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from limbeck.devices import check_device
from limbeck.errors import InputError
from limbeck.reid.network import Outputs, ReidNetwork
from limbeck.reid.recipe import DataSettings, LossSettings, NetworkSettings, ReidRecipe
from limbeck.reid.supervised.batches import Batch
from limbeck.reid.supervised.loss import training_terms
from limbeck.settings import PositiveInt, check_settings
from limbeck.studies.people import ROWS
from limbeck.studies.timing import in_turns

logger = logging.getLogger(__name__)
SHOWN = ("E", "E+B", "VD", "CIB")


def published_recipe() -> ReidRecipe:
    """The configuration whose parameters the 2021 paper counts: one branch, as its code builds it."""
    return ReidRecipe(
        data=DataSettings(height=256, width=128, identities=8, pictures=4),
        network=NetworkSettings(
            weights="none",
            branches=("shared",),
            hidden=(1000, 500),
            representation=512,
            gaussian=False,
        ),
        loss=LossSettings(consistency="vcd+vml"),
    )


@dataclass(frozen=True)
class ReidCostSettings:
    """What is measured.

    Attributes:
        recipe: of the network.
        classes: identities; SYSU-MM01 has 395 to learn from.
        repeats: steps of each row; they take turns, so that a drift of the machine meets all alike.
        device: where.
        precision: "fp32" or "bf16".
    """

    recipe: ReidRecipe = field(default_factory=published_recipe)
    classes: PositiveInt = 395
    repeats: PositiveInt = 5
    device: str = "cpu"
    precision: str = "fp32"

    def __post_init__(self) -> None:
        check_settings(self)
        if self.classes < self.recipe.data.identities:
            raise InputError(f"classes must be at least recipe.data.identities, {self.recipe.data.identities}")
        if self.precision not in ("fp32", "bf16"):
            raise InputError(f"precision must be fp32 or bf16, not {self.precision!r}")


@dataclass(frozen=True)
class Cost:
    """Of one row: seconds of a training step (median), its ratio to the first row's, and parameters."""

    row: str
    seconds: float
    ratio: float
    parameters: int


@dataclass(frozen=True)
class ReidCostResult:
    """A cost a row, in the order of `SHOWN`."""

    settings: ReidCostSettings
    costs: tuple[Cost, ...]


def run(settings: ReidCostSettings, folder: Path) -> ReidCostResult:
    """Time training steps (forward, loss, backward, Adam) of every row on the same batch.

    All parameters are counted; the paper counts the classification layer of ImageNet too, 2,049,000 that no forward
    pass uses.

    Args:
        settings: what is measured.
        folder: nothing is written to it.

    Raises:
        InputError: the device is not there.
    """
    del folder
    device = check_device(settings.device)
    steps = {
        row: training_step(row_recipe(settings, row), settings.classes, device=device, precision=settings.precision)
        for row in SHOWN
    }
    for row, step in steps.items():
        step()
        logger.info("%s: ready", row)
    seconds = in_turns(steps, repeats=settings.repeats)
    median = {row: statistics.median(values) for row, values in seconds.items()}
    # Rounds are compared with themselves: what slows the machine for a while slows all rows of a round.
    ratio = {
        row: statistics.median(mine / base for mine, base in zip(values, seconds[SHOWN[0]], strict=True))
        for row, values in seconds.items()
    }
    costs = (
        Cost(row, median[row], ratio[row], count_parameters(row_recipe(settings, row), settings.classes))
        for row in SHOWN
    )
    return ReidCostResult(settings, tuple(costs))


def row_recipe(settings: ReidCostSettings, row: str) -> ReidRecipe:
    """The recipe of a row; the conventional bottleneck's outputs are means and variances, half of them each."""
    network, loss = ROWS[row]
    changes: dict[str, Any] = dict(network)
    if row == "CIB" and not settings.recipe.network.gaussian:
        changes |= {"gaussian": True, "representation": settings.recipe.network.representation // 2}
    return replace(
        settings.recipe,
        network=replace(settings.recipe.network, **changes),
        loss=replace(settings.recipe.loss, **loss),
    )


def count_parameters(recipe: ReidRecipe, classes: int) -> int:
    """Parameters of a network, without making it."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in ReidNetwork(recipe, classes).parameters())


Forward = Callable[[ReidNetwork, Batch], Outputs]


def training_step(
    recipe: ReidRecipe,
    classes: int,
    *,
    device: torch.device,
    precision: str = "fp32",
    forward: Forward | None = None,
) -> Callable[[], None]:
    """A whole training step (forward, loss, backward, Adam) of a network on one batch of random pictures.

    Args:
        recipe: of the network.
        classes: identities.
        device: where.
        precision: of the forward pass, "fp32" or "bf16".
        forward: another forward pass than the network's own.
    """
    torch.manual_seed(0)
    network = ReidNetwork(recipe, classes).to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-5)
    data = recipe.data
    shape = (data.identities * data.pictures, 3, data.height, data.width)
    labels = torch.arange(data.identities).repeat_interleave(data.pictures)
    batch = Batch(torch.rand(shape).to(device), torch.rand(shape).to(device), labels.to(device))

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            outputs = network(batch.visible, batch.infrared) if forward is None else forward(network, batch)
        terms = training_terms(outputs, batch.labels, recipe.loss, network=network)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step
