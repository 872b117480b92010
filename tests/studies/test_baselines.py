"""Baselines: better than chance, tuned on the validation split alone, blind to the test split."""

from dataclasses import asdict
from typing import get_args

import numpy as np
import pytest
import scipy.sparse as sp

from limbeck.errors import InputError
from limbeck.multiview.training import Fold
from limbeck.multiview.views import Views, read_views
from limbeck.studies.baselines import BaselineName, BaselineResult, run_baseline

NAMES = get_args(BaselineName)
SAMPLES = 240
TRAIN, VALIDATION, TEST = np.arange(140), np.arange(140, 190), np.arange(190, SAMPLES)
FOLD = Fold(TRAIN, VALIDATION)


def _problem(classes: int = 3) -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(SAMPLES) % classes
    views = [
        (np.eye(classes)[y] @ rng.normal(size=(classes, width)) + 0.6 * rng.normal(size=(SAMPLES, width)))
        for width in (4, 5)
    ]
    return views, y


def _run(name: BaselineName, views: Views, y: np.ndarray, fold: Fold = FOLD) -> BaselineResult:
    return run_baseline(name, views, y, fold, TEST, classes=int(y.max()) + 1, seed=0)


def _accuracy(probability: np.ndarray, y: np.ndarray) -> float:
    return float((probability.argmax(axis=1) == y[TEST]).mean())


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_a_baseline_beats_chance_with_probabilities_that_sum_to_one(name: BaselineName, classes: int) -> None:
    views, y = _problem(classes)
    result = _run(name, read_views(views), y)
    assert result.probability.shape == (len(TEST), classes)
    np.testing.assert_allclose(result.probability.sum(axis=1), 1)
    assert _accuracy(result.probability, y) > 0.8
    assert result.seconds > 0
    assert result.chosen


@pytest.mark.parametrize("name", NAMES)
def test_without_has_a_prediction_a_view_that_knows_less(name: BaselineName) -> None:
    views, y = _problem()
    views[1] = np.random.default_rng(1).normal(size=views[1].shape)
    result = _run(name, read_views(views), y)
    assert [p.shape for p in result.without] == [(len(TEST), 3)] * 2
    assert _accuracy(result.without[0], y) < 0.6
    assert _accuracy(result.without[1], y) > 0.6


@pytest.mark.parametrize("name", NAMES)
def test_test_samples_choose_nothing(name: BaselineName) -> None:
    views, y = _problem()
    before = _run(name, read_views(views), y)
    permuted = y.copy()
    permuted[TEST] = (y[TEST] + 1) % 3
    changed = [view.copy() for view in views]
    for view in changed:
        view[TEST[1:]] = 1e3
    after = _run(name, read_views(changed), permuted)
    assert after.chosen == before.chosen
    np.testing.assert_array_equal(after.probability[0], before.probability[0])


def test_the_validation_split_chooses() -> None:
    views, y = _problem()
    flipped = y.copy()
    flipped[VALIDATION] = np.random.default_rng(0).permutation(y[VALIDATION])
    chosen = [_run("svm", read_views(views), labels).chosen for labels in (y, flipped)]
    assert chosen[0] != chosen[1]


@pytest.mark.parametrize("name", NAMES)
def test_features_are_standardised_on_the_training_split(name: BaselineName) -> None:
    views, y = _problem()
    shifted = [view * 100 + 7 for view in views]
    first, second = (_run(name, read_views(given), y) for given in (views, shifted))
    np.testing.assert_allclose(first.probability, second.probability, atol=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_missing_rows_and_constant_columns_are_no_trouble(name: BaselineName) -> None:
    views, y = _problem()
    views[0][::3] = np.nan
    views[1][:, 0] = 5.0
    result = _run(name, read_views(views), y)
    assert np.isfinite(result.probability).all()
    assert _accuracy(result.probability, y) > 0.6


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("name", NAMES)
def test_a_view_that_no_training_sample_has_is_no_trouble(name: BaselineName) -> None:
    views, y = _problem()
    views[0][TRAIN] = np.nan
    result = _run(name, read_views(views), y)
    assert np.isfinite(result.probability).all()
    assert _accuracy(result.probability, y) > 0.6


def test_sparse_views_give_what_dense_ones_give() -> None:
    views, y = _problem()
    sparse = [sp.csr_array(np.where(np.abs(view) > 0.3, view, 0)) for view in views]
    first, second = (_run("logistic", read_views(given), y) for given in (sparse, [v.toarray() for v in sparse]))
    np.testing.assert_allclose(first.probability, second.probability, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_validation_split_is_no_trouble(name: BaselineName) -> None:
    views, y = _problem()
    result = _run(name, read_views(views), y, Fold(TRAIN, np.array([], np.int64)))
    assert _accuracy(result.probability, y) > 0.7


@pytest.mark.parametrize("name", NAMES)
def test_a_class_that_training_lacks_gets_no_probability(name: BaselineName) -> None:
    views, y = _problem()
    labels = y.copy()
    labels[VALIDATION[:2]] = 3
    result = _run(name, read_views(views), labels)
    assert result.probability.shape[1] == 4
    assert result.probability[:, 3].max() < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_result(name: BaselineName) -> None:
    views, y = _problem()
    first, second = (asdict(_run(name, read_views(views), y)) for _ in range(2))
    np.testing.assert_array_equal(first["probability"], second["probability"])


def test_an_unknown_baseline_is_named() -> None:
    views, y = _problem()
    with pytest.raises(InputError, match="'oracle'"):
        _run("oracle", read_views(views), y)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error")
def test_a_cell_far_outside_is_measured_beyond_float32() -> None:
    views, y = _problem()
    views[0][3, 1] = 1e30
    assert _accuracy(_run("logistic", read_views(views), y).probability, y) > 0.6
