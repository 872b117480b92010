"""The re-identification ablation: rows, resumption, figures, report."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.errors import InputError
from limbeck.reporting.statistics import paired_difference
from limbeck.studies.people import MEANING, ROWS, Score, Trained, row_recipe, small_recipe
from limbeck.studies.published import TABLE_4
from limbeck.studies.reid_ablation.report import format_report, write_report
from limbeck.studies.reid_ablation.run import ReidAblationResult, ReidAblationSettings, run
from limbeck.synthetic.people import PeopleSettings


def tiny() -> ReidAblationSettings:
    recipe = small_recipe()
    return ReidAblationSettings(
        rows=("E", "VD"),
        seeds=(0, 1),
        recipe=replace(
            recipe,
            data=replace(recipe.data, height=32, width=16, identities=2, pictures=2, steps_per_epoch=2),
            training=replace(recipe.training, epochs=1),
        ),
        people=PeopleSettings(
            train_identities=4,
            validation_identities=0,
            test_identities=4,
            images_per_camera=2,
            height=32,
            width=16,
            absent=0.0,
        ),
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, messages: Any) -> tuple[Path, ReidAblationResult, list[str]]:
    folder = tmp_path_factory.mktemp("ablation")
    with messages() as told:
        return folder, run(tiny(), folder), told


@pytest.mark.slow
def test_every_row_and_seed_is_trained_and_scored(done: tuple[Path, ReidAblationResult, list[str]]) -> None:
    folder, result, told = done
    trained = result.trainings
    assert [(one.row, one.seed) for one in trained] == [("E", 0), ("E", 1), ("VD", 0), ("VD", 1)]
    assert len(told) == 4
    assert all(set(one.scores) == ({"v"} if one.row == "E" else {"v", "z"}) for one in trained)
    assert all(0 < score.mean_average_precision <= 1 for one in trained for score in one.scores.values())
    # Each seed has people of its own, and all rows of a seed the same.
    first, second = ((folder / "people" / f"seed-{seed}" / "factors.csv").read_bytes() for seed in (0, 1))
    assert first != second


@pytest.mark.slow
def test_what_is_done_is_not_done_again(done: tuple[Path, ReidAblationResult, list[str]]) -> None:
    folder, result, _ = done
    times = {file: file.stat().st_mtime_ns for file in folder.rglob("model.safetensors")}
    assert run(tiny(), folder) == result
    assert times == {file: file.stat().st_mtime_ns for file in folder.rglob("model.safetensors")}


@pytest.mark.slow
def test_figures_stored_under_earlier_names_of_settings_are_read(
    done: tuple[Path, ReidAblationResult, list[str]], tmp_path: Path
) -> None:
    folder, result, _ = done
    shutil.copytree(folder, tmp_path / "stored")
    for file in (tmp_path / "stored").rglob("figures.json"):
        held = json.loads(file.read_text())
        data = held["recipe"]["data"]
        data |= {"split": data.pop("fold"), "parts": data.pop("splits")}
        file.write_text(json.dumps(held))
    assert run(tiny(), tmp_path / "stored") == result


@pytest.mark.slow
def test_another_recipe_or_other_people_need_another_folder(done: tuple[Path, ReidAblationResult, list[str]]) -> None:
    folder = done[0]
    longer = replace(tiny(), recipe=replace(tiny().recipe, training=replace(tiny().recipe.training, epochs=2)))
    with pytest.raises(InputError, match="another recipe"):
        run(longer, folder)
    with pytest.raises(InputError, match="other settings"):
        run(replace(tiny(), people=replace(tiny().people, difficulty="easy")), folder)


@pytest.mark.slow
def test_the_report_holds_every_figure(done: tuple[Path, ReidAblationResult, list[str]], tmp_path: Path) -> None:
    result = done[1]
    files = write_report(result, tmp_path)
    assert [file.name for file in files] == ["reid-ablation.json", "reid-ablation.txt", "reid-ablation.png"]
    held = json.loads(files[0].read_text())
    assert len(held["trainings"]) == 4
    text = files[1].read_text()
    values = result.values("VD", "z", "mean_average_precision")
    assert f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}" in text
    assert "70.02 / 66.70" in text


def test_differences_are_paired_by_seed() -> None:
    def one(row: str, seed: int, value: float) -> Trained:
        return Trained(row, seed, {"v": Score(value, value / 2, 0.1)}, 1, 0.0)

    trained = (one("VD", 2, 0.5), one("E", 1, 0.2), one("VD", 1, 0.4), one("E", 2, 0.1))
    result = ReidAblationResult(replace(tiny(), seeds=(1, 2)), trained)
    found = result.against("VD", "E", "v")
    assert found == paired_difference([20.0, 25.0], [10.0, 5.0], test_to_train=0.0)
    assert result.against("VD", "VD", "v") is None
    assert result.against("VD", "E", "z") is None
    assert "E" in format_report(result)


def test_rows_build_what_they_say(tmp_path: Path) -> None:
    recipes = {row: row_recipe(small_recipe(), row, 3, tmp_path) for row in ROWS}
    assert {recipe.training.seed for recipe in recipes.values()} == {3}
    assert not recipes["E"].network.bottleneck
    assert recipes["VD-released-2021"].loss.objective == "released-2021"
    assert not recipes["CIB-published"].loss.supervise_observation
    assert set(TABLE_4) <= set(ROWS)
    assert set(MEANING) == set(ROWS)


@pytest.mark.parametrize("change", [{"rows": ("X",)}, {"rows": ()}, {"seeds": (1, 1)}, {"seeds": ()}, {"jobs": 0}])
def test_unusable_settings_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        ReidAblationSettings(**change)  # type: ignore[arg-type]


def test_one_seed_has_no_interval() -> None:
    def one(row: str, value: float) -> Trained:
        return Trained(row, 1, {"v": Score(value, value, 0.1)}, 1, 0.0)

    text = format_report(ReidAblationResult(replace(tiny(), seeds=(1,)), (one("VD", 0.5), one("E", 0.2))))
    assert "+30.00 " in text
    assert "inf" not in text
    assert "±" not in text.split("mean ± sd")[0]
