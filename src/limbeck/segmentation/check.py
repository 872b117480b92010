"""What a set of LiDAR scans holds, and whether that is what it should hold."""

from __future__ import annotations

from pathlib import Path

from limbeck.errors import InputError
from limbeck.reporting.progress import Progress
from limbeck.reporting.tables import format_table
from limbeck.segmentation.dataset import SegmentationDataset, describe
from limbeck.segmentation.sets import load_scans, segmentation_set, segmentation_sets
from limbeck.synthetic.streets.check import check_streets, is_drawn

_SHOWN = 5  # findings that a message spells out


def list_sets() -> str:
    """A table of the sets of scans that can be read."""
    headings = ("name", "what")
    rows = [[one.name, one.title] for one in segmentation_sets().values()]
    return format_table(headings, rows, title="Sets of LiDAR scans, where you have them", left=headings, width=130)


def describe_scans(name: str, place: Path) -> str:
    """A table of a set, the sequences and scans of every split; below it, its classes and what its first scan holds.

    Raises:
        InputError: the set, or its first scan, cannot be read.
    """
    scans = load_scans(name, place)
    headings = ("split", "sequences", "scans", "which sequences")
    rows = [[*map(str, row)] for row in describe(scans)]
    title = f"{scans.name}: {len(scans):,} scans"
    table = format_table(headings, rows, title=title, left=("split", "which sequences"), width=130)
    frame = scans.frame(0, images=False)
    seen = scans.pixels(0, frame).visible.mean()
    cameras = ", ".join(f"{camera.name} ({camera.width} x {camera.height})" for camera in frame.cameras)
    known = "no labels" if frame.labels is None else f"{(frame.labels >= 0).mean():.1%} of a known class"
    return (
        f"{table}{len(scans.labels.classes)} classes: {', '.join(scans.labels.classes) or 'none'}\n"
        f"cameras: {cameras or 'none'}\n"
        f"the first scan, {frame.name}: {len(frame.points):,} points, {known}, {seen:.1%} in view of a camera\n"
        f"scored by: {scans.evaluator}\n"
    )


def check_scans(name: str, place: Path, *, decode: bool = True, progress: Progress | None = None) -> str:
    """Compare a set with its official counts, or drawn streets with their table, and read every scan with its pictures.

    Args:
        name: of the set.
        place: where it lies.
        decode: read the files too.
        progress: called with (scans read, scans in all).

    Returns:
        One line that says what was found in order.

    Raises:
        InputError: something is wrong: the first findings, and how many there are.
    """
    scans, check = load_scans(name, place), segmentation_set(name).check
    if is_drawn(place):
        wrong, against = check_streets(place), "the table of what was drawn"
    elif check is not None:
        wrong, against = check(scans), "the official counts"
    else:
        wrong, against = [], f"its {segmentation_set(name).root}"
    if wrong:
        raise InputError(f"{place}: {_first(wrong)}")
    told = f"{place}: {len(scans):,} scans as in {against}"
    return told + (_read(scans, progress) if decode else "")


def _read(scans: SegmentationDataset, progress: Progress | None) -> str:
    """Read every scan; what that found, for the end of a line."""
    unreadable: list[str] = []
    labelled = pictures = 0
    for position in range(len(scans)):
        try:
            frame = scans.frame(position)
        except InputError as error:
            unreadable.append(str(error))
        else:
            labelled += frame.labels is not None
            pictures += len(frame.images)
        if progress is not None:
            progress(position + 1, len(scans))
    if unreadable:
        raise InputError(f"{len(unreadable)} of {len(scans)} scans cannot be used: {_first(unreadable)}")
    return f", all of them readable, {labelled:,} with labels, {pictures:,} pictures"


def _first(findings: list[str]) -> str:
    more = f"; and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else ""
    return f"{'; '.join(findings[:_SHOWN])}{more}"
