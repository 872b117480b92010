"""A trained embedding as a file that other programs run, ONNX or a program of `torch.export`; checked before kept."""

from __future__ import annotations

import importlib
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limbeck.errors import InputError
from limbeck.files import atomic_writer, first_line
from limbeck.images.augmentation import unchanged

Form = Literal["onnx", "torch"]
SUFFIX: dict[Form, str] = {"onnx": ".onnx", "torch": ".pt2"}
TOLERANCE = 1e-4
INPUT, OUTPUT = "pictures", "feature"
_BATCHES = (1, 5)  # of the check; the program is traced with another


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        path: of the file.
        size: (height, width) of the pictures that it takes.
        shape: of one embedding.
        difference: the largest absolute difference between its embeddings and the network's, over the largest absolute
            value of these.
    """

    path: Path
    size: tuple[int, int]
    shape: int
    difference: float


class PictureProgram(nn.Module):
    """From decoded pictures to embeddings, with the preprocessing that training pictures had.

    Shapes: (batch, height, width, 3) uint8, red, green, blue; (batch, features) float32.

    Args:
        network: whose parameters the program has.
        embed: from (batch, 3, height, width) in [0, 1] to embeddings, by the network.
    """

    def __init__(self, network: nn.Module, embed: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.embed = network, embed

    def forward(self, pictures: Tensor) -> Tensor:
        return self.embed(pictures.permute(0, 3, 1, 2).to(torch.float32) / 255)


def export_embedding(
    network: nn.Module,
    embed: Callable[[Tensor], Tensor],
    target: Path,
    *,
    size: tuple[int, int],
    forms: Sequence[Form],
    about: dict[str, Any],
    tolerance: float = TOLERANCE,
) -> list[Exported]:
    """Write a network as programs that take decoded pictures, each only if it computes what the network does.

    What is written is run again, on random pictures in batches of other sizes than the one that it was traced with.

    Args:
        network: on the processor; it is put into evaluation mode.
        embed: see `PictureProgram`.
        target: the files' name without suffix: `.onnx`, `.pt2`.
        size: (height, width) of the pictures.
        forms: "onnx" (dynamo exporter, any batch size), "torch" (`torch.export.save`), or both.
        about: what else a user of the file has to know, kept in it as JSON under "limbeck".
        tolerance: the largest `Exported.difference` with which a file is kept, > 0.

    Raises:
        InputError: a package is missing, the network cannot be exported, or a program differs by more than the
            tolerance (nothing is written then), or the tolerance is not positive.
        OSError: a file cannot be written.
    """
    if not tolerance > 0:
        raise InputError(f"tolerance must be above 0, not {tolerance}")
    if "onnx" in forms:
        for name in ("onnx", "onnxscript", "onnxruntime"):
            _needed(name)
    network.eval()
    program = PictureProgram(network, embed).eval()
    rng = np.random.default_rng(0)
    checks = [rng.integers(0, 256, (count, *size, 3), np.uint8) for count in _BATCHES]
    with torch.inference_mode():
        expected = [embed(unchanged(pictures)).numpy() for pictures in checks]
    told = json.dumps(about)
    ready: list[tuple[Path, bytes, float]] = []
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters' own, of what they trace
        traced = _traced(program, size)
        for form in forms:
            content, run = (_onnx if form == "onnx" else _torch)(traced, told)
            difference = _difference([run(pictures) for pictures in checks], expected)
            if not difference <= tolerance:
                raise InputError(
                    f"the {form} program differs from the network by {difference:.1e} of its largest value, more than "
                    f"tolerance {tolerance:g}: nothing is written"
                )
            ready.append((target.with_name(target.name + SUFFIX[form]), content, difference))
    for path, content, _ in ready:
        with atomic_writer(path) as stream:
            stream.write(content)
    return [Exported(path, size, expected[0].shape[1], difference) for path, _, difference in ready]


def _traced(program: PictureProgram, size: tuple[int, int]) -> torch.export.ExportedProgram:
    example = torch.zeros(3, *size, 3, dtype=torch.uint8)
    try:
        return torch.export.export(program, (example,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    except Exception as error:  # whatever the tracer stumbles over in a network of others
        raise InputError(f"the network cannot be traced by torch.export: {first_line(error)[:300]}") from error


Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def _torch(traced: torch.export.ExportedProgram, told: str) -> tuple[bytes, Run]:
    stream = io.BytesIO()
    torch.export.save(traced, stream, extra_files={"limbeck": told})
    loaded = torch.export.load(io.BytesIO(stream.getvalue())).module()

    def run(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        found: Tensor = loaded(torch.from_numpy(pictures))
        return found.numpy()

    return stream.getvalue(), run


def _onnx(traced: torch.export.ExportedProgram, told: str) -> tuple[bytes, Run]:
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)  # it warns of operators of torchvision, which nothing here has
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        try:
            made = torch.onnx.export(
                traced, input_names=[INPUT], output_names=[OUTPUT], dynamo=True, verbose=False, external_data=False
            )
            assert made is not None
            made.model.metadata_props["limbeck"] = told
            made.save(file, external_data=False)
        except Exception as error:  # whatever has no counterpart in ONNX
            raise InputError(f"the network cannot be written as ONNX: {first_line(error)[:300]}") from error
        finally:
            exporter.setLevel(level)
        content = file.read_bytes()
    runtime = _needed("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run([OUTPUT], {INPUT: pictures})[0]
        return found

    return content, run


def _difference(found: list[NDArray[np.float32]], expected: list[NDArray[np.float32]]) -> float:
    """NaN where either has one, which is within no tolerance."""
    if [one.shape for one in found] != [one.shape for one in expected]:
        return float("nan")
    largest = max(float(np.abs(one).max()) for one in expected)
    return max(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True)) / (largest or 1.0)


def _needed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"an ONNX file needs the package {name} ({first_line(error)}); "
            f"install it with: pip install 'limbeck[export]' torch=={torch.__version__.split('+')[0]}"
        ) from error
