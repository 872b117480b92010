"""The galleries that the authors of SYSU-MM01 drew, as their file holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.arrayfiles import read_matlab
from limbeck.errors import InputError
from limbeck.files import first_line


def read_permutations(path: Path) -> dict[tuple[int, int], NDArray[np.int64]]:
    """The permutations of the official `rand_perm_cam.mat`: (camera, identity) -> (trials, images), from 1.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    hint = "give the official rand_perm_cam.mat"
    if not path.is_file():
        raise InputError(f"{path}: no such file; {hint}")
    try:
        cameras = read_matlab(path)["rand_perm_cam"]
        cells: dict[tuple[int, int], NDArray[np.int64]] = {}
        for camera, held in enumerate(cameras.ravel().tolist(), start=1):
            for identity, rows in enumerate(np.asarray(held, object).ravel().tolist(), start=1):
                permutation = np.asarray(rows)
                if permutation.size:
                    cells[camera, identity] = _permutation(permutation)
    except Exception as error:  # a damaged MAT file raises almost anything
        raise InputError(f"{path}: not usable ({first_line(error)}); {hint}") from None
    if not cells:
        raise InputError(f"{path}: holds no permutation; {hint}")
    return cells


def _permutation(rows: NDArray[Any]) -> NDArray[np.int64]:
    if rows.ndim != 2 or not (np.sort(rows, axis=1) == np.arange(1, rows.shape[1] + 1)).all():
        raise ValueError("a row is not a permutation")
    return rows.astype(np.int64)
