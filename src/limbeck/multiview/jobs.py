"""The command's jobs on multi-view sets and classifiers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from jsonargparse import ArgumentParser

from limbeck.errors import InputError
from limbeck.files import array_names
from limbeck.information.arguments import add_diagnosis_arguments, diagnosis
from limbeck.multiview.catalogue import download
from limbeck.multiview.check import check, describe, list_sets
from limbeck.multiview.convert import convert, convert_tables
from limbeck.multiview.data import EMBEDDED, load
from limbeck.multiview.diagnosis import view_features_of_run, view_features_of_set
from limbeck.multiview.predictions import predict_run
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.runs import evaluate_run, train_run
from limbeck.multiview.tables import Join, Layout, is_table
from limbeck.registry import Invocation

Categories: TypeAlias = Literal["refuse", "one-hot"]

_SPLITS = "train, validation, test, or all"


def train_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck train multiview`."""
    parser.add_argument("--config", action="config", help="a YAML recipe; flags after it override its values")
    parser.add_argument("--data", type=str, default="digits", help="an NPZ file, a table, or the embedded set `digits`")
    _add_layout(parser)
    parser.add_argument("--fold", type=int, default=0, help="which stored fold to train on; of a table, one of 0 to 4")
    parser.add_argument("--seed", type=int, default=0, help="of initial weights, order and dropout")
    parser.add_argument("--device", type=str, default="cpu", help="where to compute")
    parser.add_argument("--out", type=str, required=True, help="folder for the model and its figures")
    parser.add_argument("--overwrite", action="store_true", help="replace a finished run in that folder")
    parser.add_argument(
        "--information_epochs",
        type=int,
        default=0,
        help="every so many epochs measure I(v;y) and I(z;y) on the validation split; 0: never",
    )
    parser.add_class_arguments(Recipe, "recipe")


def train(call: Invocation) -> Iterator[str]:
    """Train a classifier on the train split of a fold."""
    kept = call.values.clone()
    kept.overwrite = False  # who repeats this run by its recipe has not said that it may replace another
    yield train_run(
        call.data,
        Path(call.out),
        call.group("recipe"),
        fold=call.fold,
        seed=call.seed,
        device=call.device,
        resolved=Invocation(call.parser, kept).resolved,
        information_epochs=call.information_epochs,
        overwrite=call.overwrite,
        layout=Layout(labels_key=call.labels_key, index=call.index, groups=call.groups),
    )


def evaluate_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck evaluate RUN`."""
    _add_data(parser)
    parser.add_argument("--split", type=str, default="test", help=_SPLITS)
    parser.add_argument("--device", type=str, default="cpu", help="where to compute")
    parser.add_argument("--out", type=str | None, default=None, help="folder for figures and a page; default: the run")


def evaluate(call: Invocation) -> Iterator[str]:
    """Score a classifier on one split of a set."""
    run, *others = call.inputs
    if others:
        raise InputError(f"{others[0]}: multi-view models are scored one at a time")
    yield evaluate_run(
        Path(run), call.data, fold=call.fold, split=call.split, device=call.device, out=call.out and Path(call.out)
    )


def diagnose_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck diagnose RUN`."""
    add_diagnosis_arguments(parser)
    _add_data(parser)
    parser.add_argument("--split", type=str, default="test", help=_SPLITS)
    parser.add_argument("--device", type=str, default="cpu", help="where the network computes")


def diagnose(call: Invocation) -> Iterator[str]:
    """Diagnose a classifier on one split of a set."""
    (run,) = call.inputs
    features = view_features_of_run(Path(run), call.data, fold=call.fold, split=call.split, device=call.device)
    return diagnosis(call, features)


def is_set(word: str) -> bool:
    """Whether a word names a multi-view set: an embedded one, or an NPZ file with views."""
    return word in EMBEDDED or not {"view_0", "view_0_data"}.isdisjoint(array_names(word))


def may_be_set(word: str) -> bool:
    """Whether a word names a multi-view set, or a file that should be one."""
    return word in EMBEDDED or Path(word).suffix == ".npz" or Path(word).is_file()


def diagnose_set_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck diagnose SET`."""
    add_diagnosis_arguments(parser)
    parser.add_argument("--split", type=str, default="all", help=_SPLITS)
    parser.add_argument("--fold", type=int, default=0, help="which stored fold's split")


def diagnose_set(call: Invocation) -> Iterator[str]:
    """Diagnose the views of a set as they are."""
    (source,) = call.inputs
    return diagnosis(call, view_features_of_set(source, fold=call.fold, split=call.split))


def describe_set(call: Invocation) -> Iterator[str]:
    """Say what a set holds."""
    yield describe(load(call.inputs[0], gaps=True))


def check_set(call: Invocation) -> Iterator[str]:
    """Say what makes a set doubtful."""
    doubts = check(call.inputs[0])
    yield from (f"doubt: {doubt}" for doubt in doubts)
    yield f"{call.inputs[0]}: usable, {len(doubts)} doubt{'s' * (len(doubts) != 1)}"


def list_known(call: Invocation) -> Iterator[str]:
    """List the known sets."""
    del call
    yield list_sets()


