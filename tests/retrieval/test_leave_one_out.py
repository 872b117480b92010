"""Deep metric learning: Recall@K, R-precision, MAP@R against brute force, with copies, singles, the query itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.retrieval.references import rank_one, ranked_list

from limbeck.errors import InputError
from limbeck.retrieval import Features, LeaveOneOut, evaluate, named_protocols, ranked_lists
from limbeck.retrieval.report.table import evaluations_as_json, format_evaluations


def drawn(seed: int, items: int, classes: int, kind: type = np.float64) -> tuple[NDArray, NDArray[np.int64]]:
    """Embeddings that are copies of one another in places, some classes with a single item."""
    generator = np.random.default_rng(seed)
    vectors = generator.integers(-2, 3, (items, 4)).astype(kind)
    vectors[vectors.any(axis=1) == 0] = 1
    return vectors, generator.integers(0, classes, items)


def brute(vectors: NDArray, labels: NDArray, asked: NDArray, searched: NDArray, *, itself: bool) -> list:
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    found = []
    for query in np.flatnonzero(asked):
        gallery = np.flatnonzero(searched)
        similarity = np.round(unit[gallery] @ unit[query], 12)  # equal ones are equal here
        place = gallery if itself else np.full(len(gallery), -1)
        seen = ranked_list(similarity, int(labels[query]), int(query), labels[gallery], place, "place")
        found.append((rank_one(seen, int(labels[query]), unique_identity=False), seen, int(labels[query])))
    return found


@pytest.mark.parametrize("device", [None, "cpu"])
@pytest.mark.parametrize("seed", range(4))
def test_equals_brute_force(seed: int, device: str | None) -> None:
    vectors, labels = drawn(seed, 60, 25)
    (found,) = evaluate(Features.from_arrays(vectors, labels), named_protocols("cub"), device=device, memory=5000)
    everything = np.ones(len(labels), bool)
    reference = brute(vectors, labels, everything, everything, itself=True)
    (figures,), matched = found.trials, [one for one in reference if one[0].matches]
    assert figures.unmatched == len(reference) - len(matched) > 0
    for k in found.recalls:
        recall = np.mean([label in seen[:k] for _, seen, label in matched])
        assert figures.rank(k) == pytest.approx(recall, abs=1e-12)
    for name in ("r_precision", "average_precision_at_r"):
        expected = np.mean([getattr(one, name) for one, _, _ in matched])
        assert np.nanmean(getattr(found.ranks[0], name)) == pytest.approx(expected, abs=1e-12)
    assert figures.r_precision == pytest.approx(np.mean([one.r_precision for one, _, _ in matched]), abs=1e-12)


def test_in_shop_removes_nothing() -> None:
    vectors, labels = drawn(7, 80, 12, np.float32)
    query = np.arange(80) % 3 == 0
    (found,) = evaluate(Features.from_arrays(vectors, labels, query=query), named_protocols("inshop"))
    reference = [one for one in brute(vectors, labels, query, ~query, itself=False) if one[0].matches]
    recall = np.mean([label in seen[:10] for _, seen, label in reference])
    assert found.cmc(10).mean == pytest.approx(recall, abs=1e-12)
    expected = np.mean([one.average_precision_at_r for one, _, _ in reference])
    assert found.mean_average_precision_at_r.mean == pytest.approx(expected, abs=1e-12)


def test_a_copy_of_another_class_is_an_error_and_the_query_itself_none() -> None:
    # Dropping "the first neighbour" would drop the copy in place of the query, and give 1.
    features = Features.from_arrays([[1.0, 0], [1.0, 0], [0.9, 0.1]], [0, 1, 1])
    (found,) = evaluate(features, LeaveOneOut())
    assert found.ranks[0].first.tolist() == [0, 2, 2]  # of equals the first in the gallery
    assert found.trials[0].unmatched == 1
    for one in ranked_lists(features, LeaveOneOut(), k=3):
        assert one.query not in one.items
        assert len(one.items) == 2


def test_k_beyond_the_gallery_counts_everything() -> None:
    (found,) = evaluate(Features.from_arrays(np.eye(4), [0, 0, 1, 1]), named_protocols("sop"))
    assert found.cmc(1000).mean == 1


def test_table_and_json_show_what_the_protocol_asks() -> None:
    found = evaluate(Features.from_arrays(np.eye(4), [0, 0, 1, 1]), named_protocols("sop"))
    table = format_evaluations(found)
    assert all(word in table for word in ("R1000", "R-precision", "MAP@R", "itself removed by index"))
    assert "mINP" not in table
    (values,) = evaluations_as_json(found)
    assert set(values["cmc"]) == {"1", "10", "100", "1000"}
    assert "mean_average_precision_at_r" in values


def test_in_shop_needs_queries() -> None:
    with pytest.raises(InputError, match="needs 'query'"):
        evaluate(Features.from_arrays(np.eye(2), [0, 0]), named_protocols("inshop"))


def test_torchmetrics_agrees_where_it_can() -> None:
    retrieval = pytest.importorskip("torchmetrics.retrieval")
    generator = np.random.default_rng(3)
    vectors, labels = generator.normal(size=(40, 5)), generator.integers(0, 6, 40)
    (found,) = evaluate(Features.from_arrays(vectors, labels), named_protocols("cub"))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    row, column = (part.ravel() for part in np.indices((40, 40)))
    other = row != column
    preds = torch.from_numpy((unit @ unit.T)[row[other], column[other]])
    target = torch.from_numpy(labels[row[other]] == labels[column[other]])
    index = torch.from_numpy(row[other])
    for k in (1, 4):
        score = retrieval.RetrievalHitRate(top_k=k, empty_target_action="skip")(preds, target, indexes=index)
        assert found.cmc(k).mean == pytest.approx(float(score), abs=1e-6)
    score = retrieval.RetrievalRPrecision(empty_target_action="skip")(preds, target, indexes=index)
    assert found.r_precision.mean == pytest.approx(float(score), abs=1e-6)
