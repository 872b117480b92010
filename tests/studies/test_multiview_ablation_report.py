"""What people see of a study: files that open, tables that miss no row."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limbeck.multiview.data import assemble, stratified_folds
from limbeck.multiview.evaluation import Scores
from limbeck.multiview.recipe import Recipe
from limbeck.studies.multiview_ablation.report import format_report, write_report
from limbeck.studies.multiview_ablation.run import (
    BASELINES,
    MultiviewAblationResult,
    MultiviewAblationSettings,
    RowResult,
)
from limbeck.studies.multiview_rows import TABLE_7_ROWS

pytestmark = pytest.mark.usefixtures("short_tsne")


def _result(
    name: str = "slice", *, splits: int = 3, classes: int = 4, views: int = 3, sweep: bool = True, width: int = 5
) -> MultiviewAblationResult:
    """A made-up result: the report shows what it is given."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), 20)
    data = assemble(
        name,
        {f"view {i}": rng.normal(size=(len(labels), 3)) for i in range(views)},
        labels,
        class_names=[f"class {label}" for label in range(classes)],
        folds=stratified_folds(labels, splits),
    )
    test = data.split("test")

    def row(label: str, *, embedded: bool) -> RowResult:
        accuracy = rng.uniform(0.8, 0.99, splits)
        return RowResult(
            label,
            [Scores(float(value), 0.3, 0.05) for value in accuracy],
            np.stack([accuracy - 0.1] * views, axis=1),
            12.0,
            embedding=rng.normal(size=(len(test), views * width)).astype(np.float32) if embedded else None,
        )

    rows = [row(label, embedded=True) for label in TABLE_7_ROWS] + [row(label, embedded=False) for label in BASELINES]
    result = MultiviewAblationResult(data, MultiviewAblationSettings(recipe=Recipe()), data.folds, rows)
    if sweep:
        result.sweep = {size: row(f"width {size}", embedded=True) for size in (64, 2, 16)}
    return result


def test_a_report_is_text_json_and_pictures_that_open(tmp_path: Path) -> None:
    files = write_report(_result(), tmp_path / "new")
    assert [file.name for file in files] == [
        "multiview-ablation.json",
        "multiview-ablation.txt",
        "comparison.png",
        "tsne.png",
        "dimension.png",
    ]
    assert json.loads(files[0].read_text())["study"] == "ablation"
    assert files[1].read_text() == format_report(_result())
    for file in files[2:]:
        with Image.open(file) as picture:
            picture.verify()
        with Image.open(file) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 200
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 5  # something is drawn


def test_sets_and_classes_named_like_formulas_are_drawn_as_they_are(tmp_path: Path) -> None:
    result = _result(r"$\frac{$")
    result.data = replace(result.data, class_names=(r"$\frac{$", "_first", "$x$", "\x1b[31m"))
    files = write_report(result, tmp_path)
    assert [file.name for file in files if file.suffix == ".png"] == ["comparison.png", "tsne.png", "dimension.png"]


def test_without_a_sweep_or_a_network_their_pictures_are_left_out(tmp_path: Path) -> None:
    result = _result(sweep=False)
    result.rows = result.rows[-3:]
    assert [file.name for file in write_report(result, tmp_path)] == [
        "multiview-ablation.json",
        "multiview-ablation.txt",
        "comparison.png",
    ]


def test_the_table_names_every_row_view_and_width() -> None:
    result = _result()
    table = format_report(result)
    for row in result.rows:
        lines = [line for line in table.splitlines() if line.split()[:1] == [row.name]]
        assert len(lines) == 2, row.name  # accuracy, and accuracy without each view
        assert f"{100 * np.mean(row.accuracy):.2f} ± {100 * np.std(row.accuracy, ddof=1):.2f}" in lines[0]
    for view in result.data.view_names:
        assert f"no {view}" in table
    for width in result.sweep:
        assert f"Representation width {width}" in table
    assert "3 folds of 56 train, 16 validation, 8 test samples" in table


def test_the_table_has_no_control_characters_and_keeps_its_width() -> None:
    table = format_report(_result())
    assert "\x1b" not in table
    assert max(map(len, table.splitlines())) <= 150


def test_many_views_with_long_names_are_still_all_named() -> None:
    result = _result(views=12)
    table = format_report(result, width=300)
    for view in result.data.view_names:
        assert f"no {view}" in table


def test_published_figures_stand_beside_a_set_of_the_paper_and_no_other() -> None:
    table = format_report(_result("handwritten"))
    for figure in ("99.20", "87.53", "99.29", "99.40", "97.67"):
        assert figure in table
    assert "Tian et al. 2022, Tables 6 and 7" in table
    assert "Tables 6 and 7" not in format_report(_result("digits"))


def test_the_reference_row_is_not_compared_with_itself() -> None:
    result = _result()
    assert result.against("E+B+MV2D", lambda row: row.accuracy) is None
    assert result.against("no such row", lambda row: row.accuracy) is None
    difference = result.against("E", lambda row: row.accuracy)
    assert difference is not None
    assert difference.mean == pytest.approx(np.mean(result.rows[3].accuracy) - np.mean(result.rows[0].accuracy))
    assert result.test_to_train == 8 / 56


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"splits": 1},
        {"classes": 2},
        {"classes": 14},
        {"views": 1},
        {"views": 1, "width": 1},
        {"classes": 2, "width": 1},
    ],
)
def test_small_and_odd_results_are_drawn_too(options: dict[str, int], tmp_path: Path) -> None:
    for file in write_report(_result(**options), tmp_path):
        assert file.stat().st_size > 0


@pytest.mark.slow
def test_one_split_has_no_interval_in_the_json(tmp_path: Path) -> None:
    write_report(_result(splits=1), tmp_path)
    row = json.loads((tmp_path / "multiview-ablation.json").read_text())["rows"][0]
    assert row["reference_minus_this"]["accuracy"]["low"] is None
    assert row["accuracy"]["deviation"] is None


def test_one_split_has_no_deviation_in_the_table() -> None:
    result = _result(splits=1)
    table = format_report(result)
    assert "±" not in table.split("mean ± sd")[0]
    assert f" {100 * result.rows[0].accuracy[0]:.2f} " in table


@pytest.mark.slow
def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(_result(), tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(_result("other"), tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
