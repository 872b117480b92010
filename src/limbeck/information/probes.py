"""How much of a label can be read from features: a held-out lower bound on their mutual information."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from limbeck.errors import InputError
from limbeck.information.data_processing import checked, too_low
from limbeck.information.estimates import LEAST_WARNED
from limbeck.information.folds import assign_folds
from limbeck.information.inputs import class_codes, label_codes, real_matrix, whole_number
from limbeck.information.probe_fits import (
    Training,
    fit_linear,
    fit_mlp,
    principal_axes,
    recording,
    squares_too,
    unchanged,
)

Probe = Literal["linear", "mlp", "quadratic"]

_INNER_PARTS = 3
_ENOUGH = 3000  # samples, or groups, to choose a probe by
_TEMPERATURES = (0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0)
_MIXTURES = (1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3)
_RESAMPLES = 1000
_COLUMNS = 64  # standardised at once, so that little is held in double precision
_INTERVAL = 1  # last entry of the key that draws resamples
_FITS = {"linear": fit_linear, "quadratic": fit_linear, "mlp": fit_mlp}
_PREPARATIONS = {"linear": principal_axes, "quadratic": squares_too, "mlp": unchanged}
_SHORTFALLS, _LARGE_SHORTFALL = 2, 0.2  # the other is a share of the figure


@dataclass(frozen=True, eq=False)
class ReadableInformation:
    """What a probe reads of a label, on samples it was not fitted to. Nats, unless said otherwise.

    Attributes:
        nats: entropy - cross_entropy, a lower bound on the mutual information; negative where the probe does worse than
            the frequencies. Nothing is clamped.
        low: lower end of the interval.
        high: upper end of the interval.
        entropy: of the labels' frequencies.
        cross_entropy: of the probe.
        accuracy: share of the samples whose most probable class is right.
        majority: share of the most frequent class.
        samples: how many there are.
        per_sample: `(samples,)` log q(y|z) - log p(y), whose mean is `nats`.
        warnings: what the figure cannot bear, a sentence each; of `cross_fitted_information(..., check=True)`.
    """

    nats: float
    low: float
    high: float
    entropy: float
    cross_entropy: float
    accuracy: float
    majority: float
    samples: int
    per_sample: NDArray[np.float64]
    warnings: tuple[str, ...] = ()


def cross_fitted_information(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    folds: int = 5,
    probe: Probe = "linear",
    seed: int = 0,
    confidence: float = 0.95,
    check: bool = True,
) -> ReadableInformation:
    r"""A lower bound on the mutual information of features and a discrete label, by a cross-fitted probe.

    .. math:: I(z; y) \ge H(y) - CE, \quad CE = -\frac1n \sum_i \log q_{-f(i)}(y_i | z_i)

    where :math:`z_i` and :math:`y_i` are features and label of sample i, n is the number of samples, :math:`f(i)` the
    fold of i and :math:`q_{-f}` the probe fitted without that fold. :math:`H(y)` is the plug-in entropy of the labels'
    frequencies, which is too low by about (classes - 1) / 2n: with very many classes of few samples the figure is about
    the labels at hand. The bound holds for the expectation; a figure has the noise that the interval shows.

    The prediction is :math:`q(y|z) \propto p(y) e^{\tau s_y(z)}`, mixed with a share :math:`\epsilon` of p, where p are
    the frequencies in training (one added to each count, so that a class that is absent there does not cost infinitely
    much) and s the probe's scores. The linear probe (logistic regression on standardised features) chooses its L2
    strength, :math:`\tau` and :math:`\epsilon` by cross-validation inside the training part, on as many of three inner
    parts as make up 3,000 samples; where the gain over p there is not above its standard error it predicts p. So
    features that say nothing give about zero, and features that say very little may give zero. The quadratic probe is
    the linear one on the features and their squares. The network (256 hidden units) is stopped early on the same inner
    parts. Means and variances are those of all samples; no label goes into
    them.

    Folds are stratified by label. Samples of a group stay together, in the inner parts too: with the person as group,
    a probe must read a factor from people it has not seen, and cannot look up who it is.

    The interval is the percentile bootstrap of the mean of `per_sample`, over samples, or over groups where there are;
    its upper end is then moved up by twice the `shortfall` of `CrossFitted`, what the probe would gain with endless
    samples by a line in 1/m, since a regularised probe gains more slowly (by a curve in the root it is 2.2 times that).
    It is of what this family of probes can read. That more is there is said by warnings:

    * of the linear probe, where the quadratic one, on the same folds, reads more by two standard errors of the
      difference and by half the half-width of the interval;
    * where the shortfall is more than a fifth of the figure and beyond the half-width; of the network it is taken as
      1/2m for each column and class but one, if that is more;
    * without groups, where nearest neighbours find more than the whole interval in a few columns that are computed from
      the features (`limbeck.information.data_processing`).

    Args:
        features: `(samples, features)` finite real numbers; a constant column says nothing.
        labels: `(samples,)` integers, booleans or strings.
        groups: `(samples,)` integers, booleans or strings, or None.
        folds: how many.
        probe: `linear`, `quadratic` or `mlp`.
        seed: of folds, networks and resamples; the same seed gives the same figures.
        confidence: of the interval.
        check: whether to look for what the probe does not read; the linear one then takes about three times as long.

    Returns:
        The bound and what it is made of, in nats.

    Raises:
        InputError: a shape, type or value does not fit; there is one class, a class of its own for every sample, or
            fewer samples or groups than folds.

    Source: Barber and Agakov 2003, the bound; Xu et al. 2020, "A theory of usable information under computational
    constraints", its reading as what a family of probes can use.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> y = np.arange(400) % 2
        >>> read = cross_fitted_information(y[:, None] + 0.05 * rng.normal(size=(400, 1)), y)
        >>> f"{read.nats:.2f} of {read.entropy:.2f}"
        '0.69 of 0.69'
    """
    x = real_matrix(features, "features")
    y = label_codes(labels, "labels", len(x))[0]
    members = None if groups is None else class_codes(groups, "groups", len(x))[0]
    check_confidence(confidence)
    fitted = cross_fitted_predictions(x, y, groups=members, folds=folds, probe=probe, seed=seed)
    share = np.bincount(y) / len(y)
    log_likelihood = fitted.log_likelihood(y)
    per_sample = log_likelihood - np.log(share[y])
    nats = float(per_sample.mean())
    low, high = _bootstrap(per_sample, members, confidence, np.random.default_rng((int(seed), _INTERVAL)))
    half, high = (high - low) / 2, high + _SHORTFALLS * fitted.shortfall
    warnings = []
    shortfall = fitted.shortfall
    if probe == "mlp":  # at least what a linear probe's numbers cost, one for each column and class
        trained_on = len(y) * (1 - 1 / folds)
        shortfall = max(shortfall, min(x.shape[1], trained_on) * (len(share) - 1) / (2 * trained_on))
    if check and shortfall > max(half, _LARGE_SHORTFALL * abs(nats), LEAST_WARNED):
        warnings.append(f"too few samples for the probe: with more it would read about {shortfall:.2f} nats more")
    if check and probe == "linear":
        squares = cross_fitted_predictions(x, y, groups=members, folds=folds, probe="quadratic", seed=seed)
        gain = squares.log_likelihood(y) - log_likelihood
        if gain.mean() > max(2 * _standard_error(gain, members), half / 2, LEAST_WARNED):
            warnings.append(
                f"with the squares of the features a probe reads {gain.mean():.2f} nats more: "
                "the linear probe misses them; use the probe quadratic, or mlp"
            )
    if check and members is None:
        summary = checked(x.astype(np.float64), y, int(seed))
        if summary is not None and summary.nats > high:
            warnings.append(too_low(summary))
    return ReadableInformation(
        nats=nats,
        low=low,
        high=high,
        entropy=float(-(share * np.log(share)).sum()),
        cross_entropy=float(-log_likelihood.mean()),
        accuracy=float((fitted.log_probability.argmax(axis=1) == y).mean()),
        majority=float(share.max()),
        samples=len(y),
        per_sample=per_sample,
        warnings=tuple(warnings),
    )


@dataclass(frozen=True, eq=False)
class CrossFitted:
    r"""What a probe predicts of samples it was not fitted to.

    Attributes:
        log_probability: `(samples, classes)` float32, :math:`\log q_{-f(i)}(y | z_i)`; classes in the labels' order.
        shortfall: nats by which the cross-entropy may still fall with endless samples. At least (classes - 1) / 2m for
            probes that are fitted to m samples, which is what one free number a class costs (Akaike 1974); of the
            linear and the quadratic probe, where that is more, by the line in 1/m through their cross-entropies at the
            two sizes that they are fitted at.
    """

    log_probability: NDArray[np.float32]
    shortfall: float

    def log_likelihood(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """`(samples,)` log q of the true classes."""
        return self.log_probability[np.arange(len(labels)), labels].astype(np.float64)


def cross_fitted_predictions(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    folds: int = 5,
    probe: Probe = "linear",
    seed: int = 0,
) -> CrossFitted:
    """The predictions behind `cross_fitted_information`, which see: every sample's by a probe fitted without its fold.

    Raises:
        InputError: as there.
    """
    matrix = real_matrix(features, "features")
    y = label_codes(labels, "labels", len(matrix))[0]
    members = None if groups is None else class_codes(groups, "groups", len(matrix))[0]
    _check_options(len(y), members, folds, probe, seed)
    counts = np.bincount(y)
    fold = assign_folds(y, members, int(folds), np.random.default_rng(seed))
    predicted = np.empty((len(y), len(counts)), np.float32)
    still = 0.0
    with recording():
        prepared, variance = _PREPARATIONS[probe](torch.from_numpy(_standardised(matrix)))
        for number in range(int(folds)):
            test = fold == number
            predicted[test], (loss, share) = _predict(
                prepared, variance, y, members, test, len(counts), probe, (int(seed), number)
            )
            if probe != "mlp" and share < 1:
                # The excess of a probe fitted to m samples is about a constant over m.
                outer = -float(predicted[test, y[test]].mean(dtype=np.float64))
                still += (loss - outer) * share / (1 - share) * float(test.mean())
    least = (len(counts) - 1) / (2 * len(y) * (1 - 1 / int(folds)))
    return CrossFitted(predicted, max(least, still))


def _predict(
    x: Tensor,
    variance: Tensor,
    y: NDArray[np.int64],
    groups: NDArray[np.int64] | None,
    test: NDArray[np.bool_],
    classes: int,
    probe: Probe,
    seed: tuple[int, ...],
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Log-probabilities `(test, classes)` of one fold.

    Also the cross-entropy that the probe was chosen by, and the share of the training samples that the probes which
    gave it were fitted to.
    """
    train = ~test
    labels = y[train]
    base = _log_frequencies(labels, classes)
    members = None if groups is None else np.unique(groups[train], return_inverse=True)[1]
    units = len(labels) if members is None else int(members.max()) + 1
    plain = np.tile(base, (int(test.sum()), 1)).astype(np.float32)
    nothing = -float(base[labels].mean()), 1.0
    if units < 2:  # nothing is left to choose a probe by
        return plain, nothing
    parts = min(_INNER_PARTS, units)
    part = assign_folds(labels, members, parts, np.random.default_rng(seed))
    turns = min(parts, -(-_ENOUGH * parts // units))
    chosen_by = np.flatnonzero(part < turns)
    bases = np.stack([_log_frequencies(labels[part != one], classes) for one in range(turns)])
    kind = x.numpy().dtype
    inner, final = _FITS[probe](
        Training(
            x[torch.from_numpy(train)],
            torch.from_numpy(labels),
            torch.from_numpy(part),
            torch.from_numpy(base.astype(kind)),
            torch.from_numpy(bases.astype(kind)),
            x[torch.from_numpy(test)],
            variance,
            seed,
        )
    )
    inside = None if members is None else np.unique(members[chosen_by], return_inverse=True)[1]
    # Where one part is enough to choose by, its halves serve each other.
    halves = part[chosen_by] if turns > 1 else (np.arange(len(chosen_by)) if inside is None else inside) % 2
    chosen = _choose(
        [scores[torch.from_numpy(chosen_by)] for scores in inner],
        bases[part[chosen_by]],
        labels[chosen_by],
        inside,
        halves,
    )
    if chosen is None:
        return plain, nothing
    predicted = _log_mixture(final(chosen.setting), torch.from_numpy(base), chosen.temperature, chosen.mixture)
    return predicted.numpy().astype(np.float32), (chosen.loss, float((part != 0).mean()))


@dataclass(frozen=True)
class _Choice:
    """A probe's setting, temperature and mixture, and the cross-entropy to expect of one so chosen."""

    setting: int
    temperature: float
    mixture: float
    loss: float


def _choose(
    settings: list[Tensor],
    base: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64] | None,
    part: NDArray[np.int64],
) -> _Choice | None:
    """What has the least inner cross-entropy; None: the frequencies do as well.

    The cross-entropy to expect is that of what the other parts would have chosen, since the least of many is too low.
    """
    frequencies, own = torch.from_numpy(base), torch.from_numpy(labels)[:, None]
    plain = frequencies.gather(1, own)[:, 0]
    options = list(itertools.product(range(len(settings)), _TEMPERATURES, _MIXTURES))
    gains = np.empty((len(options), len(labels)), np.float32)
    row = 0
    for scores, temperature in itertools.product(settings, _TEMPERATURES):
        sharp = torch.log_softmax(frequencies + temperature * scores, dim=1).gather(1, own)[:, 0]
        for mixture in _MIXTURES:
            gains[row] = torch.logaddexp(sharp + np.log1p(-mixture), plain + np.log(mixture)) - plain
            row += 1
    sums = np.stack([gains[:, part == one].sum(axis=1, dtype=np.float64) for one in range(int(part.max()) + 1)])
    best = int(sums.sum(axis=0).argmax())
    if sums.sum(axis=0)[best] / len(labels) <= _standard_error(gains[best].astype(np.float64), groups):
        return None
    elsewhere = (sums.sum(axis=0) - sums).argmax(axis=1)
    expected = sums[np.arange(len(sums)), elsewhere].sum() / len(labels)
    return _Choice(*options[best], loss=-float(plain.mean()) - float(expected))


def _log_mixture(scores: Tensor, base: Tensor, temperature: float, mixture: float) -> Tensor:
    sharp = torch.log_softmax(base + temperature * scores, dim=1)
    return torch.logaddexp(sharp + np.log1p(-mixture), base + np.log(mixture))


def _standard_error(values: NDArray[np.float64], groups: NDArray[np.int64] | None) -> float:
    """Of the mean, over groups as wholes."""
    sums, sizes = _totals(values, groups)
    deviations = sums - sizes * values.mean()
    units = len(sums)
    return float(np.sqrt((deviations**2).sum() * units / (units - 1)) / len(values))


def _bootstrap(
    values: NDArray[np.float64], groups: NDArray[np.int64] | None, confidence: float, generator: np.random.Generator
) -> tuple[float, float]:
    sums, sizes = _totals(values, groups)
    rows = max(1, 2_000_000 // len(sums))  # a chunk's draws stay small
    means = []
    for start in range(0, _RESAMPLES, rows):
        drawn = generator.integers(len(sums), size=(min(rows, _RESAMPLES - start), len(sums)))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _totals(
    values: NDArray[np.float64], groups: NDArray[np.int64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if groups is None:
        return values, np.ones(len(values), dtype=np.float64)
    return np.bincount(groups, weights=values).astype(np.float64), np.bincount(groups).astype(np.float64)


def _log_frequencies(labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    counts = np.bincount(labels, minlength=classes) + 1.0
    return np.asarray(np.log(counts / counts.sum()))


def _standardised(array: NDArray[Any]) -> NDArray[np.float32]:
    """Features of mean 0 and variance 1 over all samples; a column that differs by rounding alone is 0."""
    coarse = float(np.finfo(array.dtype).eps) if array.dtype.kind == "f" else 0.0
    standard = np.empty(array.shape, np.float32)
    for start in range(0, array.shape[1], _COLUMNS):
        exact = array[:, start : start + _COLUMNS].astype(np.float64)
        # In units of each column's largest value, so that no square overflows.
        exact /= np.maximum(np.abs(exact).max(axis=0), np.finfo(np.float64).tiny)
        constant = np.ptp(exact, axis=0) <= 2 * coarse
        exact -= exact.mean(axis=0)
        deviation = exact.std(axis=0)
        exact /= np.where(deviation > 0, deviation, 1.0)
        exact[:, constant] = 0.0
        standard[:, start : start + _COLUMNS] = exact
    return standard


def check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"confidence must be between 0 and 1, not {confidence!r}")


def _check_options(samples: int, groups: NDArray[np.int64] | None, folds: int, probe: object, seed: int) -> None:
    whole_number(folds, "folds", least=2)
    whole_number(seed, "seed", least=0)
    if probe not in get_args(Probe):
        raise InputError(f"probe must be one of {', '.join(get_args(Probe))}, not {probe!r}")
    if samples < folds:
        raise InputError(f"folds must be at most the number of samples, {samples}, not {folds}")
    if groups is not None and groups.max() + 1 < folds:
        raise InputError(f"folds must be at most the number of groups, {int(groups.max()) + 1}, not {folds}")
