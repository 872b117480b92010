"""Which view to acquire next: what a view that a sample lacks can be expected to tell of its class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

Floats = NDArray[np.floating]

# Held-out samples of a class that stand for its terms; more make the mean no surer than the model is right.
MOST_A_CLASS = 200
_ENTRIES = 2**22  # of samples times held-out samples, at once


def expected_gain(
    logits: Floats,
    terms: Floats,
    labels: NDArray[np.integer],
    *,
    temperature: float = 1.0,
    temperature_after: float = 1.0,
) -> NDArray[np.float64]:
    r"""The information that one more view can be expected to give about the class of each sample, in nats.

    With the views x at hand a sample has the joint logits s, and one more view i would add the term
    :math:`t_i = W_i z_i` to them. What it is worth is

    .. math:: I(y; z_i \mid x) = H(y \mid x) - E_{z_i \mid x} H(y \mid x, z_i)
        = \sum_c p(c \mid x) \, E_{z_i \mid x, c} [\log p(c \mid x, z_i) - \log p(c \mid x)]

    Premise: given the class, view i does not depend on the views at hand, :math:`p(z_i \mid x, c) = p(z_i \mid c)`. The
    inner expectation is then a mean over held-out samples k of class c that have the view:

    .. math:: \hat I = \sum_c p(c \mid x) \frac1{m_c} \sum_{k: y_k = c} [\log q_c(s + t_i^k) - \log p(c \mid x)],
        \qquad p(\cdot \mid x) = softmax(s / T), \quad q(\cdot) = softmax(\cdot / T')

    where :math:`m_c` is their number, T the temperature for the views at hand and T' that with view i as well. Classes
    without such a sample are left out, and :math:`p(c \mid x)` is divided by the probability of the others.

    Where :math:`p(\cdot \mid x)` is the posterior and the premise holds, :math:`\hat I` is in expectation a lower bound
    of the information, because the cross-entropy of q is never below the entropy; it is equal where q is the posterior.
    A view that would mislead the model comes out below 0. Where views repeat one another within the classes, the
    premise fails and the gain is overestimated.

    Args:
        logits: (samples, classes), s.
        terms: (held_out, classes), the terms :math:`t_i^k` of held-out samples; of a class with more than
            `MOST_A_CLASS`, so many are used, evenly spaced.
        labels: (held_out,) in [0, classes).
        temperature: T > 0.
        temperature_after: T' > 0.

    Returns:
        (samples,) nats; NaN where nothing is held out.

    Raises:
        ValueError: shapes do not fit, or a temperature is not positive.

    Source: the criterion: Ma et al. 2019 (EDDI), eq. 3, for a label; the bound: Barber and Agakov 2003; the estimate
    from the additive head's stored terms is ours.

    Example:
        >>> terms = np.array([[20.0, 0.0], [0.0, 20.0]])  # of one sample a class: the view says which it is
        >>> expected_gain(np.array([[0.0, 0.0], [9.0, 0.0]]), terms, np.array([0, 1])).round(3)
        array([0.693, 0.001])
    """
    if logits.ndim != 2 or terms.ndim != 2 or logits.shape[1] != terms.shape[1] or labels.shape != terms.shape[:1]:
        raise ValueError(
            "logits must be (samples, classes), terms (held_out, classes) and labels (held_out,), "
            f"got {logits.shape}, {terms.shape} and {labels.shape}"
        )
    if not (temperature > 0 and temperature_after > 0):
        raise ValueError(f"temperatures must be positive, got {temperature} and {temperature_after}")
    scores, added = np.asarray(logits, np.float64), np.asarray(terms, np.float64)
    samples, classes = scores.shape
    if not len(labels):
        return np.full(samples, np.nan)
    kept = _thinned(labels)
    added, of_class = added[kept] / temperature_after, labels[kept]
    member = np.eye(classes)[of_class] / np.bincount(of_class, minlength=classes)[of_class, np.newaxis]
    own = added[np.arange(len(of_class)), of_class]
    log_now = log_softmax(scores / temperature, axis=1)
    weight = np.exp(log_softmax(np.where(member.any(axis=0), log_now, -np.inf), axis=1))
    gain = np.empty(samples)
    step = max(_ENTRIES // len(of_class), 1)
    for start in range(0, samples, step):
        rows = slice(start, start + step)
        after = scores[rows] / temperature_after
        log_ratio = after[:, of_class] + own - _log_sums(after, added) - log_now[rows][:, of_class]
        gain[rows] = (weight[rows] * (log_ratio @ member)).sum(axis=1)
    return gain


def _log_sums(first: Floats, second: Floats) -> NDArray[np.float64]:
    """log Σ_c exp(first_nc + second_kc), (n, k), by one matrix product."""
    of_first, of_second = first.max(axis=1, keepdims=True), second.max(axis=1, keepdims=True)
    sums = np.exp(first - of_first) @ np.exp(second - of_second).T
    # Terms that are all far below both maxima underflow: these sums are taken one by one.
    lost = np.nonzero(sums < 1e-250)
    sums[lost] = 1.0
    logs = np.log(sums) + of_first + of_second.T
    for start in range(0, len(lost[0]), 2**14):
        n, k = (place[start : start + 2**14] for place in lost)
        logs[n, k] = logsumexp(first[n] + second[k], axis=1)
    return np.asarray(logs)


def _thinned(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """At most `MOST_A_CLASS` positions of each class, evenly spaced."""
    parts = []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        count = min(len(places), MOST_A_CLASS)
        parts.append(places[np.arange(count) * len(places) // count])
    return np.concatenate(parts)
