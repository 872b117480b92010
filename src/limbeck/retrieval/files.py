"""Embeddings and their labels out of anybody's files: which array is which, two files as one, queries and a gallery."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.arrayfiles import ALONE, read_array_file
from limbeck.errors import InputError
from limbeck.retrieval.features import Features

# What an array is called, without `_`, `-`, blanks and capitals -> what it holds. The first name of each is ours, and
# is taken where several are there.
ALIASES: dict[str, tuple[str, ...]] = {
    "feature": ("feature", "features", "feat", "feats", "embedding", "embeddings", "vector", "vectors", "f", "z"),
    "identity": (
        *("identity", "identities", "pid", "pids", "personid", "personids", "label", "labels", "y", "target"),
        *("targets", "id", "ids"),
    ),
    "camera": ("camera", "cameras", "cam", "cams", "camid", "camids", "cameraid", "cameraids"),
    "clothes": ("clothes", "cloth", "clothid", "clothids", "clothesid", "clothesids"),
    "modality": ("modality", "modalities"),
    "path": ("path", "paths", "imgpath", "imgpaths", "imagepath", "imagepaths", "file", "files", "filename"),
    "query": ("query", "isquery"),
    "similarity": ("similarity", "similarities", "sim", "sims"),
    "distance": ("distance", "distances", "dist", "distmat", "distancematrix"),
}
_SIDES = {"query": ("query", "q"), "gallery": ("gallery", "g")}
_OF_A_SIDE = ("feature", "identity", "camera", "clothes", "modality", "path")
_VIEW = re.compile(r"z\d+")
ROLES = (*ALIASES, *(f"{side}_{role}" for side in _SIDES for role in _OF_A_SIDE))


@dataclass(frozen=True, eq=False)
class Items:
    """What a file says of some items, as far as it says it; nothing is checked but what belongs together.

    Attributes:
        arrays: what is held ("feature", "identity", ...) -> its array, one row an item.
        origin: the file that messages name.
        names: of all arrays of the file, for messages.
    """

    arrays: dict[str, NDArray[Any]]
    origin: str
    names: tuple[str, ...] = ()

    def __contains__(self, role: str) -> bool:
        return role in self.arrays

    def __getitem__(self, role: str) -> NDArray[Any]:
        return self.arrays[role]

    def __len__(self) -> int:
        first = next(iter(self.arrays.values()), np.empty(0))
        return len(np.atleast_1d(self.arrays.get("feature", first)))

    def missing(self, role: str) -> str:
        """What to say where something is not there."""
        there = ", ".join(self.names) or "none"
        return f"{self.origin}: the array '{role}' is missing; there are: {there}; name it with --keys {role}=NAME"


def load_features(
    path: str | os.PathLike[str],
    *,
    queries: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    query_labels: str | os.PathLike[str] | None = None,
    keys: Mapping[str, str] | None = None,
) -> Features:
    """Read embeddings, or similarities, with the labels that protocols need. Nothing is unpickled.

    An array is known by its name, of `ALIASES`, with `query_` (`q_`) or `gallery_` (`g_`) before it where a file holds
    both sides; `keys` says what the names do not. Similarities are `similarity` (larger is nearer) or `distance`.

    Args:
        path: an NPZ, NPY, CSV, MATLAB or PyTorch file (`limbeck.arrayfiles.read_array_file`).
        queries: the queries, where they are a file of their own; `path` is the gallery then.
        labels: another file, with labels of the rows of `path`, in their order.
        query_labels: the same for `queries`.
        keys: what is held -> the name of its array: {"feature": "emb", "identity": "who"}.

    Raises:
        InputError: a file cannot be read, an array is missing or does not fit, or it cannot be told which it is.
    """
    found = load_items(path, queries=queries, labels=labels, query_labels=query_labels, keys=keys)
    items = found if isinstance(found, Items) else _marked(*found)
    if "identity" not in items:
        raise InputError(items.missing("identity") + ", or give a file of labels with --labels")
    names = items.arrays.get("path")
    given: dict[str, Any] = {
        "camera": items.arrays.get("camera"),
        "clothes": items.arrays.get("clothes"),
        "modality": items.arrays.get("modality"),
        "path": None if names is None else [str(name) for name in np.atleast_1d(names)],
        "query": items.arrays.get("query"),
        "origin": items.origin,
    }
    if "similarity" in items:
        return Features.from_similarities(items["similarity"], items["identity"], **given)
    if "feature" not in items:
        raise InputError(items.missing("feature"))
    return Features.from_arrays(items["feature"], items["identity"], **given)


def load_items(
    path: str | os.PathLike[str],
    *,
    queries: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    query_labels: str | os.PathLike[str] | None = None,
    keys: Mapping[str, str] | None = None,
    read: Mapping[str, Mapping[str, NDArray[Any]]] | None = None,
) -> Items | tuple[Items, Items]:
    """As `load_features`, of files that need not say whose items they are: those of one side, or queries and gallery.

    A file of both sides that holds similarities gives them to the queries. `read` are arrays of files that were read
    before.
    """
    if query_labels is not None and queries is None:
        raise InputError("--query_labels are those of --queries: name that file too")
    wanted = dict(keys or {})
    check_roles(wanted, ROLES)
    files = [os.fspath(file) for file in (path, labels, queries, query_labels) if file is not None]
    known = read or {}
    held = {name: known[name] if name in known else read_array_file(name) for name in files}
    check_keys(wanted, [*held.values()], ", ".join(held))
    main = _one_side(path, labels, held, wanted)
    two = any(f"{side}_{role}" in main for side in _SIDES for role in _OF_A_SIDE)
    if queries is not None:
        if two or "query" in main or "similarity" in main:
            raise InputError(
                f"{path}: holds queries itself, or similarities to them: leave --queries out, or give a file of "
                "the gallery alone"
            )
        asked = _one_side(queries, query_labels, held, wanted)
        if any(f"{side}_{role}" in asked for side in _SIDES for role in _OF_A_SIDE):
            raise InputError(f"{queries}: holds a gallery itself; give a file of the queries alone")
        return asked, main
    return _split(main) if two else main


def load_sides(
    path: str | os.PathLike[str],
    *,
    queries: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    query_labels: str | os.PathLike[str] | None = None,
    keys: Mapping[str, str] | None = None,
) -> tuple[Items, Items]:
    """Queries and gallery: two files, one of both sides, or one that marks its queries.

    Raises:
        InputError: as `load_items`, or nobody knows which items are the queries.
    """
    found = load_items(path, queries=queries, labels=labels, query_labels=query_labels, keys=keys)
    if not isinstance(found, Items):
        return found
    if "query" not in found or "feature" not in found:
        raise InputError(f"{path}: nobody knows which items are the queries; give their file with --queries")
    flags = found["query"]
    if flags.shape != (len(found),) or not np.isin(flags, (0, 1)).all():
        raise InputError(f"{path}: 'query' must be booleans, one an item, not {flags.dtype} {flags.shape}")
    sides = []
    for chosen in (flags.astype(bool), ~flags.astype(bool)):
        arrays = {role: array[chosen] for role, array in found.arrays.items() if role in _OF_A_SIDE}
        sides.append(Items(arrays, found.origin, found.names))
    return sides[0], sides[1]


def load_all(
    path: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    keys: Mapping[str, str] | None = None,
    read: Mapping[str, Mapping[str, NDArray[Any]]] | None = None,
) -> Items:
    """All items of a file; of one that holds both sides the queries first, which `query` then marks."""
    found = load_items(path, labels=labels, keys=keys, read=read)
    return found if isinstance(found, Items) else _marked(*found)


def parse_keys(text: str | None) -> dict[str, str]:
    """`feature=emb,identity=who` as a dict.

    Raises:
        InputError: it is written otherwise, or names something twice.
    """
    found: dict[str, str] = {}
    for part in (text or "").split(",") if text else ():
        role, equals, key = (word.strip() for word in part.partition("="))
        if not (role and equals and key):
            raise InputError(f"--keys must be written feature=NAME,identity=NAME, not {text!r}")
        if role in found:
            raise InputError(f"--keys names {role!r} twice")
        found[role] = key
    return found


def check_roles(keys: Mapping[str, str], roles: Iterable[str]) -> None:
    """Raise InputError where something is named that there is not."""
    known = list(roles)
    for role in keys:
        if role not in known:
            raise InputError(f"--keys: there is no {role!r}; it may name {', '.join(known)}")


def check_keys(keys: Mapping[str, str], held: Iterable[Mapping[str, Any]], origin: str) -> None:
    """Raise InputError where a name is that of no array."""
    there = list(dict.fromkeys(name for arrays in held for name in arrays))
    for role, key in keys.items():
        if key not in there:
            raise InputError(f"{origin}: --keys {role}={key}: there is no {key!r}; there are: {', '.join(there)}")


def find_roles(arrays: Mapping[str, NDArray[Any]], keys: Mapping[str, str], origin: str) -> dict[str, NDArray[Any]]:
    """What the arrays hold, see `name_roles`; no others are asked for."""
    return {role: arrays[name] for role, name in name_roles(arrays, keys, origin).items()}


def name_roles(
    arrays: Mapping[str, NDArray[Any]], keys: Mapping[str, str], origin: str, *, without: Collection[str] = ()
) -> dict[str, str]:
    """What is held -> the name of its array: what `keys` says, then what the names say.

    Raises:
        InputError: two of them could be the same thing.
    """
    chosen = {role: key for role, key in keys.items() if key in arrays}
    candidates: dict[str, list[str]] = {}
    for name in arrays:
        role = None if name in without else _role(name, arrays)
        if name not in chosen.values() and role is not None and role not in chosen:
            candidates.setdefault(role, []).append(name)
    for role, names in candidates.items():
        own = [name for name in names if name.lower() == role]
        if len(own or names) > 1:
            raise InputError(
                f"{origin}: {' and '.join(map(repr, names))} could each be '{role}'; choose with "
                f"--keys {role}={names[0]}"
            )
        chosen[role] = (own or names)[0]
    return chosen


def _role(name: str, arrays: Mapping[str, NDArray[Any]]) -> str | None:
    """What an array holds by its name, with its side before it where it has one."""
    if name == ALONE:
        return "feature" if arrays[name].ndim == 2 else "identity"
    word = re.sub(r"[\s_.-]", "", name).lower()
    role = _plain_role(word)
    if role is not None:
        return role
    for side, prefixes in _SIDES.items():
        for prefix in prefixes:
            role = _plain_role(word.removeprefix(prefix)) if word.startswith(prefix) else None
            if role in _OF_A_SIDE:
                return f"{side}_{role}"
    return None


def _plain_role(word: str) -> str | None:
    if _VIEW.fullmatch(word):
        return "feature"
    return next((role for role, names in ALIASES.items() if word in names), None)


def _one_side(
    path: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None,
    held: Mapping[str, Mapping[str, NDArray[Any]]],
    keys: Mapping[str, str],
) -> Items:
    origin = os.fspath(path)
    found = _settled(find_roles(held[origin], keys, origin), held[origin], keys, origin)
    if labels is not None:
        beside = find_roles(held[os.fspath(labels)], keys, os.fspath(labels))
        for role, array in beside.items():
            if role in found and not np.array_equal(np.ravel(found[role]), np.ravel(array)):
                raise InputError(f"{origin} and {labels} both hold '{role}', and not the same: leave one of them out")
            found[role] = array
    for role, array in found.items():
        if role.rpartition("_")[2] in ("feature", "similarity"):
            continue
        if array.ndim == 2 and 1 in array.shape:  # as MATLAB has it
            found[role] = array.reshape(-1)
    if Path(origin).suffix.lower() == ".mat":
        _turn(found)
    items = Items(found, origin, tuple(dict.fromkeys((*held[origin], *(held[os.fspath(labels)] if labels else ())))))
    if not found:
        raise InputError(items.missing("feature"))
    return items


def _settled(
    found: dict[str, NDArray[Any]], arrays: Mapping[str, Any], keys: Mapping[str, str], origin: str
) -> dict[str, NDArray[Any]]:
    """With one thing that compares the items: vectors, or similarities, of which a distance is the negative."""
    vectors = [role for role in found if role.rpartition("_")[2] == "feature"]
    matrices = [role for role in ("similarity", "distance") if role in found]
    if len(matrices) + bool(vectors) > 1:
        named = [role for role in (*matrices, *vectors) if keys.get(role) in arrays]
        if len({"feature" if role in vectors else role for role in named}) != 1:
            raise InputError(
                f"{origin}: among {', '.join(arrays)} there are {' and '.join((*vectors, *matrices))}; choose what "
                f"compares the items with --keys {matrices[0]}=NAME or --keys {(vectors or matrices)[-1]}=NAME"
            )
        kept = vectors if named[0] in vectors else named
        found = {role: array for role, array in found.items() if role in kept or role not in (*vectors, *matrices)}
    if "distance" in found:
        distance = found.pop("distance")
        if distance.dtype.kind not in "fiu":
            raise InputError(f"{origin}: 'distance' must be real numbers, not {distance.dtype}")
        found["similarity"] = -(distance if distance.dtype.kind == "f" else distance.astype(np.float64))
    return found


def _turn(found: dict[str, NDArray[Any]]) -> None:
    """Turn vectors that stand in columns, which the number of their labels shows."""
    for side in ("", "query_", "gallery_"):
        vectors, people = found.get(f"{side}feature"), found.get(f"{side}identity")
        if vectors is None or people is None or vectors.ndim != 2:
            continue
        if len(vectors) != len(people) == vectors.shape[1]:
            found[f"{side}feature"] = vectors.T


def _split(items: Items) -> tuple[Items, Items]:
    """Queries and gallery of a file that holds both."""
    if "query" in items:
        raise InputError(f"{items.origin}: holds queries and gallery apart and also marks queries; leave 'query' out")
    sides = []
    for side in _SIDES:
        arrays = {role: items[f"{side}_{role}"] for role in _OF_A_SIDE if f"{side}_{role}" in items}
        if not arrays:
            raise InputError(f"{items.origin}: {', '.join(items.arrays)}: nothing is of the {side}")
        sides.append(Items(arrays, items.origin, items.names))
    plain = [role for role in _OF_A_SIDE if role in items]
    if plain:
        raise InputError(
            f"{items.origin}: nobody knows whether {' and '.join(map(repr, plain))} is of the queries or the gallery; "
            f"say so with --keys query_{plain[0]}=NAME or gallery_{plain[0]}=NAME"
        )
    if "similarity" in items:
        sides[0] = replace(sides[0], arrays=sides[0].arrays | {"similarity": items["similarity"]})
    return sides[0], sides[1]


def _marked(queries: Items, gallery: Items) -> Items:
    joined = _joined(queries, gallery)
    return replace(joined, arrays=joined.arrays | {"query": np.arange(len(queries) + len(gallery)) < len(queries)})


def _joined(queries: Items, gallery: Items) -> Items:
    """Both sides as one: the queries first."""
    origin = queries.origin if queries.origin == gallery.origin else f"{queries.origin} and {gallery.origin}"
    arrays: dict[str, NDArray[Any]] = {}
    for role in _OF_A_SIDE:
        if (role in queries) != (role in gallery):
            has, lacks = ("queries", "gallery") if role in queries else ("gallery", "queries")
            raise InputError(f"{origin}: the {has} have '{role}' and the {lacks} have not; give both, or leave it out")
        if role not in queries:
            continue
        left, right = queries[role], gallery[role]
        strange = [side.dtype for side in (left, right) if side.dtype.kind not in "biufcUS"]
        if strange:
            raise InputError(f"{origin}: '{role}' must hold numbers or names, not {strange[0]}")
        if role == "feature":
            if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
                raise InputError(
                    f"{origin}: queries and gallery must be of as many features: {left.shape}, {right.shape}"
                )
        elif left.ndim != 1 or right.ndim != 1:
            raise InputError(
                f"{origin}: '{role}' must hold a value for every row, not arrays of shapes {left.shape}, {right.shape}"
            )
        else:
            left, right = _alike(left, right, role, origin)
        arrays[role] = np.concatenate([left, right])
    if "similarity" in queries:
        arrays["similarity"] = queries["similarity"]
    return Items(arrays, origin, tuple(dict.fromkeys((*queries.names, *gallery.names))))


def _alike(left: NDArray[Any], right: NDArray[Any], role: str, origin: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both as strings or both as numbers; strings beside numbers must be whole numbers."""
    words = [side.dtype.kind in "US" for side in (left, right)]
    if words[0] == words[1]:
        return left, right
    sides: list[NDArray[Any]] = []
    for side, strings in zip((left, right), words, strict=True):
        if strings and not all(re.fullmatch(r"\s*-?\d{1,18}\s*", word) for word in side.astype(str).tolist()):
            raise InputError(
                f"{origin}: '{role}' holds names ({str(side[0])!r}) on one side and numbers on the other: "
                "write both alike"
            )
        sides.append(side.astype(str).astype(np.int64) if strings else side)
    return sides[0], sides[1]
