"""What verbs do with files of features, of whatever model: score, diagnose, search, draw them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jsonargparse import ArgumentParser
from numpy.typing import NDArray

from limbeck.arrayfiles import ENDINGS
from limbeck.csvfiles import csv_text
from limbeck.errors import InputError
from limbeck.images.decoding import read_image
from limbeck.information.arguments import add_diagnosis_arguments, diagnosis
from limbeck.information.diagnosis import load_view_features
from limbeck.registry import Invocation
from limbeck.reporting.progress import progress_bar
from limbeck.retrieval import Features, Protocol, load_features
from limbeck.retrieval import evaluate as score
from limbeck.retrieval.arguments import add_protocol_arguments, per_query_of, permutations_of, ranks_of, reranking_of
from limbeck.retrieval.files import load_all, load_sides, parse_keys
from limbeck.retrieval.protocols import named_protocols
from limbeck.retrieval.report import write_report
from limbeck.retrieval.report.matches import find_matches, match_rows, write_matches
from limbeck.retrieval.report.queries import write_queries
from limbeck.retrieval.report.table import format_evaluations


def is_features(word: str) -> bool:
    """Whether a word is the name of a file that may hold features, be it there or not."""
    return Path(word).suffix.lower() in ENDINGS


def _add_files(parser: ArgumentParser, *, queries: bool = True) -> None:
    parser.add_argument("--labels", type=str | None, default=None, help="a file of labels for the rows of the first")
    if queries:
        parser.add_argument(
            "--queries", type=str | None, default=None, help="a file of the queries; the first: gallery"
        )
        parser.add_argument("--query_labels", type=str | None, default=None, help="a file of labels of the queries")
    parser.add_argument(
        "--keys", type=str | None, default=None, help="which array is what: feature=NAME,identity=NAME,..."
    )


def evaluate_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck evaluate FEATURES.npz`."""
    add_protocol_arguments(parser)
    _add_files(parser)
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
    reranking, ranks, per_query = reranking_of(call), ranks_of(call), per_query_of(call)
    if len(call.inputs) > 1 and (call.queries, call.labels) != (None, None):
        raise InputError(f"{call.inputs[1]}: --queries and --labels are those of one file of features: evaluate one")
    keys = parse_keys(call.keys)
    features = [
        load_features(path, queries=call.queries, labels=call.labels, query_labels=call.query_labels, keys=keys)
        for path in call.inputs
    ]
    if call.queries is not None:
        _check_asks(protocols, features[0])
    if call.out is not None:  # rather now than after the work
        Path(call.out).mkdir(parents=True, exist_ok=True)
    with progress_bar("queries") as advance:
        evaluations = score(
            features,
            protocols,
            similarity=call.similarity,
            reranking=reranking,
            device=None if call.device == "cpu" else call.device,
            recalls=ranks,
            progress=advance,
        )
    yield format_evaluations(evaluations)
    if per_query is not None:
        write_queries(per_query, evaluations, protocols, features, similarity=call.similarity, reranking=reranking)
        yield f"Written: {per_query}\n"
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


def _check_asks(protocols: Sequence[Protocol], features: Features) -> None:
    """Raise InputError where a protocol would not ask with the queries of a file of their own."""
    assert features.query is not None
    for protocol in protocols:
        for trial in protocol.trials(features):
            if not features.query[trial.queries].all() or features.query[trial.gallery].any():
                raise InputError(
                    f"--queries: {protocol.name} chooses queries by its own rules; leave --queries out, or choose a "
                    "protocol of queries and gallery, such as market or inshop"
                )


def diagnose_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck diagnose FEATURES`."""
    add_diagnosis_arguments(parser)
    _add_files(parser, queries=False)


def diagnose(call: Invocation) -> Iterator[str]:
    """Diagnose features of paired views.

    Raises:
        InputError: the features cannot be used.
        OSError: the report's folder cannot be written.
    """
    features = load_view_features(call.inputs[0], labels=call.labels, keys=parse_keys(call.keys))
    return diagnosis(call, features)


def search_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck search`."""
    parser.add_argument("features", type=str, help="a file of features: what is searched")
    _add_files(parser)
    parser.add_argument("--top", type=int, default=10, help="how many items of each query")
    parser.add_argument(
        "--similarity", type=Literal["cosine", "euclidean", "dot"], default="cosine", help="of features"
    )
    parser.add_argument("--out", type=str | None, default=None, help="folder for a table and a page; default: stdout")
    parser.add_argument("--pictures", type=str | None, default=None, help="folder that the paths begin in")
    parser.add_argument("--shown", type=int, default=20, help="queries on the page, at most")


def search(call: Invocation) -> Iterator[str]:
    """Find the items most similar to some queries.

    Raises:
        InputError: the files cannot be used, or a picture cannot be read.
        OSError: the folder cannot be written.
    """
    if call.top < 1:
        raise InputError(f"--top must be at least 1, not {call.top}")
    keys = parse_keys(call.keys)
    queries, gallery = load_sides(
        call.features, queries=call.queries, labels=call.labels, query_labels=call.query_labels, keys=keys
    )
    matches = find_matches(queries, gallery, k=call.top, similarity=call.similarity)
    if call.out is None:
        if call.pictures is not None:
            raise InputError("--pictures are shown on a page: add --out FOLDER")
        yield csv_text(match_rows(matches))
        return
    root = Path(call.features).parent if call.pictures is None else Path(call.pictures)
    paths = "path" in queries and "path" in gallery
    if call.pictures is not None and not paths:
        raise InputError("--pictures needs a 'path' of queries and gallery: name it with --keys path=NAME")
    # Paths of another machine are still names; that they are not there is said below.
    shown = paths and (call.pictures is not None or (root / str(gallery["path"][0])).is_file())

    def thumbnail(path: str) -> NDArray[np.uint8]:
        return read_image(root / path, 128)

    title = f"What {Path(call.queries or call.features).name} finds first in {Path(call.features).name}"
    files = write_matches(matches, call.out, thumbnail=thumbnail if shown else None, shown=call.shown, title=title)
    yield "Written: " + ", ".join(map(str, files)) + ("" if shown else "; without pictures")


def project_arguments(parser: ArgumentParser) -> None:
    """Flags of `limbeck project`."""
    parser.add_argument("features", type=str, help="a file of features")
    _add_files(parser, queries=False)
    parser.add_argument("--out", type=str, required=True, help="folder for a picture by each label, and the points")
    parser.add_argument(
        "--method", type=Literal["tsne", "umap"], default="tsne", help="umap where umap-learn is installed"
    )
    parser.add_argument("--items", type=int, default=5000, help="at most; of more as many are drawn")
    parser.add_argument("--seed", type=int, default=0, help="of the draw and of the method")


def project(call: Invocation) -> Iterator[str]:
    """Draw features in the plane, by every label that the file holds.

    Raises:
        InputError: the file cannot be used.
        OSError: the folder cannot be written.
    """
    from limbeck.retrieval.report.plane import write_plane  # noqa: PLC0415 - slow to import

    if call.items < 2:
        raise InputError(f"--items must be at least 2, not {call.items}")
    items = load_all(call.features, labels=call.labels, keys=parse_keys(call.keys))
    told, files = write_plane(items, Path(call.out), method=call.method, most=call.items, seed=call.seed)
    yield f"{told}. Written: " + ", ".join(map(str, files))
