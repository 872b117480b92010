"""Making a set of people: pictures, index files and the table of factors, all or nothing."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

from PIL import Image

from limbeck.reporting.progress import Progress
from limbeck.synthetic.folder import check_workers, in_processes
from limbeck.synthetic.people.draw import draw_camera, draw_person, draw_picture
from limbeck.synthetic.people.factors import Camera, Person
from limbeck.synthetic.people.layouts import CAMERAS, Shot, index_files, shots
from limbeck.synthetic.people.render import render
from limbeck.synthetic.people.settings import Layout, Level, PeopleSettings, check_layout
from limbeck.synthetic.people.table import DESCRIPTION, FACTORS, FORMAT, Scenario, header, row
from limbeck.temporaries import check_free, whole_folder

_CHUNK = 32
_FORMATS = {"sysu": "JPEG", "regdb": "BMP", "csv": "PNG"}


@dataclass(frozen=True)
class Made:
    """What `make_people` left behind.

    Attributes:
        directory: the folder.
        images: how many pictures it holds.
        identities: how many people they show.
    """

    directory: Path
    images: int
    identities: int


def make_people(
    directory: str | os.PathLike[str],
    settings: PeopleSettings,
    layout: str = "sysu",
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> Made:
    """Draw a set of people into a new folder.

    Everything is written into a hidden folder beside it, which takes its name once it is whole: an interruption or a
    full disk leaves nothing behind.

    Args:
        directory: the folder to make; it may exist if it is empty.
        settings: what to draw.
        layout: `sysu` (`cam1/0001/0001.jpg` and `exp/`), `regdb` (`Visible/1/*.bmp`, `Thermal/` and `idx/`) or `csv`
            (`images/*.png` and `people.csv`).
        workers: processes; the result does not depend on it.
        progress: called with the pictures done and the pictures in all.

    Returns:
        What was made.

    Raises:
        InputError: the folder is not empty, or an argument is unusable.
        OSError: the folder cannot be written.
    """
    target = Path(directory)
    chosen = check_layout(layout)
    check_workers(workers)
    taken = shots(settings, chosen)
    check_free(target)
    with whole_folder(target) as staging:
        for folder in sorted({(staging / shot.path).parent for shot in taken}):
            folder.mkdir(parents=True, exist_ok=True)
        with (staging / FACTORS).open("w", encoding="utf-8", newline="") as table:
            table.write(header())
            done = 0
            with closing(_draw_all(staging, settings, chosen, taken, workers)) as drawn:
                for rows in drawn:
                    table.writelines(rows)
                    done += len(rows)
                    if progress is not None:
                        progress(done, len(taken))
        for path, text in index_files(settings, chosen, taken).items():
            (staging / path).parent.mkdir(exist_ok=True)
            (staging / path).write_bytes(text.encode())
        described = json.dumps(_description(settings, chosen, taken), indent=2, allow_nan=False)
        (staging / DESCRIPTION).write_bytes(described.encode() + b"\n")
    return Made(target, len(taken), settings.identities)


def scenario(settings: PeopleSettings, shot: Shot) -> Scenario:
    """All that a shot shows."""
    seed, level = settings.seed, settings.level
    return Scenario(
        _person(seed, shot.identity, level),
        _camera(seed, shot.camera, level),
        draw_picture(seed, shot.identity, shot.camera, shot.index, level),
    )


@lru_cache(maxsize=64)
def _person(seed: int, identity: int, level: Level) -> Person:
    return draw_person(seed, identity, level)


@lru_cache(maxsize=64)
def _camera(seed: int, camera: int, level: Level) -> Camera:
    return draw_camera(seed, camera, level)


def encoded(settings: PeopleSettings, layout: Layout, shot: Shot, shown: Scenario) -> bytes:
    """The bytes of a shot's file."""
    pixels = render(shown.person, shown.camera, shown.picture, shot.modality, settings.height, settings.width)
    stream = io.BytesIO()
    options = {"quality": settings.jpeg_quality} if layout == "sysu" else {}
    Image.fromarray(pixels).save(stream, _FORMATS[layout], **options)
    return stream.getvalue()


def _draw_all(
    staging: Path, settings: PeopleSettings, layout: Layout, taken: list[Shot], workers: int
) -> Generator[list[str], None, None]:
    """Draw every shot's file; yields their rows of the table, chunk by chunk, in order."""
    chunks = [taken[start : start + _CHUNK] for start in range(0, len(taken), _CHUNK)]
    draw = partial(_draw_chunk, staging, settings, layout)
    return in_processes(draw, chunks, workers)


def _draw_chunk(staging: Path, settings: PeopleSettings, layout: Layout, chunk: list[Shot]) -> list[str]:
    rows = []
    for shot in chunk:
        shown = scenario(settings, shot)
        (staging / shot.path).write_bytes(encoded(settings, layout, shot, shown))
        rows.append(row(shot, shown))
    return rows


def _description(settings: PeopleSettings, layout: Layout, taken: list[Shot]) -> dict[str, object]:
    counts = Counter(shot.camera for shot in taken)
    return {
        "generator": "limbeck people",
        "format": FORMAT,
        "layout": layout,
        "settings": asdict(settings),
        "images_per_identity_and_camera": settings.images(layout),
        "parts": {name: list(chosen) for name, chosen in settings.splits().items()},
        "cameras": [
            {"camera": camera, "modality": modality, "images": counts[camera]}
            for camera, modality in CAMERAS[layout].items()
        ],
    }
