"""From rows to a tuned, refitted and calibrated model; test rows are not among what it is given."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from limbeck.multiview.evaluation import cross_entropy_nats, probabilities
from limbeck.multiview.training import fit_temperature
from limbeck.multiview.views import Views, concatenate
from limbeck.studies.multiview_peers.peers import Floats, Labels, Peer, Point

# From views to probabilities, (samples, classes).
Model = Callable[[Views], Floats]


@dataclass(frozen=True)
class Learned:
    """A model and how it came about.

    Attributes:
        model: what answers.
        chosen: its hyper-parameters, and what else was settled on validation rows.
        validation_accuracy: of the model that validation rows chose, before it was refitted.
        validation_cross_entropy: likewise, at its best temperature, in nats.
        tuning_seconds: CPU seconds of fitting every point of the grid on training rows.
        fitting_seconds: CPU seconds of the last fit.
    """

    model: Model
    chosen: Point
    validation_accuracy: float
    validation_cross_entropy: float
    tuning_seconds: float
    fitting_seconds: float


def tuned(
    peer: Peer, training: Views, labels: Labels, validation: Views, validation_labels: Labels, seed: int
) -> Learned:
    """Choose a point of the grid on validation rows, refit on training and validation rows together, calibrate.

    Every point is fitted on training rows. The one with the highest validation accuracy is chosen; of equal ones that
    with the lowest cross-entropy after dividing its scores by the temperature that suits validation rows best. That
    temperature, of the model fitted on training rows, also divides the scores of the refitted one: of margins too,
    because a sigmoid a class (Platt) asks for more validation rows than small samples have.

    Args:
        peer: what is fitted.
        training: rows to learn from.
        labels: of these rows, 0 to classes - 1, every class present.
        validation: rows to choose and calibrate by, then also learned from.
        validation_labels: of these.
        seed: of what is drawn.
    """
    started = time.process_time()
    best: tuple[tuple[float, float], Point, float] | None = None
    for point, scorer in zip(peer.grid, peer.fit(training, labels, peer.grid, seed), strict=True):
        scores = scorer(validation)
        temperature = suiting_temperature(scores, validation_labels)
        accuracy = float((scores.argmax(axis=1) == validation_labels).mean())
        nats = cross_entropy_nats(probabilities(scores, temperature), validation_labels)
        if best is None or (accuracy, -nats) > best[0]:
            best = (accuracy, -nats), point, temperature
    assert best is not None
    (accuracy, less_nats), point, temperature = best
    tuning = time.process_time() - started

    started = time.process_time()
    everything = concatenate(training, validation)
    (final,) = peer.fit(everything, np.concatenate([labels, validation_labels]), [point], seed)
    fitting = time.process_time() - started
    return Learned(
        lambda views: probabilities(final(views), temperature),
        {**point, "temperature": temperature},
        accuracy,
        -less_nats,
        tuning,
        fitting,
    )


def suiting_temperature(scores: Floats, labels: Labels) -> float:
    """The temperature that minimises the cross-entropy of softmax(scores / temperature), as `fit_temperature` finds it.

    Margins of a strongly regularised support vector machine are a hundredth of log-probabilities: where the standard
    deviation s of scores about their sample's mean is below 1, the range that is searched, [0.05, 20], is times s.

    Args:
        scores: `(samples, classes)`.
        labels: `(samples,)`.
    """
    spread = float((scores - scores.mean(axis=1, keepdims=True)).std())
    scale = min(1.0, spread) or 1.0
    return scale * fit_temperature((scores / scale).astype(np.float32), labels)
