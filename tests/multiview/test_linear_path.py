"""The linear path against scikit-learn's logistic regression and sums that are written out."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from scipy.special import log_softmax
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression

from limbeck import MultiViewClassifier
from limbeck.multiview import linear_path
from limbeck.multiview.linear_path import LinearPath, fit_linear_paths
from limbeck.multiview.views import Views, read_views, select

CLASSES = 3


def counts(samples: int, seed: int = 0, *, lacking: float = 0.0) -> tuple[Views, np.ndarray]:
    """Two sparse views of counts and a dense one, and labels."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(samples) % CLASSES)
    words = [generator.gamma(0.5, size=(CLASSES, 30)) for _ in range(2)]
    matrices = [generator.poisson(rates[labels]).astype(np.float32) for rates in words]
    matrices.append(generator.normal(size=(CLASSES, 4))[labels] + generator.normal(size=(samples, 4)))
    absent = generator.random((3, samples)) < lacking
    absent[2] &= ~absent.all(axis=0)
    matrices[2][absent[2]] = np.nan
    given = [scipy.sparse.csr_array(matrix) for matrix in matrices[:2]] + matrices[2:]
    views = read_views(given)
    present = ~absent
    hidden = [
        scipy.sparse.csr_array(matrix.multiply(there[:, np.newaxis])) if scipy.sparse.issparse(matrix) else matrix
        for matrix, there in zip(views.matrices, present, strict=True)
    ]
    return Views(views.names, tuple(hidden), present), labels


def side_by_side(path: LinearPath, views: Views) -> np.ndarray:
    """All scaled views less their means; zeros where a sample lacks one."""
    blocks = []
    for scaling, matrix, present, mean in zip(path.scalings, views.matrices, views.present, path.means, strict=True):
        scaled = scaling(matrix)  # type: ignore[arg-type]
        dense = scaled.toarray() if scipy.sparse.issparse(scaled) else scaled
        blocks.append(np.where(present[:, np.newaxis], dense - mean, 0))
    return np.concatenate(blocks, axis=1)


@pytest.mark.parametrize("lacking", [0.0, 0.4])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_the_logistic_regression_of_scikit_learn(
    lacking: float, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_path, "_TOLERANCE", 1e-14)
    monkeypatch.setattr(linear_path, "_ITERATIONS", 10_000)
    views, labels = counts(120, lacking=lacking)
    rows, asked = np.arange(90), np.arange(90, 120)
    weight = np.random.default_rng(1).uniform(0.2, 2, 120) if weighted else np.ones(120)
    parts = [rows[number::3] for number in range(3)]
    for path, held in fit_linear_paths(views, labels, rows, parts, classes=CLASSES, weights=weight):
        matrix = side_by_side(path, views)

        def logits(
            learned: np.ndarray, of: np.ndarray, matrix: np.ndarray = matrix, ridge: float = path.ridge
        ) -> np.ndarray:
            model = LogisticRegression(C=1 / ridge, tol=1e-10, max_iter=10_000)
            model.fit(matrix[learned], labels[learned], sample_weight=weight[learned])
            return np.asarray(log_softmax(model.decision_function(matrix[of]), axis=1))

        np.testing.assert_allclose(
            log_softmax(path.scores(select(views, asked)), axis=1), logits(rows, asked), atol=2e-3
        )
        held_out = np.concatenate(parts)
        found = log_softmax(held.by_pattern(views.present[:, held_out])[0], axis=1)
        expected = np.concatenate([logits(np.setdiff1d(rows, part), part) for part in parts])
        np.testing.assert_allclose(found, expected, atol=2e-3)


def test_it_minimises_what_its_formula_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_path, "_TOLERANCE", 1e-14)
    views, labels = counts(80, 3, lacking=0.3)
    rows = np.arange(80)
    path, _ = fit_linear_paths(views, labels, rows, [rows[::2], rows[1::2]], classes=CLASSES)[0]
    matrix, weights = side_by_side(path, views), np.concatenate(path.weights)
    logits = matrix @ weights + path.intercept
    np.testing.assert_allclose(path.scores(views), logits, atol=1e-4)
    error = np.exp(log_softmax(logits, axis=1)) - np.eye(CLASSES)[labels]
    assert np.abs(error.sum(axis=0)).max() < 1e-3
    assert np.abs(matrix.T @ error + path.ridge * weights).max() < 1e-3 * np.abs(path.ridge * weights).max()


def test_a_missing_view_counts_as_its_mean() -> None:
    views, labels = counts(60, 4)
    rows = np.arange(60)
    path, held = fit_linear_paths(views, labels, rows, [rows[::2], rows[1::2]], classes=CLASSES)[0]
    gone = views.present.copy()
    gone[0] = False
    rest = [
        np.asarray(scaling(matrix) @ weight) - mean @ weight  # type: ignore[arg-type]
        for scaling, matrix, mean, weight in list(
            zip(path.scalings, views.matrices, path.means, path.weights, strict=True)
        )[1:]
    ]
    hidden = Views(views.names, views.matrices, gone)
    np.testing.assert_allclose(path.scores(hidden), path.intercept + sum(rest), atol=1e-4)
    pattern, order = np.array([False, True, True]), np.concatenate([rows[::2], rows[1::2]])
    everyone = np.ones(60, bool)
    np.testing.assert_allclose(held.scores(pattern, everyone), held.by_pattern(views.present[:, order])[1], atol=1e-5)


