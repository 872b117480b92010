"""Training: alone or in a stack, early stopping, scaling, calibration, interruption."""

import contextlib
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from limbeck.errors import InputError
from limbeck.multiview import training
from limbeck.multiview.evaluation import cross_entropy_nats, probabilities
from limbeck.multiview.network import MultiViewNetwork, ViewShape
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.tensors import TensorViews
from limbeck.multiview.training import Epoch, Fold, Trained, fit_temperature, predict, train
from limbeck.multiview.views import Views, read_views, select
from limbeck.nn import SparseRows
from limbeck.training import Diverged

TINY = Recipe(encoder=(16, 8), representation=4, epochs=3, batch_size=16, learning_rate=1e-2, dropout=0.25)
# Adam turns the rounding noise in a gradient of zero into whole steps; at this rate they stay small.
GENTLE = replace(TINY, learning_rate=1e-3)
SAMPLES, CLASSES = 120, 3


def _problem(*, noise: float = 0.7, missing: bool = False, sparse: bool = False) -> tuple[Views, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, SAMPLES)
    left, right = (
        (np.eye(CLASSES)[labels] @ rng.normal(size=(CLASSES, width)) + noise * rng.normal(size=(SAMPLES, width)))
        for width in (5, 7)
    )
    if sparse:
        left, right = (sp.csr_array(np.where(np.abs(view) > 0.5, view, 0)) for view in (left, right))
    elif missing:
        left[rng.choice(SAMPLES, 30, replace=False)] = np.nan
    return read_views([left, right]), labels


def _fold(training: Sequence[int] | range, validation: Sequence[int] | range = ()) -> Fold:
    return Fold(np.array(training, np.int64), np.array(validation, np.int64))


def _train(
    problem: tuple[Views, np.ndarray], folds: list[Fold], recipe: Recipe = TINY, **options: Any
) -> list[Trained]:
    seeds = options.pop("seeds", range(len(folds)))
    return train(*problem, folds, recipe, classes=CLASSES, seeds=list(seeds), **options)


def _probability(model: Trained, views: Views) -> np.ndarray:
    batches = predict(model.network, TensorViews(views, torch.device("cpu")), np.arange(views.samples))
    logits = np.concatenate([batch.joint_logits[0].numpy() for batch in batches])
    return probabilities(logits, model.temperature)


def _state(model: Trained) -> dict[str, torch.Tensor]:
    return model.network.state_dict()


def _same_state(first: Trained, second: Trained) -> bool:
    return all(torch.equal(one, two) for one, two in zip(_state(first).values(), _state(second).values(), strict=True))


OTHERS = np.random.default_rng(1).permutation(SAMPLES)
EQUAL_FOLDS = [_fold(OTHERS[shift : shift + 48], OTHERS[shift + 48 : shift + 68]) for shift in (0, 20, 40)]
SAME_STEPS = [_fold(OTHERS[:size], OTHERS[90:]) for size in (41, 48, 37)]
OTHER_STEPS = [_fold(OTHERS[:size], OTHERS[90:]) for size in (48, 20, 80)]


# -- alone or together ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"objective": "cib"},
        {"objective": "released-2021"},
        {"objective": "none", "bottleneck": False},
        {"normalization": "none", "bottleneck_hidden": (6,)},
        {"joint_head": "pairwise", "interaction_rank": 3},
        {"view_dropout": 0.4},
        {"view_dropout": 0.5, "view_dropout_sampling": "one"},
    ],
)
@pytest.mark.parametrize("folds", [EQUAL_FOLDS, SAME_STEPS, OTHER_STEPS], ids=["equal", "same-steps", "other-steps"])
def test_a_model_of_a_stack_equals_the_same_model_alone(folds: list[Fold], changes: dict[str, Any]) -> None:
    problem, recipe = _problem(), replace(GENTLE, **changes)
    together = _train(problem, folds, recipe)
    for seed, (fold, stacked) in enumerate(zip(folds, together, strict=True)):
        (alone,) = _train(problem, [fold], recipe, seeds=[seed])
        assert stacked.best_epoch == alone.best_epoch
        np.testing.assert_allclose(
            [epoch.loss for epoch in stacked.history], [epoch.loss for epoch in alone.history], rtol=1e-4
        )
        np.testing.assert_allclose(_probability(stacked, problem[0]), _probability(alone, problem[0]), atol=1e-3)


