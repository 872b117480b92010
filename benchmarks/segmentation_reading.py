"""Reading LiDAR scans: from the files of SemanticKITTI, and packed; milliseconds a scan, and how many times as fast."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from rich.table import Table

from benchmarks.timing import medians
from limbeck.segmentation.dataset import SegmentationDataset
from limbeck.segmentation.labels import SEMANTIC_KITTI
from limbeck.segmentation.packed import load_packed, pack_scans
from limbeck.segmentation.sets.semantickitti import load_semantickitti

SCANS, POINTS = 12, 120_000
HEIGHT, WIDTH = 370, 1226
REPEATS = 7


def run() -> Table:
    table = Table(title=f"{SCANS} scans of {POINTS:,} points with a picture of {WIDTH} x {HEIGHT}, from warm files")
    for heading in ("what is read", "from", "ms / scan", "times as fast"):
        table.add_column(heading, justify="left" if heading in ("what is read", "from") else "right")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder / "source")
        source = load_semantickitti(folder / "source")
        pack_scans(source, folder / "bytes")
        pack_scans(source, folder / "decoded", size=(HEIGHT, WIDTH))
        sets = {
            "files of SemanticKITTI": source,
            "packed, pictures as PNG": load_packed(folder / "bytes"),
            "packed, pictures decoded": load_packed(folder / "decoded"),
        }
        jobs: dict[str, Callable[[SegmentationDataset, int], object]] = {
            "points and labels": lambda scans, place: scans.frame(place, images=False),
            "pixels of the points": lambda scans, place: scans.pixels(place),
            "everything": lambda scans, place: (scans.frame(place), scans.pixels(place)),
        }
        for what, job in jobs.items():
            seconds = medians({label: _all(job, scans) for label, scans in sets.items()}, repeats=REPEATS)
            first = next(iter(seconds.values()))
            for label, taken in seconds.items():
                table.add_row(what, label, f"{1000 * taken / SCANS:.2f}", f"{first / taken:.1f}")
    return table


def _all(job: Callable[[SegmentationDataset, int], object], scans: SegmentationDataset) -> Callable[[], None]:
    def read() -> None:
        for place in range(len(scans)):
            job(scans, place)

    return read


def _write(root: Path) -> None:
    """One drive: points all around, a camera that sees a sixth of them, pictures that compress as photographs do."""
    home = root / "sequences" / "00"
    for folder in ("velodyne", "labels", "image_2"):
        (home / folder).mkdir(parents=True)
    (home / "calib.txt").write_text(
        "P2: 707 0 602 46 0 707 183 0 0 0 1 0\nTr: 0 -1 0 0 0 0 -1 0 1 0 0 0\n", encoding="utf-8"
    )
    rng = np.random.default_rng(0)
    raw = np.array(SEMANTIC_KITTI.written, np.uint32)
    for place in range(SCANS):
        scan = rng.normal(0, [20, 20, 1.5, 0], (POINTS, 4)).astype("<f4")
        scan[:, 3] = rng.random(POINTS)
        scan.tofile(home / "velodyne" / f"{place:06d}.bin")
        raw[rng.integers(0, len(raw), POINTS)].astype("<u4").tofile(home / "labels" / f"{place:06d}.label")
        coarse = Image.fromarray(rng.integers(0, 256, (24, 78, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(smooth + rng.integers(-4, 5, smooth.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(home / "image_2" / f"{place:06d}.png")
