"""MATLAB files whose parts scipy would take on trust are refused; those that MATLAB and scipy write are not."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from limbeck.arrayfiles import read_array_file
from limbeck.errors import InputError
from limbeck.matfiles import check_matlab

EVERYTHING = {
    "numbers": np.arange(12.0).reshape(3, 4),
    "complex": np.array([1 + 2j]),
    "text": "some words",
    "cells": np.array(["ab", np.eye(2), np.array([1, 2])], object),
    "one": {"x": 1, "inner": {"y": np.eye(3)}},
    "sparse": scipy.sparse.csc_array([[1.0, 0, 2], [0, 0, 3]]),
    "small": np.array([[7]], np.uint8),
}


def check(path: Path) -> int:
    """Bytes that were unpacked."""
    found = [0]
    check_matlab(path, found.append)
    return found[-1]


def part(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(kind: int, *parts: bytes, dimensions: tuple[int, ...] = (1, 1), flags: int = 0) -> bytes:
    heading = part(6, struct.pack("<II", kind | flags, 0))
    sizes = part(5, struct.pack(f"<{len(dimensions)}i", *dimensions))
    return part(14, heading + sizes + part(1, b"name") + b"".join(parts))


def write(path: Path, *variables: bytes) -> Path:
    path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + b"".join(variables))
    return path


NUMBER = part(9, struct.pack("<d", 3.0))
CELL = matrix(6, NUMBER)


@pytest.mark.parametrize("packed", [False, True])
def test_what_scipy_writes_is_let_through(packed: bool, tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", EVERYTHING, do_compression=packed)
    assert (check(tmp_path / "a.mat") > 0) == packed
    assert read_array_file(tmp_path / "a.mat")["sparse"].tolist() == [[1, 0, 2], [0, 0, 3]]


@pytest.mark.filterwarnings("ignore")
def test_what_matlab_wrote_is_let_through() -> None:
    """As far as scipy reads it: some of the files are bad on purpose."""
    folder = Path(scipy.io.__file__).parent / "matlab" / "tests" / "data"
    files = sorted(folder.glob("test*_[67]*.mat"))
    if not files:
        pytest.skip("this scipy comes without its tests")
    for file in files:
        try:
            scipy.io.loadmat(file)
        except Exception:
            continue
        check(file)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (matrix(6, part(50, b"12345678")), "a part of kind 50 stands where numbers should"),
        (matrix(40, NUMBER), "a matrix of class 40"),
        (matrix(6, NUMBER, flags=0x800), "longer than what holds it"),
        (matrix(4, NUMBER), "a part of kind 9 stands where characters should"),
        (matrix(1, CELL, dimensions=(2**30, 2**30)), "longer than what holds it"),
        (matrix(1, NUMBER), "a part of kind 9 stands where a matrix is expected"),
        (matrix(1, part(14, CELL[8:] + NUMBER)), "a cell is shorter than it says"),
        (matrix(6, NUMBER, dimensions=(-1, 1)), r"a matrix of dimensions \[-1, 1\]"),
        (matrix(6, NUMBER, dimensions=(1,) * 33), "132 bytes stands where dimensions should"),
        (matrix(2, part(5, struct.pack("<i", 0)), part(1, b"abc")), "names of fields of 0 characters in 3"),
        (matrix(6, struct.pack("<HH", 9, 5) + b"1234"), "a short part of 5 bytes"),
        (part(9, b"12345678"), "a part of kind 9 stands where a matrix is expected"),
        (matrix(6, NUMBER)[:-4], "longer than the file"),
        (struct.pack("<II", 15, 3) + b"abc", "Error -3"),
        (part(15, zlib.compress(matrix(6, NUMBER)[:-8])), "cut off"),
    ],
)
def test_what_would_be_taken_on_trust_is_refused(variable: bytes, expected: str, tmp_path: Path) -> None:
    file = write(tmp_path / "a.mat", variable)
    with pytest.raises((ValueError, zlib.error), match=expected):
        check(file)
    with pytest.raises(InputError, match=r"a\.mat: not a MATLAB file, or a damaged or cut-off one"):
        read_array_file(file)


def test_cells_in_cells_without_end_are_refused(tmp_path: Path) -> None:
    cell = CELL
    for _ in range(60):
        cell = matrix(1, cell)
    check(write(tmp_path / "a.mat", cell))
    for _ in range(10):
        cell = matrix(1, cell)
    with pytest.raises(ValueError, match="more than 64 cells"):
        check(write(tmp_path / "a.mat", cell))


def test_a_heading_without_the_order_of_bytes_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "a.mat", CELL)
    file.write_bytes(file.read_bytes().replace(b"IM", b"XX"))
    with pytest.raises(ValueError, match="order of bytes"):
        check(file)


@pytest.mark.parametrize(("rows", "columns"), [([0, 9], [0, 1, 1, 2]), ([0, -1], [0, 1, 1, 2]), ([0, 1], [0, 9, 1, 2])])
def test_places_beside_a_sparse_matrix_are_refused(rows: list[int], columns: list[int], tmp_path: Path) -> None:
    parts = (np.array(rows, "<i4").tobytes(), np.array(columns, "<i4").tobytes())
    values = part(9, struct.pack("<2d", 1.0, 2.0))
    file = write(tmp_path / "a.mat", matrix(5, part(5, parts[0]), part(5, parts[1]), values, dimensions=(2, 3)))
    with pytest.raises(InputError, match=r"a\.mat"):
        read_array_file(file)


def _flipped(held: bytearray, generator: random.Random) -> None:
    held[generator.randrange(128, len(held))] = generator.randrange(256)


def _word(held: bytearray, generator: random.Random) -> None:
    at = generator.randrange(32, len(held) // 4) * 4
    held[at : at + 4] = generator.choice((0, 1, 14, 15, 50, 2**16 - 1, 2**31, 2**32 - 1)).to_bytes(4, "little")


@pytest.mark.parametrize("change", [_flipped, _word])
def test_damage_is_refused_or_read(change: Callable[[bytearray, random.Random], None], tmp_path: Path) -> None:
    """Without the check about one file in a hundred ends the process."""
    scipy.io.savemat(tmp_path / "whole.mat", EVERYTHING)
    whole = (tmp_path / "whole.mat").read_bytes()
    generator = random.Random(0)
    told = []
    for _ in range(500):
        held = bytearray(whole)
        change(held, generator)
        (tmp_path / "a.mat").write_bytes(held)
        try:
            read_array_file(tmp_path / "a.mat")
        except InputError as error:
            told.append(str(error))
    assert 0 < len(told) < 500
    assert not any("\n" in one for one in told)
