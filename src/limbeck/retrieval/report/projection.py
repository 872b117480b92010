"""A map of representations: t-SNE by identity and by modality, and the figures that a map alone cannot give."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score

from limbeck.errors import InputError
from limbeck.modalities import INFRARED, MODALITIES, VISIBLE
from limbeck.reporting.plots import plain
from limbeck.retrieval.report.style import COLOURS, INFRARED_COLOUR, MARKERS, SOFT, VISIBLE_COLOUR
from limbeck.retrieval.similarity import similarities, unit

NEIGHBOURS = 10
_MODALITY_LOOK = {VISIBLE: (VISIBLE_COLOUR, "o"), INFRARED: (INFRARED_COLOUR, "^")}


@dataclass(frozen=True, eq=False)
class Map:
    """One representation, projected.

    Attributes:
        name: of the representation.
        items: (shown,) positions of the items that are shown.
        points: (shown, 2) where they lie.
        silhouette: name of a part of the items -> silhouette of their identities: "visible", "infrared" and "all", as
            far as there are such items; NaN where it is not defined.
        mixing: see `modality_mixing`; NaN without two modalities.
    """

    name: str
    items: NDArray[np.int64]
    points: NDArray[np.float64]
    silhouette: dict[str, float]
    mixing: float


def choose_items(
    identity: NDArray[np.int64],
    modality: NDArray[np.int8] | None,
    *,
    identities: int = 20,
    pictures: int = 20,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Positions of the items to show, ascending: those of some identities, drawn at random.

    Where there are two modalities only identities with items in both are drawn, as long as there is one. Junk, which is
    identity -1, is never drawn.

    Args:
        identity: (items,).
        modality: (items,) of 0 and 1, or None.
        identities: how many at most.
        pictures: how many at most of each identity in each modality.
        seed: of the drawing.
    """
    if identities < 1 or pictures < 1:
        raise InputError(f"identities and pictures must be at least 1, not {identities} and {pictures}")
    kind = np.zeros(len(identity), np.int8) if modality is None else modality
    known = np.unique(identity[identity >= 0])
    for one in np.unique(kind):
        both = np.intersect1d(known, identity[kind == one])
        known = both if len(both) else known
    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.choice(known, min(identities, len(known)), replace=False))
    kept = []
    for person in chosen:
        for one in np.unique(kind):
            members = np.flatnonzero((identity == person) & (kind == one))
            kept.append(generator.choice(members, min(pictures, len(members)), replace=False))
    return np.sort(np.concatenate(kept)) if kept else np.zeros(0, np.int64)


def project(
    representations: Mapping[str, NDArray[np.floating]],
    identity: NDArray[np.int64],
    modality: NDArray[np.int8] | None = None,
    *,
    identities: int = 20,
    pictures: int = 20,
    seed: int = 0,
) -> list[Map]:
    """Project every representation of the same items to the plane, both modalities together, with t-SNE.

    Vectors are divided by their lengths, as cosine similarity does; the projection, the silhouette and the neighbours
    are of these unit vectors. The figures are of the representation itself, never of the plane.

    Args:
        representations: name -> (items, features).
        identity: (items,).
        modality: (items,) of 0 visible and 1 infrared, or None.
        identities: how many are drawn at most (see `choose_items`).
        pictures: how many of each of them in each modality at most.
        seed: of the drawing and of t-SNE, which starts from the principal components.

    Raises:
        InputError: a representation does not fit the items or is not finite, or no item has an identity.

    Source: Tian et al. 2022, Fig. 7 and 8.
    """
    items = choose_items(identity, modality, identities=identities, pictures=pictures, seed=seed)
    if len(items) == 0:
        raise InputError("there is nothing to project: no item has an identity")
    maps = []
    for name, given in representations.items():
        vectors = np.asarray(given)
        if (
            vectors.ndim != 2
            or len(vectors) != len(identity)
            or vectors.shape[1] == 0
            or vectors.dtype.kind not in "fiu"
        ):
            raise InputError(
                f"the representation {name!r} must be numbers of shape ({len(identity)}, features), "
                f"not {vectors.dtype} {vectors.shape}"
            )
        held = vectors[items].astype(np.float64)
        if not np.isfinite(held).all():
            raise InputError(f"the representation {name!r} holds NaN or infinity")
        held = unit(held).astype(np.float64)
        people = identity[items]
        kind = None if modality is None else modality[items]
        parts = {"all": np.ones(len(items), np.bool_)}
        if kind is not None:
            parts |= {MODALITIES[one]: kind == one for one in np.unique(kind).tolist()}
        silhouette = {part: identity_silhouette(held[rows], people[rows]) for part, rows in parts.items()}
        mixing = math.nan if kind is None else modality_mixing(held, kind)
        maps.append(Map(name, items, tsne_plane(held, seed), silhouette, mixing))
    return maps


def identity_silhouette(vectors: NDArray[np.floating], identity: NDArray[np.int64]) -> float:
    """Mean silhouette of the items with their identities as clusters (Euclidean), in [-1, 1].

    1: every item lies far nearer to its own identity than to any other; 0: between two; below: nearer to another. NaN
    where it is not defined: for one identity, or as many identities as items.
    """
    count = len(np.unique(identity))
    if not 1 < count < len(identity):
        return math.nan
    return float(silhouette_score(vectors, identity))


