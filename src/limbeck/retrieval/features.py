"""Embeddings with the labels that protocols need, in memory and as an NPZ file."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from limbeck.errors import InputError
from limbeck.files import atomic_writer
from limbeck.modalities import INFRARED, MODALITIES, VISIBLE
from limbeck.retrieval.arrays import floating, plain

_WHOLE = re.compile(r"-?\d{1,18}")


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
        names: of identity 0, 1, ..., where identities were given as strings, or None.
        path: a name for each item, or None. Samplers that draw from "the sorted pictures of a cell" sort by it; without
            paths they take the items' own order.
        query: (items,) which are queries, where the set fixes it (Market-1501), or None.
        similarity: where similarities were given instead of vectors, and `feature` is (items, 0): (items, items), or
            (queries, other items) in the order of the items where `query` says which are queries; larger is nearer.
        clothes: (items,) int64, what is worn, or None.
        origin: what messages call it.
    """

    feature: NDArray[np.floating]
    identity: NDArray[np.int64]
    camera: NDArray[np.int64] | None = None
    modality: NDArray[np.int8] | None = None
    path: tuple[str, ...] | None = None
    query: NDArray[np.bool_] | None = None
    origin: str = "features"
    names: tuple[str, ...] | None = None
    similarity: NDArray[np.floating] | None = None
    clothes: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.identity)

    @staticmethod
    def from_arrays(
        feature: ArrayLike | Tensor,
        identity: ArrayLike | Tensor,
        *,
        camera: ArrayLike | Tensor | None = None,
        clothes: ArrayLike | Tensor | None = None,
        modality: ArrayLike | Tensor | None = None,
        path: Sequence[str] | None = None,
        query: ArrayLike | Tensor | None = None,
        origin: str = "features",
    ) -> Features:
        """Check embeddings and labels against one another and put them together.

        Args:
            feature: (items, features) real numbers, any that float64 holds; float16, bfloat16 and integers become
                float32. Tensors are taken from any device, without their history; so are the labels.
            identity: (items,) integers that int64 holds, floats below those that are equal to their neighbours (2**53
                for float64, 2**24 for float32), or strings. Strings that all are whole numbers ("0002", "-1") are those
                numbers, unless two of them would become one; others are numbered in ascending order, as `names` keeps
                them, but for "-1", which stays -1.
            camera: (items,) integers.
            clothes: (items,) integers, of the whole set or counted anew for each identity.
            modality: (items,) of 0 and 1, or of "visible" and "infrared".
            path: (items,) names.
            query: (items,) booleans.
            origin: the file or argument that messages name.

        Raises:
            InputError: a shape, type or value does not fit; the message names the array.
        """
        vectors = checked_vectors(feature, origin)
        return _labelled(
            vectors,
            len(vectors),
            identity,
            camera=camera,
            clothes=clothes,
            modality=modality,
            path=path,
            query=query,
            origin=origin,
        )

    @staticmethod
    def from_similarities(
        similarity: ArrayLike | Tensor,
        identity: ArrayLike | Tensor,
        *,
        camera: ArrayLike | Tensor | None = None,
        clothes: ArrayLike | Tensor | None = None,
        modality: ArrayLike | Tensor | None = None,
        path: Sequence[str] | None = None,
        query: ArrayLike | Tensor | None = None,
        origin: str = "similarities",
    ) -> Features:
        """Check similarities and labels against one another: what other code compared is ranked and scored here.

        Args:
            similarity: (items, items); or with `query` (queries, other items), in the order of the items. Larger is
                nearer: of distances give the negative.
            identity: (items,), and the others as for `from_arrays`.

        Raises:
            InputError: a shape, type or value does not fit; the message names the array.
        """
        matrix = floating(similarity, f"{origin}: 'similarity'")
        if matrix.ndim != 2 or not matrix.size:
            raise InputError(f"{origin}: 'similarity' must be (queries, gallery), not {matrix.shape}")
        for start in range(0, len(matrix), _ROWS):
            if np.isnan(matrix[start : start + _ROWS]).any():
                raise InputError(f"{origin}: 'similarity' holds NaN")
        size = len(plain(identity))
        empty = np.zeros((size, 0), np.float32)
        held = _labelled(
            empty,
            size,
            identity,
            camera=camera,
            clothes=clothes,
            modality=modality,
            path=path,
            query=query,
            origin=origin,
        )
        asked = size if held.query is None else int(held.query.sum())
        if matrix.shape not in ((size, size), (asked, size - asked)):
            shapes = f"{(size, size)}" + f" or {(asked, size - asked)}" * (held.query is not None)
            raise InputError(f"{origin}: 'similarity' must be {shapes} for {size} of 'identity', not {matrix.shape}")
        return replace(held, similarity=matrix)

    @property
    def held(self) -> str:
        """What the items are compared by, in words."""
        return "similarities that were given" if self.similarity is not None else f"{self.feature.shape[1]} features"


_ROWS = 4096  # that are checked at once, so that checking takes little memory


