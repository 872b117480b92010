"""The diagnosis: one cross-fitted probe a source, and every figure a sum of their cross-entropies."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from limbeck.errors import InputError
from limbeck.information.calibration import calibration_error
from limbeck.information.diagnosis.resampling import Interval, Resamples, Sum
from limbeck.information.diagnosis.results import Agreement, Diagnosis, Retained, ViewDiagnosis
from limbeck.information.diagnosis.view_features import ViewFeatures
from limbeck.information.probes import Probe, check_confidence, cross_fitted_predictions
from limbeck.reporting.progress import Progress

_RESAMPLES = 1000
_ALL, _ALL_OBSERVATIONS = "z", "v"
_UNSURE = 0.25  # of H(y): an interval so wide tells little
_ENTROPY = Sum(1, {})


def diagnose(
    *,
    representations: Sequence[ArrayLike],
    labels: ArrayLike,
    observations: Sequence[ArrayLike] | None = None,
    log_variances: Sequence[ArrayLike] | None = None,
    names: Sequence[str] | None = None,
    groups: ArrayLike | None = None,
    probe: Probe = "linear",
    folds: int = 5,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Progress | None = None,
) -> Diagnosis:
    r"""Measure what representations of one or several views hold of a label: sufficiency, consistency, redundancy.

    Of every source s (each v_i, each z_i, all z but one, all z, all v) a probe predicts the label of samples that it
    was not fitted to (`cross_fitted_information`), with mean log-likelihood :math:`\ell_s`. Then

    .. math:: I(s; y) = H(y) + \ell_s, \quad I(v_i; y) - I(z_i; y) = \ell_{v_i} - \ell_{z_i}, \quad
        I(y; z_i | z_{\setminus i}) = \ell_z - \ell_{z_{\setminus i}}

    and the others follow, see `Diagnosis`. The samples should be ones that the representations were not trained on: on
    training samples a network that learned them by heart holds everything.

    Intervals are bootstrap intervals over samples, or groups, widened by what the probes are estimated to gain from
    more samples; see `Resamples`.

    Args:
        representations: `(samples, features)` of each view; row k of every matrix is the same thing.
        labels: `(samples,)` integers, booleans or strings.
        observations: v_i, of which z_i was made: one a view, or None.
        log_variances: of a stochastic encoder z_i ~ N(mean, exp(log-variance)), whose means are then `representations`:
            z is drawn once a sample, and I(z_i; v_i) is bounded, which is infinite where z_i is a continuous function
            of v_i and then is not printed.
        names: of the views; default: 1, 2, ...
        groups: `(samples,)`: samples of one group (pictures of one person, where the label is not the person) stay
            together in folds and resamples.
        probe: "linear", or "mlp" where the label shows in combinations of features only.
        folds: of the cross-fitting.
        confidence: of the intervals.
        seed: of folds, networks and resamples.
        progress: called with (work done, work in all).

    Returns:
        All figures; printed, it is a table. `write_diagnosis` makes a folder with a page of it.

    Raises:
        InputError: the arrays do not fit one another, hold NaN, say nothing at all, or there is one class, a class of
            its own for every sample, or fewer samples or groups than folds.

    Source: Tian et al. 2022, eq. 4-7, 26 and 30, Figs. 1 and 2.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> shared, private = rng.integers(2, size=(2, 600))
        >>> views = [shared[:, None] + 0.1 * rng.normal(size=(600, 1)), np.stack([shared, private], axis=1)]
        >>> found = diagnose(representations=views, labels=2 * shared + private)
        >>> print(found.views[0].representation.nats.__round__(1), found.views[1].specific.nats.__round__(1))
        0.7 0.7
    """
    features = ViewFeatures.from_arrays(
        representations, labels, observations=observations, log_variances=log_variances, names=names, groups=groups
    )
    return diagnose_view_features(
        features, probe=probe, folds=folds, confidence=confidence, seed=seed, progress=progress
    )


def diagnose_view_features(
    features: ViewFeatures,
    *,
    probe: Probe = "linear",
    folds: int = 5,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Progress | None = None,
) -> Diagnosis:
    """`diagnose`, of arrays that were checked before.

    Raises:
        InputError: there are fewer samples or groups than folds, or an option is out of range.
    """
    from limbeck.information.diagnosis.cross_view import cross_view_retrieval  # noqa: PLC0415 - slow to import

    check_confidence(confidence)
    retained = [_retained(features, view, seed) for view in range(len(features.names))]  # refused before the long work
    features = features.drawn(seed)
    readings = _read_all(features, probe=probe, folds=folds, seed=seed, progress=progress)
    figures = _Figures(features, readings, confidence=confidence, seed=seed)
    joint = readings[_ALL]
    views = tuple(figures.view(view, retained[view]) for view in range(len(features.names)))
    return Diagnosis(
        entropy=figures.interval(_ENTROPY, information=True),
        views=views,
        joint=figures.interval(_tells(_ALL), information=True),
        joint_observations=figures.interval(_tells(_ALL_OBSERVATIONS), information=True)
        if _ALL_OBSERVATIONS in readings
        else None,
        overlap=figures.overlap(),
        regions=figures.regions(),
        agreements=tuple(_agreements(features, readings)),
        retrieval=cross_view_retrieval(features, seed=seed),
        accuracy=joint.accuracy,
        calibration_error=joint.calibration_error,
        warnings=tuple(_warnings(features, readings, figures, views, folds)),
        samples=len(features),
        classes=features.classes,
        majority=float(np.bincount(features.labels).max() / len(features)),
        probe=probe,
        folds=int(folds),
        confidence=confidence,
        seed=int(seed),
    )


@dataclass(frozen=True, eq=False)
class _Reading:
    """What a probe read of one source; whole predictions are kept for single views' representations alone."""

    width: int
    log_likelihood: NDArray[np.float64]
    shortfall: float
    accuracy: float
    calibration_error: float
    log_probability: NDArray[np.float32] | None


