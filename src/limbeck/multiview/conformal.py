"""Sets of classes that hold the label with a stated probability: split and cross-conformal prediction."""

from __future__ import annotations

from fractions import Fraction
from numbers import Real
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom

from limbeck.errors import InputError
from limbeck.settings import NonNegativeInt, PositiveInt, Range, check_value

Score: TypeAlias = Literal["lac", "aps"]
Models: TypeAlias = Literal["one", "each"]
RandomState: TypeAlias = int | np.random.Generator | None
Floats: TypeAlias = NDArray[np.floating]
Labels: TypeAlias = NDArray[np.integer]
Sets: TypeAlias = NDArray[np.bool_]


def conformal_sets(
    held_out: Floats,
    labels: Labels,
    test: Floats,
    coverage: float = 0.9,
    *,
    score: Score = "lac",
    class_conditional: bool = False,
    allow_empty: bool = True,
    randomised: bool = True,
    random_state: RandomState = None,
) -> Sets:
    r"""Split conformal prediction: which classes belong to the set of each test sample.

    .. math:: C(x) = \{ y : E(x, y) \le E_{(k)} \}, \qquad k = \lceil (n + 1)\, c \rceil

    where c is the `coverage`, :math:`E_{(k)}` the k-th smallest of the scores :math:`E_i = E(x_i, y_i)` of the n
    held-out samples at their labels (see `nonconformity`), and :math:`E_{(k)} = \infty` where k > n: of too few
    held-out samples, fewer than c / (1 - c), every class is in every set.

    **Guarantee.** If the held-out samples and a test sample are exchangeable (drawn independently from one law, say),
    and nothing of the model was learned or chosen from any of them, then

    .. math:: c \le P(y \in C(x)) \le c + 1 / (n + 1)

    in the mean over draws of held-out and test samples; the upper bound where no two scores are equal, as with
    randomised "aps", and there P = k / (n + 1) for k ≤ n. Given the held-out samples at hand, the share of all test
    samples that is covered is then distributed as Beta(k, n + 1 - k), for independent samples: with a deviation of 0.03
    at c = 0.9 and n = 100.

    Nothing is said of single classes, or of samples like the one in question. With `class_conditional` the same holds
    among the samples of each class, with n and k of that class.

    Args:
        held_out: (n, classes) probabilities of held-out samples.
        labels: (n,) their labels, from 0.
        test: (samples, classes) probabilities of test samples, by the same model.
        coverage: c, in [0, 1]: 0 gives empty sets and 1 all classes. Read as the decimal that it prints as.
        score: "lac" has the smallest sets in the mean; "aps" larger ones, that cover easy and hard samples alike where
            the probabilities are right.
        class_conditional: compare each class with the held-out samples of that class only (Mondrian).
        allow_empty: False: where no class is in a set, its most probable one is put there; coverage can only rise.
        randomised: of "aps", see `nonconformity`. Without it the guarantee is the same, sets are larger, and the surest
            samples are the first to get empty ones.
        random_state: of the randomisation: a seed, a generator to draw from, or None for a fresh seed. A fixed seed
            draws the same numbers in every call: for samples that come one by one, pass a generator.

    Returns:
        (samples, classes) booleans.

    Raises:
        InputError: shapes differ, a row is not a distribution over classes, or an argument is out of range.

    Source: Vovk et al. 2005; "lac": Sadinle, Lei and Wasserman 2019; "aps": Romano, Sesia and Candès 2020.

    Example:
        >>> held_out = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
        >>> conformal_sets(held_out, np.array([0, 1, 0, 1]), np.array([[0.75, 0.25], [0.55, 0.45]]), coverage=0.6)
        array([[ True, False],
               [False, False]])
        >>> conformal_sets(held_out, np.array([0, 1, 0, 1]), np.array([[0.75, 0.25], [0.55, 0.45]]), coverage=0.8)
        array([[ True, False],
               [ True,  True]])
    """
    folds = np.zeros(len(held_out), np.int64)
    return cross_conformal_sets(
        held_out,
        labels,
        folds,
        np.asarray(test)[np.newaxis],
        coverage,
        score=score,
        class_conditional=class_conditional,
        allow_empty=allow_empty,
        randomised=randomised,
        random_state=random_state,
    )


