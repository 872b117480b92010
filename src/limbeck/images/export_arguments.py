"""The flags of `limbeck export`, whatever the pictures are of, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

from jsonargparse import ArgumentParser

from limbeck.errors import InputError
from limbeck.images.export import INPUT, OUTPUT, TOLERANCE, Exported, Form
from limbeck.registry import Invocation

Model = TypeVar("Model")


def add_export_arguments(parser: ArgumentParser, features: Any) -> None:
    """Forms, folder, tolerance, and which feature: one of a Literal of words, "v" unless another is asked for."""
    parser.add_argument("--onnx", action="store_true", help="write an ONNX file (needs limbeck[export])")
    parser.add_argument("--torch", action="store_true", help="write a program of torch.export (.pt2)")
    parser.add_argument("--out", type=str | None, default=None, help="folder for the files; default: RUN/export")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        help="largest difference from the network, over its largest value, with which a file is kept",
    )
    *others, last = get_args(features)
    parser.add_argument(
        "--feature", type=features, default="v", help=f"what the program gives: {', '.join(others)} or {last}"
    )


def export_run(
    call: Invocation, load_run: Callable[[Path], Model], export_model: Callable[..., Iterable[Exported]]
) -> Iterator[str]:
    """Write the model of a run as programs, each with a line that says how well it agrees.

    Args:
        call: of `limbeck export RUN`.
        load_run: gives the model of a run folder or a model file.
        export_model: called with the model, the folder, and `forms`, `feature` and `tolerance`, writes the programs.

    Raises:
        InputError: no form was asked for, or the run or the model cannot be used.
        OSError: a file cannot be written.
    """
    asked: dict[Form, bool] = {"onnx": call.onnx, "torch": call.torch}
    if not any(asked.values()):
        raise InputError("say what to write: add --onnx, --torch or both")
    forms = [form for form, wanted in asked.items() if wanted]
    run = Path(call.inputs[0])
    folder = Path(call.out) if call.out is not None else (run if run.is_dir() else run.parent) / "export"
    for one in export_model(load_run(run), folder, forms=forms, feature=call.feature, tolerance=call.tolerance):
        height, width = one.size
        yield (
            f"Written: {one.path} ({INPUT}: uint8 (batch, {height}, {width}, 3), red, green, blue -> {OUTPUT}: float32 "
            f"(batch, {one.shape}); differs by {one.difference:.1e} from the network, tolerance {call.tolerance:g})"
        )
