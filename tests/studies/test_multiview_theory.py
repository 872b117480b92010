"""The study of the parts of MV2D: rows, figures, effects, what is stored, and the report, at the smallest size."""

import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from PIL import Image

from limbeck.errors import InputError
from limbeck.information.diagnosis import diagnose_view_features
from limbeck.multiview.classifier import MultiViewClassifier
from limbeck.multiview.data import MultiViewData, assemble, save, stratified_folds
from limbeck.multiview.diagnosis import view_features_of_model
from limbeck.multiview.evaluation import cross_entropy_nats
from limbeck.multiview.recipe import Recipe
from limbeck.studies.multiview_rows import ROWS, row_recipe
from limbeck.studies.multiview_theory.report import as_json, clear_of_zero, format_report, write_report
from limbeck.studies.multiview_theory.run import (
    DIAGNOSED,
    EFFECTS,
    SCORED,
    THEORY_ROWS,
    MultiviewTheoryResult,
    MultiviewTheorySettings,
    RowResult,
    run,
)

SAMPLES, VIEWS = 100, ("left", "middle", "right")
RECIPE = Recipe(encoder=(8, 6), representation=3, epochs=3, batch_size=16, learning_rate=1e-2, dropout=0.1)
ROWS_RUN = ("E+B", "E+B+MV2D", "E+B+MV2D-first-sum-only", "E+B+MV2D-second-sum-only")


def _set(views: int = 3) -> MultiViewData:
    rng = np.random.default_rng(0)
    labels = np.arange(SAMPLES) % 3
    matrices = {
        name: np.eye(3)[labels] @ rng.normal(size=(3, 4)) + 0.8 * rng.normal(size=(SAMPLES, 4))
        for name in VIEWS[:views]
    }
    return assemble("toys", matrices, labels)


def _settings(folder: Path, **changes: Any) -> MultiviewTheorySettings:
    if not (folder / "toys.npz").exists():
        save(_set(), folder / "toys.npz")
    chosen = {"rows": ROWS_RUN, "folds": 2, "diagnosed_folds": 1, "probe_folds": 2, "recipe": RECIPE}
    return MultiviewTheorySettings(**({"data": str(folder / "toys.npz")} | chosen | changes))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[MultiviewTheoryResult, Path]:
    folder = tmp_path_factory.mktemp("theory")
    return run(_settings(folder), folder), folder


@pytest.mark.slow
def test_every_row_has_every_figure_of_every_fold(done: Any) -> None:
    result, _ = done
    assert tuple(result.rows) == ROWS_RUN
    assert result.view_names == VIEWS
    assert result.sizes | {"samples": 100, "classes": 3} == result.sizes
    assert sum(result.sizes[part] for part in ("training", "validation", "test")) == 100
    assert result.sizes["diagnosed"] == result.sizes["validation"] + result.sizes["test"]
    for row in result.rows.values():
        assert list(row.values) == [figure.name for figure in (*SCORED, *DIAGNOSED)]
        assert {len(row.values[figure.name]) for figure in SCORED} == {2}
        assert {len(row.values[figure.name]) for figure in DIAGNOSED} == {1}
        assert np.shape(row.without) == (2, 3)
        np.testing.assert_allclose(row.values["a view missing, %"], np.mean(row.without, axis=1))
        assert np.mean(row.values["all views, %"]) > 0.5


