"""Weights for an encoder from a file or from torchvision's ImageNet models: checked name by name, never unpickled."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from limbeck.errors import InputError
from limbeck.files import atomic_writer, first_line, resolved
from limbeck.nn.encoders import OwnEncoder, TimmEncoder

_CLASSIFIERS = ("fc.", "head.", "classifier.")
_CHUNK = 2**20


class HubFile(NamedTuple):
    """A file that can be fetched: its address, and the first hexadecimal digits of its SHA-256, at least eight."""

    url: str
    sha256: str


def _torchvision(stem: str, digits: str) -> HubFile:
    """torchvision puts the first eight digits of a file's SHA-256 into its name."""
    return HubFile(f"https://download.pytorch.org/models/{stem}-{digits}.pth", digits)


# Of several files of one name, the first that lies in the folder is used; if none does, the first is fetched.
HUB: dict[str, tuple[HubFile, ...]] = {
    "resnet18-imagenet-v1": (_torchvision("resnet18", "f37072fd"),),
    "resnet50-imagenet-v1": (_torchvision("resnet50", "0676ba61"), _torchvision("resnet50", "19c8e357")),
    "resnet50-imagenet-v2": (_torchvision("resnet50", "11ad3fa6"),),
}


def load_weights(module: nn.Module, source: str, *, folder: Path | None = None) -> str:
    """Fill a module with weights, all of it or none of it.

    A file holds the state of the module: tensors by name. A dict that wraps it under "state_dict" or "model" is
    unwrapped, and the "module." that data-parallel training puts before every name is dropped. Names and shapes must be
    those of the module, but for two things, which the returned line reports: a classifier in the file that the module
    does not have ("fc.*", "head.*", "classifier.*") is left out, and batch counters (`num_batches_tracked`), which old
    files lack, keep their values. For a `TimmEncoder` or an `OwnEncoder` names are those of its `model`.

    Args:
        module: what is filled; untouched if anything does not fit.
        source: "none", a `.safetensors`, `.pth` or `.pt` file, or a name of `HUB`. A fetched file is kept and verified
            by its SHA-256 every time.
        folder: where fetched files are kept; default: torch.hub's folder of checkpoints.

    Returns:
        One line that says what was loaded.

    Raises:
        InputError: the source is unknown, absent, damaged, holds more than tensors or does not fit the module; or it
            cannot be fetched or is not the file that was published.

    Example:
        >>> load_weights(nn.Linear(2, 2), "none")
        'weights none: nothing is loaded, training starts from random weights'
    """
    if source == "none":
        return "weights none: nothing is loaded, training starts from random weights"
    if Path(source).suffix in (".safetensors", ".pth", ".pt"):
        path = resolved(source)
    elif source in HUB:
        path = _fetched(source, Path(torch.hub.get_dir()) / "checkpoints" if folder is None else folder)
    else:
        known = ", ".join(["none", *HUB])
        raise InputError(
            f"weights {source!r} is neither a .safetensors, .pth or .pt file nor a known name; choose one of: {known}"
        )
    target = module.model if isinstance(module, (TimmEncoder, OwnEncoder)) else module
    assert isinstance(target, nn.Module)
    own = target.state_dict()
    given = _without_wrapper(_read(path), own, path)
    dropped = sorted(key for key in given if key not in own and key.startswith(_CLASSIFIERS))
    counters = sorted(key for key in own if key not in given and key.endswith("num_batches_tracked"))
    used = {key: value for key, value in given.items() if key not in dropped}
    _check_fit(used, own, counters, path)
    target.load_state_dict(used, strict=False)
    line = f"weights {source}: {len(used)} tensors" + (f" from {path}" if source in HUB else "")
    if dropped:
        line += f"; without the file's classifier ({', '.join(dropped)})"
    if counters:
        line += f"; {len(counters)} batch counters, which the file lacks, are as they were"
    return line