def cross_conformal_sets(
    held_out: Floats,
    labels: Labels,
    folds: Labels,
    test: Floats,
    coverage: float = 0.9,
    *,
    models: Models = "each",
    score: Score = "lac",
    class_conditional: bool = False,
    allow_empty: bool = True,
    randomised: bool = True,
    random_state: RandomState = None,
) -> Sets:
    r"""Which classes belong to the set of each test sample, where every sample was held out of one of K models.

    `models="each"`, cross-conformal prediction (CV+): a test sample is compared with all n held-out samples, and each
    of these with what its own model says of the test sample,

    .. math:: C(x) = \{ y : \#\{ i : E_i < E^{(f_i)}(x, y) \} < (n + 1)\, c \}

    `models="one"`: split conformal prediction by one model f, drawn at random for each test sample with probability
    :math:`n_f / n`, and by the :math:`n_f` samples that were held out of it,

    .. math:: C(x) = \{ y : \#\{ i : f_i = f,\ E_i < E^{(f)}(x, y) \} < (n_f + 1)\, c \}

    where c is the `coverage`, :math:`f_i` the fold of sample i, :math:`E_i` its score at its label by the model that
    was trained without that fold, and :math:`E^{(f)}(x, y)` the test sample's score by that model. For sets of classes,
    CV+ and the cross-conformal p-value (1 + #{E_i ≥ E(x, y)}) / (n + 1) > 1 - c are the same rule. With K = 1 both are
    `conformal_sets`.

    **Guarantee of "one"**, where the held-out samples of every fold are exchangeable with a test sample, given the
    model that was trained without that fold:

    .. math:: c \le P(y \in C(x)) \le c + \sum_f \frac{n_f / n}{n_f + 1} < c + K / n

    the upper bound where no two scores are equal, as for `conformal_sets`; the sum is 1 / (n/K + 1) for equal folds.
    The price is the draw: it decides about samples of which the models differ, a set need not hold the class that the
    mean of the models prefers, and fewer than c / (1 - c) samples in a fold put every class into the sets of its model.

    **Guarantee of "each"**, with K folds of n / K samples each, exchangeable samples, and a training that does not
    depend on the order of its samples:

    .. math:: P(y \in C(x)) \ge 2 c - 1 - \min\{ 2 (1 - 1/K) / (n/K + 1),\ (1 - K/n) / (K + 1) \}

    that is 1 - 2α for α = 1 - c, less at most √(2/n): 0.8 and not 0.9 for c = 0.9. In practice it is near c, or above
    it where the models disagree about samples, but no proof says so.

    With `class_conditional` the same holds in each class, with n of that class; of "each", where each class is spread
    evenly over the folds. The K models are those that `test` was predicted by: no bound says anything of their mean, or
    of a model that was refitted on all samples.

    Args:
        held_out: (n, classes) out-of-fold probabilities.
        labels: (n,) labels, from 0.
        folds: (n,) the fold of each sample, from 0 to K - 1: row of `test` by the model that did not see the sample.
        test: (K, samples, classes) probabilities of the same test samples by each model.
        coverage: c, as in `conformal_sets`; so are the others. One random number a test sample serves all models.
        models: "each" of them, which draws nothing, or "one" drawn at random for each test sample.
        score: "lac" or "aps".
        class_conditional: compare each class with the samples of that class only.
        allow_empty: False: where no class is in a set, the most probable one in the mean of the models is put there.
        randomised: of "aps".
        random_state: of the randomisation, and of the draw of models.

    Returns:
        (samples, classes) booleans.

    Raises:
        InputError: as `conformal_sets`, a fold that `test` does not have, or unknown `models`.

    Source: "each": Vovk 2015; Barber, Candès, Ramdas and Tibshirani 2021, theorem 4; Romano, Sesia and Candès 2020,
    algorithm 2. "one" follows from split conformal prediction, given the model that was drawn.

    Example:
        >>> held_out = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
        >>> test = np.array([[[0.85, 0.15]], [[0.75, 0.25]]])
        >>> cross_conformal_sets(held_out, np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), test, coverage=0.6)
        array([[ True, False]])
    """
    if models not in ("one", "each"):
        raise InputError(f"models must be 'one' or 'each', not {models!r}")
    known = _distributions(held_out, "held_out", 2)
    asked = _distributions(test, "test", 3)
    count, samples, classes = asked.shape
    if known.shape[1] != classes:
        raise InputError(f"held_out has {known.shape[1]} classes, but test has {classes}: they must be equal")
    target = _positions(labels, "labels", len(known), classes, "classes")
    fold = _positions(folds, "folds", len(known), count, "models in test")
    level = _level(coverage)
    generator = as_generator(random_state)
    drawn = randomised and score == "aps"
    known_uniform, uniform = (generator.random((size,)) if drawn else None for size in (len(known), samples))
    at_label = nonconformity(known, score, uniform=known_uniform)[np.arange(len(known)), target]
    below, held = np.zeros(asked.shape, np.int64), np.zeros((count, classes), np.int64)
    for model in range(count):
        scores = nonconformity(asked[model], score, uniform=uniform)
        for group in range(classes) if class_conditional else (slice(None),):
            own = at_label[(fold == model) & (target == group if class_conditional else True)]
            below[model][:, group] = np.searchsorted(np.sort(own), scores[:, group], side="left")
            held[model, group] = len(own)
    if models == "one" and count > 1 and len(fold):
        # The model of a held-out sample drawn at random: each with its share of these.
        of = fold[generator.integers(len(fold), size=samples)]
        sets = below[of, np.arange(samples)] < _ranks(held, level)[of]
    else:
        sets = below.sum(axis=0) < _ranks(held.sum(axis=0, keepdims=True), level)
    if not allow_empty:
        empty = ~sets.any(axis=1)
        sets[empty, asked.mean(axis=0)[empty].argmax(axis=1)] = True
    return np.asarray(sets)


