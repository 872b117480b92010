"""What a fitted classifier answers with: its networks, the paths beside them, and what weighs and calibrates them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.multiview.evaluation import ViewContribution, cross_entropy_nats, probabilities
from limbeck.multiview.held_out import HeldOut, HeldOutPath, assemble_held_out, measure_terms, of_known_classes
from limbeck.multiview.kernel_path import KernelPath, fit_kernel_path
from limbeck.multiview.linear_path import LinearPath, fit_linear_paths
from limbeck.multiview.mixing import Mix, fit_mix, sharpen
from limbeck.multiview.network import MultiViewNetwork, Predictions
from limbeck.multiview.samples import Samples
from limbeck.multiview.tensors import TensorViews
from limbeck.multiview.training import fit_temperature, gather, gather_mean, predict
from limbeck.multiview.views import Views, select

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]

_SETS = "without calibration=(X, y), predict_set"


class Answers:
    """Calibrated answers for samples that have any of the views that some training sample had.

    Args:
        network: of one model or several, which answer by the mean of their logits.
        paths: beside it: the kernel path, then the linear paths, as far as there are any.
        mixes: temperature and weights of the paths, for all views and then without each.
        held_out: what is said of samples that were not learned from, by which other patterns of missing views are
            calibrated when they are asked for; None: there are none.
        calibrate: whether to do that.

    Views here are those that the network has, no others; a pattern is `(views,)` booleans of what a sample has.
    """

    def __init__(
        self,
        network: MultiViewNetwork,
        paths: Sequence[KernelPath | LinearPath],
        mixes: Sequence[Mix],
        held_out: HeldOut | None,
        *,
        calibrate: bool,
    ) -> None:
        self.network, self.paths, self.mixes = network, tuple(paths), list(mixes)
        self.held_out, self.calibrate = held_out, calibrate
        self._mix_of_several: dict[bytes, Mix] = {}

    def predictions(self, views: Views) -> Iterator[Predictions]:
        """What the networks predict, a batch at a time."""
        data = TensorViews(views, next(self.network.parameters()).device)
        return predict(self.network, data, np.arange(views.samples))

    def logits(self, views: Views) -> NDArray[np.float64]:
        """Calibrated logits `(samples, classes)`: softmax of them are the probabilities."""
        networks = gather_mean(self.predictions(views), "joint_logits")
        scores = np.empty((len(self.paths), *networks.shape))
        for number, path in enumerate(self.paths):
            scores[number] = path.scores(views)
        result = np.empty(networks.shape)
        for pattern, rows in patterns(views.present):
            result[rows] = self.mix(pattern).logits(networks[rows], scores[:, rows])
        return result

    def mix(self, pattern: Mask) -> Mix:
        """Temperature and weights for samples that have the views of a pattern and no others."""
        missing = np.flatnonzero(~pattern)
        if len(missing) < 2:
            return self.mixes[1 + missing[0]] if len(missing) else self.mixes[0]
        key = pattern.tobytes()
        if key not in self._mix_of_several:
            largest = max((self.mixes[1 + view] for view in missing), key=lambda mix: mix.temperature)
            self._mix_of_several[key] = largest
            if self.calibrate and self.held_out is not None:
                logits, scores, labels = self.held_out.calibrating(pattern)
                if len(labels):
                    shares = shares_of(self.held_out.labels, logits.shape[1])
                    self._mix_of_several[key] = mix_of(logits, scores, labels, shares)
        return self._mix_of_several[key]

    def network_temperature(self, pattern: Mask) -> float:
        """The temperature of the networks' logits where no path is asked."""
        if not self.paths or self.held_out is None:
            return self.mix(pattern).temperature
        logits, _, labels = self.held_out.calibrating(pattern)
        return fit_temperature(logits.astype(np.float32), labels) if len(labels) else self.mix(pattern).temperature

    def need_held_out(self, what: str) -> HeldOut:
        """What is said of held-out samples.

        Raises:
            InputError: there are none, or what the joint head says of views does not add up.
        """
        if self.held_out is not None:
            return self.held_out
        if not self.network.joint_head.additive:
            raise InputError(f"{what} needs joint_head='additive': what other heads say of views does not add up")
        raise InputError(
            f"{what} needs samples that were held out of training, and there are none: "
            "fit with inner folds, validation_fraction above 0 or validation=(X, y)"
        )

    def held_out_probabilities(self, pattern: Mask) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Of the held-out samples with all views of a pattern: probabilities by these, and labels."""
        held_out = self.need_held_out(_SETS)
        logits, labels = held_out.logits(pattern)
        return probabilities(self.mix(pattern).logits(logits, held_out.scores(pattern))), labels

    def held_out_folds(self, pattern: Mask) -> NDArray[np.int64]:
        """Of the same samples: which network did not learn from them."""
        held_out = self.need_held_out(_SETS)
        return held_out.folds[held_out.known(pattern)]

    def by_held_out_models(self, pattern: Mask, views: Views) -> NDArray[np.float64]:
        """Of samples that have the views of a pattern: what each model says that held-out samples are answered by.

        Model k is network k with every path's solution without part k, weighed as `logits` weighs them.

        Args:
            pattern: `(views,)`.
            views: of the samples.

        Returns:
            `(models, samples, classes)` probabilities.
        """
        count = 1 + int(self.need_held_out(_SETS).folds.max(initial=0))
        batches = list(self.predictions(views))
        by_part = [path.part_scores(views) for path in self.paths]
        mix, found = self.mix(pattern), []
        for model in range(count):
            alone = count == self.network.models
            own = gather(batches, "joint_logits", model) if alone else gather_mean(batches, "joint_logits")
            scores = [of_path[model if len(of_path) > 1 else 0] for of_path in by_part]
            found.append(probabilities(mix.logits(own, np.array(scores).reshape(-1, *own.shape))))
        return np.stack(found)

    def probabilities_by(
        self, pattern: Mask, views: Views, labels: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The same of other samples."""
        rows = np.flatnonzero(views.present[pattern].all(axis=0))
        some = select(views, rows)
        hidden = Views(some.names, some.matrices, some.present & pattern[:, np.newaxis])
        if not len(rows):
            return np.zeros((0, self.network.joint_head.bias.shape[-1])), labels[rows]
        return probabilities(self.logits(hidden)), labels[rows]

    def contributions(self, views: Views, labels: NDArray[np.int64]) -> list[ViewContribution]:
        """What each view is worth for samples that were not learned from."""
        left_out = gather_mean(self.predictions(views), "leave_one_out_logits")
        without = np.empty((len(views.names), views.samples, left_out.shape[-1]))
        for view in range(len(views.names)):
            left = views.present.copy()
            left[view] = False
            rows = left.any(axis=0)
            # Without its only view the prior is what is left.
            without[view] = left_out[view] / self.mixes[0].temperature
            if rows.any():
                kept = np.flatnonzero(rows)
                without[view][rows] = self.logits(select(Views(views.names, views.matrices, left), kept))
        alone = gather_mean(self.predictions(views), "representation_logits")
        return contributions(views.names, self.logits(views), without, alone, views.present, labels)


