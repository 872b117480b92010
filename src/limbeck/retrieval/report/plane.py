"""Any items in the plane, by t-SNE or UMAP, coloured by any label."""

from __future__ import annotations

import importlib
from typing import Literal, get_args

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.retrieval.report.projection import tsne_plane
from limbeck.retrieval.report.style import COLOURS, MARKERS, SOFT, natural_order, plain
from limbeck.retrieval.similarity import unit

Method = Literal["tsne", "umap"]
_SHOWN = 20  # labels with a look of their own; the others are grey


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
    return np.asarray(umap.UMAP(n_neighbors=neighbours, random_state=seed).fit_transform(held), np.float64)


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
