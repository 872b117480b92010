"""A sheet of ranked pictures: queries drawn by a stated rule, and what each of them finds first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.modalities import MODALITIES
from limbeck.reporting.plots import plain
from limbeck.retrieval.features import Features
from limbeck.retrieval.ranking import Ranks
from limbeck.retrieval.report.style import RIGHT_COLOUR, SOFT, WRONG_COLOUR
from limbeck.retrieval.top_k import RankedList

Pictures = Callable[[int], NDArray[np.uint8]]

# In points (1/72 inch): the space of a picture, what lies between, the text beneath, the numbers above, the margin.
_GAP, _BELOW, _ABOVE, _MARGIN = 13.0, 37.0, 22.0, 12.0
_BETWEEN = 20.0  # more, between the query and what it finds
_AREA = 64.0 * 128.0
_LIGHT, _DARK = ("#000000", SOFT, "#ffffff"), ("#e8e8e8", "#b4b4b4", "#17181a")  # headings, text, paper
_LETTER = 5.0  # width of a letter of the text beneath, at most
_LONGEST = 18  # letters of a name; a longer one is cut


@dataclass(frozen=True)
class ShownQuery:
    """A row of the sheet: what was found, and the query's figures.

    Attributes:
        found: the first items.
        first_match: rank of the first match as CMC counts it, from 1; 0 without a match.
        average_precision: of the query; NaN without a match.
    """

    found: RankedList
    first_match: int
    average_precision: float


def choose_queries(ranks: Ranks, *, count: int = 9, seed: int = 0) -> NDArray[np.int64]:
    """Which queries to show: from the worst to the best, by a rule that leaves no room for picking.

    The queries with a match are sorted by average precision and cut into `count` groups of equal size; one of each
    group is drawn at random.

    Args:
        ranks: of all queries of a trial.
        count: how many; fewer where fewer queries have a match.
        seed: of the drawing.

    Returns:
        (chosen,) positions among `ranks`, worst first.

    Example:
        >>> import numpy as np
        >>> precision = np.array([0.9, np.nan, 0.1, 0.5])
        >>> matches = np.isfinite(precision).astype(int)
        >>> choose_queries(Ranks(matches, precision, precision, matches, precision, precision), count=3).tolist()
        [2, 3, 0]
    """
    if count < 1:
        raise InputError(f"the number of queries to show must be at least 1, not {count}")
    matched = np.flatnonzero(ranks.matches > 0)
    order = matched[np.argsort(ranks.average_precision[matched], kind="stable")]
    generator = np.random.default_rng(seed)
    groups = np.array_split(order, min(count, len(order))) if len(order) else []
    return np.array([generator.choice(group) for group in groups], np.int64)


def sheet_figure(
    shown: Sequence[ShownQuery],
    features: Features,
    picture: Pictures,
    *,
    k: int = 10,
    names: Sequence[str] | None = None,
    dark: bool = False,
) -> Figure:
    """A row for each query: itself on the left, then what it finds, framed and marked as right or wrong.

    Args:
        shown: the rows.
        features: labels of the items.
        picture: gives the (height, width, 3) uint8 pixels of the item at a position.
        k: columns; a shorter list leaves the rest of its row empty.
        names: of identity 0, 1, ...; None: their numbers are written.
        dark: light letters on dark paper.

    Raises:
        InputError: there is no row, or a picture is not such an array.
    """
    if not shown:
        raise InputError("there is no query to show")
    needed = dict.fromkeys(item for row in shown for item in (row.found.query, *row.found.items[:k].tolist()))
    pixels = {item: _checked(picture(item), item) for item in needed}
    who = {item: _who(features, item, names) for item in pixels}
    longest = max(map(len, who.values()))
    wide, high = _box(list(pixels.values()), _LETTER * longest)
    columns = max(1, min(k, max(len(row.found.items) for row in shown)))
    width = 2 * _MARGIN + wide + _BETWEEN + columns * (wide + _GAP)
    height = 2 * _MARGIN + _ABOVE + len(shown) * (high + _BELOW + _GAP)
    figure = Figure(figsize=(width / 72, height / 72))
    ink, soft, paper = _DARK if dark else _LIGHT
    figure.set_facecolor(paper)
    # One set of axes measured in points: every text has a place of its own, and none can slide into another.
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    lefts = _MARGIN + wide + _GAP + _BETWEEN + np.arange(columns) * (wide + _GAP)
    _write(axes, _MARGIN + wide / 2, _MARGIN + 8, "query", ink, bold=True)
    for column, left in enumerate(lefts):
        _write(
            axes, left + wide / 2, _MARGIN + 8, f"rank {column + 1}" if column == 0 else str(column + 1), ink, bold=True
        )
    for number, row in enumerate(shown):
        top = _MARGIN + _ABOVE + number * (high + _BELOW + _GAP)
        query = row.found.query
        _place(axes, pixels[query], _MARGIN, top, wide, high)
        beneath = [who[query], f"AP {row.average_precision:.2f}" if row.first_match else "no match"]
        if features.modality is not None:
            beneath[1:1] = [MODALITIES[features.modality[query]]]
        _write(axes, _MARGIN + wide / 2, top + high + 3, "\n".join(beneath), soft)
        entries = zip(row.found.items[:k].tolist(), row.found.similarity[:k], row.found.right[:k], strict=True)
        for left, (item, similarity, right) in zip(lefts, entries, strict=False):
            corner = _place(axes, pixels[item], left, top, wide, high)
            _mark(axes, corner, right=bool(right))
            _write(axes, left + wide / 2, top + high + 3, f"{who[item]}\n{similarity:.3f}", soft)
    # Last, because every picture sets the limits to its own.
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_aspect("auto")
    return figure


def _checked(pixels: NDArray[np.uint8], item: int) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise InputError(
            f"the picture of item {item} must be (height, width, 3) uint8, not {pixels.dtype} {pixels.shape}"
        )
    return pixels


def _box(pixels: Sequence[NDArray[np.uint8]], text: float) -> tuple[float, float]:
    """(width, height) in points of every picture's space: of their usual shape, and never narrower than the text."""
    ratio = float(np.median([one.shape[0] / one.shape[1] for one in pixels]))
    wide = max(58.0, (_AREA / ratio) ** 0.5)
    return max(wide, text), min(max(wide * ratio, 32.0), 160.0)


