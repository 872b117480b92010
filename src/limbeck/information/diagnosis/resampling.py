"""Intervals of sums of entropies and cross-entropies, from one set of resamples for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_CHUNK = 4_000_000  # draws held at once


@dataclass(frozen=True)
class Interval:
    """A figure in nats and the interval it is known to within.

    Attributes:
        nats: the figure; nothing is clamped.
        low: lower end.
        high: upper end.
    """

    nats: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.nats:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Sum:
    r"""A figure :math:`h \hat H(y) + \sum_s c_s \bar\ell_s`; :math:`\bar\ell_s` is the mean log-likelihood of source s.

    Attributes:
        entropy: h.
        sources: s -> c_s.
    """

    entropy: int
    sources: Mapping[str, int]

    def __add__(self, other: Sum) -> Sum:
        return self._plus(other, 1)

    def __sub__(self, other: Sum) -> Sum:
        return self._plus(other, -1)

    def _plus(self, other: Sum, sign: int) -> Sum:
        names = [*self.sources, *(name for name in other.sources if name not in self.sources)]
        total = {name: self.sources.get(name, 0) + sign * other.sources.get(name, 0) for name in names}
        return Sum(self.entropy + sign * other.entropy, {name: factor for name, factor in total.items() if factor})


class Resamples:
    r"""Bootstrap replicates of the labels' entropy and of means over samples, all from the same draws.

    An interval is the basic bootstrap :math:`[2 \hat\theta - q_{1-\alpha/2}, 2 \hat\theta - q_{\alpha/2}]` over
    samples, or over groups as wholes. An entropy near its maximum can hardly be drawn higher, so that the basic
    interval alone would be far too narrow: where the entropy is in the figure the percentile interval
    :math:`[q_{\alpha/2}, q_{1-\alpha/2}]` is taken in as well. Each end is then moved outwards by what the probes'
    `shortfall` could move the figure there. So it covers the draw of the samples and, as far as the learning curve
    tells, that the probes were fitted to finitely many.

    Args:
        labels: `(samples,)` from 0.
        values: name -> `(samples,)`, whose means are wanted.
        shortfall: name -> nats by which such a mean would rise, and by which it would fall, with endless samples.
        groups: `(samples,)` from 0, or None.
        resamples: how many.
        confidence: of the intervals.
        seed: of the draws.

    Source: Davison and Hinkley 1997, *Bootstrap Methods and their Application*, §5.2.
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        values: Mapping[str, Floats],
        shortfall: Mapping[str, tuple[float, float]],
        *,
        groups: NDArray[np.int64] | None,
        resamples: int,
        confidence: float,
        seed: int,
    ) -> None:
        self.shortfall, self._confidence = shortfall, confidence
        samples, classes = len(labels), int(labels.max()) + 1
        units = np.arange(samples) if groups is None else groups
        count = int(units.max()) + 1
        # Of each unit: its number of samples, the sums of the values, and its samples of each class.
        sums = np.column_stack(
            [np.bincount(units, minlength=count)] + [np.bincount(units, each, count) for each in values.values()]
        )
        table = scipy.sparse.csr_array((np.ones(samples), (units, labels)), shape=(count, classes))
        generator = np.random.default_rng(seed)
        means, entropies = [], []
        rows = max(1, _CHUNK // count)
        for start in range(0, resamples, rows):
            drawn = generator.integers(count, size=(min(rows, resamples - start), count))
            weight = np.stack([np.bincount(row, minlength=count) for row in drawn]).astype(np.float64)
            totals = weight @ sums
            means.append(totals[:, 1:] / totals[:, :1])
            entropies.append(_entropies(weight @ table))
        point = sums.sum(axis=0)
        self._mean = dict(zip(values, point[1:] / point[0], strict=True))
        replicates = np.concatenate(means)
        self._means = {name: replicates[:, column] for column, name in enumerate(values)}
        self._entropy = float(_entropies(np.bincount(labels)[None].astype(np.float64))[0])
        self._entropies = np.concatenate(entropies)
        self._most = float(np.log(classes))

    def interval(self, figure: Sum, *, information: bool = False) -> Interval:
        """The figure and its interval.

        Args:
            figure: what to sum.
            information: it is an entropy of the labels, or what something tells of them: the interval ends at log
                classes at the latest, which nothing exceeds.
        """
        nats = figure.entropy * self._entropy + sum(c * self._mean[s] for s, c in figure.sources.items())
        drawn = figure.entropy * self._entropies + sum(c * self._means[s] for s, c in figure.sources.items())
        tail = (1 - self._confidence) / 2
        least, most = np.quantile(drawn, [tail, 1 - tail])
        low, high = 2 * nats - most, 2 * nats - least
        if figure.entropy:
            low, high = min(low, least), max(high, most)
        for source, factor in figure.sources.items():
            rise, fall = self.shortfall.get(source, (0.0, 0.0))
            high += max(factor * rise, -factor * fall)
            low -= max(-factor * rise, factor * fall)
        if information:
            high = min(high, self._most)
        return Interval(float(nats), float(min(low, nats)), float(max(high, nats)))


def _entropies(counts: Floats) -> Floats:
    """Plug-in entropies of rows of counts."""
    share = counts / counts.sum(axis=1, keepdims=True)
    return np.asarray(-(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1), dtype=np.float64)
