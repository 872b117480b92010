"""Named arrays from the files that pandas, scipy.io, NumPy and torch write."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse
import torch

from limbeck import files
from limbeck.arrayfiles import read_array_file
from limbeck.errors import InputError
from limbeck.files import Arrays, file_kind
from limbeck.information.diagnosis import load_view_features
from limbeck.retrieval import load_features
from limbeck.retrieval.files import load_all
from limbeck.tensorfiles import read_tensors

VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2) / 8


def test_npz_and_npy(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", embeddings=VECTORS, who=["a", "b", "a"])
    np.save(tmp_path / "a.npy", VECTORS)
    held = read_array_file(tmp_path / "a.npz")
    np.testing.assert_array_equal(held["embeddings"], VECTORS)
    assert held["who"].tolist() == ["a", "b", "a"]
    np.testing.assert_array_equal(read_array_file(tmp_path / "a.npy")["array"], VECTORS)


def test_what_pandas_writes(tmp_path: Path) -> None:
    table = pd.DataFrame(VECTORS).assign(label=["x, y", "b", "b"], cam=[1, 2, 3], weight=[0.5, 1, 2], code=["007"] * 3)
    table.to_csv(tmp_path / "a.csv")  # with an index, whose column has no name
    held = read_array_file(tmp_path / "a.csv")
    assert set(held) == {"feature", "label", "cam", "weight", "code"}
    np.testing.assert_array_equal(held["feature"], VECTORS)
    assert held["label"].tolist() == ["x, y", "b", "b"]
    assert held["cam"].dtype == np.int64
    assert held["weight"].dtype == np.float64
    assert held["code"][0] == "007"
    pd.DataFrame(VECTORS, columns=["emb_1", "emb_2"]).to_csv(tmp_path / "b.csv", index=False, sep=";")
    np.testing.assert_array_equal(read_array_file(tmp_path / "b.csv")["emb"], VECTORS)


def test_what_scipy_writes(tmp_path: Path) -> None:
    cells = np.array(["ann", "bo", "cy"], object)
    scipy.io.savemat(
        tmp_path / "a.mat", {"f": VECTORS, "label": [1, 2, 3], "name": ["a", "bcd"], "cell": cells, "q": {"f": VECTORS}}
    )
    held = read_array_file(tmp_path / "a.mat")
    np.testing.assert_array_equal(held["f"], VECTORS)
    np.testing.assert_array_equal(held["q_f"], VECTORS)
    assert held["label"].tolist() == [[1, 2, 3]]
    assert held["name"].tolist() == ["a", "bcd"]
    assert held["cell"].ravel().tolist() == ["ann", "bo", "cy"]
    scipy.io.savemat(tmp_path / "b.mat", {"f": VECTORS}, format="4")
    np.testing.assert_array_equal(read_array_file(tmp_path / "b.mat")["f"], VECTORS)


@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_writes(tmp_path: Path, zipped: bool) -> None:
    given = {
        "qf": torch.tensor(VECTORS),
        "half": torch.tensor(VECTORS).bfloat16(),
        "pids": np.array([3, -1, 5]),
        "big": np.array([1, 2], ">i4"),
        "turned": np.asfortranarray(VECTORS),
        "names": np.array(["ann", "bo"]),
        "list": [np.int64(7), np.int64(8)],
        "paths": ["a.png", "b.png"],
        "gallery": {"features": torch.tensor(VECTORS).requires_grad_()},
        "pair": (torch.ones(1), torch.zeros(2)),
        "none": None,
    }
    torch.save(given, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    held = read_array_file(tmp_path / "a.pt")
    for name in ("qf", "half", "turned", "gallery_features"):
        np.testing.assert_array_equal(held[name], VECTORS)
    assert held["pids"].tolist() == [3, -1, 5]
    assert held["big"].tolist() == [1, 2]
    assert held["names"].tolist() == ["ann", "bo"]
    assert held["list"].tolist() == [7, 8]
    assert held["paths"].tolist() == ["a.png", "b.png"]
    assert held["pair_0"].tolist() == [1]
    assert held["pair_1"].tolist() == [0, 0]
    torch.save(torch.tensor(VECTORS), tmp_path / "b.pth")
    assert list(read_array_file(tmp_path / "b.pth")) == ["array"]


class Trap:
    """Would run code where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    torch.save({"f": torch.ones(1), "x": Trap(mark)}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Trap(mark)))
    torch.save({"x": np.array([Trap(mark), None], object)}, tmp_path / "c.pt")
    np.save(tmp_path / "d.npy", np.array([Trap(mark)], object), allow_pickle=True)
    for name in ("a.pt", "b.pt", "c.pt", "d.npy"):
        with pytest.raises(InputError, match=rf"{name}: .*(unpickl|pickled)") as caught:
            read_array_file(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert "weights_only" not in str(caught.value)
    assert not mark.exists()


def test_what_is_refused_names_the_kind_of_file(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(100)}, tmp_path / "cut.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "cut.pt").read_bytes()[:-300])
    (tmp_path / "h.mat").write_bytes(b"MATLAB 7.3 MAT-file" + bytes(600))
    (tmp_path / "e.npz").write_bytes(b"")
    (tmp_path / "x.bin").write_bytes(bytes(range(256)))
    (tmp_path / "bad.csv").write_text("a,b\n1\n", encoding="utf-8")
    (tmp_path / "words.csv").write_text("f0,f1\n1,x\n", encoding="utf-8")
    for name, words in {
        "none.npz": "no such file",
        "h.mat": "v7.3",
        "e.npz": "is empty",
        "x.bin": "give an NPZ, NPY, CSV, MATLAB",
        "bad.csv": "line 2: 1 cells, but the header has 2",
        "words.csv": "'f0' to 'f1' must be numbers",
    }.items():
        with pytest.raises(InputError, match=words):
            read_array_file(tmp_path / name)
    with pytest.raises(InputError):
        read_array_file(tmp_path / "cut.pt")


def test_another_kind_of_file_is_called_what_it_is(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VECTORS)
    scipy.io.savemat(tmp_path / "a.mat", {"f": VECTORS})
    torch.save({"f": torch.ones(2)}, tmp_path / "a.pt")
    (tmp_path / "a.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    kinds = {"a.npy": "NPY", "a.mat": "MATLAB", "a.pt": "PyTorch", "a.csv": "text"}
    assert {name: file_kind(tmp_path / name) for name in kinds} == kinds
    for name, kind in kinds.items():
        with pytest.raises(InputError, match=rf"{name}: is a .*{kind}.*, not an NPZ file"):
            Arrays(tmp_path / name)
        with pytest.raises(InputError, match=rf"{name}: is a .*{kind}.*, not a model; give a folder of") as caught:
            read_tensors(tmp_path / name, format="x", what="model")
        assert "header too large" not in str(caught.value)


# -- files that stand for more than they hold --------------------------------------------------------------------------


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file may stand for a mebibyte instead of a gibibyte."""
    monkeypatch.setattr(files, "UNFOLDED", 2**20)


def npz_with_a_large_member(path: Path) -> Path:
    """16 MiB of zeros in 16 KiB, beside what is wanted."""
    np.savez_compressed(path, unused=np.zeros(2**21), feature=VECTORS, label=[1, 2, 1], z_0=VECTORS, y=[1, 2, 1])
    assert 500 * path.stat().st_size < 2**24
    return path


def test_members_are_read_only_when_asked_for(tmp_path: Path, small_limit: None) -> None:
    file = npz_with_a_large_member(tmp_path / "a.npz")
    held = read_array_file(file)
    assert set(held) == {"unused", "feature", "label", "z_0", "y"}
    np.testing.assert_array_equal(held["feature"], VECTORS)
    assert held["feature"] is held["feature"]
    with pytest.raises(InputError, match=r"a.npz: would take 16 MiB of memory, more than the 1 that a file of"):
        held["unused"]


def test_the_verbs_ask_for_what_they_need(tmp_path: Path, small_limit: None) -> None:
    file = npz_with_a_large_member(tmp_path / "a.npz")
    keys = {"feature": "feature", "identity": "y"}
    assert load_features(file, keys=keys).identity.tolist() == [1, 2, 1]
    assert load_all(file, keys=keys).names == ("unused", "feature", "label", "z_0", "y")
    found = load_view_features(file, keys={"z_0": "z_0", "y": "label"})
    np.testing.assert_array_equal(found.representations[0], VECTORS)
    with pytest.raises(InputError, match="the array 'unused' is not known here"):
        load_view_features(file)


def test_members_add_up(tmp_path: Path, small_limit: None) -> None:
    np.savez_compressed(tmp_path / "a.npz", **{str(place): np.zeros(2**16) for place in range(3)})
    held = Arrays(tmp_path / "a.npz")
    assert held["0"].size == 2**16
    with pytest.raises(InputError, match="would take 1 MiB of memory, more than the 1 that"):
        dict(held)


def test_what_is_not_packed_is_read_whatever_its_size(tmp_path: Path, small_limit: None) -> None:
    values = np.random.default_rng(0).normal(size=2**18)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", values=values)
        np.testing.assert_array_equal(Arrays(tmp_path / "a.npz")["values"], values)


def test_strings_without_letters_are_not_counted_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("y.npy", "w") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<U0", "fortran_order": False, "shape": (10**13,)})
    with pytest.raises(InputError, match=r"y.npy holds 10000000000000 strings without a letter"):
        Arrays(tmp_path / "a.npz")["y"]


def test_a_tensor_that_repeats_itself_is_not_written_out(tmp_path: Path) -> None:
    torch.save({"feature": torch.zeros(1).expand(10**5, 10**5), "y": [1, 2]}, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"a.pt: would take 38,147 MiB of memory"):
        read_array_file(tmp_path / "a.pt")


def test_a_packed_tensor_file_is_measured_before_it_is_read(tmp_path: Path, small_limit: None) -> None:
    torch.save({"feature": torch.zeros(2**22)}, tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, zipfile.ZipFile(tmp_path / "a.pt", "w", 8) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert read_array_file(tmp_path / "plain.pt")["feature"].shape == (2**22,)
    with pytest.raises(InputError, match=r"a.pt: would take 16 MiB of memory"):
        read_array_file(tmp_path / "a.pt")


def test_a_sparse_matrix_is_not_written_out(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"feature": VECTORS, "labels": scipy.sparse.csc_array((10**5, 10**5))})
    with pytest.raises(InputError, match=r"a.mat: would take 76,294 MiB of memory, more than the 1,024 that"):
        read_array_file(tmp_path / "a.mat")
    scipy.io.savemat(tmp_path / "a.mat", {"feature": VECTORS, "labels": scipy.sparse.csc_array([[1.0, 0, 2]])})
    assert read_array_file(tmp_path / "a.mat")["labels"].tolist() == [[1, 0, 2]]


def test_packed_variables_of_matlab_are_measured_before_they_are_read(tmp_path: Path, small_limit: None) -> None:
    cell = np.empty(1, object)
    cell[0] = np.zeros(2**21)
    scipy.io.savemat(tmp_path / "a.mat", {"cell": cell}, do_compression=True)
    with pytest.raises(InputError, match=r"a.mat: would take \d+ MiB of memory, more than the 1 that"):
        read_array_file(tmp_path / "a.mat")
    scipy.io.savemat(tmp_path / "a.mat", {"plain": np.zeros(2**21)})
    assert read_array_file(tmp_path / "a.mat")["plain"].size == 2**21
    scipy.io.savemat(tmp_path / "a.mat", {"f": VECTORS, "g": VECTORS}, do_compression=True)
    np.testing.assert_array_equal(read_array_file(tmp_path / "a.mat")["g"], VECTORS)


def test_a_table_in_one_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a," * (files.LONGEST_LINE // 2 + 1))
    with pytest.raises(InputError, match=r"a.csv: has a line of more than 4,194,304 characters"):
        read_array_file(tmp_path / "a.csv")
    header = ",".join(f"c{place}x" for place in range(100_000))
    (tmp_path / "a.csv").write_text(f"{header}\n{','.join('1' * 100_000)}\n")
    assert len(read_array_file(tmp_path / "a.csv")) == 100_000
    (tmp_path / "a.csv").write_text(f"{header},c7x\n{','.join('1' * 100_001)}\n")
    with pytest.raises(InputError, match="the column 'c7x' stands twice"):
        read_array_file(tmp_path / "a.csv")


def test_one_long_word_does_not_make_all_of_them_long(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("label\n" + "x" * 100_000 + "\n" + "y\n" * 20_000)
    with pytest.raises(InputError, match=r"a.csv: would take 7,63\d MiB of memory"):
        read_array_file(tmp_path / "a.csv")
    torch.save({"label": ["x" * 100_000, *["y"] * 20_000]}, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"a.pt: would take 7,63\d MiB of memory"):
        read_array_file(tmp_path / "a.pt")


def test_whole_numbers_beyond_int64_stay_apart(tmp_path: Path) -> None:
    digits = "9" * 5000
    (tmp_path / "a.csv").write_text(f"pid,f0,f1\n12345678901234567890,1,2\n12345678901234567891,3,4\n{digits},5,6\n")
    found = load_features(tmp_path / "a.csv")
    assert found.names == ("12345678901234567890", "12345678901234567891", digits)
    assert len(set(found.identity.tolist())) == 3
