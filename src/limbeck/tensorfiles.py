"""Tensors and a description of them in one safetensors file, with a checksum over all of it; nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from limbeck.errors import InputError
from limbeck.files import MODEL, atomic_writer, described_kind, file_kind

Part = TypeVar("Part")

_CODES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], description: Mapping[str, Any], *, format: str
) -> None:
    """Write tensors and a description; an older file at `path` stays intact if anything fails.

    The bytes go from the tensors' memory straight to the disk, so that a large file needs no second copy of them.
    Tensors may share memory (tied weights); each is written whole.

    Args:
        path: of the file; its folder is made when absent.
        tensors: dense tensors of any shape, on any device.
        description: what JSON can hold; NumPy's numbers and arrays become plain numbers and lists.
        format: name and version of the kind of file, which `read_tensors` compares.

    Raises:
        TypeError: something in `description` is not plain, or safetensors has no such kind of number.
        OSError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_tensors(folder / "a", {"weight": torch.ones(2)}, {"note": "ones"}, format="example-1")
        >>> read_tensors(folder / "a", format="example-1", what="example")
        ({'note': 'ones'}, {'weight': tensor([1., 1.])})
    """
    if {"format", "sha256"} & description.keys():
        raise ValueError("description must not use the keys 'format' and 'sha256': they are the file's own")
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = {"format": format, **description}
    text = json.dumps(content, default=_plain)
    content["sha256"] = _checksum(text, plain)
    # One entry only, so that the same tensors and description are always the same bytes.
    header: dict[str, Any] = {"__metadata__": {"limbeck": json.dumps(content, default=_plain)}}
    # Wide numbers first: each tensor then begins at a multiple of its number's size.
    order = sorted(plain, key=lambda name: (-plain[name].element_size(), name))
    place = 0
    for name in order:
        tensor = plain[name]
        if tensor.dtype not in _CODES:
            raise TypeError(f"tensor {name!r} is {_kind(tensor)}, which cannot be saved")
        end = place + tensor.nbytes
        header[name] = {"dtype": _CODES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [place, end]}
        place = end
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    with atomic_writer(path) as stream:
        stream.write(len(encoded).to_bytes(8, "little"))
        stream.write(encoded)
        for name in order:
            stream.write(_memory(plain[name]))


def read_tensors(
    path: str | os.PathLike[str], *, format: str, what: str, device: str | torch.device = "cpu"
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read what `write_tensors` wrote, checked against its checksum. Nothing in the file is executed.

    Args:
        path: of the file.
        format: which kind of file it must be.
        what: a word for that kind, for the messages ("multi-view model").
        device: where the tensors go.

    Returns:
        The description and the tensors.

    Raises:
        InputError: the file is not there, damaged, or something else.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file}: there is no such file")
    try:
        with safe_open(file, framework="pt", device="cpu") as stream:
            metadata = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a mapping
        description = json.loads(metadata["limbeck"])
        if description["format"] != format:
            raise InputError(f"written by another version of limbeck ({description['format']})")
        checksum = description.pop("sha256")
        if checksum != _checksum(json.dumps(description), tensors):
            raise InputError("its checksum is wrong")
        del description["format"]
    except DAMAGE as error:
        raise InputError(f"{file}: {_told(file, error, what)}") from None
    return description, {name: tensor.to(device) for name, tensor in tensors.items()}


def read_description(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a file of `write_tensors` says it is, "format" included, without its tensors and unchecked.

    Raises:
        InputError: the file is not there, or no such file.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file}: there is no such file")
    try:
        with safe_open(file, framework="pt", device="cpu") as stream:
            description = json.loads((stream.metadata() or {})["limbeck"])
        if not isinstance(description["format"], str):
            raise TypeError("its format is not a word")
    except DAMAGE as error:
        raise InputError(f"{file}: {_told(file, error, 'file of limbeck')}") from None
    return dict(description)


def check_tensors(given: Mapping[str, Tensor], expected: Mapping[str, Tensor], origin: str) -> None:
    """Refuse tensors that are not, by name, shape and kind of number, those of a network.

    Args:
        given: what a file holds.
        expected: the network's; tensors without memory (of the device "meta") will do.
        origin: the file, for the message.

    Raises:
        InputError: a tensor is missing, unexpected, or of another shape or kind; the line names the first.

    Example:
        >>> check_tensors({"weight": torch.ones(2)}, {"weight": torch.ones(3)}, "FILE")
        Traceback (most recent call last):
        limbeck.errors.InputError: FILE does not fit this network: weight is (2,) there and (3,) here; give the ...
    """
    remedy = "give the network it was made by"
    for name, tensor in expected.items():
        if name not in given:
            raise InputError(f"{origin} does not fit this network: it has no {name}; {remedy}")
        there, here = tuple(given[name].shape), tuple(tensor.shape)
        if there != here:
            raise InputError(f"{origin} does not fit this network: {name} is {there} there and {here} here; {remedy}")
        if given[name].dtype != tensor.dtype:
            raise InputError(
                f"{origin} does not fit this network: {name} is {_kind(given[name])} there and {_kind(tensor)} here; "
                f"{remedy}"
            )
    for name in given:
        if name not in expected:
            raise InputError(f"{origin} does not fit this network, which has no {name}; {remedy}")


def _told(file: Path, error: BaseException, what: str) -> str:
    """Why a file is not what it should be: it is another kind of file, or what reading it came to."""
    if (kind := file_kind(file)) not in ("safetensors", "unknown"):
        if file.suffix == Path(MODEL).suffix:  # was one, or should have been
            return f"not a {what}, or damaged (it is {described_kind(kind)})"
        return f"is {described_kind(kind)}, not a {what}; give a folder of `limbeck train` or its {MODEL}"
    return f"not a {what}, or damaged ({' '.join(str(error).split())})"


# What may come of reading, or of making use of, a file that is not what it should be.
DAMAGE = (
    SafetensorError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RuntimeError,
    ArithmeticError,
    OSError,
    MemoryError,
)


def _checksum(description: str, tensors: Mapping[str, Tensor]) -> str:
    """Over everything in the file: the description, and every tensor with its name, kind and shape."""
    digest = hashlib.sha256(description.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\0{name}\0{_kind(tensor)}\0{tuple(tensor.shape)}\0".encode())
        digest.update(_memory(tensor))
    return digest.hexdigest()


def under(prefix: str, parts: Mapping[str, Part]) -> dict[str, Part]:
    """Those whose names begin with a prefix, by the rest of their names.

    Example:
        >>> under("left.", {"left.weight": 1, "right.weight": 2})
        {'weight': 1}
    """
    return {name.removeprefix(prefix): part for name, part in parts.items() if name.startswith(prefix)}


def _memory(tensor: Tensor) -> memoryview:
    """The tensor's bytes, without copying them where they lie in order."""
    # Through bytes, because NumPy has no bfloat16.
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _plain(value: Any) -> Any:
    """NumPy numbers and arrays as JSON can hold them."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{value!r} cannot be saved")
