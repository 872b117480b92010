"""Permutation importance: what is not used is worth nothing, missing views stay missing, the formula in a loop."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.inspection import permutation_importance as of_scikit_learn

from limbeck import MultiViewClassifier
from limbeck.errors import InputError
from limbeck.multiview.evaluation import cross_entropy_nats
from limbeck.multiview.importance import permutation_importance

TINY: dict[str, Any] = {"encoder": (16, 8), "representation": 4, "epochs": 6, "batch_size": 32, "learning_rate": 1e-2}
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 200)
KNOWS = pd.DataFrame({"loud": RNG.normal(size=200), "pitch": 2.0 * Y + 0.2 * RNG.normal(size=200)})
NOISE = pd.DataFrame(RNG.normal(size=(200, 2)), columns=["a", "b"])


def _fitted(*views: Any) -> MultiViewClassifier:
    return MultiViewClassifier(**TINY).fit(dict(zip(("knows", "noise"), views, strict=True)), Y)


def test_the_view_and_the_column_that_know_are_found_where_samples_lack_views() -> None:
    knows, noise = KNOWS.copy(), NOISE.copy()
    knows.iloc[:50] = np.nan
    noise.iloc[150:] = np.nan
    X = {"knows": knows, "noise": noise}
    model = _fitted(knows, noise)
    views = permutation_importance(model, X, Y)
    assert views.names == ("knows", "noise")
    assert views.importances.shape == (2, 5)
    assert views.baseline == pytest.approx(model.score(X, Y))
    assert views.means[0] > 0.25
    assert abs(views.means[1]) < 0.1
    columns = permutation_importance(model, X, Y, by="column", repeats=2)
    assert columns.names == ("knows: loud", "knows: pitch", "noise: a", "noise: b")
    assert columns.means.argmax() == 1


def test_the_formula_in_a_loop() -> None:
    """One shuffle by hand, with the draws of the same generator."""
    knows = KNOWS.to_numpy().copy()
    knows[:50] = np.nan
    X = {"knows": knows, "noise": NOISE.to_numpy()}
    model = _fitted(*X.values())
    found = permutation_importance(model, X, Y, score="cross-entropy", repeats=1, random_state=3)
    order = np.random.default_rng(3).permutation(np.arange(50, 200))
    mixed = knows.copy()
    mixed[50:] = knows[order]
    loss = cross_entropy_nats(model.predict_proba(X), Y)
    changed = cross_entropy_nats(model.predict_proba(X | {"knows": mixed}), Y)
    assert found.baseline == pytest.approx(-loss)
    assert found.importances[0, 0] == pytest.approx(changed - loss)


def test_sparse_views_are_shuffled_as_dense_ones() -> None:
    sparse, X = sp.csr_array(KNOWS.to_numpy()), {"knows": KNOWS.to_numpy(), "noise": NOISE.to_numpy()}
    model = _fitted(sparse, NOISE.to_numpy())
    for by in ("view", "column"):
        one = permutation_importance(model, X | {"knows": sparse}, Y, by=by, repeats=2)
        assert one.means.argmax() == (0 if by == "view" else 1)
        np.testing.assert_allclose(one.importances, permutation_importance(model, X, Y, by=by, repeats=2).importances)


def test_scikit_learns_own_works_on_one_matrix_without_missing_views() -> None:
    whole = pd.concat([KNOWS, NOISE], axis=1)
    model = MultiViewClassifier(**TINY, view_columns=(2, 2)).fit(whole, Y)
    assert of_scikit_learn(model, whole, Y, n_repeats=2, random_state=0).importances_mean.argmax() == 1


def test_bad_arguments_are_named() -> None:
    model, X = _fitted(KNOWS, NOISE), {"knows": KNOWS, "noise": NOISE}
    for options in ({"by": "row"}, {"score": "f1"}, {"repeats": 0}):
        with pytest.raises(InputError, match=next(iter(options))):
            permutation_importance(model, X, Y, **options)  # type: ignore[arg-type]
