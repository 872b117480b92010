"""The flags of `limbeck export`, whatever the pictures are of, and what it says."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser

from limbeck.errors import InputError
from limbeck.images.export import INPUT, OUTPUT, TOLERANCE, Exported, Form
from limbeck.registry import Invocation


def add_export_arguments(parser: ArgumentParser) -> None:
    """Forms, folder and tolerance."""
    parser.add_argument("--onnx", action="store_true", help="write an ONNX file (needs limbeck[export])")
    parser.add_argument("--torch", action="store_true", help="write a program of torch.export (.pt2)")
    parser.add_argument("--out", type=str | None, default=None, help="folder for the files; default: RUN/export")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        help="largest difference from the network, over its largest value, with which a file is kept",
    )


def export_forms(call: Invocation) -> list[Form]:
    """What was asked for.

    Raises:
        InputError: nothing was.
    """
    asked: dict[Form, bool] = {"onnx": call.onnx, "torch": call.torch}
    if not any(asked.values()):
        raise InputError("say what to write: add --onnx, --torch or both")
    return [form for form, wanted in asked.items() if wanted]


def export_folder(call: Invocation) -> Path:
    """Where the files go."""
    run = Path(call.inputs[0])
    return Path(call.out) if call.out is not None else (run if run.is_dir() else run.parent) / "export"


def exported_line(one: Exported, size: tuple[int, int], tolerance: float) -> str:
    """What to tell of a file."""
    return (
        f"Written: {one.path} ({INPUT}: uint8 (batch, {size[0]}, {size[1]}, 3), red, green, blue -> {OUTPUT}: float32 "
        f"(batch, {one.shape}); differs by {one.difference:.1e} from the network, tolerance {tolerance:g})"
    )
