"""Embeddings in memory and on disk: what fits, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from limbeck.errors import InputError
from limbeck.retrieval import Features, evaluate, load_features, save_features, top_k
from limbeck.retrieval.protocols import LeaveOneOut
from limbeck.retrieval.similarity import Similarity


def test_goes_to_disk_and_back(tmp_path: Path) -> None:
    given = Features.from_arrays(
        np.eye(3, dtype=np.float32),
        [4, -1, 6],
        camera=[1, 2, 3],
        modality=["visible", "infrared", "visible"],
        path=["a", "ü", "c/d"],
        query=[True, False, False],
    )
    save_features(given, tmp_path / "f.npz")
    read = load_features(tmp_path / "f.npz")
    for name in ("feature", "identity", "camera", "modality", "query"):
        np.testing.assert_array_equal(getattr(read, name), getattr(given, name))
        assert getattr(read, name).dtype == getattr(given, name).dtype
    assert read.path == given.path
    save_features(Features.from_arrays(np.eye(2), [1, 2]), tmp_path / "f.npz")
    bare = load_features(tmp_path / "f.npz")
    assert (bare.camera, bare.modality, bare.path, bare.query) == (None, None, None, None)
    assert bare.feature.dtype == np.float64


@pytest.mark.parametrize("kind", [np.float16, np.int32, np.uint8, bool])
def test_other_numbers_become_float32(kind: type) -> None:
    assert Features.from_arrays(np.eye(2).astype(kind), [0, 1]).feature.dtype == np.float32


def test_tensors_of_any_precision_and_with_a_history_are_taken() -> None:
    values = torch.tensor([[1.0, 2.5], [3.0, -4.0]])
    for kind, expected in ((torch.bfloat16, np.float32), (torch.float16, np.float32), (torch.float64, np.float64)):
        given = values.to(kind).requires_grad_()
        found = Features.from_arrays(
            given, torch.tensor([1, 2]), modality=torch.tensor([0, 1]), query=torch.tensor([True, False])
        )
        assert found.feature.dtype == expected
        np.testing.assert_array_equal(found.feature, values.numpy())
        assert found.identity.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"feature": np.zeros(3)}, "'feature' must be real numbers of shape"),
        ({"feature": np.zeros((3, 2), complex)}, "'feature' must be real numbers"),
        ({"feature": np.array([["a", "b"]] * 3)}, "'feature' must be real numbers"),
        ({"feature": np.zeros((0, 2)), "identity": []}, "'feature' is empty"),
        ({"feature": np.zeros((3, 0))}, "'feature' is empty"),
        ({"feature": np.array([[0.0], [np.nan], [np.inf]])}, r"NaN or infinity in 2 rows \(first: 1\)"),
        ({"identity": [1, 2]}, "'identity' has shape"),
        ({"identity": [1.5, 2, 3]}, "'identity' must be integers"),
        ({"identity": ["a", "", "c"]}, "'identity' is empty in row 1"),
        ({"identity": [1e19, 2e19, 3.0]}, "'identity' holds 20000000000000000000 as float64, which cannot tell"),
        ({"identity": [2.0**53, 2.0, 3.0]}, "'identity' holds 9007199254740992 as float64, which cannot tell it from"),
        ({"identity": np.array([-(2.0**24), 2, 3], np.float32)}, "'identity' holds -16777216 as float32"),
        (
            {"identity": np.array([2**64 - 1, 2, 3], np.uint64)},
            "'identity' holds 18446744073709551615, more than",
        ),
        ({"identity": [2**63, -1, 3]}, "'identity' holds 9223372036854775808 as float64"),
        (
            {"camera": np.array([2**63, 2, 3], np.uint64)},
            "'camera' holds 9223372036854775808, more than int64",
        ),
        ({"camera": [1]}, "'camera' has shape"),
        ({"camera": [np.nan, 1, 2]}, "'camera' must be integers"),
        ({"modality": ["visible", "thermal", "visible"]}, r"not 'thermal' \(row 1\)"),
        ({"modality": [0, 1, 2]}, r"not 2 \(row 2\)"),
        ({"path": ["a"]}, "1 of 'path'"),
        ({"query": [0, 1, 2]}, "'query' must be booleans"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], words: str) -> None:
    given = {"feature": np.eye(3), "identity": [1, 2, 3]} | changed
    with pytest.raises(InputError, match=f"mine: .*{words}"):
        Features.from_arrays(**given, origin="mine")


def test_files_that_are_not_usable_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "f.npz"
    with pytest.raises(InputError, match="no such file"):
        load_features(file)
    np.savez(file, feature=np.eye(2))
    with pytest.raises(InputError, match="the array 'identity' is missing; there are: feature"):
        load_features(file)
    np.savez(file, feature=np.eye(2), identity=np.array([1, None], object))
    with pytest.raises(InputError, match="pickled"):
        load_features(file)
    np.savez(file, feature=np.eye(200), identity=np.arange(200))
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(InputError, match="damaged"):
        load_features(file)


def test_identities_at_the_ends_of_their_types_are_kept() -> None:
    ends = ([2**53 - 1, 1 - 2**53], float), ([2**24 - 1, 5], np.float32), ([2**63 - 1, -(2**63)], np.int64)
    for numbers, kind in (*ends, ([2**63 - 1, 0], np.uint64)):
        assert Features.from_arrays(np.eye(2), np.array(numbers, kind)).identity.tolist() == numbers
    words = [str(2**64 - 1), str(2**64 - 2)]
    found = Features.from_arrays(np.eye(2), words)
    assert found.names == tuple(sorted(words))
    assert found.identity.tolist() == [1, 0]


@pytest.mark.parametrize("kind", get_args(Similarity))
@pytest.mark.parametrize("exponent", [-1060, -1030, -500, 500, 996, 1022])
def test_every_finite_float64_is_ranked_exactly(kind: Similarity, exponent: int) -> None:
    vectors = np.random.default_rng(0).integers(-20, 21, (40, 3)).astype(np.float64)
    people = np.arange(40) % 7
    protocol = LeaveOneOut()
    expected, found = (
        evaluate(Features.from_arrays(scaled, people), protocol, similarity=kind)[0].ranks[0]
        for scaled in (vectors, np.ldexp(vectors / 32, exponent + 5 if exponent < 0 else exponent))
    )
    assert found.average_precision.tolist() == expected.average_precision.tolist()


def test_similarities_that_are_returned_fit_float64() -> None:
    vectors = np.eye(3) + np.arange(3)[:, None]
    assert np.isfinite(top_k(vectors * 1e150, vectors * 1e150, 2, similarity="euclidean").similarity).all()
    assert top_k(vectors * 1e300, vectors * 1e300, 1).similarity.ravel().tolist() == [1, 1, 1]
    for scale in (1e300, 1e-200):
        for kind in ("dot", "euclidean"):
            with pytest.raises(InputError, match=f"the {kind} similarities of these vectors do not fit float64"):
                top_k(vectors * scale, vectors * scale, 2, similarity=kind)
