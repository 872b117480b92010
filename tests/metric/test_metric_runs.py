"""Embeddings: trained, interrupted, resumed, loaded, evaluated, diagnosed, by functions and by the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.images.pictures import photograph
from tests.metric.metric_photographs import make_photographs, recipe
from tests.powercut import power_cut
from tests.signed import rewritten

from limbeck.cli import main
from limbeck.errors import InputError
from limbeck.metric.embedding import represent
from limbeck.metric.evaluation import embed_split, evaluate_runs
from limbeck.metric.runs import load_run, make_task, networks_of, train_run
from limbeck.metric.task import MetricTask
from limbeck.retrieval import Features, evaluate, load_features, named_protocols
from limbeck.tensorfiles import read_tensors
from limbeck.training.checkpoints import latest, write


@pytest.fixture(scope="session")
def photographs(built_once: Callable[..., Path]) -> Path:
    """The array of `tests.metric.small`."""
    return built_once("small-photographs", lambda folder: make_photographs(folder / "set.npz")) / "set.npz"


@pytest.fixture(scope="session")
def metric_run(photographs: Path, built_once: Callable[..., Path]) -> Path:
    """The folder of a finished training by its recipe."""
    return built_once("small-metric-run", lambda folder: train_run(recipe(photographs), folder))


def weights(file: Path) -> dict[str, torch.Tensor]:
    return read_tensors(file, format="limbeck-metric-1", what="model")[1]


def test_a_run_leaves_its_networks_its_log_and_its_figures(metric_run: Path, photographs: Path) -> None:
    lines = [json.loads(line) for line in (metric_run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 7))
    assert "metric" in lines[0]
    rates = [line["learning_rate"] for line in lines]
    assert rates == pytest.approx([0.05 * min((i + 1) / 2, (1 + np.cos(np.pi * i / 6)) / 2) for i in range(6)])
    assert "validation_recall-1" in (metric_run / "epochs.csv").read_text()
    assert networks_of(metric_run).keys() == {"last", "best"}
    model = load_run(metric_run)
    assert model.recipe == replace(recipe(photographs), data=model.recipe.data)
    assert len(model.classes) == 4  # of 12: 6 for the test, 2 held out
    assert networks_of(metric_run / "best.safetensors").keys() == {"best"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "groups",
    [
        {},
        {"loss": {"name": "snca", "memory": 11, "memory_start": 2}, "network": {"bottleneck": True}},
        {"loss": {"name": "proxy-anchor", "rate_factor": 100.0}, "training": {"optimizer": "adamw"}},
        {"sampler": {"kind": "random", "batch": 8, "steps_per_epoch": None}, "loss": {"name": "triplet"}},
    ],
    ids=["plain", "memory and bottleneck", "proxies", "shuffled"],
)
@pytest.mark.parametrize("step", [1, 4])
def test_a_training_that_breaks_off_goes_on_exactly(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: dict[str, dict], step: int
) -> None:
    made = recipe(photographs, **groups)
    train_run(made, tmp_path / "whole")
    with power_cut(monkeypatch, MetricTask, step):
        train_run(made, tmp_path / "broken")
    train_run(made, tmp_path / "broken")
    for name in ("model.safetensors", "best.safetensors"):
        one, other = weights(tmp_path / "whole" / name), weights(tmp_path / "broken" / name)
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_proxies_learn_at_their_own_rate(photographs: Path, tmp_path: Path) -> None:
    made = recipe(photographs, loss={"name": "proxy-nca", "rate_factor": 50.0})
    assert make_task(made, tmp_path).rate_factors == {"proxies.": 50.0}
    assert make_task(recipe(photographs), tmp_path).rate_factors == {}


def test_both_networks_are_scored_on_unseen_classes(
    metric_run: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.metric.evaluation.write_report", lambda folder, *_, **__: [folder / "index.html"])
    last, best = evaluate_runs([metric_run])
    assert "the last network: step 6 (epoch 2)" in last
    assert "the best network on held-out classes" in best
    assert "report-leave-one-out-v-last" in last
    assert "Nothing was learned from, or selected on, the classes shown here." in last
    model = load_run(metric_run)
    embedded = embed_split(model, metric_run)
    assert set(embedded.features.identity.tolist()) == set(range(6, 12))
    assert not set(model.classes.tolist()) & set(embedded.features.identity.tolist())
    validation = embed_split(model, metric_run, split="validation")
    everybody = {*model.classes.tolist(), *validation.features.identity.tolist()}
    assert everybody == set(range(6))
    with pytest.raises(InputError, match="no bottleneck"):
        embed_split(model, metric_run, feature="z")
    with pytest.raises(InputError, match="split must be one of"):
        embed_split(model, metric_run, split="query")


def test_figures_of_the_log_are_those_of_an_evaluation(metric_run: Path) -> None:
    embedded = embed_split(load_run(metric_run), metric_run, split="validation")
    (found,) = evaluate(embedded.features, named_protocols("cub"))
    description = read_tensors(metric_run / "model.safetensors", format="limbeck-metric-1", what="model")[0]
    assert description["training"]["figures"]["recall-1"] == pytest.approx(found.cmc(1).mean)


def test_a_model_trained_by_another_recipe_is_no_trial(metric_run: Path, photographs: Path, tmp_path: Path) -> None:
    train_run(recipe(photographs, training={"seed": 1, "epochs": 1}), tmp_path / "short")
    with pytest.raises(InputError, match="another recipe"):
        list(evaluate_runs([metric_run, tmp_path / "short"]))
    with pytest.raises(InputError, match="same seed"):
        list(evaluate_runs([metric_run, metric_run]))


def test_batch_normalisation_that_is_frozen_keeps_its_statistics(
    photographs: Path, tmp_path: Path, messages: Any
) -> None:
    task = make_task(recipe(photographs, network={"freeze_bn": True}), tmp_path)
    before = {key: value.clone() for key, value in task.network.state_dict().items()}
    with messages() as heard:
        train_run(recipe(photographs, network={"freeze_bn": True}), tmp_path / "run")
    assert any("random weights have no statistics to keep" in line for line in heard)
    after = weights(tmp_path / "run" / "model.safetensors")
    still = [key for key in before if "running_" in key and key.startswith("encoder.")]
    assert still
    assert all(torch.equal(before[key], after[key]) for key in still)
    assert any(not torch.equal(before[key], after[key]) for key in before if "encoder." in key and key not in still)


@pytest.mark.slow
@pytest.mark.usefixtures("short_tsne")
def test_pictures_of_any_shape_by_their_shorter_side(tmp_path: Path) -> None:
    for number in range(6):
        for place in range(3):
            photograph(tmp_path / "set" / f"c{number}" / f"{place}.png", number * 3 + place, (20 + 3 * place, 24))
    made = recipe(tmp_path / "set", data={"set": "class-folder", "root": str(tmp_path / "set"), "fit": "short",
                  "resize": 18, "crop": 16, "held_out": 0}, sampler={"batch": 4},
                  training={"epochs": 1, "select": "last", "validate_epochs": 0})  # fmt: skip
    train_run(made, tmp_path / "run")
    (table,) = (said for said in evaluate_runs([tmp_path / "run"], out=tmp_path / "report"))
    assert "R-precision" in table
    assert (tmp_path / "report" / "ranked.png").is_file()


def test_an_array_of_another_size_is_refused(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"16 x 16 pixels, and none that could be decoded anew: set data\.resize to 16"
    ):
        train_run(recipe(photographs, data={"resize": 32}), tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("short_tsne")
def test_the_command(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, small = str(tmp_path / "run"), "--data.resize 16 --data.crop 16 --sampler.batch 8 --sampler.steps_per_epoch 2"
    data = f"--data.root {photographs} {small} --training.epochs 1 --network.bottleneck true --data.held_out 2"
    assert main(["train", "metric", "--config", "small", *data.split(), "--out", run]) == 0
    assert main(["evaluate", run, "--protocol", "cub", "--feature", "z", "--out", str(tmp_path / "report")]) == 0
    said = capsys.readouterr().out
    assert "R32" in said
    assert (tmp_path / "report" / "index.html").is_file()
    features = str(tmp_path / "features.npz")
    assert main(["metric", "embed", "--model", run, "--feature", "z", "--out", features]) == 0
    assert main(["evaluate", features, "--protocol", "cub"]) == 0
    again = capsys.readouterr().out
    rows = [next(line for line in text.splitlines() if line.split()[:1] == ["cub"]) for text in (said, again)]
    assert rows[0].split() == rows[1].split()
    held = load_features(features)
    assert isinstance(held, Features)
    assert len(held) == 36
    assert main(["diagnose", run, "--probe_folds", "2"]) == 0
    assert "picture" in capsys.readouterr().out


def test_mistakes_are_one_line(photographs: Path, refused: Callable[..., None], tmp_path: Path) -> None:
    refused(["train", "metric", "--out", tmp_path / "run"], "data.root must say where the set cub lies")
    refused(["evaluate", photographs, "--protocol", "cub"], "'feature' is missing")
    refused(["data", "check", "cub", tmp_path], "holds no images.txt")
    refused(["metric", "embed", "--model", tmp_path, "--out", "features.csv"], "NPZ")


def test_an_evaluation_that_cannot_be_written_is_refused_before_the_work(
    metric_run: Path, refused: Callable[..., None]
) -> None:
    refused(["evaluate", metric_run, "--device", "."], "device '.' cannot be used here")
    refused(["evaluate", metric_run, "--per_query", metric_run], "is a folder; name a file with --per_query")


@pytest.mark.slow
def test_an_exported_program_gives_what_a_search_compares(metric_run: Path, tmp_path: Path) -> None:
    main(["export", str(metric_run), "--torch", "--out", str(tmp_path)])
    model = load_run(metric_run)
    side = model.recipe.data.crop
    pictures = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), np.uint8)
    found = torch.export.load(tmp_path / "photographs.pt2").module()(torch.from_numpy(pictures))
    expected = represent(model.network, pictures, np.arange(3), size=side)["v"]
    assert np.allclose(found.detach().numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda d, _: d.update(recipe=None),
        lambda d, _: d.update(classes=[0.5]),
        lambda d, _: d.update(classes={}),
        lambda d, _: d["training"].update(epoch=-1),
        lambda _, t: t.update({name: one.flatten()[:0].clone() for name, one in t.items()}),
    ],
)
def test_a_signed_model_that_does_not_fit_itself_is_one_line(metric_run: Path, tmp_path: Path, change: Any) -> None:
    file = rewritten(metric_run / "model.safetensors", tmp_path, change)
    with pytest.raises(InputError) as caught:
        load_run(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.update(steps=-1), "task.steps"),
        (lambda s: s["memories"]["v"].update(embeddings=torch.zeros(3, 1)), "task.memories.v"),
        (lambda s: s["memories"]["v"].update(labels=torch.zeros(1, dtype=torch.int64)), "a memory must be"),
        (lambda s: s["memories"]["z"].update(labels="x"), "a memory must be"),
        (lambda s: s.update(memories=[]), "does not fit this training"),
    ],
)
def test_a_checkpoint_with_the_memory_of_another_task_is_one_line(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, words: str
) -> None:
    made = recipe(photographs, loss={"name": "snca", "memory": 11, "memory_start": 0}, network={"bottleneck": True})
    with power_cut(monkeypatch, MetricTask, 2):
        train_run(made, tmp_path / "run")
    found = latest(tmp_path / "run" / "checkpoints")
    assert found is not None
    change(found.state["task"])
    write(tmp_path / "run" / "checkpoints", found.step, found.state, found.fingerprint, keep=1)
    with pytest.raises(InputError, match=words) as caught:
        train_run(made, tmp_path / "run")
    assert str(found.path) in str(caught.value)
