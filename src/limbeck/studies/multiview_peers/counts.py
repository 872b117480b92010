"""Sparse counts in several views, drawn from a law whose posterior is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.special import log_softmax

from limbeck.multiview.views import Views
from limbeck.settings import PositiveFloat, PositiveInt, Range, check_settings


@dataclass(frozen=True)
class CountSettings:
    """The law of drawn counts.

    Attributes:
        samples: how many, all folds' parts together.
        classes: equally likely, and each drawn at least once.
        views: each with words and topics of its own.
        features: words of a view.
        topics: of a view.
        words: mean number of words of a sample in a view.
        concentration: of the symmetric Dirichlet that each class draws its shares of the topics from: the larger, the
            more alike the classes.
    """

    samples: PositiveInt = 2000
    classes: Annotated[int, Range(ge=2)] = 6
    views: PositiveInt = 3
    features: Annotated[int, Range(ge=2)] = 1000
    topics: Annotated[int, Range(ge=2)] = 10
    words: PositiveFloat = 10.0
    concentration: PositiveFloat = 1.0

    def __post_init__(self) -> None:
        check_settings(self, "counts.")


@dataclass(frozen=True, eq=False)
class Counts:
    r"""Counts of words, and the law that they follow.

    A sample of class y has in view v :math:`x_{vw} \sim \text{Poisson}(\lambda\, \theta_{vyw})` of word w, all
    independent given y, where :math:`\theta_{vy} = \sum_t \pi_{vyt} \phi_{vt}` mixes the view's topics
    :math:`\phi_{vt}` with the class's shares :math:`\pi_{vy}`, and :math:`\lambda` is the mean number of words.

    Attributes:
        views: one CSR matrix `(samples, features)` a view.
        labels: `(samples,)`.
        log_words: one a view: :math:`\log \theta_v`, `(classes, features)`.
    """

    views: tuple[scipy.sparse.csr_array, ...]
    labels: NDArray[np.int64]
    log_words: tuple[NDArray[np.float64], ...]

    def log_posterior(self, views: Views) -> NDArray[np.float64]:
        r"""Log-probabilities of the classes, given the views that each sample has, `(samples, classes)`.

        The mean number of words is that of every class, so that
        :math:`\log p(y \mid x) = \sum_{v\,\text{present}} \sum_w x_{vw} \log \theta_{vyw} + \text{const}`.
        """
        score = np.zeros((views.samples, len(self.log_words[0])))
        for name, matrix, present in zip(views.names, views.matrices, views.present, strict=True):
            assert matrix is not None
            score += present[:, np.newaxis] * (matrix @ self.log_words[view_number(name)].T)
        return np.asarray(log_softmax(score, axis=1))


def view_name(number: int) -> str:
    """What the view of a number is called."""
    return f"words {number}"


def view_number(name: str) -> int:
    """The number of a view of `view_name`."""
    return int(name.rsplit(" ", 1)[1])


def draw_counts(settings: CountSettings, seed: int) -> Counts:
    """Draw the law, then the samples; both depend on the settings and the seed alone."""
    generator = np.random.default_rng([seed, 1616])
    # Every class is there, but not equally often: shares that are exactly equal hide what an intercept does.
    further = generator.integers(settings.classes, size=max(0, settings.samples - settings.classes))
    labels = generator.permutation(np.concatenate([np.arange(min(settings.samples, settings.classes)), further]))
    views, log_words = [], []
    for _ in range(settings.views):
        topics = generator.dirichlet(np.full(settings.features, 0.05), settings.topics)
        shares = generator.dirichlet(np.full(settings.topics, settings.concentration), settings.classes)
        # A small share of all words alike, so that no word is impossible in a class.
        words = 0.99 * shares @ topics + 0.01 / settings.features
        rows = [scipy.sparse.csr_array(generator.poisson(settings.words * words[label])) for label in labels]
        views.append(scipy.sparse.csr_array(scipy.sparse.vstack(rows), dtype=np.float32))
        log_words.append(np.log(words))
    return Counts(tuple(views), labels, tuple(log_words))
