"""The file of one estimator on one task: what it answered for each seed, kept as soon as it is known."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from limbeck.errors import InputError
from limbeck.files import read_json, write_json
from limbeck.information.estimates import InformationEstimate


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
    try:
        held = read_json(file)
        made = held["samples"]
        found = {
            int(seed): Measured(
                tuple(
                    InformationEstimate(**{**estimate, "warnings": tuple(estimate["warnings"])})
                    for estimate in one["estimates"]
                ),
                one["seconds"],
            )
            for seed, one in held["seeds"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: damaged ({error}); remove it to measure again") from None
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
