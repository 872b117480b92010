"""What is done to an input: each change is plain values, so that a case can be read, written down and done again."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

Change = dict[str, Any]
"""`{"file": ..., "do": ...}` and the arguments of that function."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30),
    *(0.5, -0.0, 1e-320, 1e300, -1e300, float("nan"), float("inf"), float("-inf")),
    *(
        "",
        " ",
        "0",
        "nan",
        "-1",
        "²",
        "é",
        "猫",
        "a\nb",
        "\x1b[31mred",
        "\0",
        "\ud800",
        "\u202e",
        "$\\frac{$",
        "x" * 5000,
    ),
    *("=HYPERLINK(1)", "../../etc/passwd", "/dev/zero", "/", ".", "no/such", "module:NAME", "os:system", "v", "cuda"),
    *([], {}, [[]], [1, 2, 3], [None], ["a", 1], {"a": 1}, [[1], [2, 3]], [1e300] * 3),
)
"""What is put where something else is expected."""
DEEP = 100_000  # lists in lists


# -- bytes ------------------------------------------------------------------------------------------------------------


def put(path: Path, *, at: int, bytes: str, instead: int = 0) -> None:
    """Other bytes in the place of `instead` ones."""
    held = path.read_bytes()
    path.write_bytes(held[:at] + base64.b64decode(bytes) + held[at + instead :])


def write(path: Path, *, content: str) -> None:
    """The whole content, packed."""
    remove(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zlib.decompress(base64.b64decode(content)))


def packed(content: bytes) -> str:
    """What `write` takes."""
    return base64.b64encode(zlib.compress(content, 9)).decode()


def repeat(path: Path, *, start: int, stop: int, times: int) -> None:
    held = path.read_bytes()
    path.write_bytes(held[:stop] + held[start:stop] * times + held[stop:])


# -- files ------------------------------------------------------------------------------------------------------------


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def folder(path: Path) -> None:
    """A folder in the place of a file."""
    remove(path)
    path.mkdir()


def link(path: Path, *, to: str) -> None:
    remove(path)
    path.symlink_to(to)


def pipe(path: Path) -> None:
    remove(path)
    os.mkfifo(path)


def locked(path: Path) -> None:
    """Nobody may read it (root may)."""
    path.chmod(0)


def other(path: Path, *, name: str) -> None:
    """Another input in its place."""
    given = path.parent
    while not (given / ".inputs").exists():
        given = given.parent
    source = Path((given / ".inputs").read_text()) / name
    remove(path)
    shutil.copytree(source, path) if source.is_dir() else shutil.copyfile(source, path)


def rename(path: Path, *, to: str) -> None:
    path.rename(path.with_name(to))


def extra(path: Path, *, name: str, content: str) -> None:
    """One more file in a folder."""
    write(path / name, content=content)


# -- arrays: NPZ, NPY, MATLAB, PyTorch --------------------------------------------------------------------------------


def read_arrays(path: Path) -> dict[str, Any]:
    """What a file of arrays holds."""
    import scipy.io
    import torch

    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as held:
            return dict(held)
    if path.suffix == ".npy":
        return {"": np.load(path, allow_pickle=False)}
    if path.suffix == ".mat":
        return {name: value for name, value in scipy.io.loadmat(path).items() if not name.startswith("__")}
    return {name: value.numpy() for name, value in torch.load(path, weights_only=True).items()}


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    import scipy.io
    import torch

    with path.open("wb") as stream:
        if path.suffix == ".npz":
            np.savez(stream, **arrays)
        elif path.suffix == ".npy":
            np.save(stream, next(iter(arrays.values())))
        elif path.suffix == ".mat":
            scipy.io.savemat(stream, arrays)
        else:
            torch.save({name: torch.as_tensor(value) for name, value in arrays.items()}, stream)


