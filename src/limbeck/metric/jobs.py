"""The command's jobs on sets of photographs and embeddings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from jsonargparse import ArgumentParser

from limbeck.errors import TERMINATED, InputError
from limbeck.files import MODEL
from limbeck.images.export_arguments import add_export_arguments, export_run
from limbeck.information.arguments import add_diagnosis_arguments, diagnosis
from limbeck.metric.check import check_photographs, describe_photographs, list_sets
from limbeck.metric.diagnosis import view_features_of_run
from limbeck.metric.embedding import Feature
from limbeck.metric.evaluation import embed_split, evaluate_runs
from limbeck.metric.export import export_model
from limbeck.metric.recipe import MetricRecipe
from limbeck.metric.runs import load_run, train_run
from limbeck.metric.sets import MetricSet, metric_sets
from limbeck.metric.sets.arrays import pack_classes
from limbeck.registry import Invocation, refers_to
from limbeck.reporting.progress import progress_bar
from limbeck.retrieval import save_features
from limbeck.retrieval.arguments import add_protocol_arguments, per_query_of, ranks_of, reranking_of
from limbeck.training.arguments import add_training_arguments


def train_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck train metric`."""
    add_training_arguments(parser)
    parser.add_class_arguments(MetricRecipe, as_group=False)


def train(call: Invocation) -> Iterator[str]:
    """Train an embedding, or go on with a training.

    Raises:
        SystemExit: a signal stopped the training; its checkpoint is written.
    """
    folder = Path(call.out)
    fitted = train_run(call.settings(MetricRecipe), folder, device=call.device, resolved=call.resolved)
    if fitted.stopped:
        raise SystemExit(TERMINATED)
    if os.environ.get("RANK", "0") == "0":
        yield f"Written: {folder / MODEL}"


def evaluate_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck evaluate RUN ...`."""
    add_protocol_arguments(parser)
    parser.add_argument("--feature", type=Feature, default="v", help="what is compared: v or z")
    _add_data(parser)
    parser.add_argument(
        "--out", type=str | None, default=None, help="folder for the report; default: one in the first run"
    )
    parser.add_argument("--seed", type=int, default=0, help="of what the report's pictures show")
    parser.add_argument("--device", type=str, default="cpu", help="where to compute")


def evaluate(call: Invocation) -> Iterator[str]:
    """Score models under a protocol and write a report."""
    if call.permutations is not None:
        raise InputError("--permutations are those of SYSU-MM01: leave them out")
    yield from evaluate_runs(
        [Path(run) for run in call.inputs],
        protocol=call.protocol,
        root=call.data,
        split=call.split or "test",
        feature=call.feature,
        out=None if call.out is None else Path(call.out),
        device=call.device,
        similarity=call.similarity,
        reranking=reranking_of(call),
        recalls=ranks_of(call),
        per_query=per_query_of(call),
        seed=call.seed,
    )


def diagnose_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck diagnose RUN`."""
    add_diagnosis_arguments(parser)
    _add_data(parser)
    parser.add_argument("--device", type=str, default="cpu", help="where the network computes")


def diagnose(call: Invocation) -> Iterator[str]:
    """Diagnose a model on pictures of unseen classes."""
    (run,) = call.inputs
    features = view_features_of_run(Path(run), root=call.data, split=call.split or "test", device=call.device)
    return diagnosis(call, features)


def embed_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck metric embed`."""
    parser.add_argument("--model", type=str, required=True, help="a folder that `limbeck train metric` wrote")
    parser.add_argument("--out", type=str, required=True, help="an NPZ file, which `limbeck evaluate` reads")
    parser.add_argument("--feature", type=Feature, default="v", help="what is written: v or z")
    _add_data(parser)
    parser.add_argument("--device", type=str, default="cpu", help="where to compute")


def embed(call: Invocation) -> Iterator[str]:
    """Write the embeddings of a split, with labels, paths and queries."""
    run, target = Path(call.model), Path(call.out)
    if target.suffix != ".npz":
        raise InputError(f"--out must name an NPZ file, not {target}")
    model = load_run(run, device=call.device)
    embedded = embed_split(model, run, root=call.data, split=call.split or "test", feature=call.feature)
    save_features(embedded.features, target)
    yield f"Written: {target}, {len(embedded.features)} embeddings of {embedded.features.feature.shape[1]} numbers"


def pack_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck metric pack`."""
    parser.add_argument("source", type=str, help="a folder of classes, or a ZIP of one")
    parser.add_argument("target", type=str, help="an NPZ file, which --data.set class-npz reads")
    parser.add_argument("--size", type=int, default=64, help="height and width of every picture")
    parser.add_argument("--leave_out", type=list[str], default=[], help="classes, as [one,another]")


def pack(call: Invocation) -> Iterator[str]:
    """Write the pictures of a folder of classes as one array."""
    with progress_bar("pictures") as advance:
        yield pack_classes(
            Path(call.source), Path(call.target), size=call.size, leave_out=call.leave_out, progress=advance
        )


def export_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck export RUN`."""
    add_export_arguments(parser, Feature)


def export(call: Invocation) -> Iterator[str]:
    """Write a model as programs, each with a line that says how well it agrees."""
    return export_run(call, load_run, export_model)


def is_set(word: str) -> bool:
    """Whether a word is the name of a set of photographs."""
    return word in metric_sets() or refers_to(MetricSet, word)


def list_known(call: Invocation) -> Iterator[str]:
    """List the sets of photographs."""
    del call
    yield list_sets()


def set_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck data describe SET DIR`."""
    parser.add_argument("place", type=str, help="where the set lies: its folder, table or array")


def describe_set(call: Invocation) -> Iterator[str]:
    """Say what a set holds."""
    yield describe_photographs(call.inputs[0], Path(call.place))


def check_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck data check SET DIR`."""
    set_arguments(parser)
    parser.add_argument("--decode", type=bool, default=True, help="open every picture too (true, false)")


def check_set(call: Invocation) -> Iterator[str]:
    """Compare a set with its official counts."""
    with progress_bar("pictures") as advance:
        yield check_photographs(call.inputs[0], Path(call.place), decode=call.decode, progress=advance)


def _add_data(parser: ArgumentParser) -> None:
    parser.add_argument("--data", type=str | None, default=None, help="the set; default: where it lay in training")
    parser.add_argument("--split", type=str | None, default=None, help="train, validation, test (default) or all")
