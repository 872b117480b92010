"""Runs: trained, interrupted, resumed, loaded, embedded, evaluated."""

import csv
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.powercut import power_cut
from tests.signed import rewritten
from tests.small import PEOPLE

from limbeck.errors import InputError
from limbeck.images.decoding import try_image
from limbeck.reid import evaluation
from limbeck.reid.evaluation import embed_split, evaluate_runs
from limbeck.reid.recipe import ReidRecipe
from limbeck.reid.runs import decoded, load_run, recipe_of
from limbeck.reid.sets import load_people
from limbeck.reid.splits import split_identities
from limbeck.reid.supervised.task import ReidTask
from limbeck.reid.train import make_task, train_run
from limbeck.reporting.progress import Progress
from limbeck.retrieval import SYSU, Features, evaluate
from limbeck.retrieval.reranking import KReciprocal
from limbeck.synthetic.people import PeopleSettings, make_people
from limbeck.tensorfiles import read_tensors, write_tensors
from limbeck.training import Diverged, checkpoints


def weights(run: Path) -> dict[str, torch.Tensor]:
    return read_tensors(run / "model.safetensors", format="limbeck-reid-1", what="model")[1]


def trained_for(epochs: int, recipe: ReidRecipe) -> ReidRecipe:
    return replace(recipe, training=replace(recipe.training, epochs=epochs))


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations write no pages and pictures: what is asked is in the table that they return."""
    monkeypatch.setattr("limbeck.reid.evaluation.write_report", lambda folder, *_, **__: [folder / "index.html"])


def test_a_run_leaves_its_recipe_its_log_and_its_model(small_run: Path, small_recipe: ReidRecipe) -> None:
    lines = [json.loads(line) for line in (small_run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 7))
    assert {"classification", "ranking", "vsd", "vcd", "vml"} < set(lines[0])
    with (small_run / "epochs.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 3
    assert 0 <= float(rows[-1]["validation_mAP"]) <= 1
    model = load_run(small_run)
    assert model.recipe == small_recipe
    assert len(model.identities) == 6


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 3, 5])
def test_a_training_that_breaks_off_goes_on_exactly(
    small_recipe: ReidRecipe, small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    with power_cut(monkeypatch, ReidTask, step):
        train_run(small_recipe, tmp_path)
    other_workers = replace(small_recipe, training=replace(small_recipe.training, workers=2))
    train_run(other_workers, tmp_path)
    ended, uninterrupted = weights(tmp_path), weights(small_run)
    assert all(torch.equal(ended[name], uninterrupted[name]) for name in uninterrupted)


def test_a_model_file_under_the_names_of_earlier_versions_is_read(
    small_recipe: ReidRecipe, small_run: Path, tmp_path: Path
) -> None:
    description, tensors = read_tensors(small_run / "model.safetensors", format="limbeck-reid-1", what="model")
    data = description["recipe"]["data"]
    data |= {"split": data.pop("fold"), "parts": data.pop("splits")}
    write_tensors(tmp_path / "model.safetensors", tensors, description, format="limbeck-reid-1")
    assert load_run(tmp_path).recipe == recipe_of(tmp_path) == small_recipe


def test_a_training_begun_under_the_names_of_earlier_versions_goes_on(
    small_recipe: ReidRecipe, small_run: Path, tmp_path: Path, messages: Any
) -> None:
    begun = checkpoints.read(checkpoints.path_of(small_run / "checkpoints", 5))
    earlier = dict(begun.fingerprint)
    earlier |= {"data.split": earlier.pop("data.fold"), "data.parts": earlier.pop("data.splits")}
    assert (earlier["data.split"], earlier["data.parts"]) == (1, ["train", "validation", "all"])
    checkpoints.write(tmp_path / "checkpoints", begun.step, begun.state, earlier, keep=1)
    other = replace(small_recipe, data=replace(small_recipe.data, fold=2))
    with pytest.raises(InputError, match=r"data\.fold is 1 there and 2 here; use"):
        train_run(other, tmp_path)
    with messages() as heard:
        train_run(small_recipe, tmp_path)
    assert any("going on from step 5 of 6" in line for line in heard)
    ended, uninterrupted = weights(tmp_path), weights(small_run)
    assert all(torch.equal(ended[name], uninterrupted[name]) for name in uninterrupted)


def test_another_recipe_or_architecture_is_refused(small_recipe: ReidRecipe, small_run: Path, tmp_path: Path) -> None:
    shutil.copytree(small_run, tmp_path / "run")
    for group, change, words in (
        ("network", {"representation": 9}, "network.representation"),
        ("loss", {"objective": "none"}, "loss.objective"),
        ("training", {"seed": 5}, "seed"),
    ):
        other = replace(small_recipe, **{group: replace(getattr(small_recipe, group), **change)})
        with pytest.raises(InputError, match=words) as caught:
            train_run(other, tmp_path / "run")
        assert len(str(caught.value).splitlines()) == 1


def test_held_out_people_are_never_learned_from(small_recipe: ReidRecipe, small_people: Path) -> None:
    people = load_people("sysu", small_people)
    first, again, other = (split_identities(people, small_recipe.data, seed) for seed in (0, 0, 1))
    held = set(people.identity[first.held_out].tolist())
    assert len(held) == 3
    assert not held & set(people.identity[first.training].tolist())
    assert not held & set(people.identity[people.split("test")].tolist())
    assert np.array_equal(first.held_out, again.held_out)
    assert held != set(people.identity[other.held_out].tolist())
    with pytest.raises(InputError, match=r"data\.splits"):
        split_identities(people, replace(small_recipe.data, splits=("train", "test")), 0)
    with pytest.raises(InputError, match=r"data\.held_out"):
        split_identities(people, replace(small_recipe.data, held_out=9), 0)


def test_embedding_does_not_depend_on_the_batch(small_run: Path, small_people: Path) -> None:
    model = load_run(small_run)
    people = load_people("sysu", small_people)
    images, rows = decoded(people, model.recipe.data, small_run / "pictures")
    modality = people.modality[:10]
    together = model.represent(images[rows[:10]], modality)
    alone = model.represent(images[rows[4:5]], modality[4:5])
    assert set(together) == {"v specific", "z specific", "v shared", "z shared"}
    for name, vectors in together.items():
        assert np.allclose(vectors[4], alone[name][0], atol=1e-5)


@pytest.mark.slow
def test_a_report_says_what_evaluate_says(small_run: Path, tmp_path: Path) -> None:
    table = evaluate_runs([small_run], out=tmp_path / "report")
    embedded = embed_split(load_run(small_run), small_run)
    (figures,) = evaluate(embedded.features, SYSU())
    assert f"{100 * figures.cmc(1).mean:.2f}" in table
    held = json.loads((tmp_path / "report" / "figures.json").read_text())
    assert held["evaluations"][0]["cmc"]["1"]["mean"] == pytest.approx(figures.cmc(1).mean)
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count("<img") == 4
    assert "z shared" in page


@pytest.mark.parametrize(
    ("device", "rerank", "ranked_on"), [("cpu", False, None), ("cuda", False, "cuda"), ("cuda", True, None)]
)
def test_ranks_are_computed_on_the_device_that_was_asked_for(
    small_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_report: None,
    device: str,
    rerank: bool,
    ranked_on: str | None,
) -> None:
    places, told = [], []

    def recorded(*given: Any, device: str | None, **options: Any) -> Any:
        places.append(device)
        return evaluate(*given, device=None if device is None else "cpu", **options)

    @contextmanager
    def progress_bar(label: str) -> Iterator[Progress]:
        yield lambda done, total: told.append((label, done, total))

    # Stands in for a machine with CUDA; where there is none, what was asked for is computed on the CPU.
    monkeypatch.setattr(evaluation, "load_run", lambda run, device: load_run(run))
    monkeypatch.setattr(evaluation, "evaluate", recorded)
    monkeypatch.setattr(evaluation, "progress_bar", progress_bar)
    table = evaluate_runs([small_run], device=device, reranking=KReciprocal() if rerank else None, out=tmp_path)
    assert places == [ranked_on]
    assert ("re-ranking is computed on the CPU only" in table) == (device == "cuda" and rerank)
    queries = [(done, total) for what, done, total in told if what == "queries"]
    assert queries
    assert queries[-1][0] == queries[-1][1] > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_figures_on_cuda_are_those_on_the_cpu(small_run: Path, tmp_path: Path) -> None:
    figures = []
    for device in ("cpu", "cuda"):
        evaluate_runs([small_run], device=device, out=tmp_path / device)
        held = json.loads((tmp_path / device / "figures.json").read_text())
        figures.append(held["evaluations"][0]["mean_average_precision"]["mean"])
    assert figures[0] == pytest.approx(figures[1], abs=0.01)


def test_features_differ_and_join(small_run: Path) -> None:
    model = load_run(small_run)
    found: dict[str, Features] = {
        kind: embed_split(model, small_run, feature=kind).features  # type: ignore[arg-type]
        for kind in ("v", "z", "v+z")
    }
    sizes = {kind: one.feature.shape[1] for kind, one in found.items()}
    assert sizes == {"v": 384, "z": 16, "v+z": 400}
    for one in found.values():
        assert np.allclose(np.linalg.norm(one.feature, axis=1), 1, atol=1e-5)


@pytest.mark.slow
def test_several_runs_are_trials(small_recipe: ReidRecipe, small_run: Path, tmp_path: Path, no_report: None) -> None:
    other = replace(small_recipe, training=replace(small_recipe.training, seed=1))
    train_run(other, tmp_path / "other")
    table = evaluate_runs([small_run, tmp_path / "other"], out=tmp_path / "report")
    assert " 20 " in table.splitlines()[2]
    assert "seeds 0, 1" in table
    with pytest.raises(InputError, match="same fold and seed"):
        evaluate_runs([small_run, small_run], out=tmp_path / "report")
    train_run(trained_for(1, small_recipe), tmp_path / "shorter")
    with pytest.raises(InputError, match="another recipe"):
        evaluate_runs([small_run, tmp_path / "shorter"], out=tmp_path / "report")


@pytest.mark.slow
def test_a_report_says_whom_the_model_knows(
    small_recipe: ReidRecipe, small_run: Path, tmp_path: Path, no_report: None
) -> None:
    unseen, known, chosen = (
        "Nothing was learned from, or selected on",
        "learned from people of this split",
        "optimistic",
    )
    options = {"protocol": "cross-i2v", "out": tmp_path / "report"}
    assert unseen in evaluate_runs([small_run], **options)  # type: ignore[arg-type]
    assert unseen in evaluate_runs([small_run], split="held_out", **options)  # type: ignore[arg-type]
    assert known in evaluate_runs([small_run], split="train", **options)  # type: ignore[arg-type]
    best = replace(small_recipe, training=replace(small_recipe.training, epochs=1, select="best"))
    train_run(best, tmp_path / "best")
    assert chosen in evaluate_runs([tmp_path / "best"], split="held_out", **options)  # type: ignore[arg-type]
    assert unseen in evaluate_runs([tmp_path / "best"], **options)  # type: ignore[arg-type]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """One's own pictures: eight people in a CSV."""
    settings = PeopleSettings(
        train_identities=7,
        validation_identities=0,
        test_identities=1,
        images_per_camera=2,
        height=32,
        width=16,
        absent=0.0,
    )
    make_people(tmp_path / "own", settings, "csv")
    return tmp_path / "own" / "people.csv"