def _read_all(
    features: ViewFeatures, *, probe: Probe, folds: int, seed: int, progress: Progress | None
) -> dict[str, _Reading]:
    z, v = features.representations, features.observations
    everything = range(len(z))
    todo: list[tuple[str, Callable[[], NDArray[np.floating]], int]] = []

    def plan(name: str, matrices: Sequence[NDArray[np.floating]]) -> None:
        width = sum(matrix.shape[1] for matrix in matrices)
        todo.append((name, lambda: matrices[0] if len(matrices) == 1 else np.concatenate(matrices, axis=1), width))

    for view in everything:
        if v is not None:
            plan(_observation(view), [v[view]])
        plan(_representation(view), [z[view]])
    if len(z) > 2:
        for view in everything:
            plan(_without(view, len(z)), [z[other] for other in everything if other != view])
    if len(z) > 1:
        plan(_ALL, z)
        if v is not None:
            plan(_ALL_OBSERVATIONS, v)
    readings: dict[str, _Reading] = {}
    done, total = 0, sum(width for *_, width in todo)
    for name, matrix, width in todo:
        fitted = cross_fitted_predictions(
            matrix(), features.labels, groups=features.groups, folds=folds, probe=probe, seed=seed
        )
        log_probability = fitted.log_probability
        readings[name] = _Reading(
            width,
            fitted.log_likelihood(features.labels),
            fitted.shortfall,
            float((log_probability.argmax(axis=1) == features.labels).mean()),
            calibration_error(np.exp(log_probability), features.labels),
            log_probability if name.startswith("z_") and "," not in name else None,
        )
        done += width
        if progress is not None:
            progress(done, total)
    if len(z) == 1:
        readings[_ALL] = readings[_representation(0)]
        if v is not None:
            readings[_ALL_OBSERVATIONS] = readings[_observation(0)]
    return readings


def _observation(view: int) -> str:
    return f"v_{view}"


def _representation(view: int) -> str:
    return f"z_{view}"


def _some(views: Sequence[int]) -> str:
    """The source of several representations, of one, or of none."""
    return "z_" + ",".join(map(str, views))


def _without(view: int, views: int) -> str:
    return _some([other for other in range(views) if other != view])


def _tells(source: str) -> Sum:
    """I(source; y)."""
    return Sum(1, {source: 1})


def _retained(features: ViewFeatures, view: int, seed: int) -> Retained | None:
    if features.log_variances is None:
        return None
    from limbeck.information.stochastic import encoder_information  # noqa: PLC0415 - slow to import, rarely needed

    try:
        found = encoder_information(features.representations[view], features.log_variances[view], seed=seed)
    except InputError as error:
        raise InputError(f"view {features.names[view]}: {error}") from None
    return Retained(*(Interval(one.nats, one.low, one.high) for one in (found.lower, found.tightest)))


