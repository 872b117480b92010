"""The two official layouts and that of one's own scans: which files there are, and what is in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from limbeck.synthetic.streets.frame import StreetFactors, StreetFrame
from limbeck.synthetic.streets.layouts import nuscenes, scans, semantickitti
from limbeck.synthetic.streets.settings import Layout, StreetSettings


@dataclass(frozen=True)
class Writer:
    """What a layout is.

    Attributes:
        paths: (settings, scene, frame) -> the files of a frame, relative to the folder, with `/`; its points first.
        frame_files: (settings, frame) -> path -> content of these files.
        index_files: (settings, factors of every (scene, frame)) -> path -> content of the files around the frames.
    """

    paths: Callable[[StreetSettings, int, int], list[str]]
    frame_files: Callable[[StreetSettings, StreetFrame], dict[str, bytes]]
    index_files: Callable[[StreetSettings, dict[tuple[int, int], StreetFactors]], dict[str, bytes]]


WRITERS: dict[Layout, Writer] = {
    "semantickitti": Writer(semantickitti.paths, semantickitti.frame_files, semantickitti.index_files),
    "nuscenes": Writer(nuscenes.paths, nuscenes.frame_files, nuscenes.index_files),
    "scans": Writer(scans.paths, scans.frame_files, scans.index_files),
}