@pytest.mark.slow
def test_ones_own_table_is_scored_on_the_people_held_out(small_recipe: ReidRecipe, table: Path, tmp_path: Path) -> None:
    recipe = replace(small_recipe, data=replace(small_recipe.data, set="csv", root=str(table)))
    train_run(trained_for(1, recipe), tmp_path / "run")
    report = evaluate_runs([tmp_path / "run"])
    assert "cross-v2i" in report
    assert "Split of the set: held_out" in report
    lines = table.read_text().splitlines()
    table.write_text("\n".join(line for line in lines if line.split(",")[1] != "2") + "\n")
    with pytest.raises(InputError, match="does not hold the people that this model was trained on"):
        evaluate_runs([tmp_path / "run"])


@pytest.mark.slow
def test_a_table_without_held_out_people_says_so(
    small_recipe: ReidRecipe, table: Path, tmp_path: Path, messages: Any
) -> None:
    recipe = replace(small_recipe, data=replace(small_recipe.data, set="csv", root=str(table), held_out=0))
    with messages() as heard:
        train_run(trained_for(1, recipe), tmp_path / "run")
    assert any("nobody is held out" in line for line in heard)
    with pytest.raises(InputError, match="held out nobody"):
        evaluate_runs([tmp_path / "run"])


@pytest.mark.slow
def test_folds_of_regdb_are_trials(small_recipe: ReidRecipe, tmp_path: Path) -> None:
    settings = PeopleSettings(
        train_identities=8, validation_identities=0, test_identities=8, images_per_camera=3, height=32, width=16
    )
    make_people(tmp_path / "people", settings, "regdb")
    runs = []
    for fold in (1, 2):
        data = replace(small_recipe.data, set="regdb", root=str(tmp_path / "people"), fold=fold, held_out=0)
        runs.append(tmp_path / f"fold-{fold}")
        train_run(trained_for(1, replace(small_recipe, data=data)), runs[-1])
    report = evaluate_runs(runs, out=tmp_path / "report")
    assert "regdb-v2i" in report
    assert "regdb-i2v" in report
    assert "folds 1, 2" in report