class _Figures:
    """Every figure with its interval."""

    def __init__(self, features: ViewFeatures, readings: dict[str, _Reading], *, confidence: float, seed: int) -> None:
        self.names, self._observed = features.names, features.observations is not None
        self._readings = readings
        values = {name: reading.log_likelihood for name, reading in readings.items()}
        shortfall = {name: (reading.shortfall, 0.0) for name, reading in readings.items()}
        log_share = np.log(np.bincount(features.labels) / len(features))[features.labels]
        for view in range(len(self.names)) if len(self.names) > 1 else ():
            alone, rest, all_ = (values[name] - log_share for name in self._trio(view))
            common = alone + rest - all_
            same = (
                (np.sign(alone) == np.sign(rest))
                & (np.sign(rest) == np.sign(all_))
                & (np.sign(all_) == np.sign(common))
            )
            values[f"redundancy {view}"] = np.where(same, common, 0.0)
            values[f"synergy {view}"] = np.where(same, 0.0, -common)
            single, joint = sum(readings[name].shortfall for name in self._trio(view)[:2]), readings[_ALL].shortfall
            # What could move the consistent information may lie in either of its parts.
            shortfall |= {f"redundancy {view}": (single, joint), f"synergy {view}": (joint, single)}
        self._resamples = Resamples(
            features.labels,
            values,
            shortfall,
            groups=features.groups,
            resamples=_RESAMPLES,
            confidence=confidence,
            seed=seed,
        )

    def interval(self, figure: Sum, *, information: bool = False) -> Interval:
        return self._resamples.interval(figure, information=information)

    def view(self, view: int, retained: Retained | None) -> ViewDiagnosis:
        own, seen = _representation(view), _observation(view)
        several = len(self.names) > 1
        read = self._readings[own]
        return ViewDiagnosis(
            name=self.names[view],
            observation=self.interval(_tells(seen), information=True) if self._observed else None,
            representation=self.interval(_tells(own), information=True),
            gap=self.interval(_tells(seen) - _tells(own)) if self._observed else None,
            specific=self.interval(self._specific(view)) if several else None,
            consistent=self.interval(_tells(own) - self._specific(view)) if several else None,
            redundancy=self.interval(Sum(0, {f"redundancy {view}": 1})) if several else None,
            synergy=self.interval(Sum(0, {f"synergy {view}": 1})) if several else None,
            retained=retained,
            accuracy=read.accuracy,
            calibration_error=read.calibration_error,
        )

    def overlap(self) -> Interval | None:
        if len(self.names) == 1:
            return None
        total = Sum(0, {})
        for view in range(len(self.names)):
            total += _tells(_representation(view))
        return self.interval(total - _tells(_ALL))

    def regions(self) -> dict[tuple[str, ...], Interval]:
        """Of two or three views, by inclusion and exclusion."""
        views = range(len(self.names))
        if len(views) not in (2, 3):
            return {}
        found = {}
        for size in range(1, len(views) + 1):
            for inside in itertools.combinations(views, size):
                outside = [view for view in views if view not in inside]
                total = Sum(0, {})
                # What the inside views have in common, given the others: what larger and larger sets tell, in turn
                # taken away and added.
                for taken in range(len(inside) + 1):
                    for some in itertools.combinations(inside, taken):
                        term = self._union([*some, *outside])
                        total = total + term if taken % 2 else total - term
                found[tuple(self.names[view] for view in inside)] = self.interval(total)
        return found

    def _trio(self, view: int) -> tuple[str, str, str]:
        """ViewFeatures: the view, the others, all."""
        return _representation(view), _without(view, len(self.names)), _ALL

    def _specific(self, view: int) -> Sum:
        _, rest, all_ = self._trio(view)
        return _tells(all_) - _tells(rest)

    def _union(self, views: list[int]) -> Sum:
        """I of these representations together."""
        if not views:
            return Sum(0, {})
        return _tells(_ALL if len(views) == len(self.names) else _some(sorted(views)))


