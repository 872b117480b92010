"""The classifier that learns from all samples: inner folds, whose networks answer together, and the kernel path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from limbeck import MultiViewClassifier
from limbeck.errors import InputError
from limbeck.multiview import samples as samples_module
from limbeck.multiview.conformal import conformal_sets
from limbeck.multiview.held_out import of_known_classes
from limbeck.multiview.recipe import QUICK, Recipe
from limbeck.multiview.samples import default_folds, inner_folds
from limbeck.multiview.views import Views

TINY: dict[str, Any] = {
    "encoder": (16, 8),
    "representation": 4,
    "epochs": 12,
    "milestones": (8,),
    "learning_rate": 1e-2,
    "batch_size": 16,
    "dropout": 0.0,
}
NAN = np.float32(np.nan)


def drawn(samples: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(3, 3, 4))
    y = rng.integers(0, 3, samples)
    names = ("left", "middle", "right")
    return {name: centres[v][y] + 1.3 * rng.normal(size=(samples, 4)) for v, name in enumerate(names)}, y


X, Y = drawn(150, 1)
NEW, NEW_Y = drawn(400, 2)


@pytest.fixture(scope="module")
def fitted() -> MultiViewClassifier:
    return MultiViewClassifier(**TINY).fit(X, Y)


def test_every_sample_is_held_out_once_and_every_part_has_its_share_of_each_class() -> None:
    labels = np.repeat([0, 1, 2], [50, 20, 7])
    folds = inner_folds(labels, 4, 0)
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.validation for fold in folds])), np.arange(77))
    for fold in folds:
        np.testing.assert_array_equal(np.sort(np.r_[fold.training, fold.validation]), np.arange(77))
        counts = np.bincount(labels[fold.validation], minlength=3)
        assert np.all(np.abs(counts - np.array([50, 20, 7]) / 4) < 1)


@pytest.mark.parametrize("count", [1, 0, 78, True, 2.5, None])
def test_impossible_numbers_of_folds_are_refused(count: Any) -> None:
    with pytest.raises(InputError, match="inner_folds"):
        inner_folds(np.arange(77) % 3, count, 0)


def test_by_default_there_are_three_parts_and_of_many_samples_one_tenth() -> None:
    labels = np.arange(10_000) % 3
    folds = default_folds(labels, 0)
    assert [len(fold.validation) for fold in folds] == [3334, 3333, 3333]
    (fold,) = default_folds(np.append(labels, 0), 0)
    assert len(fold.validation) == 1000
    np.testing.assert_array_equal(np.sort(np.r_[fold.training, fold.validation]), np.arange(10_001))


def test_of_many_samples_one_network_learns_for_all_epochs_and_the_kernel_path_from_all_samples(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(samples_module, "MANY", 149)
    model = MultiViewClassifier(**(TINY | {"milestones": (2,), "patience": 2})).fit(X, Y)
    assert model.network_.models == 1
    assert len(model.history_) == 4
    assert model.best_epoch_ == 3
    assert model.kernel_path_ is not None
    assert model.kernel_path_.solutions.shape[1] == 150
    assert model.kernel_weight_ > 0
    assert 0.8 < model.predict_set(NEW, random_state=0)[np.arange(400), NEW_Y].mean() <= 1
    model.save(tmp_path / "model.safetensors")
    loaded = MultiViewClassifier.load(tmp_path / "model.safetensors")
    assert loaded.inner_folds is None
    np.testing.assert_array_equal(loaded.predict_proba(NEW), model.predict_proba(NEW))


def test_it_starts_from_the_quick_schedule() -> None:
    model = MultiViewClassifier()
    for name in ("epochs", "batch_size", "milestones", "decay", "patience", "learning_rate", "objective"):
        assert getattr(model, name) == getattr(QUICK, name)
    paper = MultiViewClassifier.from_recipe(Recipe())
    assert (paper.milestones, paper.batch_size, paper.patience) == ((30, 60), 64, 10)


def test_no_network_is_stopped_by_what_calibrates_it(fitted: MultiViewClassifier) -> None:
    assert fitted.network_.models == 3
    assert len(fitted.history_) == 12
    assert fitted.best_epoch_ == 11
    *before, last = [epoch.validation_accuracy for epoch in fitted.history_]
    assert before
    assert np.isnan(before).all()  # it decides nothing, and costs a tenth of the training
    assert 0 <= last <= 1
    patient = MultiViewClassifier(**(TINY | {"patience": 2})).fit(X, Y)
    assert len(patient.history_) == 10  # the first milestone and two more


def test_networks_answer_by_their_mean_and_the_kernel_path_is_added(fitted: MultiViewClassifier) -> None:
    views = fitted._read(NEW)
    alone = []
    for model in range(3):
        batches = [batch.joint_logits[model].numpy() for batch in fitted._predict(views)]
        alone.append(np.concatenate(batches))
    assert fitted.kernel_path_ is not None
    assert fitted.kernel_weight_ > 0
    logits = np.mean(alone, axis=0) / fitted.temperature_ + fitted.kernel_weight_ * fitted.kernel_path_.scores(views)
    logits += fitted.class_offsets_
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    logits *= np.exp(fitted.sharpening_ * -(chance * np.log(chance)).sum(axis=1, keepdims=True) / np.log(3))
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fitted.predict_proba(NEW), expected, atol=1e-6)


def test_it_is_better_than_one_network_of_a_part_of_the_samples() -> None:
    def nats(model: MultiViewClassifier) -> float:
        probability = model.fit(X, Y).predict_proba(NEW)
        return float(-np.log(probability[np.arange(len(NEW_Y)), NEW_Y]).mean())

    assert nats(MultiViewClassifier(**TINY)) < nats(
        MultiViewClassifier(**TINY, validation_fraction=0.2, kernel_path=False)
    )


@pytest.mark.parametrize("options", [{}, {"kernel_path": False}, {"calibrate": False}, {"validation_fraction": 0.2}])
def test_the_same_seed_gives_the_same_answers_and_a_file_too(options: dict[str, Any], tmp_path: Path) -> None:
    first, second = (MultiViewClassifier(**TINY, **options).fit(X, Y) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(NEW), second.predict_proba(NEW))
    first.save(tmp_path / "model.safetensors")
    loaded = MultiViewClassifier.load(tmp_path / "model.safetensors")
    lacking = {"right": NEW["right"]}
    for given in (NEW, lacking):
        np.testing.assert_array_equal(loaded.predict_proba(given), first.predict_proba(given))
        np.testing.assert_array_equal(
            loaded.predict_set(given, random_state=0), first.predict_set(given, random_state=0)
        )
    assert (loaded.kernel_path_ is None) == (first.kernel_path_ is None)
    assert (first.kernel_path_ is not None) == (options.get("kernel_path", True) and options.get("calibrate", True))


def test_a_file_with_sparse_views_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    counts = sp.csr_array(rng.poisson(0.3 + np.eye(3)[Y] @ rng.random((3, 20))).astype(np.float32))
    model = MultiViewClassifier(**TINY).fit([counts, X["left"]], Y)
    model.save(tmp_path / "model.safetensors")
    loaded = MultiViewClassifier.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba([counts, X["left"]]), model.predict_proba([counts, X["left"]]))


def test_samples_are_answered_alike_alone_and_among_others_whatever_they_lack(fitted: MultiViewClassifier) -> None:
    mixed = {name: view[:60].copy() for name, view in NEW.items()}
    mixed["left"][:20] = NAN
    mixed["middle"][10:30] = NAN
    together = fitted.predict_proba(mixed)
    for rows in (slice(0, 10), slice(10, 20), slice(20, 30), slice(30, 60)):
        part = {name: view[rows] for name, view in mixed.items()}
        np.testing.assert_allclose(fitted.predict_proba(part), together[rows], atol=1e-5)
    gone = {name: view[20:30] for name, view in NEW.items() if name != "middle"}
    np.testing.assert_allclose(fitted.predict_proba(gone), together[20:30], atol=1e-5)


def test_training_samples_may_lack_views() -> None:
    lacking = {name: view.copy() for name, view in X.items()}
    for number, view in enumerate(lacking.values()):
        view[number::3] = NAN  # every sample lacks one
    model = MultiViewClassifier(**TINY).fit(lacking, Y)
    assert model.score(NEW, NEW_Y) > 0.7
    assert model.score({"left": NEW["left"], "right": NEW["right"]}, NEW_Y) > 0.6
    sets = model.predict_set({"left": NEW["left"], "right": NEW["right"]}, random_state=0)
    assert sets[np.arange(len(NEW_Y)), NEW_Y].mean() > 0.8


def test_what_a_held_out_sample_is_answered_by_says_the_same_when_it_is_asked_again(
    fitted: MultiViewClassifier,
) -> None:
    """Model k on the samples of part k: what calibrates, to the last term, also where a view is missing."""
    folds = inner_folds(Y, 3, 0)
    order = np.concatenate([fold.validation for fold in folds])
    for missing in (None, 1):
        pattern = np.array([number != missing for number in range(3)])
        known, labels = fitted._answers.held_out_probabilities(pattern)
        of = fitted._answers.held_out_folds(pattern)
        np.testing.assert_array_equal(of, np.repeat(np.arange(3), [len(fold.validation) for fold in folds]))
        np.testing.assert_array_equal(fitted.classes_[labels], Y[order])
        views = fitted._read({name: view[order] for name, view in X.items()})
        hidden = Views(views.names, views.matrices, views.present & pattern[:, np.newaxis])
        again = fitted._answers.by_held_out_models(pattern, hidden)
        assert again.shape == (3, len(Y), 3)
        np.testing.assert_allclose(again[of, np.arange(len(Y))], known, atol=2e-3)
        assert np.abs(again[(of + 1) % 3, np.arange(len(Y))] - known).max() > 0.05


def test_sets_by_each_model_are_cross_conformal(fitted: MultiViewClassifier, tmp_path: Path) -> None:
    views = fitted._read(NEW)
    everything = np.ones(3, bool)
    known, labels = fitted._answers.held_out_probabilities(everything)
    asked, of = fitted._answers.by_held_out_models(everything, views), fitted._answers.held_out_folds(everything)
    below = sum(
        ((1 - known[of == fold, labels[of == fold]])[:, np.newaxis, np.newaxis] < 1 - asked[fold]).sum(axis=0)
        for fold in range(3)
    )
    sets = fitted.predict_set(NEW, 0.8, models="each")
    np.testing.assert_array_equal(sets, below < int(np.ceil((len(known) + 1) * 0.8)))
    fitted.save(tmp_path / "model.safetensors")
    loaded = MultiViewClassifier.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict_set(NEW, 0.8, models="each"), sets)


def test_a_set_is_that_of_one_model_by_the_samples_held_out_of_it(fitted: MultiViewClassifier) -> None:
    everything = np.ones(3, bool)
    known, labels = fitted._answers.held_out_probabilities(everything)
    asked = fitted._answers.by_held_out_models(everything, fitted._read(NEW))
    of = fitted._answers.held_out_folds(everything)
    own = [conformal_sets(known[of == fold], labels[of == fold], asked[fold], 0.8) for fold in range(3)]
    sets = fitted.predict_set(NEW, 0.8, random_state=0)
    by_model = np.stack([(sets == of_model).all(axis=1) for of_model in own])
    assert by_model.any(axis=0).all()
    assert (by_model.sum(axis=1) < len(NEW_Y)).all()
    np.testing.assert_array_equal(fitted.predict_set(NEW, 0.8, random_state=0), sets)
    assert (fitted.predict_set(NEW, 0.8, random_state=1) != sets).any()


def test_too_few_held_out_samples_of_a_model_are_told_with_the_other_way(
    fitted: MultiViewClassifier,
) -> None:
    """150 samples in all are enough for a coverage of 0.99, a third of them is not."""
    with pytest.warns(UserWarning, match=r"is in every set .* 99 held-out samples for each model, .*models='each'"):
        assert fitted.predict_set(NEW, 0.99).all()
    assert not fitted.predict_set(NEW, 0.99, models="each").all()


def test_out_of_fold_answers_are_honest(fitted: MultiViewClassifier) -> None:
    """What is said of held-out samples is as right as what is said of new ones: none was learned from."""
    everything = np.ones(3, bool)
    probability, labels = fitted._answers.held_out_probabilities(everything)
    held_out = (probability.argmax(axis=1) == labels).mean()
    assert abs(held_out - fitted.score(NEW, NEW_Y)) < 0.08
    noise = {name: np.random.default_rng(5).normal(size=view.shape) for name, view in X.items()}
    blind = MultiViewClassifier(**TINY).fit(noise, Y)
    probability, labels = blind._answers.held_out_probabilities(everything)
    assert abs((probability.argmax(axis=1) == labels).mean() - 1 / 3) < 0.12


def test_a_validation_set_takes_the_place_of_the_folds() -> None:
    validation = ({name: view[:100] for name, view in NEW.items()}, NEW_Y[:100])
    model = MultiViewClassifier(**TINY).fit(X, Y, validation=validation)
    assert model.network_.models == 1
    assert model.kernel_path_ is not None
    assert model.score({name: view[100:] for name, view in NEW.items()}, NEW_Y[100:]) > 0.7


def test_a_head_that_does_not_add_up_answers_but_has_no_sets() -> None:
    model = MultiViewClassifier(**TINY, joint_head="pairwise", interaction_rank=2).fit(X, Y)
    assert model.score(NEW, NEW_Y) > 0.7
    for ask in (model.predict_set, model.expected_gain):
        with pytest.raises(InputError, match="additive"):
            ask({"left": NEW["left"]})


def test_fewer_samples_than_folds_and_a_class_of_one() -> None:
    small = {name: view[:5] for name, view in X.items()}
    model = MultiViewClassifier(**(TINY | {"epochs": 2}), inner_folds=5).fit(small, [0, 0, 1, 1, 2])
    assert np.isfinite(model.predict_proba(NEW)).all()
    with pytest.raises(InputError, match="inner_folds"):
        MultiViewClassifier(**TINY, inner_folds=6).fit(small, [0, 0, 1, 1, 2])


def test_information_is_measured_on_held_out_samples_of_the_first_network() -> None:
    model = MultiViewClassifier(**TINY).fit(X, Y, information_epochs=6)
    assert model.information_


def test_of_a_class_of_one_sample_its_held_out_answer_does_not_calibrate() -> None:
    """The network that did not learn from it has never seen the class: it is wrong whatever temperature it gets."""
    rng = np.random.default_rng(3)
    labels = np.r_[np.repeat(np.arange(4), 12), np.arange(4, 10)]
    centres = 3 * rng.normal(size=(2, 10, 6))
    views = [of_view[labels] + 0.3 * rng.normal(size=(len(labels), 6)) for of_view in centres]
    model = MultiViewClassifier(**TINY).fit(views, labels)
    assert model.predict_proba(views)[np.arange(48), labels[:48]].mean() > 0.9
    held_out = model._answers.held_out
    assert held_out is not None
    everything, known = np.ones(2, bool), held_out.labels < 4
    logits, scores, of_known = held_out.calibrating(everything)
    np.testing.assert_array_equal(of_known, held_out.labels[known])
    np.testing.assert_array_equal(logits, held_out.logits(everything)[0][known])
    np.testing.assert_array_equal(scores, held_out.scores(everything)[:, known])


def test_which_held_out_samples_are_of_known_classes() -> None:
    labels, folds = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 0, 1])
    np.testing.assert_array_equal(of_known_classes(labels, folds), [True, True, False, False, False])
    assert of_known_classes(labels, np.zeros(5, int)).all()
    assert of_known_classes(labels[2:], folds[2:]).all(), "none is: all calibrate, as there is nothing better"
    assert not len(of_known_classes(labels[:0], folds[:0]))


def test_offsets_of_classes_of_different_size_are_better_of_samples_to_come() -> None:
    rng = np.random.default_rng(0)
    shares = 1 / np.arange(1, 11)
    labels = np.r_[np.arange(10), np.arange(10), rng.choice(10, 1180, p=shares / shares.sum())]
    centres = rng.normal(size=(2, 10, 40))
    views = [of_view[labels] + 2.5 * rng.normal(size=(1200, 40)) for of_view in centres]
    model = MultiViewClassifier(**TINY).fit([view[:200] for view in views], labels[:200])
    assert np.ptp(model.class_offsets_) > 0.1
    probability = model.predict_proba([view[200:] for view in views])
    without = probability / np.exp(model.class_offsets_)
    without /= without.sum(axis=1, keepdims=True)
    chosen = np.arange(1000), labels[200:]
    assert -np.log(probability[chosen]).mean() < -np.log(without[chosen]).mean() - 0.003
