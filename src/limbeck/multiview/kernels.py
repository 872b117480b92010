"""Gaussian kernels of several views, their mean where samples lack some of them, and one of all views together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
    weights: Sequence[float] | None = None,
) -> Floats:
    r"""The weighted mean over views of Gaussian kernels, where some samples lack some views.

    .. math:: K_{ij} = \frac{1}{\sqrt{W_i W_j}} \sum_{v \in V_i \cap V_j}
        w_v \exp\left(-\frac{d_v(i, j)^2}{2 h_v^2}\right), \quad W_i = \sum_{v \in V_i} w_v

    where :math:`V_i` are the views that sample i has, :math:`d_v` is the Euclidean distance in view v, :math:`h_v`
    the view's bandwidth and :math:`w_v` its weight. It is the cosine of the sums of the views' features that are there:
    positive semidefinite, 1 for a sample and itself, and the plain weighted mean where nothing is missing. (The mean
    over the views that each pair has in common is not positive semidefinite, and a support vector machine trained on it
    loses up to half of its accuracy.)

    Args:
        squared: one a view: `(rows, columns)` squared distances; those of samples that lack the view are not looked at.
        bandwidths: one a view, above 0.
        rows: `(views, rows)` which samples have which view.
        columns: `(views, columns)` likewise.
        weights: one a view, above 0; default 1.
    """
    kernels = (  # one at a time: they may be large
        gaussian_kernel(distance, bandwidth, left, right)
        for distance, bandwidth, left, right in zip(squared, bandwidths, rows, columns, strict=True)
    )
    return weighted_mean(kernels, np.ones(len(rows)) if weights is None else weights, rows, columns)


def gaussian_kernel(
    squared: NDArray[np.floating], bandwidth: float, rows: NDArray[np.bool_], columns: NDArray[np.bool_]
) -> Floats:
    """exp(-d² / 2h²) of squared distances `(rows, columns)` in one view, 0 where a row or a column lacks it."""
    return np.where(rows[:, np.newaxis] & columns, np.exp(squared / (-2 * bandwidth**2)), 0.0)


def weighted_mean(
    kernels: Iterable[Floats], weights: Sequence[float] | Floats, rows: NDArray[np.bool_], columns: NDArray[np.bool_]
) -> Floats:
    """`mean_kernel` of kernels `(rows, columns)` that are at hand, one a view: 0 where a sample lacks the view."""
    total = np.zeros((rows.shape[1], columns.shape[1]))
    for kernel, weight in zip(kernels, weights, strict=True):
        total += weight * kernel
    total *= inverse_root(rows, weights)[:, np.newaxis]
    total *= inverse_root(columns, weights)
    return total


def mean_with_joint(
    squared: Sequence[NDArray[np.floating]],
    bandwidths: Sequence[float],
    medians: Sequence[float],
    weights: Sequence[float],
    joint: float,
    rows: NDArray[np.bool_],
    columns: NDArray[np.bool_],
    *,
    left_out: int | None = None,
) -> Floats:
    r"""The weighted mean of one Gaussian kernel a view and of one of all views together.

    `mean_kernel` with one more term: for samples that have all of the views P that are asked for,

    .. math:: w_P \exp\left(-\frac{1}{2 h^2} \sum_{v \in P} \frac{w_v}{w_P} \frac{d_v(i, j)^2}{m_v^2}\right),
        \quad w_P = \sum_{v \in P} w_v

    where :math:`d_v` is the distance in view v, :math:`m_v` its median, :math:`w_v` the view's weight and h the
    `joint` bandwidth. It is a product of kernels of the views, where the others are a sum: two samples are near where
    they are in every view, so that a function of it can depend on what two views say together.

    Args:
        squared: one a view: `(rows, columns)` squared distances, finite even of samples that lack the view.
        bandwidths: one a view, above 0.
        medians: one a view, above 0.
        weights: one a view, above 0.
        joint: h, above 0.
        rows: `(views, rows)` which samples have which view.
        columns: `(views, columns)` likewise.
        left_out: a view that is not asked for, and that no sample has; None: all are.
    """
    rows, columns = with_joint(rows, left_out), with_joint(columns, left_out)
    kernels = list(map(gaussian_kernel, squared, bandwidths, rows, columns))
    total = np.zeros((rows.shape[1], columns.shape[1]))
    for view, (distance, median, weight) in enumerate(zip(squared, medians, weights, strict=True)):
        if view != left_out:
            total += weight / median**2 * distance
    all_weights = joint_weights(weights, left_out)
    kernels.append(gaussian_kernel(total, joint * float(np.sqrt(all_weights[-1])), rows[-1], columns[-1]))
    return weighted_mean(kernels, all_weights, rows, columns)


def with_joint(present: NDArray[np.bool_], left_out: int | None = None) -> NDArray[np.bool_]:
    """One more row: which samples of `(views, samples)` have all views, but for one that may be left out.

    To `weighted_mean` the kernel of all views together is that of one more view, which these samples have.
    """
    return np.vstack([present, np.delete(present, [] if left_out is None else left_out, axis=0).all(axis=0)])


def joint_weights(weights: Sequence[float], left_out: int | None = None) -> tuple[float, ...]:
    """One more weight, of the kernel of all views together: as much as these."""
    return (*weights, sum(weight for view, weight in enumerate(weights) if view != left_out))


def inverse_root(present: NDArray[np.bool_], weights: Sequence[float] | Floats) -> Floats:
    """One over the root of the weight of all views that each sample of `(views, samples)` has; 1 where it has none."""
    total = np.asarray(weights, np.float64) @ present
    return np.asarray(1 / np.sqrt(np.where(total > 0, total, 1.0)))


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