def test_folds_of_regdb_share_one_cache(
    small_recipe: ReidRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = PeopleSettings(
        train_identities=4, validation_identities=0, test_identities=4, images_per_camera=2, height=32, width=16
    )
    make_people(tmp_path / "people", settings, "regdb")
    next((tmp_path / "people" / "Visible" / "3").iterdir()).write_bytes(b"")
    read: list[Path] = []

    def counted(path: Path, size: tuple[int, int], **options: Any) -> NDArray[np.uint8] | str:
        read.append(path)
        return try_image(path, size, **options)

    monkeypatch.setattr("limbeck.images.cache.try_image", counted)
    data = replace(small_recipe.data, set="regdb", root=str(tmp_path / "people"), skip_corrupt=True)
    for fold in (1, 2, 3):
        people = load_people("regdb", tmp_path / "people", fold=fold)
        with pytest.warns(UserWarning, match="1 pictures are left out"):
            images, rows = decoded(people, replace(data, fold=fold), tmp_path / "cache")
        assert len(read) == len(people) == 32
        assert (rows < 0).sum() == 1
        for path, row in zip(people.path, rows.tolist(), strict=True):
            expected = try_image(people.root / path, (32, 16))
            assert isinstance(expected, str) if row < 0 else np.array_equal(images[row], expected)


@pytest.mark.slow
def test_other_pictures_do_not_go_on_with_a_training(small_recipe: ReidRecipe, small_run: Path, tmp_path: Path) -> None:
    make_people(tmp_path / "others", replace(PEOPLE, seed=9))
    other = replace(small_recipe, data=replace(small_recipe.data, root=str(tmp_path / "others")))
    shutil.copytree(small_run, tmp_path / "run")
    with pytest.raises(InputError, match="people is"):
        train_run(other, tmp_path / "run")


def test_held_out_people_can_be_scored(small_run: Path, tmp_path: Path, no_report: None) -> None:
    table = evaluate_runs([small_run], split="held_out", protocol="cross-i2v", out=tmp_path / "report")
    assert "cross-i2v" in table


def test_fewer_people_than_a_batch_asks_for(small_recipe: ReidRecipe, tmp_path: Path) -> None:
    greedy = replace(small_recipe, data=replace(small_recipe.data, identities=7))
    with pytest.raises(InputError, match="asks for 7 people in a batch, but there are 6"):
        train_run(greedy, tmp_path)


def test_weights_with_missing_keys(small_recipe: ReidRecipe, tmp_path: Path) -> None:
    encoder = make_task(small_recipe, tmp_path).network.branches["shared"].encoder
    state = encoder.state_dict()
    state.pop(next(iter(state)))
    torch.save(state, tmp_path / "encoder.pth")
    network = replace(small_recipe.network, weights=str(tmp_path / "encoder.pth"))
    with pytest.raises(InputError, match=r"encoder\.pth.*missing"):
        train_run(replace(small_recipe, network=network), tmp_path / "run")


def test_weights_from_a_file_are_where_all_encoders_start(small_recipe: ReidRecipe, tmp_path: Path) -> None:
    state = make_task(small_recipe, tmp_path).network.branches["shared"].encoder.state_dict()
    torch.save(state, tmp_path / "encoder.pth")
    network = replace(small_recipe.network, weights=str(tmp_path / "encoder.pth"))
    task = make_task(replace(small_recipe, network=network), tmp_path)
    assert len(task.initialization) == 3
    for branch in task.network.branches.values():
        assert all(torch.equal(value, branch.encoder.state_dict()[name]) for name, value in state.items())


def test_a_diverging_loss_names_step_and_term(small_recipe: ReidRecipe, tmp_path: Path) -> None:
    wild = replace(small_recipe, training=replace(small_recipe.training, learning_rate=1e25))
    with pytest.raises(Diverged, match=r"step \d+") as caught:
        train_run(wild, tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_what_is_no_run_is_one_line(tmp_path: Path, small_run: Path) -> None:
    with pytest.raises(InputError, match=r"holds no model\.safetensors"):
        load_run(tmp_path)
    damaged = tmp_path / "model.safetensors"
    damaged.write_bytes((small_run / "model.safetensors").read_bytes()[:-40])
    with pytest.raises(InputError, match="damaged"):
        load_run(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"network": {"uniform": True}, "loss": {"consistency": "mv2d"}},
        {"network": {"routing": "grey"}},
        {"loss": {"objective": "cib"}},
        {"loss": {"objective": "cib", "supervise_observation": False}},
        {"loss": {"objective": "released-2021"}},
        {"loss": {"consistency": "vcd+vml", "pairs": "all", "mutual_weight": 8.0}},
        {"network": {"bottleneck": False, "branches": ("shared",)}, "loss": {"objective": "none"}},
        {"training": {"precision": "bf16", "select": "best"}},
    ],
)
def test_every_objective_trains_and_loads(small_recipe: ReidRecipe, tmp_path: Path, change: dict[str, Any]) -> None:
    groups = {name: replace(getattr(small_recipe, name), **values) for name, values in change.items()}
    recipe = replace(small_recipe, **groups)
    fitted = train_run(trained_for(1, recipe), tmp_path)
    assert fitted.step == 2
    model = load_run(tmp_path)
    found = embed_split(model, tmp_path).features.feature
    assert np.isfinite(found).all()


