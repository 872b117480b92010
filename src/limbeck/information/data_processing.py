r"""A check that needs no truth: no function of x and y tells more than x and y do.

.. math:: I(f(x); g(y)) \le I(x; y)

(the data-processing inequality). Where nearest neighbours find clearly more in a few columns computed from x and y than
an estimator finds in all of them, that estimator's figure is too low.

Source: Song and Ermon 2020, "Understanding the limitations of variational mutual information estimators", §3.3, which
puts estimators to such tests; the summaries are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from limbeck.information.folds import assign_folds
from limbeck.information.neighbour_figures import ksg_figure, ross_contributions

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Half = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rows to fit axes on, and rows to find a figure on."""

NEIGHBOURS = 3
_CUTS = 2
_MOST_AXES = 4
_MOST_COLUMNS = 20  # of normal scores, among whose neighbours something can be found
_MOST_SAMPLES = 4000


@dataclass(frozen=True)
class Summary:
    """What nearest neighbours find in a few columns that are computed from x and y.

    Attributes:
        name: what the columns are.
        nats: the figure, the mean over halves of the samples.
    """

    name: str
    nats: float


def halves(classes: Codes, generator: np.random.Generator) -> list[Half]:
    """Both halves of some cuts of the samples that hold the classes alike, each to be found on, with the other one."""
    cuts = [assign_folds(classes, None, 2, generator) for _ in range(_CUTS)]
    return [(np.flatnonzero(cut != own), np.flatnonzero(cut == own)) for cut in cuts for own in range(2)]


def best_summary(x: Floats, y: Floats | Codes, cut: list[Half]) -> Summary:
    """The summary in which nearest neighbours find most.

    The columns of x, and of y where it is a vector, are replaced by their normal scores. The summaries are

    * the leading canonical variates of x and y, one pair and two; with labels the discriminant axes, one and up to
      four, fitted to the one half of the samples (with covariances that are shrunk to their mean variance) and looked
      at on the other;
    * where x or y has several columns, its length: what variables of one scale share;
    * up to 20 columns, all of them.

    Args:
        x: `(samples, features)` finite.
        y: `(samples, features)` finite, or `(samples,)` labels from 0, of each of which a half holds more than three.
        cut: of `halves`.
    """
    first = normal_scores(x)
    if y.ndim == 1:
        codes = y.astype(np.int64)
        found = [
            (name, float(ross_contributions(values, codes[rows], NEIGHBOURS).mean()))
            for fit, rows in cut
            for name, values in _label_summaries(first, codes, fit, rows)
        ]
    else:
        second = normal_scores(y.astype(np.float64))
        found = [
            (name, ksg_figure(*pair, NEIGHBOURS))
            for fit, rows in cut
            for name, pair in _vector_summaries(first, second, fit, rows)
        ]
    names = dict.fromkeys(name for name, _ in found)
    means = [Summary(name, float(np.mean([nats for own, nats in found if own == name]))) for name in names]
    return max(means, key=lambda summary: summary.nats)


def checked(x: Floats, y: Floats | Codes, seed: int) -> Summary | None:
    """`best_summary` of at most 4000 samples; without classes too small for it, and None where nothing is left.

    Args:
        x: `(samples, features)` finite.
        y: `(samples, features)` finite, or `(samples,)` labels from 0.
        seed: of the samples and the cuts.
    """
    generator = np.random.default_rng(seed)
    rows = np.sort(generator.permutation(len(x))[:_MOST_SAMPLES])
    classes = np.zeros(len(rows), np.int64)
    if y.ndim == 1:
        counts = np.bincount(y[rows].astype(np.int64))
        rows = rows[counts[y[rows].astype(np.int64)] >= 2 * (NEIGHBOURS + 1)]
        classes = np.unique(y[rows], return_inverse=True)[1].astype(np.int64)
        if len(rows) == 0 or classes.max() == 0:
            return None
        return best_summary(x[rows], classes, halves(classes, generator))
    if len(rows) < 2 * (NEIGHBOURS + 1):
        return None
    return best_summary(x[rows], y[rows], halves(classes, generator))


def too_low(summary: Summary) -> str:
    """The warning."""
    return (
        f"the figure is too low: nearest neighbours find {summary.nats:.2f} nats in {summary.name}, "
        "and no function of x and y tells more than x and y"
    )


def normal_scores(values: Floats) -> Floats:
    """Each column as quantiles of the standard normal at its mean ranks, which keeps what it tells."""
    return np.asarray(ndtri(rankdata(values, axis=0) / (len(values) + 1)))


def _vector_summaries(x: Floats, y: Floats, fit: Codes, rows: Codes) -> Iterator[tuple[str, tuple[Floats, Floats]]]:
    x_axes, y_axes = _canonical_axes(x[fit], y[fit])
    for count, name in ((1, "the leading canonical variates"), (2, "the two leading pairs of canonical variates")):
        if count <= min(x.shape[1], y.shape[1]):
            yield name, (x[rows] @ x_axes[:, :count], y[rows] @ y_axes[:, :count])
    if x.shape[1] > 1 or y.shape[1] > 1:
        yield "the lengths of x and y", (_length(x[rows]), _length(y[rows]))
    if x.shape[1] + y.shape[1] <= _MOST_COLUMNS:
        yield "the normal scores of the columns", (x[rows], y[rows])


def _label_summaries(x: Floats, codes: Codes, fit: Codes, rows: Codes) -> Iterator[tuple[str, Floats]]:
    shares = np.bincount(codes[fit]) / len(fit)
    members = np.eye(len(shares))[codes[fit]] / np.sqrt(shares)  # whose covariance is the identity, but for a constant
    axes, _ = _canonical_axes(x[fit], members, whiten_second=False)
    most = min(len(shares) - 1, _MOST_AXES, x.shape[1])
    for count in dict.fromkeys((1, most)):
        name = "the leading discriminant axis" if count == 1 else f"the {count} leading discriminant axes"
        yield name, x[rows] @ axes[:, :count]
    if x.shape[1] > 1:
        yield "the length of x", _length(x[rows])
    if x.shape[1] <= _MOST_COLUMNS:
        yield "the normal scores of the columns", x[rows]


def _length(values: Floats) -> Floats:
    """`(samples, 1)`; one column stays as it is, since its two signs are not one."""
    return values if values.shape[1] == 1 else np.linalg.norm(values, axis=1, keepdims=True)


def _canonical_axes(x: Floats, y: Floats, *, whiten_second: bool = True) -> tuple[Floats, Floats]:
    """Axes `(features, pairs)` of x and of y, by falling correlation."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    of_x = _root(x)
    of_y = _root(y) if whiten_second else np.eye(y.shape[1])
    cross = np.linalg.solve(of_y, np.linalg.solve(of_x, x.T @ y / len(x)).T).T
    left, _, right = np.linalg.svd(cross, full_matrices=False)
    return np.linalg.solve(of_x.T, left), np.linalg.solve(of_y.T, right.T)


def _root(values: Floats) -> Floats:
    """The Cholesky factor of the covariance, shrunk to its mean variance the more, the fewer samples a column has."""
    samples, width = values.shape
    covariance, share = values.T @ values / samples, min(1.0, width / samples)
    level = max(float(np.trace(covariance)) / width, np.finfo(np.float64).tiny)
    return np.linalg.cholesky((1 - share) * covariance + (share + 1e-9) * level * np.eye(width))
