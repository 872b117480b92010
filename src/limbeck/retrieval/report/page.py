"""Write what there is to see of an evaluation into one folder, with a page that shows and explains it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.files import atomic_writer, write_json
from limbeck.modalities import MODALITIES
from limbeck.reporting.html import Page
from limbeck.reporting.plots import png
from limbeck.reporting.progress import Progress
from limbeck.retrieval.evaluation import Evaluation
from limbeck.retrieval.features import Features
from limbeck.retrieval.protocols import Protocol
from limbeck.retrieval.report.curves import cmc_figure, precision_figure
from limbeck.retrieval.report.projection import NEIGHBOURS, Map, project, projection_figure
from limbeck.retrieval.report.queries import trials_of, write_queries
from limbeck.retrieval.report.sheet import Pictures, ShownQuery, choose_queries, sheet_figure
from limbeck.retrieval.report.table import described, evaluations_as_json, headings, table_rows
from limbeck.retrieval.reranking import KReciprocal
from limbeck.retrieval.similarity import Similarity
from limbeck.retrieval.top_k import ranked_lists


def write_report(
    folder: str | os.PathLike[str],
    evaluations: Sequence[Evaluation],
    features: Features | Sequence[Features],
    protocols: Protocol | Sequence[Protocol],
    *,
    picture: Pictures | None,
    title: str,
    notes: Sequence[str] = (),
    representations: Mapping[str, NDArray[np.floating]] | None = None,
    names: Sequence[str] | None = None,
    similarity: Similarity = "cosine",
    reranking: KReciprocal | None = None,
    rows: int = 9,
    k: int = 10,
    identities: int = 20,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Path]:
    """Write the report of some evaluations: `index.html` and the files that it shows.

    Files: `figures.json`; `queries-PROTOCOL.csv` for each evaluation; `cmc.png`; `average-precision.png`; `ranked.png`,
    where there are pictures; `projection.png`, where there are representations; `index.html`, written last.

    Args:
        folder: where to; made when absent.
        evaluations: what `evaluate` gave.
        features: what it was given; where it was given several, pictures and representations are those of the first.
        protocols: what it was given, in the order of the evaluations.
        picture: gives the (height, width, 3) uint8 pixels of the item at a position; None: there are no pictures.
        title: of the page.
        notes: sentences for the page and the JSON file: which weights, which data, what is synthetic.
        representations: name -> (items, features) of the items of `features`, to be mapped with t-SNE.
        names: of identity 0, 1, ..., to be written beneath pictures; None: those of the features, or the numbers.
        similarity: that of the evaluation.
        reranking: that of the evaluation.
        rows: queries in `ranked.png`, which is of the first evaluation and its first trial.
        k: pictures beside each of them.
        identities: in `projection.png`, at most.
        seed: of the queries and identities that are drawn, and of t-SNE.
        progress: called with (files done, files in all).

    Returns:
        The files, in the order above.

    Raises:
        InputError: there is no evaluation, or protocols, features, pictures or representations do not belong to them.
        OSError: the folder cannot be made, or the disk is full.
    """
    chosen = [protocols] if isinstance(protocols, Protocol) else list(protocols)
    runs = [features] if isinstance(features, Features) else list(features)
    if not evaluations or not runs or len(chosen) != len(evaluations):
        raise InputError(
            f"a report needs evaluations, their features and a protocol for each; there are {len(evaluations)} "
            f"evaluations, {len(runs)} features and {len(chosen)} protocols"
        )
    trials = [trials_of(one, protocol, runs) for one, protocol in zip(evaluations, chosen, strict=True)]
    home, held = Path(folder), runs[0]
    sheet_of = None if picture is None else _first_trial(evaluations[0], trials[0], held)
    total = 4 + len(evaluations) + (sheet_of is not None) + bool(representations)
    files: list[Path] = []

    def written(name: str, data: bytes | None = None) -> None:
        if data is not None:
            with atomic_writer(home / name) as stream:
                stream.write(data)
        files.append(home / name)
        if progress is not None:
            progress(len(files), total)

    shown: list[ShownQuery] = []
    if sheet_of is not None:
        shown = _shown_queries(
            evaluations[0],
            chosen[0],
            held,
            trial=sheet_of,
            rows=rows,
            k=k,
            seed=seed,
            similarity=similarity,
            reranking=reranking,
        )
    maps: list[Map] = []
    if representations:
        maps = project(representations, held.identity, held.modality, identities=identities, seed=seed)
    # Before the first file is written: what is wrong with a picture should show while there is nothing to tidy up.
    pictures = _drawn(evaluations, held, shown, maps, picture, k=k, names=names or held.names)
    dark = None
    if picture is not None and shown:
        dark = png(sheet_figure(shown, held, picture, k=k, names=names or held.names, dark=True))
    write_json(home / "figures.json", _figures(title, notes, seed, evaluations, shown, maps))
    written("figures.json")
    tables = _table_names(evaluations)
    for one, protocol, name in zip(evaluations, chosen, tables, strict=True):
        write_queries(home / name, [one], [protocol], runs, similarity=similarity, reranking=reranking)
        written(name)
    for name, data in pictures.items():
        written(name, data)
    page = Page(title)
    _introduce(page, evaluations, runs, notes)
    _show_curves(page, pictures)
    _show_ranked(page, pictures, dark, evaluations[0], chosen[0], trial=sheet_of, rows=len(shown), seed=seed)
    if maps:
        _show_maps(page, pictures["projection.png"], maps, held, seed=seed)
    _list_files(page, tables, evaluations, pictures)
    page.write(home / "index.html")
    written("index.html")
    return files


def _drawn(
    evaluations: Sequence[Evaluation],
    features: Features,
    shown: Sequence[ShownQuery],
    maps: Sequence[Map],
    picture: Pictures | None,
    *,
    k: int,
    names: Sequence[str] | None,
) -> dict[str, bytes]:
    """The name and the PNG of every picture of the report."""
    pictures = {"cmc.png": png(cmc_figure(evaluations)), "average-precision.png": png(precision_figure(evaluations))}
    if picture is not None and shown:
        pictures["ranked.png"] = png(sheet_figure(shown, features, picture, k=k, names=names))
    if maps:
        pictures["projection.png"] = png(projection_figure(maps, features.identity, features.modality))
    return pictures


def _figures(
    title: str,
    notes: Sequence[str],
    seed: int,
    evaluations: Sequence[Evaluation],
    shown: Sequence[ShownQuery],
    maps: Sequence[Map],
) -> dict[str, Any]:
    """What `figures.json` holds."""
    return {
        "title": title,
        "notes": list(notes),
        "seed": seed,
        "evaluations": evaluations_as_json(evaluations),
        "ranked": [_row_as_json(row) for row in shown],
        "projection": [_map_as_json(one) for one in maps],
    }


def _first_trial(evaluation: Evaluation, trials: Sequence[tuple[Features, int]], held: Features) -> int | None:
    """The first trial of the first features in which some query has a match."""
    for number, (owner, _) in enumerate(trials):
        if owner is held and evaluation.trials[number].queries:
            return number
    return None


def _shown_queries(
    evaluation: Evaluation,
    protocol: Protocol,
    features: Features,
    *,
    trial: int,
    rows: int,
    k: int,
    seed: int,
    similarity: Similarity,
    reranking: KReciprocal | None,
) -> list[ShownQuery]:
    ranks = evaluation.ranks[trial]
    chosen = choose_queries(ranks, count=rows, seed=seed)
    lists = ranked_lists(
        features,
        protocol,
        trial=trial,
        queries=evaluation.queries[trial][chosen],
        k=k,
        similarity=similarity,
        reranking=reranking,
    )
    return [
        ShownQuery(found, int(ranks.first[index]), float(ranks.average_precision[index]))
        for found, index in zip(lists, chosen.tolist(), strict=True)
    ]


def _introduce(page: Page, evaluations: Sequence[Evaluation], runs: Sequence[Features], notes: Sequence[str]) -> None:
    held = runs[0]
    size = f"{len(held)} items of {len(np.unique(held.identity[held.identity >= 0]))} identities"
    several = f"; {len(runs)} such sets, each of a model of its own" if len(runs) > 1 else ""
    page.paragraph(f"Retrieval by {held.held} of each of {size}{several}.")
    page.bullets(notes)
    page.heading("Figures")
    page.table(
        headings(evaluations),
        table_rows(evaluations),
        "Per cent: mean ± standard deviation, and in brackets the standard error of the mean; what they are over is "
        "said below. R1: share of queries whose first match stands at rank 1. Queries: those with a match; the "
        "unmatched are left out of every figure.",
    )
    page.bullets(described(evaluations))


def _show_curves(page: Page, pictures: Mapping[str, bytes]) -> None:
    page.heading("Cumulative match characteristic")
    page.picture(
        pictures["cmc.png"],
        "Curves of the share of queries with a match among the first k, over k",
        "Share of queries whose first match stands among the first k, counted as the protocol's rules say. Line: the "
        "mean; band: one standard deviation to each side, over models or galleries as said above, none without a "
        "spread. "
        "Where all curves lie far above 0 the vertical axis begins above it.",
        link="cmc.png",
    )
    page.heading("Average precision, query by query")
    page.picture(
        pictures["average-precision.png"],
        "Curves of the average precision of all queries, sorted from the worst to the best",
        "Every query with a match, of all trials, sorted by its average precision: the height at 50 is the median "
        "query, the area under a curve the mean. The same mAP can come from many middling queries or from some that "
        "succeed while others fail.",
        link="average-precision.png",
    )


def _show_ranked(
    page: Page,
    pictures: Mapping[str, bytes],
    dark: bytes | None,
    evaluation: Evaluation,
    protocol: Protocol,
    *,
    trial: int | None,
    rows: int,
    seed: int,
) -> None:
    page.heading("What some queries find")
    if "ranked.png" not in pictures:
        page.paragraph("No pictures were given, or no query has a match: there is no sheet of ranked pictures.")
        return
    assert trial is not None
    counted = (
        " The rows show pictures, while R1 and the like count identities under this protocol's rules."
        if protocol.unique_identity
        else ""
    )
    removed = "" if protocol.removal == "none" else " Pictures that the rules remove for a query are not shown."
    groups = (
        f"cut into {rows} groups of equal size, and one query of each group was drawn at random (seed {seed}); the "
        "worst stands on top"
        if rows > 1
        else f"and one was drawn at random (seed {seed})"
    )
    page.picture(
        pictures["ranked.png"],
        f"{rows} queries, each with the gallery pictures nearest to it, marked as right or wrong",
        f"{evaluation.protocol}, trial {trial}. The rule: the {evaluation.trials[trial].queries} queries with a match "
        f"were sorted by average precision (AP), {groups}. Nothing was picked by hand.\n"
        "Left: the query. Right: what it finds, nearest first. Green frame and ✓: the query's identity; red frame and "
        "✗: another. Beneath: identity and camera, where it is known; of the query its AP, of what it finds the "
        f"similarity.{removed}{counted}",
        link="ranked.png",
        dark=dark,
    )


def _show_maps(page: Page, data: bytes, maps: Sequence[Map], features: Features, *, seed: int) -> None:
    shown = maps[0].items
    people = len(np.unique(features.identity[shown]))
    kinds = 0 if features.modality is None else len(np.unique(features.modality[shown]))
    mixed = (
        " Right: both modalities by modality (circles visible, triangles infrared). Cross-modal neighbours: the share "
        f"of each item's {min(NEIGHBOURS, len(shown) - 1)} nearest neighbours that are of the other modality, divided "
        "by the share that would be if modality did not matter; 1 is free mixing, 0 complete separation."
        if kinds == 2
        else ""
    )
    page.heading("Map of the representations")
    page.picture(
        data,
        "Scatter plots of each representation, by identity and by modality",
        f"t-SNE (seed {seed}) of {len(shown)} items of {people} identities drawn at random, the panels of a row cut "
        "from one projection of all of them. By identity: an identity has one colour and marker in all panels.\n"
        "Distances and sizes of clusters on such a map mean little, so each panel bears figures of the "
        "representation itself (vectors of length 1). Silhouette of identities: 1 if every item lies far nearer to its "
        f"own identity than to any other, 0 if between two, below if nearer to another.{mixed}",
        link="projection.png",
    )
    parts = (*MODALITIES, "all")
    page.table(
        ["representation", *(f"silhouette, {part}" for part in parts), "cross-modal neighbours"],
        [
            [
                one.name,
                *(_plain(one.silhouette.get(part, math.nan)) for part in parts),
                _plain(one.mixing),
            ]
            for one in maps
        ],
        "The figures under the panels.",
    )


def _list_files(
    page: Page, tables: Sequence[str], evaluations: Sequence[Evaluation], pictures: Mapping[str, bytes]
) -> None:
    page.heading("Files")
    known = {
        "cmc.png": "the curves of the first picture",
        "average-precision.png": "the curves of the second",
        "ranked.png": "the sheet of ranked pictures",
        "projection.png": "the map of the representations",
    }
    page.links(
        [
            ("figures.json", "all figures, of every trial, as plain values in [0, 1]"),
            *(
                (
                    name,
                    f"every query of every trial of {one.protocol}: rank of its first match as CMC counts it "
                    "(0: none), average precision, inverse negative penalty, matches, and the item that it finds first",
                )
                for name, one in zip(tables, evaluations, strict=True)
            ),
            *((name, known[name]) for name in pictures),
        ]
    )


def _table_names(evaluations: Sequence[Evaluation]) -> list[str]:
    """A file name for each evaluation's queries; a protocol that comes twice gets a number."""
    names: list[str] = []
    for one in evaluations:
        stem = "queries-" + (re.sub(r"[^A-Za-z0-9_.-]+", "-", one.protocol).strip("-.") or "unnamed")
        name, number = f"{stem}.csv", 1
        while name in names:
            number += 1
            name = f"{stem}-{number}.csv"
        names.append(name)
    return names


def _plain(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}".replace("-", "−")


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _row_as_json(row: ShownQuery) -> dict[str, Any]:
    return {
        "query": row.found.query,
        "first_match": row.first_match,
        "average_precision": _known(row.average_precision),
        "items": row.found.items.tolist(),
        "similarity": row.found.similarity.tolist(),
        "right": row.found.right.tolist(),
    }


def _map_as_json(one: Map) -> dict[str, Any]:
    return {
        "representation": one.name,
        "items": len(one.items),
        "silhouette": {part: _known(value) for part, value in one.silhouette.items()},
        "cross_modal_neighbours": _known(one.mixing),
    }
