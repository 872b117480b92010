"""Mutual information from distances to nearest neighbours: no training, no bound, for few columns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student_t

from limbeck.errors import InputError
from limbeck.information.data_processing import Half, Summary, best_summary, halves, too_low
from limbeck.information.estimates import InformationEstimate
from limbeck.information.folds import assign_folds
from limbeck.information.inputs import label_codes, real_matrix, whole_number
from limbeck.information.neighbour_figures import ksg_figure, nearness, ross_contributions

_PARTS, _SHUFFLES, _FAR = 10, 5, 0.7


def ksg_information(x: ArrayLike, y: ArrayLike, neighbours: int = 3, *, seed: int = 0) -> InformationEstimate:
    r"""Mutual information of two continuous variables by nearest neighbours (Kraskov, Stögbauer and Grassberger).

    .. math:: I(x; y) \approx \psi(k) + \psi(n) - \frac1n \sum_i [\psi(a_i + 1) + \psi(b_i + 1)]

    where n is the number of samples, k that of neighbours, :math:`\psi` the digamma function and, with :math:`r_i` the
    distance of sample i to its k-th neighbour in (x, y), :math:`a_i` and :math:`b_i` the numbers of other samples that
    are nearer than :math:`r_i` in x alone and in y alone. All distances are Chebyshev's (the largest over columns). x
    and y are each divided by the mean absolute deviation of all their entries first: where one has far larger numbers
    than the other, the formula gives nothing. The scales of columns within x or within y are left alone, and count.

    It is not a bound. Of few columns its error is small; with more it collapses: of a few hundred or thousand samples
    in twenty columns nearest neighbours are hardly nearer than any others, and the figure is far below the truth.
    Strong dependence is underestimated too.

    The interval is subsampling's: samples are cut into 10 parts (fewer where they would be too small), 5 times, and the
    variance between the figures of the parts, divided by the number of parts, is that of the figure of all. Samples are
    never drawn twice, as a bootstrap would, for which a sample is its own neighbour. For the bias, the end towards
    which the figure moves from the parts to all samples is moved on to where a curve in :math:`1 / \sqrt n` leads. And
    where nearest neighbours find more in a few columns that are computed from x and y
    (`limbeck.information.data_processing`) than in all columns, of the same samples, the upper end is moved up by that
    at least.

    There is a warning where that is more than three quarters of the half-width of the interval; and where the k-th
    neighbour is, in the median, more than 0.7 times as far as any other sample: a collapse that the interval does not
    reach across.

    Args:
        x: `(samples, features)` finite real numbers.
        y: `(samples, features)` finite real numbers.
        neighbours: k, from 1.
        seed: of the cuts; the figure itself has no randomness.

    Raises:
        InputError: a shape, type or value does not fit; there are too few samples for an interval; or a row of x or y
            occurs more than k times, which continuous variables do not do.

    Source: Kraskov et al. 2004, eq. 8; the interval: Holmes and Nemenman 2019, "Estimation of mutual information for
    real-valued data with error bars and controlled bias".

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(1000, 1))
        >>> y = x + 0.5 * rng.normal(size=(1000, 1))  # 0.80 nats
        >>> 0.7 < ksg_information(x, y).nats < 0.9
        True
    """
    first = real_matrix(x, "x").astype(np.float64)
    second = real_matrix(y, "y", samples=len(first)).astype(np.float64)
    whole_number(neighbours, "neighbours", least=1)
    for values, name in ((first, "x"), (second, "y")):
        _refuse_repeats(values, name, neighbours)
    parts = _parts(len(first), neighbours, "x")

    first, second = (values / np.abs(values - np.median(values, axis=0)).mean() for values in (first, second))

    def figure(rows: NDArray[np.int64]) -> float:
        return ksg_figure(first[rows], second[rows], neighbours)

    classes, generator = (
        np.zeros(len(first), dtype=np.int64),
        np.random.default_rng(whole_number(seed, "seed", least=0)),
    )
    found = _Figure(figure, classes, seed, nearness(np.hstack([first, second]), classes, neighbours, generator))
    return found.estimate(lambda cut: best_summary(first, second, cut), parts, 0.0, "ksg")


def ross_information(x: ArrayLike, labels: ArrayLike, neighbours: int = 3, *, seed: int = 0) -> InformationEstimate:
    r"""Mutual information of a continuous vector and a discrete label by nearest neighbours (Ross).

    .. math:: I(x; y) \approx \psi(n) + \psi(k) - \frac1n \sum_i [\psi(n_{y_i}) + \psi(m_i)]

    where n is the number of samples, :math:`n_y` that of class y, k that of neighbours, :math:`\psi` the digamma
    function and, with :math:`r_i` the Euclidean distance of sample i to the k-th nearest of its own class,
    :math:`m_i` the number of samples of all classes that are nearer than :math:`r_i`, itself included. The whole vector
    is used; a sum over columns would count what they share more than once.

    It is not a bound, and it collapses as columns are added (of five Gaussian classes and 1000 samples in 64 columns it
    misses a fifth or so). The scale of each column counts.

    The interval is that of `ksg_information`, with parts that hold every class alike. How many samples are of each
    class is chance too: to the variance is added :math:`\frac1n \sum_y p_y (D_y - I)^2`, with :math:`p_y` the share of
    class y and :math:`D_y` the mean of what its samples add to the figure, an estimate of
    :math:`D_{KL}[p(x|y) \| p(x)]`. Of a rare class that is most of it.

    Args:
        x: `(samples, features)` finite real numbers.
        labels: `(samples,)` integers, booleans or strings.
        neighbours: k, from 1.
        seed: of the cuts; the figure itself has no randomness.

    Raises:
        InputError: a shape, type or value does not fit; there is one class; a class has fewer than 2 (k + 1) samples;
            or a row of x occurs more than k times.

    Source: Ross 2014, "Mutual information between discrete and continuous data sets", eq. 2.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> y = np.arange(1000) % 2
        >>> 0.6 < ross_information(y[:, None] + 0.1 * rng.normal(size=(1000, 1)), y).nats < 0.75
        True
    """
    vectors = real_matrix(x, "x").astype(np.float64)
    codes = label_codes(labels, "labels", len(vectors))[0]
    whole_number(neighbours, "neighbours", least=1)
    _refuse_repeats(vectors, "x", neighbours)
    parts = _parts(int(np.bincount(codes).min()), neighbours, "each class of labels")

    def figure(rows: NDArray[np.int64]) -> float:
        return float(ross_contributions(vectors[rows], codes[rows], neighbours).mean())

    generator = np.random.default_rng(whole_number(seed, "seed", least=0))
    found = _Figure(figure, codes, seed, nearness(vectors, codes, neighbours, generator))
    of_counts = _variance_of_counts(ross_contributions(vectors, codes, neighbours), codes)
    return found.estimate(lambda cut: best_summary(vectors, codes, cut), parts, of_counts, "ross")


def _variance_of_counts(contributions: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """What chance in the number of samples of each class adds to the variance of their mean."""
    counts = np.bincount(codes)
    means = np.bincount(codes, weights=contributions) / counts
    return float((counts * (means - contributions.mean()) ** 2).sum() / len(codes) ** 2)


@dataclass(frozen=True)
class _Figure:
    """A figure of any rows, and the classes that cuts of the rows are to hold alike."""

    of: Callable[[NDArray[np.int64]], float]
    classes: NDArray[np.int64]
    seed: int
    nearness: float = 0.0

    def estimate(
        self, summary: Callable[[list[Half]], Summary], parts: int, of_counts: float, name: str
    ) -> InformationEstimate:
        """The figure of all samples, with the spread of the figures of parts, and its checks."""
        generator = np.random.default_rng(self.seed)
        of_parts = []
        for _ in range(_SHUFFLES):
            part = assign_folds(self.classes, None, parts, generator)
            of_parts.append([self.of(np.flatnonzero(part == number)) for number in range(parts)])
        nats = self.of(np.arange(len(self.classes)))
        variance = float(np.var(of_parts, axis=1, ddof=1).mean()) / parts + of_counts
        half = float(student_t.ppf(0.975, parts - 1)) * math.sqrt(variance)
        # A bias that falls like n^(-1/2) is still this share of what it fell by from the parts to all samples.
        still = (nats - float(np.mean(of_parts))) / (math.sqrt(parts) - 1)
        cut = halves(self.classes, generator)
        fewer = float(np.mean([self.of(rows) for _, rows in cut]))
        best = summary(cut)
        low, high = nats - half - max(-still, 0.0), nats + half + max(still, best.nats - fewer, 0.0)
        warnings = [too_low(best)] if best.nats - fewer > 0.75 * half else []
        if self.nearness > _FAR:
            warnings.append(
                f"too many columns for the samples: neighbours are {self.nearness:.2f} times as far as any other "
                "samples, and the figure may be far too low"
            )
        return InformationEstimate(nats, low, high, "neither", None, len(self.classes), name, tuple(warnings))


def _parts(samples: int, neighbours: int, what: str) -> int:
    """How many parts leave every sample its neighbours in its own."""
    parts = min(_PARTS, samples // (neighbours + 1))
    if parts < 2:
        raise InputError(
            f"{what} must hold at least {2 * (neighbours + 1)} samples for {neighbours} neighbours and an interval, "
            f"not {samples}"
        )
    return parts


def _refuse_repeats(values: NDArray[np.float64], name: str, neighbours: int) -> None:
    most = int(np.unique(values, axis=0, return_counts=True)[1].max())
    if most > neighbours:
        raise InputError(
            f"{name} must be continuous: a row occurs {most} times, more than the {neighbours} neighbours; "
            "for discrete values use cross_fitted_information or critic_information"
        )