@pytest.mark.parametrize("folds", [EQUAL_FOLDS, SAME_STEPS], ids=["equal", "same-steps"])
@pytest.mark.parametrize("kind", ["missing", "sparse"])
def test_stacks_of_missing_and_of_sparse_views_equal_models_alone(folds: list[Fold], kind: str) -> None:
    problem = _problem(**{kind: True})
    for seed, stacked in enumerate(_train(problem, folds, GENTLE)):
        (alone,) = _train(problem, [folds[seed]], GENTLE, seeds=[seed])
        np.testing.assert_allclose(_probability(stacked, problem[0]), _probability(alone, problem[0]), atol=1e-3)


def test_models_of_a_stack_with_other_seeds_differ() -> None:
    first, second = _train(_problem(), [EQUAL_FOLDS[0]] * 2)
    assert not _same_state(first, second)


@pytest.mark.parametrize("sampling", ["independent", "one"])
def test_views_are_hidden_from_a_model_whatever_models_are_beside_it(sampling: Any) -> None:
    recipe = replace(GENTLE, view_dropout=0.5, view_dropout_sampling=sampling)
    problem = _problem(missing=True)
    together = _train(problem, SAME_STEPS, recipe)
    (alone,) = _train(problem, SAME_STEPS[1:2], recipe, seeds=[1])
    (without,) = _train(problem, SAME_STEPS[1:2], GENTLE, seeds=[1])
    stacked, own, other = ([epoch.loss for epoch in model.history] for model in (together[1], alone, without))
    np.testing.assert_allclose(stacked, own, rtol=1e-5)
    assert np.abs(np.subtract(own, other)).max() > 1e-2


@pytest.mark.parametrize("rate", [0.0, 0.5])
@pytest.mark.parametrize("kind", [{}, {"missing": True}, {"sparse": True}])
def test_same_seed_same_weights_bit_for_bit(kind: dict[str, bool], rate: float) -> None:
    recipe = replace(TINY, view_dropout=rate)
    first, second = (_train(_problem(**kind), SAME_STEPS, recipe) for _ in range(2))
    for one, two in zip(first, second, strict=True):
        assert _same_state(one, two)
        assert one.temperature == two.temperature
        assert one.history == two.history


def test_the_global_random_state_does_not_matter() -> None:
    (first,) = _train(_problem(), [EQUAL_FOLDS[0]], replace(TINY, objective="cib"))
    torch.manual_seed(99)
    torch.rand(5)
    (second,) = _train(_problem(), [EQUAL_FOLDS[0]], replace(TINY, objective="cib"))
    assert _same_state(first, second)


def test_training_learns() -> None:
    views, labels = _problem()
    (model,) = _train((views, labels), [_fold(range(90))], replace(TINY, epochs=15))
    probability = _probability(model, select(views, np.arange(90, SAMPLES)))
    assert (probability.argmax(axis=1) == labels[90:]).mean() > 0.8
    assert model.history[-1].loss < model.history[0].loss


@pytest.mark.slow
@pytest.mark.parametrize(("head", "low", "high"), [("additive", 0.4, 0.8), ("pairwise", 0.9, 1.0)])
def test_only_an_interaction_of_views_learns_their_parity(head: Any, low: float, high: float) -> None:
    """y = 1 where the signs of two views differ: no sum of a function a view is right on more than three of four."""
    rng = np.random.default_rng(0)
    signs = rng.integers(0, 2, (2, 400))
    views = read_views([2.0 * bit[:, None] - 1 + 0.2 * rng.normal(size=(400, 3)) for bit in signs])
    recipe = replace(TINY, joint_head=head, objective="none", ranking_weight=0.0, epochs=20)
    (model,) = train(views, signs[0] ^ signs[1], [_fold(range(300))], recipe, classes=2, seeds=[0])
    right = _probability(model, select(views, np.arange(300, 400))).argmax(axis=1) == (signs[0] ^ signs[1])[300:]
    assert low < right.mean() <= high


