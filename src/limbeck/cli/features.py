"""What verbs do with files of features, of whatever model: score them under a protocol, diagnose them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jsonargparse import ArgumentParser

from limbeck.errors import InputError
from limbeck.information.arguments import add_diagnosis_arguments, diagnosis
from limbeck.information.diagnosis import load_view_features
from limbeck.registry import Invocation
from limbeck.reporting.progress import progress_bar
from limbeck.retrieval import evaluate as score
from limbeck.retrieval import load_features
from limbeck.retrieval.arguments import add_protocol_arguments, permutations_of, reranking_of
from limbeck.retrieval.protocols import named_protocols
from limbeck.retrieval.report import write_report
from limbeck.retrieval.report.table import format_evaluations


def is_npz(word: str) -> bool:
    """Whether a word is the name of an NPZ file, be it there or not."""
    return Path(word).suffix == ".npz"


def evaluate_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck evaluate FEATURES.npz`."""
    add_protocol_arguments(parser)
    parser.add_argument("--out", type=str | None, default=None, help="folder for a report: figures, queries, a page")
    parser.add_argument("--seed", type=int, default=0, help="of what the report's pictures show")
    parser.add_argument("--device", type=str, default="cpu", help="where to compute")


def evaluate(call: Invocation) -> Iterator[str]:
    """Score features under a protocol, and write a report where a folder is named.

    Raises:
        InputError: the features or the protocol cannot be used.
        OSError: the report's folder cannot be written.
    """
    if call.protocol is None:
        raise InputError(f"{call.inputs[0]}: features are scored under a protocol: add --protocol")
    protocols = named_protocols(call.protocol, permutations=permutations_of(call))
    reranking = reranking_of(call)
    features = [load_features(path) for path in call.inputs]
    if call.out is not None:  # rather now than after the work
        Path(call.out).mkdir(parents=True, exist_ok=True)
    with progress_bar("queries") as advance:
        evaluations = score(
            features,
            protocols,
            similarity=call.similarity,
            reranking=reranking,
            device=None if call.device == "cpu" else call.device,
            progress=advance,
        )
    yield format_evaluations(evaluations)
    if call.out is not None:
        files = write_report(
            call.out,
            evaluations,
            features,
            protocols,
            picture=None,
            title=f"Retrieval with the features of {', '.join(Path(path).name for path in call.inputs)}",
            similarity=call.similarity,
            reranking=reranking,
            seed=call.seed,
        )
        yield f"Written: {files[-1]}"


def diagnose_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck diagnose FEATURES.npz`."""
    add_diagnosis_arguments(parser)


def diagnose(call: Invocation) -> Iterator[str]:
    """Diagnose features of paired views.

    Raises:
        InputError: the features cannot be used.
        OSError: the report's folder cannot be written.
    """
    return diagnosis(call, load_view_features(call.inputs[0]))