def _agreements(features: ViewFeatures, readings: dict[str, _Reading]) -> Iterator[Agreement]:
    for first, second in itertools.combinations(range(len(features.names)), 2):
        one, other = (readings[_representation(view)].log_probability for view in (first, second))
        assert one is not None
        assert other is not None
        said, answered = one.argmax(axis=1), other.argmax(axis=1)
        classes = len(features.classes)
        often = [np.bincount(choice, minlength=classes) / len(features) for choice in (said, answered)]
        mixture = np.logaddexp(one, other) - np.log(2)
        divergence = sum((np.exp(log) * (log - mixture)).sum(axis=1, dtype=np.float64) for log in (one, other)) / 2
        yield Agreement(
            first=features.names[first],
            second=features.names[second],
            share=float((said == answered).mean()),
            chance=float(often[0] @ often[1]),
            divergence=float(np.mean(divergence)),
        )


def _warnings(
    features: ViewFeatures,
    readings: dict[str, _Reading],
    figures: _Figures,
    views: Sequence[ViewDiagnosis],
    folds: int,
) -> Iterator[str]:
    """What the figures cannot bear, a sentence each."""
    size, entropy = len(features), figures.interval(_ENTROPY).nats
    members = np.arange(size) if features.groups is None else features.groups
    pairs = np.unique(np.stack([features.labels, members]), axis=1)
    counts = np.bincount(pairs[0])
    rare = np.flatnonzero(counts < folds)
    if len(rare):
        yield (
            f"{len(rare)} of {len(counts)} classes have fewer {'samples' if features.groups is None else 'groups'} "
            f"than the {folds} folds (first: {features.classes[rare[0]]!r}, {counts[rare[0]]}): what is said of them "
            "is guessed from the others"
        )
    if features.groups is None:
        distinct = len({hash(b"".join(z[row].tobytes() for z in features.representations)) for row in range(size)})
        # Far fewer are the values of something discrete.
        if size / 20 < distinct < 0.9 * size:
            yield (
                f"{size - distinct} of {size} samples are copies of others, which a probe may know by heart: if copies "
                "are of one thing, say so by groups"
            )
    told = {name: figures.interval(_tells(name)) for name in readings}
    crowded = [name for name in readings if _crowded(readings[name], told[name].nats, entropy, features, folds)]
    if crowded:
        worst = max(crowded, key=lambda name: readings[name].width)
        yield (
            f"too many features for {size} samples ({readings[worst].width} of {_words(worst, features)}): more may be "
            "there than was read, and beyond the interval"
        )
    slow = {name: reading.shortfall for name, reading in readings.items() if reading.shortfall > 0.05 * entropy}
    if slow:
        worst = max(slow, key=lambda name: slow[name])
        yield (
            f"the probes would gain from more samples (of {_words(worst, features)} about {slow[worst]:.2f} nats): "
            "the figures are less than what is there, and differences may be the probes'"
        )
    widest = max(told.values(), key=lambda found: found.high - found.low)
    if widest.high - widest.low > _UNSURE * entropy:
        yield (
            f"too few samples to tell: an interval is {widest.high - widest.low:.2f} nats wide, "
            f"where the labels have {entropy:.2f}"
        )
    for view in views:
        if view.specific is not None and view.specific.high < 0:
            yield (
                f"view {view.name}: all views are read worse than the others alone: "
                "too few samples for so many features"
            )
        if view.gap is not None and view.gap.high < 0:
            yield (
                f"view {view.name}: more is read from z than from v, of which z is made: "
                "it is only easier to read there; try the probe mlp"
            )


def _crowded(reading: _Reading, nats: float, entropy: float, features: ViewFeatures, folds: int) -> bool:
    """Whether a probe's numbers are too many for the samples to say that what was not read is not there.

    Each number of a fitted probe costs about 1/2m nats (Akaike 1974), of m samples that it is fitted to.
    """
    fitted = len(features) * (1 - 1 / folds)
    cost = min(reading.width, fitted) * (len(features.classes) - 1) / (2 * fitted)
    return cost > 0.25 * max(nats, 0.0) and entropy - nats > 0.1 * entropy


def _words(source: str, features: ViewFeatures) -> str:
    kind, _, views = source.partition("_")
    named = [features.names[int(view)] for view in views.split(",") if view]
    return f"{kind} of {', '.join(named)}" if named else f"all {kind}"