SHAPES: dict[str, Callable[[np.ndarray], Any]] = {
    "rows of none": lambda held: held[:0],
    "one row": lambda held: held[:1],
    "a row less": lambda held: held[:-1],
    "no columns": lambda held: held.reshape(len(held), -1)[:, :0],
    "one column": lambda held: held.reshape(len(held), -1)[:, :1],
    "turned": lambda held: held.T,
    "flat": np.ravel,
    "one more axis": lambda held: held[None],
    "an axis behind": lambda held: held[..., None],
    "a number": lambda held: held.ravel()[0],
    "twice": lambda held: np.concatenate([held, held]),
    "all alike": lambda held: np.broadcast_to(held.ravel()[0], held.shape).copy(),
    "all zero": np.zeros_like,
    "downwards": lambda held: held[::-1].copy(),
    "Fortran's order": np.asfortranarray,
}
TYPES = (
    "f2",
    "f4",
    "f8",
    "g",
    "c8",
    "c16",
    "i1",
    "u1",
    "i8",
    "u8",
    ">f4",
    ">i8",
    "?",
    "U3",
    "S3",
    "M8[s]",
    "m8[s]",
    "V4",
)
NUMBERS = ("nan", "inf", "-inf", "1e300", "-1e300", "1e-300", "1e30", "0", "-1", "1e18", "9223372036854775807", "0.5")


def shape(path: Path, *, member: str, how: str) -> None:
    """An array in another shape."""
    arrays = read_arrays(path)
    arrays[member] = SHAPES[how](np.asarray(arrays[member]))
    write_arrays(path, arrays)


def dtype(path: Path, *, member: str, to: str) -> None:
    """An array of another kind of numbers."""
    arrays = read_arrays(path)
    with np.errstate(all="ignore"):
        arrays[member] = np.asarray(arrays[member]).astype(to)
    write_arrays(path, arrays)


def number(path: Path, *, member: str, at: int, value: str, count: int) -> None:
    """Some numbers of an array, or words, are others."""
    arrays = read_arrays(path)
    held = np.array(arrays[member])
    if held.dtype.kind in "US":
        held = held.astype(f"{held.dtype.kind}{max(8, held.dtype.itemsize)}")
        held.reshape(-1)[at : at + count] = value
    elif held.dtype.kind == "O":
        held.reshape(-1)[at : at + count] = float(value)
    else:
        exact = int(value) if value.isdecimal() else float(value)
        if held.dtype.kind in "iub" and not isinstance(exact, int):
            held = held.astype(float)
        with np.errstate(all="ignore"):
            held.reshape(-1)[at : at + count] = np.array([exact]).astype(held.dtype)
    arrays[member] = held
    write_arrays(path, arrays)


def word(path: Path, *, member: str, at: int, value: str) -> None:
    """One word of an array of words is another."""
    arrays = read_arrays(path)
    held = [str(one) for one in np.asarray(arrays[member]).reshape(-1)]
    held[at % len(held)] = value
    arrays[member] = np.array(held)
    write_arrays(path, arrays)


def member_name(path: Path, *, member: str, to: str | None) -> None:
    """An array has another name, or is not there."""
    arrays = read_arrays(path)
    held = arrays.pop(member)
    if to is not None:
        arrays[to] = held
    write_arrays(path, arrays)


def npy_header(path: Path, *, member: str, old: str, new: str) -> None:
    """Other words in the header of an array in an NPZ or NPY, of the right length."""

    def changed(held: bytes) -> bytes:
        size = int.from_bytes(held[8:10], "little")
        header = held[10 : 10 + size].replace(old.encode(), new.encode())
        return held[:8] + len(header).to_bytes(2, "little") + header + held[10 + size :]

    if path.suffix == ".npy":
        path.write_bytes(changed(path.read_bytes()))
        return
    with zipfile.ZipFile(path) as source:
        members = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(path, "w") as target:
        for name, held in members.items():
            target.writestr(name, changed(held) if name == f"{member}.npy" else held)


def bomb(path: Path, *, member: str, rows: int) -> None:
    """One more member that unfolds to a thousand times what it takes."""
    stream = BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (rows, 1000)})
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as target:
        warnings.simplefilter("ignore")  # there may be one of that name
        into = target.open(f"{member}.npy", "w")
        into.write(stream.getvalue())
        for _ in range(rows):
            into.write(bytes(8000))
        into.close()


# -- text: tables, YAML, JSON -----------------------------------------------------------------------------------------


