"""The study of diagnoses side by side: what is trained and diagnosed, means and paired differences, the report."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import scipy.stats

from limbeck.errors import InputError
from limbeck.information.diagnosis import diagnose_view_features
from limbeck.multiview.classifier import MultiViewClassifier
from limbeck.multiview.data import assemble, load, save
from limbeck.multiview.diagnosis import view_features_of_model
from limbeck.multiview.recipe import Recipe
from limbeck.reid.diagnosis import view_features_of_run
from limbeck.studies.diagnosis.report import as_json, diagnosis_picture, format_report, write_report
from limbeck.studies.diagnosis.run import (
    ACROSS,
    FIGURES,
    PEOPLE,
    DiagnosisResult,
    DiagnosisSettings,
    SetResult,
    people_settings,
    run,
)
from limbeck.studies.multiview_rows import row_recipe
from limbeck.synthetic.people import PeopleSettings

SAMPLES = 120
ROWS = ("E+B", "E+B+MV2D")


def _set(folder: Path, change: Any = None, *, name: str = "toys", views: int = 2) -> str:
    rng = np.random.default_rng(0)
    labels = np.arange(SAMPLES) % 3
    matrices = {
        f"view {width}": np.eye(3)[labels] @ rng.normal(size=(3, width)) + 0.8 * rng.normal(size=(SAMPLES, width))
        for width in range(4, 4 + views)
    }
    splits = np.stack([np.resize([0, 0, 0, 1, 2], SAMPLES), np.resize([2, 0, 0, 0, 1], SAMPLES)]).astype(np.int8)
    if change is not None:
        change(matrices, labels, splits)
    save(assemble(name, matrices, labels, folds=splits), folder / f"{name}.npz")
    return str(folder / f"{name}.npz")


def _tiny(source: str, **changes: Any) -> DiagnosisSettings:
    recipe = Recipe(encoder=(8, 6), representation=3, epochs=3, batch_size=16, learning_rate=1e-2, dropout=0.1)
    return DiagnosisSettings(**({"data": (source,), "rows": ROWS, "probe_folds": 2, "recipe": recipe} | changes))


def _figure(name: str) -> Any:
    return next(figure for figure in FIGURES if figure.name == name)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, messages: Any) -> tuple[DiagnosisResult, list[str], Path]:
    folder = tmp_path_factory.mktemp("diagnosis")
    with messages() as told:
        return run(_tiny(_set(folder)), folder), told, folder


@pytest.mark.slow
def test_every_row_and_split_is_diagnosed(done: Any) -> None:
    result, told, _ = done
    (one,) = result.sets
    assert (one.name, one.runs, tuple(one.rows)) == ("toys", ("fold 0", "fold 1"), ROWS)
    assert len(told) == len(ROWS)
    for found in one.rows.values():
        assert [diagnosis.samples for diagnosis in found] == [48, 48]
        assert [view.name for view in found[0].views] == ["view 4", "view 5"]
        assert all(0 < _figure("I(z;y)").of(diagnosis) < diagnosis.entropy.nats for diagnosis in found)
    assert one.test_to_train == pytest.approx(48 / 72)
    assert "trained on 72 samples, diagnosed on the 48 of the validation and test splits" in one.protocol


@pytest.mark.slow
def test_figures_are_means_over_views(done: Any) -> None:
    found = done[0].sets[0].rows["E+B"][0]
    first, second = found.views
    expected = {
        "I(v;y)": (first.observation.nats + second.observation.nats) / 2,
        "I(z;y)": (first.representation.nats + second.representation.nats) / 2,
        "gap": (first.gap.nats + second.gap.nats) / 2,
        "only in this view": (first.specific.nats + second.specific.nats) / 2,
        "consistent": (first.consistent.nats + second.consistent.nats) / 2,
        "joint": found.joint.nats,
        "agree %": 100 * found.agreements[0].share,
    }
    assert {figure.name: figure.of(found) for figure in FIGURES} == pytest.approx(expected)
    # Two views of one width are searched across as well.
    precisions = [search.mean_average_precision for search in found.retrieval]
    assert len(precisions) == 2
    assert ACROSS.of(found) == pytest.approx(50 * sum(precisions))
    # What the figures are to one another: the gap, the two parts of I(z; y), and with two views joint less the other.
    assert expected["gap"] == pytest.approx(expected["I(v;y)"] - expected["I(z;y)"])
    assert expected["only in this view"] + expected["consistent"] == pytest.approx(expected["I(z;y)"])
    assert expected["only in this view"] == pytest.approx(expected["joint"] - expected["I(z;y)"])


@pytest.mark.slow
def test_differences_are_paired_and_corrected_for_shared_samples(done: Any) -> None:
    (one,) = done[0].sets
    figure = _figure("gap")
    difference = np.subtract(one.values("E+B+MV2D", figure), one.values("E+B", figure))
    half = scipy.stats.t.ppf(0.975, 1) * difference.std(ddof=1) * np.sqrt(1 / 2 + 48 / 72)
    found = one.against("E+B", figure)
    assert (found.mean, found.low, found.high) == pytest.approx(
        (difference.mean(), difference.mean() - half, difference.mean() + half)
    )
    assert one.against("E+B+MV2D", figure) is None
    assert replace(one, rows={"E+B": one.rows["E+B"]}).against("E+B", figure) is None


@pytest.mark.slow
def test_a_split_is_diagnosed_as_its_classifier_is(done: Any) -> None:
    """The study's batched trainings and diagnoses are those of one classifier on one split."""
    result, _, folder = done
    data = load(folder / "toys.npz")
    model = MultiViewClassifier.from_recipe(row_recipe(result.settings.recipe, "E+B"), random_state=1)

    def pick(chosen: Any) -> tuple[dict[str, Any], Any]:
        return {name: view[chosen] for name, view in data.views.items()}, data.labels[chosen]

    model.fit(*pick(data.folds[1] == 0), validation=pick(data.folds[1] == 1))
    sources = view_features_of_model(model, *pick(data.folds[1] > 0))
    alone, batched = diagnose_view_features(sources, folds=2), result.sets[0].rows["E+B"][1]
    for figure in FIGURES:
        assert figure.of(alone) == pytest.approx(figure.of(batched), abs=0.02 * 10 ** (3 - figure.digits)), figure.name