@pytest.mark.slow
def test_a_fold_is_scored_and_diagnosed_as_its_classifier_is(done: Any) -> None:
    result, _ = done
    data, codes = _set(), _drawn(result)[0]

    def pick(chosen: Any) -> tuple[dict[str, Any], Any]:
        return {name: view[chosen] for name, view in data.views.items()}, data.labels[chosen]

    model = MultiViewClassifier.from_recipe(row_recipe(RECIPE, "E+B+MV2D"), random_state=0, kernel_path=False)
    model.fit(*pick(codes == 0), validation=pick(codes == 1))
    views, labels = pick(codes == 2)
    shares = np.bincount(labels) / len(labels)
    entropy = -(shares * np.log(shares)).sum()
    values = {name: figures[0] for name, figures in result.rows["E+B+MV2D"].values.items()}
    assert values["all views, %"] == pytest.approx(model.score(views, labels), abs=0.11)  # one of ten may tip
    read = entropy - cross_entropy_nats(model.predict_proba(views), labels)
    assert values["read, all views"] == pytest.approx(read, abs=0.02)
    rest = [entropy - cross_entropy_nats(model.predict_proba({**views, name: None}), labels) for name in VIEWS]
    assert values["read, a view missing"] == pytest.approx(np.mean(rest), abs=0.02)
    found = diagnose_view_features(view_features_of_model(model, *pick(codes > 0)), folds=2)
    without = np.mean([found.joint.nats - view.specific.nats for view in found.views])
    expected = {
        "held, all views": found.joint.nats,
        "held, a view missing": without,
        "held, one view": np.mean([view.representation.nats for view in found.views]),
        "only in a view": found.joint.nats - without,
        "gap": np.mean([view.observation.nats - view.representation.nats for view in found.views]),
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected, abs=0.03)


def _drawn(result: MultiviewTheoryResult) -> Any:
    return stratified_folds(_set().labels, result.folds, seed=result.settings.seed)


def test_effects_are_paired_and_corrected_for_shared_samples() -> None:
    result = _made_up(rows=ROWS_RUN)
    assert [effect.name for effect in result.effects] == [effect.name for effect in EFFECTS[:6]]
    both = next(effect for effect in result.effects if effect.name == "both sums beyond what each does alone")
    for figure, asked in ((SCORED[1], "test"), (DIAGNOSED[1], "diagnosed")):
        none, mv2d, first, second = (np.array(result.rows[row].values[figure.name]) for row in ROWS_RUN)
        difference = (mv2d - none) - (first - none) - (second - none)
        n = len(difference)
        ratio = result.sizes[asked] / result.sizes["training"]
        half = scipy.stats.t.ppf(0.975, n - 1) * difference.std(ddof=1) * np.sqrt(1 / n + ratio)
        found = result.effect(both, figure)
        expected = (difference.mean(), difference.mean() - half, difference.mean() + half)
        assert (found.mean, found.low, found.high) == pytest.approx(expected)


def test_every_effect_is_of_rows_that_differ_in_what_it_names() -> None:
    assert {row for effect in EFFECTS for row in (*effect.plus, *effect.minus)} == set(THEORY_ROWS)
    changed = {
        effect.name: {
            field.name
            for field in fields(Recipe)
            if sorted(str(getattr(row_recipe(RECIPE, row), field.name)) for row in effect.plus)
            != sorted(str(getattr(row_recipe(RECIPE, row), field.name)) for row in effect.minus)
        }
        for effect in EFFECTS
    }
    assert changed == {
        "MV2D": {"objective"},
        "first sum alone": {"objective", "consistency_weight"},
        "second sum alone": {"objective", "sufficiency_weight"},
        "first sum, beside the second": {"sufficiency_weight"},
        "second sum, beside the first": {"consistency_weight"},
        "both sums beyond what each does alone": {"objective", "sufficiency_weight", "consistency_weight"},
        "sum over views instead of the mean": {"over_views"},
        "teacher of the first sum learns": {"detach_teacher"},
        "teacher of the second sum learns": {"detach_joint"},
        "pairwise head, without MV2D": {"joint_head"},
        "pairwise head, with MV2D": {"joint_head"},
        "MV2D, with the pairwise head": {"objective"},
        "stochastic z, without MV2D": {"stochastic"},
        "stochastic z, with MV2D": {"stochastic"},
        "MV2D, with stochastic z": {"objective"},
        "view dropout, without MV2D": {"view_dropout", "view_dropout_sampling"},
        "view dropout, with MV2D": {"view_dropout", "view_dropout_sampling"},
        "MV2D, with view dropout": {"objective"},
        "view dropout instead of MV2D": {"objective", "view_dropout", "view_dropout_sampling"},
    }


