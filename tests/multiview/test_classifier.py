"""The classifier: scikit-learn's manners, every form of views, missing views, weights, the contributions."""

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from tests.refusals import refuses

from limbeck import MultiViewClassifier
from limbeck.errors import InputError
from limbeck.multiview.conformance import EXPECTED_FAILED_CHECKS
from limbeck.multiview.evaluation import cross_entropy_nats
from limbeck.multiview.samples import hold_out

TINY: dict[str, Any] = {
    "encoder": (16, 8),
    "representation": 4,
    "epochs": 6,
    "batch_size": 16,
    "learning_rate": 1e-2,
    "dropout": 0.0,
}
SAMPLES = 150
NAN = np.nan


def _model(**options: Any) -> MultiViewClassifier:
    return MultiViewClassifier(**(TINY | options))


def _problem(seed: int = 0, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two views that both say most of the label, and the label as a number."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, SAMPLES)
    left = np.eye(3)[y] @ rng.normal(size=(3, 4)) + noise * rng.normal(size=(SAMPLES, 4))
    right = np.eye(3)[y] @ rng.normal(size=(3, 5)) + noise * rng.normal(size=(SAMPLES, 5))
    return left.astype(np.float32), right.astype(np.float32), y


LEFT, RIGHT, Y = _problem()
BOTH = np.hstack([LEFT, RIGHT])
FRAME = pd.DataFrame(BOTH, columns=list("abcdefghi"))


# -- scikit-learn's own checks ----------------------------------------------------------------------------------------


@pytest.mark.slow
@parametrize_with_checks(
    [_model(epochs=15, milestones=(12,))],
    expected_failed_checks=lambda estimator: EXPECTED_FAILED_CHECKS if estimator else {},
)
def test_scikit_learn_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        check(estimator)


def test_expected_failures_are_checks_of_scikit_learn_with_a_reason() -> None:
    from sklearn.utils import estimator_checks

    for name, reason in EXPECTED_FAILED_CHECKS.items():
        assert hasattr(estimator_checks, name)
        assert len(reason) > 20


@pytest.mark.parametrize(
    "check",
    [
        "check_transformer_get_feature_names_out",
        "check_transformer_get_feature_names_out_pandas",
        "check_set_output_transform",
        "check_set_output_transform_pandas",
    ],
)
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scikit_learn_checks_of_names_and_containers(check: str) -> None:
    from sklearn.utils import estimator_checks

    getattr(estimator_checks, check)("MultiViewClassifier", _model(epochs=1))


def test_representations_have_names_and_rows_keep_their_labels() -> None:
    index = pd.Index([f"p{number}" for number in range(SAMPLES)])
    frames = {"l": FRAME[list("abcd")].set_axis(index), "r": FRAME[list("efghi")].set_axis(index)}
    model = _model(epochs=1).fit(frames, Y)
    expected = model.transform(frames)
    names = [f"{view}_{number}" for view in "lr" for number in range(4)]
    assert list(model.get_feature_names_out()) == names
    table = model.set_output(transform="pandas").transform({"r": frames["r"][::-1], "l": frames["l"]})
    assert list(table.columns) == names
    assert list(table.index) == list(index[::-1])
    np.testing.assert_allclose(table.loc[index], expected, atol=1e-6)


def test_without_a_bottleneck_names_count_the_observations() -> None:
    model = _model(epochs=1, objective="none", bottleneck=False).fit([LEFT, RIGHT], Y)
    assert len(model.get_feature_names_out()) == model.transform([LEFT, RIGHT]).shape[1] == 16


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.stack([Y, Y], axis=1), "several labels a sample"),
        ([[1], [1, 2]] * (SAMPLES // 2), "several labels a sample"),
        (np.eye(3, dtype=int)[Y], "several labels a sample"),
        (np.linspace(0, 1, SAMPLES), "measurements"),
        (pd.Series(np.linspace(0, 1, SAMPLES)), "measurements"),
    ],
)
def test_targets_of_multi_label_and_regression_are_refused_in_one_line(y: Any, words: str) -> None:
    refuses(lambda: _model().fit([LEFT, RIGHT], y), words, "classification only", "one class a sample")