def modality_mixing(vectors: NDArray[np.floating], modality: NDArray[np.int8], *, k: int = NEIGHBOURS) -> float:
    r"""How freely the modalities mix: 1 if an item's neighbours disregard modality, 0 if all are of its own.

    .. math:: \frac{\sum_i \#\{j \in N_i : m_j \ne m_i\} / k}{\sum_i \#\{j : m_j \ne m_i\} / (n - 1)}

    where :math:`N_i` are the k nearest of the other :math:`n - 1` items and :math:`m` is the modality. NaN for one
    modality. Above 1: neighbours are of the other modality more often than chance has it.

    Args:
        vectors: (items, features), compared by Euclidean distance; of equals the first comes first.
        modality: (items,).
        k: neighbours; all others where there are fewer.

    Example:
        >>> import numpy as np
        >>> points = np.array([[0.0], [1.0], [100.0], [101.0]])
        >>> modality_mixing(points, np.array([0, 0, 1, 1]), k=1), modality_mixing(points, np.array([0, 1, 1, 0]), k=1)
        (0.0, 1.5)
    """
    size = len(modality)
    if len(np.unique(modality)) < 2:
        return math.nan
    reach = min(k, size - 1)
    found = expected = 0.0
    for part, block in similarities(vectors, vectors, "euclidean"):
        near = np.array(block)
        rows = np.arange(part.start, part.stop)
        near[np.arange(len(rows)), rows] = -np.inf
        nearest = np.argsort(-near, axis=1, kind="stable")[:, :reach]
        found += float((modality[nearest] != modality[rows, None]).mean(axis=1).sum())
        expected += float(((modality[None, :] != modality[rows, None]).sum(axis=1) / (size - 1)).sum())
    return found / expected


def projection_figure(maps: Sequence[Map], identity: NDArray[np.int64], modality: NDArray[np.int8] | None) -> Figure:
    """A row for each representation: each modality by identity, then both together by modality.

    Args:
        maps: of `project`.
        identity: (items,) of all items, as given to `project`.
        modality: (items,) likewise.
    """
    kinds = [] if modality is None else np.unique(modality[maps[0].items]).tolist()
    columns: list[int | None] = list(kinds) if len(kinds) < 2 else [*kinds, None]
    columns = columns or [None]
    layout = ConstrainedLayoutEngine(hspace=0.06, wspace=0.03)
    figure = Figure(figsize=(0.4 + 3.9 * len(columns), 0.6 + 4.5 * len(maps)), layout=layout)
    panels = figure.subplots(len(maps), len(columns), squeeze=False)
    people = np.unique(identity[maps[0].items])
    for row, one in zip(panels, maps, strict=True):
        limits = _limits(one.points)
        for axes, column in zip(row, columns, strict=True):
            joint = column is None and len(kinds) == 2
            if joint:
                assert modality is not None
                _by_modality(axes, one, modality[one.items])
            else:
                shown = np.ones(len(one.items), np.bool_) if column is None else modality[one.items] == column  # type: ignore[index]
                _by_identity(axes, one.points[shown], identity[one.items][shown], people)
            part = "all" if column is None else MODALITIES[column]
            words = "both modalities" if joint else "by identity" if column is None else f"{part}, by identity"
            axes.set_title(plain(f"{one.name}: {words}"), fontsize=10, wrap=True)
            figures = f"silhouette of identities {_shown(one.silhouette[part])}"
            if joint:
                figures = f"cross-modal neighbours {_shown(one.mixing)} of chance\n{figures}"
            axes.set_xlabel(figures, fontsize=8.5, color=SOFT)
            axes.set_xlim(*limits[0])
            axes.set_ylim(*limits[1])
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_color("#bbbbbb")
    if len(kinds) == 2:
        figure.legend(*panels[0][-1].get_legend_handles_labels(), loc="outside lower right", ncols=2, frameon=False)
    return figure


def _by_identity(
    axes: Axes, points: NDArray[np.float64], identity: NDArray[np.int64], people: NDArray[np.int64]
) -> None:
    """Colour and marker together tell identities apart; each keeps its look in all panels."""
    for number, person in enumerate(people):
        own = points[identity == person]
        marker = MARKERS[number // len(COLOURS) % len(MARKERS)]
        axes.scatter(own[:, 0], own[:, 1], s=20, color=COLOURS[number % len(COLOURS)], marker=marker, linewidth=0)


def _by_modality(axes: Axes, one: Map, modality: NDArray[np.int8]) -> None:
    for kind, (colour, marker) in _MODALITY_LOOK.items():
        own = one.points[modality == kind]
        axes.scatter(
            own[:, 0], own[:, 1], s=20, color=colour, marker=marker, alpha=0.75, linewidth=0, label=MODALITIES[kind]
        )


def tsne_plane(vectors: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """t-SNE from the principal components; the components themselves where there is too little to arrange."""
    centred = vectors - vectors.mean(axis=0)
    size = len(vectors)
    if size < 4 or not np.abs(centred).max() > 1e-9:
        left, scale, _ = np.linalg.svd(centred, full_matrices=False)
        flat = (left * scale)[:, :2]
        return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    start = "pca" if vectors.shape[1] > 1 else "random"
    method = TSNE(perplexity=min(30.0, (size - 1) / 3), init=start, random_state=seed % 2**32)
    return np.asarray(method.fit_transform(vectors), np.float64)


def _limits(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(axis, (low, high)) with a margin, the same for all panels of a map."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.where(high > low, 0.05 * (high - low), 1.0)
    return np.stack([low - margin, high + margin], axis=1)


def _shown(value: float) -> str:
    return "not defined" if math.isnan(value) else f"{value:.2f}".replace("-", "−")
