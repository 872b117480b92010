"""The study of peers: kernels, calibration error, tuning blind to test samples, missing and sparse views, report."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import scipy.sparse as sp

from limbeck.errors import InputError
from limbeck.information import equal_mass_calibration_error
from limbeck.multiview.data import assemble, load, save, stratified_folds
from limbeck.multiview.digits import digits
from limbeck.multiview.evaluation import Scores
from limbeck.multiview.kernels import mean_kernel, median_distance, squared_distances
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.views import Views, read_views, select
from limbeck.reporting.statistics import paired_difference
from limbeck.studies.multiview_peers.conditions import lacking, learning_rows, stratified_sample
from limbeck.studies.multiview_peers.counts import CountSettings, draw_counts, view_name
from limbeck.studies.multiview_peers.features import Scaling, as_given, hidden, without
from limbeck.studies.multiview_peers.limbeck_rows import OWN
from limbeck.studies.multiview_peers.peers import PEERS, POINTS, Peer
from limbeck.studies.multiview_peers.report import as_json, clear_of_zero, format_report, write_report
from limbeck.studies.multiview_peers.run import (
    ALL,
    CHOSEN,
    TRUTH,
    MultiviewPeersResult,
    MultiviewPeersSettings,
    PeerName,
    Trial,
    run,
)
from limbeck.studies.multiview_peers.tuning import suiting_temperature, tuned

HERE = [name for name, peer in PEERS.items() if peer.unavailable is None]
RECIPE = Recipe(encoder=(16, 8), representation=4, epochs=3, batch_size=32, learning_rate=1e-2, dropout=0.1)
TRAIN, VALIDATION, TEST = np.arange(120), np.arange(120, 170), np.arange(170, 220)


def _problem(*, sparse: bool = False) -> tuple[Views, np.ndarray]:
    """Three classes in two views of differing kind and width."""
    rng = np.random.default_rng(0)
    y = np.arange(220) % 3
    made: list[Any] = [
        np.eye(3)[y] @ rng.normal(size=(3, width)) * 1.5 + 0.6 * rng.normal(size=(220, width)) for width in (4, 6)
    ]
    if sparse:
        made = [sp.csr_array(np.where(view > 0.3, view, 0)) for view in made]
    return read_views(made), y


def _quick(peer: Peer) -> Peer:
    """The same with two points."""
    return replace(peer, grid=(peer.grid[0], peer.grid[-1]))


def _accuracy(probability: np.ndarray, labels: np.ndarray) -> float:
    return float((probability.argmax(axis=1) == labels).mean())


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.studies.multiview_peers.peers.TREES", 30)


# -- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [None, (0.3, 2.0, 1.7)])
def test_the_mean_kernel_is_what_a_naive_loop_gives(weights: tuple[float, ...] | None) -> None:
    rng = np.random.default_rng(1)
    rows, columns = rng.random((3, 7)) < 0.6, rng.random((3, 5)) < 0.6
    left, right = [rng.normal(size=(7, 4)) for _ in range(3)], [rng.normal(size=(5, 4)) for _ in range(3)]
    bandwidths = [0.7, 1.0, 2.5]
    expected = np.zeros((7, 5))
    for i in range(7):
        for j in range(5):
            both = [v for v in range(3) if rows[v, i] and columns[v, j]]
            for v in both:
                distance = sum((a - b) ** 2 for a, b in zip(left[v][i], right[v][j], strict=True))
                weight = weights or (1, 1, 1)
                total = [sum(weight[u] for u in range(3) if there[u]) for there in (rows[:, i], columns[:, j])]
                expected[i, j] += weight[v] * np.exp(-distance / (2 * bandwidths[v] ** 2)) / np.sqrt(np.prod(total))
    assert (expected == 0).any(), "some pair should have no common view"
    squared = [squared_distances(a, b) for a, b in zip(left, right, strict=True)]
    np.testing.assert_allclose(mean_kernel(squared, bandwidths, rows, columns, weights), expected, atol=1e-12)


def test_the_mean_kernel_is_positive_semidefinite_whatever_is_missing_and_the_plain_mean_where_nothing_is() -> None:
    rng = np.random.default_rng(4)
    points = [rng.normal(size=(60, width)) for width in (2, 3, 5)]
    squared = [squared_distances(view, view) for view in points]
    present = lacking(np.ones((3, 60), bool), (np.arange(60),), 0.8, (0,))
    kernel = mean_kernel(squared, [1.0, 2.0, 3.0], present, present)
    assert np.linalg.eigvalsh(kernel).min() > -1e-10
    np.testing.assert_allclose(kernel.diagonal(), 1)
    everywhere = np.ones((3, 60), bool)
    plain = np.mean([np.exp(-d / (2 * h**2)) for d, h in zip(squared, (1.0, 2.0, 3.0), strict=True)], axis=0)
    np.testing.assert_allclose(mean_kernel(squared, [1.0, 2.0, 3.0], everywhere, everywhere), plain, atol=1e-12)


def test_one_view_gives_a_gaussian_kernel_and_sparse_rows_the_same() -> None:
    points = np.array([[0.0, 3.0], [4.0, 0.0]])
    everywhere = np.ones((1, 2), bool)
    kernel = mean_kernel([squared_distances(points, points)], [5.0], everywhere, everywhere)
    np.testing.assert_allclose(kernel, [[1, np.exp(-0.5)], [np.exp(-0.5), 1]])
    np.testing.assert_allclose(squared_distances(sp.csr_array(points), sp.csr_array(points)), [[0, 25], [25, 0]])


def test_the_median_distance_looks_at_pairs_of_different_present_samples() -> None:
    points = np.array([[0.0], [1.0], [3.0], [100.0]])
    squared = squared_distances(points, points)
    assert median_distance(squared, np.array([True, True, True, False])) == pytest.approx(2)
    assert median_distance(squared, np.array([True, False, False, False])) == 1
    assert median_distance(np.zeros((3, 3)), np.ones(3, bool)) == 1


# -- counts of a known law --------------------------------------------------------------------------------------------


def test_the_posterior_of_counts_is_that_of_poisson_laws() -> None:
    counts = draw_counts(CountSettings(samples=12, classes=3, views=2, features=40, topics=4, words=15), 5)
    views = read_views({view_name(number): matrix for number, matrix in enumerate(counts.views)})
    present = np.ones((2, 12), bool)
    present[0, ::2] = False
    found = np.exp(counts.log_posterior(hidden(views, present)))
    from scipy.stats import poisson

    for sample in range(12):
        score = np.zeros(3)
        for view in range(2):
            if present[view, sample]:
                row = counts.views[view].toarray()[sample]
                score += poisson.logpmf(row, 15 * np.exp(counts.log_words[view])).sum(axis=1)
        expected = np.exp(score - score.max())
        np.testing.assert_allclose(found[sample], expected / expected.sum(), atol=1e-9)


@pytest.mark.slow
def test_counts_follow_their_law_and_their_posterior_is_calibrated() -> None:
    law = CountSettings(samples=4000, classes=4, views=2, features=60, topics=5, words=6)
    counts = draw_counts(law, 0)
    for matrix, log_words in zip(counts.views, counts.log_words, strict=True):
        np.testing.assert_allclose(np.exp(log_words).sum(axis=1), 1)
        for label in range(4):
            mean = matrix[np.flatnonzero(counts.labels == label)].toarray().mean(axis=0)
            np.testing.assert_allclose(mean, 6 * np.exp(log_words[label]), atol=0.25)
    views = read_views({view_name(number): matrix for number, matrix in enumerate(counts.views)})
    posterior = np.exp(counts.log_posterior(views))
    assert equal_mass_calibration_error(posterior, counts.labels) < 0.03
    assert 0.4 < _accuracy(posterior, counts.labels) < 0.999
    # No view alone, and so no answer without one, is better than both in expectation.
    alone = np.exp(counts.log_posterior(without(views, 1)))
    assert _accuracy(alone, counts.labels) < _accuracy(posterior, counts.labels)


# -- what is missing --------------------------------------------------------------------------------------------------


def test_as_many_lose_a_view_as_asked_and_larger_shares_hold_smaller_ones() -> None:
    present = np.ones((3, 100), bool)
    present[1:, 7] = False
    parts = (np.arange(60), np.arange(60, 100))
    half, quarter = (lacking(present, parts, share, (0, 0)) for share in (0.5, 0.25))
    assert (~quarter[:, 60:]).sum() == 10
    assert (~half[:, 60:]).sum() == 20
    assert (~half).sum(axis=0).max() <= 2  # sample 7 lacked two before
    assert half[0, 7]
    assert (half <= quarter).all()
    assert (lacking(present, parts, 0.0, (0, 0)) == present).all()
    everyone = lacking(np.ones((3, 3000), bool), (np.arange(3000),), 1.0, (1, 0))
    np.testing.assert_allclose((~everyone).mean(axis=1), 1 / 3, atol=0.04)


def test_samples_of_rows_keep_classes_in_proportion() -> None:
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    rows = stratified_sample(labels, np.arange(100), 20, (0,), least=1)
    assert np.bincount(labels[rows]).tolist() == [12, 6, 2]
    assert len(np.unique(rows)) == 20
    assert np.bincount(labels[stratified_sample(labels, np.arange(100), 5, (0,), least=1)]).tolist() == [3, 1, 1]
    assert np.bincount(labels[stratified_sample(labels, np.arange(100), 3, (0,), least=1)]).tolist() == [1, 1, 1]
    assert not np.array_equal(rows, stratified_sample(labels, np.arange(100), 20, (1,), least=1))
    with pytest.raises(InputError, match="ask for more"):
        stratified_sample(labels, np.arange(100), 2, (0,), least=1)
    with pytest.raises(InputError, match="ask for fewer"):
        stratified_sample(labels, np.arange(100), 101, (0,), least=1)


def test_learning_rows_never_hold_test_samples_and_folds_must_be_usable() -> None:
    labels = np.repeat(np.arange(4), 50)
    (codes,) = stratified_folds(labels, 1)
    training, validation = learning_rows(codes, labels, 90, 0, 0)
    assert len(training) + len(validation) == 90
    assert (codes[training] == 0).all()
    assert (codes[validation] == 1).all()
    unlearned = codes.copy()
    unlearned[labels == 2] = 2
    with pytest.raises(InputError, match="class 2"):
        learning_rows(unlearned, labels, None, 0, 0)
    with pytest.raises(InputError, match="no validation"):
        learning_rows(np.where(codes == 1, 0, codes), labels, None, 0, 0)
    with pytest.raises(InputError, match="rows is 1000"):
        learning_rows(codes, labels, 1000, 0, 0)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_missing_row_is_the_mean_of_scaled_training_rows(sparse: bool) -> None:
    views, _ = _problem(sparse=sparse)
    present = np.ones((2, 220), bool)
    present[0, 5:9] = False
    seen = hidden(views, present)
    scaling = Scaling(seen)
    dense = [matrix.toarray() if sparse else matrix for matrix in scaling(seen)]
    np.testing.assert_allclose(dense[0][5:9], np.tile(dense[0][present[0]].mean(axis=0), (4, 1)), atol=1e-6)
    if not sparse:
        np.testing.assert_allclose(dense[1].mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(dense[1].std(axis=0), 1, atol=1e-5)
    else:
        assert (dense[1][views.matrices[1].toarray() == 0] == 0).all()


@pytest.mark.parametrize("sparse", [False, True])
def test_views_given_as_a_user_gives_them_are_read_back(sparse: bool) -> None:
    views, _ = _problem(sparse=sparse)
    present = np.ones((2, 220), bool)
    present[0, 3:6] = False
    seen = hidden(views, present)
    again = read_views(as_given(seen))
    assert (again.present == seen.present).all()
    for first, second in zip(again.matrices, seen.matrices, strict=True):
        assert (first != second).sum() == 0


# -- peers ------------------------------------------------------------------------------------------------------------


def test_every_grid_has_as_many_points_and_every_name_a_row() -> None:
    assert {len(peer.grid) for peer in PEERS.values()} == {POINTS}
    assert all(len({str(point) for point in peer.grid}) == POINTS for peer in PEERS.values())
    assert set(get_args(PeerName)) == {*OWN, *PEERS}


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", HERE)
def test_a_peer_learns_answers_without_a_view_and_has_probabilities(name: str, sparse: bool) -> None:
    views, y = _problem(sparse=sparse)
    rng = np.random.default_rng(2)
    present = np.ones((2, 220), bool)
    present[rng.integers(0, 2, 220), np.arange(220)] = rng.random(220) < 0.7
    seen = hidden(views, present)
    peer = _quick(PEERS[name])
    made = tuned(peer, select(seen, TRAIN), y[TRAIN], select(seen, VALIDATION), y[VALIDATION], 0)
    probability = made.model(select(seen, TEST))
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert _accuracy(probability, y[TEST]) > (0.6 if sparse else 0.75)
    gone = np.ones((2, 50), bool)
    gone[0] = False
    assert _accuracy(made.model(hidden(select(views, TEST), gone)), y[TEST]) > 0.5
    assert made.validation_accuracy > 0.6
    assert {key for key in made.chosen if key != "temperature"} == set(peer.grid[0])


@pytest.mark.parametrize("name", HERE)
def test_two_classes_and_a_class_that_a_view_never_shows(name: str) -> None:
    views, y = _problem()
    two = np.minimum(y, 1)
    peer = replace(PEERS[name], grid=(PEERS[name].grid[4],))
    made = tuned(peer, select(views, TRAIN), two[TRAIN], select(views, VALIDATION), two[VALIDATION], 0)
    assert _accuracy(made.model(select(views, TEST)), two[TEST]) > 0.8
    present = np.ones((2, 220), bool)
    present[0, y == 2] = False
    seen = hidden(views, present)
    made = tuned(peer, select(seen, TRAIN), y[TRAIN], select(seen, VALIDATION), y[VALIDATION], 0)
    assert _accuracy(made.model(select(seen, TEST)), y[TEST]) > 0.7


def test_late_fusion_is_the_normalised_mean_of_log_probabilities_over_present_views() -> None:
    views, y = _problem()
    (fused,) = PEERS["late-fusion"].fit(select(views, TRAIN), y[TRAIN], [{"C": 1.0}], 0)
    alone = []
    for view in range(2):
        (scorer,) = PEERS["logistic"].fit(without(select(views, TRAIN), 1 - view), y[TRAIN], [{"C": 1.0}], 0)
        alone.append(scorer(without(select(views, TEST), 1 - view)))
    mean = (alone[0] + alone[1]) / 2
    expected = mean - np.log(np.exp(mean).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(fused(select(views, TEST)), expected, atol=1e-6)
    gone = np.ones((2, 50), bool)
    gone[1] = False
    np.testing.assert_allclose(fused(hidden(select(views, TEST), gone)), alone[0], atol=1e-6)


@pytest.mark.parametrize("factor", [1e-4, 1e-2, 1.0, 5.0])
def test_the_temperature_follows_the_scale_of_the_scores(factor: float) -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(4000, 4)) * 2
    probability = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    labels = (rng.random((4000, 1)) > probability.cumsum(axis=1)).sum(axis=1)
    assert suiting_temperature(factor * scores, labels) == pytest.approx(factor, rel=0.06)
    assert suiting_temperature(np.zeros((40, 4)), labels[:40]) > 0


def test_validation_samples_choose_and_are_learned_from() -> None:
    views, y = _problem()
    given = select(views, TRAIN), y[TRAIN], select(views, VALIDATION)
    seen: list[tuple[int, int]] = []

    def fit(rows: Views, labels: np.ndarray, points: Any, seed: int) -> Any:
        seen.append((rows.samples, len(points)))
        yield from PEERS["rbf-svm"].fit(rows, labels, points, seed)

    peer = replace(PEERS["rbf-svm"], fit=fit)
    # Of equal accuracy, the point whose probabilities are better: the same by hand.
    made = tuned(peer, *given, y[VALIDATION], 0)
    assert seen == [(120, POINTS), (170, 1)]
    scorers = list(PEERS["rbf-svm"].fit(given[0], given[1], peer.grid, 0))
    accuracy = [_accuracy(scorer(given[2]), y[VALIDATION]) for scorer in scorers]
    chosen = {key: value for key, value in made.chosen.items() if key != "temperature"}
    assert made.validation_accuracy == max(accuracy) == accuracy[peer.grid.index(chosen)]
    shuffled = np.random.default_rng(0).permutation(y[VALIDATION])
    assert tuned(peer, *given, shuffled, 0).chosen != made.chosen


# -- the study --------------------------------------------------------------------------------------------------------


def _slice(folder: Path, poison: Callable[[np.ndarray], np.ndarray] | None = None) -> Path:
    """Three classes and three views of the digits, with two folds; test samples may be poisoned."""
    data = digits()
    keep = np.flatnonzero(data.labels < 3)[:150]
    labels = data.labels[keep].copy()
    folds = stratified_folds(labels, 2)[:1].repeat(2, axis=0) if poison else stratified_folds(labels, 2)
    views = {name: np.asarray(data.views[name])[keep] for name in data.view_names[1:4]}
    if poison:
        test = folds[0] == 2
        views = {name: np.where(test[:, np.newaxis], poison(view), view) for name, view in views.items()}
        labels[test] = (labels[test] + 1) % 3
    file = folder / "slice.npz"
    save(assemble("slice", views, labels, folds=folds), file)
    return file


def _settings(file: Path, **changes: Any) -> MultiviewPeersSettings:
    made = MultiviewPeersSettings(data=str(file), peers=("limbeck", "limbeck-one-network", "logistic", "mean-kernels"))
    return replace(made, recipe=RECIPE, shares=(0.0, 0.5), **changes)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MultiviewPeersResult]:
    folder = tmp_path_factory.mktemp("peers")
    return folder, run(_settings(_slice(folder)), folder / "out")


@pytest.mark.slow
def test_every_condition_of_every_peer_has_figures(done: tuple[Path, MultiviewPeersResult]) -> None:
    result = done[1]
    assert result.rows() == ["limbeck", "limbeck-one-network", "logistic", "mean-kernels", CHOSEN]
    groups = result.groups()
    assert list(groups) == [
        ALL,
        "one view missing at test",
        "one view missing, peers refitted without it",
        "0% of test samples lack a view",
        "50% of test samples lack a view",
        "0% of all samples lack a view",
        "50% of all samples lack a view",
    ]
    for row in result.rows():
        for conditions in groups.values():
            assert len(result.values(row, conditions)) == 2
        assert result.values(row, groups["0% of all samples lack a view"]) == result.values(row, ALL)
    assert np.mean(result.values("logistic", ALL)) > 0.85
    # limbeck is not refitted without a view, the peers are.
    assert result.values("limbeck", "refitted without fourier") == result.values("limbeck", "no fourier")
    assert ("limbeck", "without-0") not in result.trials
    each = [result.values("logistic", f"no {name}") for name in result.view_names]
    assert result.values("logistic", groups["one view missing at test"]) == pytest.approx(np.mean(each, axis=0))
    assert result.against("logistic", ALL) == paired_difference(
        result.values("limbeck", ALL), result.values("logistic", ALL), test_to_train=result.test_to_train
    )


@pytest.mark.slow
def test_what_is_done_is_not_done_again(done: tuple[Path, MultiviewPeersResult]) -> None:
    folder, result = done
    files = {file: file.stat().st_mtime_ns for file in (folder / "out").rglob("fold-*.json")}
    # Two folds; all views and a share missing, and for the peers each of three views gone.
    assert len(files) == 2 * (2 * 2 + 2 * (2 + 3))
    again = run(_settings(folder / "slice.npz"), folder / "out")
    assert again == result
    assert files == {file: file.stat().st_mtime_ns for file in (folder / "out").rglob("fold-*.json")}
    damaged = next(iter(files))
    text = damaged.read_text()
    damaged.write_text(text[:40])
    with pytest.raises(InputError, match="damaged"):
        run(_settings(folder / "slice.npz"), folder / "out")
    damaged.write_text(text)
    with pytest.raises(InputError, match="other settings"):
        run(_settings(folder / "slice.npz", rows=60), folder / "out")


@pytest.mark.slow
def test_two_jobs_find_the_same(done: tuple[Path, MultiviewPeersResult], tmp_path: Path) -> None:
    folder, result = done
    settings = _settings(folder / "slice.npz", jobs=2, missing=())
    found = run(replace(settings, peers=("logistic", "mean-kernels")), tmp_path)
    for row in ("logistic", "mean-kernels"):
        assert found.values(row, ALL, "cross_entropy") == result.values(row, ALL, "cross_entropy")


@pytest.mark.slow
def test_the_report_holds_every_figure(done: tuple[Path, MultiviewPeersResult], tmp_path: Path) -> None:
    result = done[1]
    files = write_report(result, tmp_path)
    assert [file.name for file in files] == [f"multiview-peers.{suffix}" for suffix in ("json", "txt", "png")]
    held = json.loads(files[0].read_text())
    assert held["grids"]["logistic"] == list(PEERS["logistic"].grid)
    assert len(held["trials"]) == sum(len(trials) for trials in result.trials.values())
    assert len(held["differences"]) == 3 * 4 * len(result.groups())
    assert held["chosen_on_validation"] == [result.chosen_peer("complete", fold) for fold in range(2)]
    text = files[1].read_text()
    values = result.values("logistic", ALL)
    assert f"{100 * np.mean(values):.2f} ± {100 * np.std(values, ddof=1):.2f}" in text
    assert "limbeck-one-network" in text
    assert max(len(line) for line in text.splitlines() if "─" in line) <= 230
    assert "15 bins of equal mass" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", [*HERE, "limbeck"])
def test_test_samples_choose_nothing(name: Any, tmp_path: Path) -> None:
    found = []
    for poison in (lambda view: view, lambda view: np.full_like(view, 1e6), lambda view: -view[::-1]):
        folder = tmp_path / str(len(found))
        folder.mkdir()
        settings = _settings(_slice(folder, poison), rows=60, missing=())
        result = run(replace(settings, peers=(name,)), folder)
        trials = result.trials[name, "complete"]
        found.append([(one.chosen, one.validation_accuracy, one.validation_cross_entropy) for one in trials])
    assert found[0] == found[1] == found[2]


def test_drawn_counts_have_the_best_possible_beside_them(tmp_path: Path) -> None:
    law = CountSettings(samples=300, classes=3, views=2, features=100, topics=5, words=8)
    settings = MultiviewPeersSettings(
        data="sparse-counts", folds=2, peers=("logistic",), counts=law, shares=(0.5,), missing=("each", "test")
    )
    result = run(settings, tmp_path)
    assert result.rows() == ["logistic", TRUTH]
    assert result.sizes["samples"] == 300
    for conditions in result.groups().values():
        best, own = (np.mean(result.values(row, conditions, "cross_entropy")) for row in (TRUTH, "logistic"))
        assert best < own
    assert result.seconds(TRUTH) is None
    assert "best-possible" in format_report(result)


def test_samples_that_have_no_other_view_are_left_out_of_its_condition(tmp_path: Path) -> None:
    views, y = _problem()
    present = np.ones((2, 220), bool)
    present[1, :9] = False
    folds = np.zeros((1, 220), np.int8)
    folds[0, VALIDATION], folds[0, TEST] = 1, 2
    folds[0, :3] = 2
    given = as_given(hidden(views, present))
    save(assemble("lacking", given, y, folds=folds), tmp_path / "lacking.npz")
    settings = _settings(tmp_path / "lacking.npz", missing=("each", "refitted"))
    result = run(replace(settings, peers=("logistic",)), tmp_path / "out")
    assert all(0 < value <= 1 for group in result.groups().values() for value in result.values("logistic", group))


def _figures(value: float) -> Scores:
    return Scores(value, 1 - value, 0.1)


def test_what_is_clear_of_zero_is_said_with_its_direction() -> None:
    given = {"limbeck": (0.90, 0.91, 0.92), "logistic": (0.80, 0.81, 0.83), "mean-kernels": (0.95, 0.85, 0.92)}
    trials = {(row, "complete"): tuple(Trial({ALL: _figures(v)}) for v in values) for row, values in given.items()}
    settings = MultiviewPeersSettings(missing=(), peers=("limbeck", "logistic", "mean-kernels", "lightgbm"))
    sizes = {"samples": 100, "classes": 3, "training": 70, "validation": 20, "test": 10}
    result = MultiviewPeersResult(settings, "made", sizes, ("a", "b"), 1 / 7, 3, {"lightgbm": "is away"}, trials)
    lines = clear_of_zero(result)
    assert lines[0].startswith(f"{ALL}, accuracy: limbeck is clearly better than logistic, {CHOSEN}; not clearly")
    assert lines[1].startswith(f"{ALL}, cross-entropy: limbeck is clearly better than logistic, {CHOSEN}; not clearly")
    # The calibration errors are all the same, which says nothing of their spread.
    assert lines[2:] == [
        f"{ALL}, expected calibration error: limbeck is the same distance in every fold from logistic, mean-kernels, "
        f"{CHOSEN}."
    ]
    text = format_report(result)
    assert "is away" in text
    assert json.dumps(as_json(result), allow_nan=False)
    # Chosen fold by fold: all validation accuracies are equal here, so that it is the first.
    assert result.values(CHOSEN, ALL) == list(given["logistic"])


def test_accuracy_against_the_share_missing_is_a_curve(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    falls = {"limbeck": 0.05, "logistic": 0.3, "late-fusion": 0.2}

    def at(row: str, share: float) -> Scores:
        return _figures(0.95 - falls[row] * share + 0.01 * float(rng.normal()))

    trials = {}
    for row in falls:
        asked = [{ALL: at(row, 0), "test 0.25": at(row, 0.25), "test 0.5": at(row, 0.5)} for _ in range(3)]
        trials[row, "complete"] = tuple(Trial(one) for one in asked)
        for share in (0.25, 0.5):
            trials[row, f"share-{share:g}"] = tuple(Trial({f"both {share:g}": at(row, share)}) for _ in range(3))
    settings = MultiviewPeersSettings(
        missing=("test", "both"), shares=(0.25, 0.5), peers=("limbeck", "logistic", "late-fusion")
    )
    sizes = {"samples": 100, "classes": 3, "training": 70, "validation": 20, "test": 10}
    result = MultiviewPeersResult(settings, "made", sizes, ("a", "b"), 1 / 7, 3, {}, trials)
    assert result.curves() == {
        "of test samples lack a view": ((0.0, ALL), (0.25, "test 0.25"), (0.5, "test 0.5")),
        "of all samples lack a view": ((0.0, ALL), (0.25, "both 0.25"), (0.5, "both 0.5")),
    }
    files = write_report(result, tmp_path)
    assert files[-1].name == "multiview-peers-shares.png"
    assert files[-1].read_bytes().startswith(b"\x89PNG")
    held = {
        (one["row"], one["share"], one["of"]): one["accuracy"] for one in json.loads(files[0].read_text())["curves"]
    }
    assert len(held) == 4 * 3 * 2
    text = files[1].read_text()
    for row in falls:
        for kind, words in (("test", "of test samples lack a view"), ("both", "of all samples lack a view")):
            values = result.values(row, f"{kind} 0.5")
            half = 4.302652729911275 * np.std(values, ddof=1) * np.sqrt(1 / 3 + 1 / 7)  # Student, 2 degrees of freedom
            mean = np.mean(values)
            found = held[row, 0.5, words]
            assert list(found.values()) == pytest.approx([mean, mean - half, mean + half])
            assert f"{100 * mean:.2f} [{100 * (mean - half):.2f}, {100 * (mean + half):.2f}]" in text
    # One share above 0 is no curve.
    single = replace(result, settings=replace(settings, shares=(0.0, 0.5)))
    assert single.curves() == {}
    assert [file.name for file in write_report(single, tmp_path / "single")][-1] == "multiview-peers.png"
    one_fold = replace(result, folds=1)
    line = next(line for line in format_report(one_fold).split("by how many")[1].splitlines() if "logistic" in line)
    points = (ALL, "test 0.25", "test 0.5")  # without an interval
    assert line.split() == ["logistic", *(f"{100 * one_fold.values('logistic', one)[0]:.2f}" for one in points)]
    write_report(one_fold, tmp_path / "one")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "nowhere.npz"], ["nowhere.npz", "no such file"]),
        (["--rows", "5000"], ["rows is 5000", "ask for fewer"]),
        (["--rows", "8"], ["rows leaves", "ask for more"]),
        (["--peers", "[lightgbm]"], ["lightgbm is not installed"]),
        (["--shares", "[0.5,0.25]"], ["shares"]),
        (["--peers", "[]"], ["peers"]),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str], words: list[str], refused: Callable[..., None], tmp_path: Path
) -> None:
    if arguments == ["--peers", "[lightgbm]"] and PEERS["lightgbm"].unavailable is None:
        pytest.skip("lightgbm is installed")
    refused(["study", "multiview-peers", *arguments, "--out", tmp_path], *words)


def test_a_single_view_cannot_be_missing(tmp_path: Path) -> None:
    data = load("digits")
    save(assemble("single", {"pixels": data.views["pixels"]}, data.labels, folds=data.folds), tmp_path / "one.npz")
    with pytest.raises(InputError, match="one view"):
        run(MultiviewPeersSettings(data=str(tmp_path / "one.npz")), tmp_path)
