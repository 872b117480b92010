"""Photographs of one size in an NPZ file, and how a folder of classes becomes one."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from limbeck.errors import InputError
from limbeck.files import DAMAGED_ZIP, Arrays, atomic_writer, check_regular, check_unfolded, first_line
from limbeck.images.decoding import MAX_PIXELS, read_image
from limbeck.metric.dataset import MetricDataset
from limbeck.metric.sets import MetricSet
from limbeck.metric.sets.folder import SPLITS, load_folder
from limbeck.reporting.progress import Progress

MAX_SIDE = math.isqrt(MAX_PIXELS)


def load_arrays(file: Path) -> MetricDataset:
    """Read an NPZ with `images` (pictures, height, width, 3) uint8, `labels` and perhaps `split`.

    Labels are whole numbers or words, numbered in their order; splits are words. Without `split` the one split is
    "all".

    Raises:
        InputError: the file cannot be read, or an array is missing or does not fit.
    """
    arrays = Arrays(file, hint=" with 'images' and 'labels'")
    for name in ("images", "labels"):
        if name not in arrays:
            raise InputError(f"{file}: the array {name!r} is missing; there are: {', '.join(arrays) or 'none'}")
    images, labels = arrays["images"], arrays["labels"]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not images.size:
        raise InputError(
            f"{file}: 'images' must be (pictures, height, width, 3) uint8, not {images.dtype} {images.shape}"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iuUS":
        raise InputError(
            f"{file}: 'labels' must be {len(images)} whole numbers or words, not {labels.dtype} {labels.shape}"
        )
    names, label = np.unique(labels.astype(str) if labels.dtype.kind == "S" else labels, return_inverse=True)
    split = arrays.get("split")
    splits = {"all": np.arange(len(images))}
    if split is not None:
        words = split.astype(str)
        strange = [word for word in np.unique(words).tolist() if word not in SPLITS]
        if words.shape != labels.shape or strange:
            raise InputError(f"{file}: 'split' must say one of {', '.join(SPLITS)} of every picture")
        splits = {name: np.flatnonzero(words == name) for name in SPLITS if (words == name).any()}
    classes = tuple(str(name) for name in names.tolist())
    return MetricDataset(
        file.stem,
        file,
        tuple(f"{classes[code]}/{place}" for place, code in enumerate(label.tolist())),
        label.astype(np.int64),
        splits,
        classes=classes,
        images=images,
    )


def pack_classes(
    source: Path,
    target: Path,
    *,
    size: int = 64,
    leave_out: Collection[str] = (),
    progress: Progress | None = None,
) -> str:
    """Write the pictures of a folder of classes, or of a ZIP of one, as an array that `load_arrays` reads.

    Args:
        source: a folder as `load_folder` takes it, or a ZIP file of one.
        target: an NPZ file; made whole or not at all.
        size: height and width of every picture, which may change its shape.
        leave_out: names of classes.
        progress: called with (pictures done, pictures in all).

    Returns:
        One line that says what was written.

    Raises:
        InputError: the source cannot be read, or there is no such class to leave out.
    """
    if not 1 <= size <= MAX_SIDE:
        raise InputError(f"size must be a whole number in [1, {MAX_SIDE}], not {size}")
    if target.suffix != ".npz":
        raise InputError(f"{target}: the array's name must end in .npz")
    if source.is_dir():
        return _packed(source, target, size, leave_out, progress)
    with TemporaryDirectory() as folder:
        _unpack(source, Path(folder))
        inside = [place for place in Path(folder).iterdir() if place.is_dir()]
        # An archive often holds one folder of everything.
        one = len(inside) == 1 and any(place.is_dir() for place in inside[0].iterdir())
        return _packed(inside[0] if one else Path(folder), target, size, leave_out, progress)


def _unpack(source: Path, folder: Path) -> None:
    try:
        check_regular(source)
        with zipfile.ZipFile(source) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
            check_unfolded(unpacked, source, "unpack it, and give the folder")
            archive.extractall(folder)
    except InputError:
        raise
    except (*DAMAGED_ZIP, OSError) as error:
        raise InputError(f"{source}: neither a folder of classes nor a ZIP of one ({first_line(error)})") from None


def _packed(source: Path, target: Path, size: int, leave_out: Collection[str], progress: Progress | None) -> str:
    held = load_folder(source)
    assert held.classes is not None
    absent = [name for name in leave_out if name not in held.classes]
    if absent:
        raise InputError(f"{source}: there is no class {absent[0]!r} to leave out")
    word = np.array(held.classes)[held.label]
    chosen = np.flatnonzero(~np.isin(word, list(leave_out)))
    images = np.empty((len(chosen), size, size, 3), np.uint8)
    for place, position in enumerate(chosen.tolist()):
        images[place] = read_image(held.root / held.path[position], (size, size))
        if progress is not None:
            progress(place + 1, len(chosen))
    arrays = {"images": images, "labels": word[chosen]}
    if "all" not in held.splits:
        split = np.empty(len(held), dtype="U10")
        for name, rows in held.splits.items():
            split[rows] = name
        arrays["split"] = split[chosen]
    with atomic_writer(target) as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]
    return f"{target}: {len(chosen)} pictures of {len(np.unique(word[chosen]))} classes at {size} x {size}"


SET = MetricSet(
    "class-npz",
    "your own pictures of one size in an NPZ file with the arrays images, labels and maybe split",
    load=load_arrays,
    check=None,
    root="file",
)
