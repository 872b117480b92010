"""Search one's own pictures: which of a folder look most like one picture of a person."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limbeck.errors import InputError
from limbeck.images.decoding import read_image, try_image
from limbeck.images.listing import IMAGE_SUFFIXES
from limbeck.modalities import INFRARED, MODALITIES, VISIBLE
from limbeck.reid.embedding import Feature, search_feature
from limbeck.reid.runs import ReidModel
from limbeck.reporting.html import Page
from limbeck.reporting.progress import Progress
from limbeck.reporting.tables import format_table

Modality = Literal["auto", "visible", "infrared"]
logger = logging.getLogger(__name__)
_BATCH = 256  # pictures held decoded at once
# Mean difference between the channels, of 255, up to which a picture counts as grey: JPEG leaves a little colour.
_COLOURLESS = 2.0


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found.

    Attributes:
        query: the picture that was asked with.
        query_modality: as given, or as it looks.
        path: of the best pictures, best first.
        similarity: (best,) cosine, in [-1, 1].
        modality: (best,) of each, as given or as it looks.
        searched: how many pictures were compared.
        skipped: a line for each that could not be read.
    """

    query: Path
    query_modality: int
    path: tuple[Path, ...]
    similarity: NDArray[np.float32]
    modality: NDArray[np.int8]
    searched: int
    skipped: tuple[str, ...]


def rank_folder(
    model: ReidModel,
    query: Path,
    gallery: Path,
    *,
    first: int = 10,
    query_modality: Modality = "auto",
    gallery_modality: Modality = "auto",
    feature: Feature = "v",
    progress: Progress | None = None,
) -> Found:
    """The pictures of a folder (and the folders in it) that are most similar to one picture.

    Args:
        model: trained.
        query: a picture.
        gallery: a folder. Unreadable pictures are left out and reported.
        first: how many to return.
        query_modality: "auto" takes a picture without colours for an infrared one.
        gallery_modality: the same for every picture of the gallery.
        feature: what is compared: v, z or both.
        progress: called with (pictures embedded, pictures in all).

    Raises:
        InputError: the query cannot be read, or the gallery holds no readable picture.
    """
    if first < 1:
        raise InputError(f"first must be at least 1, not {first}")
    size = model.recipe.data.height, model.recipe.data.width
    asked = read_image(query, size)[None]
    code = _modality(asked[0], query_modality)
    (vector,) = search_feature(model.represent(asked, np.array([code], np.int8)), feature)
    if not gallery.is_dir():
        raise InputError(f"{gallery}: no such folder; give the one that holds the pictures to search")
    files = sorted(file for file in gallery.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
    files = [file for file in files if not file.samefile(query)]
    if not files:
        raise InputError(f"{gallery}: holds no .jpg, .png or .bmp picture beside the query")
    readable, vectors, modalities, skipped = _embedded(model, files, size, gallery_modality, feature, progress)
    if not readable:
        raise InputError(f"{gallery}: none of the {len(files)} pictures can be read (first: {skipped[0]})")
    for line in skipped:
        logger.warning("left out: %s", line)
    similarity = vectors @ vector
    best = np.argsort(-similarity, kind="stable")[:first]
    return Found(
        query,
        code,
        tuple(readable[place] for place in best),
        similarity[best],
        modalities[best],
        len(readable),
        tuple(skipped),
    )


def _embedded(
    model: ReidModel,
    files: Sequence[Path],
    size: tuple[int, int],
    modality: Modality,
    feature: Feature,
    progress: Progress | None,
) -> tuple[list[Path], NDArray[np.float32], NDArray[np.int8], list[str]]:
    def read(file: Path) -> NDArray[np.uint8] | str:
        return try_image(file, size)

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
    """A table of what was found, best first."""
    headings = ("rank", "similarity", "modality", "picture")
    rows = [
        [str(rank), f"{similarity:.3f}", MODALITIES[modality], str(path)]
        for rank, (path, similarity, modality) in enumerate(
            zip(found.path, found.similarity, found.modality, strict=True), start=1
        )
    ]
    title = f"{found.query} ({MODALITIES[found.query_modality]}) among {found.searched} pictures"
    return format_table(headings, rows, title=title, left=headings[2:], fold=headings)


def write_found(found: Found, folder: Path) -> Path:
    """Write `index.html`, a page that shows the query and what was found; its path."""
    page = Page(f"What looks like {found.query.name}")
    page.paragraph(
        f"{found.searched} pictures were compared with one {MODALITIES[found.query_modality]} picture. A similarity "
        "is a cosine between embeddings: it orders pictures, and is not a probability that they show the same person."
    )
    page.picture(_thumbnail(found.query), f"The query {found.query.name}", f"query: {found.query}")
    for rank, (path, similarity, modality) in enumerate(
        zip(found.path, found.similarity, found.modality, strict=True), start=1
    ):
        page.picture(_thumbnail(path), f"Picture {rank}", f"{rank}. {similarity:.3f}, {MODALITIES[modality]}: {path}")
    if found.skipped:
        page.heading("Left out")
        page.bullets(found.skipped)
    page.write(folder / "index.html")
    return folder / "index.html"


def _thumbnail(path: Path) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(read_image(path, (256, 128))).save(stream, "PNG")
    return stream.getvalue()