def learn_answers(
    network: MultiViewNetwork,
    samples: Samples,
    *,
    kernel_path: bool,
    linear_path: bool | None,
    calibrate: bool,
    seed: int,
) -> tuple[Answers, list[ViewContribution]]:
    """Fit the paths, and what weighs and calibrates them and the networks, on the samples held out of each network.

    Args:
        network: trained: model k on fold k of the samples.
        samples: with the views that the network has, no others.
        kernel_path: whether to fit one; without held-out samples, or without calibration, there is no path.
        linear_path: likewise; None: where a view is sparse.
        calibrate: whether to fit temperatures and weights.
        seed: of the kernel path.

    Returns:
        The answers, and what each view is worth on held-out samples; empty without any.
    """
    views, rows = samples.views, samples.held_out
    plain = [Mix()] * (1 + len(views.names))
    answers = Answers(network, (), plain, None, calibrate=calibrate)
    if not len(rows):
        return answers, []
    if linear_path is None:
        linear_path = any(scipy.sparse.issparse(matrix) for matrix in views.matrices)
    fitted = _fit_paths(samples, kernel_path, linear_path, seed) if calibrate else []
    said = [
        list(answers.predictions(select(views, fold.validation))) if len(fold.validation) else []
        for fold in samples.folds
    ]

    def of_its_network(name: str) -> NDArray[np.float32]:
        return np.concatenate([gather(batches, name, model) for model, batches in enumerate(said) if batches], axis=-2)

    labels, present = samples.labels[rows], views.present[:, rows]
    joint, rest = of_its_network("joint_logits"), of_its_network("leave_one_out_logits")
    single = len(views.names) == 1  # without the only view nothing is left to calibrate
    logits = [joint, joint] if single else [joint, *rest]
    scores = _by_pattern([held for _, held in fitted], present, logits, single=single)
    mixes = plain
    folds = np.repeat(np.arange(len(samples.folds)), [len(fold.validation) for fold in samples.folds])
    if calibrate:
        chosen = of_known_classes(labels, folds)
        weights = None if samples.weights is None else samples.weights[rows][chosen]
        shares = shares_of(labels, len(samples.classes))
        mixes = [
            mix_of(own[chosen], score[:, chosen], labels[chosen], shares, weights)
            for own, score in zip(logits, scores, strict=True)
        ]
    held_out: HeldOut | None = None
    if network.joint_head.additive:
        terms = [measure_terms(network, batches, model) for model, batches in enumerate(said) if batches]
        held_out = assemble_held_out(terms, present, labels, folds, [held for _, held in fitted])
    mixed = [mix.logits(own, score) for mix, own, score in zip(mixes, logits, scores, strict=True)]
    if single:
        mixed[1] = rest[0] / mixes[0].temperature
    worth = contributions(
        views.names, mixed[0], np.stack(mixed[1:]), of_its_network("representation_logits"), present, labels
    )
    return Answers(network, [path for path, _ in fitted], mixes, held_out, calibrate=calibrate), worth


