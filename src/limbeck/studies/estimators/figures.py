"""The file of one estimator on one task: what it answered for each seed, kept as soon as it is known."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from limbeck.errors import InputError
from limbeck.files import read_json, write_json
from limbeck.information.estimates import InformationEstimate
from limbeck.records import from_json, reading


@dataclass(frozen=True)
class Measured:
    """What an estimator answered for one draw of a task.

    Attributes:
        estimates: one, several bounds, or none where the estimator refused.
        seconds: that took.
    """

    estimates: tuple[InformationEstimate, ...]
    seconds: float


def read_measured(file: Path, samples: int) -> dict[int, Measured]:
    """Seed -> what was measured; nothing where there is no file.

    Raises:
        InputError: the file is damaged, or of another number of samples.
    """
    if not file.is_file():
        return {}
    with reading(file, "remove it to measure again"):
        held = from_json(dict[str, Any], read_json(file))
        made = held["samples"]
        found = {int(seed): one for seed, one in from_json(dict[str, Measured], held["seeds"], "seeds").items()}
    if made != samples:
        raise InputError(f"{file}: was measured with {made} samples, not {samples}; name another folder with --out")
    return found


def write_measured(file: Path, samples: int, measured: dict[int, Measured]) -> None:
    """Write the file anew, with its folder.

    Raises:
        OSError: it cannot be written.
    """
    seeds = {str(seed): asdict(measured[seed]) for seed in sorted(measured)}
    write_json(file, {"samples": samples, "seeds": seeds})