def test_cross_val_score_on_one_matrix_with_column_groups() -> None:
    scores = cross_val_score(_model(view_columns=(4, 5)), BOTH, Y, cv=3)
    assert scores.min() > 0.7


@pytest.mark.slow
def test_cross_val_score_on_a_sparse_matrix_and_in_processes() -> None:
    model = _model(view_columns={"l": slice(0, 4), "r": slice(4, 9)})
    scores = cross_val_score(model, sp.csr_array(BOTH), Y, cv=3, n_jobs=2)
    assert scores.min() > 0.7


@pytest.mark.slow
def test_grid_search_over_the_recipe() -> None:
    grid = {"distillation_weight": [0.0, 2.0], "encoder": [(8,), (16, 8)]}
    search = GridSearchCV(_model(view_columns=(4, 5), epochs=3), grid, cv=2).fit(BOTH, Y)
    assert set(search.best_params_) == set(grid)
    assert search.best_estimator_.recipe_.encoder == search.best_params_["encoder"]


@pytest.mark.slow
def test_grid_search_over_numpy_values() -> None:
    grid = {"random_state": np.arange(2), "representation": np.array([2, 4]), "dropout": np.array([0.0, 0.1])}
    search = GridSearchCV(_model(view_columns=(4, 5), epochs=1), grid, cv=2, error_score="raise").fit(BOTH, Y)
    assert search.best_score_ > 0


def test_a_pipeline_scales_then_classifies_and_transforms() -> None:
    pipeline = make_pipeline(StandardScaler(), _model(view_columns=(4, 5), scaling="none")).fit(BOTH, Y)
    assert pipeline.score(BOTH, Y) > 0.8
    assert pipeline.transform(BOTH).shape == (SAMPLES, 8)


def test_clone_and_parameters_round_trip() -> None:
    model = _model(view_columns={"l": [0, 1]}, class_weight={0: 2.0}, random_state=7)
    copied = clone(model)
    assert copied.get_params() == model.get_params()
    assert copied.set_params(epochs=9).epochs == 9
    assert not hasattr(clone(_model().fit([LEFT, RIGHT], Y)), "network_")


def test_fitting_does_not_change_the_parameters() -> None:
    model = _model(encoder=[16, 8], view_columns=[4, 5])
    before = copy.deepcopy(model.get_params())
    model.fit(BOTH, Y)
    assert model.get_params() == before


def test_a_fitted_model_can_be_copied_and_pickled() -> None:
    model = _model().fit([LEFT, RIGHT], Y)
    expected = model.predict_proba([LEFT, RIGHT])
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301 - our own bytes
        np.testing.assert_array_equal(other.predict_proba([LEFT, RIGHT]), expected)


# -- forms of input ---------------------------------------------------------------------------------------------------

FORMS: dict[str, tuple[Any, Any]] = {
    "list": ([LEFT, RIGHT], None),
    "dict": ({"l": LEFT, "r": RIGHT}, None),
    "matrix": (BOTH, (4, 5)),
    "slices": (BOTH, {"l": slice(0, 4), "r": slice(4, 9)}),
    "frame": (FRAME, (4, 5)),
    "frame names": (FRAME, {"l": list("abcd"), "r": list("efghi")}),
    "frames": ([FRAME[list("abcd")], FRAME[list("efghi")]], None),
}
SPARSE_FORMS: dict[str, tuple[Any, Any]] = {
    "list": ([sp.csr_array(LEFT), sp.csr_array(RIGHT)], None),
    "dict": ({"l": sp.csc_array(LEFT), "r": sp.coo_array(RIGHT)}, None),
    "matrix": (sp.csr_array(BOTH), (4, 5)),
    "old matrix": (sp.csr_matrix(BOTH), (4, 5)),
}


@pytest.mark.slow
@pytest.mark.parametrize("forms", [FORMS, SPARSE_FORMS], ids=["dense", "sparse"])
def test_every_form_of_the_same_views_gives_the_same_predictions(forms: dict[str, tuple[Any, Any]]) -> None:
    expected = None
    for form, (given, columns) in forms.items():
        proba = _model(view_columns=columns).fit(given, Y).predict_proba(given)
        expected = proba if expected is None else expected
        np.testing.assert_allclose(proba, expected, rtol=1e-9, err_msg=form)  # products round by where arrays lie


