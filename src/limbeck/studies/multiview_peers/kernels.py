"""The mean of one Gaussian kernel a view: the simplest way to learn from several kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import euclidean_distances

from limbeck.studies.multiview_peers.features import Scaled

Floats = NDArray[np.float64]


def mean_kernel(
    squared: Sequence[Floats], bandwidths: Sequence[float], rows: NDArray[np.bool_], columns: NDArray[np.bool_]
) -> Floats:
    r"""The mean over views of Gaussian kernels, for every pair over the views that both have.

    .. math:: K_{ij} = \frac{1}{|V_{ij}|} \sum_{v \in V_{ij}} \exp\left(-\frac{d_v(i, j)^2}{2 h_v^2}\right)

    where :math:`V_{ij}` are the views that samples i and j both have, :math:`d_v` is their Euclidean distance in view v
    and :math:`h_v` the view's bandwidth. A pair without a common view has 0. With views missing K need not be positive
    semidefinite.

    Args:
        squared: one a view: `(rows, columns)` squared distances; those of samples that lack the view are not looked at.
        bandwidths: one a view, above 0.
        rows: `(views, rows)` which samples have which view.
        columns: `(views, columns)` likewise.
    """
    total, common = np.zeros(squared[0].shape), np.zeros(squared[0].shape)
    for distance, bandwidth, left, right in zip(squared, bandwidths, rows, columns, strict=True):
        both = left[:, np.newaxis] & right
        total += both * np.exp(-distance / (2 * bandwidth**2))
        common += both
    return np.asarray(total / np.maximum(common, 1))


def squared_distances(first: Scaled, second: Scaled) -> Floats:
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