@pytest.mark.slow
def test_a_run_may_have_an_encoder_of_ones_own(
    small_recipe: ReidRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_backbone.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    made = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.ReLU())\n"
        "    made.features = 8\n"
        "    return made\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    recipe = trained_for(1, replace(small_recipe, network=replace(small_recipe.network, encoder="my_backbone:make")))
    train_run(recipe, tmp_path / "run")
    model = load_run(tmp_path / "run")
    found = model.represent(np.zeros((2, 32, 16, 3), np.uint8), np.zeros(2, np.int8))
    assert found["v shared"].shape == (2, 8)
    monkeypatch.undo()
    monkeypatch.delitem(sys.modules, "my_backbone")
    with pytest.raises(InputError, match="No module named 'my_backbone'; install the package"):
        load_run(tmp_path / "run")


@pytest.mark.parametrize(
    "change",
    [
        lambda d, _: d.update(recipe=[]),
        lambda d, _: d.update(recipe={"data": 3}),
        lambda d, _: d["recipe"].update(unknown={}),
        lambda d, _: d["recipe"]["network"].update(representation=10**6, hidden=[10**6]),
        lambda d, _: d["recipe"]["network"].update(representation=10**30),
        lambda d, _: d["recipe"]["network"].update(encoder="resnet50"),
        lambda d, _: d.update(identities=3),
        lambda d, _: d.update(identities=["1", "2", "3"]),
        lambda d, _: d.update(identities=[10**30] * 3),
        lambda d, _: d.update(identities=d["identities"][1:]),
        lambda d, _: d.pop("training"),
        lambda d, _: d.update(training=[1]),
        lambda d, _: d["training"].update(step="3"),
        lambda _, t: t.pop(next(iter(t))),
        lambda _, t: t.update({name: one.double() for name, one in t.items()}),
        lambda _, t: t.update(more=torch.zeros(1)),
    ],
)
def test_a_signed_model_that_does_not_fit_itself_is_one_line(small_run: Path, tmp_path: Path, change: Any) -> None:
    file = rewritten(small_run / "model.safetensors", tmp_path, change)
    with pytest.raises(InputError) as caught:
        load_run(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)
