"""Sets of the classifier: what they are calibrated on, missing views, coverage, abstention, saved models."""

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats
from tests.refusals import refuses

from limbeck import MultiViewClassifier
from limbeck.multiview.conformal import Models, conformal_sets

TINY: dict[str, Any] = {
    "encoder": (16, 8),
    "representation": 4,
    "epochs": 5,
    "batch_size": 32,
    "learning_rate": 1e-2,
    "dropout": 0.0,
}
NAN = np.nan
MEANS = np.random.default_rng(99).normal(size=(3, 4, 5))  # views, classes, features


def _draw(seed: int, samples: int, noise: float = 1.8) -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, samples)
    return [(mean[y] + noise * rng.normal(size=(samples, 5))).astype(np.float32) for mean in MEANS], y


def _hide(views: list[np.ndarray], seed: int, share: float = 0.5) -> list[np.ndarray]:
    """Each sample of a share lacks one random view."""
    rng = np.random.default_rng(seed)
    lacks = np.where(rng.random(len(views[0])) < share, rng.integers(0, 3, len(views[0])), -1)
    return [np.where((lacks == position)[:, None], NAN, view) for position, view in enumerate(views)]


X, Y = _draw(0, 300)
NEW, NEW_Y = _draw(1, 400)
CALIBRATION = _draw(2, 250)


@pytest.fixture(scope="module")
def model() -> MultiViewClassifier:
    return MultiViewClassifier(**TINY, validation_fraction=0.4).fit(X, Y)


# -- what sets are calibrated on --------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", ["lac", "aps"])
def test_sets_are_those_of_split_conformal_prediction_on_the_validation_set(score: Any) -> None:
    held_out, labels = CALIBRATION
    model = MultiViewClassifier(**TINY).fit(X, Y, validation=CALIBRATION)
    expected = conformal_sets(
        model.predict_proba(held_out), labels, model.predict_proba(NEW), 0.8, score=score, random_state=0
    )
    assert 0.2 < expected.mean() < 0.8
    sets = model.predict_set(NEW, 0.8, score=score, random_state=0)
    assert (sets == expected).mean() > 0.999  # logits are sums in another order
    np.testing.assert_array_equal(
        model.predict_set(NEW, 0.8, score=score, random_state=0, calibration=CALIBRATION), expected
    )


@pytest.mark.parametrize("missing", [(0,), (1,), (0, 2)])
def test_views_that_are_missing_are_hidden_from_the_held_out_samples(missing: tuple[int, ...]) -> None:
    """Also where held-out samples lack some themselves: only those that have all views of the pattern count."""
    held_out, labels = _hide(CALIBRATION[0], 3), CALIBRATION[1]
    model = MultiViewClassifier(**TINY).fit(X, Y, validation=(held_out, labels))
    left = [position for position in range(3) if position not in missing]
    usable = np.all([~np.isnan(held_out[position][:, 0]) for position in left], axis=0)
    assert 100 < usable.sum() < 250
    hidden = [held_out[position][usable] if position in left else None for position in range(3)]
    asked = [NEW[position] if position in left else None for position in range(3)]
    expected = conformal_sets(model.predict_proba(hidden), labels[usable], model.predict_proba(asked), 0.7)
    assert (model.predict_set(asked, 0.7) == expected).mean() > 0.999
    np.testing.assert_array_equal(model.predict_set(asked, 0.7, calibration=(held_out, labels)), expected)


def test_the_kept_terms_give_the_probabilities_of_the_network(model: MultiViewClassifier) -> None:
    fitted = MultiViewClassifier(**TINY).fit(X, Y, validation=CALIBRATION)
    for pattern in ([True, True, True], [True, False, True], [False, False, True]):
        given = [view if has else None for view, has in zip(CALIBRATION[0], pattern, strict=True)]
        found, labels = fitted._answers.held_out_probabilities(np.array(pattern))
        np.testing.assert_allclose(found, fitted.predict_proba(given), atol=1e-5)
        np.testing.assert_array_equal(labels, CALIBRATION[1])


def test_a_samples_set_does_not_depend_on_the_samples_beside_it(model: MultiViewClassifier) -> None:
    mixed = _hide(NEW, 4)
    sets = model.predict_set(mixed)
    for row in (0, 1, 2, 3, 4, 5):
        np.testing.assert_array_equal(model.predict_set([view[row : row + 1] for view in mixed])[0], sets[row])


def test_a_view_that_nobody_had_changes_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = MultiViewClassifier(**TINY, validation_fraction=0.4).fit([X[0], None, X[2]], Y)
    np.testing.assert_array_equal(model.predict_set(NEW), model.predict_set([NEW[0], None, NEW[2]]))
    np.testing.assert_array_equal(
        model.predict_set(NEW, calibration=CALIBRATION),
        model.predict_set([NEW[0], None, NEW[2]], calibration=CALIBRATION),
    )


