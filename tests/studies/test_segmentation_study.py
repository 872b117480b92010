"""The study of segmentation: rows, resumption, figures of protocols and lights, sensors' nats, report."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from limbeck.cli import main
from limbeck.errors import InputError
from limbeck.reporting.statistics import paired_difference
from limbeck.segmentation.cameras import point_pixels
from limbeck.segmentation.diagnosis import ClassInformation, PointFeatures
from limbeck.segmentation.evaluation import WITH, WITHOUT, score
from limbeck.segmentation.runs import load_run
from limbeck.segmentation.sets import load_scans
from limbeck.studies.segmentation.report import format_report, write_report
from limbeck.studies.segmentation.rows import MEANING, ROWS, row_recipe
from limbeck.studies.segmentation.run import (
    Of,
    SegmentationStudyResult,
    SegmentationStudySettings,
    run,
    run_folder,
    small_recipe,
    streets_folder,
    study_streets,
)
from limbeck.studies.segmentation.trainings import DAY, NIGHT, Trained, dark_scans, draw_streets, pair_information
from limbeck.synthetic.streets import CLASSES, LABELS, PAIRS, StreetSettings, draw_street

STREETS = StreetSettings(
    scenes=3, frames=6, night=0.5, cameras=2, width=64, height=40, beams=12, azimuths=96, reach=30.0
)


def tiny() -> SegmentationStudySettings:
    small = small_recipe()
    return replace(
        SegmentationStudySettings(),
        rows=("lidar", "fused", "apart"),
        seeds=(0, 1),
        recipe=replace(
            small,
            data=replace(small.data, batch=1, steps_per_epoch=2),
            training=replace(small.training, epochs=1, warmup_steps=1),
        ),
        streets=STREETS,
        points=10,  # too few to read nats from, which takes long
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SegmentationStudyResult]:
    folder = tmp_path_factory.mktemp("segmentation")
    return folder, run(tiny(), folder)


@pytest.mark.slow
def test_counts_are_those_of_the_evaluation(done: tuple[Path, SegmentationStudyResult]) -> None:
    folder, result = done
    assert set(result.trainings) == {(row, seed) for row in ("lidar", "fused", "apart") for seed in (0, 1)}
    for row in ("lidar", "fused"):
        model = load_run(run_folder(folder, row, 1))
        found = score(model, split="test", cameras="both" if row == "fused" else "with").results
        assert {sight for sight, _ in found} == ({WITHOUT} if row == "lidar" else {WITH, WITHOUT})
        for (sight, kind), results in found.items():
            for protocol, one in results.items():
                np.testing.assert_array_equal(result.trainings[row, 1].matrix(sight, kind, protocol), one.matrix)
                of = Of(kind, protocol, None, sight)
                assert result.values(row, of=of)[1] == pytest.approx(100 * one.mean_iou)
                assert result.values(row, "car", of)[1] == pytest.approx(100 * one.iou["car"])


@pytest.mark.slow
def test_scans_at_night_are_counted_apart(done: tuple[Path, SegmentationStudyResult]) -> None:
    folder, result = done
    scans = load_scans("scans", streets_folder(folder, 0))
    settings = replace(STREETS, seed=0)
    dark = set()
    for index in range(len(settings)):
        scene, frame = settings.place(index)
        part = next(part for part, numbers in settings.splits().items() if scene in numbers)
        if draw_street(settings, index).factors.shot.light.night:
            dark.add(f"{part}/{scene:02d}/{frame:06d}")
    assert dark_scans(scans.root) == dark
    truth = {(light, seen): np.zeros(len(CLASSES), int) for light in (DAY, NIGHT) for seen in ("fov", "outside")}
    for place in scans.split("test").tolist():
        frame = scans.frame(place, images=False)
        seen = point_pixels(frame.points, frame.cameras).visible
        for protocol, chosen in (("fov", seen), ("outside", ~seen)):
            light = NIGHT if frame.name in dark else DAY
            truth[light, protocol] += np.bincount(frame.labels[chosen], minlength=len(CLASSES))
    for (light, protocol), counts in truth.items():
        matrix = result.trainings["fused", 0].matrix(WITH, "v", protocol, light)
        np.testing.assert_array_equal(matrix.sum(axis=1), counts)
    assert all(counts.any() for counts in truth.values())


@pytest.mark.slow
def test_what_is_done_is_not_done_again(done: tuple[Path, SegmentationStudyResult]) -> None:
    folder, result = done
    times = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    assert run(tiny(), folder) == result
    assert times == {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    with pytest.raises(InputError, match="in another way"):
        run(replace(tiny(), points=9), folder)
    with pytest.raises(InputError, match="streets of other settings"):
        run(replace(tiny(), streets=replace(STREETS, night=0.4)), folder)


@pytest.mark.slow
def test_the_report_holds_every_figure(done: tuple[Path, SegmentationStudyResult], tmp_path: Path) -> None:
    result = done[1]
    files = write_report(result, tmp_path)
    names = ["segmentation.json", "segmentation.txt", "segmentation.png", "segmentation-day.png"]
    assert [file.name for file in files] == [*names, "segmentation-night.png"]
    held, text = json.loads(files[0].read_text()), files[1].read_text()
    assert len(held["trainings"]) == 6
    for protocol in ("all", "fov", "outside"):
        values = result.values("fused", of=Of(protocol=protocol))
        assert f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}" in text
        (row,) = (
            one
            for one in held["figures"]
            if (one["row"], one["kind"], one["protocol"], one["light"]) == ("fused", "v", protocol, None)
            and one["cameras"] == WITH
        )
        assert row["values"]["mean"] == values
        assert f"protocol {protocol}: " in text
    assert "77.2 / 64.7" in text
    assert "nuscenes' rules" in text
    assert set(held["constructed"]) == {pair[0] for pair in PAIRS}


def one(row: str, seed: int, matrix: np.ndarray, pairs: tuple[ClassInformation, ...] = ()) -> Trained:
    sights = (WITHOUT,) if row == "lidar" else (WITH, WITHOUT)
    counts = {
        (sight, "v", light, protocol): (matrix * (1 + (light == NIGHT)) * (1 if sight == sights[0] else 2)).tolist()
        for sight in sights
        for light in (DAY, NIGHT)
        for protocol in ("fov", "outside")
    }
    return Trained(row, seed, counts, (), pairs, 1, 0.0)


def known(name: str, camera: float, lidar: float) -> ClassInformation:
    return ClassInformation(name, 100, (camera, camera, camera), (lidar, lidar, lidar), (0.0, 0.0, 0.0))


def counted(right: int, wrong: int) -> np.ndarray:
    """Of every class so many points right, so many said to be of its partner."""
    matrix = np.zeros((len(CLASSES), len(CLASSES) + 1), np.int64)
    for label, kind in enumerate(CLASSES):
        matrix[label, label] = right
        if kind.partner:
            matrix[label, LABELS[kind.partner]] = wrong
    return matrix


def test_figures_are_means_of_their_classes_and_differences_are_paired() -> None:
    shares = {("fused", 0): (30, 10), ("lidar", 0): (20, 20), ("fused", 1): (40, 0), ("lidar", 1): (10, 30)}
    held = {key: one(*key, counted(*given)) for key, given in shares.items()}
    settings = replace(tiny(), rows=("lidar", "fused"))
    result = SegmentationStudyResult(settings, held)
    # A class with r points right and w lost to its partner, which loses as many: r / (r + 2 w).
    assert result.values("fused", "truck") == pytest.approx([100 * 30 / 50, 100])
    assert result.values("fused", "road") == pytest.approx([100, 100])
    assert result.values("lidar", "colour") == pytest.approx([100 * 20 / 60, 100 * 10 / 70])
    assert result.values("lidar", "pair pole", Of(protocol="fov", light="night")) == pytest.approx([50, 25])
    partnered = sum(bool(kind.partner) for kind in CLASSES)
    share = [(partnered * 30 / 50 + len(CLASSES) - partnered) / len(CLASSES), 1]
    assert result.values("fused") == pytest.approx(100 * np.array(share))
    found = result.against("lidar", "fused", "shape")
    assert found == paired_difference(
        result.values("fused", "shape"), result.values("lidar", "shape"), test_to_train=0.0
    )
    assert result.against("fused", "fused") is None
    assert result.lost_without("lidar") is None
    assert result.lost_without("fused").mean == 0  # twice as many points in every cell: the same shares
    assert result.values("vcd") == []
    assert result.values("fused", of=Of("joint")) == []


@pytest.mark.parametrize(
    ("camera", "lidar", "told"),
    [
        ((0.6, 0.5), (-0.01, 0.01), {"pole": "as constructed", "truck": "the LiDAR is not seen to know it"}),
        ((0.6, 0.5), (0.3, 0.31), {"pole": "the LiDAR alone knows it too", "truck": "more than the camera"}),
        ((0.1, 0.12), (0.4, 0.41), {"pole": "the LiDAR alone knows it too", "truck": "as constructed"}),
        ((-0.1, 0.2), (-0.01, 0.01), {"pole": "the camera is not seen to know it", "truck": "not as constructed"}),
    ],
)
def test_a_pair_is_as_constructed_or_not(
    camera: tuple[float, float], lidar: tuple[float, float], told: dict[str, str]
) -> None:
    held = {
        ("apart", seed): one(
            "apart", seed, counted(1, 0), tuple(known(pair[0], camera[seed], lidar[seed]) for pair in PAIRS)
        )
        for seed in (0, 1)
    }
    result = SegmentationStudyResult(replace(tiny(), rows=("apart",)), held)
    assert result.information("pole", "camera", pair=True) == list(camera)
    for first, words in told.items():
        assert words in result.verdict(first)
        assert result.verdict(first) in format_report(result).replace("\n", " ") or len(words) > 20
    alone = SegmentationStudyResult(replace(result.settings, seeds=(0,)), held)
    assert alone.verdict("pole") == "not told: it takes two seeds"


@pytest.mark.slow
def test_nats_of_pairs_are_of_these_two_classes_alone() -> None:
    """The camera's v says pole or trunk, the LiDAR's v says only that it is one of them; trucks are noise to both."""
    rng = np.random.default_rng(0)
    labels = np.repeat([LABELS["pole"], LABELS["trunk"], LABELS["truck"]], 100)
    camera = (labels == LABELS["trunk"])[:, None] + 0.1 * rng.standard_normal((300, 1))
    lidar = (labels == LABELS["truck"])[:, None] + 0.1 * rng.standard_normal((300, 1))
    both = (camera.astype(np.float32), lidar.astype(np.float32))
    names = tuple(kind.name for kind in CLASSES)
    features = PointFeatures(both, both, labels, np.arange(300) % 10, names, False, "test")
    (found,) = pair_information(features, seed=0)
    assert found.name == "pole"
    assert found.camera[0] > 0.6
    assert found.lidar[0] < 0.02


def test_rows_change_what_they_say(tmp_path: Path) -> None:
    recipes = {row: row_recipe(small_recipe(), row, 3, tmp_path) for row in ROWS}
    assert len({str(recipe.to_dict()) for recipe in recipes.values()}) == len(ROWS) == len(MEANING)
    assert {recipe.training.seed for recipe in recipes.values()} == {3}
    assert {(recipe.data.set, recipe.data.root) for recipe in recipes.values()} == {("scans", str(tmp_path))}
    assert not recipes["lidar"].data.cameras
    weights = {row: (one.loss.distillation, one.loss.to_lidar, one.loss.to_camera) for row, one in recipes.items()}
    assert weights["vcd"] == ("vcd", 1, 1)
    assert weights["vcd-to-lidar"] == ("vcd", 1, 0)
    assert weights["vcd-to-camera"] == ("vcd", 0, 1)
    assert {row for row, one in weights.items() if one[0] == "none"} == {"lidar", "fused", "apart"}
    assert {row for row, recipe in recipes.items() if recipe.network.fusion == "none"} == {"apart"}


def test_half_of_the_points_are_in_view() -> None:
    seen = []
    for index in range(0, 120, 40):
        frame = draw_street(study_streets(), index)
        inside = np.zeros(len(frame.points), bool)
        for camera, projection in zip(frame.cameras, frame.projections, strict=True):
            u, v, w = projection @ np.column_stack([frame.points, np.ones(len(frame.points))]).T
            inside |= (w > 0) & (u >= 0) & (u < camera.width * w) & (v >= 0) & (v < camera.height * w)
        seen.append(inside.mean())
    assert 0.4 < np.mean(seen) < 0.6


@pytest.mark.parametrize("change", [{"rows": ()}, {"rows": ("x",)}, {"seeds": (1, 1)}, {"points": 0}, {"jobs": 0}])
def test_settings_that_cannot_be_are_refused(change: dict) -> None:
    with pytest.raises(InputError):
        replace(tiny(), **change)


@pytest.mark.slow
def test_streets_are_drawn_once(tmp_path: Path) -> None:
    target = tmp_path / "streets"
    few = replace(STREETS, frames=1)
    draw_streets(few, target, 1)
    before = (target / "streets.json").stat().st_mtime_ns
    draw_streets(few, target, 1)
    assert (target / "streets.json").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="streets of other settings"):
        draw_streets(replace(few, seed=9), target, 1)


@pytest.mark.slow
def test_the_command_at_its_smallest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        *("study", "segmentation", "--rows", "[lidar,fused]", "--seeds", "[1]", "--out", str(tmp_path)),
        *("--recipe.training.epochs", "1", "--recipe.data.steps_per_epoch", "2", "--recipe.data.batch", "1"),
        *("--streets.scenes", "3", "--streets.frames", "2", "--streets.beams", "8", "--streets.azimuths", "64"),
        *("--streets.width", "40", "--streets.height", "40"),
    ]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "protocol outside: points in view of no camera" in told
    assert (tmp_path / "segmentation.png").is_file()
