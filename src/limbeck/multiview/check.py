"""The list of known multi-view sets, a description of one, and what makes it doubtful."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from limbeck.multiview.catalogue import CATALOGUE, CatalogueEntry
from limbeck.multiview.data import SPLITS, MultiViewData, View, load, missing_rows
from limbeck.reporting.tables import format_table

_WILD = 1e3
_SHOWN = 5


def list_sets() -> str:
    """A table of the known sets: name, what it is, samples, classes, features of each view, how to get it, licence."""
    headings = ("name", "what", "samples", "classes", "views", "get", "licence")
    left = [heading for heading in headings if heading not in {"samples", "classes"}]
    return format_table(headings, map(_entry_cells, CATALOGUE.values()), title="Known multi-view sets", left=left)


def _entry_cells(entry: CatalogueEntry) -> list[str]:
    views = ", ".join(str(size) for size in entry.views.values()) or "photographs"
    how = "embedded" if entry.url is None else "download"
    return [entry.name, entry.what, str(entry.samples), str(entry.classes), views, how, entry.licence]


def describe(data: MultiViewData) -> str:
    """Tables of a set: samples, classes and their sizes; its views; the sizes of its folds' splits.

    Of each view: features, lowest and highest value, share of values that are not zero, constant columns, rows that
    repeat an earlier one, and samples that lack it.
    """
    sizes = np.bincount(data.labels, minlength=data.classes)
    views = format_table(
        ("view", "features", "lowest", "highest", "nonzero", "constant", "duplicates", "missing"),
        [_view_cells(name, view) for name, view in data.views.items()],
        title=f"{data.name}: {data.samples} samples, {data.classes} classes of {sizes.min()} to {sizes.max()}, "
        f"{len(data.views)} views",
        fold=("view",),
    )
    if not len(data.folds):
        return views + "no folds stored\n"
    counts = [[str(int((codes == code).sum())) for code in range(len(SPLITS))] for codes in data.folds]
    return views + format_table(
        ("fold", *SPLITS), [[str(fold), *cells] for fold, cells in enumerate(counts)], title="Folds"
    )


def _view_cells(name: str, view: View) -> list[str]:
    figures = _figures(view)
    return [
        f"{name} (sparse)" if sparse.issparse(view) else name,
        str(figures.features),
        *(["-"] * 3 if figures.missing == view.shape[0] else _ends_and_share(figures)),
        str(figures.constant),
        str(figures.duplicates),
        str(figures.missing),
    ]


def check(path: str | os.PathLike[str]) -> list[str]:
    """Read a set and list what a user should know before trusting figures on it; an empty list is a clean bill.

    Looked for: constant columns; columns of one view whose ranges differ by more than a factor of 1000; samples that
    equal one another in all views, across the splits of a fold or with different labels; samples that lack every
    view; classes absent from a split of a fold; splits without samples; no folds.

    Raises:
        InputError: the file is not a valid set at all (see `load`).
    """
    data = load(path, gaps=True)
    doubts: list[str] = []
    for name, view in data.views.items():
        figures = _figures(view)
        if figures.empty:
            doubts.append(
                f"view {name!r}: {figures.empty} cells are empty in rows that have others; train with "
                "--recipe.missing_cells mean, or fill them"
            )
        if figures.constant:
            doubts.append(f"view {name!r}: {figures.constant} of {figures.features} columns are constant")
        if figures.spread_ratio > _WILD:
            doubts.append(
                f"view {name!r}: the range of the widest column is {figures.spread_ratio:.3g} times "
                "that of the narrowest; scale the columns"
            )
    lacking = np.all([missing_rows(view) for view in data.views.values()], axis=0)
    if lacking.any():
        doubts.append(f"{int(lacking.sum())} samples lack every view (first: {int(lacking.argmax())})")
    doubts += _twin_doubts(data, lacking)
    if not len(data.folds):
        doubts.append("no folds are stored: draw some with `stratified_folds`")
    for index, codes in enumerate(data.folds):
        for code, split in enumerate(SPLITS):
            counts = np.bincount(data.labels[codes == code], minlength=data.classes)
            if not counts.any():
                doubts.append(f"fold {index}: {split} is empty")
            elif not counts.all():
                absent = [data.class_names[label] for label in np.flatnonzero(counts == 0)]
                more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
                doubts.append(f"fold {index}: {split} lacks the classes {', '.join(absent[:_SHOWN])}{more}")
    return doubts


@dataclass(frozen=True)
class _Figures:
    features: int
    lowest: float
    highest: float
    nonzero: float
    constant: int
    duplicates: int
    missing: int
    spread_ratio: float
    empty: int = 0


def _figures(view: View) -> _Figures:
    missing = missing_rows(view)
    rows: Any = view
    present = rows[~missing]
    features = int(rows.shape[1])
    keys = _row_keys(present)
    duplicates = len(keys) - len(set(keys))
    if not present.shape[0]:
        return _Figures(features, 0.0, 0.0, 0.0, 0, 0, int(missing.sum()), 1.0)
    low, high = _column_ends(present)
    empty = 0 if sparse.issparse(present) else int(np.isnan(present).sum())
    constant = ~(high > low)  # also one whose cells are all empty
    spreads = (high - low)[~constant]
    count = present.count_nonzero() if sparse.issparse(present) else np.count_nonzero(present)
    return _Figures(
        features=features,
        lowest=float(np.fmin.reduce(low)),
        highest=float(np.fmax.reduce(high)),
        nonzero=float(count - empty) / (present.shape[0] * features),
        constant=int(constant.sum()),
        duplicates=duplicates,
        missing=int(missing.sum()),
        spread_ratio=float(spreads.max() / spreads.min()) if len(spreads) else 1.0,
        empty=empty,
    )


def _ends_and_share(figures: _Figures) -> list[str]:
    return [f"{figures.lowest:.4g}", f"{figures.highest:.4g}", f"{figures.nonzero:.1%}"]


def _column_ends(rows: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the greatest value of every column, without making a sparse view dense."""
    if sparse.issparse(rows):
        low, high = rows.min(axis=0).toarray(), rows.max(axis=0).toarray()
    else:  # NaN is an empty cell
        low, high = np.fmin.reduce(rows, axis=0), np.fmax.reduce(rows, axis=0)
    return np.asarray(low, np.float64).reshape(-1), np.asarray(high, np.float64).reshape(-1)


