"""The command's jobs that draw data."""

from __future__ import annotations

from collections.abc import Iterator

from jsonargparse import ArgumentParser

from limbeck.cores import usable_cores
from limbeck.registry import Invocation
from limbeck.reporting.progress import progress_bar
from limbeck.synthetic.people import PeopleSettings, make_people
from limbeck.synthetic.streets import StreetSettings, make_streets


def people_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck data make people`."""
    _arguments(parser, PeopleSettings, "sysu", "sysu, regdb or csv")


def streets_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck data make streets`."""
    _arguments(parser, StreetSettings, "semantickitti", "semantickitti, nuscenes or scans")


def _arguments(parser: ArgumentParser, settings: type[object], layout: str, layouts: str) -> None:
    parser.add_argument("--config", action="config", help="a YAML file of settings; flags after it override its values")
    parser.add_argument("directory", type=str, help="a new folder")
    parser.add_argument("--layout", type=str, default=layout, help=layouts)
    parser.add_argument("--workers", type=int, default=usable_cores(), help="processes; the result is the same")
    parser.add_class_arguments(settings, as_group=False)


def people(call: Invocation) -> Iterator[str]:
    """Draw a set of people into a new folder."""
    with progress_bar("pictures") as advance:
        made = make_people(
            call.directory, call.settings(PeopleSettings), call.layout, workers=call.workers, progress=advance
        )
    yield f"Written: {made.directory}, {made.images} pictures of {made.identities} people"


def streets(call: Invocation) -> Iterator[str]:
    """Draw a set of streets into a new folder."""
    with progress_bar("frames") as advance:
        made = make_streets(
            call.directory, call.settings(StreetSettings), call.layout, workers=call.workers, progress=advance
        )
    yield f"Written: {made.directory}, {made.frames} frames of {made.scenes} scenes, {made.points} points"