def _read(path: Path) -> Any:
    """What a file of weights holds, on the CPU."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{path}: {what}; give a .safetensors, .pth or .pt file of weights")
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except (safetensors.SafetensorError, ValueError, KeyError) as error:
            raise InputError(f"{path}: no safetensors file, or a damaged one ({first_line(error)})") from error
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or first_line(error)})") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whatever is odd about the file, the answer is tensors or one line
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or first_line(error)})") from error
    except Exception as error:  # a hostile file can make the reader raise anything
        raise InputError(
            f"{path}: damaged, or holds more than tensors, and nothing else is ever unpickled; "
            "save the state_dict() of the model with torch.save or as .safetensors"
        ) from error


def _without_wrapper(loaded: Any, own: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The named tensors of a file, without what training programs put around them."""
    if isinstance(loaded, Mapping):
        for wrapper in ("state_dict", "model"):
            if isinstance(loaded.get(wrapper), Mapping):
                loaded = loaded[wrapper]
                break
    if not isinstance(loaded, Mapping):
        raise InputError(f"{path}: holds a {type(loaded).__name__}, not tensors by name; save a state_dict()")
    for key, value in loaded.items():
        if not (isinstance(key, str) and isinstance(value, Tensor)):
            raise InputError(f"{path}: {key!r} is a {type(value).__name__}, not a tensor; save a state_dict() alone")
    prefix = "module."
    if all(key.startswith(prefix) for key in loaded) and not any(key.startswith(prefix) for key in own):
        return {key.removeprefix(prefix): value for key, value in loaded.items()}
    return dict(loaded)


def _check_fit(given: Mapping[str, Tensor], own: Mapping[str, Tensor], may_be_missing: list[str], path: Path) -> None:
    """Refuse tensors that are not, name by name and shape by shape, those of the module."""
    missing = [key for key in own if key not in given and key not in may_be_missing]
    unexpected = [key for key in given if key not in own]
    misshapen = [key for key in given if key in own and given[key].shape != own[key].shape]
    complaints = []
    if missing:
        complaints.append(f"{len(missing)} missing (first: {missing[0]})")
    if unexpected:
        complaints.append(f"{len(unexpected)} unexpected (first: {unexpected[0]})")
    if misshapen:
        first = misshapen[0]
        complaints.append(
            f"{len(misshapen)} of another shape (first: {first}, {tuple(given[first].shape)} in the file, "
            f"{tuple(own[first].shape)} in the network)"
        )
    if complaints:
        raise InputError(
            f"{path}: does not fit the network: tensors {', '.join(complaints)}; give weights of this very network"
        )


def _fetched(name: str, folder: Path) -> Path:
    """The verified file of a hub name, fetched if none of its files lies in the folder."""
    for file in HUB[name]:
        path = folder / Path(file.url).name
        if path.is_file():
            digits = _sha256(path)
            if not digits.startswith(file.sha256):
                raise InputError(
                    f"{path}: its SHA-256 begins with {digits[: len(file.sha256)]}, not {file.sha256}; "
                    "delete it and try again"
                )
            return path
    file = HUB[name][0]
    path = folder / Path(file.url).name
    by_hand = f"fetch {file.url} by hand and put it at {path}"
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(file.url, timeout=30) as response, atomic_writer(path) as stream:
            while chunk := response.read(_CHUNK):
                digest.update(chunk)
                stream.write(chunk)
            if not digest.hexdigest().startswith(file.sha256):  # inside the block, so that nothing is kept
                raise InputError(
                    f"weights {name!r}: what came from {file.url} has a SHA-256 that begins with "
                    f"{digest.hexdigest()[: len(file.sha256)]}, not {file.sha256}; try again, or {by_hand}"
                )
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise InputError(f"weights {name!r}: cannot be fetched ({_line(reason)}); {by_hand}") from error
    except OSError as error:
        raise InputError(f"weights {name!r}: cannot be kept at {path} ({error.strerror or error})") from error
    return path


def _line(reason: object) -> str:
    return (str(reason) or type(reason).__name__).splitlines()[0]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