def _row_keys(rows: Any) -> NDArray[np.object_]:
    """A digest of every row, equal exactly where the rows are."""
    keys = np.empty(rows.shape[0], object)
    if sparse.issparse(rows):
        canonical = rows.copy()
        canonical.eliminate_zeros()
        canonical.sort_indices()
        for row in range(rows.shape[0]):
            span = slice(canonical.indptr[row], canonical.indptr[row + 1])
            parts = canonical.indices[span].astype(np.int64).tobytes() + canonical.data[span].tobytes()
            keys[row] = hashlib.blake2b(parts, digest_size=16).digest()
        return keys
    positive = rows + 0.0  # -0.0 equals 0.0, but its bytes differ
    for row in range(rows.shape[0]):
        keys[row] = hashlib.blake2b(positive[row].tobytes(), digest_size=16).digest()
    return keys


def _twin_doubts(data: MultiViewData, lacking: NDArray[np.bool_]) -> list[str]:
    """Doubts about samples that equal one another in all views."""
    columns = [_row_keys(view) for view in data.views.values()]
    groups: dict[tuple[bytes, ...], list[int]] = {}
    for sample in np.flatnonzero(~lacking):
        groups.setdefault(tuple(column[sample] for column in columns), []).append(int(sample))
    twins = [group for group in groups.values() if len(group) > 1]
    if not twins:
        return []
    doubts = []
    mixed = [group for group in twins if len(set(data.labels[group])) > 1]
    if mixed:
        doubts.append(f"{len(mixed)} groups of samples equal in all views have different labels (first: {mixed[0]})")
    for index, codes in enumerate(data.folds):
        across = [group for group in twins if len(set(codes[group])) > 1]
        if across:
            doubts.append(
                f"fold {index}: {len(across)} of {len(twins)} groups of samples equal in all views lie in more than "
                f"one split (first: samples {', '.join(map(str, across[0]))})"
            )
    return doubts
