"""Segmentations: trained, interrupted, resumed, loaded, evaluated, diagnosed, by functions and by the command."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.powercut import power_cut
from tests.segmentation.segmentation_small import SETTINGS, recipe
from tests.signed import rewritten

from limbeck.cli import main
from limbeck.errors import InputError
from limbeck.segmentation.cameras import point_pixels
from limbeck.segmentation.diagnosis import (
    CAMERA,
    LIDAR,
    PointFeatures,
    class_information,
    format_class_information,
    point_features_of_run,
)
from limbeck.segmentation.evaluation import WITH, WITHOUT, evaluate_runs, score
from limbeck.segmentation.evaluators import SegmentationScores
from limbeck.segmentation.prediction import predicted_classes, predicted_logits
from limbeck.segmentation.recipe import SegmentationRecipe, shipped_recipe
from limbeck.segmentation.runs import FORMAT, load_run, make_task, train_run
from limbeck.segmentation.sets import load_scans
from limbeck.segmentation.task import SegmentationTask
from limbeck.synthetic.streets import make_streets
from limbeck.tensorfiles import read_tensors
from limbeck.training.recipes import read_recipe


def weights(file: Path) -> dict[str, torch.Tensor]:
    return read_tensors(file, format=FORMAT, what="model")[1]


def test_a_run_leaves_its_network_its_log_and_its_figures(segmentation_run: Path, small_streets: Path) -> None:
    lines = [json.loads(line) for line in (segmentation_run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert {"cross-entropy", "lovasz camera z", "vcd to lidar", "vcd to camera"} <= lines[0].keys()
    assert 0 < load_run(segmentation_run).step == 4
    model = load_run(segmentation_run)
    assert model.recipe.elsewhere() == recipe(small_streets).elsewhere()
    assert len(model.classes) == 19
    rows = (segmentation_run / "epochs.csv").read_text().splitlines()
    assert len(rows) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "groups",
    [
        {},
        {"loss": {"distillation": "mv2d"}, "network": {"stochastic": True, "dropout": 0.3}},
        {"data": {"cameras": False}, "loss": {"distillation": "none"}},
        {"augmentation": {"no_pictures": 0.5}, "network": {"image_rate": 0.1}},
    ],
    ids=["plain", "chance", "LiDAR alone", "pictures missing"],
)
@pytest.mark.parametrize("step", [1, 3])
def test_a_training_that_breaks_off_goes_on_exactly(
    small_streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: dict[str, dict], step: int
) -> None:
    made = recipe(small_streets, **groups)
    train_run(made, tmp_path / "whole")
    with power_cut(monkeypatch, SegmentationTask, step):
        train_run(made, tmp_path / "broken")
    train_run(made, tmp_path / "broken")
    one, other = weights(tmp_path / "whole" / "model.safetensors"), weights(tmp_path / "broken" / "model.safetensors")
    assert all(torch.equal(one[key], other[key]) for key in one)
    with pytest.raises(InputError, match=r"data\.voxel"):
        train_run(
            recipe(small_streets, **{**groups, "data": {**groups.get("data", {}), "voxel": 0.4}}), tmp_path / "whole"
        )


@pytest.mark.slow
def test_it_learns(small_streets: Path) -> None:
    """The loss of the scans that it learns from falls by far."""
    task = make_task(recipe(small_streets, augmentation={"turn": 0.0, "flip": 0.0}, loss={"distillation": "vcd"}))
    optimizer = torch.optim.AdamW(task.network.parameters(), 1e-2)
    totals = []
    for batch in task.batches(0, 24):
        total = torch.stack(list(task.terms(task.network.train(), batch).values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    assert np.mean(totals[-4:]) < 0.75 * totals[0]


@pytest.mark.parametrize("distillation", ["vcd", "mv2d"])
def test_a_point_without_a_pixel_is_predicted_as_by_the_lidar_alone(small_streets: Path, distillation: str) -> None:
    made = recipe(small_streets, loss={"distillation": distillation}, network={"fusion": "none"})
    scans = load_scans("semantickitti", small_streets)
    network = make_task(made).network.eval()
    frame = scans[0]
    seen = point_pixels(frame.points, frame.cameras).visible
    found = predicted_logits(network, frame, made.data)
    alone = predicted_logits(network, frame, made.data, cameras=False)
    assert found.keys() == alone.keys() == ({"v", "z", "joint"} if distillation == "mv2d" else {"v", "z"})
    np.testing.assert_array_equal(found["v"], alone["v"])  # nothing is fused
    if distillation == "mv2d":
        np.testing.assert_array_equal(found["joint"][~seen], alone["joint"][~seen])
        assert np.abs(found["joint"][seen] - alone["joint"][seen]).max() > 1e-3


def test_fused_pictures_change_what_is_in_view(small_streets: Path) -> None:
    made = recipe(small_streets)
    frame = load_scans("semantickitti", small_streets)[0]
    network = make_task(made).network.eval()
    found = predicted_logits(network, frame, made.data)["v"]
    alone = predicted_logits(network, frame, made.data, cameras=False)["v"]
    seen = point_pixels(frame.points, frame.cameras).visible
    assert (np.abs(found - alone).max(axis=1) > 1e-6)[seen].mean() > 0.9


def test_what_cannot_be_learned_is_refused(small_streets: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="between two sensors"):
        recipe(small_streets, data={"cameras": False})
    with pytest.raises(InputError, match=r"data\.root must say where the set semantickitti lies: its folder"):
        train_run(recipe(small_streets, data={"root": ""}), tmp_path / "run")
    with pytest.raises(InputError, match=r"data\.height and data\.width go together"):
        recipe(small_streets, data={"width": None})
    with pytest.raises(InputError, match="must not all be 0"):
        recipe(small_streets, loss={"cross_entropy": 0.0, "focal": 0.0, "lovasz": 0.0})
    make_streets(tmp_path / "low", replace(SETTINGS, height=24), "semantickitti", workers=1)
    with pytest.raises(InputError, match="sides of 24 pixels"):
        make_task(recipe(tmp_path / "low", data={"height": None, "width": None}))
    bare = tmp_path / "streets"
    shutil.copytree(small_streets, bare)
    shutil.rmtree(bare / "sequences" / "00" / "labels")
    with pytest.raises(InputError, match="label"):
        make_task(recipe(bare))


def test_figures_are_those_of_the_predictions(segmentation_run: Path, small_streets: Path) -> None:
    model, scans = load_run(segmentation_run), load_scans("semantickitti", small_streets)
    found = score(model, cameras="both")
    assert found.results.keys() == {(sight, kind) for sight in (WITH, WITHOUT) for kind in ("v", "z")}
    expected = SegmentationScores(model.classes, "semantickitti")
    for position in scans.split("validation").tolist():
        frame = scans[position]
        assert frame.labels is not None
        classes = predicted_classes(model.network, frame, model.recipe.data)["z"]
        expected.add(frame.labels, classes, point_pixels(frame.points, frame.cameras).visible)
    for protocol, result in expected.results().items():
        np.testing.assert_array_equal(found.results[WITH, "z"][protocol].matrix, result.matrix)
    assert found.results[WITH, "v"]["all"].points == found.results[WITHOUT, "v"]["all"].points


@pytest.mark.slow
def test_the_command_evaluates_and_writes_a_page(
    segmentation_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    main(
        ["evaluate", str(segmentation_run), "--cameras", "both", "--out", str(out), "--submission", str(tmp_path / "s")]
    )
    told = capsys.readouterr().out
    assert "protocol fov (points in view of at least one camera)" in told
    assert "Without its cameras the model loses" in told
    page = (out / "index.html").read_text()
    for words in ("Intersection over union, with cameras", "without cameras", "08/000000", "data:image/png"):
        assert words in page
    figures = json.loads((out / "figures.json").read_text())
    assert len(figures["runs"][0]["figures"]) == 12
    assert sorted(path.name for path in out.glob("scan-*.png"))
    assert (out / "iou.csv").read_text().count("\n") == 1 + 12 * 19
    labels = sorted((tmp_path / "s" / "sequences" / "08" / "predictions").glob("*.label"))
    assert len(labels) == 4
    scan = np.fromfile(labels[0], "<u4")
    assert len(scan) * 16 == (Path(figures_root(segmentation_run)) / "sequences/08/velodyne/000000.bin").stat().st_size


def figures_root(run: Path) -> str:
    return load_run(run).recipe.data.root


@pytest.mark.slow
def test_two_runs_are_averaged(segmentation_run: Path, tmp_path: Path, small_streets: Path) -> None:
    train_run(recipe(small_streets, training={"seed": 7}), tmp_path / "other")
    told = "\n".join(evaluate_runs([segmentation_run, tmp_path / "other"], out=tmp_path / "report", protocols=["all"]))
    assert "Mean IoU over 2 models, mean ± sd in per cent, by v" in told
    with pytest.raises(InputError, match="name one"):
        list(evaluate_runs([segmentation_run, tmp_path / "other"], submission=tmp_path))
    with pytest.raises(InputError, match="no prediction joint: choose from v, z"):
        list(evaluate_runs([segmentation_run], kind="joint", out=tmp_path / "joint"))


@pytest.mark.slow
def test_features_of_points_are_drawn_evenly_and_diagnosed(
    segmentation_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = point_features_of_run(segmentation_run, most=60, split="train")
    counts = np.bincount(found.labels)
    assert counts.max() == 60
    assert [len(part) for part in (*found.observations, *found.representations)] == [counts.sum()] * 4
    assert set(found.scans.tolist()) == {0, 1, 2, 3}
    again = point_features_of_run(segmentation_run, most=60, split="train")
    np.testing.assert_array_equal(found.observations[1], again.observations[1])
    nats = class_information(found, folds=3)
    assert nats
    assert all(one.points >= 20 for one in nats)
    for figure in (part for one in nats for part in (one.camera, one.lidar, one.both)):
        assert figure[1] <= figure[0] <= figure[2]
        assert figure[0] <= np.log(2)
    assert "fused into the LiDAR branch" in format_class_information(nats, fused=True)
    out = tmp_path / "diagnosis"
    arguments = ["--split", "train", "--points", "60", "--probe_folds", "3", "--out", str(out)]
    main(["diagnose", str(segmentation_run), *arguments])
    told = capsys.readouterr().out
    assert "known better to" in told
    assert (out / "classes.txt").read_text() in told
    assert (out / "index.html").is_file()


def test_a_model_without_cameras_has_no_two_sensors(small_streets: Path, tmp_path: Path) -> None:
    made = recipe(small_streets, data={"cameras": False}, loss={"distillation": "none"}, training={"epochs": 1})
    train_run(made, tmp_path / "run")
    with pytest.raises(InputError, match="trained without cameras"):
        point_features_of_run(tmp_path / "run")
    found = score(load_run(tmp_path / "run"), cameras="both")
    assert {sight for sight, _ in found.results} == {WITHOUT}
    assert set(found.results[WITHOUT, "v"]) == {"all", "fov", "outside"}


def test_the_small_recipe_is_one() -> None:
    made = read_recipe(shipped_recipe("small"), SegmentationRecipe)
    assert made.network.weights == "none"


def drawn_points(known: str, *, shift: float, scans: int = 12) -> PointFeatures:
    """Two classes that one sensor alone tells apart, by so many standard deviations."""
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 2
    told, other = rng.normal(size=(600, 2)) + shift * labels[:, None], rng.normal(size=(600, 3))
    camera, lidar = (told, other) if known == CAMERA else (other, told)
    of = (camera.astype(np.float32), lidar.astype(np.float32))
    return PointFeatures(of, of, labels, rng.integers(scans, size=600), ("pole", "trunk", "car"), False, "drawn")


@pytest.mark.parametrize("known", [CAMERA, LIDAR])
def test_what_one_sensor_alone_knows_is_found(known: str) -> None:
    found = class_information(drawn_points(known, shift=1.0))
    assert [one.name for one in found] == ["pole", "trunk"]  # there is no car
    for one in found:
        own, other = (one.camera, one.lidar) if known == CAMERA else (one.lidar, one.camera)
        # Two unit Gaussians in two columns, apart by 1 in each: I = 0.2013 nats by quadrature.
        assert own[1] - 0.02 <= 0.2013 <= own[2] + 0.02
        assert other[0] == pytest.approx(0.0, abs=0.02)
        assert one.known_to == known
        assert one.both[0] == pytest.approx(own[0], abs=0.03)
    assert "fused" not in format_class_information(found, fused=False)


@pytest.mark.parametrize(
    "change",
    [
        lambda d, _: d.update(recipe=3),
        lambda d, _: d.update(classes="abc"),
        lambda d, _: d.update(classes=[1, 2]),
        lambda d, _: d["recipe"]["network"].update(representation=10**6),
        lambda _, t: t.update({name: one.half() for name, one in t.items()}),
    ],
)
def test_a_signed_model_that_does_not_fit_itself_is_one_line(
    segmentation_run: Path, tmp_path: Path, change: Any
) -> None:
    file = rewritten(segmentation_run / "model.safetensors", tmp_path, change)
    with pytest.raises(InputError) as caught:
        load_run(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)
