"""The curve of information over a training: what it measures, keeps, writes and reads."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limbeck.errors import InputError
from limbeck.information import cross_fitted_information
from limbeck.information.curve import (
    InformationCurve,
    InformationRow,
    information_figure,
    pairs_of,
    read_information,
    source_of,
    write_information,
)
from limbeck.reporting.plots import save_plot

RNG = np.random.default_rng(0)
LABELS = np.arange(120) % 3
CLEAR = np.eye(3)[LABELS] + 0.05 * RNG.normal(size=(120, 3))
NOISE = RNG.normal(size=(120, 3))


def test_every_row_is_the_cross_fitted_information() -> None:
    curve = InformationCurve(LABELS, folds=3, seed=4, confidence=0.8)
    (row,) = curve.record(7, {"v": CLEAR})
    read = cross_fitted_information(CLEAR, LABELS, folds=3, seed=4, confidence=0.8)
    assert row == InformationRow(7, "v", read.nats, read.low, read.high, read.entropy)
    assert row.entropy == pytest.approx(np.log(3))


@pytest.mark.slow
def test_groups_and_probe_are_handed_on() -> None:
    # Each group has a mark of its own, which names the label only where the probe has seen the group.
    groups = np.repeat(np.arange(30), 4)
    labels = np.arange(30)[groups] % 2
    mark = np.eye(30)[groups]
    alone = InformationCurve(labels, folds=3).record(0, {"z": mark})[0].nats
    together = InformationCurve(labels, groups=groups, folds=3).record(0, {"z": mark})[0].nats
    assert alone > 0.4
    assert together < 0.1
    rings = np.where(LABELS[:, None] == 0, 1.0, 3.0) * np.stack([np.cos(RNG.uniform(0, 7, 120)), np.zeros(120)], axis=1)
    by_mlp = InformationCurve(LABELS == 0, folds=2, probe="mlp").record(0, {"z": rings**2})[0]
    assert by_mlp.nats == cross_fitted_information(rings**2, LABELS == 0, folds=2, probe="mlp").nats


def test_a_curve_goes_on_without_doubling() -> None:
    whole = InformationCurve(LABELS, folds=2)
    for step, v in ((0, NOISE), (10, CLEAR), (20, CLEAR)):
        whole.record(step, {"v": v})
    other = InformationCurve(LABELS, folds=2, rows=whole.rows)
    other.record(10, {"v": CLEAR})  # an interrupted training goes on from before its tenth step
    assert [row.step for row in other.rows] == [0, 10]
    assert [row.step for row in whole.rows] == [0, 10, 20]
    other.record(20, {"v": CLEAR})
    assert other.rows == whole.rows


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    curve = InformationCurve(LABELS, folds=2)
    for step in (0, 3):
        curve.record(step, {"v left, or so": CLEAR, "z left, or so": NOISE})
    files = curve.write(tmp_path / "run")
    assert [file.name for file in files] == ["information.csv", "information.png"]
    assert read_information(files[0]) == curve.rows
    assert files[0].read_text().splitlines()[0] == "step,name,nats,low,high,entropy"
    with Image.open(files[1]) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["information.csv", "information.png"]


def test_the_picture_has_a_line_for_every_name_and_the_entropy() -> None:
    rows = [
        InformationRow(step, name, nats, nats - 0.1, nats + 0.1, 1.0)
        for name, nats in (("v a", 0.9), ("z a", 0.5), ("v b", 0.8), ("fused", 0.7))
        for step in (0, 5)
    ]
    (axes,) = information_figure(rows).axes
    lines = {line.get_label(): line for line in axes.lines}
    assert {"v a", "z a", "v b", "fused", "H(y)"} <= set(lines)
    assert [lines[name].get_linestyle() for name in ("v a", "z a", "fused")] == ["-", "--", "-"]
    assert lines["v a"].get_color() == lines["z a"].get_color() != lines["v b"].get_color()
    assert list(lines["z a"].get_xdata()) == [0, 5]
    assert list(lines["z a"].get_ydata()) == [0.5, 0.5]
    assert lines["H(y)"].get_ydata()[0] == 1.0
    assert len(axes.collections) == 4  # bands


def test_pairs_are_of_one_source() -> None:
    rows = [InformationRow(0, name, 0.0, 0.0, 0.0, 1.0) for name in ("v", "v a", "z a", "z", "v b", "vast", "z vast")]
    assert [(source, v[0].name, z[0].name) for source, v, z in pairs_of(rows)] == [("", "v", "z"), ("a", "v a", "z a")]
    assert [source_of(name) for name in ("v all views", "z", "vast")] == ["all views", "", "vast"]


def test_bad_input_is_one_clear_line(tmp_path: Path) -> None:
    curve = InformationCurve(LABELS, folds=2)
    for step, representations, words in (
        (-1, {"v": CLEAR}, "step must be a whole number"),
        (True, {"v": CLEAR}, "step must be a whole number"),
        (0, {}, "representations must hold at least one"),
        (0, {"v": CLEAR, "z": CLEAR[:50]}, r"representations\['z'\]: labels must have shape"),
        (0, {"z": CLEAR * np.nan}, r"representations\['z'\]: features must be finite"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            curve.record(step, representations)
        assert len(str(caught.value).splitlines()) == 1
        assert curve.rows == []
    with pytest.raises(InputError, match="at least one measurement"):
        write_information([], tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_information(tmp_path / "none.csv")
    for text, words in (
        ("a,b\n1,2\n", "not a table of information"),
        ("step,name,nats,low,high,entropy\n1,v,x,0,0,0\n", "not a table of information"),
        ("step,name,nats,low,high,entropy\n1,v\n", "line 2: 2 cells"),
    ):
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(InputError, match=words):
            read_information(tmp_path / "bad.csv")


def test_views_named_like_formulas_are_drawn_as_they_are(tmp_path: Path) -> None:
    rows = [InformationRow(step, r"v $\frac{$", 0.5, 0.4, 0.6, 0.7) for step in (0, 1)]
    save_plot(information_figure(rows), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 1000
