"""What is diagnosed: observations and representations of several views, and labels; in memory and as an NPZ file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from limbeck.arrayfiles import read_array_file
from limbeck.errors import InputError
from limbeck.files import atomic_writer
from limbeck.information.inputs import class_codes, label_codes, real_matrix
from limbeck.retrieval.files import Items, check_keys, find_roles, load_all, name_roles

_KEY = re.compile(r"(v|z|log_variance)_(0|[1-9][0-9]*)")
_DRAW = 1  # last entry of the key that draws z
_KEYS = "z_0, z_1, ... and y; also v_0, ..., log_variance_0, ..., view_names, groups"


@dataclass(frozen=True, eq=False)
class ViewFeatures:
    """Paired samples of n views: row k of every array is the same thing, seen in every view.

    Make one with `ViewFeatures.from_arrays`, which checks it; the constructor itself checks nothing.

    Attributes:
        names: of the views.
        representations: z_i, `(samples, features)` of each view.
        observations: v_i, the same, or None.
        log_variances: of a stochastic encoder z_i ~ N(mean, exp(log-variance)), whose means are `representations`, or
            None.
        labels: `(samples,)` int64 from 0.
        classes: their names.
        groups: `(samples,)` int64 from 0, or None.
    """

    names: tuple[str, ...]
    representations: tuple[NDArray[np.floating], ...]
    observations: tuple[NDArray[np.floating], ...] | None
    log_variances: tuple[NDArray[np.floating], ...] | None
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    groups: NDArray[np.int64] | None

    def drawn(self, seed: int) -> ViewFeatures:
        """With z drawn once a sample where an encoder is stochastic, instead of its mean; itself where none is."""
        if self.log_variances is None:
            return self
        generator = np.random.default_rng((seed, _DRAW))
        z = tuple(
            mean + np.exp(spread / 2).astype(mean.dtype) * generator.standard_normal(mean.shape).astype(mean.dtype)
            for mean, spread in zip(self.representations, self.log_variances, strict=True)
        )
        return replace(self, representations=z)

    def __len__(self) -> int:
        return len(self.labels)

    @staticmethod
    def from_arrays(
        representations: Sequence[ArrayLike],
        labels: ArrayLike,
        *,
        observations: Sequence[ArrayLike] | None = None,
        log_variances: Sequence[ArrayLike] | None = None,
        names: Sequence[str] | None = None,
        groups: ArrayLike | None = None,
        origin: str = "",
    ) -> ViewFeatures:
        """Check the arrays against one another and put them together.

        Args:
            representations: `(samples, features)` real numbers of each view.
            labels: `(samples,)` integers, booleans or strings.
            observations: the same number of matrices.
            log_variances: the same number, of the shapes of `representations`.
            names: one a view; default: 1, 2, ...
            groups: `(samples,)` integers, booleans or strings: samples of one group stay together.
            origin: the file that messages name.

        Raises:
            InputError: a shape, type or value does not fit, a view is constant, or there is one class or a class of its
                own for every sample.
        """
        place = f"{origin}: " if origin else ""
        matrices = _matrices(representations, "representations", place)
        size = len(matrices[0])
        seen = None if observations is None else _matrices(observations, "observations", place)
        spread = None if log_variances is None else _matrices(log_variances, "log_variances", place, varied=False)
        for kind, others in (("observations", seen), ("log_variances", spread)):
            if others is not None and len(others) != len(matrices):
                raise InputError(
                    f"{place}{kind} must be of {len(matrices)} views, as representations are, not {len(others)}"
                )
        for kind, group in (("representations", matrices), ("observations", seen), ("log_variances", spread)):
            for view, matrix in enumerate(group or ()):
                if len(matrix) != size:
                    raise InputError(
                        f"{place}{kind}[{view}] must have {size} rows, as representations[0] has, not {len(matrix)}: "
                        "views must be paired, row by row"
                    )
        for view, (matrix, variance) in enumerate(zip(matrices, spread or matrices, strict=True)):
            if matrix.shape != variance.shape:
                raise InputError(
                    f"{place}log_variances[{view}] must be {matrix.shape} as its means are, not {variance.shape}"
                )
        words = tuple(str(view + 1) for view in range(len(matrices))) if names is None else tuple(map(str, names))
        if len(words) != len(matrices) or len(set(words)) != len(words):
            raise InputError(f"{place}names must be {len(matrices)} different ones, one a view, not {', '.join(words)}")
        for word in words:
            if not word.strip() or not word.isprintable():
                raise InputError(f"{place}names must be printable, not {word!r}")
        codes, classes = label_codes(labels, f"{place}labels", size)
        members = None if groups is None else class_codes(groups, f"{place}groups", size)[0]
        return ViewFeatures(words, matrices, seen, spread, codes, classes, members)


def load_view_features(
    path: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    keys: Mapping[str, str] | None = None,
) -> ViewFeatures:
    """Read `z_0`, `z_1`, ... and `y`, or the features and labels that `limbeck.retrieval.load_features` reads.

    Beside z there may be `v_0`, ..., `log_variance_0`, ..., `view_names` and `groups`; y may also have the names of an
    identity there (`labels`, `pids`, ...). Features are one view, whose labels are their identities. Nothing
    is unpickled.

    Args:
        path: an NPZ, NPY, CSV, MATLAB or PyTorch file.
        labels: another file, with labels of the rows, in their order.
        keys: what is held -> the name of its array: {"z_0": "rgb", "z_1": "thermal", "y": "class"}.

    Raises:
        InputError: there is no such file, it is damaged, or an array is missing, unknown or does not fit.
    """
    named = dict(keys or {})
    read = {os.fspath(file): read_array_file(file) for file in (path, labels) if file is not None}
    arrays = read[os.fspath(path)]
    beside = {} if labels is None else find_roles(read[os.fspath(labels)], named, str(labels))
    if any(_KEY.fullmatch(role) or role in ("y", "groups", "view_names") for role in named):
        check_keys(named, [arrays], str(path))
        arrays = {role: arrays[key] for role, key in named.items()}
    if not any(_KEY.fullmatch(key) for key in arrays):
        return _one_view(load_all(path, labels=labels, keys=named, read=read))
    label = _label_name(arrays, beside, path, labels)
    for key in arrays:
        if not _KEY.fullmatch(key) and key not in (label, "view_names", "groups"):
            raise InputError(f"{path}: the array {key!r} is not known here; there may be {_KEYS}")
    arrays = {"y" if key == label else key: array for key, array in arrays.items()}
    if "identity" in beside:
        arrays["y"] = beside["identity"]
    found: dict[str, dict[int, NDArray[Any]]] = {"z": {}, "v": {}, "log_variance": {}}
    for key, array in arrays.items():
        if match := _KEY.fullmatch(key):
            found[match[1]][int(match[2])] = array
    for key in ("z_0", "y"):
        if key not in arrays:
            raise InputError(f"{path}: the array {key!r} is missing; there must be {_KEYS}")
    for kind, views in found.items():
        if sorted(views) != list(range(len(views))):
            raise InputError(f"{path}: {kind}_{max(views)} stands without {kind}_{len(views) - 1}: count views from 0")
    in_order = {kind: [views[view] for view in sorted(views)] for kind, views in found.items()}
    names = arrays.get("view_names")
    return ViewFeatures.from_arrays(
        in_order["z"],
        arrays["y"].ravel() if label != "y" or "identity" in beside else arrays["y"],
        observations=in_order["v"] or None,
        log_variances=in_order["log_variance"] or None,
        names=None if names is None else [str(name) for name in names.ravel()],
        groups=arrays.get("groups"),
        origin=str(path),
    )


def _label_name(
    arrays: Mapping[str, NDArray[Any]],
    beside: Mapping[str, NDArray[Any]],
    path: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None,
) -> str:
    """The name of the array of labels, which may have that of an identity; "y" where they stand in the other file."""
    if "identity" in beside and "y" in arrays:
        raise InputError(f"{path} and {labels} both hold labels: leave one of them out")
    if "identity" in beside or "y" in arrays:
        return "y"
    views = [name for name in arrays if _KEY.fullmatch(name)]
    return name_roles(arrays, {}, str(path), without=views).get("identity", "y")


def _one_view(items: Items) -> ViewFeatures:
    if "feature" not in items:
        there = ", ".join(items.names)
        raise InputError(
            f"{items.origin}: the array 'z_0' is missing, and so is 'feature'; there are: {there}; name it with --keys "
            f"z_0=NAME; there may be {_KEYS}, or features and labels"
        )
    if "identity" not in items:
        raise InputError(items.missing("identity") + ", or give a file of labels with --labels")
    return ViewFeatures.from_arrays([items["feature"]], items["identity"], names=["features"], origin=items.origin)


def save_view_features(features: ViewFeatures, path: str | os.PathLike[str]) -> None:
    """Write an NPZ that `load_view_features` reads; the file appears whole or not at all.

    Raises:
        OSError: the disk is full or the folder cannot be written; what stood at `path` is untouched.
    """
    arrays: dict[str, Any] = {"y": np.array(features.classes)[features.labels], "view_names": np.array(features.names)}
    if features.groups is not None:
        arrays["groups"] = features.groups
    for kind, views in (
        ("z", features.representations),
        ("v", features.observations),
        ("log_variance", features.log_variances),
    ):
        arrays |= {f"{kind}_{view}": matrix for view, matrix in enumerate(views or ())}
    with atomic_writer(Path(path)) as stream:
        np.savez(stream, **arrays)


def _matrices(
    values: Sequence[ArrayLike], kind: str, place: str, *, varied: bool = True
) -> tuple[NDArray[np.floating], ...]:
    if getattr(values, "ndim", None) == 2:
        raise InputError(f"{place}{kind} must be a list with one matrix per view; for one view, [matrix]")
    # A variance of 0, whose logarithm is -inf, has an answer of its own.
    matrices = [
        real_matrix(matrix, f"{place}{kind}[{view}]", minus_infinity=not varied) for view, matrix in enumerate(values)
    ]
    if not matrices:
        raise InputError(f"{place}{kind} must hold at least one view")
    for view, matrix in enumerate(matrices):
        if varied and (matrix == matrix[0]).all():
            raise InputError(
                f"{place}{kind}[{view}] is constant: all rows are the same, which says nothing; leave it out"
            )
    return tuple(matrix if matrix.dtype.kind == "f" else matrix.astype(_floating(matrix)) for matrix in matrices)


def _floating(matrix: NDArray[Any]) -> type[np.floating]:
    """The smallest real type that holds these whole numbers exactly."""
    return np.float32 if matrix.dtype.itemsize <= 2 else np.float64
