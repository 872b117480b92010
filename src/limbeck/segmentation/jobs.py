"""The command's jobs on LiDAR scans and models that segment them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from jsonargparse import ArgumentParser

from limbeck.errors import TERMINATED
from limbeck.files import MODEL, write_text
from limbeck.information.arguments import add_diagnosis_arguments, diagnosis
from limbeck.registry import Invocation
from limbeck.reporting.progress import progress_bar
from limbeck.segmentation.check import check_scans, describe_scans, list_sets
from limbeck.segmentation.diagnosis import class_information, format_class_information, point_features_of_run
from limbeck.segmentation.evaluation import Kind, Sight, evaluate_runs
from limbeck.segmentation.evaluators import PROTOCOLS, Protocol
from limbeck.segmentation.packed import pack_scans
from limbeck.segmentation.recipe import SegmentationRecipe
from limbeck.segmentation.runs import train_run
from limbeck.segmentation.sets import load_scans, segmentation_sets
from limbeck.training.arguments import add_training_arguments


def train_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck train segmentation`."""
    add_training_arguments(parser)
    parser.add_class_arguments(SegmentationRecipe, as_group=False)


def train(call: Invocation) -> Iterator[str]:
    """Train a segmentation, or go on with a training.

    Raises:
        SystemExit: a signal stopped the training; its checkpoint is written.
    """
    folder = Path(call.out)
    fitted = train_run(call.settings(SegmentationRecipe), folder, device=call.device, resolved=call.resolved)
    if fitted.stopped:
        raise SystemExit(TERMINATED)
    if os.environ.get("RANK", "0") == "0":
        yield f"Written: {folder / MODEL}"


def evaluate_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck evaluate RUN ...`."""
    parser.add_argument(
        "--protocol", type=Protocol | None, default=None, help="all, fov or outside; default: all three, side by side"
    )
    parser.add_argument("--feature", type=Kind, default="v", help="what is read: v, z, or joint (of MV2D)")
    parser.add_argument(
        "--cameras", type=Sight, default="with", help="with pictures, without them, or both: what they are worth"
    )
    parser.add_argument(
        "--submission", type=str | None, default=None, help="folder for predictions in the set's official layout"
    )
    _add_data(parser)
    parser.add_argument(
        "--out", type=str | None, default=None, help="folder for the report; default: one in the first run"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the intervals")
    parser.add_argument("--device", type=str, default="cpu", help="where to compute")


def evaluate(call: Invocation) -> Iterator[str]:
    """Score models on a split and write a report."""
    yield from evaluate_runs(
        [Path(run) for run in call.inputs],
        protocols=PROTOCOLS if call.protocol is None else (call.protocol,),
        kind=call.feature,
        root=call.data,
        split=call.split or "validation",
        cameras=call.cameras,
        submission=None if call.submission is None else Path(call.submission),
        out=None if call.out is None else Path(call.out),
        device=call.device,
        seed=call.seed,
    )


def diagnose_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck diagnose RUN`."""
    add_diagnosis_arguments(parser)
    parser.add_argument("--points", type=int, default=400, help="points of each class, at most")
    _add_data(parser)
    parser.add_argument("--device", type=str, default="cpu", help="where the network computes")


def diagnose(call: Invocation) -> Iterator[str]:
    """Diagnose a model on points that a camera sees: what each sensor holds, over all classes and class by class."""
    (run,) = call.inputs
    features = point_features_of_run(
        Path(run),
        root=call.data,
        split=call.split or "validation",
        most=call.points,
        device=call.device,
        seed=call.seed,
    )
    with progress_bar("classes") as advance:
        found = class_information(
            features,
            probe=call.probe,
            folds=call.probe_folds,
            confidence=call.confidence,
            seed=call.seed,
            progress=advance,
        )
    told = format_class_information(found, fused=features.fused)
    yield told
    yield from diagnosis(call, features.views())
    if call.out is not None:
        write_text(Path(call.out) / "classes.txt", told)


def is_set(word: str) -> bool:
    """Whether a word is the name of a set of LiDAR scans."""
    return word in segmentation_sets()


def list_known(call: Invocation) -> Iterator[str]:
    """List the sets of LiDAR scans."""
    del call
    yield list_sets()


def set_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck data describe SET DIR`."""
    parser.add_argument("place", type=str, help="the folder where the set lies")


def describe_set(call: Invocation) -> Iterator[str]:
    """Say what a set holds."""
    yield describe_scans(call.inputs[0], Path(call.place))


def check_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck data check SET DIR`."""
    set_arguments(parser)
    parser.add_argument(
        "--decode", type=bool, default=True, help="read every scan, its labels and pictures too (true, false)"
    )


def check_set(call: Invocation) -> Iterator[str]:
    """Compare a set with its official counts, and read it."""
    with progress_bar("scans") as advance:
        yield check_scans(call.inputs[0], Path(call.place), decode=call.decode, progress=advance)


def pack_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck segmentation pack`."""
    parser.add_argument("set", type=str, help="the name of a set of LiDAR scans")
    parser.add_argument("place", type=str, help="the folder where it lies")
    parser.add_argument("target", type=str, help="a new folder, which --data.set scans-packed reads")
    parser.add_argument(
        "--size",
        type=tuple[int, int] | int | None,
        default=None,
        help="keep pictures decoded, of [height, width] or of a shorter side; default: the bytes of their files",
    )


def pack(call: Invocation) -> Iterator[str]:
    """Write a set in the packed format."""
    with progress_bar("scans", unit="scan") as advance:
        written = pack_scans(
            load_scans(call.set, Path(call.place)), Path(call.target), size=call.size, progress=advance
        )
    yield f"Written: {written}"


def _add_data(parser: ArgumentParser) -> None:
    parser.add_argument("--data", type=str | None, default=None, help="the set; default: where it lay in training")
    parser.add_argument("--split", type=str | None, default=None, help="validation (default), train or test")