def check_finite(vectors: NDArray[np.floating], origin: str, name: str = "feature") -> None:
    """Raise InputError where a row holds NaN or infinity, some rows at a time."""
    broken, first = 0, -1
    for start in range(0, len(vectors), _ROWS):
        bad = ~np.isfinite(vectors[start : start + _ROWS]).all(axis=1)
        if bad.any():
            first = start + int(bad.argmax()) if first < 0 else first
            broken += int(bad.sum())
    if broken:
        raise InputError(f"{origin}: {name!r} holds NaN or infinity in {broken} rows (first: {first})")


def checked_vectors(feature: ArrayLike | Tensor, origin: str) -> NDArray[np.floating]:
    """Embeddings (items, features) as float32 or float64.

    Raises:
        InputError: they are not finite real numbers of that shape, or there are none.
    """
    vectors = plain(feature)
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiub":
        raise InputError(
            f"{origin}: 'feature' must be real numbers of shape (items, features), not {vectors.dtype} {vectors.shape}"
        )
    if vectors.dtype not in (np.float32, np.float64):
        vectors = vectors.astype(np.float32)
    if 0 in vectors.shape:
        raise InputError(f"{origin}: 'feature' is empty, {vectors.shape}")
    check_finite(vectors, origin)
    return vectors


def _labelled(
    vectors: NDArray[np.floating],
    size: int,
    identity: ArrayLike | Tensor,
    *,
    camera: ArrayLike | Tensor | None,
    clothes: ArrayLike | Tensor | None,
    modality: ArrayLike | Tensor | None,
    path: Sequence[str] | None,
    query: ArrayLike | Tensor | None,
    origin: str,
) -> Features:
    if path is not None and len(path) != size:
        raise InputError(f"{origin}: {size} rows of 'feature' but {len(path)} of 'path'")
    people, names = _identities(identity, size, origin)
    return Features(
        vectors,
        people,
        None if camera is None else _integers(camera, "camera", size, origin),
        None if modality is None else _modalities(modality, size, origin),
        None if path is None else tuple(str(name) for name in path),
        None if query is None else _flags(query, size, origin),
        origin,
        names,
        clothes=None if clothes is None else _integers(clothes, "clothes", size, origin),
    )


def save_features(features: Features, path: str | os.PathLike[str]) -> None:
    """Write an NPZ that `read_features` reads; the file appears whole or not at all.

    Raises:
        OSError: the disk is full or the folder cannot be written; what stood at `path` is untouched.
    """
    people = features.identity
    if features.names is not None:
        people = np.where(people < 0, str(-1), np.array(features.names)[np.maximum(people, 0)])
    arrays: dict[str, Any] = {"identity": people}
    if features.similarity is None:
        arrays["feature"] = features.feature
    else:
        arrays["similarity"] = features.similarity
    if features.camera is not None:
        arrays["camera"] = features.camera
    if features.clothes is not None:
        arrays["clothes"] = features.clothes
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


def _identities(values: ArrayLike | Tensor, size: int, origin: str) -> tuple[NDArray[np.int64], tuple[str, ...] | None]:
    """Identities as numbers, and the names of 0, 1, ... where they were given as strings that are no numbers."""
    array = _row(values, "identity", size, origin)
    if array.dtype == object and all(isinstance(value, str) for value in array.flat):
        array = array.astype(str)  # as tables hold them
    if array.dtype.kind not in "US":
        return _integers(array, "identity", size, origin), None
    words = np.char.strip(array.astype(str))
    if (words == "").any():
        raise InputError(f"{origin}: 'identity' is empty in row {int((words == '').argmax())}; use -1 for nobody")
    known, codes = np.unique(words, return_inverse=True)
    if all(_WHOLE.fullmatch(word) for word in known.tolist()):
        numbers = known.astype(np.int64)
        if len(np.unique(numbers)) == len(known):
            return numbers[codes], None
    people = [word for word in known.tolist() if word != "-1"]
    place = {word: number for number, word in enumerate(people)} | {"-1": -1}
    return np.array([place[word] for word in known.tolist()], np.int64)[codes], tuple(people)


def _integers(values: ArrayLike | Tensor, name: str, size: int, origin: str) -> NDArray[np.int64]:
    array = _row(values, name, size, origin)
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.round(array)).all():
        # From here on whole numbers next to one another are one and the same float.
        distinct = 2.0 ** (np.finfo(array.dtype).nmant + 1)
        if (np.abs(array) >= distinct).any():
            raise InputError(
                f"{origin}: {name!r} holds {array[np.abs(array).argmax()]:.0f} as {array.dtype}, which cannot tell it "
                "from its neighbours; give integers or strings"
            )
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise InputError(f"{origin}: {name!r} must be integers, not {array.dtype}")
    if array.dtype.kind == "u" and array.max(initial=0) > np.iinfo(np.int64).max:
        raise InputError(f"{origin}: {name!r} holds {array.max()}, more than int64 can hold; give strings")
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
