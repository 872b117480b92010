"""Figure 7: the study of I(v; y) and I(z; y) over a training, on views and on people, and its report."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limbeck.errors import InputError
from limbeck.information.curve import InformationRow, read_information
from limbeck.multiview.data import assemble, save
from limbeck.multiview.recipe import Recipe
from limbeck.reporting.statistics import Estimate
from limbeck.studies.fitting.report import fitting_figure, format_report, summaries, write_report
from limbeck.studies.fitting.run import MEAN, FittedRun, FittingResult, FittingSettings, PeopleFitting, run, series_of
from limbeck.synthetic.people import PeopleSettings

SAMPLES = 90


def _set(folder: Path, change: Any = None) -> str:
    rng = np.random.default_rng(0)
    labels = np.arange(SAMPLES) % 3
    views = {
        name: np.eye(3)[labels] @ rng.normal(size=(3, width)) + 0.5 * rng.normal(size=(SAMPLES, width))
        for name, width in (("left", 4), ("right", 5))
    }
    splits = np.stack([np.resize([0, 0, 0, 1, 2], SAMPLES), np.resize([2, 0, 0, 0, 1], SAMPLES)]).astype(np.int8)
    if change is not None:
        change(views, labels, splits)
    save(assemble("toys", views, labels, folds=splits), folder / "toys.npz")
    return str(folder / "toys.npz")


def _tiny(source: str, **changes: Any) -> FittingSettings:
    recipe = Recipe(encoder=(8, 6), epochs=2, batch_size=16, learning_rate=1e-2, patience=None)
    options = {
        "widths": (1, 2),
        "objectives": ("mv2d",),
        "measured": (),
        "folds": 2,
        "probe_folds": 2,
        "recipe": recipe,
    }
    return FittingSettings(data=(source,), **(options | changes))


def _people(**changes: Any) -> PeopleFitting:
    plain = PeopleFitting()
    recipe = plain.recipe
    return PeopleFitting(
        **{
            "objectives": ("vd",),
            "seeds": (0, 1),
            "recipe": replace(
                recipe,
                data=replace(recipe.data, height=32, width=16, identities=2, pictures=2, steps_per_epoch=2, held_out=2),
                network=replace(recipe.network, hidden=(8,), pooling="average"),
                training=replace(recipe.training, epochs=2, information_epochs=2),
            ),
            "people": replace(plain.people, train_identities=5, images_per_camera=2, height=32, width=16, absent=0.0),
            **changes,
        }
    )


@pytest.fixture(scope="module")
def done(
    tmp_path_factory: pytest.TempPathFactory, messages: Any
) -> tuple[FittingSettings, list[FittedRun], list[str], Path]:
    folder = tmp_path_factory.mktemp("fitting")
    settings = replace(_tiny(_set(folder)), data=(str(folder / "toys.npz"), "people"), people=_people(), widths=(2,))
    with messages() as told:
        return settings, run(settings, folder), told, folder


@pytest.mark.slow
def test_every_set_and_run_is_measured(done: Any) -> None:
    _, result, told, folder = done
    runs = list(result.runs)
    assert [(run.data, run.objective, run.width, run.run) for run in runs] == [
        ("toys", "mv2d", 2, 0),
        ("toys", "mv2d", 2, 1),
        ("people", "vd", 2, 0),
        ("people", "vd", 2, 1),
    ]
    assert len(told) == 3
    assert [run.samples for run in runs] == [36, 36, 24, 24]
    assert list(series_of(runs[0])) == [MEAN, "all views"]
    assert list(series_of(runs[2])) == ["specific", "shared"]
    assert [series.epochs.tolist() for run in runs for series in series_of(run).values()] == [[0, 2]] * 8
    # The rows are those that the run of the people wrote itself.
    assert read_information(folder / "people-vd" / "width-2" / "seed-0" / "information.csv") == list(runs[2].rows)


@pytest.mark.slow
def test_a_second_call_does_not_train_people_again(done: Any) -> None:
    settings, result, _, folder = done
    times = {file: file.stat().st_mtime_ns for file in folder.rglob("checkpoints/*")}
    again = run(replace(settings, data=("people",)), folder)
    assert again.runs == result.runs[2:]
    assert times == {file: file.stat().st_mtime_ns for file in folder.rglob("checkpoints/*")}


def test_nothing_is_learned_from_what_is_measured_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other labels of the samples held out leave their representations as they were, other ones of the rest do not."""
    seen: list[np.ndarray] = []
    monkeypatch.setattr(
        "limbeck.information.curve.InformationCurve.record",
        lambda curve, step, representations: seen.append(np.hstack(list(representations.values()))),
    )
    monkeypatch.setattr("limbeck.studies.fitting.run._figures", lambda _: "")
    for name, held_out in (("plain", None), ("held out", True), ("training", False)):

        def change(views: Any, labels: np.ndarray, splits: np.ndarray, held_out: bool | None = held_out) -> None:
            if held_out is not None:
                chosen = (splits[0] > 0) == held_out
                labels[chosen] = (labels[chosen] + 1) % 3

        (tmp_path / name).mkdir()
        run(_tiny(_set(tmp_path / name, change), widths=(2,), folds=1), tmp_path)
    (first, last), (same_first, same_last), (other_first, other_last) = seen[:2], seen[2:4], seen[4:]
    assert np.array_equal(first, same_first)
    assert np.array_equal(last, same_last)
    assert np.array_equal(first, other_first)
    assert not np.array_equal(last, other_last)


