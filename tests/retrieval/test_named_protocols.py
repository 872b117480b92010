"""Protocols of single sets against references that loop over every pair, on data full of what their rules exclude."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.retrieval import Features, evaluate, load_features, named_protocols, ranked_lists, save_features

# Of a trial: every query, and the items that it sees in the gallery's order.
Seen = list[tuple[int, list[int]]]


def drawn(seed: int, size: int = 90) -> Features:
    """Few people, cameras and clothes, so that all their combinations come several times; ties; nobody; singles."""
    generator = np.random.default_rng(seed)
    identity = generator.choice([-2, -1, 0, 1, 2, 3, 4], size)
    identity[:2] = 50, 51  # one picture each: a query without a match, and a distractor
    query = generator.random(size) < 0.4
    query[:2] = True, False
    vectors = generator.integers(-2, 3, (size, 3)).astype(np.float64)
    vectors[~vectors.any(axis=1)] = 1
    return Features.from_arrays(
        vectors,
        identity,
        camera=generator.integers(1, 4, size),
        clothes=generator.integers(0, 3, size),
        path=[f"{number:03d}.jpg" for number in generator.permutation(size)],
        query=query,
    )


def by_rule(held: Features, removed: Callable[[int, int], bool]) -> Iterator[Seen]:
    """Marked queries search the others; of the same person, what the rule says is removed."""
    trial = []
    for query in range(len(held)):
        if held.query[query] and held.identity[query] >= 0:
            others = [item for item in range(len(held)) if not held.query[item]]
            same = held.identity
            trial.append((query, [item for item in others if same[item] != same[query] or not removed(query, item)]))
    yield trial


def same_camera(held: Features) -> Callable[[int, int], bool]:
    return lambda query, item: held.camera[query] == held.camera[item]


def same_camera_or_clothes(held: Features) -> Callable[[int, int], bool]:
    return lambda query, item: held.camera[query] == held.camera[item] or held.clothes[query] == held.clothes[item]


def one_of_each(held: Features, allowed: Callable[[int], bool], seed: int) -> list[int]:
    """One of every person's pictures, sorted by name; those of nobody are drawn last."""
    generator = random.Random(seed)
    people = sorted(set(held.identity.tolist()), key=lambda who: (who < 0, who))
    gallery = []
    for who in people:
        mine = [item for item in range(len(held)) if held.identity[item] == who and allowed(item)]
        if mine:
            gallery.append(generator.choice(sorted(mine, key=lambda item: held.path[item])))
    return gallery


def vehicleid(held: Features) -> Iterator[Seen]:
    for seed in range(10):
        gallery = one_of_each(held, lambda item: True, seed)
        asked = [item for item in range(len(held)) if item not in gallery and held.identity[item] >= 0]
        yield [(query, gallery) for query in asked]


def prcc(held: Features, camera: int, trials: int) -> Iterator[Seen]:
    asked = [item for item in range(len(held)) if held.camera[item] == camera and held.identity[item] >= 0]
    everything = [item for item in range(len(held)) if held.camera[item] == 1]
    for seed in range(trials):
        drawn_ones = one_of_each(held, lambda item: held.camera[item] == 1, seed)
        yield [(query, drawn_ones if trials > 1 else everything) for query in asked]


REFERENCES: dict[str, Callable[[Features], Iterator[Seen]]] = {
    "msmt17": lambda held: by_rule(held, same_camera(held)),
    "cuhk03-np": lambda held: by_rule(held, same_camera(held)),
    "veri": lambda held: by_rule(held, same_camera(held)),
    "vehicleid": vehicleid,
    "ltcc-standard": lambda held: by_rule(held, same_camera(held)),
    "ltcc-clothes": lambda held: by_rule(held, same_camera_or_clothes(held)),
    "prcc-clothes-single": lambda held: prcc(held, 3, 10),
    "prcc-clothes-multi": lambda held: prcc(held, 3, 1),
    "prcc-same-single": lambda held: prcc(held, 2, 10),
    "prcc-same-multi": lambda held: prcc(held, 2, 1),
}


def similarity_of(held: Features) -> NDArray[np.float64]:
    unit = held.feature / np.linalg.norm(held.feature, axis=1, keepdims=True)
    return np.round(unit @ unit.T, 12)  # equal ones are equal here