@pytest.mark.slow
def test_every_row_can_be_trained(tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=1)
    result = run(_settings(tmp_path, rows=tuple(ROWS), folds=1, diagnosed_folds=0, recipe=recipe), tmp_path)
    accuracies = {row: found.values["read, a view missing"][0] for row, found in result.rows.items()}
    assert len(accuracies) == len(ROWS)
    # No row is another one by mistake: all start at one point, and go elsewhere in one epoch.
    assert len(set(accuracies.values())) == len(ROWS)
    assert len(result.effects) == len(EFFECTS)


@pytest.mark.slow
def test_a_study_goes_on_where_it_stopped(done: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    result, folder = done

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a row was trained again")

    monkeypatch.setattr("limbeck.studies.multiview_theory.run.train_folds", refuse)
    again = run(_settings(folder), folder)
    assert {name: asdict(row) for name, row in again.rows.items()} == {
        name: asdict(row) for name, row in result.rows.items()
    }
    with pytest.raises(AssertionError, match="trained again"):
        run(_settings(folder, rows=(*ROWS_RUN, "E+B+pairwise")), folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"folds": 4}, {"diagnosed_folds": 2}, {"probe": "mlp"}, {"recipe": replace(RECIPE, epochs=4)}],
)
def test_rows_of_other_settings_are_refused(done: Any, changes: dict[str, Any]) -> None:
    _, folder = done
    with pytest.raises(
        InputError,
        match=r"E_B\.json: was made by other settings or data, or another version of limbeck; name another folder",
    ):
        run(_settings(folder, **changes), folder)


@pytest.mark.slow
def test_a_damaged_row_is_named(done: Any, tmp_path: Path) -> None:
    _, folder = done
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "E_B.json").write_bytes((folder / "rows" / "E_B.json").read_bytes()[:-20])
    with pytest.raises(InputError, match=r"E_B\.json: damaged .*; remove it to run the row again"):
        run(_settings(folder), tmp_path)


@pytest.mark.slow
def test_samples_that_lack_a_view_are_not_diagnosed(tmp_path: Path) -> None:
    data = _set()
    views = {name: np.array(view) for name, view in data.views.items()}
    views["left"][::5] = np.nan
    save(assemble("toys", views, data.labels), tmp_path / "toys.npz")
    result = run(_settings(tmp_path, rows=("E+B",), folds=1, diagnosed_folds=5), tmp_path)
    assert result.diagnosed_folds == 1
    codes = _drawn(result)[0]
    assert result.sizes["diagnosed"] == int((codes[np.arange(SAMPLES) % 5 > 0] > 0).sum())


def test_a_view_that_no_sample_has_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    data = _set()
    views = {name: np.array(view) for name, view in data.views.items()}
    views["left"][:] = np.nan
    save(assemble("toys", views, data.labels), tmp_path / "toys.npz")
    with pytest.raises(InputError, match="toys: a fold has no two held-out samples with all views"):
        run(_settings(tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_view_cannot_be_missing(tmp_path: Path) -> None:
    save(_set(views=1), tmp_path / "toys.npz")
    with pytest.raises(InputError, match="toys: has one view, which cannot be missing"):
        run(_settings(tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"folds": -1}, "folds"),
        ({"rows": ()}, "rows"),
        ({"rows": ("E+B", "E+B")}, "rows"),
        ({"rows": ("E+X",)}, "rows"),
        ({"diagnosed_folds": -1}, "diagnosed_folds"),
        ({"probe": "deep"}, "probe"),
        ({"probe_folds": 1}, "probe_folds"),
    ],
)
def test_a_setting_out_of_range_is_named(changes: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=rf"^{name} must be"):
        MultiviewTheorySettings(**changes)


# --- the report, of made-up figures ------------------------------------------------------------------------------