@pytest.mark.slow
def test_samples_that_lack_a_view_are_left_out(tmp_path: Path) -> None:
    def change(views: dict[str, Any], labels: Any, splits: Any) -> None:
        views["view 4"][np.flatnonzero(splits[0] == 2)[:5]] = np.nan

    (one,) = run(_tiny(_set(tmp_path, change), rows=("E+B",), folds=1), tmp_path).sets
    assert [found.samples for found in one.rows["E+B"]] == [43]


@pytest.mark.slow
def test_the_report_holds_every_figure(done: Any, tmp_path: Path) -> None:
    result = done[0]
    (one,) = result.sets
    files = write_report(result, tmp_path)
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "diagnosis.json",
        "diagnosis.txt",
        "diagnosis-toys.png",
        "diagnosis-toys/E+B/index.html",
        "diagnosis-toys/E+B+MV2D/index.html",
        "index.html",
    ]
    assert all(file.stat().st_size for file in files)
    assert (tmp_path / "diagnosis-toys/E+B/venn.png").is_file()
    held = json.loads(files[0].read_text())
    assert held == json.loads(json.dumps(as_json(result), allow_nan=False))
    row = held["sets"][0]["rows"][0]
    values = one.values("E+B", _figure("joint"))
    assert row["figures"]["joint"]["runs"] == values
    assert [found["joint"]["nats"] for found in row["diagnoses"]] == values
    assert row["reference_minus_this"]["joint"]["mean"] == pytest.approx(one.against("E+B", _figure("joint")).mean)
    text, page = files[1].read_text(), files[-1].read_text()
    shown = f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
    assert shown in text
    assert shown in page
    assert "nothing is selected but the epoch" in text
    assert 'href="diagnosis-toys/E%2BB/index.html"' in page
    # Every address of the page leads to a file beside it.
    links = [unquote(link) for link in re.findall(r'href="([^"]+)"', page)]
    assert len(links) >= 5
    assert all((tmp_path / link).is_file() for link in links)


@pytest.mark.slow
def test_the_picture_shows_every_run(done: Any) -> None:
    (one,) = done[0].sets
    picture = diagnosis_picture(one)
    assert one.figures == (*FIGURES, ACROSS)
    for axes, figure in zip(picture.axes, one.figures, strict=True):
        drawn = sorted(x for line in axes.lines if line.get_marker() == "." for x in line.get_xdata())
        assert drawn == pytest.approx(sorted(v for row in ROWS for v in one.values(row, figure)))
    assert [label.get_text() for label in picture.axes[0].get_yticklabels()] == list(ROWS)


