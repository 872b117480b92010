"""Search one's own pictures: which of a folder look most like some pictures of people."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.images.decoding import Radiometric, read_image, try_image
from limbeck.images.listing import IMAGE_SUFFIXES
from limbeck.modalities import INFRARED, MODALITIES, VISIBLE
from limbeck.reid.embedding import Feature, search_feature
from limbeck.reid.runs import ReidModel
from limbeck.reporting.progress import Progress
from limbeck.reporting.tables import format_table
from limbeck.retrieval.files import Items
from limbeck.retrieval.nearest import TopK
from limbeck.retrieval.report.matches import Matches, write_matches
from limbeck.retrieval.similarity import highest

Modality = Literal["auto", "visible", "infrared"]
logger = logging.getLogger(__name__)
_BATCH = 256  # pictures held decoded at once
# Mean difference between the channels, of 255, up to which a picture counts as grey: JPEG leaves a little colour.
_COLOURLESS = 2.0


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found.

    Attributes:
        matches: of every query the best pictures, best first, by cosine; path and modality of all.
        skipped: a line for each picture of the gallery that could not be read.
        radiometric: how those of 16 bits were read, see `limbeck.images.decoding.read_image`.
    """

    matches: Matches
    skipped: tuple[str, ...]
    radiometric: Radiometric | None = None


def rank_folder(
    model: ReidModel,
    queries: Sequence[Path],
    gallery: Path,
    *,
    first: int = 10,
    query_modality: Modality = "auto",
    gallery_modality: Modality = "auto",
    feature: Feature = "v",
    progress: Progress | None = None,
) -> Found:
    """The pictures of a folder (and the folders in it) that are most similar to some pictures.

    Args:
        model: trained.
        queries: pictures. One that lies in the gallery does not find itself.
        gallery: a folder. Unreadable pictures are left out and reported.
        first: how many to return for each query; fewer where the gallery has fewer.
        query_modality: "auto" takes a picture without colours for an infrared one.
        gallery_modality: the same for every picture of the gallery.
        feature: what is compared: v, z or both.
        progress: called with (pictures embedded, pictures in all).

    Raises:
        InputError: a query cannot be read, or the gallery holds no readable picture.
    """
    if first < 1:
        raise InputError(f"first must be at least 1, not {first}")
    if not queries:
        raise InputError("queries must name at least one picture")
    size = model.recipe.data.height, model.recipe.data.width
    radiometric = model.recipe.data.radiometric
    asked = np.stack([read_image(query, size, radiometric=radiometric) for query in queries])
    codes = np.array([_modality(picture, query_modality) for picture in asked], np.int8)
    sought = search_feature(model.represent(asked, codes), feature)
    if not gallery.is_dir():
        raise InputError(f"{gallery}: no such folder; give the one that holds the pictures to search")
    files = pictures_of([gallery])
    if len(queries) == 1:
        files = [file for file in files if not file.samefile(queries[0])]
    if not files:
        raise InputError(f"{gallery}: holds no .jpg, .png or .bmp picture beside the query")
    readable, vectors, modalities, skipped = _embedded(model, files, size, gallery_modality, feature, progress)
    if not readable:
        raise InputError(f"{gallery}: none of the {len(files)} pictures can be read (first: {skipped[0]})")
    for line in skipped:
        logger.warning("left out: %s", line)
    itself = _same_files(queries, readable)
    count = min(first, len(readable) - int(itself.any(axis=1).max()))
    if count < 1:
        raise InputError(f"{gallery}: holds no readable picture beside the query")
    similarity = np.where(itself, -np.inf, sought @ vectors.T)
    positions = np.array([highest(row, count) for row in similarity])
    found = TopK(positions, np.take_along_axis(similarity, positions, axis=1).astype(np.float64))
    return Found(
        Matches(_items(queries, codes, gallery), _items(readable, modalities, gallery), found, "cosine"),
        tuple(skipped),
        radiometric,
    )


