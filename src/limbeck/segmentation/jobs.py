"""The command's jobs on sets of LiDAR scans."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jsonargparse import ArgumentParser

from limbeck.registry import Invocation
from limbeck.reporting.progress import progress_bar
from limbeck.segmentation.check import check_scans, describe_scans, list_sets
from limbeck.segmentation.packed import pack_scans
from limbeck.segmentation.sets import load_scans, segmentation_sets


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
