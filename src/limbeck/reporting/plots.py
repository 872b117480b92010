"""What all plots share: colours, text as it is, and a figure as the bytes of a PNG file or as the file itself."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limbeck.files import atomic_writer
from limbeck.reporting.statistics import Estimate
from limbeck.reporting.terminal import printable

ACCENT, PLAIN, PAPER = "#b5402a", "#3b5b7a", "#7a7a7a"  # ours, what it is compared with, what is printed elsewhere


def plain(text: str) -> str:
    r"""Text for matplotlib to show as it is; whatever others have named goes through here.

    Dollars would begin a formula, which fails where it is none; an underscore at the beginning hides a legend entry.

    Example:
        >>> print(plain(r"$\frac{$"))
        \$\frac{\$
    """
    shown = printable(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def png(figure: Figure, *, dpi: int = 120) -> bytes:
    """The figure as the bytes of a PNG file; the figure is empty afterwards."""
    stream = io.BytesIO()
    # Photographs take a third of the time that the default level takes, and three per cent more bytes.
    figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None}, pil_kwargs={"compress_level": 4})
    figure.clear()
    return stream.getvalue()


def save_plot(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write the figure as a PNG file, atomically."""
    with atomic_writer(path) as stream:
        stream.write(png(figure))


def paired_dots(axes: Axes, columns: Sequence[Sequence[float]], *, highlighted: int | None = None) -> None:
    """One dot a value, a bar at the mean of each column, and a line that joins the values of one place.

    Args:
        axes: to draw into.
        columns: of each row of a study its values, those of one seed at the same place.
        highlighted: the column whose mean is drawn in the accent colour.
    """
    for paired in zip(*columns, strict=False):
        axes.plot(range(len(columns)), paired, color=PAPER, linewidth=0.7, marker="o", markersize=3.5, zorder=1)
    for place, values in enumerate(columns):
        axes.plot(
            [place - 0.25, place + 0.25],
            [Estimate.from_values(values).mean] * 2,
            color=ACCENT if place == highlighted else PLAIN,
            linewidth=3,
            solid_capstyle="butt",
            zorder=2,
        )
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
