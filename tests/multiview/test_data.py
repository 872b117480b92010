"""Multi-view sets: reading and writing NPZ files, refusing bad ones, splitting."""

import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from limbeck.errors import InputError
from limbeck.multiview.data import MultiViewData, assemble, load, missing_rows, save, stratified_folds

CODES = np.repeat([0, 1, 2], 10)


def _arrays() -> dict[str, Any]:
    generator = np.random.default_rng(0)
    return {
        "view_0": generator.normal(size=(30, 4)).astype(np.float32),
        "view_1": generator.normal(size=(30, 7)).astype(np.float32),
        "y": CODES.copy(),
        "view_names": np.array(["left", "right"]),
        "splits": stratified_folds(CODES, 2),
    }


def _written(path: Path, **changes: Any) -> Path:
    arrays = _arrays() | changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def _refused(path: Path, *parts: str) -> None:
    """`load` refuses `path` in one line that names the file and holds `parts`."""
    with pytest.raises(InputError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(path), *parts):
        assert part in message


def _same(one: MultiViewData, other: MultiViewData) -> None:
    assert (one.name, one.view_names, one.class_names) == (other.name, other.view_names, other.class_names)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.folds, other.folds)
    for a, b in zip(one.views.values(), other.views.values(), strict=True):
        assert sparse.issparse(a) == sparse.issparse(b)
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_array_equal(
            a.toarray() if sparse.issparse(a) else a, b.toarray() if sparse.issparse(b) else b
        )


def test_round_trip_with_sparse_and_missing(tmp_path: Path) -> None:
    arrays = _arrays()
    arrays["view_0"][3] = np.nan
    words = sparse.random_array((30, 50), density=0.1, rng=np.random.default_rng(1))
    data = assemble(
        "set é",
        {"left": arrays["view_0"], "words": words, "right": arrays["view_1"].astype(np.float64)},
        arrays["y"],
        class_names=["a", "b", "ç"],
        folds=arrays["splits"],
    )
    assert (data.samples, data.classes, data.view_names) == (30, 3, ("left", "words", "right"))
    assert sparse.issparse(data.views["words"])
    assert list(np.flatnonzero(missing_rows(data.views["left"]))) == [3]
    save(data, tmp_path / "set.npz")
    _same(load(tmp_path / "set.npz"), data)
    assert [p.name for p in tmp_path.iterdir()] == ["set.npz"]


def test_loads_plain_savez_and_casts(tmp_path: Path) -> None:
    arrays = _arrays()
    path = _written(
        tmp_path / "plain.npz",
        view_0=np.asfortranarray(arrays["view_0"].astype(np.float16)),
        view_1=np.arange(210).reshape(30, 7),
        splits=None,
    )
    data = load(str(path))
    assert data.name == "plain"
    assert data.class_names == ("0", "1", "2")
    assert data.folds.shape == (0, 30)
    np.testing.assert_array_equal(data.views["left"], arrays["view_0"].astype(np.float16).astype(np.float32))
    assert data.views["right"].dtype == np.float32
    data.views["left"][0] = 0  # the arrays are the caller's own


def test_splits_of_folds(tmp_path: Path) -> None:
    data = load(_written(tmp_path / "a.npz"))
    for fold in range(2):
        splits = [data.split(name, fold) for name in ("train", "validation", "test")]
        assert [len(split) for split in splits] == [21, 6, 3]
        assert sorted(np.concatenate(splits)) == list(range(30))
        np.testing.assert_array_equal(data.split(1, fold), splits[1])
    with pytest.raises(InputError, match="no fold 2; this set stores folds 0 to 1"):
        data.split("train", 2)
    with pytest.raises(InputError, match="no split 'val'"):
        data.split("val")
    with pytest.raises(InputError, match="no split 3"):
        data.split(3)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"y": None}, ("'y'", "missing")),
        ({"view_0": None}, ("view_0",)),
        ({"view_1": None, "view_2": np.ones((30, 2))}, ("view_2",)),
        ({"view_names": None}, ("view_names",)),
        ({"view_names": np.array(["a", "a"])}, ("view_names",)),
        ({"view_names": np.array(["a"])}, ("view_names",)),
        ({"view_1": np.ones((29, 3))}, ("'right'", "29 rows for 30 labels")),
        ({"view_1": np.ones(30)}, ("'right'", "(samples, features)")),
        ({"view_1": np.ones((30, 3), complex)}, ("'right'", "complex")),
        ({"view_1": np.full((30, 3), "x")}, ("'right'",)),
        ({"view_1": np.full((30, 3), 1e39)}, ("'right'", "row 0", "float32")),
        ({"y": CODES + 1}, ("from 1 to 3", "convert")),
        ({"y": CODES * 2}, ("from 0 to 4", "convert")),
        ({"y": CODES * 1.0}, ("float64", "convert")),
        ({"y": CODES.astype(str)}, ("convert",)),
        ({"y": CODES * 0}, ("at least two classes",)),
        ({"y": CODES[:, None]}, ("shape (30, 1)",)),
        ({"y": CODES[:0], "view_0": np.ones((0, 2)), "view_1": np.ones((0, 2))}, ("no samples",)),
        ({"splits": np.zeros((2, 29), np.int8)}, ("'splits'", "(folds, 30)")),
        ({"splits": np.full((2, 30), 3)}, ("'splits'", "0 train")),
        ({"splits": np.full((2, 30), 256)}, ("'splits'", "0 train")),
        ({"class_names": np.array(["a", "b"])}, ("2 class names",)),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], parts: tuple[str, ...]) -> None:
    _refused(_written(tmp_path / "bad.npz", **changes), *parts)