def nonconformity(probability: Floats, score: Score = "lac", *, uniform: Floats | None = None) -> NDArray[np.float64]:
    r"""How little each class conforms to a prediction p, in [0, 1]; larger is less.

    "lac", least ambiguous sets (Sadinle, Lei and Wasserman 2019): :math:`E(y) = 1 - p_y`.

    "aps", adaptive sets (Romano, Sesia and Candès 2020): :math:`E(y) = \sum_{j \prec y} p_j + u\, p_y`, the
    mass of the classes before y in order of falling probability (equal ones: by position), and a share u of its own.

    Args:
        probability: (samples, classes).
        score: "lac" or "aps".
        uniform: of "aps", (samples,) u, drawn from [0, 1) for each sample, which leaves no equal scores but of classes
            whose probability is 0; None: u = 1, the mass down to and with y, not randomised.

    Returns:
        (samples, classes). For either score, and one threshold for all classes, a set is that of the k most probable
        classes for some k.

    Raises:
        InputError: an unknown score.

    Example:
        >>> nonconformity(np.array([[0.25, 0.75]]), "lac")
        array([[0.75, 0.25]])
        >>> nonconformity(np.array([[0.25, 0.75]]), "aps")
        array([[1.  , 0.75]])
        >>> nonconformity(np.array([[0.25, 0.75]]), "aps", uniform=np.array([0.5]))
        array([[0.875, 0.375]])
    """
    values = np.asarray(probability, np.float64)
    if score == "lac":
        return np.asarray(1 - values)
    if score != "aps":
        raise InputError(f"score must be 'lac' or 'aps', not {score!r}")
    order = np.argsort(-values, axis=1, kind="stable")
    falling = np.take_along_axis(values, order, axis=1)
    before = np.cumsum(falling, axis=1)
    before = np.concatenate([np.zeros_like(before[:, :1]), before[:, :-1]], axis=1)
    share = np.ones(len(values)) if uniform is None else np.asarray(uniform, np.float64)
    scores = np.empty_like(values)
    np.put_along_axis(scores, order, before + share[:, np.newaxis] * falling, axis=1)
    return scores


def unsure(sets: Sets, probability: Floats) -> NDArray[np.bool_]:
    """Which samples have another set than just their most probable class.

    Args:
        sets: (samples, classes) booleans.
        probability: (samples, classes).

    Example:
        >>> sets = np.array([[True, False], [True, True], [False, False], [True, False]])
        >>> unsure(sets, np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5], [0.4, 0.6]]))
        array([False,  True,  True,  True])
    """
    best = np.asarray(probability).argmax(axis=1)
    return np.asarray((sets.sum(axis=1) != 1) | ~sets[np.arange(len(sets)), best])


def needed_samples(coverage: float) -> int | None:
    """How many held-out samples a set with less than all classes takes: the least n of ceil((n + 1) c) ≤ n.

    Args:
        coverage: c, in [0, 1].

    Returns:
        n = ceil(c / (1 - c)); None for c = 1, where none are enough.

    Raises:
        InputError: `coverage` is not in [0, 1].

    Example:
        >>> needed_samples(0.9), needed_samples(0.99)
        (9, 99)
    """
    level = _level(coverage)
    return None if level == 1 else _ceil(level / (1 - level))


