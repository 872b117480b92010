"""Making a set of streets: scans, pictures, labels, calibration and the tables of factors, all or nothing."""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from limbeck.errors import InputError
from limbeck.reporting.progress import Progress
from limbeck.synthetic.folder import check_workers, in_processes
from limbeck.synthetic.streets.classes import CLASSES
from limbeck.synthetic.streets.draw import draw_block, draw_traffic
from limbeck.synthetic.streets.frame import StreetFactors, draw_factors, render
from limbeck.synthetic.streets.layouts import WRITERS
from limbeck.synthetic.streets.settings import CAMERAS, Layout, StreetSettings, check_layout
from limbeck.synthetic.streets.table import (
    DESCRIPTION,
    FACTORS,
    FORMAT,
    OBJECTS,
    frame_row,
    frames_header,
    object_rows,
    objects_header,
)
from limbeck.temporaries import check_free, whole_folder


@dataclass(frozen=True)
class Made:
    """What `make_streets` left behind.

    Attributes:
        directory: the folder.
        frames: how many scans it holds.
        points: of all scans together.
        scenes: how many streets they show.
    """

    directory: Path
    frames: int
    points: int
    scenes: int


def make_streets(
    directory: str | os.PathLike[str],
    settings: StreetSettings,
    layout: str = "semantickitti",
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> Made:
    """Draw a set of streets into a new folder.

    Everything is written into a hidden folder beside it, which takes its name once it is whole: an interruption or a
    full disk leaves nothing behind.

    Args:
        directory: the folder to make; it may exist if it is empty.
        settings: what to draw.
        layout: `semantickitti` (`sequences/00/velodyne/000000.bin`, ...; one camera), `nuscenes` (`v1.0-trainval/`,
            `v1.0-test/`, `samples/`, `lidarseg/`; six cameras) or `scans` (`train/scans/00/000000.bin`, ...; any
            number of cameras), which alone keeps all classes apart.
        workers: processes; the result does not depend on it.
        progress: called with the frames done and the frames in all.

    Returns:
        What was made.

    Raises:
        InputError: the folder is not empty, or an argument is unusable.
        OSError: the folder cannot be written.
    """
    target = Path(directory)
    chosen = check_layout(layout)
    check_workers(workers)
    full, writer = with_cameras(settings, chosen), WRITERS[chosen]
    places = [full.place(index) for index in range(len(full))]
    shown = {place: draw_factors(full, *place) for place in places}
    check_free(target)
    with whole_folder(target) as folder:
        for home in {(folder / path).parent for place in places for path in writer.paths(full, *place)}:
            home.mkdir(parents=True, exist_ok=True)
        points = 0
        with closing(in_processes(partial(_draw, folder, full, chosen), places, workers)) as drawn:
            for done, count in enumerate(drawn, start=1):
                points += count
                if progress is not None:
                    progress(done, len(places))
        for path, content in writer.index_files(full, shown).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        _write_tables(folder, full, chosen, shown)
        described = json.dumps(_description(full, chosen, shown), indent=2, allow_nan=False)
        (folder / DESCRIPTION).write_bytes(described.encode() + b"\n")
    return Made(target, len(places), points, full.scenes)


def with_cameras(settings: StreetSettings, layout: Layout) -> StreetSettings:
    """The settings with the cameras of a layout.

    Raises:
        InputError: they name another number.
    """
    given = settings.cameras
    wanted = CAMERAS.get(layout, given or 1)
    if given not in (None, wanted):
        raise InputError(f"cameras must be {wanted} in the layout {layout}, not {given}")
    return replace(settings, cameras=wanted)


def _draw(folder: Path, settings: StreetSettings, layout: Layout, place: tuple[int, int]) -> int:
    """Write a frame's files; returns how many points it has."""
    drawn = render(draw_factors(settings, *place), settings, *place)
    for path, content in WRITERS[layout].frame_files(settings, drawn).items():
        (folder / path).write_bytes(content)
    return len(drawn.points)


def _write_tables(
    folder: Path, settings: StreetSettings, layout: Layout, shown: dict[tuple[int, int], StreetFactors]
) -> None:
    part = {scene: name for name, scenes in settings.splits().items() for scene in scenes}
    seed = settings.seed
    with (folder / FACTORS).open("w", encoding="utf-8", newline="") as table:
        table.write(frames_header())
        for (scene, frame), one in shown.items():
            path, *_ = WRITERS[layout].paths(settings, scene, frame)
            table.write(frame_row(path, part[scene], scene, frame, one))
    with (folder / OBJECTS).open("w", encoding="utf-8", newline="") as table:
        table.write(objects_header())
        for scene in settings.numbers():
            drive = [shown[scene, frame] for frame in range(settings.frames)]
            blocks = sorted({thing.block for one in drive for thing in one.things if thing.name in _GROUND})
            for block in blocks:
                table.writelines(object_rows(scene, -1, draw_block(seed, scene, block)))
            for frame, one in enumerate(drive):
                table.writelines(object_rows(scene, frame, draw_traffic(seed, scene, frame, one.shot.pose)))


_GROUND = ("sidewalk", "terrain")  # every block has some


def _description(
    settings: StreetSettings, layout: Layout, shown: dict[tuple[int, int], StreetFactors]
) -> dict[str, object]:
    dark = Counter(scene for (scene, _), one in shown.items() if one.shot.light.night)
    return {
        "generator": "limbeck streets",
        "format": FORMAT,
        "layout": layout,
        "settings": asdict(settings),
        "parts": {name: list(scenes) for name, scenes in settings.splits().items()},
        "frames_at_night": {str(scene): dark[scene] for scene in settings.numbers()},
        "classes": [asdict(known) for known in CLASSES],
    }
