"""Views as the peers read them: scaled by training rows, side by side, training means for what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from limbeck.multiview.views import Views

Scaled: TypeAlias = "NDArray[np.float64] | scipy.sparse.csr_array"
CLIP = 10.0


@dataclass(frozen=True, eq=False)
class ViewScaling:
    """How one view is scaled, measured on training rows.

    Attributes:
        mean: `(features,)` subtracted before the factor; zero for a sparse view.
        factor: `(features,)`, or `(1,)` for a sparse view, which one number scales so that zeros stay zeros.
        fill: `(features,)` the scaled row of a sample that lacks the view: the mean of the scaled training rows.
    """

    mean: NDArray[np.float64]
    factor: NDArray[np.float64]
    fill: NDArray[np.float64]


class Scaling:
    """Views standardised on training rows and clipped to ± 10, as limbeck's own are; missing rows are their means.

    Args:
        views: the training rows. A view that none of them has becomes zero.
    """

    def __init__(self, views: Views) -> None:
        self.views = [_measured(views, position) for position in range(len(views.names))]

    def __call__(self, views: Views) -> list[Scaled]:
        """One scaled matrix a view, `(samples, features)` float64, dense or CSR as it was."""
        return [self._scaled(views, position) for position in range(len(self.views))]

    def side_by_side(self, views: Views) -> Scaled:
        """All of them as one matrix; it is sparse where one of them is."""
        matrices = self(views)
        if any(scipy.sparse.issparse(matrix) for matrix in matrices):
            return scipy.sparse.csr_array(scipy.sparse.hstack(matrices, format="csr"))
        return np.concatenate(matrices, axis=1)

    def _scaled(self, views: Views, position: int) -> Scaled:
        matrix, present, scaling = views.matrices[position], views.present[position], self.views[position]
        assert matrix is not None
        if isinstance(matrix, np.ndarray):
            made = ((matrix.astype(np.float64) - scaling.mean) * scaling.factor).clip(-CLIP, CLIP)
            made[~present] = scaling.fill
            return made
        known = _rows_kept(matrix.astype(np.float64) * scaling.factor[0], present)
        absent = scipy.sparse.csr_array((~present).astype(np.float64)[:, np.newaxis])
        filled = known + absent @ scipy.sparse.csr_array(scaling.fill[np.newaxis])
        return scipy.sparse.csr_array(filled)


def _measured(views: Views, position: int) -> ViewScaling:
    matrix, present = views.matrices[position], views.present[position]
    assert matrix is not None
    width = matrix.shape[1]
    rows = matrix[np.flatnonzero(present)]
    if not present.any():
        return ViewScaling(np.zeros(width), np.zeros(width if isinstance(rows, np.ndarray) else 1), np.zeros(width))
    if isinstance(rows, np.ndarray):
        mean, deviation = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
        # Rounding leaves a constant column with a tiny deviation; it must not be blown up to noise.
        constant = deviation <= 1e-6 * np.abs(mean)
        factor = np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation))
        fill = ((rows - mean) * factor).clip(-CLIP, CLIP).mean(axis=0)
        return ViewScaling(mean, factor, fill)
    square = float((rows.data.astype(np.float64) ** 2).sum()) / max(rows.nnz, 1)
    factor = np.array([1 / np.sqrt(square) if square > 0 else 0.0])
    fill = np.asarray(rows.sum(axis=0), np.float64) / len(np.flatnonzero(present)) * factor[0]
    return ViewScaling(np.zeros(width), factor, fill)


def _rows_kept(matrix: scipy.sparse.csr_array, kept: NDArray[np.bool_]) -> scipy.sparse.csr_array:
    """A sparse matrix whose other rows are zero."""
    return scipy.sparse.csr_array(scipy.sparse.diags_array(kept.astype(np.float64)) @ matrix)


def hidden(views: Views, present: NDArray[np.bool_]) -> Views:
    """The same samples, of which some lack more views.

    Args:
        views: of the samples.
        present: `(views, samples)` what is left; what was missing stays missing.
    """
    left = views.present & present
    matrices = []
    for matrix, kept in zip(views.matrices, left, strict=True):
        assert matrix is not None
        if isinstance(matrix, np.ndarray):
            matrices.append(np.where(kept[:, np.newaxis], matrix, np.float32(0)))
        else:
            matrices.append(_rows_kept(matrix, kept).astype(np.float32))
    return Views(views.names, tuple(matrices), left)


def without(views: Views, position: int) -> Views:
    """The same samples without one of the views."""
    kept = [other for other in range(len(views.names)) if other != position]
    return Views(
        tuple(views.names[other] for other in kept), tuple(views.matrices[other] for other in kept), views.present[kept]
    )


def as_given(views: Views) -> dict[str, NDArray[np.float32] | scipy.sparse.csr_array]:
    """Views as a user gives them: by name, a row of NaN where a sample lacks the view."""
    given: dict[str, NDArray[np.float32] | scipy.sparse.csr_array] = {}
    for name, matrix, present in zip(views.names, views.matrices, views.present, strict=True):
        assert matrix is not None
        if isinstance(matrix, np.ndarray):
            given[name] = np.where(present[:, np.newaxis], matrix, np.float32(np.nan))
        elif present.all():
            given[name] = matrix
        else:
            absent, width = ~present, matrix.shape[1]
            starts = np.concatenate([[0], np.cumsum(absent * width)])
            places = np.tile(np.arange(width), int(absent.sum()))
            empty = scipy.sparse.csr_array(
                (np.full(len(places), np.nan, np.float32), places, starts), shape=matrix.shape
            )
            given[name] = scipy.sparse.csr_array(matrix + empty)
    return given