@pytest.mark.slow
def test_without_a_search_across_there_are_the_other_figures(done: Any) -> None:
    (one,) = done[0].sets
    rows = {row: tuple(replace(diagnosis, retrieval=()) for diagnosis in found) for row, found in one.rows.items()}
    several = replace(one, rows=rows)
    assert several.figures == FIGURES
    assert len([axes for axes in diagnosis_picture(several).axes if axes.axison]) == len(FIGURES)
    assert "across" not in format_report(DiagnosisResult(done[0].settings, (several,)))


@pytest.mark.slow
def test_one_split_has_no_interval(done: Any) -> None:
    result = done[0]
    (one,) = result.sets
    single = replace(one, runs=one.runs[:1], rows={row: found[:1] for row, found in one.rows.items()})
    alone = DiagnosisResult(result.settings, (single,))
    text = format_report(alone)
    assert "±" not in text.split("gap:")[0]
    difference = _figure("gap").of(one.rows["E+B+MV2D"][0]) - _figure("gap").of(one.rows["E+B"][0])
    assert f"{difference:+z.3f}" in text
    against = as_json(alone)["sets"][0]["rows"][0]["reference_minus_this"]["gap"]
    assert against == {"mean": pytest.approx(difference), "low": None, "high": None}


@pytest.mark.slow
def test_people_are_trained_as_in_the_ablation(tmp_path: Path) -> None:
    study = people_settings()
    study = replace(
        study,
        rows=("E+B", "VD"),
        seeds=(3,),
        recipe=replace(
            study.recipe,
            data=replace(study.recipe.data, height=32, width=16, identities=2, pictures=2, steps_per_epoch=2),
            network=replace(study.recipe.network, hidden=(8,), representation=8, pooling="average"),
            training=replace(study.recipe.training, epochs=1),
        ),
        people=PeopleSettings(
            train_identities=3,
            validation_identities=0,
            test_identities=3,
            images_per_camera=2,
            height=32,
            width=16,
            absent=0.0,
        ),
    )
    settings = _tiny(PEOPLE, people=study)
    (one,) = run(settings, tmp_path).sets
    assert (one.name, one.reference, one.runs, one.test_to_train) == (PEOPLE, "VD", ("seed 3",), 0.0)
    assert tuple(one.rows) == ("E+B", "VD")
    (found,) = one.rows["VD"]
    assert [view.name for view in found.views] == ["visible", "infrared"]
    assert len(found.classes) == 3
    assert f"diagnosed on {found.samples} pairs" in one.protocol
    # What is diagnosed are the trainings of that study, where it left them.
    alone = diagnose_view_features(view_features_of_run(tmp_path / "trainings" / "VD" / "seed-3"), folds=2)
    assert [figure.of(alone) for figure in FIGURES] == pytest.approx([figure.of(found) for figure in FIGURES])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": ()}, "data must be strings, at least one"),
        ({"data": ("digits", "digits")}, "data must be strings, .* each once"),
        ({"rows": ("E+X",)}, "rows must be some of E, .*not \\('E\\+X',\\)"),
        ({"rows": ()}, "at least one, each once"),
        ({"rows": ("E+B", "E+B")}, "at least one, each once"),
        ({"folds": -1}, "folds must be a whole number of at least 0"),
        ({"probe": "tree"}, "probe must be one of linear, mlp, quadratic"),
    ],
)
def test_unusable_settings_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        DiagnosisSettings(**change)
    assert "\n" not in str(caught.value)


def test_unusable_sets_are_refused_before_anything_is_trained(tmp_path: Path, messages: Any) -> None:
    good = _set(tmp_path)
    (tmp_path / "other").mkdir()
    for data, changes, words in (
        ((good, "nowhere"), {}, "nowhere: no such file"),
        ((good, _set(tmp_path / "other")), {}, "different names, not toys, toys"),
        ((_set(tmp_path, name="one", views=1),), {}, "one: has one view"),
        ((good,), {"folds": 3}, "folds must be at most the 2 of toys, not 3"),
    ):
        with messages() as told, pytest.raises(InputError, match=words):
            run(replace(_tiny(good), data=data, **changes), tmp_path)
        assert told == []


@pytest.mark.slow
def test_a_row_by_itself_has_no_differences(done: Any) -> None:
    result = done[0]
    one: SetResult = replace(result.sets[0], rows={"E+B": result.sets[0].rows["E+B"]})
    text = format_report(DiagnosisResult(result.settings, (one,)))
    assert "less the row" not in text
    assert as_json(DiagnosisResult(result.settings, (one,)))["sets"][0]["rows"][0]["reference_minus_this"] == {
        figure.name: None for figure in one.figures
    }
