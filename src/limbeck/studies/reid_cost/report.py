"""What people see of the costs: a table beside the paper's, a JSON file."""

from __future__ import annotations

from pathlib import Path

from limbeck.files import write_json, write_text
from limbeck.reporting.tables import format_table
from limbeck.studies.published import TABLE_5
from limbeck.studies.reid_cost.run import Cost, ReidCostResult


def write_report(result: ReidCostResult, folder: Path) -> list[Path]:
    """Write `reid-cost.json` and `reid-cost.txt`.

    Returns:
        The files, in that order.

    Raises:
        OSError: the folder cannot be written.
    """
    files = [folder / "reid-cost.json", folder / "reid-cost.txt"]
    costs = [vars(cost) for cost in result.costs]
    write_json(files[0], {"costs": costs, "recipe": result.settings.recipe.to_dict()})
    write_text(files[1], format_report(result))
    return files


def format_report(result: ReidCostResult) -> str:
    """Seconds, ratios and parameters beside the paper's."""
    settings = result.settings
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
    return format_table(headings, map(_cells, result.costs), title=title) + note + "\n"


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
