"""Both evaluators against the official formulas, written out anew, ignored labels included; and cases by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from limbeck.errors import InputError
from limbeck.segmentation.evaluators import (
    SegmentationScores,
    accuracy,
    confusion,
    format_results,
    intersection_over_union,
    mean_intersection_over_union,
    mean_iou_interval,
)
from limbeck.segmentation.labels import SEMANTIC_KITTI
from limbeck.segmentation.submissions import write_nuscenes, write_nuscenes_meta, write_semantickitti

CLASSES = ("road", "car", "pole", "sign", "tree")


def draw(seed: int, count: int = 400, classes: int = 5, least: int = -1) -> tuple[np.ndarray, np.ndarray]:
    """Truth that never has class 4 and is often ignored, a prediction that never has it either."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(-1, classes - 1, count)
    return truth, np.where(rng.random(count) < 0.6, np.maximum(truth, least), rng.integers(least, classes - 1, count))


def official_kitti(truth: np.ndarray, prediction: np.ndarray, classes: int) -> tuple[float, list[float], float]:
    """iouEval of semantic-kitti-api: rows are predictions, columns the truth, class 0 is ignored."""
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    for true, said in zip((truth + 1).tolist(), (prediction + 1).tolist(), strict=True):
        matrix[said, true] += 1
    matrix[:, 0] = 0
    hit = np.diag(matrix)
    false_positive, false_negative = matrix.sum(axis=1) - hit, matrix.sum(axis=0) - hit
    each = hit / (hit + false_positive + false_negative + 1e-15)
    right = hit.sum() / (hit[1:].sum() + false_positive[1:].sum() + 1e-15)
    return each[1:].mean(), each[1:].tolist(), right


def official_nuscenes(truth: np.ndarray, prediction: np.ndarray, classes: int) -> tuple[float, list[float]]:
    """ConfusionMatrix of nuscenes-devkit: rows are the truth, class 0 is ignored, its row and column are emptied."""
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    for true, said in zip((truth + 1).tolist(), (prediction + 1).tolist(), strict=True):
        assert said > 0
        matrix[true, said] += 1
    matrix[0, :] = 0
    matrix[:, 0] = 0
    hit = np.diag(matrix)
    with np.errstate(invalid="ignore"):
        each = hit / (matrix.sum(axis=1) + matrix.sum(axis=0) - hit)
    return np.nanmean(each), each[1:].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_semantic_kitti_equals_the_official_formulas(seed: int) -> None:
    truth, prediction = draw(seed)
    assert (prediction[truth >= 0] == -1).any()
    mean, each, right = official_kitti(truth, prediction, 5)
    matrix = confusion(truth, prediction, 5)
    found = intersection_over_union(matrix, "semantickitti")
    assert found.tolist() == pytest.approx(each, abs=1e-15)
    assert float(mean_intersection_over_union(found)) == pytest.approx(mean, abs=1e-15)
    assert accuracy(matrix, "semantickitti") == pytest.approx(right, abs=1e-15)
    assert each[4] == 0  # the class that is nowhere counts


@pytest.mark.parametrize("seed", range(5))
def test_nuscenes_equals_the_official_formulas(seed: int) -> None:
    truth, prediction = draw(seed, least=0)
    mean, each = official_nuscenes(truth, prediction, 5)
    found = intersection_over_union(confusion(truth, prediction, 5), "nuscenes")
    assert np.allclose(found, each, atol=1e-15, equal_nan=True)
    assert math.isnan(found[4])
    assert float(mean_intersection_over_union(found)) == pytest.approx(mean, abs=1e-15)


def test_by_hand() -> None:
    # Class 0: 3 points, of which 2 found, 1 missed without a prediction. Class 1: 2 points, 1 found, 1 taken for 0.
    truth = np.array([0, 0, 0, 1, 1, -1, -1])
    prediction = np.array([0, 0, -1, 1, 0, 0, 1])
    matrix = confusion(truth, prediction, 3)
    assert matrix.tolist() == [[2, 0, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0]]
    found = intersection_over_union(matrix, "semantickitti")
    assert found.tolist() == pytest.approx([2 / 4, 1 / 2, 0])
    assert float(mean_intersection_over_union(found)) == pytest.approx(1 / 3)
    assert accuracy(matrix, "semantickitti") == pytest.approx(3 / 4)  # of the points with a prediction
    prediction[2] = 0
    other = confusion(truth, prediction, 3)
    assert intersection_over_union(other, "nuscenes")[:2].tolist() == [3 / 4, 1 / 2]
    assert float(mean_intersection_over_union(intersection_over_union(other, "nuscenes"))) == 0.625
    assert accuracy(other, "nuscenes") == 0.8
    with pytest.raises(ValueError, match="nuscenes needs a class for every point"):
        intersection_over_union(matrix, "nuscenes")


def test_protocols_divide_the_points() -> None:
    scores = SegmentationScores(CLASSES, "semantickitti")
    held = []
    for seed in range(4):
        truth, prediction = draw(seed)
        visible = np.random.default_rng(seed).random(len(truth)) < 0.3
        scores.add(truth, prediction, visible)
        held.append((truth, prediction, visible))
    found = scores.results()
    truth, prediction, visible = (np.concatenate(parts) for parts in zip(*held, strict=True))
    for protocol, chosen in {"all": visible | True, "fov": visible, "outside": ~visible}.items():
        mean, each, right = official_kitti(truth[chosen], prediction[chosen], 5)
        assert found[protocol].mean_iou == pytest.approx(mean, abs=1e-15)  # type: ignore[index]
        assert list(found[protocol].iou.values()) == pytest.approx(each, abs=1e-15)  # type: ignore[index]
        assert found[protocol].accuracy == pytest.approx(right, abs=1e-15)  # type: ignore[index]
        assert found[protocol].scans == 4  # type: ignore[index]
    assert np.array_equal(found["all"].matrix, found["fov"].matrix + found["outside"].matrix)
    low, high = found["all"].interval
    assert low < found["all"].mean_iou < high
    text = format_results([*found.values()])
    assert text.index("road") < text.index("car") < text.index("tree") < text.index("mean IoU")
    for told in ("all points", "in view of at least one camera", "in view of no camera", "semantickitti evaluator"):
        assert told in text
    assert f"{100 * found['fov'].mean_iou:.2f}" in text
    plain = json.loads(json.dumps([one.as_json() for one in found.values()], allow_nan=False))
    assert [one["protocol"] for one in plain] == ["all", "fov", "outside"]
    assert list(plain[0]["iou"]) == list(CLASSES)
    assert plain[0]["points"] == int((truth >= 0).sum())


