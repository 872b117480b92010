"""What run folders of tasks on pictures have in common: the decoded pictures of a set."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.images.cache import decoded_images
from limbeck.images.decoding import Radiometric
from limbeck.reporting.progress import progress_bar

PICTURES = "pictures"
"""The folder of decoded pictures in a run's folder."""


def decoded_pictures(
    root: Path,
    paths: Sequence[str],
    cache: Path,
    *,
    size: tuple[int, int],
    skip_corrupt: bool,
    radiometric: Radiometric | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The pictures of a set from the cache, and the row of each path among them; -1: none.

    Unreadable pictures that are let pass are warned of. The arguments are those of `decoded_images`.
    """
    with progress_bar("pictures") as advance:
        found = decoded_images(
            root, paths, cache, size=size, skip_corrupt=skip_corrupt, radiometric=radiometric, progress=advance
        )
    if found.corrupt:
        warnings.warn(f"{len(found.corrupt)} pictures are left out (first: {found.corrupt[0]})", stacklevel=3)
    return found.images, found.rows