def test_sparse_views_equal_dense_ones_without_scaling() -> None:
    options = {"scaling": "none", "learning_rate": 1e-3, "kernel_path": False}
    options["linear_path"] = False  # these scale the two differently
    dense = _model(**options).fit([LEFT, RIGHT], Y).predict_proba([LEFT, RIGHT])
    sparse_views = [sp.csr_array(LEFT), sp.csr_array(RIGHT)]
    sparse = _model(**options).fit(sparse_views, Y).predict_proba(sparse_views)
    np.testing.assert_allclose(sparse, dense, atol=5e-3)


def test_a_model_reads_sparse_and_dense_alike_at_prediction() -> None:
    model = _model().fit([sp.csr_array(LEFT), RIGHT], Y)
    np.testing.assert_allclose(
        model.predict_proba([LEFT, sp.csr_array(RIGHT)]), model.predict_proba([sp.csr_array(LEFT), RIGHT]), atol=1e-6
    )


@pytest.mark.parametrize("labels", [np.array(["ant", "bee", "cat"]), np.array([10, -3, 7]), np.array([2.0, 0.0, 1.0])])
def test_labels_of_any_kind_come_back(labels: np.ndarray) -> None:
    model = _model().fit([LEFT, RIGHT], labels[Y])
    np.testing.assert_array_equal(model.classes_, np.sort(labels))
    predicted = model.predict([LEFT, RIGHT])
    assert predicted.dtype == labels.dtype
    assert (predicted == labels[Y]).mean() == model.score([LEFT, RIGHT], labels[Y]) > 0.8


@pytest.mark.parametrize("make", [list, pd.Series, lambda y: pd.Series(y, index=np.arange(len(y))[::-1])])
def test_string_labels_may_be_a_list_or_a_series(make: Callable[[Any], Any]) -> None:
    names = np.array(["ant", "bee", "cat"])[Y]
    model = _model().fit([LEFT, RIGHT], make(names))
    assert list(model.classes_) == ["ant", "bee", "cat"]
    assert model.score([LEFT, RIGHT], make(names)) > 0.8


def test_boolean_labels_come_back() -> None:
    assert _model().fit([LEFT, RIGHT], Y > 0).predict([LEFT, RIGHT]).dtype == bool


