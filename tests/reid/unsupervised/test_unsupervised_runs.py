"""Training without labels from end to end: into a folder, interrupted, scored, searched, on one's own pictures."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.powercut import power_cut
from tests.reid.unsupervised.unsupervised_processes import STEPS, recipe, shared_out
from tests.training.nursery import Nursery

from limbeck.cli import main
from limbeck.errors import InputError
from limbeck.reid.runs import load_run, recipe_of
from limbeck.reid.sets import load_people
from limbeck.reid.train import make_task, train_run
from limbeck.reid.unsupervised.recipe import MatchingSettings, PrototypeLossSettings, UnsupervisedRecipe
from limbeck.reid.unsupervised.task import UnsupervisedTask
from limbeck.tensorfiles import read_tensors
from limbeck.training import checkpoints

FORMAT = "limbeck-reid-unsupervised-1"


@pytest.fixture(scope="module")
def given(small_people: Path) -> UnsupervisedRecipe:
    return recipe(small_people)


@pytest.fixture(scope="module")
def run(given: UnsupervisedRecipe, built_once: Callable[..., Path]) -> Path:
    return built_once("unsupervised-run", lambda folder: train_run(given, folder))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_tensors(folder / "model.safetensors", format=FORMAT, what="model")[1]


def test_a_run_leaves_its_pseudo_labels_figures_its_log_and_its_model(given: UnsupervisedRecipe, run: Path) -> None:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 3 * STEPS + 1))
    assert "intra" in lines[0]
    with (run / "epochs.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 3
    for row in rows:
        for word in ("visible", "infrared"):
            assert float(row[f"clusters_{word}"]) >= 1
            assert 0 <= float(row[f"noise_{word}"]) <= 1
            assert -1 <= float(row[f"ari_{word}"]) <= 1
        assert 0 <= float(row["validation_mAP"]) <= 1
    model = load_run(run)
    assert model.recipe == given == recipe_of(run)
    assert not [name for name in weights(run) if "head" in name]


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, STEPS, STEPS + 2])
def test_a_training_that_breaks_off_goes_on_exactly(
    given: UnsupervisedRecipe, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    with power_cut(monkeypatch, UnsupervisedTask, step):
        train_run(given, tmp_path)
    train_run(replace(given, training=replace(given.training, workers=2)), tmp_path)
    ended, uninterrupted = weights(tmp_path), weights(run)
    assert all(torch.equal(ended[name], uninterrupted[name]) for name in uninterrupted)
    assert (tmp_path / "epochs.csv").read_text() == (run / "epochs.csv").read_text()


@pytest.mark.slow
def test_two_processes_train_as_one(nursery: Nursery, small_people: Path, tmp_path: Path) -> None:
    cache = tmp_path / "pictures"
    train_run(shared_out(small_people, cache), tmp_path / "one")
    nursery.together(
        "tests.reid.unsupervised.unsupervised_processes:train_together",
        tmp_path / "two",
        errors=tmp_path / "errors",
        people=str(small_people),
        cache=str(cache),
    )
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4)


def test_labels_change_nothing_but_figures(
    given: UnsupervisedRecipe, run: Path, small_people: Path, tmp_path: Path
) -> None:
    """The same pictures under other names: the same weights."""
    task = make_task(replace(given, data=replace(given.data, held_out=0)), tmp_path / "one")
    other = make_task(replace(given, data=replace(given.data, held_out=0)), tmp_path / "two")
    object.__setattr__(other.people, "identity", np.random.default_rng(0).permutation(other.people.identity))
    task.network.eval()
    other.network.eval()
    with torch.no_grad():
        figures, changed = task.renew(task.network, 0), other.renew(other.network, 0)
    assert figures != changed
    assert np.array_equal(task.found.labels, other.found.labels)
    batch, same = (next(iter(one.batches(0, 1))) for one in (task, other))
    assert torch.equal(batch.visible, same.visible)
    terms, equal = (one.terms(one.network.train(), batch) for one in (task, other))
    assert {name: value.item() for name, value in terms.items()} == {
        name: value.item() for name, value in equal.items()
    }


@pytest.mark.slow
def test_evaluation_search_and_page_are_those_of_the_supervised_task(
    run: Path, small_people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], short_tsne: None
) -> None:
    main(["evaluate", str(run), "--protocol", "sysu-all-single", "--out", str(tmp_path / "report")])
    told = capsys.readouterr().out
    assert "sysu-all-single" in told
    assert "without labels" in told
    assert (tmp_path / "report" / "index.html").is_file()
    query = sorted((small_people / "cam3").rglob("*.jpg"))[0]
    main(["reid", "rank", "--model", str(run), "--query", str(query), "--gallery", str(small_people / "cam1")])
    assert "jpg" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"clustering": {"algorithm": "hdbscan", "min_cluster_size": 2}},
        {"clustering": {"together": True}},
        {"matching": {"method": "hungarian"}},
        {"matching": {"method": "nearest", "mutual": True}},
        {"matching": {"method": "none"}},
        {"matching": {"mass": 0.7, "threshold": 0.3, "prior": "size", "cost": "exponential"}},
        {"loss": {"alignment_weight": 1.0, "alternate": True, "intra_epochs": 1, "movers": "hardest"}},
        {"loss": {"alignment_weight": 1.0, "alignment_form": "batch", "sharpness_weight": 0.1, "fairness_weight": 0.1}},
        {
            "loss": {"sufficiency_weight": 1.0, "consistency_weight": 1.0},
            "network": {"bottleneck": True, "hidden": (16,), "representation": 8},
        },
    ],
)
def test_every_option_trains_and_loads(given: UnsupervisedRecipe, tmp_path: Path, change: dict[str, Any]) -> None:
    changed = {group: replace(getattr(given, group), **values) for group, values in change.items()}
    made = replace(given, **changed, training=replace(given.training, epochs=2))
    fitted = train_run(made, tmp_path)
    assert fitted.step == 2 * STEPS
    assert load_run(tmp_path).recipe == made


def test_ones_own_pictures_need_no_labels(
    given: UnsupervisedRecipe, small_people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "mine"
    for camera, word in ((1, "visible"), (2, "visible"), (3, "infrared"), (6, "infrared")):
        for file in sorted((small_people / f"cam{camera}").rglob("*.jpg")):
            there = root / word / f"{camera}-{file.parent.name}-{file.name}"
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, there)
    people = load_people("folder", root)
    assert (people.identity == -1).all()
    data = replace(given.data, set="folder", root=str(root), held_out=0)
    train_run(replace(given, data=data, training=replace(given.training, epochs=1)), tmp_path / "run")
    with (tmp_path / "run" / "epochs.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    assert "ari_visible" not in row
    assert float(row["clusters_visible"]) >= 1
    for verb in ("evaluate", "diagnose"):
        with pytest.raises(SystemExit) as stop:
            main([verb, str(tmp_path / "run"), *(["--split", "all"] if verb == "diagnose" else [])])
        assert stop.value.code == 2
        assert "mine does not say who is on its pictures" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"data\.held_out must be 0"):
        make_task(replace(given, data=replace(data, held_out=2)), tmp_path / "other")


def test_a_folder_of_pictures_is_not_for_training_with_labels(
    small_recipe: Any, small_people: Path, tmp_path: Path
) -> None:
    for word in ("visible", "infrared"):
        (tmp_path / word).mkdir()
        with pytest.raises(InputError, match="there is no picture" if word == "visible" else "there must be a folder"):
            load_people("folder", tmp_path if word == "visible" else tmp_path / "visible")
        shutil.copy(next((small_people / "cam1").rglob("*.jpg")), tmp_path / word / "a.jpg")
    with pytest.raises(InputError, match="does not say who is on its pictures"):
        make_task(replace(small_recipe, data=replace(small_recipe.data, set="folder", root=str(tmp_path))), tmp_path)


def test_where_nothing_can_be_learned_one_line_says_so(given: UnsupervisedRecipe, tmp_path: Path) -> None:
    lonely = replace(given, clustering=replace(given.clustering, eps=0.01, min_samples=50))
    with pytest.raises(InputError, match=r"no cluster among \d+ visible pictures: .* raise clustering.eps"):
        train_run(lonely, tmp_path)


def test_an_epoch_without_clusters_keeps_those_before(
    given: UnsupervisedRecipe, tmp_path: Path, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task(given, tmp_path)
    task.network.eval()
    with torch.no_grad(), messages() as heard:
        task.renew(task.network, 0)
        before = task.found
        task.recipe = replace(given, clustering=replace(given.clustering, eps=0.01, min_samples=50))
        figures = task.renew(task.network, 1)
    assert figures["clusters_visible"] == 0
    assert task.found is before
    assert any("those of the epoch before stay" in line for line in heard)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": {"branches": ("visible", "infrared", "shared")}}, "network.branches must be"),
        ({"data": {"steps_per_epoch": None}}, "data.steps_per_epoch must be given"),
        ({"training": {"select": "best"}}, "training.select must be last"),
        ({"network": {"bottleneck": True}}, "network.bottleneck must be false"),
        ({"loss": {"sufficiency_weight": 1.0}}, "need network.bottleneck true"),
        ({"clustering": {"eps": 1.5}}, "clustering.eps must be"),
        ({"matching": {"mass": 0.0}}, "matching.mass must be"),
        ({"loss": {"temperature": 0.0}}, "loss.temperature must be"),
    ],
)
def test_recipes_that_cannot_be_are_refused(given: UnsupervisedRecipe, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(given, **{group: replace(getattr(given, group), **values) for group, values in change.items()})


def test_the_default_recipe_and_the_shipped_one_stand() -> None:
    assert UnsupervisedRecipe().matching == MatchingSettings()
    assert UnsupervisedRecipe().loss == PrototypeLossSettings()
    assert UnsupervisedRecipe.from_dict(UnsupervisedRecipe().to_dict()) == UnsupervisedRecipe()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.update(epoch="x"), "task.epoch"),
        (lambda s: s["found"].update(labels=s["found"]["labels"] + 1000), "labels must be -1 or the number"),
        (lambda s: s["found"].update(labels=s["found"]["labels"][1:].clone()), "task.found.modality"),
        (lambda s: s["found"].update(modality=s["found"]["modality"] + 5), "modality must be 0 or 1"),
        (lambda s: s["found"].update(plan=s["found"]["plan"].float()), "task.found.plan"),
        (lambda s: s["found"].update(first_to_second=s["found"]["first_to_second"] + 1000), "partners must be"),
        (lambda s: s["memory"][0].pop(), "task.memory"),
        (lambda s: s["memory"][1].__setitem__(0, torch.zeros(1, 1)), "task.memory"),
        (lambda s: s.pop("memory"), "another version"),
    ],
)
def test_a_checkpoint_with_the_labels_of_another_task_is_one_line(
    given: UnsupervisedRecipe, run: Path, tmp_path: Path, change: Any, words: str
) -> None:
    found = checkpoints.latest(run / "checkpoints")
    assert found is not None
    change(found.state["task"])
    checkpoints.write(tmp_path / "checkpoints", found.step, found.state, found.fingerprint, keep=1)
    with pytest.raises(InputError, match=words):
        train_run(given, tmp_path)