@pytest.mark.parametrize("is_sparse", [False, True])
def test_partly_nan_and_infinite_rows_are_refused_by_row(tmp_path: Path, is_sparse: bool) -> None:
    for value, says in ((np.nan, "row 5: NaN in part"), (np.inf, "row 5: infinite"), (-np.inf, "row 5: infinite")):
        view = np.ones((30, 4), np.float32)
        view[2] = np.nan  # a missing view is no reason
        view[5, 1] = view[9, 0] = value
        with pytest.raises(InputError, match=f"^here: view 'v', {says}"):
            assemble("x", {"v": sparse.csr_array(view) if is_sparse else view}, CODES, origin="here")
    view = np.ones((30, 4), np.float32)
    view[2] = np.nan
    data = assemble("x", {"v": sparse.csr_array(view) if is_sparse else view}, CODES)
    assert list(np.flatnonzero(missing_rows(data.views["v"]))) == [2]


def test_absent_file_folder_and_unknown_name(tmp_path: Path) -> None:
    _refused(tmp_path / "none.npz", "no such file", "digits")
    _refused(tmp_path, "folder")
    with pytest.raises(InputError, match=r"^handwriten: no such file"):
        load("handwriten")


def test_every_truncation_and_every_flipped_byte_is_refused_or_harmless(tmp_path: Path) -> None:
    whole = _written(tmp_path / "whole.npz").read_bytes()
    good = load(tmp_path / "whole.npz")
    path = tmp_path / "damaged.npz"
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        _refused(path)
    for place in range(0, len(whole), 13):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            data = load(path)
        except InputError as error:
            assert str(path) in str(error)  # noqa: PT017 - either answer is right
        else:  # a byte of the zip's own book-keeping that changes no value
            np.testing.assert_array_equal(data.views["left"], good.views["left"])
            np.testing.assert_array_equal(data.labels, good.labels)


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("exploded"),))


def test_pickles_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("object.npz", **(_arrays() | {"y": np.array([_Bomb()] * 30, dtype=object)}))
    _refused(Path("object.npz"), "y.npy", "pickled")
    np.save("array.npy", np.ones(3))
    _refused(Path("array.npy"), "not an NPZ")
    Path("plain.npz").write_bytes(pickle.dumps(_Bomb()))
    _refused(Path("plain.npz"), "not an NPZ")
    with zipfile.ZipFile("inside.npz", "w") as archive:
        for name in ("view_0", "y"):
            archive.writestr(f"{name}.npy", pickle.dumps(_Bomb()))
    _refused(Path("inside.npz"), "damaged")
    assert not Path("exploded").exists()


def test_a_header_that_lies_about_its_shape_costs_nothing(tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000000000000), }"
    header = header.ljust(117) + b"\n"
    path = tmp_path / "huge.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("view_0", "y"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    _refused(path, "view_0.npy")


@pytest.mark.parametrize(
    "changes",
    [
        {"view_0_indices": np.array([0, 99])},
        {"view_0_indptr": np.array([0, 1])},
        {"view_0_shape": np.array([30])},
        {"view_0_shape": np.array([30.5, 4])},
        {"view_0_indices": np.array([0.5, 3])},
        {"view_0_indptr": np.minimum(np.arange(31), 2) + 1j},
        {"view_0_shape": None},
    ],
)
def test_invalid_csr_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    parts = {
        "view_0": None,
        "view_0_data": np.ones(2),
        "view_0_indices": np.array([0, 3]),
        "view_0_indptr": np.minimum(np.arange(31), 2),
        "view_0_shape": np.array([30, 4]),
    }
    assert load(_written(tmp_path / "good.npz", **parts)).views["left"].shape == (30, 4)
    _refused(_written(tmp_path / "bad.npz", **(parts | changes)), "view_0")


