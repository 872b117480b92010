"""Evaluation by counting ranks against evaluation by sorting: CPU seconds, and memory at a million."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable

import numpy as np
from rich.table import Table

from benchmarks import references
from limbeck.retrieval.evaluation import evaluate
from limbeck.retrieval.features import Features
from limbeck.retrieval.protocols import SYSU, Market
from limbeck.retrieval.ranking import Labels, Ranker
from limbeck.retrieval.similarity import similarities

WIDTH = 512
# SYSU-MM01's test identities and pictures of each camera, and Market-1501's sizes.
SYSU_CELLS = {1: (56, 1374), 2: (56, 1565), 3: (93, 1883), 4: (94, 1918), 5: (95, 1918), 6: (96, 1920)}
MARKET = (3368, 15913, 750, 6)
MILLION = (100_000, 1_000_000, 16)
PEOPLE = 50_000


def run() -> Table:
    table = Table(title="Evaluation: CPU seconds of a process (all threads), median of 3")
    for heading in ("task", "how", "CPU seconds", "against counting"):
        table.add_column(heading, justify="left" if heading in {"task", "how"} else "right")
    for task, candidates in (("SYSU, 10 trials, all rules", _sysu()), ("Market-1501 size", _market())):
        seconds = {name: _cpu(function, 1 if "Python" in name else 3) for name, function in candidates.items()}
        fastest = seconds[next(iter(candidates))]
        for name, value in seconds.items():
            table.add_row(task, name, f"{value:.2f}", f"{value / fastest:.1f}")
    table.add_section()
    queries, gallery, width = MILLION
    peak, wall = _in_a_process(_million)
    table.add_row(
        f"{queries:,} x {gallery:,}, {width}-d",
        f"counting, 256 MiB of similarities: peak memory {peak / 2**20:,.0f} MiB "
        f"(the matrix would take {queries * gallery * 4 / 2**30:,.0f} GiB)",
        f"{wall:.0f}",
        "",
    )
    return table


def _cpu(function: Callable[[], object], repeats: int) -> float:
    function()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def _sysu() -> dict[str, Callable[[], object]]:
    generator = np.random.default_rng(0)
    identity, camera = [], []
    for number, (people, pictures) in SYSU_CELLS.items():
        identity.append(np.sort(np.arange(pictures) % people))
        camera.append(np.full(pictures, number))
    labels, cameras = np.concatenate(identity), np.concatenate(camera)
    centres = generator.normal(size=(96, WIDTH))
    vectors = (centres[labels] + 3 * generator.normal(size=(len(labels), WIDTH))).astype(np.float32)
    features = Features.from_arrays(vectors, labels, camera=cameras)
    protocol = SYSU()
    place = protocol.places(features)
    trials = protocol.trials(features)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def counting() -> float:
        return evaluate(features, protocol)[0].mean_average_precision.mean

    def sorting() -> float:
        figures = [
            references.sysu_by_sorting(
                -(unit[trial.queries] @ unit[trial.gallery].T),
                (labels[trial.queries], place[trial.queries]),
                (labels[trial.gallery], place[trial.gallery]),
            )[1]
            for trial in trials
        ]
        return float(np.mean(figures))

    assert abs(counting() - sorting()) < 1e-6
    return {"counting (limbeck, matrix product included)": counting, "sorting, plain Python": sorting}


def _market() -> dict[str, Callable[[], object]]:
    generator = np.random.default_rng(1)
    queries, gallery, people, cameras = MARKET
    size = queries + gallery
    identity, camera = generator.integers(0, people, size), generator.integers(0, cameras, size)
    centres = generator.normal(size=(people, WIDTH))
    vectors = (centres[identity] + 3 * generator.normal(size=(size, WIDTH))).astype(np.float32)
    features = Features.from_arrays(vectors, identity, camera=camera, query=np.arange(size) < queries)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = unit[:queries] @ unit[queries:].T
    asked, searched = (identity[:queries], camera[:queries]), (identity[queries:], camera[queries:])

    def counting() -> float:
        ranks = Ranker(Labels(*searched), removal="identity-and-place").rank(similarity, Labels(*asked))
        return float(np.nanmean(ranks.average_precision))

    def whole() -> float:
        return evaluate(features, Market())[0].mean_average_precision.mean

    def compiled() -> float:
        return references.market_by_compiled_sorting(-similarity, asked, searched)[1]

    def plain() -> float:
        part = slice(0, queries // 10)
        return references.market_by_sorting(-similarity[part], tuple(a[part] for a in asked), searched)[1]  # type: ignore[arg-type]

    assert abs(counting() - compiled()) < 1e-6
    assert abs(counting() - whole()) < 1e-6
    return {
        "counting (limbeck), of a ready matrix": counting,
        "the same, matrix product included": whole,
        "sorting, loop compiled, of a ready matrix": compiled,
        "sorting, plain Python, a tenth of the queries": plain,
    }


def _million() -> None:
    generator = np.random.default_rng(2)
    queries, gallery, width = MILLION
    labels = Labels(np.arange(gallery) % PEOPLE, np.arange(gallery) % 7)
    ranker = Ranker(labels, removal="identity-and-place")
    centres = generator.normal(size=(PEOPLE, width)).astype(np.float32)
    identity, place = generator.integers(0, PEOPLE, queries), generator.integers(0, 7, queries)
    found, asked = (
        centres[who] + 0.3 * generator.normal(size=(len(who), width)).astype(np.float32)
        for who in (labels.identity, identity)
    )
    for part, block in similarities(asked, found):
        ranker.rank(block, Labels(identity[part], place[part]))


def _in_a_process(function: Callable[[], None]) -> tuple[int, float]:
    """Peak resident bytes and seconds of a function that runs in a fresh process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(function, sender))
    process.start()
    peak, seconds = receiver.recv()
    process.join()
    return peak, seconds


def _report(function: Callable[[], None], sender: object) -> None:
    start = time.perf_counter()
    function()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sender.send((peak, time.perf_counter() - start))  # type: ignore[attr-defined]