# -- what a model may look at -----------------------------------------------------------------------------------------


def test_samples_outside_both_splits_cannot_matter() -> None:
    views, labels = _problem()
    fold = _fold(range(60), range(60, 90))
    (before,) = _train((views, labels), [fold])
    for matrix in views.matrices:
        assert isinstance(matrix, np.ndarray)
        matrix[90:] = 1e6
    (after,) = _train((views, (labels + (np.arange(SAMPLES) >= 90)) % CLASSES), [fold])
    assert _same_state(before, after)
    assert before.temperature == after.temperature


def test_validation_labels_choose_the_epoch_but_do_not_teach() -> None:
    views, labels = _problem()
    fold = _fold(range(60), range(60, 90))
    (before,) = _train((views, labels), [fold])
    shuffled = labels.copy()
    shuffled[60:90] = np.random.default_rng(3).permutation(labels[60:90])
    (after,) = _train((views, shuffled), [fold])
    assert [epoch.loss for epoch in before.history] == [epoch.loss for epoch in after.history]
    assert [epoch.validation_accuracy for epoch in before.history] != [
        epoch.validation_accuracy for epoch in after.history
    ]


def test_scaling_is_measured_on_training_samples_only() -> None:
    views, labels = _problem()
    fold = _fold(range(60), range(60, 90))
    (before,) = _train((views, labels), [fold], replace(TINY, epochs=1))
    for matrix in views.matrices:
        assert isinstance(matrix, np.ndarray)
        matrix[60:] = 1e4
    (after,) = _train((views, labels), [fold], replace(TINY, epochs=1))
    for one, two, matrix in zip(before.network.scalers, after.network.scalers, views.matrices, strict=True):
        assert torch.equal(one.mean, two.mean)
        assert torch.equal(one.factor, two.factor)
        np.testing.assert_allclose(one.mean[0], matrix[:60].mean(axis=0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(1 / one.factor[0], matrix[:60].std(axis=0), rtol=1e-4)


def test_scaling_ignores_samples_that_lack_the_view() -> None:
    views, labels = _problem(missing=True)
    (model,) = _train((views, labels), [_fold(range(90))], replace(TINY, epochs=1))
    there = views.matrices[0][:90][views.present[0, :90]]
    np.testing.assert_allclose(model.network.scalers[0].mean[0], there.mean(axis=0), rtol=1e-4, atol=1e-6)


def test_each_model_of_a_stack_is_scaled_by_its_own_fold() -> None:
    views, labels = _problem()
    first, second = _train((views, labels), EQUAL_FOLDS[:2], replace(TINY, epochs=1))
    for model, fold in zip((first, second), EQUAL_FOLDS[:2], strict=True):
        expected = views.matrices[0][fold.training].mean(axis=0)
        np.testing.assert_allclose(model.network.scalers[0].mean[0], expected, rtol=1e-4, atol=1e-6)


def test_no_scaling_takes_features_as_they_are() -> None:
    (model,) = _train(_problem(), [_fold(range(60))], replace(TINY, epochs=1, scaling="none"))
    assert all((s.mean == 0).all() and (s.factor == 1).all() for s in model.network.scalers)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.0, 12345.678, 1e-30, 3e37])
def test_a_constant_column_changes_nothing_but_is_no_noise(value: float) -> None:
    views, labels = _problem()
    with_constant = read_views([np.hstack([views.matrices[0], np.full((SAMPLES, 1), value)]), views.matrices[1]])
    (model,) = _train((with_constant, labels), [_fold(range(90))])
    assert model.network.scalers[0].factor[0, -1] == 0
    changed = with_constant.matrices[0].copy()
    changed[:, -1] += 1
    np.testing.assert_array_equal(
        _probability(model, read_views([changed, views.matrices[1]])), _probability(model, with_constant)
    )