def test_probabilities_sum_to_one_and_order_predictions() -> None:
    model = _model().fit([LEFT, RIGHT], Y)
    proba = model.predict_proba([LEFT, RIGHT])
    assert proba.shape == (SAMPLES, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_array_equal(model.classes_[proba.argmax(axis=1)], model.predict([LEFT, RIGHT]))


def test_one_view_is_enough() -> None:
    model = _model().fit([LEFT], Y)
    assert model.score([LEFT], Y) > 0.7
    (row,) = model.view_contributions_
    assert row.alone > 0.6
    assert np.isfinite(row.unique_nats)


def test_same_seed_same_model_and_another_seed_another() -> None:
    first, second, third = (
        _model(dropout=0.3, random_state=seed).fit([LEFT, RIGHT], Y).predict_proba([LEFT, RIGHT]) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, third)


# -- missing views ----------------------------------------------------------------------------------------------------


def test_a_view_missing_for_all_at_prediction_is_none_nan_or_left_out() -> None:
    model = _model().fit({"l": LEFT, "r": RIGHT}, Y)
    expected = model.predict_proba({"l": LEFT})
    assert (expected.argmax(axis=1) == Y).mean() > 0.6
    np.testing.assert_array_equal(model.predict_proba([LEFT, None]), expected)
    np.testing.assert_array_equal(model.predict_proba({"l": LEFT, "r": np.full_like(RIGHT, NAN)}), expected)
    assert not np.allclose(model.predict_proba({"l": LEFT, "r": np.zeros_like(RIGHT)}), expected)


def test_a_sample_is_predicted_from_what_it_has() -> None:
    model = _model().fit([LEFT, RIGHT], Y)
    left = LEFT.copy()
    left[::2] = NAN
    proba = model.predict_proba([left, RIGHT])
    np.testing.assert_allclose(proba[::2], model.predict_proba([None, RIGHT])[::2], atol=1e-6)
    np.testing.assert_allclose(proba[1::2], model.predict_proba([LEFT, RIGHT])[1::2], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("make", [np.array, sp.csr_array])
def test_rows_missing_at_fit_are_learned_around(make: Callable[[Any], Any]) -> None:
    left, right = LEFT.copy(), RIGHT.copy()
    left[:60] = NAN
    right[60:100] = NAN
    model = _model(epochs=12).fit([make(left), make(right)], Y)
    assert model.score([make(left), make(right)], Y) > 0.7


@pytest.mark.filterwarnings("ignore:.*missing for every sample")
def test_a_view_missing_for_all_at_fit_changes_nothing_later() -> None:
    model = _model().fit([LEFT, None], Y)
    expected = model.predict_proba([LEFT, None])
    np.testing.assert_array_equal(model.predict_proba([LEFT, RIGHT]), expected)
    np.testing.assert_array_equal(expected, _model().fit([LEFT], Y).predict_proba([LEFT]))
    assert [row.view for row in model.view_contributions_] == ["view_0"]
    assert model.transform([LEFT, RIGHT]).shape == (SAMPLES, 4)
    refuses(lambda: model.predict([None, RIGHT]), "sample 0")


def test_a_view_missing_for_all_at_fit_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="'view_1' is missing for every sample"):
        _model(epochs=1).fit([LEFT, None], Y)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("given", ["validation", "held out"])
def test_a_view_that_no_training_sample_has_is_not_predicted_from(given: str) -> None:
    """Its encoder never learned anything, though validation samples have it."""
    if given == "validation":
        model = _model().fit([LEFT[:100], None], Y[:100], validation=([LEFT[100:], RIGHT[100:]], Y[100:]))
    else:
        right = np.full_like(RIGHT, NAN)
        held = hold_out(Y, 0.1, 0).validation
        right[held] = RIGHT[held]
        model = _model(validation_fraction=0.1).fit([LEFT, right], Y)
    np.testing.assert_array_equal(model.predict_proba([LEFT, RIGHT]), model.predict_proba([LEFT, None]))


def test_transform_is_a_block_a_view_and_zero_where_it_is_missing() -> None:
    model = _model().fit([LEFT, RIGHT], Y)
    left = LEFT.copy()
    left[3] = NAN
    z = model.transform([left, RIGHT])
    assert z.shape == (SAMPLES, 8)
    assert z.dtype == np.float32
    assert (z[3, :4] == 0).all()
    assert (z[3, 4:] != 0).any()
    assert (z[4, :4] != 0).any()
    assert (model.transform([None, RIGHT])[:, :4] == 0).all()


def test_transform_does_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model().fit([LEFT, RIGHT], Y)
    left = LEFT.copy()
    left[::3] = NAN
    whole = model.transform([left, RIGHT])
    monkeypatch.setattr("limbeck.multiview.training.PREDICTION_BATCH", 7)
    np.testing.assert_allclose(model.transform([left, RIGHT]), whole, atol=1e-5)


# -- weights, validation, calibration ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("weight", ["balanced", {"rare": 20.0}, {"rare": 20.0, "common": 1.0}])
def test_class_weights_raise_the_recall_of_the_rare_class(weight: Any) -> None:
    rng = np.random.default_rng(0)
    names = np.where(rng.random(400) < 0.08, "rare", "common")
    views = [(names == "rare")[:, None] * 1.0 + rng.normal(size=(400, 3)) for _ in range(2)]
    recall = []
    for class_weight in (None, weight):
        model = _model(class_weight=class_weight, validation_fraction=0, ranking_weight=0.0).fit(views, names)
        recall.append((model.predict(views)[names == "rare"] == "rare").mean())
    assert recall[1] > recall[0] + 0.2


@pytest.mark.slow
def test_samples_of_weight_zero_do_not_teach() -> None:
    wrong = (Y + 1) % 3
    views, labels = [np.vstack([LEFT, LEFT]), np.vstack([RIGHT, RIGHT])], np.concatenate([Y, wrong])
    weight = np.repeat([1.0, 0.0], SAMPLES)
    options = {"validation_fraction": 0, "ranking_weight": 0.0, "epochs": 15}
    assert _model(**options).fit(views, labels, sample_weight=weight).score([LEFT, RIGHT], Y) > 0.8


@pytest.mark.slow
def test_few_weighted_samples_are_no_divergence() -> None:
    weight = (np.arange(SAMPLES) < 8).astype(float)
    model = _model(batch_size=4, validation_fraction=0).fit([LEFT, RIGHT], Y, sample_weight=weight)
    assert np.isfinite(model.predict_proba([LEFT, RIGHT])).all()


def test_a_given_validation_set_is_used_and_not_trained_on() -> None:
    train, held = np.arange(100), np.arange(100, SAMPLES)
    options = {"epochs": 4, "patience": None}
    first = _model(**options).fit(
        [LEFT[train], RIGHT[train]], Y[train], validation=([LEFT[held], RIGHT[held]], Y[held])
    )
    second = _model(**options).fit(
        [LEFT[train], RIGHT[train]], Y[train], validation=([LEFT[held], RIGHT[held]], (Y[held] + 1) % 3)
    )
    assert [epoch.loss for epoch in first.history_] == [epoch.loss for epoch in second.history_]
    assert first.history_[-1].validation_accuracy > 0.6 > second.history_[-1].validation_accuracy
    assert sum(row.samples for row in first.view_contributions_) == 2 * len(held)


def test_without_validation_nothing_is_held_out_or_calibrated() -> None:
    model = _model(validation_fraction=0).fit([LEFT, RIGHT], Y)
    assert model.temperature_ == 1
    assert model.view_contributions_ == []
    assert len(model.history_) == TINY["epochs"] == model.best_epoch_ + 1


def test_calibration_lowers_the_cross_entropy_of_the_validation_split() -> None:
    left, right, y = _problem(3, noise=2.0)
    held = slice(90, SAMPLES)
    entropies = []
    for calibrate in (True, False):
        model = _model(epochs=15, calibrate=calibrate).fit(
            [left[:90], right[:90]], y[:90], validation=([left[held], right[held]], y[held])
        )
        entropies.append(cross_entropy_nats(model.predict_proba([left[held], right[held]]), y[held]))
    assert model.temperature_ == 1
    assert entropies[0] < entropies[1]


# -- what views contribute ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_account_tells_a_view_of_noise_from_one_that_knows() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 600)
    knows = np.where(y, 2.0, -2.0)[:, None] + 0.5 * rng.normal(size=(600, 3))
    noise = rng.normal(size=(600, 3))
    model = _model(validation_fraction=0.4).fit({"knows": knows, "noise": noise}, y)
    contributions = {row.view: row for row in model.view_contributions_}
    assert contributions["noise"].alone < 0.65
    assert abs(contributions["noise"].unique_nats) < 0.1
    assert contributions["noise"].without > 0.95
    assert contributions["knows"].alone > 0.95
    assert contributions["knows"].unique_nats > 0.3
    assert contributions["knows"].without < 0.65
    assert contributions["knows"].everything == contributions["noise"].everything > 0.95


def test_the_account_counts_the_samples_that_have_the_view_and_another() -> None:
    model = _model().fit([LEFT, RIGHT], Y)
    left, right = LEFT.copy(), RIGHT.copy()
    left[:30] = NAN
    right[30:40] = NAN
    assert [row.samples for row in model.view_contributions([left, right], Y)] == [110, 110]


# -- manners ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["predict", "predict_proba", "transform"])
def test_using_an_unfitted_model_says_so(act: str) -> None:
    with pytest.raises(NotFittedError, match="fit"):
        getattr(_model(), act)([LEFT, RIGHT])


def test_saving_or_scoring_an_unfitted_model_says_so(tmp_path: Any) -> None:
    with pytest.raises(NotFittedError):
        _model().save(tmp_path / "m.safetensors")
    with pytest.raises(NotFittedError):
        _model().score([LEFT, RIGHT], Y)
    with pytest.raises(NotFittedError):
        _model().view_contributions([LEFT, RIGHT], Y)


def test_verbose_reports_on_stderr_and_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    _model(verbose=True).fit([LEFT, RIGHT], Y)
    out, err = capsys.readouterr()
    assert out == ""
    assert "6/6" in err
    assert "validation" in err
    _model().fit([LEFT, RIGHT], Y)
    assert capsys.readouterr() == ("", "")


def test_constant_columns_are_warned_of_by_view() -> None:
    with pytest.warns(UserWarning, match="'view_1' has 1 constant column"):
        _model(epochs=1).fit([LEFT, np.hstack([RIGHT, np.ones((SAMPLES, 1))])], Y)


def test_ctrl_c_keeps_a_usable_model_and_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import contextmanager

    @contextmanager
    def interrupting(*_: Any, **__: Any) -> Any:
        def advance(epoch: int, entries: Any) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

        yield advance

    monkeypatch.setattr("limbeck.multiview.classifier.epoch_progress", interrupting)
    model = _model()
    with pytest.warns(UserWarning, match="interrupted after 2 of 6 epochs"):
        model.fit([LEFT, RIGHT], Y)
    assert model.predict([LEFT, RIGHT]).shape == (SAMPLES,)


def test_a_failed_fit_leaves_the_fitted_model_as_it_was() -> None:
    model = _model().fit([LEFT, RIGHT], Y)
    before = model.predict_proba([LEFT, RIGHT])
    with pytest.raises(InputError):
        model.fit([LEFT, RIGHT], Y[:-1])
    np.testing.assert_array_equal(model.predict_proba([LEFT, RIGHT]), before)


@pytest.mark.parametrize(
    ("views", "y", "parts"),
    [
        ([LEFT, RIGHT], Y[:-1], ("y has 149", "150")),
        ([LEFT, RIGHT[:-1]], Y, ("'view_1'", "149")),
        ([LEFT, RIGHT], np.zeros(SAMPLES), ("one class",)),
        ([LEFT, RIGHT], None, ("y",)),
        ([], Y, ("no view",)),
    ],
)
def test_bad_views_or_labels_are_one_clear_line(views: Any, y: Any, parts: tuple[str, ...]) -> None:
    refuses(lambda: _model().fit(views, y), *parts)


@pytest.mark.parametrize(
    "y", [np.where(Y, 1.0, NAN), np.where(Y, "a", None), np.linspace(0, 1, SAMPLES), np.stack([Y, Y], axis=1)]
)
def test_labels_that_are_none_name_y_in_one_line(y: Any) -> None:
    with pytest.raises(ValueError, match=r"\by\b|label") as caught:
        _model().fit([LEFT, RIGHT], y)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": 2.5}, "epochs"),
        ({"epochs": "5"}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"encoder": ()}, "encoder"),
        ({"encoder": 16}, "encoder"),
        ({"representation": 0}, "representation"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": NAN}, "dropout"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"betas": (2.0, 0.9)}, "betas"),
        ({"decay": -1.0}, "decay"),
        ({"objective": "best"}, "objective"),
        ({"joint_head": "cubic"}, "joint_head"),
        ({"interaction_rank": 0}, "interaction_rank"),
        ({"sufficiency_weight": -1.0}, "sufficiency_weight"),
        ({"consistency_weight": NAN}, "consistency_weight"),
        ({"bottleneck": False}, "bottleneck"),
        ({"scaling": "max"}, "scaling"),
        ({"normalization": "layer"}, "normalization"),
        ({"patience": 0}, "patience"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"validation_fraction": -0.1}, "validation_fraction"),
        ({"class_weight": {"none": 1.0}}, "class_weight"),
        ({"class_weight": {0: -1.0}}, "class_weight"),
        ({"class_weight": {0: NAN}}, "class_weight"),
        ({"class_weight": "heavy"}, "class_weight"),
        ({"random_state": -1}, "random_state"),
        ({"device": "abacus"}, "device"),
        ({"view_columns": (4, 5)}, "view_columns"),
    ],
)
def test_a_bad_option_is_named_in_one_line(options: dict[str, Any], name: str) -> None:
    refuses(lambda: _model(**options).fit([LEFT, RIGHT], Y), name)


