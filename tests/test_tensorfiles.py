"""Tensors in a file: every kind comes back, safetensors itself reads them, damage is told in one line."""

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from limbeck.errors import InputError
from limbeck.tensorfiles import read_tensors, write_tensors

KINDS = ["float64", "float32", "float16", "bfloat16", "complex64", "int64", "int32", "int16", "int8", "uint8", "bool"]
TENSORS = {f"a {kind}": torch.arange(6).reshape(2, 3).to(getattr(torch, kind)) for kind in KINDS} | {
    "single": torch.tensor(2.5, dtype=torch.bfloat16),
    "empty": torch.zeros(0, 4),
    "turned": torch.arange(6.0).reshape(2, 3).T,
    "last": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
    "odd": torch.ones(7, dtype=torch.uint8),
}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    write_tensors(path, TENSORS, {"values": np.arange(3), "nan": float("nan")}, format="test-1")
    return path


def test_every_kind_of_tensor_comes_back(written: Path) -> None:
    description, found = read_tensors(written, format="test-1", what="test")
    assert description["values"] == [0, 1, 2]
    assert list(description) == ["values", "nan"]
    for tensors in (found, load_file(written)):
        assert tensors.keys() == TENSORS.keys()
        for name, tensor in TENSORS.items():
            assert tensors[name].dtype == tensor.dtype
            assert torch.equal(tensors[name], tensor)


def test_the_same_content_is_the_same_bytes_in_any_order(written: Path, tmp_path: Path) -> None:
    turned = dict(reversed(TENSORS.items()))
    write_tensors(tmp_path / "other", turned, {"values": np.arange(3), "nan": float("nan")}, format="test-1")
    assert (tmp_path / "other").read_bytes() == written.read_bytes()


def test_tensors_that_share_memory_are_each_written(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    write_tensors(tmp_path / "file", {"whole": whole, "part": whole[2:4], "tied": whole}, {}, format="test-1")
    _, found = read_tensors(tmp_path / "file", format="test-1", what="test")
    assert torch.equal(found["part"], whole[2:4])
    assert torch.equal(found["tied"], whole)


def test_a_file_of_the_first_version_is_read(tmp_path: Path) -> None:
    """As limbeck 0.1.0 wrote its models: safetensors' own writer, the checksum by way of NumPy."""
    tensors = {"weight": torch.rand(2, 3), "count": torch.tensor(3)}
    description = {"format": "test-1", "note": "é"}
    digest = hashlib.sha256(json.dumps(description).encode())
    for name in sorted(tensors):
        array = tensors[name].numpy()
        digest.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode())
        digest.update(array.tobytes())
    content = json.dumps(description | {"sha256": digest.hexdigest()})
    save_file(tensors, tmp_path / "file", {"limbeck": content})
    found = read_tensors(tmp_path / "file", format="test-1", what="test")
    assert found[0] == {"note": "é"}
    assert torch.equal(found[1]["weight"], tensors["weight"])


def _refused(path: Path, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_tensors(path, format="test-1", what="test file")
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_what_cannot_be_read_is_told_in_one_line(written: Path, tmp_path: Path) -> None:
    content = written.read_bytes()
    _refused(tmp_path / "absent", "no such file")
    _refused(tmp_path, "no such file")
    for place in (3, 30, 400, len(content) - 1):
        written.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        _refused(written, "not a test file, or damaged")
        written.write_bytes(content[:place])
        _refused(written, "not a test file, or damaged")
    write_tensors(written, {}, {}, format="test-2")
    _refused(written, r"another version of limbeck \(test-2\)")


def test_what_cannot_be_written_is_an_error_and_leaves_the_old_file(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = written.read_bytes()
    with pytest.raises(ValueError, match="sha256"):
        write_tensors(written, {}, {"sha256": ""}, format="test-1")
    with pytest.raises(TypeError, match="cannot be saved"):
        write_tensors(written, {}, {"object": object()}, format="test-1")
    with pytest.raises(TypeError, match="'wide' is complex128"):
        write_tensors(written, {"wide": torch.ones(1, dtype=torch.complex128)}, {}, format="test-1")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_tensors(written, TENSORS, {}, format="test-1")
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == ["file"]