@pytest.mark.parametrize("size", [1e-40, 1e-30, 1e30])
def test_features_of_extreme_size_can_be_learned(size: float) -> None:
    views, labels = _problem()
    scaled = read_views([matrix.astype(np.float64) * size for matrix in views.matrices])
    (model,) = _train((scaled, labels), [_fold(range(90))])
    assert np.isfinite(_probability(model, scaled)).all()


# -- sparse -----------------------------------------------------------------------------------------------------------


def test_sparse_equals_dense_without_scaling() -> None:
    sparse, labels = _problem(sparse=True)
    dense = read_views([matrix.toarray() for matrix in sparse.matrices])
    recipe = replace(GENTLE, scaling="none")
    (one,), (two,) = (_train((views, labels), [_fold(range(80), range(80, 110))], recipe) for views in (sparse, dense))
    assert one.network.scalers[0].mean.shape == (1, 1)
    np.testing.assert_allclose(_probability(one, sparse), _probability(two, dense), atol=1e-3)


def _sparse_loop(problem: tuple[Views, np.ndarray], folds: list[Fold], recipe: Recipe) -> training._Loop:
    """A run in float64, where rounding cannot hide a difference."""
    views, labels = problem
    network = MultiViewNetwork(training.view_shapes(views), CLASSES, recipe, seeds=range(len(folds))).double()
    data = TensorViews(views, torch.device("cpu"))
    loop = training._Loop(network, data, torch.from_numpy(labels), folds, recipe, range(len(folds)), None, True)
    loop.run(None, None)
    return loop


