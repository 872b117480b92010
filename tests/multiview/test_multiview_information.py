"""What can be read of the label while multi-view networks learn: on held-out samples, one model or a stack."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from limbeck import MultiViewClassifier
from limbeck.errors import InputError
from limbeck.information import cross_fitted_information
from limbeck.information.curve import read_information
from limbeck.multiview.data import assemble, save
from limbeck.multiview.information import InformationCallback
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.runs import train_run
from limbeck.multiview.tensors import TensorViews
from limbeck.multiview.training import EpochState, Fold, Trained, gather, predict, train
from limbeck.multiview.views import Views, read_views

TINY = Recipe(encoder=(16, 8), representation=2, epochs=3, batch_size=16, learning_rate=1e-2, patience=None)
SAMPLES, CLASSES = 120, 3
ORDER = np.random.default_rng(1).permutation(SAMPLES)
# Two groups: models 0 and 2 take three steps an epoch, model 1 two.
FOLDS = [Fold(ORDER[:48], ORDER[90:]), Fold(ORDER[:20], ORDER[60:90]), Fold(ORDER[20:68], ORDER[80:])]


def _problem(kind: str = "dense") -> tuple[Views, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, SAMPLES)
    left, right = (
        np.eye(CLASSES)[labels] @ rng.normal(size=(CLASSES, width)) + 0.5 * rng.normal(size=(SAMPLES, width))
        for width in (5, 7)
    )
    if kind == "missing":
        left[rng.choice(SAMPLES, 30, replace=False)] = np.nan
    if kind == "sparse":
        return read_views({"left": sp.csr_array(left), "right": sp.csr_array(right)}), labels
    return read_views({"left": left, "right": right}), labels


def _train(problem: tuple[Views, np.ndarray], recipe: Recipe = TINY, **options: Any) -> list[Trained]:
    return train(*problem, FOLDS, recipe, classes=CLASSES, seeds=[0, 1, 2], **options)


def test_watching_changes_nothing() -> None:
    problem = _problem()
    heard: list[EpochState] = []

    def watch(moment: EpochState) -> None:
        heard.append(moment)
        list(predict(moment.network, TensorViews(problem[0], torch.device("cpu")), np.arange(SAMPLES)))

    watched, alone = _train(problem, callback=watch), _train(problem)
    for first, second in zip(watched, alone, strict=True):
        assert all(
            torch.equal(value, second.network.state_dict()[name]) for name, value in first.network.state_dict().items()
        )
    # One group after the other, each from before its first step to its last epoch.
    assert [(moment.epoch, moment.step, moment.models) for moment in heard] == [
        *((epoch, 3 * epoch, (0, 2)) for epoch in range(4)),
        *((epoch, 2 * epoch, (1,)) for epoch in range(4)),
    ]
    assert [moment.ended[0] for moment in heard] == [False, False, False, True] * 2


def test_a_model_that_stops_early_is_shown_as_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    # The first model never gets better, the second does after every epoch.
    monkeypatch.setattr(
        "limbeck.multiview.training._Loop._validation_accuracies",
        lambda loop: [0.5 + 0.1 * len(loop.histories[model]) * (model == 1) for model in loop.active],
    )
    heard: list[tuple[int, tuple[int, ...], tuple[bool, ...]]] = []
    train(
        *_problem(),
        [FOLDS[0], FOLDS[2]],
        replace(TINY, patience=1, milestones=()),
        classes=CLASSES,
        seeds=[0, 2],
        callback=lambda moment: heard.append((moment.epoch, moment.models, moment.ended)),
    )
    assert heard == [
        (0, (0, 1), (False, False)),
        (1, (0, 1), (False, False)),
        (2, (0, 1), (True, False)),
        (3, (1,), (True,)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dense", "sparse", "missing"])
def test_figures_of_a_stack_are_those_of_each_models_own_samples(kind: str) -> None:
    views, labels = _problem(kind)
    held_out = [fold.validation for fold in FOLDS]
    callback = InformationCallback(views, labels, held_out, due=lambda epoch: False, folds=2, seed=5)
    trained = _train((views, labels), replace(TINY, epochs=1), callback=callback)
    present = views.present
    for model, own, curve in zip(trained, held_out, callback.curves, strict=True):
        assert [row.name for row in curve.rows[:6]] == [
            "v left", "v right", "v all views", "z left", "z right", "z all views",
        ]  # fmt: skip
        assert len({row.step for row in curve.rows}) == 2
        batches = list(predict(model.network, TensorViews(views, torch.device("cpu")), own))
        for place, (word, field) in enumerate((("v", "observations"), ("z", "representations"))):
            vectors = gather(batches, field) * present[:, own, None]
            for row, expected in zip(
                curve.rows[6 + 3 * place :], (*vectors, np.concatenate(list(vectors), axis=1)), strict=False
            ):
                assert row.name.startswith(word)
                read = cross_fitted_information(expected, labels[own], folds=2, seed=5)
                # While they learn, weights of sparse views are summed in another order: a probe's penalty may tip.
                assert row.nats == pytest.approx(read.nats, abs=0.05 if kind == "sparse" else 1e-4)
                assert row.entropy == read.entropy


def test_without_a_bottleneck_there_is_no_z_and_one_view_is_not_joined() -> None:
    views, labels = _problem()
    single = read_views({"left": views.matrices[0]})
    callback = InformationCallback(single, labels, [ORDER[80:]], due=lambda epoch: True, folds=2)
    recipe = replace(TINY, epochs=1, objective="none", bottleneck=False)
    train(single, labels, FOLDS[:1], recipe, classes=CLASSES, seeds=[0], callback=callback)
    assert [(row.step, row.name) for row in callback.curves[0].rows] == [(0, "v left"), (3, "v left")]


@pytest.mark.slow
def test_the_classifier_measures_its_validation_samples() -> None:
    views, labels = _problem("missing")
    data = dict(zip(views.names, views.matrices, strict=True))
    plain, watched = (MultiViewClassifier.from_recipe(replace(TINY, epochs=2), validation_fraction=0.3) for _ in "ab")
    plain.fit(data, labels)
    watched.fit(data, labels, information_epochs=5)
    assert plain.information_ == []
    assert [row.step for row in watched.information_[::6]] == [0, 12]  # six steps an epoch
    assert np.array_equal(plain.predict_proba(data), watched.predict_proba(data))
    for every, words in ((-1, "whole number from 0"), (True, "whole number from 0"), (0.5, "whole number from 0")):
        with pytest.raises(InputError, match=f"information_epochs must be a {words}"):
            watched.fit(data, labels, information_epochs=every)  # type: ignore[arg-type]
    watched.set_params(validation_fraction=0)
    with pytest.raises(InputError, match="information_epochs must be 0 where there are no validation samples"):
        watched.fit(data, labels, information_epochs=1)


@pytest.mark.slow
def test_a_run_writes_table_and_picture(tmp_path: Path) -> None:
    views, labels = _problem()
    codes = np.zeros((2, SAMPLES), np.int8)
    codes[0, ORDER[80:110]], codes[:, ORDER[110:]] = 1, 2
    matrices = dict(zip(views.names, views.matrices, strict=True))
    save(assemble("set", matrices, labels, folds=codes), tmp_path / "set.npz")

    def run(folder: Path, fold: int) -> None:
        train_run(
            tmp_path / "set.npz", folder, replace(TINY, epochs=2), fold=fold, seed=0, device="cpu", resolved="",
            information_epochs=2,
        )  # fmt: skip

    run(tmp_path / "run", 0)
    rows = read_information(tmp_path / "run" / "information.csv")
    assert sorted({row.step for row in rows}) == [0, 10]
    validation = labels[codes[0] == 1]
    shares = np.bincount(validation) / len(validation)
    assert rows[0].entropy == pytest.approx(-(shares * np.log(shares)).sum())
    assert (tmp_path / "run" / "information.png").is_file()
    with pytest.raises(InputError, match="fold 1 has no validation split"):
        run(tmp_path / "none", 1)
    assert not (tmp_path / "none").exists()
