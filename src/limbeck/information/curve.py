"""What can be read of the label while a network learns: a measurement every so many steps, a table, a picture."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from limbeck.csvfiles import open_csv, write_csv
from limbeck.errors import InputError
from limbeck.information.probes import Probe, cross_fitted_information

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TABLE, PICTURE = "information.csv", "information.png"


@dataclass(frozen=True)
class InformationRow:
    """What was read of the label from one representation at one moment of a training. Nats.

    Attributes:
        step: steps taken before.
        name: of the representation; "v ..." is an observation, and "z ..." what a bottleneck made of it.
        nats: the held-out lower bound, see `cross_fitted_information`.
        low: lower end of its interval.
        high: upper end of its interval.
        entropy: of the labels, the most that can be read.
    """

    step: int
    name: str
    nats: float
    low: float
    high: float
    entropy: float


class InformationCurve:
    r"""How much of the label can be read from observations and representations, step by step (Fig. 7 of the paper).

    .. math:: t \mapsto I(v^{(t)}; y), \; I(z^{(t)}; y)

    where :math:`v^{(t)}` and :math:`z^{(t)}` are what the network makes of the same samples after t steps and y is
    their label. Each figure is `cross_fitted_information`, a lower bound in nats. Give it samples that the network was
    not trained on: of its training samples a network may know each one's label by heart.

    Folds and probes have the same seed at every step, so that two steps differ in the representation alone. The true
    I(z; y) is never above I(v; y) for a z that is computed from v. What a probe reads may be: z is narrower, and easier
    to read.

    Args:
        labels: `(samples,)` integers, booleans or strings of the held-out samples.
        groups: `(samples,)` of samples that stay together in the folds, or None.
        probe: `linear`, `quadratic` or `mlp`.
        folds: how many.
        seed: of folds, networks and resamples.
        confidence: of the intervals.
        rows: of earlier steps, which a training that was interrupted goes on from.

    Attributes:
        rows: all measurements, in the order of their steps.

    Source: Tian et al. 2021, Fig. 7 ("Mutual Information Fitting").

    Example:
        >>> import tempfile
        >>> import torch
        >>> torch.manual_seed(0)
        <torch._C.Generator object at ...>
        >>> y = torch.arange(600) % 2
        >>> x = y[:, None] + 0.3 * torch.randn(600, 5)
        >>> encoder, bottleneck, head = torch.nn.Linear(5, 8), torch.nn.Linear(8, 1), torch.nn.Linear(1, 2)
        >>> parameters = [*encoder.parameters(), *bottleneck.parameters(), *head.parameters()]
        >>> optimizer = torch.optim.Adam(parameters, lr=0.05)
        >>> curve = InformationCurve(y[400:])
        >>> for step in range(31):  # one's own loop
        ...     if step % 10 == 0:
        ...         with torch.no_grad():
        ...             v = encoder(x[400:])
        ...             rows = curve.record(step, {"v": v, "z": bottleneck(v)})
        ...     loss = torch.nn.functional.cross_entropy(head(bottleneck(encoder(x[:400]))), y[:400])
        ...     optimizer.zero_grad()
        ...     loss.backward()
        ...     optimizer.step()
        >>> [f"{row.name}: {row.nats:.1f} of {row.entropy:.1f}" for row in curve.rows[-2:]]
        ['v: 0.7 of 0.7', 'z: 0.7 of 0.7']
        >>> [path.name for path in curve.write(tempfile.mkdtemp())]
        ['information.csv', 'information.png']
    """

    def __init__(
        self,
        labels: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        probe: Probe = "linear",
        folds: int = 5,
        seed: int = 0,
        confidence: float = 0.95,
        rows: Iterable[InformationRow] = (),
    ) -> None:
        self._labels, self._groups = np.asarray(labels), groups
        self._probe, self._folds, self._seed, self._confidence = probe, folds, seed, confidence
        self.rows = list(rows)

    def record(self, step: int, representations: Mapping[str, ArrayLike]) -> list[InformationRow]:
        """Measure the representations after some step. Earlier rows of this step or of later ones are forgotten.

        Args:
            step: steps taken.
            representations: name -> `(samples, features)` finite real numbers, rows in the order of the labels.

        Returns:
            The new rows.

        Raises:
            InputError: a representation or the labels do not fit, see `cross_fitted_information`; the line names the
                representation. The rows are as they were.
        """
        if isinstance(step, bool) or not isinstance(step, int | np.integer) or step < 0:
            raise InputError(f"step must be a whole number from 0, not {step!r}")
        if not representations:
            raise InputError("representations must hold at least one")
        found = [self._row(int(step), name, values) for name, values in representations.items()]
        self.rows = [row for row in self.rows if row.step < step] + found
        return found

    def _row(self, step: int, name: str, values: ArrayLike) -> InformationRow:
        try:
            read = cross_fitted_information(
                values,
                self._labels,
                groups=self._groups,
                folds=self._folds,
                probe=self._probe,
                seed=self._seed,
                confidence=self._confidence,
                check=False,
            )
        except InputError as error:
            raise InputError(f"representations[{name!r}]: {error}") from error
        return InformationRow(step, name, read.nats, read.low, read.high, read.entropy)

    def write(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the rows with `write_information`."""
        return write_information(self.rows, folder)


