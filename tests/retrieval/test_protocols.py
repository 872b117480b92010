"""Protocols: who asks whom, how galleries are drawn, which labels are needed."""

from __future__ import annotations

import random

import numpy as np
import pytest

from limbeck.errors import InputError
from limbeck.retrieval.features import Features
from limbeck.retrieval.protocols import LLCM, SYSU, CrossModal, Market, Protocol, RegDB, named_protocols, protocol_names

INFRARED_CAMERAS = (3, 6)
LABELS_ALONE = ("cub", "cars", "sop", "leave-one-out", "vehicleid")


def sysu_like(identities: int = 6, each: int = 12, *, shuffled: bool = False) -> Features:
    """Every identity at every camera; identity 1 is not indoors."""
    rows = [
        (identity, camera, number)
        for camera in range(1, 7)
        for identity in range(1, identities + 1)
        for number in range(1, each + 1)
        if not (identity == 1 and camera in (1, 2))
    ]
    if shuffled:
        random.Random(5).shuffle(rows)
    identity, camera, _ = np.array(rows).T
    return Features.from_arrays(
        np.random.default_rng(0).normal(size=(len(rows), 8)),
        identity,
        camera=camera,
        modality=np.isin(camera, INFRARED_CAMERAS).astype(int),
        path=[f"cam{c}/{i:04d}/{n:04d}.jpg" for i, c, n in rows],
    )


@pytest.mark.parametrize(
    ("protocol", "cameras", "gallery"),
    [
        (SYSU("all", 1), {1, 2, 4, 5}, 2 * 5 + 2 * 6),
        (SYSU("all", 10), {1, 2, 4, 5}, 220),
        (SYSU("indoor", 1), {1, 2}, 10),
        (SYSU("indoor", 3), {1, 2}, 30),
    ],
)
def test_sysu_draws_so_many_of_every_identity_and_camera(protocol: SYSU, cameras: set[int], gallery: int) -> None:
    features = sysu_like()
    trials = protocol.trials(features)
    assert len(trials) == 10
    for trial in trials:
        assert set(features.camera[trial.queries]) == {3, 6}
        assert len(trial.queries) == 2 * 6 * 12
        assert set(features.camera[trial.gallery]) == cameras
        assert len(set(trial.gallery.tolist())) == gallery
        cells = np.unique(np.stack([features.identity, features.camera])[:, trial.gallery], axis=1, return_counts=True)
        assert set(cells[1]) == {protocol.shots}
    assert len({trial.gallery.tobytes() for trial in trials}) == 10


def test_sysu_places_join_cameras_2_and_3() -> None:
    features = sysu_like()
    place = SYSU().places(features)
    assert set(place[features.camera == 2]) == set(place[features.camera == 3])
    assert len(set(place)) == 5


def test_the_agw_sampler_is_that_of_the_fields_scripts() -> None:
    """`random.seed(trial)`, then `random.choice` of the sorted files, identity by identity, camera by camera."""
    features = sysu_like(shuffled=True)
    for number, trial in enumerate(SYSU("all", 1).trials(features)):
        generator = random.Random(number)
        expected = []
        for identity in range(1, 7):
            for camera in (1, 2, 4, 5):
                files = sorted(p for p in features.path if p.startswith(f"cam{camera}/{identity:04d}/"))
                if files:
                    expected.append(generator.choice(files))
        assert [features.path[item] for item in trial.gallery] == expected


def test_the_matlab_sampler_takes_the_first_of_each_permutation() -> None:
    features = sysu_like(shuffled=True)
    generator = np.random.default_rng(1)
    cells = {
        (c, i): np.array([generator.permutation(12) + 1 for _ in range(10)]) for c in (1, 2, 4, 5) for i in range(1, 7)
    }
    for number, trial in enumerate(SYSU("indoor", 4, cells).trials(features)):
        expected = {
            f"cam{c}/{i:04d}/{n:04d}.jpg" for (c, i), rows in cells.items() if c < 3 and i > 1 for n in rows[number, :4]
        }
        assert {features.path[item] for item in trial.gallery} == expected


def test_permutations_of_other_sizes_are_refused() -> None:
    cells = {(c, i): np.tile(np.arange(1, 12), (10, 1)) for c in (1, 2, 4, 5) for i in range(1, 7)}
    with pytest.raises(InputError, match="identity 1 has 12 pictures of camera 4, but the permutations hold 11"):
        SYSU("all", 1, cells).trials(sysu_like())
    del cells[4, 1]
    with pytest.raises(InputError, match="nothing"):
        SYSU("all", 1, cells).trials(sysu_like())


def test_regdb_and_cross_search_everything_of_the_other_modality() -> None:
    features = sysu_like()
    for protocol in (RegDB("v2i"), RegDB("i2v"), CrossModal("v2i"), CrossModal("i2v")):
        (trial,) = protocol.trials(features)
        asked = 0 if protocol.direction == "v2i" else 1
        assert set(features.modality[trial.queries]) == {asked}
        assert set(features.modality[trial.gallery]) == {1 - asked}
        assert len(trial.queries) + len(trial.gallery) == len(features)
        assert protocol.places(features) is None


