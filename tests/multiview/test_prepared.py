"""Texts and empty cells: refused, or made numbers by what the training samples say."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from limbeck import MultiViewClassifier
from limbeck.errors import InputError
from limbeck.multiview.scaling import fit_scaling, moments
from limbeck.multiview.views import read_views

TINY: dict[str, Any] = {"encoder": (8, 4), "representation": 3, "epochs": 2, "batch_size": 32, "learning_rate": 1e-2}
RNG = np.random.default_rng(0)
Y = np.arange(60) % 3
SOUND = np.eye(3)[Y] + 0.3 * RNG.normal(size=(60, 3))
COLOURS = np.array(["red", "green", "blue"])[Y]
FORM = pd.DataFrame({"colour": COLOURS, "age": RNG.normal(size=60), "smoker": Y == 1})


def test_moments_are_of_the_cells_that_are_there() -> None:
    rows = RNG.normal(size=(30, 4)).astype(np.float32)
    rows[RNG.random((30, 4)) < 0.3] = np.nan
    rows[:, 3] = np.nan
    mean, deviation = moments(rows)
    for column in range(3):
        known = rows[~np.isnan(rows[:, column]), column].astype(np.float64)
        assert mean[column] == pytest.approx(known.mean())
        assert deviation[column] == pytest.approx(known.std())
    assert mean[3] == deviation[3] == 0


@pytest.mark.parametrize("name", ["standard", "whole", "quantile", "whole+quantile"])
def test_an_empty_cell_is_0_once_scaled_and_moves_no_other(name: Any) -> None:
    rows = RNG.normal(size=(30, 2)).astype(np.float32)
    more = np.vstack([rows, np.full((5, 2), np.nan, np.float32)])
    one, other = fit_scaling(name, rows), fit_scaling(name, more)
    np.testing.assert_array_equal(other(more)[30:], 0)
    if name in ("standard", "whole"):
        np.testing.assert_allclose(other(rows), one(rows), rtol=1e-5, atol=1e-6)


def test_a_filled_cell_answers_as_the_mean_of_the_training_samples() -> None:
    """The networks alone: one whose cell is empty, and one whose cell is the mean that was measured."""
    holes = SOUND.copy()
    holes[:5, 1] = np.nan
    model = MultiViewClassifier(**TINY, missing_cells="mean", kernel_path=False, validation_fraction=0)
    model.fit([holes], Y)
    assert model.imputed_cells_ == {"view_0": 5}
    filled = holes.copy()
    filled[:5, 1] = np.float32(holes[5:, 1].astype(np.float32).astype(np.float64).mean())
    np.testing.assert_allclose(model.predict_proba([holes]), model.predict_proba([filled]), atol=1e-5)


def test_what_fills_is_measured_on_training_samples_only() -> None:
    holes = SOUND.copy()
    holes[:5, 1] = np.nan
    models = [
        MultiViewClassifier(**TINY | {"epochs": 1}, missing_cells="mean", kernel_path=False).fit(
            [holes[:45]], Y[:45], validation=([SOUND[45:] + shift], Y[45:])
        )
        for shift in (0.0, 100.0)
    ]
    scalers = [model.network_.scalers[0] for model in models]
    np.testing.assert_array_equal(scalers[0].mean, scalers[1].mean)
    assert float(scalers[0].mean[0, 1]) == pytest.approx(float(np.nanmean(holes[:45, 1])), rel=1e-5)


def test_a_row_of_nan_alone_is_a_missing_view_and_never_filled() -> None:
    holes = SOUND.copy()
    holes[:10] = np.nan
    holes[10, 0] = np.nan
    found = read_views([holes, SOUND], gaps=True)
    assert found.present[0].sum() == 50
    assert found.gaps == {"view_0": 1}


def test_texts_become_columns_that_a_saved_model_knows(tmp_path: Path) -> None:
    form = FORM.copy()
    form.loc[3, "colour"] = None
    views = {"form": form, "sound": SOUND}
    model = MultiViewClassifier(**TINY, categories="one-hot", missing_cells="mean").fit(views, Y)
    columns = ("colour=blue", "colour=green", "colour=red", "age", "smoker")
    assert model.view_features_[0] == columns
    assert model.imputed_cells_ == {"form": 3}
    model.save(tmp_path / "m.safetensors")
    loaded = MultiViewClassifier.load(tmp_path / "m.safetensors")
    turned = {"form": form.iloc[:, ::-1].astype({"colour": "category"}), "sound": SOUND}
    np.testing.assert_array_equal(loaded.predict_proba(turned), model.predict_proba(views))
    with pytest.warns(UserWarning, match="'colour' hold a category that was not there when fitting, such as 'pink'"):
        loaded.predict({"form": FORM.assign(colour="pink")})
    with pytest.raises(InputError, match="'age' held numbers when fitting, and now holds 'old'"):
        loaded.predict({"form": FORM.assign(age="old")})


def test_categories_are_those_of_the_training_samples() -> None:
    seen, held_out = FORM[Y < 2], FORM
    model = MultiViewClassifier(**TINY | {"epochs": 1}, categories="one-hot")
    with pytest.warns(UserWarning, match="such as 'blue'"):
        model.fit({"form": seen}, Y[Y < 2], validation=({"form": held_out}, np.minimum(Y, 1)))
    assert model.view_features_[0][:2] == ("colour=green", "colour=red")


def test_what_was_not_asked_for_is_refused_with_the_option_that_does_it() -> None:
    holes = SOUND.copy()
    holes[3, 1] = np.nan
    with pytest.raises(InputError, match=r"row 3 .*missing_cells='mean'"):
        MultiViewClassifier(**TINY).fit([holes], Y)
    with pytest.raises(InputError, match="categories='one-hot'"):
        MultiViewClassifier(**TINY).fit({"form": FORM}, Y)
    with pytest.raises(InputError, match="missing_cells 'mean' needs scaling 'standard'"):
        MultiViewClassifier(**TINY, missing_cells="mean", scaling="none").fit([holes], Y)
    with pytest.raises(InputError, match="NaN in row 3"):
        MultiViewClassifier(**TINY, missing_cells="mean").fit([sp.csr_array(holes)], Y)
    for names in (["a=b", "age", "smoker"], ["colour", "colour=red", "smoker"]):
        with pytest.raises(InputError, match="give it a name without '='"):
            read_views({"form": FORM.set_axis(names, axis=1)}, categories=True)