def coverage_interval(
    samples: int, test: int, coverage: float = 0.9, *, confidence: float = 0.95
) -> tuple[float, float]:
    r"""Where the share of test samples whose set holds their label lies, calibrated by n fresh samples.

    Both are drawn: with k = ⌈(n + 1) c⌉ the m test samples are covered :math:`BetaBinomial(m; k, n + 1 - k)` times.
    Exact for `conformal_sets` where all samples are exchangeable and no two scores are equal. Of `cross_conformal_sets`
    by one model the rank is that of each fold, and by each model less is promised: its coverage may lie on either side.

    Args:
        samples: n, those that calibrated, at least 0.
        test: m, at least 1.
        coverage: c, in [0, 1].
        confidence: how much of the law the interval holds, at least, with at most half of the rest on each side; in
            (0, 1).

    Returns:
        The lowest and the highest share; (1, 1) where every class is in every set, (0, 0) where none is.

    Raises:
        InputError: an argument is out of range.

    Source: Vovk 2012, for fixed calibration samples: a draw from Beta(k, n + 1 - k); Angelopoulos and Bates 2023.

    Example:
        >>> coverage_interval(99, 200)
        (0.82, 0.96)
    """
    check_value("samples", samples, NonNegativeInt)
    check_value("test", test, PositiveInt)
    check_value("confidence", confidence, Annotated[float, Range(gt=0, lt=1)])
    rank = _rank(int(samples), _level(coverage))
    if rank > samples or rank == 0:
        return (0.0, 0.0) if rank == 0 else (1.0, 1.0)
    law = betabinom(int(test), rank, int(samples) + 1 - rank)
    tail = (1 - float(confidence)) / 2
    return float(law.ppf(tail)) / int(test), float(law.ppf(1 - tail)) / int(test)


def as_generator(random_state: RandomState) -> np.random.Generator:
    """A generator of random numbers from a seed, itself, or a fresh seed (None).

    Raises:
        InputError: it is something else.

    Example:
        >>> float(as_generator(0).random()) == float(as_generator(np.random.default_rng(0)).random())
        True
    """
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError):
        raise InputError(
            f"random_state must be a whole number of at least 0, a numpy Generator or None, not {random_state!r}"
        ) from None


def _rank(samples: int, level: Fraction) -> int:
    """k = ceil((n + 1) c): a class is in the set where fewer than k held-out scores are below its own."""
    return _ceil((samples + 1) * level)


def _ranks(samples: NDArray[np.int64], level: Fraction) -> NDArray[np.int64]:
    return np.array([[_rank(int(count), level) for count in row] for row in samples])


def _ceil(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)


def _level(coverage: Any) -> Fraction:
    """The coverage as an exact number: of floats, 10 * 0.9 may be 9 or above it, a whole rank apart."""
    if isinstance(coverage, (bool, np.bool_)) or not isinstance(coverage, Real) or not 0 <= float(coverage) <= 1:
        raise InputError(f"coverage must be a number in [0, 1], such as 0.9, not {coverage!r}")
    return Fraction(str(float(coverage)))


def _distributions(given: Any, name: str, dimensions: int) -> NDArray[np.float64]:
    """Probabilities as float64, checked."""
    values = np.asarray(given, np.float64)
    shape = {2: "(samples, classes)", 3: "(models, samples, classes)"}[dimensions]
    if values.ndim != dimensions or not values.shape[-1] or (dimensions == 3 and not len(values)):
        raise InputError(f"{name} must hold probabilities {shape}, not an array of shape {values.shape}")
    # What is not finite fails both comparisons.
    right = (values >= 0).all(axis=-1) & (np.abs(values.sum(axis=-1) - 1) < 1e-3)
    if not right.all():
        place = tuple(int(position) for position in np.argwhere(~right)[0])
        raise InputError(f"{name} must hold probabilities that sum to 1 over the classes, but row {place[-1]} does not")
    return values


def _positions(given: Any, name: str, length: int, limit: int, of_what: str) -> NDArray[np.int64]:
    """Whole numbers from 0 to `limit` - 1, one a held-out sample, checked."""
    values = np.asarray(given)
    if values.shape != (length,):
        raise InputError(f"{name} has shape {values.shape}, but held_out has {length} samples")
    if length == 0:
        return np.zeros(0, np.int64)
    if not np.issubdtype(values.dtype, np.integer) or values.min() < 0 or values.max() >= limit:
        raise InputError(f"{name} must be whole numbers from 0, below the number of {of_what} ({limit})")
    return values.astype(np.int64)