def convert_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck data convert`."""
    parser.add_argument(
        "files",
        type=str,
        nargs="+",
        help="a .mat or .npz file, or tables (.csv, .tsv, .parquet), each of which is a view where there are several; "
        "behind them the NPZ file to write, where --out does not name it",
    )
    parser.add_argument("--out", type=str | None, default=None, help="the NPZ file to write; default: a new views.npz")
    parser.add_argument("--views_key", type=str | None, default=None, help="the array that holds the views")
    parser.add_argument("--labels", type=str | None, default=None, help="a table of the labels; `none`: there are none")
    _add_layout(parser)
    parser.add_argument(
        "--join",
        type=Join,
        default="exact",
        help="of tables that have different rows, outer: who is not in one lacks it",
    )
    parser.add_argument(
        "--categories", type=Categories, default="refuse", help="one-hot: texts become columns of 0 and 1"
    )
    parser.add_argument("--name", type=str | None, default=None, help="what to call the set")
    parser.add_argument("--folds", type=int, default=5, help="how many 70/20/10 folds to draw where none are stored")
    parser.add_argument("--seed", type=int, default=0, help="of the folds")


def convert_file(call: Invocation) -> Iterator[str]:
    """Make an NPZ of other files."""
    files, target = _files_and_target(call)
    drawn = {"name": call.name, "folds": call.folds, "seed": call.seed}
    if not is_table(files[0]):
        if len(files) > 1:
            raise InputError(f"{files[1]}: several files can only be tables; give one .mat or .npz file")
        for flag in ("labels", "index", "groups"):
            if getattr(call, flag) is not None:
                raise InputError(f"--{flag} is for tables; in {files[0]} the labels are an array: --labels_key")
        yield describe(convert(files[0], target, views_key=call.views_key, labels_key=call.labels_key, **drawn))
    else:
        if call.views_key is not None:
            raise InputError("views_key is for .mat and .npz files; of one table --groups says which view has what")
        layout = Layout(call.labels, call.labels_key, call.index, call.groups, call.join)
        done = convert_tables(files, target, layout, categories=call.categories, **drawn)
        yield describe(done.data) if done.data is not None else f"{done.samples} samples, without labels"
        yield from done.notes
    yield f"Written: {target}"


def _files_and_target(call: Invocation) -> tuple[list[str], str]:
    *files, last = call.files
    if call.out is not None:
        return call.files, call.out
    if files and Path(last).suffix == ".npz":
        return files, last
    if not is_table(call.files[0]):
        raise InputError("TARGET is missing: say where to write, behind the files or by --out")
    if Path("views.npz").exists():
        raise InputError("views.npz is there already: say by --out where to write")
    return call.files, "views.npz"


def download_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck data download`."""
    parser.add_argument("name", type=str, help="a set of `limbeck data list`")
    parser.add_argument("directory", type=str, help="where to put it")
    parser.add_argument("--url", type=str | None, default=None, help="another place to fetch it from")
    parser.add_argument("--sha256", type=str | None, default=None, help="the archive's checksum")


def download_set(call: Invocation) -> Iterator[str]:
    """Fetch a known set."""
    result = download(call.name, call.directory, url=call.url, sha256=call.sha256)
    yield f"Written: {result.path} (sha256 of the archive {result.sha256}; {result.verified})"


def predict_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck predict RUN DATA`."""
    parser.add_argument("run", type=str, help="a folder of `limbeck train multiview`, or its model file")
    parser.add_argument("data", type=str, nargs="+", help="an NPZ file or tables, with labels or without, or `digits`")
    parser.add_argument("--out", type=str, required=True, help="the CSV file to write")
    _add_layout(parser)
    parser.add_argument(
        "--join",
        type=Join | None,
        default=None,
        help="of tables that have different rows, outer: who is not in one lacks it",
    )
    parser.add_argument("--threshold", type=float | None, default=None, help="abstain below this probability")
    parser.add_argument(
        "--coverage",
        type=float | None,
        default=None,
        help="abstain where the set of classes that holds the label with this probability is not exactly one",
    )
    parser.add_argument("--split", type=str, default="all", help=_SPLITS)
    parser.add_argument("--fold", type=int, default=0, help="which stored fold's split")
    parser.add_argument("--device", type=str, default="cpu", help="where to compute")


def predict(call: Invocation) -> Iterator[str]:
    """Answer for every sample of a file."""
    yield predict_run(
        Path(call.run),
        call.data,
        Path(call.out),
        split=call.split,
        fold=call.fold,
        threshold=call.threshold,
        coverage=call.coverage,
        device=call.device,
        labels_key=call.labels_key,
        index=call.index,
        groups=call.groups,
        join=call.join,
    )


def _add_layout(parser: ArgumentParser) -> None:
    parser.add_argument("--labels_key", type=str | None, default=None, help="the array or column that holds the labels")
    parser.add_argument("--index", type=str | None, default=None, help="of tables, the column that names the rows")
    parser.add_argument(
        "--groups", type=str | None, default=None, help="of one table, a YAML file that maps each view to its columns"
    )


def _add_data(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=str | None,
        default=None,
        help="an NPZ file, a table, or the set `digits`; default: what the run was trained on, unchanged since",
    )
    parser.add_argument(
        "--fold", type=int | None, default=None, help="which stored fold's split; default: the run's, of its own set"
    )