def test_sparse_views_and_labels_of_any_kind_will_do() -> None:
    names = np.array(["ant", "bee", "cat", "dog"])
    model = MultiViewClassifier(**TINY, validation_fraction=0.4).fit([sp.csr_array(X[0]), X[1], X[2]], names[Y])
    sets = model.predict_set([None, NEW[1], NEW[2]], calibration=(CALIBRATION[0], names[CALIBRATION[1]]))
    assert sets.shape == (400, 4)
    assert 0.8 < sets[np.arange(400), np.searchsorted(model.classes_, names[NEW_Y])].mean() < 0.98


# -- coverage ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("score", ["lac", "aps"])
def test_coverage_is_what_is_stated_for_every_pattern_of_missing_views(score: Any) -> None:
    """Of one model, over fresh calibration samples of which half are incomplete: the mean is k / (n + 1)."""
    model = MultiViewClassifier(**TINY).fit(_hide(X, 5), Y)
    covered: dict[str, list[float]] = {}
    asked, repetitions = 200, 40
    for repetition in range(repetitions):
        held_out, labels = _draw(1000 + 2 * repetition, 120)
        test, truth = _draw(1001 + 2 * repetition, asked)
        for name, left in {"all": (0, 1, 2), "without 0": (1, 2), "without 2": (0, 1), "only 1": (1,)}.items():
            shown = [test[position] if position in left else None for position in range(3)]
            sets = model.predict_set(
                shown, 0.9, score=score, calibration=(_hide(held_out, repetition), labels), random_state=repetition
            )
            covered.setdefault(name, []).append(sets[np.arange(asked), truth].mean())
    for name, shares in covered.items():
        error = np.std(shares, ddof=1) / np.sqrt(repetitions)
        assert abs(np.mean(shares) - 0.905) < 4 * error + 0.005, name  # k / (n + 1) is between 0.9 and 0.91
        assert error < 0.01


@pytest.mark.slow
def test_coverage_holds_by_the_models_own_held_out_samples_within_their_interval() -> None:
    """They also chose the epoch and the temperature: with 300 of them nothing is to be seen of it."""
    views, labels = _draw(7, 1000)
    model = MultiViewClassifier(**TINY, validation_fraction=0.3).fit(views, labels)
    test, truth = _draw(8, 2000)
    count = len(model._answers.held_out_probabilities(np.ones(3, bool))[1])
    rank = int(np.ceil((count + 1) * 0.9))
    for missing in (None, 0, 1, 2):
        shown = [None if position == missing else view for position, view in enumerate(test)]
        for options in ({"score": "lac"}, {"score": "aps", "random_state": 0}):
            covered = int(model.predict_set(shown, 0.9, **options)[np.arange(2000), truth].sum())
            law = stats.betabinom(2000, rank, count + 1 - rank)
            assert law.ppf(0.001) <= covered <= law.ppf(0.999)


@pytest.mark.slow
def test_every_class_is_covered_on_request() -> None:
    views, labels = _draw(9, 1200)
    model = MultiViewClassifier(**TINY, validation_fraction=0.5).fit(views, labels)
    test, truth = _draw(10, 4000)
    sets = model.predict_set([test[0], None, test[2]], 0.9, class_conditional=True)
    for group in range(4):
        assert 0.84 < sets[truth == group, group].mean() < 0.96  # about 150 held-out samples: deviation 0.024


# -- abstention -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("score", ["lac", "aps"])
def test_inner_folds_cover_what_is_stated_by_one_model_and_more_by_each(score: Any) -> None:
    """Few samples and many classes: the three networks disagree. 80 are held out of each: k / (n + 1) is 73 / 81."""
    covered: dict[Models, list[float]] = {"one": [], "each": []}
    for world in range(8):
        rng = np.random.default_rng(100 + world)
        centres = rng.normal(size=(3, 12, 5))
        y = rng.permutation(np.arange(1500) % 12)
        views = [(centre[y] + 1.3 * rng.normal(size=(1500, 5))).astype(np.float32) for centre in centres]
        model = MultiViewClassifier(**TINY).fit([view[:240] for view in views], y[:240])
        for models, shares in covered.items():
            sets = model.predict_set(
                [view[240:] for view in views], 0.9, models=models, score=score, random_state=world
            )
            shares.append(float(sets[np.arange(1260), y[240:]].mean()))
    error = np.std(covered["one"], ddof=1) / np.sqrt(8)
    assert abs(np.mean(covered["one"]) - 73 / 81) < 3 * error + 0.01
    assert np.mean(covered["each"]) > np.mean(covered["one"])


def test_abstention_is_any_set_but_of_one_class(model: MultiViewClassifier) -> None:
    for options in ({}, {"allow_empty": False}, {"score": "aps", "random_state": 0}):
        sets = model.predict_set(NEW, 0.7, **options)
        sole = (sets.sum(axis=1) == 1) & sets[np.arange(400), model.predict_proba(NEW).argmax(axis=1)]
        np.testing.assert_array_equal(model.abstain(NEW, 0.7, **options), ~sole)
    answered = ~model.abstain(NEW)
    assert 0 < answered.sum() < 400
    sole = model.predict_set(NEW)[answered].argmax(axis=1)
    np.testing.assert_array_equal(model.classes_[sole], model.predict(NEW)[answered])
    assert (model.predict(NEW) != NEW_Y)[answered].sum() / 400 < 0.15


