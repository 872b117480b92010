"""Table 5 of Tian et al. 2022 (Table 4 of 2021): what the bottleneck and the objectives cost in time and parameters."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from limbeck.devices import check_device
from limbeck.errors import InputError
from limbeck.files import write_json, write_text
from limbeck.reid.network import Outputs, ReidNetwork
from limbeck.reid.recipe import DataSettings, LossSettings, NetworkSettings, ReidRecipe
from limbeck.reid.supervised.batches import Batch
from limbeck.reid.supervised.loss import training_terms
from limbeck.reporting.tables import format_table
from limbeck.studies.published import TABLE_5
from limbeck.studies.reid_ablation.run import ROWS
from limbeck.studies.timing import in_turns

logger = logging.getLogger(__name__)
SHOWN = ("E", "E+B", "VD", "CIB")


def published_recipe() -> ReidRecipe:
    """The configuration whose parameters the 2021 paper counts: one branch, as its code builds it."""
    return ReidRecipe(
        DataSettings(height=256, width=128, identities=8, pictures=4),
        NetworkSettings(
            weights="none",
            branches=("shared",),
            hidden=(1000, 500),
            representation=512,
            gaussian=False,
        ),
        LossSettings(consistency="vcd+vml"),
    )


@dataclass(frozen=True)
class Table5Settings:
    """What is measured.

    Attributes:
        recipe: of the network.
        classes: identities; SYSU-MM01 has 395 to learn from.
        repeats: steps of each row; they take turns, so that a drift of the machine meets all alike.
        device: where.
        precision: "fp32" or "bf16".
    """

    recipe: ReidRecipe = field(default_factory=published_recipe)
    classes: int = 395
    repeats: int = 5
    device: str = "cpu"
    precision: str = "fp32"

    def __post_init__(self) -> None:
        if self.repeats < 1 or self.classes < self.recipe.data.identities:
            raise InputError("repeats must be at least 1, and classes at least data.identities")
        if self.precision not in ("fp32", "bf16"):
            raise InputError(f"precision must be fp32 or bf16, not {self.precision!r}")


@dataclass(frozen=True)
class Cost:
    """Of one row: seconds of a training step (median), its ratio to the first row's, and parameters."""

    row: str
    seconds: float
    ratio: float
    parameters: int


def run_table5(settings: Table5Settings) -> list[Cost]:
    """Time training steps (forward, loss, backward, Adam) of every row on the same batch.

    All parameters are counted; the paper counts the classification layer of ImageNet too, 2,049,000 that no forward
    pass uses.
    """
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
    return [
        Cost(row, median[row], ratio[row], count_parameters(row_recipe(settings, row), settings.classes))
        for row in SHOWN
    ]


def row_recipe(settings: Table5Settings, row: str) -> ReidRecipe:
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


def write_table5(costs: Sequence[Cost], settings: Table5Settings, folder: Path) -> list[Path]:
    """Write `table5.json` and `table5.txt`."""
    files = [folder / "table5.json", folder / "table5.txt"]
    write_json(files[0], {"costs": [vars(cost) for cost in costs], "recipe": settings.recipe.to_dict()})
    write_text(files[1], format_table5(costs, settings))
    return files


def format_table5(costs: Sequence[Cost], settings: Table5Settings) -> str:
    """Seconds, ratios and parameters beside the paper's."""
    data, network = settings.recipe.data, settings.recipe.network
    title = (
        f"{network.encoder}, branches {', '.join(network.branches)}, {2 * data.identities * data.pictures} pictures of "
        f"{data.height} x {data.width}, {settings.device}, {settings.precision}"
    )
    headings = ("row", "seconds a step", "time", "paper", "parameters", "paper ")
    note = (
        "time: over the first row's, median of the rounds' ratios. The paper's parameters hold ImageNet's "
        "classification layer (2,049,000), which nothing uses; its conventional bottleneck has 589,824 more, because "
        "head and critic read all 512 numbers there, and the 256 means here."
    )
    return format_table(headings, map(_cells, costs), title=title) + note + "\n"


def _cells(cost: Cost) -> list[str]:
    paper = TABLE_5.get(cost.row)
    return [
        cost.row,
        f"{cost.seconds:.3f}",
        f"{cost.ratio:.3f}",
        "" if paper is None else f"{paper[0]:.2f}",
        f"{cost.parameters:,}",
        "" if paper is None else f"{paper[1] / 1e6:.2f} M",
    ]
