"""The flags of a diagnosis, and the diagnosis that they ask for, whatever is diagnosed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jsonargparse import ArgumentParser

from limbeck.information.diagnosis import ViewFeatures, diagnose_view_features, write_diagnosis
from limbeck.information.probes import Probe
from limbeck.registry import Invocation
from limbeck.reporting.progress import progress_bar


def add_diagnosis_arguments(parser: ArgumentParser) -> None:
    """Probe, folds of the probes, confidence, seed and folder."""
    parser.add_argument("--out", type=str | None, default=None, help="folder for figures, pictures and a page")
    parser.add_argument(
        "--probe", type=Probe, default="linear", help="linear; quadratic, of squares too; or mlp: slower, reads more"
    )
    parser.add_argument("--probe_folds", type=int, default=5, help="folds of the cross-fitting of probes")
    parser.add_argument("--confidence", type=float, default=0.95, help="of the intervals")
    parser.add_argument("--seed", type=int, default=0, help="of folds, probes and resamples")


def diagnosis(call: Invocation, features: ViewFeatures) -> Iterator[str]:
    """Diagnose; yields the table, and where a folder is named its files.

    Raises:
        InputError: the samples are too few for what is asked.
        OSError: the folder cannot be written.
    """
    if call.out is not None:  # rather now than after the work
        Path(call.out).mkdir(parents=True, exist_ok=True)
    with progress_bar("probes") as advance:
        found = diagnose_view_features(
            features,
            probe=call.probe,
            folds=call.probe_folds,
            confidence=call.confidence,
            seed=call.seed,
            progress=advance,
        )
    yield str(found)
    if call.out is not None:
        files = write_diagnosis(found, call.out, title=f"Diagnosis of {call.inputs[0]}")
        yield "Written: " + ", ".join(str(file) for file in files)