@pytest.mark.parametrize(
    "changes", [{}, {"weight_decay": 0.3}, {"betas": (0.9, 0.999), "normalization": "none"}], ids=str
)
def test_sparse_views_train_as_if_every_step_moved_every_weight(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """Whole runs of three models, of which one stops early, beside torch's AdamW of all weights on dense gradients.

    Of the second view most columns are rare, one is empty, and some samples have no entry.
    """
    rng = np.random.default_rng(0)
    (first, _), labels = _problem(sparse=True)[0].matrices, _problem()[1]
    rare = np.where(rng.random((SAMPLES, 60)) < np.geomspace(0.3, 0.01, 60), rng.exponential(size=(SAMPLES, 60)), 0)
    rare[:, 7] = rare[::9] = 0
    problem = read_views([first, sp.csr_array(rare)]), labels
    recipe = replace(TINY, epochs=4, patience=1, milestones=(1,), **changes)
    accuracies = [[0.9, 0.1, 0.1], [0.8, 0.2, 0.2], [0.7, 0.3, 0.3], [0.4, 0.4]]
    _falling_accuracy(monkeypatch, accuracies)
    ours = _sparse_loop(problem, EQUAL_FOLDS, recipe)
    assert ours.rows is not None
    assert [len(history) for history in ours.histories] == [3, 4, 4]
    monkeypatch.setattr(training, "_row_optimizer", lambda *_: None)
    _falling_accuracy(monkeypatch, accuracies)
    dense = _sparse_loop(problem, EQUAL_FOLDS, recipe)
    for model in range(3):
        for one, two in zip(ours.state(model).values(), dense.state(model).values(), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-8)
    losses = [[epoch.loss for history in loop.histories for epoch in history] for loop in (ours, dense)]
    np.testing.assert_allclose(*losses, rtol=1e-9)


def test_scaling_a_sparse_view_keeps_its_values_apart() -> None:
    """A text has a word in a thousand; scaled values must not all be cut to the same bound."""
    rng = np.random.default_rng(0)
    matrix = sp.random_array((200, 2000), density=0.003, random_state=rng, format="csr", dtype=np.float32)
    (model,) = train(
        read_views([matrix]),
        rng.integers(0, 2, 200),
        [_fold(range(200))],
        replace(TINY, epochs=1),
        classes=2,
        seeds=[0],
    )
    rows = SparseRows(
        torch.from_numpy(matrix.indices).long(), torch.from_numpy(matrix.data), torch.from_numpy(matrix.indptr[:-1])
    )
    scaled = model.network.scalers[0].scale_rows(rows).values
    assert len(torch.unique(scaled)) > 0.9 * len(np.unique(matrix.data))


@pytest.mark.slow
def test_views_of_the_size_of_reuters_train_without_densifying() -> None:
    """All five full-size views are held (18,758 x 107,227); 2,000 samples are trained on in a fresh process."""
    program = """
    import resource
    import numpy as np, scipy.sparse as sp, torch
    from limbeck.multiview.recipe import Recipe
    from limbeck.multiview.training import Fold, train
    from limbeck.multiview.views import read_views

    def refuse(*_, **__):
        raise AssertionError("a sparse view was made dense")

    for kind in (sp.csr_array, sp.csc_array, sp.coo_array):
        kind.toarray = kind.todense = refuse
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    samples, entries = 18_758, 60
    matrices = [
        sp.csr_array(
            (
                rng.random(samples * entries, dtype=np.float32),
                rng.integers(0, width, samples * entries, dtype=np.int32),
                np.arange(0, samples * entries + 1, entries),
            ),
            shape=(samples, width),
        )
        for width in (21531, 24892, 34251, 15506, 11547)
    ]
    labels = rng.integers(0, 6, samples)
    views = read_views(matrices)
    recipe = Recipe(encoder=(16, 8), representation=4, epochs=1, batch_size=250)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fold = Fold(np.arange(2000), np.arange(2000, 2500))
    (model,) = train(views, labels, [fold], recipe, classes=6, seeds=[0])
    assert np.isfinite(model.history[0].loss)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    dense = 2500 * 107_227 * 4  # of the samples in use alone; of all samples it is 8 GB
    assert int(done.stdout) < dense / 2


# -- when to stop -----------------------------------------------------------------------------------------------------


def test_ties_go_to_the_later_epoch() -> None:
    views, labels = _problem(noise=0.05)
    (model,) = _train((views, labels), [_fold(range(80), range(80, 110))], replace(TINY, epochs=12))
    accuracies = [epoch.validation_accuracy for epoch in model.history]
    assert accuracies.count(max(accuracies)) > 1
    assert model.best_epoch == len(accuracies) - 1 - accuracies[::-1].index(max(accuracies))


def _falling_accuracy(monkeypatch: pytest.MonkeyPatch, accuracies: list[list[float]]) -> None:
    """The validation accuracies of the next run, epoch by epoch and model by model; NaN after that."""
    given = iter(accuracies)
    monkeypatch.setattr(
        "limbeck.multiview.training._Loop._validation_accuracies",
        lambda self: next(given, [float("nan")] * len(self.training)),
    )


def test_patience_ends_training_early_at_the_best_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tie is kept but is no gain: two epochs after the last rise it ends."""
    problem, fold = _problem(), _fold(range(60), range(60, 90))
    recipe = replace(TINY, epochs=8, patience=2, milestones=())
    _falling_accuracy(monkeypatch, [[0.5], [0.9], [0.8], [0.9]])
    (model,) = _train(problem, [fold], recipe)
    assert len(model.history) == 4
    assert model.best_epoch == 3
    assert not model.interrupted
    (shorter,) = _train(problem, [_fold(range(60))], replace(recipe, epochs=4))
    assert _same_state(model, shorter)


def test_patience_begins_at_the_first_milestone(monkeypatch: pytest.MonkeyPatch) -> None:
    _falling_accuracy(monkeypatch, [[0.9], [0.1], [0.1], [0.1], [0.1], [0.1], [0.1], [0.1]])
    recipe = replace(TINY, epochs=8, patience=2, milestones=(3,))
    (model,) = _train(_problem(), [_fold(range(60), range(60, 90))], recipe)
    assert (len(model.history), model.best_epoch) == (6, 0)


def test_a_model_that_stopped_is_not_changed_by_those_that_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, folds = _problem(), EQUAL_FOLDS[:2]
    _falling_accuracy(monkeypatch, [[0.9, 0.1], [0.8, 0.2], [0.3], [0.4]])
    early, late = _train(problem, folds, replace(TINY, epochs=4, patience=1, milestones=()))
    assert (early.best_epoch, len(early.history)) == (0, 2)
    assert (late.best_epoch, len(late.history)) == (3, 4)
    (first,) = _train(problem, [_fold(folds[0].training)], replace(TINY, epochs=1))
    for one, two in zip(_state(early).values(), _state(first).values(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dense", "missing", "sparse"])
@pytest.mark.parametrize("changes", [{}, {"objective": "cib"}, {"normalization": "none"}], ids=str)
def test_models_that_go_on_do_so_as_if_alone(
    monkeypatch: pytest.MonkeyPatch, kind: str, changes: dict[str, Any]
) -> None:
    """The first stops after two epochs and the third after four; what they leave is the second, with its own state."""
    problem = _problem(**({} if kind == "dense" else {kind: True}))
    recipe = replace(GENTLE, epochs=6, patience=1, milestones=(), **changes)
    rising = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    _falling_accuracy(
        monkeypatch,
        [[0.9, 0.1, 0.1], [0.8, 0.2, 0.2], [0.3, 0.3], [0.4, 0.2], [0.5], [0.6]],
    )
    together = _train(problem, EQUAL_FOLDS, recipe)
    assert [len(model.history) for model in together] == [2, 6, 4]
    _falling_accuracy(monkeypatch, [[accuracy] for accuracy in rising])
    (alone,) = _train(problem, [EQUAL_FOLDS[1]], recipe, seeds=[1])
    losses = [[epoch.loss for epoch in model.history] for model in (together[1], alone)]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    np.testing.assert_allclose(_probability(together[1], problem[0]), _probability(alone, problem[0]), atol=1e-3)


def test_without_patience_all_epochs_are_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    _falling_accuracy(monkeypatch, [[0.9], [0.1], [0.1], [0.1]])
    (model,) = _train(
        _problem(), [_fold(range(60), range(60, 90))], replace(TINY, epochs=4, patience=None, milestones=())
    )
    assert len(model.history) == 4
    assert model.best_epoch == 0


def test_without_validation_the_last_epoch_is_kept_uncalibrated() -> None:
    (model,) = _train(_problem(), [_fold(range(60))], replace(TINY, patience=1, milestones=()))
    assert (model.best_epoch, len(model.history), model.temperature) == (2, 3, 1.0)
    assert np.isnan(model.history[0].validation_accuracy)


def test_the_learning_rate_falls_at_the_milestones() -> None:
    (model,) = _train(_problem(), [_fold(range(30))], replace(TINY, epochs=4, milestones=(1, 3), decay=0.1))
    np.testing.assert_allclose([epoch.learning_rate for epoch in model.history], [1e-2, 1e-3, 1e-3, 1e-4])


def test_progress_hears_of_every_epoch_of_every_model() -> None:
    heard: list[tuple[int, int]] = []
    _train(_problem(), EQUAL_FOLDS, progress=lambda epoch, entries: heard.append((epoch, len(entries))))
    assert heard == [(0, 3), (1, 3), (2, 3)]


# -- calibration ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.2, 1.0, 3.0])
def test_the_temperature_of_known_logits_is_recovered(temperature: float) -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(20_000, 4)) * 2
    labels = np.array([rng.choice(4, p=row) for row in probabilities(true)])
    assert fit_temperature((true * temperature).astype(np.float32), labels) == pytest.approx(temperature, rel=0.05)


def test_calibration_lowers_the_cross_entropy_of_the_validation_split() -> None:
    views, labels = _problem(noise=2.0)
    validation = np.arange(60, 110)
    (model,) = _train((views, labels), [_fold(range(60), validation)], replace(TINY, epochs=20, label_smoothing=0.0))
    held_out = select(views, validation)
    calibrated = cross_entropy_nats(_probability(model, held_out), labels[validation])
    model.temperature = 1.0
    assert calibrated < cross_entropy_nats(_probability(model, held_out), labels[validation])


# -- interruption and failure -----------------------------------------------------------------------------------------


def _interrupt_after(epoch: int) -> Any:
    def progress(done: int, entries: Sequence[Epoch]) -> None:
        del entries
        if done == epoch:
            raise KeyboardInterrupt

    return progress


def test_ctrl_c_keeps_the_best_weights_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, fold = _problem(), _fold(range(60), range(60, 90))
    _falling_accuracy(monkeypatch, [[0.5], [0.9], [0.7]])
    (stopped,) = _train(problem, [fold], replace(TINY, epochs=50), progress=_interrupt_after(2))
    assert stopped.interrupted
    assert len(stopped.history) == 3
    assert stopped.best_epoch == 1
    (whole,) = _train(problem, [_fold(range(60))], replace(TINY, epochs=2))
    assert _same_state(stopped, whole)


def test_ctrl_c_before_the_first_epoch_propagates(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("limbeck.multiview.training._Loop._train_epoch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        _train(_problem(), [_fold(range(60))])


def test_ctrl_c_does_not_start_the_models_that_wait() -> None:
    heard = []

    def progress(epoch: int, entries: Sequence[Epoch]) -> None:
        heard.append(len(entries))
        if len(heard) == 1:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        _train(_problem(), OTHER_STEPS, replace(TINY, epochs=4), progress=progress)
    assert len(heard) == 1


def test_a_diverging_loss_is_one_clear_line() -> None:
    with pytest.raises(Diverged, match=r"in step 2: the term 'total of model 0' .*; lower learning_rate") as caught:
        _train(_problem(), [_fold(range(60))], replace(TINY, learning_rate=1e30))
    assert "\n" not in str(caught.value)


def test_a_fold_without_training_samples_is_refused() -> None:
    with pytest.raises(InputError, match="no training samples"):
        _train(_problem(), [_fold(range(5)), _fold(())])


# -- weights and missing views ----------------------------------------------------------------------------------------


def test_weights_that_are_all_equal_change_nothing() -> None:
    (plain,) = _train(_problem(), [_fold(range(60))])
    (weighted,) = _train(_problem(), [_fold(range(60))], sample_weight=np.full(SAMPLES, 3.0, np.float32))
    for one, two in zip(_state(plain).values(), _state(weighted).values(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-3, rtol=1e-3)


def test_a_batch_whose_weights_are_all_zero_is_no_divergence() -> None:
    weight = (np.arange(SAMPLES) < 6).astype(np.float32)
    (model,) = _train(_problem(), [_fold(range(60))], replace(TINY, batch_size=4), sample_weight=weight)
    assert all(np.isfinite(epoch.loss) for epoch in model.history)


def test_the_features_of_absent_rows_cannot_matter() -> None:
    views, labels = _problem(missing=True)
    fold, recipe = _fold(range(80), range(80, 110)), replace(GENTLE, scaling="none")
    (before,) = _train((views, labels), [fold], recipe)
    expected = _probability(before, views)
    views.matrices[0][~views.present[0]] = 5.0
    np.testing.assert_array_equal(_probability(before, views), expected)
    (after,) = _train((views, labels), [fold], recipe)
    np.testing.assert_allclose(_probability(after, views), expected, atol=1e-3)


def test_a_single_sample_can_be_trained_on() -> None:
    (model,) = _train(_problem(), [_fold([7])])
    assert np.isfinite(_probability(model, _problem()[0])).all()


def test_prediction_does_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    views, labels = _problem()
    (model,) = _train((views, labels), [_fold(range(60))])
    whole = _probability(model, views)
    monkeypatch.setattr("limbeck.multiview.training.PREDICTION_BATCH", 7)
    np.testing.assert_allclose(_probability(model, views), whole, atol=1e-6)


def test_a_network_tells_sparse_views_from_dense_ones() -> None:
    network = MultiViewNetwork([ViewShape(5), ViewShape(9, sparse=True)], 2, TINY, seeds=[0, 1])
    assert network.scalers[0].factor.shape == (2, 5)
    assert network.scalers[1].factor.shape == (2, 1)
