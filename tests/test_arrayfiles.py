"""Named arrays from the files that pandas, scipy.io, NumPy and torch write."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io
import torch

from limbeck.arrayfiles import read_array_file
from limbeck.errors import InputError
from limbeck.files import file_kind, read_arrays
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
        if kind != "PyTorch":
            with pytest.raises(InputError, match=rf"{name}: is a .*{kind}.*, not an NPZ file"):
                read_arrays(tmp_path / name)
        with pytest.raises(InputError, match=rf"{name}: is a .*{kind}.*, not a model; give a folder of") as caught:
            read_tensors(tmp_path / name, format="x", what="model")
        assert "header too large" not in str(caught.value)