def test_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """In a process that may not write files beyond 20 kB, saving fails half-way through the file."""
    path = _written(tmp_path / "set.npz")
    before = path.read_bytes()
    code = """if True:
        import resource, signal, sys
        import numpy as np
        from limbeck.multiview.data import assemble, save
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        view = np.random.default_rng(0).normal(size=(200, 500))
        try:
            save(assemble("big", {"v": view}, np.arange(200) % 2), sys.argv[1])
        except OSError as error:
            sys.exit(7)
    """
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code, str(path)], env=environment, check=False, timeout=120)
    assert done.returncode == 7
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["set.npz"]


def test_save_refuses_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder"):
        save(load(_written(tmp_path / "a.npz")), tmp_path)


@pytest.mark.parametrize("name", ["handwritten", "leaves100", "caltech101_20", "caltech101_102"])
def test_fold_counts_equal_the_stored_ones(shared_set: Callable[[str], Path], name: str) -> None:
    with np.load(shared_set(name), allow_pickle=False) as stored:
        labels, splits = stored["y"], stored["splits"]
    ours = stratified_folds(labels, len(splits))
    for mine, theirs in zip(ours, splits, strict=True):
        for code in range(3):
            np.testing.assert_array_equal(np.bincount(labels[mine == code]), np.bincount(labels[theirs == code]))


def test_real_sets_load(shared_set: Callable[[str], Path]) -> None:
    data = load(shared_set("handwritten"))
    assert [view.shape[1] for view in data.views.values()] == [76, 216, 64, 240, 47, 6]
    assert (data.samples, data.classes, data.folds.shape) == (2000, 10, (5, 2000))


@pytest.mark.parametrize(
    ("size", "counts"), [(2, [1, 0, 1]), (3, [2, 0, 1]), (4, [2, 1, 1]), (10, [7, 2, 1]), (16, [11, 3, 2])]
)
def test_fold_counts_of_one_class(size: int, counts: list[int]) -> None:
    codes = stratified_folds(["a"] * size + ["b"] * size, 3)
    for fold in codes:
        assert np.bincount(fold[:size], minlength=3).tolist() == counts


def test_splits_depend_on_seed_and_index_only() -> None:
    labels = np.arange(200) % 4
    five = stratified_folds(labels, 5, seed=3)
    np.testing.assert_array_equal(stratified_folds(labels, 2, seed=3), five[:2])
    assert (five[0] != five[1]).any()
    assert (stratified_folds(labels, 1, seed=4) != five[:1]).any()
    halves = stratified_folds(labels, 1, fractions=(0.5, 0.0, 0.5))
    assert np.bincount(halves[0], minlength=3).tolist() == [100, 0, 100]


def test_folds_refuse_what_cannot_be_split() -> None:
    with pytest.raises(InputError, match="class 7 has one sample"):
        stratified_folds([0, 0, 7])
    with pytest.raises(InputError, match="fractions"):
        stratified_folds([0, 0, 1, 1], fractions=(0.7, 0.2, 0.2))
    with pytest.raises(InputError, match="fractions"):
        stratified_folds([0, 0, 1, 1], fractions=(1.0, 0.0, 0.0))
    with pytest.raises(InputError, match="folds"):
        stratified_folds([0, 0, 1, 1], 0)
    with pytest.raises(InputError, match="labels"):
        stratified_folds([])


def test_arrays_that_are_not_asked_for_are_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **_arrays())
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("photographs.npy", b"no array")
    load(tmp_path / "a.npz")


def test_a_sparse_view_of_more_columns_than_memory_is_refused(tmp_path: Path) -> None:
    arrays = _arrays()
    samples = len(arrays["y"])
    parts = {"data": [1.0], "indices": [5], "indptr": [0, *[1] * samples], "shape": [samples, 10**12]}
    given = {key: value for key, value in arrays.items() if not key.startswith("view_")}
    given |= {f"view_0_{part}": np.array(value) for part, value in parts.items()} | {"view_names": np.array(["wide"])}
    np.savez(tmp_path / "a.npz", **given)
    with pytest.raises(InputError, match=r"view 'wide' has 1,000,000,000,000 columns, more than the 134,217,728 that"):
        load(tmp_path / "a.npz")


def test_sparse_numbers_of_half_precision_are_read(tmp_path: Path) -> None:
    parts = {
        "view_0": None,
        "view_0_data": np.array([0.5, 2], np.float16),
        "view_0_indices": np.array([0, 3]),
        "view_0_indptr": np.minimum(np.arange(31), 2),
        "view_0_shape": np.array([30, 4]),
    }
    view = load(_written(tmp_path / "half.npz", **parts)).views["left"]
    assert (view.dtype, view.data.tolist()) == (np.float32, [0.5, 2])
