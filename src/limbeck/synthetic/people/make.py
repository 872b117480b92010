"""Making a set of people: pictures, index files and the table of factors, all or nothing."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

from PIL import Image

from limbeck.errors import InputError
from limbeck.reporting.progress import Progress
from limbeck.synthetic.people.draw import draw_camera, draw_person, draw_picture
from limbeck.synthetic.people.factors import Camera, Person
from limbeck.synthetic.people.layouts import CAMERAS, Shot, index_files, shots
from limbeck.synthetic.people.render import render
from limbeck.synthetic.people.settings import Layout, Level, PeopleSettings, check_layout
from limbeck.synthetic.people.table import DESCRIPTION, FACTORS, FORMAT, Scenario, header, row

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
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise InputError(f"workers must be a whole number from 1, not {workers!r}")
    taken = shots(settings, chosen)
    _check_free(target)
    with _staging(target) as staging:
        for folder in sorted({(staging / shot.path).parent for shot in taken}):
            folder.mkdir(parents=True, exist_ok=True)
        with (staging / FACTORS).open("w", encoding="utf-8", newline="") as table:
            table.write(header())
            done = 0
            for rows in _draw_all(staging, settings, chosen, taken, workers):
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
) -> Iterator[list[str]]:
    """Draw every shot's file; yields their rows of the table, chunk by chunk, in order."""
    chunks = [taken[start : start + _CHUNK] for start in range(0, len(taken), _CHUNK)]
    draw = partial(_draw_chunk, staging, settings, layout)
    if workers == 1:
        yield from map(draw, chunks)
        return
    pool = ProcessPoolExecutor(workers, initializer=_leave_interrupts_to_the_parent)
    try:
        yield from pool.map(draw, chunks)
    finally:
        # Waited for, so that nobody writes into the folder while it is being removed.
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


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


def _check_free(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target} exists and is not a folder")
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"{target} is not empty; name a new folder")


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A folder beside the target that takes its place once the block has ended well, and else is removed."""
    whole = target.absolute()
    whole.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{whole.name}.", suffix=".tmp", dir=whole.parent))
    try:
        yield staging
        umask = os.umask(0)
        os.umask(umask)
        staging.chmod(0o777 & ~umask)
        _check_free(target)  # it may have been filled meanwhile
        staging.replace(target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