def _run(width: int, run: int, v: list[float], z: list[float], **changes: Any) -> FittedRun:
    rows = [
        InformationRow(10 * place, f"{word} {view}", nats + shift, 0.0, 0.0, 1.1)
        for place in range(len(v))
        for word, nats in (("v", v[place]), ("z", z[place]))
        for view, shift in (("a", -0.1), ("b", 0.1), ("all views", 0.2))
    ]
    return FittedRun(**({"data": "toys", "objective": "none", "width": width, "run": run, "epochs": 8, "samples": 9,
                         "rows": tuple(rows)} | changes))  # fmt: skip


def _result(runs: list[FittedRun]) -> FittingResult:
    return FittingResult(FittingSettings(), tuple(runs))


def test_the_summary_by_hand() -> None:
    runs = [_run(4, 0, [0.5, 0.7, 0.8], [0.1, 0.55, 0.6]), _run(4, 1, [0.5, 0.9, 1.0], [0.1, 0.3, 0.6])]
    of_views, of_all = summaries(runs)
    assert (of_views.scope, of_views.runs, of_views.entropy) == (MEAN, 2, 1.1)
    assert of_views.v.mean == pytest.approx(0.9)
    assert of_views.gap.mean == pytest.approx(0.3)
    assert of_views.gap.deviation == pytest.approx(math.sqrt(0.02))
    assert of_views.fitted_after == Estimate.from_values(
        [4.0, 8.0]
    )  # 0.55 is above 0.54; the other is there at the end
    assert of_all.v.mean == pytest.approx(1.1)
    table = format_report(_result(runs))
    assert "0.900 ± 0.141" in table
    assert "6.0 ± 2.8" in table
    assert "prints no figure in nats" in table
    assert max(map(len, table.splitlines())) <= 120


def test_what_is_never_read_is_never_fitted() -> None:
    (line, _) = summaries([_run(4, 0, [0.5, 0.5], [0.0, -0.3])])
    assert line.fitted_after is None
    assert "never" in format_report(_result([_run(4, 0, [0.5, 0.5], [0.0, -0.3])]))
    with pytest.raises(InputError, match="at least one"):
        format_report(_result([]))
    with pytest.raises(InputError, match="at least one"):
        summaries([])
    with pytest.raises(InputError, match="nothing was measured of both v and z"):
        series_of(replace(_run(4, 0, [0.5], [0.1]), rows=()))


def test_the_picture_shows_every_objective_and_width() -> None:
    runs = [
        _run(width, run, [0.4, 0.8], [0.1, 0.5 + width / 50], objective=objective)
        for objective in ("none", "mv2d")
        for width in (2, 8)
        for run in (0, 1)
    ]
    figure = fitting_figure(runs)
    curves, last = figure.axes[:2], figure.axes[2]
    assert [axes.get_title() for axes in curves] == [f"{MEAN}: none", f"{MEAN}: mv2d"]
    lines = {line.get_label(): line for line in curves[0].lines}
    assert {"width 2", "width 8", "H(y)"} <= set(lines)
    assert list(lines["width 8"].get_xdata()) == [0, 8]
    assert list(lines["width 8"].get_ydata()) == pytest.approx([0.4, 0.8])
    gaps = last.containers[0].lines[0]
    assert list(gaps.get_ydata()) == pytest.approx([0.8 - 0.54, 0.8 - 0.66])
    with pytest.raises(InputError, match="one set"):
        fitting_figure([runs[0], replace(runs[1], data="other")])


@pytest.mark.slow
def test_the_report_holds_every_figure(done: Any, tmp_path: Path) -> None:
    result = done[1]
    files = write_report(result, tmp_path)
    assert [file.name for file in files] == [
        "fitting.json", "fitting.txt", "fitting-toys.png", "fitting-people.png", "index.html",
    ]  # fmt: skip
    held = json.loads(files[0].read_text())
    assert len(held["runs"]) == 4
    assert len(held["summary"]) == 4
    assert held["runs"][0]["rows"][0]["nats"] == result.runs[0].rows[0].nats
    for file in files[2:4]:
        with Image.open(file) as picture:
            picture.verify()
    page = files[4].read_text()
    assert page.count("<img") == 2
    assert "label is the identity" in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": ()}, "data must be strings, at least one"),
        ({"widths": (4, 4)}, "widths must be whole numbers of at least 1, at least one, each once"),
        ({"widths": (0,)}, "widths must be"),
        ({"measured": (True,)}, "measured must be"),
        ({"folds": 0}, "folds must be a whole number of at least 1"),
        ({"objectives": ()}, "objectives must be some of .* at least one"),
        ({"objectives": ("vd",)}, "objectives must be some of"),
        ({"recipe": Recipe()}, r"recipe\.patience must be null"),
    ],
)
def test_bad_settings_are_one_clear_line(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        FittingSettings(**changes)
    assert len(str(caught.value).splitlines()) == 1


def test_bad_settings_of_people_are_one_clear_line(tmp_path: Path) -> None:
    recipe = PeopleFitting().recipe
    unwatched = replace(recipe, training=replace(recipe.training, information_epochs=0))
    for changes, words in (
        ({"seeds": ()}, r"people\.seeds must be"),
        ({"objectives": ("mv2d",)}, r"people\.objectives must be some of"),
        ({"recipe": unwatched}, "information_epochs must be at least 1"),
    ):
        with pytest.raises(InputError, match=words):
            PeopleFitting(**changes)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="folds must be at most the 2"):
        run(_tiny(_set(tmp_path), folds=3), tmp_path)


def test_the_defaults_hold_people_out_and_draw_hardly_any_to_search() -> None:
    settings = FittingSettings()
    assert settings.people.recipe.data.held_out == 20
    assert isinstance(settings.people.people, PeopleSettings)
    assert settings.people.people.test_identities == 1
