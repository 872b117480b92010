"""The ablation end to end on a slice of `digits`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.errors import InputError
from limbeck.multiview.data import MultiViewData, assemble, save, stratified_folds
from limbeck.multiview.digits import digits
from limbeck.multiview.recipe import Recipe
from limbeck.reporting.console import console_output
from limbeck.studies.multiview_ablation.report import as_json, published
from limbeck.studies.multiview_ablation.run import (
    BASELINES,
    MultiviewAblationResult,
    MultiviewAblationSettings,
    ablate,
    run,
)
from limbeck.studies.multiview_rows import TABLE_7_ROWS, row_recipe

RECIPE = Recipe(encoder=(16, 8), representation=4, epochs=4, batch_size=32, learning_rate=1e-2, dropout=0.1)


def small(name: str = "slice") -> MultiViewData:
    """Three classes and three views of the embedded digits."""
    data = digits()
    keep = np.flatnonzero(data.labels < 3)[:150]
    views = {view: data.views[view][keep] for view in data.view_names[1:4]}
    labels = data.labels[keep]
    return assemble(name, views, labels, class_names=("zero", "one", "two"), folds=stratified_folds(labels, 2))


SETTINGS = MultiviewAblationSettings(recipe=RECIPE, compression_weights=(1e-3, 1e-1), dimension_sweep=(2, 8))


@pytest.fixture(scope="module")
def result() -> MultiviewAblationResult:
    return ablate(small(), SETTINGS)


def test_every_row_is_there_in_order_and_beats_chance(result: MultiviewAblationResult) -> None:
    assert [row.name for row in result.rows] == [*TABLE_7_ROWS, *BASELINES]
    for row in result.rows:
        assert len(row.scores) == 2
        assert row.without.shape == (2, 3)
        assert np.mean(row.accuracy) > 0.5
        assert row.seconds > 0


def test_the_sweep_has_a_result_a_width(result: MultiviewAblationResult) -> None:
    assert list(result.sweep) == [2, 8]
    assert result.sweep[2].embedding.shape[1] == 3 * 2
    assert result.sweep[8].embedding.shape[1] == 3 * 8


def test_the_missing_loss_is_what_a_view_costs_on_average(result: MultiviewAblationResult) -> None:
    row = result.rows[0]
    expected = [accuracy - row.without[split].mean() for split, accuracy in enumerate(row.accuracy)]
    np.testing.assert_allclose(row.missing_loss, expected)


def test_the_json_is_plain_and_complete(result: MultiviewAblationResult) -> None:
    plain = json.loads(json.dumps(as_json(result), allow_nan=False))
    assert plain["data"] == {"name": "slice", "samples": 150, "classes": 3}
    assert plain["protocol"]["splits"] == 2
    assert plain["protocol"]["train"] + plain["protocol"]["validation"] + plain["protocol"]["test"] == 150
    assert plain["settings"]["recipe"]["encoder"] == [16, 8]
    assert list(plain["dimension_sweep"]) == ["2", "8"]
    for row in plain["rows"]:
        assert set(row) == {
            "name",
            "accuracy",
            "cross_entropy",
            "calibration_error",
            "accuracy_without_view",
            "missing_loss",
            "reference_minus_this",
            "published_accuracy",
            "seconds",
            "chosen",
        }
        assert row["accuracy"]["mean"] == pytest.approx(np.mean(row["accuracy"]["splits"]))
        assert list(row["accuracy_without_view"]) == list(small().view_names)
        assert (row["reference_minus_this"]["accuracy"] is None) == (row["name"] == "E+B+MV2D")
        assert row["published_accuracy"] is None


def test_beta_is_chosen_by_each_splits_validation_part(result: MultiviewAblationResult) -> None:
    row = result.row("E+CIB")
    assert row is not None
    candidates = [
        ablate(small(), replace(SETTINGS, rows=("E+CIB",), baselines=(), dimension_sweep=(), compression_weights=(w,)))
        for w in SETTINGS.compression_weights
    ]
    for split, chosen in enumerate(row.chosen):
        position = SETTINGS.compression_weights.index(chosen["compression_weight"])
        assert row.scores[split] == candidates[position].rows[0].scores[split]


def test_the_study_reads_its_set(result: MultiviewAblationResult, tmp_path: Path) -> None:
    save(small(), tmp_path / "slice.npz")
    settings = replace(SETTINGS, data=str(tmp_path / "slice.npz"), rows=("E",), baselines=(), dimension_sweep=())
    found = run(settings, tmp_path)
    assert found.rows[0].scores == result.rows[0].scores
    assert found.settings == settings


@pytest.mark.slow
def test_a_study_can_be_repeated(result: MultiviewAblationResult) -> None:
    again = ablate(small(), SETTINGS)
    for one, two in zip([*result.rows, *result.sweep.values()], [*again.rows, *again.sweep.values()], strict=True):
        assert one.scores == two.scores
        np.testing.assert_array_equal(one.without, two.without)
        assert one.chosen == two.chosen


def test_each_split_gives_what_it_gives_alone(result: MultiviewAblationResult) -> None:
    data, recipe = small(), replace(RECIPE, learning_rate=1e-3)
    settings = MultiviewAblationSettings(recipe=recipe, rows=("E+B+MV2D",), baselines=("logistic",))
    both = ablate(data, settings)
    for split in range(2):
        single = replace(data, folds=data.folds[split : split + 1])
        alone = ablate(single, replace(settings, seed=split))
        for row, one in zip(both.rows, alone.rows, strict=True):
            assert row.accuracy[split] == pytest.approx(one.accuracy[0], abs=0.021)  # one of 48 samples may tip
            assert row.scores[split].cross_entropy == pytest.approx(one.scores[0].cross_entropy, abs=1e-2)


@pytest.mark.slow
def test_test_labels_choose_nothing() -> None:
    data = small()
    settings = MultiviewAblationSettings(recipe=RECIPE, compression_weights=(1e-3, 1e-1))
    labels = data.labels.copy()
    only = replace(data, folds=data.folds[:1])
    test = only.split("test")
    labels[test] = (labels[test] + 1) % 3
    first, second = ablate(only, settings), ablate(replace(only, labels=labels), settings)
    for one, two in zip(first.rows, second.rows, strict=True):
        assert one.chosen == two.chosen
        if one.embedding is not None:
            np.testing.assert_array_equal(one.embedding, two.embedding)


def test_splits_are_stored_or_drawn() -> None:
    settings = MultiviewAblationSettings(recipe=replace(RECIPE, epochs=1), rows=("E",), baselines=())
    data = small()
    np.testing.assert_array_equal(ablate(data, settings).folds, data.folds)
    assert len(ablate(data, replace(settings, folds=3)).folds) == 3
    assert len(ablate(replace(data, folds=data.folds[:0]), settings).folds) == 5
    with pytest.raises(InputError, match="folds must be a whole number of at least 0"):
        replace(settings, folds=-1)


@pytest.mark.slow
@pytest.mark.parametrize("baselines", [(), ("logistic",)])
def test_a_split_without_validation_still_gives_a_report(baselines: Any) -> None:
    data = small()
    data = replace(data, folds=np.where(data.folds == 1, 0, data.folds).astype(np.int8))
    result = ablate(data, MultiviewAblationSettings(recipe=replace(RECIPE, epochs=2), baselines=baselines))
    json.dumps(as_json(result), allow_nan=False)


def test_views_with_missing_rows_and_sparse_views_can_be_studied() -> None:
    from scipy import sparse

    data = small()
    views: dict[str, Any] = {name: view.copy() for name, view in data.views.items()}
    first, second, _ = views
    views[first][::4] = np.nan
    views[second] = sparse.csr_array(np.where(views[second] > 0.2, views[second], 0))
    changed = assemble("gaps", views, data.labels, folds=data.folds)
    settings = MultiviewAblationSettings(recipe=RECIPE, rows=("E", "E+B+MV2D"), baselines=("logistic",))
    assert min(np.mean(row.accuracy) for row in ablate(changed, settings).rows) > 0.5


def test_progress_is_told_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    settings = MultiviewAblationSettings(recipe=replace(RECIPE, epochs=1), rows=("E",), baselines=("logistic",))
    with console_output():
        ablate(small(), settings)
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "limbeck: E: 2 folds side by side"
    assert any(line.startswith("limbeck: logistic: test accuracy") for line in told)
    assert any(line.startswith("E: epoch 1/1, loss") for line in told)
    ablate(small(), settings)
    assert capsys.readouterr() == ("", "")


def test_ctrl_c_stops_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    from limbeck.multiview.training import _Loop

    keep = _Loop._keep
    epochs: list[int] = []

    def interrupting(self: Any, model: int, entry: Any, epoch: int) -> None:
        keep(self, model, entry, epoch)
        epochs.append(epoch)
        if len(epochs) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(_Loop, "_keep", interrupting)
    with pytest.raises(KeyboardInterrupt):
        ablate(small(), SETTINGS)
    assert len(epochs) == 4


@pytest.mark.parametrize(
    ("name", "objective", "bottleneck"),
    [
        ("E", "none", False),
        ("E+CIB", "cib", True),
        ("E+B", "none", True),
        ("E+B+MV2D", "mv2d", True),
        ("E+B+released-2021", "released-2021", True),
    ],
)
def test_rows_differ_in_objective_and_bottleneck_alone(name: Any, objective: str, bottleneck: bool) -> None:
    recipe = row_recipe(RECIPE, name)
    assert (recipe.objective, recipe.bottleneck) == (objective, bottleneck)
    assert replace(recipe, objective="mv2d", bottleneck=True) == RECIPE


def test_an_unknown_row_is_named() -> None:
    with pytest.raises(InputError, match="'E\\+X'"):
        row_recipe(RECIPE, "E+X")  # type: ignore[arg-type]


def test_the_published_figures_are_those_of_the_tables() -> None:
    assert published("handwritten", "E+B+MV2D") == 99.40
    assert published("caltech101_20", "E") == 94.66
    assert published("handwritten", "svm") == 97.67
    assert published("handwritten", "boosting") is None
    assert published("digits", "E") is None
