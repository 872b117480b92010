"""The kernel path against regressions that are solved one by one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from limbeck.multiview import kernel_choice, kernel_path
from limbeck.multiview.kernel_choice import Choice, balance, choose
from limbeck.multiview.kernel_path import KernelPath, fit_kernel_path, pattern_of
from limbeck.multiview.kernels import mean_kernel, mean_with_joint, squared_distances
from limbeck.multiview.views import Views, read_views, select

CLASSES = 3


def world(samples: int, seed: int, *, lacking: float = 0.0) -> tuple[Views, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = np.arange(samples) % CLASSES
    centres = generator.normal(size=(3, CLASSES, 4))
    matrices = [centres[view][labels] + 1.2 * generator.normal(size=(samples, 4)) for view in range(3)]
    absent = generator.random((3, samples)) < lacking
    absent[0] &= ~absent.all(axis=0)
    for matrix, gone in zip(matrices, absent, strict=True):
        matrix[gone] = np.nan
    return read_views(matrices), labels


def explicit(
    path: KernelPath,
    views: Views,
    labels: np.ndarray,
    rows: np.ndarray,
    asked: np.ndarray,
    weight: np.ndarray,
    *,
    several: bool = False,
) -> np.ndarray:
    """Scores of some samples by kernel ridge regression on others, in plain steps.

    The joint kernel is that of the views that any row has; `several`: there is none, for samples that lack several.
    """
    scaled = [scaling(matrix) for scaling, matrix in zip(path.scalings, views.matrices, strict=True)]  # type: ignore[arg-type]

    def kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        squared = [squared_distances(matrix[first], matrix[second]) for matrix in scaled]
        present = views.present[:, first], views.present[:, second]
        if path.choice.joint is None or several:
            return mean_kernel(squared, path.bandwidths, *present, path.choice.weights)
        there = views.present.any(axis=1)
        medians = np.array(path.bandwidths) / path.choice.bandwidth
        return naive_mean_with_joint(
            squared, path.bandwidths, medians, path.choice.weights, path.choice.joint, *present, there
        )

    target = np.eye(len(path.shares))[labels[rows]] - path.shares
    weights = balance(labels[rows], weight[rows]) if path.choice.balanced else weight[rows]
    system = kernel(rows, rows) + path.choice.ridge * np.diag(1 / weights)
    return path.shares + kernel(asked, rows) @ np.linalg.solve(system, target)


def naive_mean_with_joint(
    squared: Any, bandwidths: Any, medians: Any, weights: Any, joint: float, rows: Any, columns: Any, there: Any
) -> np.ndarray:
    """Entry by entry, as the formula has it; `there`: which views are asked for."""
    views = np.flatnonzero(there)
    whole = sum(weights[view] for view in views)
    result = np.zeros(squared[0].shape)
    for i, j in np.ndindex(result.shape):
        both = [view for view in views if rows[view, i] and columns[view, j]]
        top = sum(weights[view] * np.exp(-squared[view][i, j] / (2 * bandwidths[view] ** 2)) for view in both)
        if len(both) == len(views):
            distance = sum(weights[view] / whole * squared[view][i, j] / medians[view] ** 2 for view in views)
            top += whole * np.exp(-distance / (2 * joint**2))
        sizes = []
        for present in (rows[views, i], columns[views, j]):
            sizes.append(sum(np.array(weights)[views][present]) + (whole if present.all() else 0))
        result[i, j] = top / np.sqrt(sizes[0] * sizes[1]) if both else 0
    return result


@pytest.fixture(
    params=[((1.0, 1.0, 1.0), None), ((2.3, 0.5, 0.2), None), ((1.0, 1.0, 1.0), 0.5), ((2.3, 0.5, 0.2), 0.8)],
    ids=["alike", "weighed", "alike-joint", "weighed-joint"],
)
def weighed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[tuple[float, ...], float | None]:
    """Weights of views, whether classes weigh alike, and the joint kernel, whatever leaving one out says."""
    weights, joint = request.param

    def chosen(*given: Any) -> Choice:
        return dataclasses.replace(choose(*given), weights=weights, joint=joint, balanced=weights != (1.0, 1.0, 1.0))

    monkeypatch.setattr(kernel_path, "choose", chosen)
    return weights, joint


def test_the_joint_kernel_is_its_formula_and_positive_semidefinite() -> None:
    generator = np.random.default_rng(30)
    present = generator.random((3, 25)) < 0.7
    points = [generator.normal(size=(25, 2)) for _ in range(3)]
    squared = [squared_distances(one, one) for one in points]
    given = squared, (0.7, 1.2, 0.4), (1.5, 1.1, 2.0), (1.0, 0.3, 2.0), 0.6
    found = mean_with_joint(*given, present, present)
    np.testing.assert_allclose(found, naive_mean_with_joint(*given, present, present, np.ones(3, bool)), atol=1e-12)
    assert np.linalg.eigvalsh(found)[0] > -1e-10
    np.testing.assert_allclose(np.diag(found)[present.any(axis=0)], 1)
    present[1] = False
    found = mean_with_joint(*given, present, present, left_out=1)
    expected = naive_mean_with_joint(*given, present, present, np.array([True, False, True]))
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.usefixtures("weighed")
@pytest.mark.parametrize("lacking", [0.0, 0.4])
@pytest.mark.parametrize("weighted", [False, True])
def test_scores_and_held_out_scores_are_those_of_plain_regressions(lacking: float, weighted: bool) -> None:
    views, labels = world(90, 0, lacking=lacking)
    labels[labels == 1] *= np.arange(30) % 3 > 0  # classes of 40, 20 and 30
    rows, asked = np.arange(60), np.arange(60, 90)
    weight = np.random.default_rng(1).uniform(0.2, 2, 90) if weighted else np.ones(90)
    parts = [rows[number::4] for number in range(4)]
    path, held = fit_kernel_path(views, labels, rows, parts, classes=CLASSES, weights=weight)
    of = pattern_of(views.present[:, asked], -1)
    found = path.scores(select(views, asked))
    expected = explicit(path, views, labels, rows, asked, weight)
    np.testing.assert_allclose(found[of == 0], expected[of == 0], atol=2e-4)
    expected = explicit(path, views, labels, rows, asked, weight, several=True)
    np.testing.assert_allclose(found[of == -1], expected[of == -1], atol=2e-4)
    for number, part in enumerate(parts):
        others = np.setdiff1d(rows, part)
        of = pattern_of(views.present[:, part], -1)
        found = held.by_solution[0][sum(map(len, parts[:number])) :][: len(part)]
        for several in (False, True):
            same = (of == -1) if several else (of == 0) | ((of > 0) & (path.choice.joint is None))
            expected = explicit(path, views, labels, others, part, weight, several=several)
            np.testing.assert_allclose(found[same], expected[same], atol=2e-4)


@pytest.mark.usefixtures("weighed")
def test_without_a_view_it_is_the_regression_of_samples_that_never_had_it() -> None:
    views, labels = world(80, 3)
    rows, asked = np.arange(60), np.arange(60, 80)
    parts = [rows[::2], rows[1::2]]
    path, held = fit_kernel_path(views, labels, rows, parts, classes=CLASSES)
    gone = views.present.copy()
    gone[1] = False
    hidden = Views(views.names, views.matrices, gone)
    expected = explicit(path, hidden, labels, rows, asked, np.ones(80))
    np.testing.assert_allclose(path.scores(select(hidden, asked)), expected, atol=2e-4)
    expected = explicit(path, hidden, labels, parts[1], parts[0], np.ones(80))
    np.testing.assert_allclose(held.by_solution[2][: len(parts[0])], expected, atol=2e-4)


def test_terms_of_views_add_up_to_the_scores(weighed: tuple[tuple[float, ...], float | None]) -> None:
    weights, joint = weighed
    views, labels = world(60, 5, lacking=0.3)
    rows = np.arange(60)
    parts = [rows[::2], rows[1::2]]
    path, held = fit_kernel_path(views, labels, rows, parts, classes=CLASSES)
    present = views.present[:, np.concatenate(parts)]
    added = (held.terms * present[:, :, np.newaxis]).sum(axis=0) / np.sqrt(np.array(weights) @ present)[:, np.newaxis]
    several = (~present).sum(axis=0) > 1
    same = several if joint is not None else np.ones(60, bool)
    assert several.any()
    np.testing.assert_allclose(path.shares + added[same], held.by_solution[0][same], atol=1e-5)


@pytest.mark.parametrize("count", [2, 3])
def test_beside_a_joint_kernel_held_out_rows_are_scored_as_the_path_answers_the_same_views(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(kernel_path, "choose", lambda *given: dataclasses.replace(choose(*given), joint=0.6))
    views, labels = world(70, 9, lacking=0.35)
    views = Views(views.names[:count], views.matrices[:count], views.present[:count])
    rows = np.flatnonzero(views.present.any(axis=0))
    parts = [rows[::2], rows[1::2]]
    path, held = fit_kernel_path(views, labels, rows, parts, classes=CLASSES)
    assert len(path.solutions) == (5 if count == 3 else 3)
    start = 0
    for number, part in enumerate(parts):
        some = select(views, part)
        here = slice(start, start := start + len(part))
        for hidden in (None, *range(count)):
            present = some.present & (np.arange(count) != (-1 if hidden is None else hidden))[:, np.newaxis]
            expected = path.part_scores(Views(some.names, some.matrices, present))[number]
            found = held.by_solution[0 if hidden is None else 1 + hidden, here]
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_of_several_missing_views_the_held_out_scores_are_those_of_the_path(
    weighed: tuple[tuple[float, ...], float | None],
) -> None:
    views, labels = world(60, 6)
    rows, asked = np.arange(40), np.arange(40, 60)
    path, held = fit_kernel_path(views, labels, rows, [asked], classes=CLASSES)
    for pattern in ([False, False, True], [True, False, True], [True, True, True]):
        one = np.array(pattern)
        hidden = Views(views.names, views.matrices, np.tile(one[:, np.newaxis], 60))
        found = held.scores(one, np.ones(20, bool))
        np.testing.assert_allclose(found, path.scores(select(hidden, asked)), atol=1e-5)
    assert held.weights == pytest.approx(weighed[0])


@pytest.mark.parametrize("joint", [None, 0.7])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (2.3, 0.5, 0.2)])
def test_all_rows_as_landmarks_of_the_approximation_give_the_exact_solution(
    monkeypatch: pytest.MonkeyPatch, weights: tuple[float, ...], joint: float | None
) -> None:
    given_choice = {"weights": weights, "joint": joint, "balanced": False}
    monkeypatch.setattr(kernel_path, "choose", lambda *given: dataclasses.replace(choose(*given), **given_choice))
    views, labels = world(70, 7)
    rows = np.arange(50)
    parts = [rows[::2], rows[1::2], np.arange(50, 60)]
    path, held = fit_kernel_path(views, labels, rows, parts, classes=CLASSES)
    monkeypatch.setattr(kernel_path, "_Dual", kernel_path._Primal)
    other, approximate = fit_kernel_path(views, labels, rows, parts, classes=CLASSES)
    asked = select(views, np.arange(60, 70))
    np.testing.assert_allclose(other.scores(asked), path.scores(asked), atol=1e-3)
    np.testing.assert_allclose(approximate.by_solution, held.by_solution, atol=1e-3)


def test_of_few_landmarks_balanced_weights_are_those_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    views, labels = world(80, 21)
    labels[labels == 1] *= np.arange((labels == 1).sum()) % 3 > 0
    rows, asked = np.arange(60), np.arange(60, 80)
    monkeypatch.setattr(
        kernel_path, "choose", lambda *given: dataclasses.replace(choose(*given), balanced=True, ridge=0.1)
    )
    path, _ = fit_kernel_path(views, labels, rows, [], classes=CLASSES)
    monkeypatch.setattr(kernel_path, "_Dual", kernel_path._Primal)
    other, _ = fit_kernel_path(views, labels, rows, [rows[::2]], classes=CLASSES)
    expected = explicit(path, views, labels, rows, asked, np.ones(80))
    for one in (path, other):
        assert one.shares == pytest.approx(np.full(CLASSES, 1 / CLASSES))
        np.testing.assert_allclose(one.scores(select(views, asked)), expected, atol=1e-3)


def test_few_landmarks_approximate_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    views, labels = world(400, 8)
    rows, asked = np.arange(300), select(views, np.arange(300, 400))
    path, _ = fit_kernel_path(views, labels, rows, [rows[::2], rows[1::2]], classes=CLASSES)
    monkeypatch.setattr(kernel_path, "LANDMARKS", 150)
    fewer, _ = fit_kernel_path(views, labels, rows, [rows[::2], rows[1::2]], classes=CLASSES)
    assert fewer.solutions.shape == (4, 150, CLASSES)
    agree = fewer.scores(asked).argmax(axis=1) == path.scores(asked).argmax(axis=1)
    assert agree.mean() > 0.9


@pytest.mark.parametrize("joint", [None, 0.5])
@pytest.mark.parametrize("dense", [False, True])
def test_the_approximation_is_what_its_formula_says_with_parts_inside_and_outside(
    monkeypatch: pytest.MonkeyPatch, dense: bool, joint: float | None
) -> None:
    monkeypatch.setattr(kernel_path, "choose", lambda *given: dataclasses.replace(choose(*given), joint=joint))
    generator = np.random.default_rng(15)
    labels = np.arange(120) % CLASSES
    matrices = [generator.poisson(0.2 + generator.random((CLASSES, 40))[labels]).astype(np.float32) for _ in range(2)]
    views = read_views(matrices if dense else [scipy.sparse.csr_array(matrix) for matrix in matrices])
    rows, weight = np.arange(100), generator.uniform(0.3, 2, 120)
    parts = [rows[:30], rows[40:60], np.arange(100, 120)]
    for name, number in (("LANDMARKS", 50), ("BLOCK", 16), ("CHOICE_ROWS", 80)):
        monkeypatch.setattr(kernel_path, name, number)
    path, held = fit_kernel_path(views, labels, rows, parts, classes=CLASSES, weights=weight)
    if path.choice.balanced:
        weight[rows] = balance(labels[rows], weight[rows])
    scaled = [scaling(matrix) for scaling, matrix in zip(path.scalings, views.matrices, strict=True)]  # type: ignore[arg-type]
    places = np.array(
        [np.flatnonzero((np.asarray(_dense(scaled[0])) == row).all(axis=1))[0] for row in _dense(path.landmarks[0])]
    )

    def expected(present: np.ndarray, part: np.ndarray) -> np.ndarray:
        squared = [squared_distances(matrix, matrix[places]) for matrix in scaled]
        given = present, present[:, places]
        kernel = mean_kernel(squared, path.bandwidths, *given, path.choice.weights)
        if joint is not None:
            medians = np.array(path.bandwidths) / path.choice.bandwidth
            hidden = np.flatnonzero(~present.any(axis=1))
            kernel = mean_with_joint(
                squared,
                path.bandwidths,
                medians.tolist(),
                path.choice.weights,
                joint,
                *given,
                left_out=int(hidden[0]) if len(hidden) else None,
            )
        others = np.setdiff1d(rows, part)
        weighted = kernel[others].T * weight[others]
        system = weighted @ kernel[others] + path.choice.ridge * kernel[places]
        return path.shares + kernel[part] @ np.linalg.solve(
            system, weighted @ (np.eye(CLASSES)[labels[others]] - path.shares)
        )

    for pattern in range(3):
        present = views.present.copy()
        present[pattern - 1 if pattern else [], :] = False
        found = np.split(held.by_solution[pattern], np.cumsum([len(part) for part in parts])[:-1])
        for part, scores in zip(parts, found, strict=True):
            np.testing.assert_allclose(scores, expected(present, part), atol=2e-3)


def _dense(matrix: np.ndarray | scipy.sparse.csr_array) -> np.ndarray:
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()


def test_a_sample_in_two_parts_is_refused() -> None:
    views, labels = world(30, 16)
    with pytest.raises(ValueError, match="parts share a sample"):
        fit_kernel_path(views, labels, np.arange(30), [np.arange(5), np.arange(4, 9)], classes=CLASSES)


@pytest.mark.parametrize("balanced", [False, True])
def test_leaving_one_out_in_closed_form(balanced: bool) -> None:
    views, _ = world(40, 9)
    labels = np.repeat(np.arange(6), [20, 12, 3, 2, 2, 1])  # the last is alone in its class
    weight = np.random.default_rng(0).uniform(0.5, 2, 40)
    squared = [squared_distances(matrix, matrix) for matrix in views.matrices]  # type: ignore[arg-type]
    kernel = mean_kernel(squared, [2.0] * 3, views.present, views.present)
    onehot = np.eye(6)[labels]
    of_row = balance(labels, weight) if balanced else weight
    shares = np.average(onehot, axis=0, weights=of_row)
    ridge = kernel_choice.RIDGES[6]
    scores = np.empty((40, 6))
    for row in range(40):
        others = np.delete(np.arange(40), row)
        left = of_row.copy()
        size = (labels == labels[row]).sum()
        if balanced and 1 < size <= kernel_choice.FEW:
            left[labels == labels[row]] *= size / (size - 1)
        system = kernel[np.ix_(others, others)] + ridge * np.diag(1 / left[others])
        scores[row] = shares + kernel[row, others] @ np.linalg.solve(system, onehot[others] - shares)
    expected = kernel_choice._each_nats(scores[:39], labels[:39])
    found = kernel_choice._LeftOut(labels, weight, 6, balanced=balanced)
    np.testing.assert_allclose(found.each_nats(kernel, ridge), expected, rtol=1e-3)
    assert found.nats_by_ridge(kernel)[6] == pytest.approx(expected.mean(), rel=1e-4)


def test_balanced_weights_are_those_of_the_samples_where_classes_are_as_large() -> None:
    weight = np.random.default_rng(0).uniform(0.5, 2, 12)
    np.testing.assert_allclose(balance(np.arange(12) % 4, weight), weight)
    found = balance(np.array([5, 5, 5, 2]), np.ones(4))
    np.testing.assert_allclose(found, [2 / 3, 2 / 3, 2 / 3, 2])


def test_few_samples_of_many_classes_of_which_some_have_fewer() -> None:
    """One to three of each class: a class of one must not be lost beside those of three."""
    generator = np.random.default_rng(20)
    centres = generator.normal(size=(3, 40, 12))
    counts = np.r_[1 + np.arange(40) % 3, np.full(40, 10)]
    labels = np.repeat(np.tile(np.arange(40), 2), counts)
    views = read_views([of_view[labels] + 0.9 * generator.normal(size=(len(labels), 12)) for of_view in centres])
    learned = int(counts[:40].sum())
    rows, asked = np.arange(learned), np.arange(learned, len(labels))
    path, _ = fit_kernel_path(views, labels, rows, [], classes=40)
    assert path.choice.balanced
    right = path.scores(select(views, asked)).argmax(axis=1) == labels[asked]
    single = counts[labels[asked]] == 1
    assert right[single].mean() > 0.75
    assert right.mean() > 0.85


def test_of_ridges_that_leaving_one_out_cannot_tell_apart_the_largest_is_chosen() -> None:
    views, labels = world(60, 17)
    found = choose(views, labels, np.arange(60), np.ones(60), CLASSES)
    squared = [
        kernel_choice._own_distances(name, matrix, here)  # type: ignore[arg-type]
        for name, matrix, here in zip(found.scalings, views.matrices, views.present, strict=True)
    ]
    kernel = mean_kernel(squared, [found.bandwidth] * 3, views.present, views.present, found.weights)
    nats = np.array(kernel_choice._LeftOut(labels, np.ones(60), CLASSES, balanced=False).nats_by_ridge(kernel))
    number = kernel_choice.RIDGES.index(found.ridge)
    assert nats[number] <= nats.min() * 1.001
    assert (nats[number + 1 :] > nats.min() * 1.001).all()


def test_views_that_tell_nothing_weigh_little_and_that_is_better_of_samples_to_come() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(2200) % CLASSES
    told = generator.normal(size=(CLASSES, 4))[labels] + generator.normal(size=(2200, 4))
    views = read_views([told, *generator.normal(size=(2, 2200, 4))])
    rows, asked = np.arange(200), np.arange(200, 2200)
    path, _ = fit_kernel_path(views, labels, rows, [], classes=CLASSES)
    weights = path.choice.weights
    assert weights[0] > 1.5 * max(weights[1:])
    assert np.mean(weights) == pytest.approx(1)
    nats = {}
    for given in (weights, (1.0, 1.0, 1.0)):
        known = dataclasses.replace(path, choice=dataclasses.replace(path.choice, weights=given))
        scores = explicit(known, views, labels, rows, asked, np.ones(2200))
        nats[given] = kernel_choice.mean_nats(scores, labels[asked])
    assert nats[weights] < nats[1.0, 1.0, 1.0] - 0.005


def test_views_weigh_alike_where_nothing_says_otherwise() -> None:
    views, labels = world(60, 19)
    same = Views(views.names, (views.matrices[0],) * 3, views.present)
    assert choose(same, labels, np.arange(60), np.ones(60), CLASSES).weights == (1.0, 1.0, 1.0)
    # A step that is better in few rows, by chance: 1.5 standard errors, as 2 or 3 steps of many would be.
    generator = np.random.default_rng(0)
    noise = generator.normal(size=100)
    noise = (noise - noise.mean()) / noise.std(ddof=1)

    def left_out(weights: np.ndarray) -> np.ndarray:
        return 1.0 + (weights[0] != weights[1]) * (noise - 0.15)

    assert kernel_choice._weigh(left_out, [4, 4]) == (1.0, 1.0)


def test_a_weight_is_kept_only_where_all_steps_together_are_clear() -> None:
    spread = np.linspace(-1, 1, 100)
    spread /= spread.std(ddof=1)

    def told(errors: float) -> Callable[[np.ndarray], np.ndarray]:
        """Better by so many standard errors where the first view weighs more."""
        return lambda weights: 1.0 - (weights[0] > weights[1]) * (spread + errors / 10)

    assert kernel_choice._weigh(told(2.3), [4, 4]) == (1.0, 1.0)
    assert kernel_choice._weigh(told(2.7), [4, 4]) == pytest.approx((4 / 3, 2 / 3))
    assert kernel_choice._weigh(told(2.7), [16, 4]) == pytest.approx((4 / 3, 2 / 3))  # roots of 16 and 4


def test_it_chooses_the_scaling_that_suits_each_view() -> None:
    generator = np.random.default_rng(10)
    labels = np.arange(150) % CLASSES
    centres = generator.normal(size=(CLASSES, 3))
    heavy = np.exp(3 * (centres[labels] + 0.5 * generator.normal(size=(150, 3))))  # ranks tell, values hardly do
    plain = centres[labels][:, ::-1] + 0.8 * generator.normal(size=(150, 3))
    views = read_views([heavy, plain])
    found = choose(views, labels, np.arange(150), np.ones(150), CLASSES)
    assert found.scalings[0] == "whole+quantile"


def _signs(samples: int, seed: int) -> tuple[Views, np.ndarray]:
    """Two numbers, one a view, and noise in a third; the label is whether they have the same sign."""
    generator = np.random.default_rng(seed)
    matrices = generator.uniform(-1, 1, size=(3, samples, 1))
    return read_views(list(matrices)), (matrices[0, :, 0] * matrices[1, :, 0] > 0).astype(int)


def test_a_label_that_two_views_tell_together_takes_the_joint_kernel_and_is_learned_by_it() -> None:
    views, labels = _signs(400, 0)
    rows, asked = np.arange(150), np.arange(150, 400)
    path, _ = fit_kernel_path(views, labels, rows, [], classes=2)
    assert path.choice.joint is not None
    scores = explicit(path, views, labels, rows, asked, np.ones(400))
    np.testing.assert_allclose(path.scores(select(views, asked)), scores, atol=1e-5)
    assert (scores.argmax(axis=1) == labels[asked]).mean() > 0.85
    alone = explicit(path, views, labels, rows, asked, np.ones(400), several=True)  # no sum of kernels can tell
    assert (alone.argmax(axis=1) == labels[asked]).mean() < 0.6


def test_the_joint_kernel_is_not_taken_where_it_is_not_clearly_better() -> None:
    for seed in (0, 19):
        views, labels = world(120, seed)
        assert choose(views, labels, np.arange(120), np.ones(120), CLASSES).joint is None
    views, labels = world(120, 2)
    alone = views.present & (np.arange(120) % 3 == np.arange(3)[:, np.newaxis])  # nobody has all views
    hidden = Views(views.names, views.matrices, alone)
    assert choose(hidden, labels, np.arange(120), np.ones(120), CLASSES).joint is None


def test_a_path_with_a_joint_kernel_is_stored_and_one_of_before_has_none() -> None:
    views, labels = _signs(150, 1)
    rows = np.arange(100)
    path, _ = fit_kernel_path(views, labels, rows, [rows[::2], rows[1::2]], classes=2)
    described, tensors = path.to_tensors()
    again = KernelPath.from_tensors(json.loads(json.dumps(described)), tensors)
    again.check([(1, False)] * 3, 2)
    assert again.choice == path.choice
    np.testing.assert_array_equal(again.scores(views), path.scores(views))
    for joint in (0.0, -1.0, np.nan, np.inf, None):  # None: the solutions are then one too many
        described["choice"]["joint"] = joint
        with pytest.raises(ValueError, match="kernel_path"):
            KernelPath.from_tensors(described, tensors).check([(1, False)] * 3, 2)
    del described["choice"]["joint"]
    assert KernelPath.from_tensors(described, tensors).choice.joint is None


def test_sparse_and_dense_views_together_and_a_class_of_one_row() -> None:
    generator = np.random.default_rng(11)
    labels = np.r_[np.zeros(20, int), np.ones(20, int), 2]
    counts = generator.poisson(0.3 + 2 * np.eye(3)[labels] @ generator.random((3, 30)))
    views = read_views([scipy.sparse.csr_array(counts.astype(np.float32)), generator.normal(size=(41, 4))])
    rows = np.arange(41)
    path, held = fit_kernel_path(views, labels, rows, [rows[::2], rows[1::2]], classes=3)
    assert np.isfinite(path.scores(views)).all()
    assert np.isfinite(held.by_solution).all()
    assert (path.scores(views).argmax(axis=1) == labels).mean() > 0.8


def test_one_view_no_parts_and_rows_without_weight() -> None:
    views, labels = world(40, 12)
    single = Views(views.names[:1], views.matrices[:1], views.present[:1])
    weight = np.ones(40)
    weight[30:] = 0
    path, held = fit_kernel_path(single, labels, np.arange(40), [], classes=CLASSES, weights=weight)
    assert path.solutions.shape == (1, 30, CLASSES)
    assert held.by_solution.shape == (1, 0, CLASSES)
    same, _ = fit_kernel_path(single, labels, np.arange(30), [], classes=CLASSES)
    np.testing.assert_array_equal(path.scores(single), same.scores(single))


def test_duplicates_are_no_trouble() -> None:
    views, labels = world(20, 13)
    twice = np.tile(np.arange(20), 3)
    path, held = fit_kernel_path(
        select(views, twice), labels[twice], np.arange(60), [np.arange(30), np.arange(30, 60)], classes=CLASSES
    )
    assert np.isfinite(path.scores(views)).all()
    assert np.isfinite(held.by_solution).all()


def test_the_same_seed_gives_the_same_path() -> None:
    views, labels = world(50, 14)
    rows = np.arange(50)
    first, second = (fit_kernel_path(views, labels, rows, [rows[::2]], classes=CLASSES, seed=4)[0] for _ in range(2))
    assert dataclasses.astuple(first.choice) == dataclasses.astuple(second.choice)
    np.testing.assert_array_equal(first.solutions, second.solutions)


@pytest.mark.usefixtures("weighed")
def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    views, labels = world(50, 16, lacking=0.3)
    rows = np.arange(50)
    whole = fit_kernel_path(views, labels, rows, [rows[::2]], classes=CLASSES)
    monkeypatch.setattr(kernel_path, "BLOCK", 7)
    blocks = fit_kernel_path(views, labels, rows, [rows[::2]], classes=CLASSES)
    np.testing.assert_allclose(blocks[0].scores(views), whole[0].scores(views), atol=1e-9)
    np.testing.assert_allclose(blocks[1].by_solution, whole[1].by_solution, atol=1e-6)


@pytest.mark.usefixtures("weighed")
def test_kernels_that_are_kept_are_those_computed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    views, labels = world(50, 15, lacking=0.3)
    rows = np.arange(50)
    kept = fit_kernel_path(views, labels, rows, [rows[::2]], classes=CLASSES)
    monkeypatch.setattr(kernel_path, "KEPT", 0)
    twice = fit_kernel_path(views, labels, rows, [rows[::2]], classes=CLASSES)
    np.testing.assert_array_equal(kept[0].solutions, twice[0].solutions)
    np.testing.assert_array_equal(kept[1].terms, twice[1].terms)
