"""Conversion from the files that the field passes round."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import io, sparse

from limbeck.errors import InputError
from limbeck.files import LONGEST_LINE
from limbeck.multiview.convert import convert
from limbeck.multiview.data import load, missing_rows

CODES = np.repeat([0, 1, 2], 10)


def _views(*features: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.normal(size=(30, count)) for count in features]


def _cell(items: list[Any], column: bool = False) -> np.ndarray:
    cell = np.empty(len(items), object)
    cell[:] = items
    return cell.reshape((-1, 1) if column else (1, -1))


def _mat(tmp_path: Path, content: dict[str, Any]) -> Path:
    path = tmp_path / "set.mat"
    io.savemat(path, content)
    return path


@pytest.mark.parametrize(("views_key", "labels_key"), [("X", "Y"), ("fea", "gt"), ("data", "gnd"), ("Views", "label")])
@pytest.mark.parametrize("turned", [False, True])
def test_mat_with_a_cell_of_views(tmp_path: Path, views_key: str, labels_key: str, turned: bool) -> None:
    views = _views(4, 30, 7)  # the second is square: it goes with the others
    stored = [view.T if turned else view for view in views]
    path = _mat(tmp_path, {views_key: _cell(stored, column=turned), labels_key: CODES[:, None] + 1})
    data = convert(path, tmp_path / "set.npz")
    assert (data.name, data.class_names) == ("set", ("1", "2", "3"))
    np.testing.assert_array_equal(data.labels, CODES)
    for name, view in zip(data.view_names, views, strict=True):
        np.testing.assert_allclose(data.views[name], view, rtol=1e-6)
    assert data.folds.shape == (5, 30)
    again = load(tmp_path / "set.npz")
    np.testing.assert_array_equal(again.views["view_1"], data.views["view_1"])


def test_mat_with_numbered_matrices_sparse_views_and_names(tmp_path: Path) -> None:
    views = _views(4, 5)
    words = sparse.random_array((9, 30), density=0.3, rng=np.random.default_rng(1))
    content = {"X10": sparse.csc_array(words), "X1": views[0], "X2": views[1], "gt": CODES * 1.0, "note": "text"}
    data = convert(_mat(tmp_path, content), tmp_path / "o.npz", folds=2, seed=9, name="three")
    assert (data.name, data.view_names, data.folds.shape) == ("three", ("X1", "X2", "X10"), (2, 30))
    np.testing.assert_allclose(data.views["X10"].toarray(), words.toarray().T, rtol=1e-6)
    named = convert(_mat(tmp_path, content), tmp_path / "o.npz", view_names=["a", "b", "c"])
    assert named.view_names == ("a", "b", "c")
    with pytest.raises(InputError, match="as many different view_names"):
        convert(_mat(tmp_path, content), tmp_path / "o.npz", view_names=["a", "b"])


def test_mat_with_strings_and_chosen_keys(tmp_path: Path) -> None:
    views = _views(4, 5)
    names = np.array(["cat", "dog", "emu"])[CODES]
    content = {"colour": views[0], "shape": views[1].T, "kind": _cell(list(names)), "kind2": names}
    path = _mat(tmp_path, content)
    with pytest.raises(InputError, match=r"no labels found among colour, shape, kind, kind2; .*labels_key"):
        convert(path, tmp_path / "o.npz")
    for key in ("kind", "kind2"):
        data = convert(path, tmp_path / "o.npz", views_key=["colour", "shape"], labels_key=key)
        assert data.class_names == ("cat", "dog", "emu")
        assert data.view_names == ("colour", "shape")
        np.testing.assert_array_equal(data.labels, CODES)
    assert convert(path, tmp_path / "o.npz", views_key="shape", labels_key="kind").view_names == ("shape",)
    with pytest.raises(InputError, match="no 'size'; views_key"):
        convert(path, tmp_path / "o.npz", views_key="size", labels_key="kind")
    with pytest.raises(InputError, match="'kind2' is not a matrix"):
        convert(path, tmp_path / "o.npz", views_key="kind2", labels_key="kind")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"Y": CODES}, "no views found"),
        ({"X": _cell(_views(4, 5)), "Y": CODES[:29]}, r"'view_0' is 30 x 4, but there are 29 labels"),
        ({"X": _cell(_views(4)), "Y": np.eye(30)[:, :3]}, r"'Y' has shape \(30, 3\)"),
        ({"X": _cell(_views(4)), "Y": np.where(CODES == 1, np.nan, CODES)}, "label 10 is NaN"),
        ({"X": _cell(_views(4)), "Y": CODES * 0}, "at least two classes"),
        ({"X": _cell(_views(4)), "Y": np.r_[CODES[:-1], 9]}, "class 9 has one sample"),
        ({"A": _cell(_views(4)), "B": _cell(_views(5)), "Y": CODES}, "several cell arrays"),
        ({"X": _cell([np.full((30, 2), np.inf)]), "Y": CODES}, "view 'view_0', row 0: infinite"),
    ],
)
def test_mat_that_does_not_fit(tmp_path: Path, content: dict[str, Any], says: str) -> None:
    path = _mat(tmp_path, content)
    with pytest.raises(InputError, match=says) as caught:
        convert(path, tmp_path / "o.npz")
    assert str(path) in str(caught.value)
    assert not (tmp_path / "o.npz").exists()


def test_damaged_and_newer_mat_files(tmp_path: Path) -> None:
    path = _mat(tmp_path, {"X": _cell(_views(4, 5)), "Y": CODES})
    whole = path.read_bytes()
    for length in (0, 3, 100, 130, 200, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"set\.mat"):
            convert(path, tmp_path / "o.npz")
    for body in (b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n"):
        path.write_bytes(body)
        with pytest.raises(InputError, match=r"v7\.3 \(HDF5\).*-v7"):
            convert(path, tmp_path / "o.npz")
    for place in range(0, len(whole), 37):  # scipy meets every damaged byte; we answer in one line or read on
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            convert(path, tmp_path / "o.npz")
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either answer is right


def test_npz_of_other_people(tmp_path: Path) -> None:
    views = _views(4, 5)
    path = tmp_path / "theirs.npz"
    names = np.array(["b", "a", "c"])[CODES]
    np.savez(path, X1=views[0].astype(np.float16), X2=views[1].T, labels=names)
    data = convert(path, tmp_path / "ours.npz")
    assert (data.view_names, data.class_names) == (("X1", "X2"), ("a", "b", "c"))
    assert data.labels[[0, 10, 20]].tolist() == [1, 0, 2]
    np.savez(path, X=views[0], y=CODES)
    assert convert(path, tmp_path / "ours.npz").view_names == ("X",)


def test_our_own_npz_keeps_names_splits_and_sparsity(tmp_path: Path) -> None:
    words = sparse.csr_array(np.eye(30)[:, :6])
    path = tmp_path / "x.npz"
    splits = np.tile(np.r_[0, 0, 0, 1, 2], 6)[None]
    np.savez(
        path,
        view_0=_views(4)[0],
        view_1_data=words.data,
        view_1_indices=words.indices,
        view_1_indptr=words.indptr,
        view_1_shape=words.shape,
        view_names=["dense", "words"],
        class_names=["p", "q", "r"],
        splits=splits,
        y=CODES,
    )
    data = convert(path, tmp_path / "y.npz")
    assert (data.view_names, data.class_names) == (("dense", "words"), ("p", "q", "r"))
    assert sparse.issparse(data.views["words"])
    np.testing.assert_array_equal(data.folds, splits)
    np.savez(tmp_path / "bad.npz", **{**np.load(path), "view_1_indptr": words.indptr + 0.5})
    with pytest.raises(InputError, match=r"bad\.npz: view_1_indptr is float64; it must be whole numbers"):
        convert(tmp_path / "bad.npz", tmp_path / "z.npz")


def test_npz_pickles_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.array([{}], object), y=CODES)
    with pytest.raises(InputError, match="pickled"):
        convert(tmp_path / "a.npz", tmp_path / "b.npz")


def _csv(tmp_path: Path, mark: str = ":", delimiter: str = ",") -> Path:
    names = [f"left{mark}a", "kind", f"left{mark}b", f"right{mark}{'x' if mark == ':' else 'x.y'}"]
    lines = [delimiter.join(names)]
    for index, code in enumerate(CODES):
        right = "" if index == 4 else str(index / 8)
        lines.append(delimiter.join([str(index), str(code + 9), "1e-3", right]))
    path = tmp_path / "table.csv"
    path.write_text("\ufeff" + "\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(("mark", "delimiter"), [(":", ","), (".", ","), (":", ";"), (":", "\t")])
def test_csv(tmp_path: Path, mark: str, delimiter: str) -> None:
    data = convert(_csv(tmp_path, mark, delimiter), tmp_path / "o.npz", labels_key="kind")
    assert data.class_names == ("9", "10", "11")  # by number, not by spelling
    np.testing.assert_array_equal(data.labels, CODES)
    assert {name: view.shape for name, view in data.views.items()} == {"left": (30, 2), "right": (30, 1)}
    np.testing.assert_array_equal(data.views["left"][:, 0], np.arange(30))
    assert np.flatnonzero(missing_rows(data.views["right"])).tolist() == [4]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no samples"),
        ("label,v:a\n", "no samples"),
        ("kind,v:a\na,1\n", "no label column; name it"),
        ("label,v:a,age\na,1,2\n", "column 'age' belongs to no view"),
        ("label,v:a,v:a\na,1,2\n", "twice"),
        ("label\na\n", "no feature columns"),
        ("label,v:a\na,1\nb\n", "line 3: 1 cells, but the header has 2"),
        ("label,v:a\na,1\nb,x\n", "row 1: 'a' is 'x', not a number"),
        ("label,v:a\na,1\n,2\n", "line 3: the label is empty"),
        ("label,v:a\na,1\na,2\nb,3\n", "class b has one sample"),
        ("label,v:a\na,1\na,2\n", "at least two classes"),
        (b"label,v:\xff\na,1\n", "UTF-8"),
    ],
)
def test_csv_that_does_not_fit(tmp_path: Path, text: str | bytes, says: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=says) as caught:
        convert(path, tmp_path / "o.npz")
    assert str(path) in str(caught.value)
    assert not (tmp_path / "o.npz").exists()


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        convert(tmp_path / "a.mat", tmp_path / "o.npz")
    (tmp_path / "a.xlsx").touch()
    with pytest.raises(InputError, match=r"'\.xlsx' tells no known kind"):
        convert(tmp_path / "a.xlsx", tmp_path / "o.npz")
    with pytest.raises(InputError, match="views_key is for"):
        convert(_csv(tmp_path), tmp_path / "o.npz", views_key="X")


def test_the_real_set_through_a_mat_file(tmp_path: Path, shared_set: Callable[[str], Path]) -> None:
    real = load(shared_set("handwritten"))
    cell = _cell([view.T.astype(np.float64) for view in real.views.values()])
    path = _mat(tmp_path, {"X": cell, "Y": real.labels[None] + 1})
    data = convert(path, tmp_path / "o.npz", view_names=real.view_names)
    for name, view in real.views.items():
        np.testing.assert_array_equal(data.views[name], view)
    np.testing.assert_array_equal(data.labels, real.labels)


def test_sparse_labels_are_a_row_or_column(tmp_path: Path) -> None:
    wide = sparse.csc_array((10**5, 10**5))
    with pytest.raises(InputError, match=r"'Y' has shape \(100000, 100000\); labels must be one row or column"):
        convert(_mat(tmp_path, {"X1": _views(3)[0], "Y": wide}), tmp_path / "o.npz")
    data = convert(_mat(tmp_path, {"X1": _views(3)[0], "Y": sparse.csc_array(CODES[:, None])}), tmp_path / "o.npz")
    np.testing.assert_array_equal(data.labels, CODES)


def test_a_table_in_one_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a," * (LONGEST_LINE // 2 + 1))
    with pytest.raises(InputError, match=r"a.csv: has a line of more than 4,194,304 characters"):
        convert(path, tmp_path / "o.npz")


def test_large_whole_labels_stay_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("label,v:a\n" + "".join(f"1234567890123456{digit},{digit}\n" for digit in (7, 8, 7, 8)))
    assert convert(path, tmp_path / "o.npz").class_names == ("12345678901234567", "12345678901234568")