def test_a_device_that_is_not_there_is_named_in_one_line() -> None:
    import torch

    device = "cuda:99" if torch.cuda.is_available() else "cuda"
    refuses(lambda: _model(device=device).fit([LEFT, RIGHT], Y), "device")


@pytest.mark.parametrize("weight", [np.ones(5), -np.ones(SAMPLES), np.zeros(SAMPLES), np.full(SAMPLES, NAN)])
def test_bad_sample_weights_are_named_in_one_line(weight: np.ndarray) -> None:
    refuses(lambda: _model().fit([LEFT, RIGHT], Y, sample_weight=weight), "sample_weight")


def test_a_random_state_of_none_is_another_seed_each_time() -> None:
    """scikit-learn's usual default."""
    first, second = (
        _model(epochs=1, random_state=None).fit([LEFT, RIGHT], Y).predict_proba([LEFT, RIGHT]) for _ in range(2)
    )
    assert not np.array_equal(first, second)


def test_a_random_state_of_numpy_is_the_same_seed() -> None:
    first, second = (
        _model(epochs=1, random_state=seed).fit([LEFT, RIGHT], Y).predict_proba([LEFT, RIGHT])
        for seed in (3, np.int64(3))
    )
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("views", "parts"),
    [
        ([LEFT], ("1 views", "2")),
        ([LEFT, RIGHT, RIGHT], ("3 views",)),
        ({"view_0": LEFT, "other": RIGHT}, ("'other'",)),
        ([LEFT, RIGHT[:, :3]], ("'view_1'", "3 features", "5")),
        ([LEFT[:0], RIGHT[:0]], ("0 sample",)),
        ([None, None], ("no view",)),
        ([np.full_like(LEFT, NAN), np.full_like(RIGHT, NAN)], ("sample 0",)),
        ([np.full_like(LEFT, np.inf), RIGHT], ("'view_0'", "infinity")),
    ],
)
def test_bad_views_at_prediction_are_one_clear_line(views: Any, parts: tuple[str, ...]) -> None:
    model = _model(epochs=1).fit([LEFT, RIGHT], Y)
    for act in (model.predict, model.transform):
        refuses(lambda act=act: act(views), *parts)


