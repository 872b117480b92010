"""The study of training without labels: overlaps, rows, resumption, report."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from limbeck.errors import InputError
from limbeck.modalities import INFRARED, VISIBLE
from limbeck.reid.recipe import ReidRecipe
from limbeck.reid.sets.sysu import load_sysu
from limbeck.reporting.statistics import paired_difference
from limbeck.studies.people import Score, Trained
from limbeck.studies.unsupervised.report import format_report, write_report
from limbeck.studies.unsupervised.run import (
    MEANING,
    ROWS,
    UnsupervisedStudyResult,
    UnsupervisedStudySettings,
    half_overlap,
    row_recipe,
    run,
)
from limbeck.synthetic.people import PeopleSettings, make_people

PEOPLE = PeopleSettings(
    train_identities=8,
    validation_identities=0,
    test_identities=4,
    images_per_camera=2,
    height=32,
    width=16,
    absent=0.0,
    difficulty="easy",
)


def tiny() -> UnsupervisedStudySettings:
    made = UnsupervisedStudySettings()
    return replace(
        made,
        rows=("untrained", "clusters", "transport", "supervised"),
        seeds=(0, 1),
        recipe=replace(
            made.recipe,
            data=replace(made.recipe.data, height=32, width=16, identities=2, pictures=2, steps_per_epoch=2),
            clustering=replace(made.recipe.clustering, k1=6, k2=2, eps=0.8, min_samples=2),
            training=replace(made.recipe.training, epochs=1, warmup_epochs=0),
        ),
        supervised=replace(made.supervised, data=replace(made.supervised.data, identities=2, pictures=2)),
        people=PEOPLE,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, UnsupervisedStudyResult]:
    folder = tmp_path_factory.mktemp("unsupervised")
    return folder, run(tiny(), folder)


@pytest.mark.slow
def test_every_row_overlap_and_seed_is_scored(done: tuple[Path, UnsupervisedStudyResult]) -> None:
    result = done[1]
    once, twice = ("untrained", "supervised"), ("clusters", "transport")
    assert set(result.trainings) == {
        *(("full", row, seed) for row in (*once, *twice) for seed in (0, 1)),
        *(("half", row, seed) for row in twice for seed in (0, 1)),
    }
    for key, one in result.trainings.items():
        assert 0 < one.scores["v"].mean_average_precision <= 1
        figures = result.pseudo_labels[key]
        assert ("precision" in figures) == (key[1] == "transport")
        assert ("clusters_visible" in figures) == (key[1] in twice)


@pytest.mark.slow
def test_what_is_done_is_not_done_again(done: tuple[Path, UnsupervisedStudyResult]) -> None:
    folder, result = done
    times = {file: file.stat().st_mtime_ns for file in folder.rglob("model.safetensors")}
    assert run(tiny(), folder) == result
    assert times == {file: file.stat().st_mtime_ns for file in folder.rglob("model.safetensors")}
    longer = replace(tiny(), recipe=replace(tiny().recipe, training=replace(tiny().recipe.training, epochs=2)))
    with pytest.raises(InputError, match="another recipe"):
        run(longer, folder)


@pytest.mark.slow
def test_the_report_holds_every_figure(done: tuple[Path, UnsupervisedStudyResult], tmp_path: Path) -> None:
    result = done[1]
    files = write_report(result, tmp_path)
    assert [file.name for file in files] == ["unsupervised.json", "unsupervised.txt", "unsupervised.png"]
    held = json.loads(files[0].read_text())
    assert len(held["trainings"]) == 12
    text = files[1].read_text()
    for overlap in ("full", "half"):
        values = result.values(overlap, "transport")
        assert f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}" in text
        assert f"{overlap} overlap; procedural people, easy: 8 to learn from" in text
    assert "60.6" in text


def test_half_of_the_people_lose_a_modality_and_test_people_none(tmp_path: Path) -> None:
    make_people(tmp_path / "whole", PEOPLE, "sysu")
    whole = load_sysu(tmp_path / "whole")
    half = load_sysu(half_overlap(tmp_path / "whole", tmp_path / "half", 3))
    seen = {name: {} for name in ("whole", "half")}
    for name, people in (("whole", whole), ("half", half)):
        for identity in np.unique(people.identity).tolist():
            seen[name][identity] = set(people.modality[people.identity == identity].tolist())
    test = set(whole.identity[whole.split("test")].tolist())
    assert len(half.split("test")) == len(whole.split("test"))
    learned = [seen["half"][identity] for identity in seen["half"] if identity not in test]
    assert all(both == {VISIBLE, INFRARED} for both in seen["whole"].values())
    assert sorted(map(sorted, learned)) == [[0], [0], *[[0, 1]] * 4, [1], [1]]
    assert half_overlap(tmp_path / "whole", tmp_path / "half", 3) == tmp_path / "half"


def test_rows_change_what_they_say(tmp_path: Path) -> None:
    settings = UnsupervisedStudySettings()
    recipes = {row: row_recipe(settings, row, 3, tmp_path) for row in ROWS}
    assert len({str(recipe.to_dict()) for recipe in recipes.values()}) == len(ROWS) - 1  # untrained is transport's
    assert all(recipe.training.seed == 3 for recipe in recipes.values())
    assert isinstance(recipes["supervised"], ReidRecipe)
    assert recipes["supervised"].network.branches == ("shared",)
    assert set(MEANING) == set(ROWS)


def test_differences_are_paired_by_seed() -> None:
    def one(row: str, seed: int, value: float) -> Trained:
        return Trained(row, seed, {"v": Score(value, value, 0.1)}, 1, 0.0)

    given = {("transport", 0): 0.5, ("hungarian", 0): 0.2, ("transport", 1): 0.4, ("hungarian", 1): 0.3}
    trainings = {("full", row, seed): one(row, seed, value) for (row, seed), value in given.items()}
    settings = replace(tiny(), rows=("hungarian", "transport"), overlaps=("full",))
    result = UnsupervisedStudyResult(settings, trainings, {})
    found = result.against("transport", "full", "hungarian")
    assert found == paired_difference([50.0, 40.0], [20.0, 30.0], test_to_train=0.0)
    assert result.against("transport", "full", "transport") is None
    assert result.above_untrained("full", "transport") is None
    assert result.share_of_supervised("full", "transport") is None
    assert "hungarian" in format_report(result)


def test_floor_and_ceiling_are_those_of_full_overlap() -> None:
    def one(row: str, seed: int, value: float) -> Trained:
        return Trained(row, seed, {"v": Score(value, value, 0.1)}, 1, 0.0)

    full = {"untrained": (0.02, 0.04), "supervised": (0.5, 0.8)}
    trainings = {("full", row, seed): one(row, seed, full[row][seed]) for row in full for seed in (0, 1)}
    trainings |= {("half", "transport", seed): one("transport", seed, 0.25) for seed in (0, 1)}
    settings = replace(tiny(), rows=("untrained", "transport", "supervised"))
    result = UnsupervisedStudyResult(settings, trainings, {})
    assert result.above_untrained("half", "transport") == paired_difference([25, 25], [2, 4], test_to_train=0.0)
    share = result.share_of_supervised("half", "transport")
    assert share is not None
    assert share.mean == pytest.approx((50 + 31.25) / 2)
    assert result.share_of_supervised("full", "supervised") is None


@pytest.mark.parametrize("change", [{"rows": ()}, {"seeds": (1, 1)}, {"overlaps": ()}, {"jobs": 0}])
def test_settings_that_cannot_be_are_refused(change: dict) -> None:
    with pytest.raises(InputError):
        replace(tiny(), **change)