def _made_up(*, folds: int = 4, diagnosed: int = 3, rows: tuple[Any, ...] = THEORY_ROWS) -> MultiviewTheoryResult:
    rng = np.random.default_rng(0)

    def row(gain: float) -> RowResult:
        scored = {figure.name: (0.9 + gain + 0.001 * rng.normal(size=folds)).tolist() for figure in SCORED}
        read = {figure.name: (1 + 0.001 * rng.normal(size=diagnosed)).tolist() for figure in DIAGNOSED}
        return RowResult(scored | (read if diagnosed else {}), [[0.9, 0.8]] * folds, 60.0, 30.0)

    found = {name: row(0.05 * (name == "E+B+MV2D")) for name in rows}
    sizes = {"samples": 100, "classes": 3, "training": 70, "validation": 20, "test": 10, "diagnosed": 30}
    settings = MultiviewTheorySettings(rows=rows)
    return MultiviewTheoryResult(settings, "toys", ("left", "right"), sizes, folds, diagnosed, found)


def test_the_report_names_rows_figures_effects_and_views() -> None:
    result = _made_up()
    text = format_report(result)
    lines = text.splitlines()
    for row in THEORY_ROWS:
        assert sum(line.split()[:1] == [row] for line in lines) == 3, row  # scores, diagnoses, each view missing
    for effect in EFFECTS:
        assert sum(line.startswith(f"  {effect.name}  ") for line in lines) == 2
    for figure in result.figures:
        assert f"{figure.name}: {figure.meaning}." in text
    assert "no left" in text
    assert "4 folds of 70 training and 10 test samples" in text
    assert "3 folds of 70 training and 30 diagnosed ones" in text
    assert max(map(len, lines[: lines.index("")])) <= 170


def test_effects_clear_of_zero_are_told_and_no_others() -> None:
    told = {line.split(":")[0]: line for line in clear_of_zero(_made_up())}
    assert "; pairwise head, with MV2D -5.0" in told["all views, %"]
    assert "clear of zero: MV2D +4.99" in told["all views, %"]
    assert "pairwise head, without MV2D" not in told["all views, %"]
    assert told["held, all views"].count("+") + told["held, all views"].count("-") <= 6
    assert next(key for key in told if key.startswith("Of ")).startswith("Of 171 intervals about 9 exclude zero")


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"folds": 1, "diagnosed": 0}, {"rows": ("E+B+MV2D-sum",)}])
def test_what_was_not_run_is_not_reported(changes: dict[str, Any], tmp_path: Path) -> None:
    result = _made_up(**changes)
    text = format_report(result)
    assert "clear of zero" not in text
    assert ("held" in text) == (changes.get("diagnosed") != 0)
    assert len(write_report(result, tmp_path)) == (3 if result.effects else 2)
    json.loads(json.dumps(as_json(result), allow_nan=False))


@pytest.mark.slow
def test_the_files_open_and_hold_every_figure(tmp_path: Path) -> None:
    result = _made_up()
    plain, text, picture = write_report(result, tmp_path / "new")
    assert [file.name for file in (plain, text, picture)] == [
        f"multiview-theory.{end}" for end in ("json", "txt", "png")
    ]
    assert text.read_text() == format_report(result)
    held = json.loads(plain.read_text())
    assert [row["name"] for row in held["rows"]] == list(THEORY_ROWS)
    values = held["rows"][1]["figures"]["read, a view missing"]
    assert values["folds"] == result.rows["E+B+MV2D"].values["read, a view missing"]
    assert values["mean"] == pytest.approx(np.mean(values["folds"]))
    assert held["rows"][0]["accuracy_without_view"] == pytest.approx({"left": 0.9, "right": 0.8})
    assert [effect["name"] for effect in held["effects"]] == [effect.name for effect in EFFECTS]
    found = result.effect(EFFECTS[0], SCORED[0])
    assert held["effects"][0]["differences"]["all views, %"] == asdict(found)
    with Image.open(picture) as opened:
        assert opened.format == "PNG"
        assert min(opened.size) > 200
        assert len(opened.convert("RGB").getcolors(1 << 24)) > 5  # something is drawn
