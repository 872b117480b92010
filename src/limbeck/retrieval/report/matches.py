"""What queries found first, as a table and as a page of thumbnails."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limbeck.csvfiles import write_csv
from limbeck.errors import InputError
from limbeck.reporting.html import Cell, Page
from limbeck.retrieval.files import Items
from limbeck.retrieval.nearest import TopK
from limbeck.retrieval.similarity import Similarity, highest
from limbeck.retrieval.top_k import top_k

Thumbnail = Callable[[str], NDArray[np.uint8]]
_HIGH = 128  # pixels of a thumbnail


@dataclass(frozen=True, eq=False)
class Matches:
    """What queries found.

    Attributes:
        queries: what is known of them.
        gallery: the same of what was searched.
        found: the first items of each query.
        compared_by: in words.
    """

    queries: Items
    gallery: Items
    found: TopK
    compared_by: str


def find_matches(queries: Items, gallery: Items, *, k: int = 10, similarity: Similarity = "cosine") -> Matches:
    """Search a gallery with some queries; similarities that the queries came with are taken as they are.

    Raises:
        InputError: there are no vectors, or they do not fit one another; or k is below 1.
    """
    if "similarity" in queries:
        matrix = queries["similarity"]
        if k < 1 or matrix.ndim != 2 or matrix.shape != (len(queries), len(gallery)) or np.isnan(matrix).any():
            raise InputError(
                f"{queries.origin}: similarities must be ({len(queries)}, {len(gallery)}) numbers, and top at least 1; "
                f"they are {matrix.shape}, and top is {k}"
            )
        positions = np.array([highest(row, k) for row in matrix])
        found = TopK(positions, np.take_along_axis(matrix, positions, axis=1).astype(np.float64))
        return Matches(queries, gallery, found, "similarities that were given")
    for items in (queries, gallery):
        if "feature" not in items:
            raise InputError(items.missing("feature"))
        for role, array in items.arrays.items():
            if array.shape[:1] != items["feature"].shape[:1]:
                raise InputError(f"{items.origin}: {len(items)} rows of 'feature' but '{role}' has shape {array.shape}")
    return Matches(
        queries, gallery, top_k(queries["feature"], gallery["feature"], k, similarity=similarity), similarity
    )


def match_rows(matches: Matches) -> Iterator[list[str]]:
    """A heading, then a row for each item found: positions from 0, rank from 1, and what is known of both."""
    told = [
        (f"{side}_{role}", items[role], side == "query")
        for role in ("identity", "camera", "modality", "path")
        for side, items in (("query", matches.queries), ("item", matches.gallery))
        if role in items
    ]
    yield ["query", "rank", "item", "similarity", *(name for name, _, _ in told)]
    for query, (positions, values) in enumerate(zip(*matches.found, strict=True)):
        for rank, (item, value) in enumerate(zip(positions.tolist(), values.tolist(), strict=True), start=1):
            labels = [str(array[query if asked else item]) for _, array, asked in told]
            yield [str(query), str(rank), str(item), f"{value:.9g}", *labels]


def write_matches(
    matches: Matches,
    folder: str | os.PathLike[str],
    *,
    thumbnail: Thumbnail | None = None,
    shown: int = 20,
    title: str = "What queries find first",
    left_out: Sequence[str] = (),
) -> list[Path]:
    """Write `matches.csv`, of all queries, and `index.html`, a page of the first of them.

    Where there are pictures, the page shows a row of them for each query; elsewhere a table.

    Args:
        matches: by `find_matches`.
        folder: made when absent.
        thumbnail: gives the (height, width, 3) uint8 pixels of the picture of a path; None: there are none.
        shown: queries on the page, at most.
        title: of the page.
        left_out: a line for each item that could not be searched.

    Returns:
        The files, the page last.

    Raises:
        InputError: a picture cannot be read.
        OSError: the folder cannot be written.
    """
    home = Path(folder)
    page = Page(title)
    known = "identity" in matches.queries and "identity" in matches.gallery
    count, most = matches.found.positions.shape
    told = "1 query" if count == 1 else f"{count} queries"
    page.paragraph(
        f"{told} searched {len(matches.gallery)} items, compared by {matches.compared_by}; the first {most} "
        "of each. A similarity orders items; it is not the probability that they are the same."
        + (f" The first {shown} queries are shown, in their order; matches.csv has all." if count > shown else "")
    )
    pictures = thumbnail is not None and "path" in matches.queries and "path" in matches.gallery
    if pictures:
        page.paragraph(
            "Each row begins with the query; then what it finds, nearest first, with its rank and similarity."
            + (" Green frame and \u2713: the query's own identity; red frame and \u2717: another." if known else "")
        )
    for query in range(min(count, shown)):
        positions, values = matches.found.positions[query], matches.found.similarity[query]
        page.heading(_called(matches.queries, query, "Query"), level=3)
        if thumbnail is not None and pictures:
            page.grid(_row(matches, query, thumbnail, known=known))
            continue
        rows = [
            [str(rank), f"{value:.4f}", _called(matches.gallery, int(item), "item")]
            + ([("yes" if _same(matches, query, int(item)) else "no")] if known else [])
            for rank, (item, value) in enumerate(zip(positions, values, strict=True), start=1)
        ]
        page.table(["rank", "similarity", "item", *["same identity"] * known], rows)
    if left_out:
        page.heading("Left out")
        page.bullets(left_out)
    page.links([("matches.csv", "every query, a row for each item that it finds first")])
    write_csv(home / "matches.csv", match_rows(matches))
    page.write(home / "index.html")
    return [home / "matches.csv", home / "index.html"]


def _row(matches: Matches, query: int, thumbnail: Thumbnail, *, known: bool) -> list[Cell]:
    """The pictures of a query and of what it finds."""
    own = str(matches.queries["path"][query])
    cells = [Cell(_small(thumbnail(own)), f"Query {query}", f"query\n{_told(matches.queries, query)}", query=True)]
    found = zip(matches.found.positions[query].tolist(), matches.found.similarity[query].tolist(), strict=True)
    for rank, (item, value) in enumerate(found, start=1):
        cells.append(
            Cell(
                _small(thumbnail(str(matches.gallery["path"][item]))),
                f"What query {query} finds at rank {rank}",
                f"{rank}. {value:.3f}\n{_told(matches.gallery, item)}",
                right=_same(matches, query, item) if known else None,
            )
        )
    return cells


def _told(items: Items, place: int) -> str:
    """What is known of an item, a line each; of its path the name."""
    told = [f"{role} {items[role][place]}" for role in ("identity", "camera", "modality") if role in items]
    return "\n".join([*told, Path(str(items["path"][place])).name])


def _same(matches: Matches, query: int, item: int) -> bool:
    """Whether both are of one identity; as text, as one file may hold numbers and the other strings."""
    return str(matches.queries["identity"][query]) == str(matches.gallery["identity"][item])


def _called(items: Items, place: int, word: str) -> str:
    told = [f"{role} {items[role][place]}" for role in ("identity", "camera", "modality") if role in items]
    path = [str(items["path"][place])] if "path" in items else []
    return ", ".join([f"{word} {place}", *told, *path])


def _small(pixels: NDArray[np.uint8]) -> bytes:
    """A picture as a PNG of one height for all."""
    picture = Image.fromarray(pixels)
    stream = io.BytesIO()
    picture.resize((max(1, round(picture.width * _HIGH / picture.height)), _HIGH)).save(stream, "PNG")
    return stream.getvalue()