def test_counts_are_scaled_in_two_ways_and_other_numbers_in_one() -> None:
    views, labels = counts(60, 5)
    rows, parts = np.arange(60), [np.arange(0, 60, 2), np.arange(1, 60, 2)]
    names = [
        [scaling.name for scaling in path.scalings]
        for path, _ in fit_linear_paths(views, labels, rows, parts, classes=CLASSES)
    ]
    assert names == [["whole", "whole", "standard"], ["tf-idf", "tf-idf", "whole+quantile"]]
    signed = Views(("a",), (scipy.sparse.csr_array(views.matrices[0] * -1.0),), views.present[:1])
    (only,) = fit_linear_paths(signed, labels, rows, parts, classes=CLASSES)
    assert only[0].scalings[0].name == "whole"
    inverse = TfidfTransformer().fit(views.matrices[0]).idf_
    path = fit_linear_paths(views, labels, rows, parts, classes=CLASSES)[1][0]
    np.testing.assert_allclose(path.scalings[0].arrays["idf"], inverse)


def test_the_ridge_is_the_best_of_those_tried_and_a_sample_without_weight_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    views, labels = counts(100, 6)
    rows, parts = np.arange(90), [np.arange(0, 90, 2), np.arange(1, 90, 2)]
    found = fit_linear_paths(views, labels, rows, parts, classes=CLASSES)
    best = [path.ridge for path, _ in found]
    nats: dict[float, float] = {}
    for factor in linear_path.RIDGES:
        monkeypatch.setattr(linear_path, "RIDGES", (factor,))
        (path, held), _ = fit_linear_paths(views, labels, rows, parts, classes=CLASSES)
        order = np.concatenate(parts)
        nats[path.ridge] = linear_path._nats(held.by_pattern(views.present[:, order])[0], labels[order])
    assert min(nats, key=lambda ridge: nats[ridge]) == pytest.approx(best[0])
    monkeypatch.undo()
    weight = np.ones(100)
    weight[90:] = 0.0
    again = fit_linear_paths(views, labels, np.arange(100), parts, classes=CLASSES, weights=weight)
    for (first, _), (second, _) in zip(found, again, strict=True):
        np.testing.assert_allclose(first.scores(views), second.scores(views), atol=1e-6)


def test_a_class_of_one_sample_and_a_constant_view_are_no_trouble() -> None:
    views, labels = counts(40, 7)
    labels[0] = CLASSES
    constant = Views(("a", "b"), (views.matrices[0], np.ones((40, 2), np.float32)), views.present[:2])
    rows = np.arange(40)
    for path, held in fit_linear_paths(constant, labels, rows, [rows[::2], rows[1::2]], classes=CLASSES + 1):
        assert np.isfinite(path.scores(constant)).all()
        assert np.isfinite(held.terms).all()


@pytest.mark.slow
def test_of_sparse_counts_the_classifier_is_as_good_as_the_law_says_linear_models_are() -> None:
    generator = np.random.default_rng(8)
    labels = generator.integers(4, size=1200)
    shares = [generator.dirichlet(np.full(400, 0.1), 4) for _ in range(2)]
    views = [scipy.sparse.csr_array(generator.poisson(8 * share[labels]).astype(np.float32)) for share in shares]
    learned, asked = [view[:200] for view in views], [view[200:] for view in views]
    model = MultiViewClassifier().fit(learned, labels[:200])
    assert len(model.linear_paths_) == len(model.linear_weights_) == 2
    assert sum(model.linear_weights_) > 0
    without = MultiViewClassifier(linear_path=False).fit(learned, labels[:200])
    assert not without.linear_paths_
    together = scipy.sparse.csr_matrix(scipy.sparse.hstack(views))
    linear = LogisticRegression(max_iter=1000).fit(together[:200], labels[:200])
    assert model.score(asked, labels[200:]) > linear.score(together[200:], labels[200:]) - 0.02
    assert model.score([asked[0], None], labels[200:]) >= without.score([asked[0], None], labels[200:]) - 0.01


def test_dense_views_have_none_unless_it_is_asked_for() -> None:
    generator = np.random.default_rng(9)
    labels = np.arange(60) % 2
    views = [labels[:, np.newaxis] + generator.normal(size=(60, 3)) for _ in range(2)]
    tiny = {"encoder": (8, 4), "representation": 4, "epochs": 2}
    assert MultiViewClassifier(**tiny).fit(views, labels).linear_paths_ == []
    assert len(MultiViewClassifier(**tiny, linear_path=True).fit(views, labels).linear_paths_) == 2
    model = MultiViewClassifier(**tiny, linear_path=True, calibrate=False).fit(views, labels)
    assert model.linear_paths_ == []
