"""Embeddings with the labels that protocols need, in memory and as an NPZ file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from limbeck.errors import InputError
from limbeck.files import atomic_writer, read_arrays
from limbeck.modalities import INFRARED, MODALITIES, VISIBLE
from limbeck.retrieval.arrays import plain


@dataclass(frozen=True, eq=False)
class Features:
    """Embeddings of pictures of people (or of anything else that has an identity).

    Make one with `Features.from_arrays`, which checks it; the constructor itself checks nothing.

    Attributes:
        feature: (items, features) float32 or float64, finite.
        identity: (items,) int64; a negative one is nobody's: never a query, in a gallery a distractor. -1 is junk to
            `Market`, which drops it.
        camera: (items,) int64, or None.
        modality: (items,) int8, 0 visible and 1 infrared, or None.
        path: a name for each item, or None. Samplers that draw from "the sorted pictures of a cell" sort by it; without
            paths they take the items' own order.
        query: (items,) which are queries, where the set fixes it (Market-1501), or None.
        origin: what messages call it.
    """

    feature: NDArray[np.floating]
    identity: NDArray[np.int64]
    camera: NDArray[np.int64] | None = None
    modality: NDArray[np.int8] | None = None
    path: tuple[str, ...] | None = None
    query: NDArray[np.bool_] | None = None
    origin: str = "features"

    def __len__(self) -> int:
        return len(self.identity)

    @staticmethod
    def from_arrays(
        feature: ArrayLike | Tensor,
        identity: ArrayLike | Tensor,
        *,
        camera: ArrayLike | Tensor | None = None,
        modality: ArrayLike | Tensor | None = None,
        path: Sequence[str] | None = None,
        query: ArrayLike | Tensor | None = None,
        origin: str = "features",
    ) -> Features:
        """Check embeddings and labels against one another and put them together.

        Args:
            feature: (items, features) real numbers; float16, bfloat16 and integers become float32. Tensors are taken
                from any device, without their history; so are the labels.
            identity: (items,) integers.
            camera: (items,) integers.
            modality: (items,) of 0 and 1, or of "visible" and "infrared".
            path: (items,) names.
            query: (items,) booleans.
            origin: the file or argument that messages name.

        Raises:
            InputError: a shape, type or value does not fit; the message names the array.
        """
        vectors = plain(feature)
        if vectors.ndim != 2 or vectors.dtype.kind not in "fiub":
            raise InputError(
                f"{origin}: 'feature' must be real numbers of shape (items, features), "
                f"not {vectors.dtype} {vectors.shape}"
            )
        if vectors.dtype not in (np.float32, np.float64):
            vectors = vectors.astype(np.float32)
        size = len(vectors)
        if size == 0 or vectors.shape[1] == 0:
            raise InputError(f"{origin}: 'feature' is empty, {vectors.shape}")
        broken = ~np.isfinite(vectors).all(axis=1)
        if broken.any():
            raise InputError(
                f"{origin}: 'feature' holds NaN or infinity in {int(broken.sum())} rows (first: {int(broken.argmax())})"
            )
        if path is not None and len(path) != size:
            raise InputError(f"{origin}: {size} rows of 'feature' but {len(path)} of 'path'")
        return Features(
            vectors,
            _integers(identity, "identity", size, origin),
            None if camera is None else _integers(camera, "camera", size, origin),
            None if modality is None else _modalities(modality, size, origin),
            None if path is None else tuple(str(name) for name in path),
            None if query is None else _flags(query, size, origin),
            origin,
        )


def load_features(path: str | os.PathLike[str]) -> Features:
    """Read an NPZ with `feature`, `identity` and, where a protocol asks, `camera`, `modality`, `path`, `query`.

    Nothing is unpickled.

    Raises:
        InputError: there is no such file, it is damaged, or an array is missing or does not fit.
    """
    arrays = read_arrays(path, hint=" with 'feature' and 'identity'")
    for name in ("feature", "identity"):
        if name not in arrays:
            raise InputError(f"{path}: the array {name!r} is missing; there are: {', '.join(arrays) or 'none'}")
    names = arrays.get("path")
    return Features.from_arrays(
        arrays["feature"],
        arrays["identity"],
        camera=arrays.get("camera"),
        modality=arrays.get("modality"),
        path=None if names is None else [str(name) for name in names.ravel()],
        query=arrays.get("query"),
        origin=str(path),
    )


def save_features(features: Features, path: str | os.PathLike[str]) -> None:
    """Write an NPZ that `load_features` reads; the file appears whole or not at all.

    Raises:
        OSError: the disk is full or the folder cannot be written; what stood at `path` is untouched.
    """
    arrays: dict[str, Any] = {"feature": features.feature, "identity": features.identity}
    if features.camera is not None:
        arrays["camera"] = features.camera
    if features.modality is not None:
        arrays["modality"] = np.array(MODALITIES)[features.modality]
    if features.path is not None:
        arrays["path"] = np.array(features.path)
    if features.query is not None:
        arrays["query"] = features.query
    with atomic_writer(Path(path)) as stream:
        np.savez(stream, **arrays)


def _row(values: ArrayLike | Tensor, name: str, size: int, origin: str) -> NDArray[Any]:
    array = plain(values)
    if array.shape != (size,):
        raise InputError(f"{origin}: {size} rows of 'feature' but {name!r} has shape {array.shape}")
    return array


def _integers(values: ArrayLike | Tensor, name: str, size: int, origin: str) -> NDArray[np.int64]:
    array = _row(values, name, size, origin)
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.round(array)).all():
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise InputError(f"{origin}: {name!r} must be integers, not {array.dtype}")
    return array.astype(np.int64)


def _modalities(values: ArrayLike | Tensor, size: int, origin: str) -> NDArray[np.int8]:
    array = _row(values, "modality", size, origin)
    if array.dtype.kind in "US":
        words = array.astype(str)
        unknown = ~np.isin(words, MODALITIES)
        if unknown.any():
            raise InputError(
                f"{origin}: 'modality' must be {' or '.join(MODALITIES)}, not {str(words[unknown.argmax()])!r} "
                f"(row {int(unknown.argmax())})"
            )
        return np.where(words == MODALITIES[INFRARED], INFRARED, VISIBLE).astype(np.int8)
    codes = _integers(array, "modality", size, origin)
    unknown = ~np.isin(codes, (VISIBLE, INFRARED))
    if unknown.any():
        raise InputError(
            f"{origin}: 'modality' must be 0 (visible) or 1 (infrared), not {codes[unknown.argmax()]} "
            f"(row {int(unknown.argmax())})"
        )
    return codes.astype(np.int8)


def _flags(values: ArrayLike | Tensor, size: int, origin: str) -> NDArray[np.bool_]:
    array = _row(values, "query", size, origin)
    if array.dtype.kind not in "biu" or not np.isin(array, (0, 1)).all():
        raise InputError(f"{origin}: 'query' must be booleans, not {array.dtype}")
    return array.astype(bool)