def _same_files(queries: Sequence[Path], files: Sequence[Path]) -> NDArray[np.bool_]:
    """(queries, files), where both are the same file, be it by another name."""
    places: dict[tuple[int, int], list[int]] = {}
    for place, file in enumerate(files):
        status = file.stat()
        places.setdefault((status.st_dev, status.st_ino), []).append(place)
    same = np.zeros((len(queries), len(files)), np.bool_)
    for row, query in zip(same, queries, strict=True):
        status = query.stat()
        row[places.get((status.st_dev, status.st_ino), [])] = True
    return same


def pictures_of(places: Sequence[Path]) -> list[Path]:
    """The pictures among some files and in some folders (and the folders in them), those of a folder by name."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            files = (file for file in place.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
            found += sorted(files)
        else:
            found.append(place)
    return found


def _items(paths: Sequence[Path], modality: NDArray[np.int8], gallery: Path) -> Items:
    words = np.array(MODALITIES)[modality]
    return Items({"path": np.array([str(path) for path in paths]), "modality": words}, str(gallery))


def _embedded(
    model: ReidModel,
    files: Sequence[Path],
    size: tuple[int, int],
    modality: Modality,
    feature: Feature,
    progress: Progress | None,
) -> tuple[list[Path], NDArray[np.float32], NDArray[np.int8], list[str]]:
    def read(file: Path) -> NDArray[np.uint8] | str:
        return try_image(file, size, radiometric=model.recipe.data.radiometric)

    readable: list[Path] = []
    skipped: list[str] = []
    vectors: list[NDArray[np.float32]] = []
    codes: list[int] = []
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(files), _BATCH):
            batch = files[start : start + _BATCH]
            decoded = list(zip(batch, pool.map(read, batch), strict=True))
            skipped += [picture for _, picture in decoded if isinstance(picture, str)]
            usable = [(file, picture) for file, picture in decoded if not isinstance(picture, str)]
            if usable:
                pictures = np.stack([picture for _, picture in usable])
                here = [_modality(picture, modality) for picture in pictures]
                vectors.append(search_feature(model.represent(pictures, np.array(here, np.int8)), feature))
                codes += here
                readable += [file for file, _ in usable]
            if progress is not None:
                progress(start + len(batch), len(files))
    found = np.concatenate(vectors) if vectors else np.empty((0, 0), np.float32)
    return readable, found, np.array(codes, np.int8), skipped


def _modality(picture: NDArray[np.uint8], given: Modality) -> int:
    if given != "auto":
        return MODALITIES.index(given)
    values = picture.astype(np.int16)
    difference = np.abs(values[..., 0] - values[..., 1]).mean() + np.abs(values[..., 1] - values[..., 2]).mean()
    return INFRARED if difference / 2 <= _COLOURLESS else VISIBLE


def format_found(found: Found) -> str:
    """A table of what each query found, best first."""
    matches = found.matches
    headings = ("rank", "similarity", "modality", "picture")
    tables = []
    for query, (positions, values) in enumerate(zip(*matches.found, strict=True)):
        rows = [
            [str(rank), f"{value:.3f}", str(matches.gallery["modality"][item]), str(matches.gallery["path"][item])]
            for rank, (item, value) in enumerate(zip(positions, values, strict=True), start=1)
        ]
        asked = f"{matches.queries['path'][query]} ({matches.queries['modality'][query]})"
        title = f"{asked} among {len(matches.gallery)} pictures"
        tables.append(format_table(headings, rows, title=title, left=headings[2:], fold=headings))
    return "\n".join(tables)


def write_found(found: Found, folder: Path) -> Path:
    """Write `matches.csv` and `index.html`, a page with a row of pictures for each query; the page's path."""
    paths = found.matches.queries["path"]
    title = f"What looks like {Path(paths[0]).name}" if len(paths) == 1 else f"What looks like {len(paths)} pictures"

    def thumbnail(path: str) -> NDArray[np.uint8]:
        return read_image(Path(path), 128, radiometric=found.radiometric)

    return write_matches(found.matches, folder, thumbnail=thumbnail, title=title, left_out=found.skipped)[-1]