def _fit_paths(
    samples: Samples, kernel_path: bool, linear_path: bool, seed: int
) -> list[tuple[KernelPath | LinearPath, HeldOutPath]]:
    """The paths that are asked for, and what they say of the samples held out of each network."""
    views, labels, parts = samples.views, samples.labels, [fold.validation for fold in samples.folds]
    classes, weights = len(samples.classes), samples.weights
    # What only calibrates may be learned from here: it is scored by a solution without it.
    rows = np.arange(len(labels)) if samples.inner else samples.rows
    found: list[tuple[KernelPath | LinearPath, HeldOutPath]] = []
    if kernel_path:
        found.append(fit_kernel_path(views, labels, rows, parts, classes=classes, weights=weights, seed=seed))
    if linear_path:
        found += fit_linear_paths(views, labels, rows, parts, classes=classes, weights=weights)
    return found


def _by_pattern(
    held_out: Sequence[HeldOutPath], present: Mask, logits: Sequence[Floats], *, single: bool
) -> list[Floats]:
    """Scores `(paths, samples, classes)` for all views and without each, as `logits` has them."""
    scores = [path.by_pattern(present) for path in held_out]
    return [
        np.stack([of_path[0 if single else number] for of_path in scores]) if scores else np.empty((0, *own.shape))
        for number, own in enumerate(logits)
    ]


def mix_of(
    logits: Floats, scores: Floats, labels: NDArray[np.int64], shares: Floats, weights: Floats | None = None
) -> Mix:
    """The mix that suits held-out samples; a temperature alone without any path."""
    if not len(scores):
        return Mix(fit_temperature(logits.astype(np.float32), labels))
    weights = None if weights is None or not weights.any() else weights
    return sharpen(fit_mix(logits, scores, labels, weights, shares), logits, scores, labels, weights)


def shares_of(labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """The shares of the classes among held-out samples, with half a sample more of each: none is 0."""
    return np.asarray((np.bincount(labels, minlength=classes) + 0.5) / (len(labels) + classes / 2), np.float64)


def patterns(present: Mask) -> Iterator[tuple[Mask, Mask]]:
    """Each pattern of views `(views,)` among samples, and which samples have it; `present` is `(views, samples)`."""
    found, of_sample = np.unique(present, axis=1, return_inverse=True)
    for number, pattern in enumerate(found.T):
        yield pattern, of_sample.ravel() == number


def contributions(
    names: Sequence[str], everything: Floats, without: Floats, alone: Floats, present: Mask, labels: NDArray[np.int64]
) -> list[ViewContribution]:
    """What each view is worth, from calibrated logits.

    Args:
        names: of the views.
        everything: `(samples, classes)` by all views of a sample.
        without: `(views, samples, classes)` without each.
        alone: `(views, samples, classes)` by each alone; these need not be calibrated.
        present: `(views, samples)`.
        labels: `(samples,)`.
    """
    rows = []
    for view, name in enumerate(names):
        # A sample's only view cannot be left out, unless there is but one view: then the prior is what is left.
        here = present[view] & (present.sum(axis=0) > (len(names) > 1))
        if not here.any():
            continue
        target = labels[here]
        whole, rest = probabilities(everything[here]), probabilities(without[view][here])
        rows.append(
            ViewContribution(
                view=name,
                alone=float((alone[view][here].argmax(axis=1) == target).mean()),
                without=float((rest.argmax(axis=1) == target).mean()),
                everything=float((whole.argmax(axis=1) == target).mean()),
                unique_nats=cross_entropy_nats(rest, target) - cross_entropy_nats(whole, target),
                samples=int(here.sum()),
            )
        )
    return rows
