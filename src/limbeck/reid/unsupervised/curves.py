"""The course of a training without labels, as a picture."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limbeck.modalities import MODALITIES
from limbeck.reporting.plots import ACCENT, PLAIN, save_plot
from limbeck.training.logs import read_epochs

PICTURE = "pseudo_labels.png"
_PANELS = {
    "clusters": "clusters",
    "noise": "share of outliers",
    "matched": "share of clusters with a match",
    "entropy": "entropy of cluster sizes, nats",
    "ari": "adjusted Rand index *",
}
_PRECISION = "precision"


def write_curves(run: Path) -> Path:
    """Draw what the epochs' table of a run says of its pseudo-labels; the file.

    Raises:
        OSError: the table cannot be read, or the picture not be written.
    """
    rows = read_epochs(run)
    columns = {name: [row.get(name, math.nan) for row in rows] for name in {name: None for row in rows for name in row}}
    shown = [name for name in _PANELS if f"{name}_{MODALITIES[0]}" in columns]
    extra = [_PRECISION] if _PRECISION in columns else []
    figure = Figure(figsize=(3.4 * len(shown + extra), 2.8), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(shown + extra), squeeze=False)[0], shown + extra, strict=True):
        if name == _PRECISION:
            axes.plot(columns["epoch"], columns[name], color=ACCENT)
            _finish(axes, "share of matches that are right *")
            continue
        for word, colour in zip(MODALITIES, (ACCENT, PLAIN), strict=True):
            axes.plot(columns["epoch"], columns[f"{name}_{word}"], color=colour, label=word)
        _finish(axes, _PANELS[name])
    figure.axes[0].legend(frameon=False, fontsize=8)
    if extra:
        figure.supxlabel("* by the true names, which nothing learns from", fontsize=8)
    save_plot(figure, run / PICTURE)
    return run / PICTURE


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=8)
    axes.set_xlabel("epoch", fontsize=8)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
