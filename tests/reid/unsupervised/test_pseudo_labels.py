"""Clusters, matches and their figures on people whose truth is known, and where there is little or nothing to find."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.modalities import INFRARED, VISIBLE
from limbeck.reid.unsupervised.pseudo_labels import PseudoLabels, describe, match, pseudo_labels
from limbeck.reid.unsupervised.recipe import ClusteringSettings, MatchingSettings

CLUSTERING = ClusteringSettings(k1=8, k2=3, eps=0.6, min_samples=3)


def people(
    visible: int, infrared: int, *, pictures: int = 8, gap: float = 0.3, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.int64]]:
    """Pictures of people around directions of their own; infrared ones are moved by one gap that all share."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(visible, infrared), 32))
    shift = gap * rng.normal(size=32)
    vectors, modality, identity = [], [], []
    for code, count in ((VISIBLE, visible), (INFRARED, infrared)):
        for person in range(count):
            vectors.append(centres[person] + code * shift + 0.15 * rng.normal(size=(pictures, 32)))
            modality += [code] * pictures
            identity += [person] * pictures
    order = rng.permutation(len(identity))
    return (
        np.concatenate(vectors).astype(np.float32)[order],
        np.array(modality, np.int8)[order],
        np.array(identity, np.int64)[order],
    )


@pytest.mark.parametrize("method", ["transport", "hungarian", "nearest"])
@pytest.mark.parametrize("algorithm", ["dbscan", "hdbscan"])
def test_people_are_found_and_matched(method: Any, algorithm: Any) -> None:
    vectors, modality, identity = people(12, 12)
    found = pseudo_labels(
        vectors, modality, replace(CLUSTERING, algorithm=algorithm, min_cluster_size=6), MatchingSettings(method=method)
    )
    figures = describe(found, identity)
    assert found.clusters == (12, 12)
    assert figures["ari_visible"] == figures["ari_infrared"] == 1
    assert figures["precision"] == 1
    assert figures["matched_visible"] == 1
    assert figures["entropy_infrared"] == pytest.approx(np.log(12), abs=0.02)
    assert found.plan.sum().item() == pytest.approx(1)


def test_identities_match_what_mostly_shows_one_person() -> None:
    vectors, modality, identity = people(9, 6, gap=30.0)  # so far that nothing else finds anybody
    settings = MatchingSettings(method="identities")
    found = pseudo_labels(vectors, modality, CLUSTERING, settings, identity)
    assert found.clusters == (9, 6)
    figures = describe(found, identity)
    assert figures["precision"] == figures["matched_infrared"] == 1
    assert figures["matched_visible"] == pytest.approx(6 / 9)
    assert torch.equal((found.plan > 0).sum(dim=0), torch.ones(6, dtype=torch.long))
    assert found.plan.sum().item() == pytest.approx(1)
    for who in (None, np.where(identity == 3, -1, identity)):
        with pytest.raises(InputError, match="needs the identity of every picture"):
            pseudo_labels(vectors, modality, CLUSTERING, settings, who)
    with pytest.raises(InputError, match="needs labels"):
        match(torch.eye(2), torch.eye(2), settings, sizes=(torch.ones(2), torch.ones(2)))


def test_the_largest_cluster_of_a_person_is_the_partner() -> None:
    vectors, modality, identity = people(5, 5)
    names = np.where((identity == 1) & (modality == INFRARED), 0, identity)  # two infrared clusters of person 0
    dropped = np.flatnonzero((identity == 0) & (modality == INFRARED))[:3]
    keep = np.setdiff1d(np.arange(len(names)), dropped)
    vectors, modality, identity, names = vectors[keep], modality[keep], identity[keep], names[keep]
    found = pseudo_labels(vectors, modality, CLUSTERING, MatchingSettings(method="identities"), names)
    whose = {
        code: [
            int(np.bincount(identity[modality == code][found.labels[modality == code] == one]).argmax())
            for one in range(5)
        ]
        for code in (VISIBLE, INFRARED)
    }
    partner = found.matching.first_to_second[whose[VISIBLE].index(0)]
    assert whose[INFRARED][partner] == 1
    assert found.matching.first_to_second[whose[VISIBLE].index(1)] == -1
    assert found.matching.second_to_first[whose[INFRARED].index(0)] == whose[VISIBLE].index(0)


def test_joint_clusters_are_each_other_s_match() -> None:
    vectors, modality, identity = people(10, 7, gap=0.05)
    found = pseudo_labels(vectors, modality, replace(CLUSTERING, together=True), MatchingSettings())
    figures = describe(found, identity)
    assert found.clusters == (10, 7)
    assert figures["ari_visible"] == figures["ari_infrared"] == figures["precision"] == 1
    assert sorted(found.matching.second_to_first[found.matching.first_to_second.clamp(min=0)].unique().tolist())
    assert (found.matching.first_to_second >= 0).sum() == (found.matching.second_to_first >= 0).sum() == 7
    assert found.plan.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("method", ["transport", "hungarian", "nearest", "none"])