def _place(
    axes: Axes, pixels: NDArray[np.uint8], left: float, top: float, wide: float, high: float
) -> tuple[float, float, float, float]:
    """Show a picture in its space without distortion; returns (left, top, width, height) of where it lies."""
    scale = min(wide / pixels.shape[1], high / pixels.shape[0])
    width, height = scale * pixels.shape[1], scale * pixels.shape[0]
    left, top = left + (wide - width) / 2, top + (high - height) / 2
    axes.imshow(pixels, extent=(left, left + width, top + height, top), interpolation="lanczos", aspect="auto")
    return left, top, width, height


def _mark(axes: Axes, corner: tuple[float, float, float, float], *, right: bool) -> None:
    """Frame a picture and put a tick or a cross on its corner: the colour never speaks alone."""
    left, top, width, height = corner
    colour = RIGHT_COLOUR if right else WRONG_COLOUR
    axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=colour, linewidth=3, joinstyle="miter"))
    middle = (left + width - 2, top + 2)
    axes.add_patch(Circle(middle, 7.5, facecolor=colour, edgecolor="white", linewidth=1, zorder=3))
    axes.text(
        *middle,
        "✓" if right else "✗",
        color="white",
        fontsize=9,
        ha="center",
        va="center_baseline",
        zorder=4,
        family="DejaVu Sans",
        weight="bold",
    )


def _who(features: Features, item: int, names: Sequence[str] | None) -> str:
    camera = "" if features.camera is None else f" · cam {features.camera[item]}"
    identity = int(features.identity[item])
    if names is None or not 0 <= identity < len(names):
        return f"id {identity}{camera}"
    name = names[identity]
    return f"{name if len(name) <= _LONGEST else name[: _LONGEST - 1] + '…'}{camera}"


def _write(axes: Axes, x: float, y: float, text: str, colour: str, *, bold: bool = False) -> None:
    axes.text(
        x,
        y,
        plain(text),
        fontsize=9.5 if bold else 8.5,
        weight="bold" if bold else "normal",
        color=colour,
        ha="center",
        va="baseline" if bold else "top",
        linespacing=1.1,
    )