def cell(path: Path, *, row: int, column: int, value: str) -> None:
    """One cell of a table."""
    mark = "\t" if path.suffix == ".tsv" else ","
    rows = [line.split(mark) for line in path.read_text().splitlines()]
    cells = rows[row % len(rows)]
    cells[column % len(cells)] = value
    _write_text(path, "".join(mark.join(line) + "\n" for line in rows))


def column(path: Path, *, at: int, how: str) -> None:
    """A column less, twice, or empty."""
    mark = "\t" if path.suffix == ".tsv" else ","
    rows = [line.split(mark) for line in path.read_text().splitlines()]
    for cells in rows:
        place = at % len(cells)
        if how == "less":
            del cells[place]
        elif how == "twice":
            cells.insert(place, cells[place])
        elif cells is not rows[0]:
            cells[place] = ""
    _write_text(path, "".join(mark.join(line) + "\n" for line in rows))


def line(path: Path, *, at: int, how: str, value: str = "") -> None:
    """A line less, twice, or another."""
    lines = path.read_bytes().split(b"\n")
    place = at % len(lines)
    encoded = value.encode("utf-8", "surrogatepass")
    changed = {"less": [], "twice": [lines[place]] * 2, "other": [encoded], "more": [lines[place], encoded]}[how]
    path.write_bytes(b"\n".join([*lines[:place], *changed, *lines[place + 1 :]]))


def encoding(path: Path, *, to: str) -> None:
    path.write_bytes(path.read_text().encode(to))