@pytest.mark.parametrize("device", [None, "cpu"])
@pytest.mark.parametrize("name", REFERENCES)
def test_equals_loops_over_every_pair(name: str, device: str | None) -> None:
    held = drawn(sum(map(ord, name)))
    similarity = similarity_of(held)
    (found,) = evaluate(held, named_protocols(name), device=device, recalls=(1, 3, 7))
    trials = list(REFERENCES[name](held))
    assert len(found.trials) == len(trials)
    unmatched = 0
    for number, trial in enumerate(trials):
        first, precision = [], []
        assert found.queries[number].tolist() == [query for query, _ in trial]
        for query, seen in trial:
            order = sorted(range(len(seen)), key=lambda place: (-similarity[query, seen[place]], place))
            hits = [rank + 1 for rank, place in enumerate(order) if held.identity[seen[place]] == held.identity[query]]
            first.append(hits[0] if hits else 0)
            precision.append(sum((k + 1) / rank for k, rank in enumerate(hits)) / len(hits) if hits else np.nan)
        assert found.ranks[number].first.tolist() == first
        np.testing.assert_allclose(found.ranks[number].average_precision, precision, rtol=0, atol=1e-12)
        matched = [rank for rank in first if rank]
        unmatched += len(first) - len(matched)
        for k in (1, 3, 7):
            assert found.trials[number].rank(k) == pytest.approx(np.mean([rank <= k for rank in matched]), abs=1e-12)
    assert unmatched == sum(trial.unmatched for trial in found.trials)


@pytest.mark.parametrize("name", REFERENCES)
def test_lists_show_what_a_query_sees(name: str) -> None:
    held = drawn(3)
    seen = dict(next(REFERENCES[name](held)))
    (protocol,) = named_protocols(name)
    lists = ranked_lists(held, protocol, k=len(held))
    assert {one.query: sorted(one.items.tolist()) for one in lists} == {q: sorted(items) for q, items in seen.items()}


def test_the_data_hold_every_exclusion_more_than_once() -> None:
    held = drawn(sum(map(ord, "ltcc-clothes")))
    kinds: dict[tuple[bool, bool], int] = {}
    for query in np.flatnonzero(held.query & (held.identity >= 0)):
        for item in np.flatnonzero(~held.query & (held.identity == held.identity[query])):
            kind = bool(held.camera[query] == held.camera[item]), bool(held.clothes[query] == held.clothes[item])
            kinds[kind] = kinds.get(kind, 0) + 1
    assert len(kinds) == 4
    assert min(kinds.values()) > 5
    assert {-2, -1, 50} <= set(held.identity[held.query].tolist())
    assert {-2, -1, 51} <= set(held.identity[~held.query].tolist())


def test_families_hold_all_settings() -> None:
    assert [one.name for one in named_protocols("ltcc")] == ["ltcc-standard", "ltcc-clothes"]
    assert [one.name for one in named_protocols("prcc-clothes")] == ["prcc-clothes-single", "prcc-clothes-multi"]
    assert len(named_protocols("prcc")) == 4


def test_clothes_are_needed_and_kept_in_files(tmp_path: object) -> None:
    held = drawn(0)
    save_features(held, f"{tmp_path}/held.npz")
    again = load_features(f"{tmp_path}/held.npz")
    assert again.clothes.tolist() == held.clothes.tolist()
    bare = Features.from_arrays(np.eye(2), [1, 1], camera=[1, 2], query=[1, 0], origin="mine")
    with pytest.raises(InputError, match="mine: the protocol ltcc-clothes needs 'clothes', and there are none"):
        evaluate(bare, named_protocols("ltcc"))
    with pytest.raises(InputError, match=r"prcc-clothes-single knows cameras 1 \(A\), 2 \(B\) and 3 \(C\), not 0"):
        evaluate(Features.from_arrays(np.eye(2), [1, 1], camera=[0, 2]), named_protocols("prcc"))


def test_a_vehicle_with_one_picture_is_found_by_nobody_and_never_asks() -> None:
    held = Features.from_arrays(np.eye(3), [7, 7, 8])
    (found,) = evaluate(held, named_protocols("vehicleid"))
    assert [len(queries) for queries in found.queries] == [1] * 10
    assert found.gallery == [2] * 10
    assert {int(queries[0]) for queries in found.queries} == {0, 1}


def test_ranks_are_refused_below_one() -> None:
    with pytest.raises(InputError, match="ranks must be whole numbers of at least 1, not 0, 5"):
        evaluate(drawn(0), named_protocols("msmt17"), recalls=(5, 0))
