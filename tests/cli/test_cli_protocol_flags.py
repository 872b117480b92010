"""Ranks, the settings of re-ranking and a line for every query, from the shell."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from limbeck.cli import main
from limbeck.retrieval import Features, evaluate, named_protocols, save_features
from limbeck.retrieval.reranking import KReciprocal


@pytest.fixture
def held(tmp_path: Path) -> Features:
    generator = np.random.default_rng(0)
    identity = np.arange(60) % 12
    vectors = generator.normal(size=(12, 6))[identity] + generator.normal(size=(60, 6))
    features = Features.from_arrays(
        vectors,
        identity,
        camera=generator.integers(1, 4, 60),
        clothes=generator.integers(0, 2, 60),
        query=generator.random(60) < 0.4,
    )
    save_features(features, tmp_path / "held.npz")
    return features


def test_ranks_are_those_that_were_asked_for(
    held: Features, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["evaluate", str(tmp_path / "held.npz"), "--protocol", "msmt17", "--ranks", "7, 2,60"])
    shown = capsys.readouterr().out
    assert all(f" R{k} " in shown for k in (2, 7, 60))
    assert " R1 " not in shown
    (found,) = evaluate(held, named_protocols("msmt17"))
    assert f"{100 * found.cmc(7).mean:.2f}" in shown


def test_re_ranking_has_the_settings_that_were_given(
    held: Features, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(tmp_path / "held.npz"), "--protocol", "ltcc-clothes", "--rerank", "true"]
    main([*words, "--rerank_k1", "5", "--rerank_k2", "2", "--rerank_weight", "0.5"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "k1 5, k2 2, weight 0.5" in shown
    (found,) = evaluate(held, named_protocols("ltcc-clothes"), reranking=KReciprocal(5, 2, 0.5))
    assert f"{100 * found.mean_average_precision.mean:.2f}" in shown
    (usual,) = evaluate(held, named_protocols("ltcc-clothes"), reranking=KReciprocal())
    assert usual.mean_average_precision.mean != found.mean_average_precision.mean


def test_every_query_is_a_line(held: Features, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "made" / "queries.csv"
    main(["evaluate", str(tmp_path / "held.npz"), "--protocol", "ltcc", "--per_query", str(target)])
    assert f"Written: {target}" in capsys.readouterr().out
    with target.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    found = evaluate(held, named_protocols("ltcc"))
    assert [row["protocol"] for row in rows] == [one.protocol for one in found for _ in one.queries[0]]
    assert [int(row["row"]) for row in rows] == [query for one in found for query in one.queries[0].tolist()]
    assert [int(row["first_match"]) for row in rows] == [rank for one in found for rank in one.ranks[0].first.tolist()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ranks", "1,x"], "--ranks must be whole numbers from 1 with commas between, as 1,5,10, not '1,x'"),
        (["--ranks", "0,5"], "--ranks must be"),
        (["--ranks", "5,5"], "--ranks must be"),
        (["--ranks="], "--ranks must be"),
        (["--rerank_k1", "5"], "--rerank_k1: nothing is re-ranked; add --rerank true"),
        (["--rerank", "true", "--rerank_weight", "2"], "a weight in [0, 1], not 20, 6 and 2"),
        (["--rerank", "true", "--rerank_k2", "0"], "k1 and k2 of at least 1"),
    ],
)
def test_mistakes_are_one_line(
    held: Features, tmp_path: Path, refused: Callable[..., None], words: list[str], said: str
) -> None:
    refused(["evaluate", tmp_path / "held.npz", "--protocol", "msmt17", *words], said)
