"""Which sensor can tell which class: small classifiers on generated frames, each shown one kind of evidence only."""

import numpy as np
import pytest
from scipy.spatial import cKDTree
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from limbeck.synthetic.streets import LABELS, PAIRS, StreetFrame, StreetSettings, draw_street

FRAMES, APART = 110, 9  # frames, and 180 m between two, so that no object is in both
MOST = 150  # points of a pair in a frame, by chance: a near bus would outvote the rest
SETTINGS = StreetSettings(seed=2, cameras=6, scenes=3, frames=1000, step=20.0, night=0.0)


def _shape(frame: StreetFrame, chosen: np.ndarray) -> np.ndarray:
    """What the LiDAR tells of points and their 12 and 48 nearest: spread, normal, height, intensity."""
    points = frame.points.astype(float)
    near = cKDTree(points).query(points[chosen], 48)[1]
    features = [points[chosen, 2:], frame.intensity[chosen, None], np.linalg.norm(points[chosen], axis=1)[:, None]]
    for count in (12, 48):
        around, bright = points[near[:, :count]], frame.intensity[near[:, :count]]
        centred = around - around.mean(1, keepdims=True)
        values, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", centred, centred) / count)
        spread = np.sqrt(np.maximum(values, 0))
        features += [spread, spread[:, :2] / (spread[:, 1:] + 1e-6), np.abs(axes[:, 2:, 0])]
        features += [np.ptp(around[:, :, 2], axis=1)[:, None], bright.mean(1)[:, None], bright.std(1)[:, None]]
    return np.column_stack(features)


def _pixels(frame: StreetFrame) -> tuple[np.ndarray, np.ndarray]:
    """The colour of every point's pixel, and whether a camera sees the point itself there."""
    colours, seen = np.zeros((len(frame.points), 3)), np.zeros(len(frame.points), bool)
    homogeneous = np.column_stack([frame.points, np.ones(len(frame.points))])
    for camera, projection in enumerate(frame.projections):
        u, v, depth = (homogeneous @ projection.T).T
        labels = frame.label_images[camera]
        height, width = labels.shape
        ahead = np.flatnonzero(depth > 0.5)
        column, row = (np.rint(place[ahead] / depth[ahead]).astype(int) for place in (u, v))
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        ahead, row, column = ahead[inside], row[inside], column[inside]
        same = (labels[row, column] == frame.labels[ahead]) & (
            np.abs(frame.depth_images[camera][row, column] - depth[ahead]) < 0.3
        )
        colours[ahead[same]], seen[ahead[same]] = frame.images[camera][row[same], column[same]], True
    return colours, seen


def _place(frame: StreetFrame) -> np.ndarray:
    """Where a point is, seen from above."""
    flat = frame.points[:, :2]
    return np.column_stack([flat, np.abs(flat), np.linalg.norm(flat, axis=1), np.arctan2(flat[:, 1], flat[:, 0])])


@pytest.fixture(scope="module")
def evidence() -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """For every pair, its points that a camera sees: each kind of evidence, which of the two, and the frame."""
    bags: dict[tuple[str, str], list[dict[str, np.ndarray]]] = {pair: [] for pair in PAIRS}
    dice = np.random.default_rng(1)
    for number in range(FRAMES):
        frame = draw_street(SETTINGS, number * APART)
        colours, seen = _pixels(frame)
        places = _place(frame)
        for pair, bag in bags.items():
            first, second = (LABELS[name] for name in pair)
            chosen = np.flatnonzero(seen & ((frame.labels == first) | (frame.labels == second)))
            chosen = dice.permutation(chosen)[:MOST]
            bag.append(
                {
                    "shape": _shape(frame, chosen),
                    "colour": colours[chosen],
                    "place": places[chosen],
                    "second": frame.labels[chosen] == second,
                    "frame": np.full(len(chosen), number),
                }
            )
    return {pair: {key: np.concatenate([one[key] for one in bag]) for key in bag[0]} for pair, bag in bags.items()}


def _area(one: dict[str, np.ndarray], kind: str) -> tuple[float, float, float]:
    """The area under the ROC on the later half of the frames, learnt on the earlier; its 99 % interval over frames."""
    late = one["frame"] >= FRAMES // 2
    learner = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=8, min_samples_leaf=50, random_state=0)
    learner.fit(one[kind][~late], one["second"][~late])
    scores, truth, frames = learner.predict_proba(one[kind][late])[:, 1], one["second"][late], one["frame"][late]
    rows = [np.flatnonzero(frames == number) for number in np.unique(frames)]
    dice = np.random.default_rng(0)
    again = []
    for _ in range(200):
        drawn = np.concatenate([rows[k] for k in dice.integers(len(rows), size=len(rows))])
        again.append(roc_auc_score(truth[drawn], scores[drawn]))
    low, high = np.quantile(again, [0.005, 0.995])
    return float(roc_auc_score(truth, scores)), float(low), float(high)


# The least that the sensor that can tell a pair reaches: one point of a bus's side is as flat as one of a truck's cab.
LEAST = {("sidewalk", "terrain"): 0.98, ("pole", "trunk"): 0.98, ("truck", "bus"): 0.57, ("person", "sign"): 0.85}


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS)
def test_each_pair_is_told_by_its_sensor_alone(evidence, pair: tuple[str, str]) -> None:
    one = evidence[pair]
    assert 0.3 < one["second"].mean() < 0.7
    told = PAIRS[pair]
    blind = "shape" if told == "colour" else "colour"
    _, least, _ = _area(one, told)
    assert least > LEAST[pair]
    for kind in (blind, "place"):
        _, low, high = _area(one, kind)
        assert low < 0.5 < high
        assert high - low < 0.35  # it could have been told from chance