def test_a_label_unseen_in_training_is_named() -> None:
    model = _model(epochs=1).fit([LEFT, RIGHT], Y)
    wrong = np.where(np.arange(SAMPLES) == 4, 9, Y)
    refuses(lambda: model.score([LEFT, RIGHT], wrong), "label", "9", "sample 4")
    refuses(lambda: model.view_contributions([LEFT, RIGHT], wrong), "9", "sample 4")
    refuses(lambda: _model().fit([LEFT, RIGHT], Y, validation=([LEFT, RIGHT], wrong)), "9", "sample 4")


def test_a_validation_set_that_does_not_fit_is_refused() -> None:
    refuses(lambda: _model().fit([LEFT, RIGHT], Y, validation=([LEFT], Y)), "1 views")
    refuses(lambda: _model().fit([LEFT, RIGHT], Y, validation=([RIGHT, LEFT], Y)), "'view_0'")
    refuses(lambda: _model().fit([LEFT, RIGHT], Y, validation=([LEFT, RIGHT], Y[:5])), "y has 5")
    refuses(lambda: _model().fit([LEFT, RIGHT], Y, validation=3), "validation")


def test_a_frame_with_other_columns_is_refused_at_prediction() -> None:
    model = _model(epochs=1, view_columns=(4, 5)).fit(FRAME, Y)
    refuses(lambda: model.predict(FRAME.rename(columns={"a": "z"})), "feature names", "'a' missing", "'z' unknown")
    refuses(lambda: model.predict(FRAME.iloc[:, :5]), "5 features")
