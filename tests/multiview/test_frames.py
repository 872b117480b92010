"""DataFrames: columns matched by name, rows by label; what cannot be matched is refused; arrays go by position."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from tests.refusals import refuses

from limbeck import MultiViewClassifier
from limbeck.multiview.views import read_views

TINY: dict[str, Any] = {"encoder": (8, 4), "representation": 3, "epochs": 2, "batch_size": 32, "learning_rate": 1e-2}
SAMPLES = 60
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, SAMPLES)
PATIENTS = pd.Index([f"p{number}" for number in range(SAMPLES)], name="patient")
SOUND = pd.DataFrame(np.eye(3)[Y] @ RNG.normal(size=(3, 3)), index=PATIENTS, columns=list("abc"))
SIGHT = pd.DataFrame(np.eye(3)[Y] @ RNG.normal(size=(3, 4)), index=PATIENTS, columns=["w", "x", "y", 7])
LABELS = pd.Series(np.array(["ant", "bee", "cat"])[Y], index=PATIENTS)
FRAMES = {"sound": SOUND, "sight": SIGHT}


def _model(**options: Any) -> MultiViewClassifier:
    return MultiViewClassifier(**(TINY | options))


@pytest.fixture(scope="module")
def fitted() -> MultiViewClassifier:
    return _model().fit(FRAMES, LABELS)


# -- properties --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_no_permutation_of_columns_or_rows_changes_a_prediction(fitted: MultiViewClassifier, seed: int) -> None:
    """Of any view, of y and of the weights; as a dict in any order of views, or as a list; with missing views."""
    rng = np.random.default_rng(seed)
    holes = {name: frame.copy() for name, frame in FRAMES.items()}
    holes["sound"].iloc[:20] = np.nan
    holes["sight"].iloc[40:] = np.nan
    weights = pd.Series(rng.random(SAMPLES), index=PATIENTS)
    expected = pd.DataFrame(fitted.predict_proba(holes), index=PATIENTS)
    score = fitted.score(holes, LABELS, weights)
    shuffled = {
        name: holes[name].sample(frac=1, random_state=rng).sample(frac=1, axis=1, random_state=rng)
        for name in rng.permutation(list(holes))
    }
    first = next(iter(shuffled.values()))
    np.testing.assert_allclose(fitted.predict_proba(shuffled), expected.loc[first.index], atol=1e-6)
    mixed = LABELS.sample(frac=1, random_state=rng), weights.sample(frac=1, random_state=rng)
    assert fitted.score(shuffled, *mixed) == pytest.approx(score)
    listed = [shuffled["sound"], shuffled["sight"]]
    np.testing.assert_allclose(fitted.predict_proba(listed), expected.loc[listed[0].index], atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_no_permutation_at_fit_changes_the_model(fitted: MultiViewClassifier, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mixed = {"sound": SOUND, "sight": SIGHT.sample(frac=1, random_state=rng)}
    other = _model().fit(mixed, LABELS.sample(frac=1, random_state=rng))
    np.testing.assert_array_equal(other.predict_proba(FRAMES), fitted.predict_proba(FRAMES))


@pytest.mark.parametrize("columns", [(3, 4), {"l": ["c", "a"], "r": ["w", "b", "x"]}, {"l": slice(0, 3), "r": [4, 3]}])
def test_no_permutation_of_one_frame_with_column_groups_changes_a_prediction(columns: Any) -> None:
    whole = pd.concat([SOUND, SIGHT.rename(columns={7: "z"})], axis=1)
    model = _model(view_columns=columns).fit(whole, LABELS)
    expected = model.predict_proba(whole)
    for seed in range(5):
        mixed = whole.sample(frac=1, axis=1, random_state=seed)
        np.testing.assert_array_equal(model.predict_proba(mixed), expected)


def test_frames_in_the_order_of_fitting_answer_as_their_arrays(fitted: MultiViewClassifier) -> None:
    with pytest.warns(UserWarning, match="'sound', 'sight': columns have names only when fitting"):
        by_position = fitted.predict_proba([SOUND.to_numpy(), SIGHT.to_numpy()])
    np.testing.assert_array_equal(by_position, fitted.predict_proba(FRAMES))


def test_a_saved_model_matches_columns_by_name_too(fitted: MultiViewClassifier, tmp_path: Path) -> None:
    fitted.save(tmp_path / "m.safetensors")
    loaded = MultiViewClassifier.load(tmp_path / "m.safetensors")
    assert loaded.view_features_ == fitted.view_features_ == (("a", "b", "c"), ("w", "x", "y", 7))
    turned = {name: frame.iloc[:, ::-1] for name, frame in FRAMES.items()}
    np.testing.assert_array_equal(loaded.predict_proba(turned), fitted.predict_proba(FRAMES))
    refuses(lambda: loaded.predict({"sound": SOUND.rename(columns={"a": "q"})}), "'sound'", "'a' missing")


def test_numbers_are_names_of_columns_in_one_frame_and_after_loading(tmp_path: Path) -> None:
    whole = pd.DataFrame(np.hstack([SOUND, SIGHT]), index=PATIENTS)
    model = _model(view_columns=(3, 4)).fit(whole, LABELS)
    model.save(tmp_path / "m.safetensors")
    loaded = MultiViewClassifier.load(tmp_path / "m.safetensors")
    for one in (model, loaded):
        np.testing.assert_array_equal(one.predict_proba(whole[[6, 5, 4, 3, 2, 1, 0]]), model.predict_proba(whole))


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_other_columns_are_refused_and_named(fitted: MultiViewClassifier) -> None:
    refuses(lambda: fitted.predict({"sound": SOUND[["a", "b"]]}), "'sound'", "2 features", "had 3", "'c' missing")
    refuses(lambda: fitted.predict({"sound": SOUND.assign(d=1.0)}), "'sound'", "'d' unknown")
    refuses(lambda: fitted.predict([SIGHT, SOUND]), "'sound'", "'a', 'b', 'c' missing", "'w', 'x', 'y' and 1 more")
    twice = SOUND.set_axis(["b", "a", "a"], axis=1)
    refuses(lambda: _model().fit([twice], LABELS).predict([twice.iloc[:, ::-1]]), "several columns 'a'")


def test_rows_that_disagree_are_refused_and_named(fitted: MultiViewClassifier) -> None:
    refuses(lambda: fitted.predict({"sound": SOUND, "sight": SIGHT[1:]}), "'sight' has no row 'p0'", "reindex")
    refuses(lambda: fitted.predict({"sound": SOUND[1:], "sight": SIGHT}), "'sight' has a row 'p0'", "1 such row")
    refuses(lambda: fitted.score(FRAMES, LABELS[2:]), "y has no row 'p0'", "2 such rows")
    refuses(lambda: _model().fit(FRAMES, LABELS.reset_index(drop=True)), "y has no row 'p0'", "to_numpy")
    repeated = SIGHT.set_axis([*PATIENTS[1:], "p1"], axis=0)
    refuses(lambda: fitted.predict({"sight": repeated, "sound": repeated[::-1]}), "several rows 'p1'")


def test_an_array_that_could_follow_either_order_is_refused(fitted: MultiViewClassifier) -> None:
    turned = {"sound": SOUND, "sight": SIGHT[::-1]}
    refuses(lambda: fitted.score(turned, LABELS.to_numpy()), "y must be a Series")
    refuses(lambda: fitted.score(turned, LABELS, np.ones(SAMPLES)), "sample_weight must be a Series")
    refuses(lambda: _model().fit([SOUND, SIGHT[::-1], SIGHT.to_numpy()], LABELS), "'view_1'", "no labels")
    refuses(lambda: _model().fit([SOUND, SIGHT.to_numpy()], LABELS[::-1]), "rows of y", "no labels")


def test_messages_name_rows_by_label(fitted: MultiViewClassifier) -> None:
    hole, infinite, wrong = SOUND.copy(), SOUND.copy(), LABELS.copy()
    hole.loc["p5", "b"] = np.nan
    infinite.loc["p6", "b"] = np.inf
    wrong["p7"] = "dog"
    refuses(lambda: fitted.predict({"sound": hole[::-1], "sight": SIGHT}), "NaN in row 'p5'")
    refuses(lambda: fitted.predict({"sound": infinite}), "infinity in row 'p6'")
    hole.loc["p5"] = np.nan
    refuses(lambda: fitted.predict({"sound": hole}), "sample 'p5' lacks every view")
    refuses(lambda: fitted.score(FRAMES, wrong), "'dog' of sample 'p7'")


# -- what is not -------------------------------------------------------------------------------------------------------


def test_arrays_are_matched_by_position_and_equal_repeats_are_no_fault() -> None:
    """A Series beside arrays is what scikit-learn takes it for: numbers in their order."""
    turned = pd.Series(LABELS.to_numpy(), index=PATIENTS[::-1])
    views = [SOUND.to_numpy(), sp.csr_array(SIGHT.to_numpy())]
    expected = _model(epochs=1).fit(views, LABELS.to_numpy()).predict_proba(views)
    np.testing.assert_array_equal(_model(epochs=1).fit(views, turned).predict_proba(views), expected)
    repeated = {name: frame.set_axis(["p"] * SAMPLES, axis=0) for name, frame in FRAMES.items()}
    assert read_views(repeated).samples == SAMPLES


def test_a_patient_that_a_table_lacks_is_a_missing_view_once_it_is_reindexed(fitted: MultiViewClassifier) -> None:
    some = SIGHT.sample(frac=0.5, random_state=0)
    proba = fitted.predict_proba({"sound": SOUND, "sight": some.reindex(SOUND.index)})
    lacking = ~SOUND.index.isin(some.index)
    np.testing.assert_allclose(proba[lacking], fitted.predict_proba({"sound": SOUND})[lacking], atol=1e-6)


def test_one_frame_and_a_series_of_another_index_are_matched_by_position_and_said_so() -> None:
    whole = pd.concat([SOUND, SIGHT.rename(columns=str)], axis=1)
    with pytest.warns(UserWarning, match="y and X have different indices"):
        _model(epochs=1, view_columns=(3, 4)).fit(whole, LABELS.sample(frac=1, random_state=0))


def test_columns_named_now_only_are_warned_of_but_numbered_ones_are_not() -> None:
    model = _model(epochs=1).fit([SOUND.to_numpy(), SIGHT.to_numpy()], Y)
    with pytest.warns(UserWarning, match="view 'view_0': columns have names only now"):
        model.predict([SOUND, None])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict([pd.DataFrame(SOUND.to_numpy()), None])


def test_the_validation_set_is_matched_with_the_training_set() -> None:
    turned = {name: frame.iloc[40:, ::-1] for name, frame in FRAMES.items()}
    parts = [{name: frame[40:] for name, frame in FRAMES.items()}, turned]
    seen = {name: frame[:40] for name, frame in FRAMES.items()}
    models = [_model().fit(seen, LABELS[:40], validation=(part, LABELS[40:][::-1])) for part in parts]
    assert models[0].temperature_ == models[1].temperature_
    refuses(lambda: _model().fit(seen, LABELS[:40], validation=(parts[0], LABELS[:20])), "y has no row 'p40'")


def test_columns_of_an_earlier_fit_are_forgotten() -> None:
    whole = pd.concat([SOUND, SIGHT.rename(columns=str)], axis=1)
    model = _model(epochs=1, view_columns=(3, 4)).fit(whole, LABELS)
    assert list(model.feature_names_in_) == list(whole.columns)
    model.fit(whole.to_numpy(), Y)
    assert not hasattr(model, "feature_names_in_")