def test_llcm_draws_one_of_every_identity_and_camera() -> None:
    features = sysu_like()
    for trial in LLCM("v2i").trials(features):
        assert set(features.modality[trial.queries]) == {0}
        assert len(trial.gallery) == 12
    for proper, swapped in zip(LLCM("v2i").trials(features), LLCM("v2i", swapped=True).trials(features), strict=True):
        np.testing.assert_array_equal(np.sort(proper.gallery), np.sort(swapped.queries))
        np.testing.assert_array_equal(proper.queries, swapped.gallery)


def test_market_drops_junk_and_asks_what_it_is_told_to() -> None:
    base = {"camera": [1, 2, 1, 2], "origin": "set"}
    identity = [5, 5, -1, 6]
    (trial,) = Market().trials(Features.from_arrays(np.eye(4), identity, query=[1, 0, 1, 0], **base))
    assert (trial.queries.tolist(), trial.gallery.tolist()) == ([0], [1, 3])
    (trial,) = Market().trials(Features.from_arrays(np.eye(4), identity, **base))
    assert (trial.queries.tolist(), trial.gallery.tolist()) == ([0, 1, 3], [0, 1, 3])
    assert (trial.not_asked, trial.dropped) == (1, 1)
    (trial,) = Market().trials(Features.from_arrays(np.eye(4), [5, 5, -2, 0], query=[1, 0, 0, 0], **base))
    assert (trial.queries.tolist(), trial.gallery.tolist()) == ([0], [1, 2, 3])  # distractors, both
    assert (trial.not_asked, trial.dropped) == (0, 0)


@pytest.mark.parametrize(
    ("identity", "query", "words"),
    [
        ([1, 2, 3], [0, 0, 0], "empty query; look at 'query', which marks 0 of 3 items"),
        ([1, 2, 3], [1, 1, 1], "empty gallery; look at 'query', which marks 3 of 3 items"),
        ([-1, -2, 3], [1, 1, 0], "all 2 queries of the protocol market have a negative identity"),
        ([1, -1, -1], [1, 0, 0], "all 2 items that market searches are junk"),
        ([-1, -1, -1], None, "all 3 queries of the protocol market have a negative identity"),
    ],
)
def test_market_says_why_a_side_is_empty(identity: list[int], query: list[int] | None, words: str) -> None:
    with pytest.raises(InputError, match=f"mine: .*{words}"):
        Market().trials(Features.from_arrays(np.eye(3), identity, camera=[1, 2, 3], query=query, origin="mine"))


@pytest.mark.parametrize("name", [name for name in protocol_names() if name not in LABELS_ALONE])
def test_every_protocol_says_what_it_lacks(name: str) -> None:
    (protocol,) = named_protocols(name)
    bare = Features.from_arrays(np.eye(3), [1, 2, 3], origin="mine.npz")
    with pytest.raises(InputError, match=rf"mine.npz: the protocol {name} needs '(camera|modality|query)'"):
        protocol.trials(bare)
    assert protocol.rules


@pytest.mark.parametrize(
    ("protocol", "camera", "modality", "words"),
    [
        (SYSU(), [1, 1], [0, 0], "empty query"),
        (SYSU("indoor"), [3, 4], [1, 0], "empty gallery"),
        (SYSU(), [3, 7], [1, 0], "cameras 1 to 6, not 7"),
        (SYSU(), [3, 1], [0, 0], "row 0 is of camera 3 but marked visible"),
        (RegDB("v2i"), [1, 1], [1, 1], "empty query"),
        (LLCM("i2v"), [1, 1], [1, 1], "empty gallery"),
    ],
)
def test_empty_sides_and_wrong_cameras_are_refused(
    protocol: Protocol, camera: list, modality: list, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        protocol.trials(Features.from_arrays(np.eye(2), [1, 2], camera=camera, modality=modality))


def test_names_and_families() -> None:
    assert [p.name for p in named_protocols("sysu")] == [
        "sysu-all-single",
        "sysu-all-multi",
        "sysu-indoor-single",
        "sysu-indoor-multi",
    ]
    assert [p.name for p in named_protocols("sysu-all")] == ["sysu-all-single", "sysu-all-multi"]
    assert [p.name for p in named_protocols("llcm")] == ["llcm-v2i", "llcm-i2v"]
    assert [p.name for p in named_protocols("llcm-v2i")] == ["llcm-v2i"]
    assert [p.name for p in named_protocols("llcm-v2i-deen-script")] == ["llcm-v2i-deen-script"]
    assert SYSU("all", 5).name == "sysu-all-5shot"
    with pytest.raises(InputError, match="there is no protocol 'sys'"):
        named_protocols("sys")
    with pytest.raises(InputError, match="permutations"):
        named_protocols("regdb", permutations={})