def write_information(rows: Sequence[InformationRow], folder: str | os.PathLike[str]) -> list[Path]:
    """Write `information.csv` and `information.png`, each atomically.

    Returns:
        The files, in that order.

    Raises:
        InputError: there are no rows.
        OSError: the folder cannot be written.
    """
    from limbeck.reporting.plots import save_plot  # noqa: PLC0415 - matplotlib is heavy, and training imports this module

    files = [Path(folder) / TABLE, Path(folder) / PICTURE]
    picture = information_figure(rows)
    write_csv(files[0], [[field.name for field in fields(InformationRow)], *map(astuple, rows)])
    save_plot(picture, files[1])
    return files


def read_information(path: str | os.PathLike[str]) -> list[InformationRow]:
    """Read what `write_information` wrote.

    Args:
        path: of `information.csv`.

    Raises:
        InputError: the file is absent or holds something else.
    """
    with open_csv(Path(path)) as table:
        rows = [dict(zip(table.header, cells, strict=True)) for _, cells in table.rows]
    try:
        return [
            InformationRow(
                int(row["step"]), row["name"], *(float(row[name]) for name in ("nats", "low", "high", "entropy"))
            )
            for row in rows
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{os.fspath(path)}: not a table of information over steps ({error})") from None


def information_figure(rows: Sequence[InformationRow]) -> Figure:
    """Nats over steps: a colour for each source, v solid and z dashed, bands for the intervals, H(y) dotted.

    Raises:
        InputError: there are no rows.
    """
    import matplotlib as mpl  # noqa: PLC0415 - see write_information
    from matplotlib.figure import Figure  # noqa: PLC0415

    from limbeck.reporting.plots import plain  # noqa: PLC0415

    if not rows:
        raise InputError("rows must hold at least one measurement")
    names = list(dict.fromkeys(row.name for row in rows))
    sources = list(dict.fromkeys(source_of(name) for name in names))
    figure = Figure(figsize=(8.5, max(4.2, 1.2 + 0.19 * len(names))), layout="constrained")
    axes = figure.subplots()
    colours = mpl.colormaps["tab10"]
    for source in sources:
        for name in names:
            if source_of(name) == source:
                own = [row for row in rows if row.name == name]
                dashed = name.split()[:1] == ["z"]
                draw_band(
                    axes,
                    [row.step for row in own],
                    *([getattr(row, end) for row in own] for end in ("nats", "low", "high")),
                    color=colours(sources.index(source) % 10),
                    dashed=dashed,
                    label=plain(name),
                )
    for number, entropy in enumerate(dict.fromkeys(round(row.entropy, 9) for row in rows)):
        axes.axhline(entropy, color="black", linestyle=":", linewidth=1.2, label=None if number else "H(y)")
    finish_axes(axes)
    axes.set_xlabel("step")
    axes.set_ylabel("nats of the label")
    axes.set_title("What can be read of the label on held-out samples", fontsize=10)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return figure


def source_of(name: str) -> str:
    """What a representation is of: its name without "v" or "z" before it; of a plain "v" or "z" nothing is left."""
    word, _, rest = name.partition(" ")
    return rest if word in ("v", "z") else name


def pairs_of(rows: Iterable[InformationRow]) -> Iterator[tuple[str, list[InformationRow], list[InformationRow]]]:
    """Each source that has both: its name, the rows of its v and the rows of its z, by step.

    Example:
        >>> row = InformationRow(0, "v left", 0.5, 0.4, 0.6, 0.7)
        >>> [source for source, v, z in pairs_of([row, InformationRow(0, "z left", 0.3, 0.2, 0.4, 0.7), row])]
        ['left']
    """
    held = list(rows)
    for source in dict.fromkeys(source_of(row.name) for row in held):
        v, z = ([row for row in held if row.name == f"{word} {source}".rstrip()] for word in ("v", "z"))
        if v and z:
            yield source, v, z


def draw_band(
    axes: Axes,
    places: Sequence[float],
    middle: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    *,
    color: object,
    dashed: bool,
    label: str,
) -> None:
    """A line with the band between `low` and `high` about it."""
    axes.fill_between(places, low, high, color=color, alpha=0.13, linewidth=0)
    axes.plot(places, middle, color=color, linestyle="--" if dashed else "-", marker=".", markersize=4, label=label)


def finish_axes(axes: Axes) -> None:
    """A zero line, a light grid, and no box about it."""
    axes.axhline(0, color="black", linewidth=0.6)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
