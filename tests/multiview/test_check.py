"""What the verbs on multi-view sets say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from limbeck.errors import InputError
from limbeck.multiview.catalogue import CATALOGUE
from limbeck.multiview.check import check, describe, list_sets
from limbeck.multiview.data import assemble, load, save, stratified_folds

CODES = np.repeat([0, 1, 2], 10)


def _view(features: int = 4) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(30, features)).astype(np.float32)


def _row(text: str, name: str) -> list[str]:
    return next(line for line in text.splitlines() if line.strip().startswith(name)).split()


def _doubts(tmp_path: Path, views: dict[str, Any], folds: Any = None, labels: Any = CODES) -> list[str]:
    folds = stratified_folds(labels, 1) if folds is None else folds
    save(assemble("x", views, labels, class_names=["a", "b", "c"], folds=folds), tmp_path / "x.npz")
    return check(tmp_path / "x.npz")


def test_the_list_names_every_set() -> None:
    text = list_sets()
    for name, entry in CATALOGUE.items():
        assert _row(text, name)[0] == name
        assert str(entry.samples) in text
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize("is_sparse", [False, True])
def test_description_counts(is_sparse: bool) -> None:
    view = _view()
    view[:, 1] = 0
    view[5] = view[6] = view[7]
    view[2:4] = np.nan
    stored = sparse.csr_array(view) if is_sparse else view
    data = assemble("[set]", {"one": stored, "[/b]": _view(9)}, CODES, folds=stratified_folds(CODES, 2))
    text = describe(data)
    assert "[set]: 30 samples, 3 classes of 10 to 10, 2 views" in text
    figures = _row(text, "one")[-7:]
    assert figures[0] == "4"
    assert [figures[1], figures[2]] == [f"{np.nanmin(view):.4g}", f"{np.nanmax(view):.4g}"]
    assert figures[3:] == ["75.0%", "1", "2", "2"]
    assert _row(text, "[/b]")[-7] == "9"
    assert _row(text, "1") == ["1", "21", "6", "3"]
    assert "no folds" in describe(assemble("x", {"v": view}, CODES))


def test_description_of_the_real_set_agrees_with_its_page(shared_set: Callable[[str], Path]) -> None:
    text = describe(load(shared_set("handwritten")))
    assert _row(text, "fou") == ["fou", "76", "0.0001763", "0.7965", "100.0%", "0", "6", "0"]
    assert _row(text, "pix") == ["pix", "240", "0", "6", "60.8%", "0", "6", "0"]
    assert _row(text, "mor") == ["mor", "6", "0", "1.757e+04", "79.7%", "0", "112", "0"]
    assert _row(text, "4") == ["4", "1400", "400", "200"]


def test_a_view_that_every_sample_lacks(tmp_path: Path) -> None:
    views = {"none": np.full((30, 2), np.nan), "v": _view()}
    assert _row(describe(assemble("x", views, CODES)), "none") == ["none", "2", "-", "-", "-", "0", "0", "30"]
    assert _doubts(tmp_path, views) == []


def test_a_clean_set_raises_no_doubt(tmp_path: Path) -> None:
    assert _doubts(tmp_path, {"v": _view(), "w": sparse.csr_array(_view(6))}) == []


def test_every_doubt(tmp_path: Path) -> None:
    view = _view()
    view[:, 3] = 7
    assert _doubts(tmp_path, {"v": view}) == ["view 'v': 1 of 4 columns are constant"]
    wild = _view() * np.float32([1, 1, 1e5, 1])
    assert ["scale the columns" in doubt for doubt in _doubts(tmp_path, {"v": wild})] == [True]
    gone = _view()
    gone[[4, 9]] = np.nan
    assert _doubts(tmp_path, {"v": gone, "w": gone}) == ["2 samples lack every view (first: 4)"]
    doubts = _doubts(tmp_path, {"v": _view()}, np.empty((0, 30), np.int8))
    assert ["no folds are stored" in doubt for doubt in doubts] == [True]
    sorted_codes = np.repeat([0, 1, 2], [15, 10, 5])[None]
    assert _doubts(tmp_path, {"v": _view()}, sorted_codes) == [
        "fold 0: train lacks the classes c",
        "fold 0: validation lacks the classes a",
        "fold 0: test lacks the classes a, b",
    ]
    assert _doubts(tmp_path, {"v": _view()}, np.zeros((1, 30), np.int8)) == [
        "fold 0: validation is empty",
        "fold 0: test is empty",
    ]


def test_twins_across_splits_and_labels(tmp_path: Path) -> None:
    view, other = _view(), _view(3)
    view[11] = view[3]
    assert _doubts(tmp_path, {"v": view, "w": other}) == []  # they differ in w
    other[11] = other[3]
    folds = np.array([np.arange(30) % 3, np.arange(30) // 3 % 3])
    folds[0, 11] = folds[0, 3]
    folds[1, [3, 11]] = [0, 2]
    doubts = _doubts(tmp_path, {"v": view, "w": other}, folds)
    assert len(doubts) == 2
    assert doubts[0] == "1 groups of samples equal in all views have different labels (first: [3, 11])"
    assert doubts[1].startswith("fold 1: 1 of 1 groups")
    assert "samples 3, 11" in doubts[1]


def test_known_twins_of_the_real_set(shared_set: Callable[[str], Path]) -> None:
    doubts = check(shared_set("handwritten"))
    assert any(doubt.startswith("fold 0: 3 of 6 groups") for doubt in doubts)
    assert any("'mor'" in doubt and "scale" in doubt for doubt in doubts)


def test_errors_stay_errors(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"no")
    with pytest.raises(InputError, match="not an NPZ"):
        check(tmp_path / "x.npz")


def test_the_embedded_set_by_name() -> None:
    assert check("digits") == [
        "view 'pixels': 3 of 64 columns are constant",
        "view 'profiles': 2 of 48 columns are constant",
    ]
