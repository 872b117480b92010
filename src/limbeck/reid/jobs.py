"""The command's jobs on sets of people and re-identification models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser

from limbeck.errors import TERMINATED, InputError
from limbeck.files import MODEL
from limbeck.images.export_arguments import add_export_arguments, export_run
from limbeck.information.arguments import add_diagnosis_arguments, diagnosis
from limbeck.registry import Invocation, refers_to
from limbeck.reid.check import check_people, describe_people, list_sets
from limbeck.reid.diagnosis import view_features_of_run
from limbeck.reid.embedding import Feature
from limbeck.reid.evaluation import evaluate_runs
from limbeck.reid.export import export_model
from limbeck.reid.recipe import PeopleRecipe, ReidRecipe
from limbeck.reid.runs import load_run
from limbeck.reid.search import Modality, format_found, pictures_of, rank_folder, write_found
from limbeck.reid.sets import ReidSet, reid_sets
from limbeck.reid.train import train_run
from limbeck.reid.unsupervised.curves import write_curves
from limbeck.reid.unsupervised.recipe import UnsupervisedRecipe
from limbeck.reporting.progress import progress_bar
from limbeck.retrieval.arguments import add_protocol_arguments, per_query_of, permutations_of, ranks_of, reranking_of
from limbeck.training.arguments import add_training_arguments

_SPLITS = "train, validation, test, all or held_out, as far as the set has them"


def train_arguments(parser: ArgumentParser, recipe: type[PeopleRecipe] = ReidRecipe) -> None:
    """Flags of `limbeck train reid`."""
    add_training_arguments(parser)
    parser.add_class_arguments(recipe, as_group=False)


def train_unsupervised_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck train reid-unsupervised`."""
    train_arguments(parser, UnsupervisedRecipe)


def train_unsupervised(call: Invocation) -> Iterator[str]:
    """Train a model without labels, or go on with a training; see `train`."""
    yield from train(call, UnsupervisedRecipe)
    if os.environ.get("RANK", "0") == "0":
        yield f"Written: {write_curves(Path(call.out))}"


def train(call: Invocation, recipe: type[PeopleRecipe] = ReidRecipe) -> Iterator[str]:
    """Train a model, or go on with a training.

    Raises:
        SystemExit: a signal stopped the training; its checkpoint is written.
    """
    folder = Path(call.out)
    fitted = train_run(call.settings(recipe), folder, device=call.device, resolved=call.resolved)
    if fitted.stopped:
        raise SystemExit(TERMINATED)
    if os.environ.get("RANK", "0") == "0":
        yield f"Written: {folder / MODEL}"


def evaluate_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck evaluate RUN ...`."""
    add_protocol_arguments(parser)
    parser.add_argument("--feature", type=Feature, default="v", help="what is compared: v, z or v+z")
    _add_data(parser)
    parser.add_argument(
        "--out", type=str | None, default=None, help="folder for the report; default: one in the first run"
    )
    parser.add_argument("--seed", type=int, default=0, help="of what the report's pictures show")
    parser.add_argument("--device", type=str, default="cpu", help="where to compute")


def evaluate(call: Invocation) -> Iterator[str]:
    """Score models under a protocol and write a report."""
    yield evaluate_runs(
        [Path(run) for run in call.inputs],
        protocol=call.protocol,
        root=call.data,
        split=call.split,
        feature=call.feature,
        out=None if call.out is None else Path(call.out),
        device=call.device,
        permutations=permutations_of(call),
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
    parser.add_argument("--branch", type=Literal["shared", "specific"], default="shared", help="of the network")
    parser.add_argument("--device", type=str, default="cpu", help="where the network computes")


def diagnose(call: Invocation) -> Iterator[str]:
    """Diagnose a model on pairs of a visible and an infrared picture of one person."""
    (run,) = call.inputs
    split = call.split or "test"
    features = view_features_of_run(Path(run), root=call.data, split=split, branch=call.branch, device=call.device)
    return diagnosis(call, features)


def export_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck export RUN`."""
    add_export_arguments(parser, Feature)


def export(call: Invocation) -> Iterator[str]:
    """Write a model as programs, each with a line that says how well it agrees."""
    return export_run(call, load_run, export_model)


def is_set(word: str) -> bool:
    """Whether a word is the name of a set of people."""
    return word in reid_sets() or refers_to(ReidSet, word)


def list_known(call: Invocation) -> Iterator[str]:
    """List the sets of people."""
    del call
    yield list_sets()


def set_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck data describe SET DIR`."""
    parser.add_argument("place", type=str, help="where the set lies: its folder, or the table of a csv")


def describe_set(call: Invocation) -> Iterator[str]:
    """Say what a set holds."""
    yield describe_people(call.inputs[0], Path(call.place))


def check_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck data check SET DIR`."""
    set_arguments(parser)
    parser.add_argument("--decode", type=bool, default=True, help="open every picture too (true, false)")


def check_set(call: Invocation) -> Iterator[str]:
    """Compare a set with its official counts."""
    with progress_bar("pictures") as advance:
        yield check_people(call.inputs[0], Path(call.place), decode=call.decode, progress=advance)


def rank_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck reid rank`."""
    parser.add_argument("--model", type=str, required=True, help="a folder that `limbeck train reid` wrote")
    parser.add_argument("--query", type=str, nargs="+", required=True, help="pictures of people, or folders")
    parser.add_argument("--gallery", type=str, required=True, help="a folder of pictures")
    parser.add_argument("--first", type=int, default=10, help="how many to show")
    parser.add_argument("--query_modality", type=Modality, default="auto", help="auto: a grey picture is infrared")
    parser.add_argument("--gallery_modality", type=Modality, default="auto", help="the same, of every picture")
    parser.add_argument("--feature", type=Feature, default="v", help="what is compared: v, z or v+z")
    parser.add_argument("--out", type=str | None, default=None, help="folder for a page that shows the pictures")
    parser.add_argument("--device", type=str, default="cpu", help="where to compute")


def rank(call: Invocation) -> Iterator[str]:
    """Search a folder of pictures with some pictures."""
    queries = pictures_of([Path(query) for query in call.query])
    if not queries:
        raise InputError(f"--query {' '.join(call.query)}: holds no .jpg, .png or .bmp picture")
    model = load_run(Path(call.model), device=call.device)
    with progress_bar("pictures") as advance:
        found = rank_folder(
            model,
            queries,
            Path(call.gallery),
            first=call.first,
            query_modality=call.query_modality,
            gallery_modality=call.gallery_modality,
            feature=call.feature,
            progress=advance,
        )
    yield format_found(found)
    if call.out is not None:
        yield f"Written: {write_found(found, Path(call.out))}"


def _add_data(parser: ArgumentParser) -> None:
    parser.add_argument("--data", type=str | None, default=None, help="the set; default: where it lay in training")
    parser.add_argument("--split", type=str | None, default=None, help=f"{_SPLITS}; default: the set's own for tests")