@pytest.mark.parametrize(("visible", "infrared"), [(3, 9), (9, 3), (1, 5), (5, 1), (1, 1)])
def test_any_numbers_of_clusters_have_a_defined_match(method: Any, visible: int, infrared: int) -> None:
    vectors, modality, identity = people(visible, infrared)
    found = pseudo_labels(vectors, modality, CLUSTERING, MatchingSettings(method=method))
    assert found.clusters == (visible, infrared)
    for partners, others in zip(found.matching, reversed(found.clusters), strict=True):
        assert ((partners >= -1) & (partners < others)).all()
        assert (partners >= 0).all() == (method != "none")
    figures = describe(found, identity)
    assert ("precision" in figures) == (method != "none")


def test_abstention_leaves_those_alone_whom_the_other_modality_does_not_show() -> None:
    vectors, modality, identity = people(12, 6, gap=0.1)
    figures = {}
    for name, settings in (
        ("hungarian", MatchingSettings(method="hungarian")),
        ("transport", MatchingSettings()),
        ("partial", MatchingSettings(mass=0.5, epsilon=0.01, threshold=0.5)),
        ("mutual", MatchingSettings(method="nearest", mutual=True)),
    ):
        figures[name] = describe(pseudo_labels(vectors, modality, CLUSTERING, settings), identity)
    # Half of the visible people have nobody: who must match everybody is wrong of these.
    assert figures["hungarian"]["precision"] == pytest.approx(12 / 18)
    assert figures["partial"]["precision"] == 1
    assert figures["partial"]["matched_visible"] == 0.5
    assert figures["mutual"]["precision"] == 1


@pytest.mark.parametrize("together", [False, True])
def test_nothing_to_find(together: bool) -> None:
    """All outliers, no pictures of a modality, all pictures equal."""
    settings = replace(CLUSTERING, together=together)
    rng = np.random.default_rng(1)
    apart = rng.normal(size=(10, 64)).astype(np.float32)
    modality = np.array([0] * 5 + [1] * 5, np.int8)
    lonely = pseudo_labels(apart, modality, replace(settings, eps=0.01), MatchingSettings())
    assert lonely.clusters == (0, 0)
    assert (lonely.labels == -1).all()
    assert describe(lonely, None)["noise_visible"] == 1
    only = people(4, 4)
    seen = only[1] == VISIBLE
    half = pseudo_labels(only[0][seen], only[1][seen], settings, MatchingSettings())
    assert half.clusters == (4, 0)
    assert (half.matching.first_to_second == -1).all()
    equal = pseudo_labels(
        np.ones((16, 8), np.float32), np.repeat([0, 1], 8).astype(np.int8), settings, MatchingSettings()
    )
    assert equal.clusters == (1, 1)
    assert equal.matching.first_to_second.tolist() == [0]


def test_figures_know_no_names_where_there_are_none() -> None:
    vectors, modality, identity = people(4, 4)
    found = pseudo_labels(vectors, modality, CLUSTERING, MatchingSettings())
    for nobody in (None, np.full(len(identity), -1)):
        assert not {"ari_visible", "precision"} & set(describe(found, nobody))


def test_the_state_gives_the_same_pseudo_labels_back() -> None:
    vectors, modality, _ = people(5, 4)
    found = pseudo_labels(vectors, modality, CLUSTERING, MatchingSettings())
    again = PseudoLabels.of_state(found.state())
    assert np.array_equal(again.labels, found.labels)
    assert torch.equal(again.plan, found.plan)
    assert all(torch.equal(a, b) for a, b in zip(again.matching, found.matching, strict=True))


def test_priors_by_size_weigh_clusters_by_their_pictures() -> None:
    generator = torch.Generator().manual_seed(0)
    visible, infrared = (
        torch.nn.functional.normalize(torch.randn(n, 8, generator=generator, dtype=torch.float64), dim=1)
        for n in (4, 3)
    )
    sizes = torch.tensor([1.0, 2.0, 3.0, 4.0]).double(), torch.tensor([5.0, 3.0, 2.0]).double()
    plan, _ = match(visible, infrared, MatchingSettings(prior="size"), sizes=sizes)
    torch.testing.assert_close(plan.sum(1), sizes[0] / 10)
    torch.testing.assert_close(plan.sum(0), sizes[1] / 10)
    uniform, _ = match(visible, infrared, MatchingSettings(), sizes=sizes)
    torch.testing.assert_close(uniform.sum(1), torch.full((4,), 0.25, dtype=torch.float64))
