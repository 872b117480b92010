"""Any items in the plane, by t-SNE or UMAP, coloured by any label."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from limbeck.csvfiles import write_csv
from limbeck.errors import InputError
from limbeck.files import atomic_writer
from limbeck.reporting.plots import plain, png
from limbeck.retrieval.features import checked_vectors
from limbeck.retrieval.files import Items
from limbeck.retrieval.report.projection import tsne_plane
from limbeck.retrieval.report.style import COLOURS, MARKERS, SOFT, natural_order
from limbeck.retrieval.similarity import unit

Method = Literal["tsne", "umap"]
_NAMES: dict[Method, str] = {"tsne": "t-SNE", "umap": "UMAP"}
_SHOWN = 20  # labels with a look of their own; the others are grey
_LABELS = ("identity", "camera", "clothes", "modality", "query")


def write_plane(
    items: Items, folder: Path, *, method: Method = "tsne", most: int = 5000, seed: int = 0
) -> tuple[str, list[Path]]:
    """Draw items in the plane once for each label that they have, and write where they lie to `points.csv`.

    Args:
        items: with a feature.
        folder: made when absent.
        method: see `plane_of`.
        most: items that are drawn, at random where there are more; >= 2.
        seed: of the draw and of the method.

    Returns:
        What was drawn, in words, and the files, the table last.

    Raises:
        InputError: there are no vectors, they cannot be used, a label does not fit them, or the method is not there.
        OSError: the folder cannot be written.
    """
    if "feature" not in items:
        raise InputError(items.missing("feature"))
    vectors = checked_vectors(items["feature"], items.origin)
    size = len(vectors)
    chosen = np.sort(np.random.default_rng(seed).permutation(size)[:most])
    labels = {role: _names(items, role, size) for role in _LABELS if role in items} or {"item": np.full(size, "all")}
    points = plane_of(vectors[chosen], method=method, seed=seed)
    drawn = f"{len(chosen)} of {size} items, drawn with seed {seed}" if len(chosen) < size else f"{size} items"
    told = f"{_NAMES[method]} of {drawn}"
    files = []
    for role, array in labels.items():
        figure = plane_figure(points, array[chosen], title=f"{told}, by {role}", name=role)
        files.append(folder / f"{role}.png")
        with atomic_writer(files[-1]) as stream:
            stream.write(png(figure))
    rows: list[list[object]] = [["item", "x", "y", *labels]]
    for place, (x, y) in zip(chosen.tolist(), points.tolist(), strict=True):
        rows.append([place, f"{x:.6g}", f"{y:.6g}", *(array[place] for array in labels.values())])
    files.append(folder / "points.csv")
    write_csv(files[-1], rows)
    return told, files


def _names(items: Items, role: str, size: int) -> NDArray[np.str_]:
    """A label of every item, as text."""
    array = items[role]
    if array.shape != (size,):
        raise InputError(f"{items.origin}: {size} rows of 'feature' but '{role}' has shape {array.shape}")
    if array.dtype.kind == "V":
        raise InputError(f"{items.origin}: '{role}' holds {array.dtype}, neither numbers nor text")
    return array.astype(str)


def plane_of(vectors: NDArray[np.floating], *, method: Method = "tsne", seed: int = 0) -> NDArray[np.float64]:
    """Where items lie in the plane, (items, 2): of their vectors divided by their lengths, as cosine compares them.

    Args:
        vectors: (items, features), finite.
        method: "tsne" (scikit-learn's, from the principal components) or "umap" (of umap-learn, where it is installed).
        seed: of the method.

    Raises:
        InputError: there is no such method, or it is not installed.
    """
    if method not in get_args(Method):
        raise InputError(f"method must be one of {', '.join(get_args(Method))}, not {method!r}")
    held = unit(vectors.astype(np.float64)).astype(np.float64)
    if method == "tsne":
        return tsne_plane(held, seed)
    try:
        umap = importlib.import_module("umap")
    except ImportError:
        raise InputError("method umap needs umap-learn: pip install umap-learn, or use --method tsne") from None
    neighbours = max(2, min(15, len(held) - 1))
    made = umap.UMAP(n_neighbors=neighbours, random_state=seed % 2**32, n_jobs=1)
    return np.asarray(made.fit_transform(held), np.float64)


def plane_figure(points: NDArray[np.float64], labels: NDArray[np.str_], *, title: str, name: str) -> Figure:
    """The items, each label in its own colour and marker; of more than 20 labels the rarer ones are grey.

    Args:
        points: (items, 2).
        labels: (items,).
        title: above the axes.
        name: of the label, above the legend.
    """
    found, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    common = np.argsort(-counts, kind="stable")[:_SHOWN].tolist()
    chosen = sorted(common, key=lambda code: natural_order(str(found[code])))
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    axes = figure.subplots()
    rest = ~np.isin(codes, chosen)
    if rest.any():
        axes.scatter(
            points[rest, 0],
            points[rest, 1],
            s=6,
            color=SOFT,
            alpha=0.25,
            linewidths=0,
            label=f"{len(found) - _SHOWN} others",
        )
    for number, code in enumerate(chosen):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number // len(COLOURS) % len(MARKERS)]
        members = codes == code
        axes.scatter(
            points[members, 0],
            points[members, 1],
            s=14,
            color=colour,
            marker=marker,
            linewidths=0,
            alpha=0.8,
            label=plain(str(found[code])),
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(plain(title), fontsize=10)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8, title=plain(name))
    return figure
