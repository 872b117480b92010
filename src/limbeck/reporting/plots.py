"""What all plots share: colours, and a figure as the bytes of a PNG file or as the file itself."""

from __future__ import annotations

import io
import os

from matplotlib.figure import Figure

from limbeck.files import atomic_writer

ACCENT, PLAIN, PAPER = "#b5402a", "#3b5b7a", "#7a7a7a"  # ours, what it is compared with, what is printed elsewhere


def png(figure: Figure, *, dpi: int = 120) -> bytes:
    """The figure as the bytes of a PNG file; the figure is empty afterwards."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    figure.clear()
    return stream.getvalue()


def save_plot(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write the figure as a PNG file, atomically."""
    with atomic_writer(path) as stream:
        stream.write(png(figure))
