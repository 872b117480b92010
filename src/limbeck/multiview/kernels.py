"""Gaussian kernels of several views, and their mean where samples lack some of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import euclidean_distances

from limbeck.multiview.scaling import Scaled

Floats = NDArray[np.float64]


def mean_kernel(
    squared: Sequence[NDArray[np.floating]],
    bandwidths: Sequence[float],
    rows: NDArray[np.bool_],
    columns: NDArray[np.bool_],
) -> Floats:
    r"""The mean over views of Gaussian kernels, where some samples lack some views.

    .. math:: K_{ij} = \frac{1}{\sqrt{|V_i| |V_j|}} \sum_{v \in V_i \cap V_j}
        \exp\left(-\frac{d_v(i, j)^2}{2 h_v^2}\right)

    where :math:`V_i` are the views that sample i has, :math:`d_v` is the Euclidean distance in view v and :math:`h_v`
    the view's bandwidth. It is the cosine of the sums of the views' features that are there: positive semidefinite, 1
    for a sample and itself, and the plain mean where nothing is missing. (The mean over the views that each pair has in
    common is not positive semidefinite, and a support vector machine trained on it loses up to half of its accuracy.)

    Args:
        squared: one a view: `(rows, columns)` squared distances; those of samples that lack the view are not looked at.
        bandwidths: one a view, above 0.
        rows: `(views, rows)` which samples have which view.
        columns: `(views, columns)` likewise.
    """
    total = np.zeros(squared[0].shape)
    for distance, bandwidth, left, right in zip(squared, bandwidths, rows, columns, strict=True):
        total += np.where(left[:, np.newaxis] & right, np.exp(distance / (-2 * bandwidth**2)), 0.0)
    size = np.sqrt(np.maximum(np.outer(rows.sum(axis=0), columns.sum(axis=0)), 1))
    return np.asarray(total / size)


def squared_distances(first: Scaled | Floats, second: Scaled | Floats) -> Floats:
    """Squared Euclidean distances `(first rows, second rows)`."""
    return np.asarray(euclidean_distances(first, second, squared=True), np.float64)


def median_distance(squared: Floats, present: NDArray[np.bool_]) -> float:
    """The median distance between two different samples that have the view; 1 where that is zero or undefined.

    Args:
        squared: `(samples, samples)` squared distances.
        present: `(samples,)`.
    """
    own = squared[np.ix_(present, present)]
    pairs = own[np.triu_indices(len(own), k=1)]
    median = float(np.sqrt(np.median(pairs))) if len(pairs) else 0.0
    return median if median > 0 else 1.0