def test_no_set_is_empty_on_request(model: MultiViewClassifier) -> None:
    sets = model.predict_set(NEW, 0.3)
    filled = model.predict_set(NEW, 0.3, allow_empty=False)
    empty = ~sets.any(axis=1)
    assert empty.any()
    np.testing.assert_array_equal(model.classes_[filled[empty].argmax(axis=1)], model.predict(NEW)[empty])
    np.testing.assert_array_equal(filled[~empty], sets[~empty])


# -- saved models and errors ------------------------------------------------------------------------------------------


def test_a_loaded_or_copied_model_answers_alike(model: MultiViewClassifier, tmp_path: Path) -> None:
    model.save(tmp_path / "m")
    for other in (MultiViewClassifier.load(tmp_path / "m"), copy.deepcopy(model)):
        for given in (NEW, [NEW[0], None, NEW[2]]):
            np.testing.assert_array_equal(other.predict_set(given), model.predict_set(given))


def test_nothing_held_out_is_one_clear_line_also_when_loaded(tmp_path: Path) -> None:
    model = MultiViewClassifier(**TINY, validation_fraction=0).fit(X, Y)
    model.save(tmp_path / "m")
    for either in (model, MultiViewClassifier.load(tmp_path / "m")):
        refuses(lambda either=either: either.predict_set(NEW), "validation_fraction", "calibration")
        sets = either.predict_set(NEW, calibration=CALIBRATION)
        assert 0.8 < sets[np.arange(400), NEW_Y].mean() < 0.97


def test_a_second_fit_without_held_out_samples_keeps_none_of_the_first() -> None:
    model = MultiViewClassifier(**TINY).fit(X, Y).set_params(validation_fraction=0).fit(X, Y)
    refuses(lambda: model.predict_set(NEW), "validation_fraction")


@pytest.mark.parametrize(
    ("coverage", "options", "parts"),
    [
        (0.9, {"validation_fraction": 0.02}, ("every class", "0, 1, 2", "9 held-out samples", "there are 5")),
        (0.999, {"validation_fraction": 0.4}, ("every class", "999 held-out samples")),
    ],
)
def test_too_few_held_out_samples_are_all_classes_and_a_warning(
    coverage: float, options: dict[str, Any], parts: tuple[str, ...]
) -> None:
    given = {str(position): view for position, view in enumerate(X)}
    model = MultiViewClassifier(**TINY, **options).fit(given, Y)
    with pytest.warns(UserWarning, match=parts[0]) as caught:
        assert model.predict_set(dict(zip(given, NEW, strict=True)), coverage).all()
    for part in parts:
        assert part in str(caught[0].message)


def test_a_pattern_that_no_held_out_sample_has_is_all_classes_and_a_warning() -> None:
    held_out = [CALIBRATION[0][0], np.full_like(CALIBRATION[0][1], NAN), CALIBRATION[0][2]]
    model = MultiViewClassifier(**TINY).fit(X, Y, validation=(held_out, CALIBRATION[1]))
    for calibration in (None, (held_out, CALIBRATION[1])):
        with pytest.warns(UserWarning, match="there are 0"):
            assert model.predict_set(NEW, calibration=calibration).all()
        sets = model.predict_set([NEW[0], None, NEW[2]], calibration=calibration)
        assert 0.8 < sets[np.arange(400), NEW_Y].mean() < 0.98


def test_too_few_samples_of_a_class_are_told_with_its_name(model: MultiViewClassifier) -> None:
    few = np.flatnonzero((Y != 2) | (np.cumsum(Y == 2) < 4))
    with pytest.warns(UserWarning, match=r"class .*2.* 9 held-out samples of each class, and there are 3"):
        sets = model.predict_set(NEW, calibration=([view[few] for view in X], Y[few]), class_conditional=True)
    assert sets[:, 2].all()
    assert not sets.all()


@pytest.mark.filterwarnings("error")
def test_all_classes_on_request_are_no_warning(model: MultiViewClassifier) -> None:
    assert model.predict_set(NEW, 1).all()
    assert not model.predict_set(NEW, 0).any()


def test_bad_arguments_are_named_in_one_line(model: MultiViewClassifier) -> None:
    refuses(lambda: model.predict_set(NEW, 90), "coverage", "90")
    refuses(lambda: model.predict_set(NEW, score="raps"), "score")  # type: ignore[arg-type]
    refuses(lambda: model.predict_set(NEW, random_state="x"), "random_state")  # type: ignore[arg-type]
    refuses(lambda: model.predict_set(NEW, calibration=X), "calibration", "pair")  # type: ignore[arg-type]
    refuses(lambda: model.predict_set(NEW, calibration=(X, Y[:3])), "3 labels")
    refuses(lambda: model.predict_set(NEW, calibration=(X, Y + 5)), "not there when fitting")