def _write_text(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8", "surrogatepass"))


def nodes(held: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value in lists and mappings."""
    if isinstance(held, dict):
        for name, value in held.items():
            yield (*place, name)
            yield from nodes(value, (*place, name))
    elif isinstance(held, list):
        for number, value in enumerate(held[:50]):
            yield (*place, number)
            yield from nodes(value, (*place, number))


def changed(held: Any, place: list[Any], how: str, value: Any) -> Any:
    """Lists and mappings with one value other, gone, or under another name."""
    if not place:
        return value
    above = held
    for key in place[:-1]:
        above = above[key]
    key = place[-1]
    if how == "less":
        del above[key]
    elif how == "renamed" and isinstance(above, dict):
        above[str(value)] = above.pop(key)
    elif how == "deep":
        above[key] = "DEEP"
    else:
        above[key] = value
    return held


def tree(path: Path, *, at: list[Any], how: str, value: Any = None) -> None:
    """A value of a YAML or JSON file."""
    import yaml

    if path.suffix in (".yaml", ".yml"):
        text = yaml.safe_dump(changed(yaml.safe_load(path.read_text()), at, how, value))
    else:
        text = json.dumps(changed(json.loads(path.read_text()), at, how, value))
    _write_text(path, text.replace('"DEEP"', "DEEP").replace("DEEP", "[" * DEEP + "]" * DEEP))


# -- tensors ----------------------------------------------------------------------------------------------------------


def description(path: Path, *, at: list[Any], how: str, value: Any = None) -> None:
    """What a file of tensors says of them, signed."""
    from tests.signed import rewrite

    def change(held: dict[str, Any], _tensors: dict[str, Any]) -> None:
        changed(held, at, how, value)

    rewrite(path, change)


def tensor(path: Path, *, name: str, how: str) -> None:
    """A tensor, signed."""
    import torch
    from tests.signed import rewrite

    ways: dict[str, Callable[[Any], Any]] = {
        "a row less": lambda held: held.reshape(-1)[:-1] if held.ndim < 1 else held[:-1],
        "empty": lambda held: held.reshape(-1)[:0],
        "flat": lambda held: held.reshape(-1),
        "one more axis": lambda held: held[None],
        "nan": lambda held: torch.full_like(held.to(torch.float32), torch.nan).to(held.dtype),
        "inf": lambda held: torch.full_like(held, torch.inf) if held.is_floating_point() else held,
        "zero": torch.zeros_like,
        "large": lambda held: torch.full_like(held, 1e30 if held.is_floating_point() and held.itemsize > 2 else 100),
        "negative": lambda held: -held if held.dtype != torch.bool else ~held,
        "float64": lambda held: held.to(torch.float64),
        "int64": lambda held: held.to(torch.int64),
        "bool": lambda held: held.to(torch.bool),
        "float16": lambda held: held.to(torch.float16),
    }

    def change(_held: dict[str, Any], tensors: dict[str, Any]) -> None:
        if how == "less":
            del tensors[name]
        elif how == "renamed":
            tensors[f"{name}\n\x1b"] = tensors.pop(name)
        elif how == "twice":
            tensors[f"{name}.0"] = tensors[name]
        else:
            tensors[name] = ways[how](tensors[name])

    rewrite(path, change)


TENSOR_WAYS = (
    *("a row less", "empty", "flat", "one more axis", "nan", "inf", "zero", "large", "negative"),
    *("float64", "int64", "bool", "float16", "less", "renamed", "twice"),
)


def safetensors_header(path: Path, *, at: list[Any], how: str, value: Any = None) -> None:
    """The header of a file of tensors, whose checksum is then wrong."""
    held = path.read_bytes()
    size = int.from_bytes(held[:8], "little")
    header = json.dumps(changed(json.loads(held[8 : 8 + size]), at, how, value)).replace(
        '"DEEP"', "[" * DEEP + "]" * DEEP
    )
    encoded = header.encode("utf-8", "surrogatepass")
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + held[8 + size :])


# -- pictures ---------------------------------------------------------------------------------------------------------

PICTURES = (
    "1",
    "L",
    "LA",
    "P",
    "PA",
    "RGBA",
    "CMYK",
    "I;16",
    "I",
    "F",
    "GIF",
    "TIFF",
    "WEBP",
    "thin",
    "wide",
    "rotated",
    "large",
)


def picture(path: Path, *, how: str) -> None:
    """Another picture under the name."""
    from PIL import Image

    stream = BytesIO()
    small = Image.new("RGB", (9, 12), (200, 100, 50))
    if how in ("GIF", "TIFF", "WEBP"):
        small.save(stream, how, save_all=True, append_images=[small])
    elif how == "large":  # declared only
        small.save(stream, "PNG")
        held = bytearray(stream.getvalue())
        held[16:24] = (60_000).to_bytes(4, "big") * 2
        held[29:33] = zlib.crc32(bytes(held[12:29])).to_bytes(4, "big")
        stream = BytesIO(bytes(held))
    elif how in ("thin", "wide"):
        small.resize((1, 3000) if how == "thin" else (3000, 1)).save(stream, "PNG")
    elif how == "rotated":
        exif = Image.Exif()
        exif[0x0112] = 6
        small.save(stream, "JPEG", exif=exif)
    elif how == "F":
        small.convert("F").save(stream, "TIFF")
    elif how == "PA":
        small.convert("P").save(stream, "PNG", transparency=0)
    elif how == "CMYK":
        small.convert("CMYK").save(stream, "JPEG")
    else:
        small.convert("I" if how == "I;16" else how).save(stream, "PNG")
    path.write_bytes(stream.getvalue())


# -- which ------------------------------------------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable[..., None]] = {
    one.__name__: one
    for one in (
        *(put, write, repeat, remove, folder, link, pipe, locked, other, rename, extra, shape, dtype, number, word),
        *(member_name, npy_header, bomb, cell, column, line, encoding, tree, description, tensor, safetensors_header),
        picture,
    )
}


INSTEAD = ("remove", "folder", "link", "pipe", "write", "other", "rename", "extra")
"""Changes that read nothing of what they change; the others would wait for a pipe, and read a device without end."""


def apply(root: Path, change: Change) -> bool:
    """Change an input; whether it could be changed so."""
    if change["do"] not in INSTEAD and not is_regular(root / change["file"]):
        return False
    given = {name: value for name, value in change.items() if name not in ("file", "do")}
    try:
        FUNCTIONS[change["do"]](root / change["file"], **given)
    except Exception:
        # An earlier change took what this one needs, or there is no such file with such a name.
        return False
    return True


def is_regular(path: Path) -> bool:
    """A file of bytes: no folder, pipe, device or link."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False