def test_nobody_in_view() -> None:
    scores = SegmentationScores(CLASSES, "nuscenes")
    truth, prediction = draw(0, least=0)
    scores.add(truth, prediction, np.zeros(len(truth), bool))
    found = scores.results()
    assert (found["fov"].points, found["fov"].scans) == (0, 0)
    assert math.isnan(found["fov"].mean_iou)
    assert found["fov"].as_json()["mean_iou"] is None
    assert found["all"].interval == (-math.inf, math.inf)
    assert "–" in format_results([found["fov"]])


def test_the_interval_covers_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    share = np.array([0.7, 0.2, 0.1])

    def scans(count: int) -> np.ndarray:
        found = []
        for _ in range(count):
            right = rng.beta(8, 2)  # scans differ
            truth = rng.choice(3, 200, p=share)
            wrong = rng.random(200) > right
            found.append(confusion(truth, np.where(wrong, (truth + 1) % 3, truth), 3))
        return np.stack(found)

    exact = float(mean_intersection_over_union(intersection_over_union(scans(4000).sum(axis=0), "nuscenes")))
    held = [low < exact < high for low, high in (mean_iou_interval(scans(30), "nuscenes") for _ in range(60))]
    assert 50 <= sum(held) <= 60
    one = scans(20)
    assert mean_iou_interval(one, "nuscenes", seed=3) == mean_iou_interval(one, "nuscenes", seed=3)


def test_the_interval_is_that_of_drawn_scans() -> None:
    truth, prediction = draw(0, least=0)
    alike = np.stack([confusion(truth, prediction, 5)] * 6)
    exact = float(mean_intersection_over_union(intersection_over_union(alike[0], "nuscenes")))
    assert mean_iou_interval(alike, "nuscenes") == pytest.approx((exact, exact))  # equal scans: nothing varies


def test_what_cannot_be_scored() -> None:
    with pytest.raises(InputError, match="evaluator must be one of semantickitti, nuscenes, not 'mine'"):
        SegmentationScores(CLASSES, "mine")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="protocols must be some of all, fov, outside"):
        SegmentationScores(CLASSES, "nuscenes", ["front"])  # type: ignore[list-item]
    scores = SegmentationScores(CLASSES, "nuscenes")
    with pytest.raises(InputError, match="there is no scan to score"):
        scores.results()
    points = np.array([0, 1])
    with pytest.raises(InputError, match="need cameras"):
        scores.add(points, points)
    with pytest.raises(InputError, match="nuScenes needs one of its classes for every point"):
        scores.add(np.array([0, -1]), np.array([0, -1]), np.array([True, True]))
    with pytest.raises(ValueError, match="visible must be"):
        scores.add(points, points, np.array([True]))
    with pytest.raises(ValueError, match="must be \\(points,\\) alike"):
        confusion(points, points[:1], 2)
    with pytest.raises(ValueError, match="prediction must be from -1 to 1"):
        confusion(points, np.array([0, 2]), 2)
    with pytest.raises(ValueError, match="truth must be from -1 to 1"):
        confusion(np.array([0, 255]), points, 2)
    with pytest.raises(ValueError, match="truth must be whole numbers"):
        confusion(np.array([0.0, 1.0]), points, 2)
    with pytest.raises(ValueError, match="must be \\(classes, classes \\+ 1\\)"):
        intersection_over_union(np.zeros((2, 2), np.int64), "nuscenes")
    with pytest.raises(ValueError, match="results must be of one evaluator"):
        format_results([])


def test_submissions(tmp_path: Path) -> None:
    prediction = np.array([0, 18, -1, SEMANTIC_KITTI.classes.index("building")])
    file = write_semantickitti(tmp_path, "11/000003", prediction)
    assert file == tmp_path / "sequences/11/predictions/000003.label"
    assert file.read_bytes() == bytes([10, 0, 0, 0, 81, 0, 0, 0, 0, 0, 0, 0, 50, 0, 0, 0])
    with pytest.raises(InputError, match="has a name like 11/000000, not 'abc'"):
        write_semantickitti(tmp_path, "abc", prediction)
    file = write_nuscenes(tmp_path, "abc", np.array([0, 15, 3]))
    assert file == tmp_path / "lidarseg/test/abc_lidarseg.bin"
    assert file.read_bytes() == bytes([1, 16, 4])
    with pytest.raises(InputError, match="abc: nuScenes needs one of its classes"):
        write_nuscenes(tmp_path, "abc", np.array([0, -1]))
    with pytest.raises(ValueError, match="from 0 to 15"):
        write_nuscenes(tmp_path, "abc", np.array([16]))
    meta = write_nuscenes_meta(tmp_path, camera=True)
    assert meta == tmp_path / "test/submission.json"
    assert json.loads(meta.read_text())["meta"] == {
        "use_camera": True,
        "use_lidar": True,
        "use_radar": False,
        "use_map": False,
        "use_external": False,
    }
