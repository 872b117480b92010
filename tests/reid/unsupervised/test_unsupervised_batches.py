"""What the batches hold: clusters in turn, matches side by side, the same whoever draws them."""

import numpy as np
import pytest
import torch

from limbeck.errors import InputError
from limbeck.images.augmentation import AugmentationSettings
from limbeck.reid.unsupervised.batches import MatchedSampler, PrototypeBatches
from limbeck.reid.unsupervised.pseudo_labels import PseudoLabels
from limbeck.transport import Matching

STEPS = 10


def labels_of(visible: int, infrared: int, *, forward: list[int], back: list[int], pictures: int = 3) -> PseudoLabels:
    labels = np.concatenate(
        [np.repeat(np.arange(visible), pictures), np.repeat(np.arange(infrared), pictures), [-1, -1]]
    )
    modality = np.concatenate([np.zeros(visible * pictures), np.ones(infrared * pictures), [0, 1]]).astype(np.int8)
    plan = torch.zeros(visible, infrared, dtype=torch.float64)
    return PseudoLabels(labels, modality, plan, Matching(torch.tensor(forward), torch.tensor(back)))


def sampler(found: PseudoLabels, **changes: int) -> MatchedSampler:
    options = {"clusters": 2, "pictures": 4, "steps_per_epoch": STEPS, "seed": 5} | changes
    return MatchedSampler(found, **options)


MATCHED = labels_of(5, 4, forward=[2, 0, 1, 3, -1], back=[1, 2, 0, 3])


def test_rows_are_of_the_clusters_that_are_named_and_no_outlier_comes() -> None:
    for step in range(2 * STEPS):
        for code, (chosen, positions) in enumerate(sampler(MATCHED).draw(step)):
            assert positions.shape == (2, 4)
            assert (MATCHED.modality[positions] == code).all()
            assert (MATCHED.labels[positions] == chosen[:, None]).all()


def test_the_leading_modality_brings_its_matches_with_it() -> None:
    for step in range(4 * STEPS):
        (visible, _), (infrared, _) = sampler(MATCHED).draw(step)
        lead = step % STEPS % 2
        first, second = (visible, infrared) if lead == 0 else (infrared, visible)
        partners = MATCHED.matching[lead][torch.from_numpy(first)]
        assert all(partner in (-1, other) for partner, other in zip(partners.tolist(), second.tolist(), strict=True))


def test_every_cluster_comes_in_turn_with_a_match_or_without() -> None:
    for found in (MATCHED, labels_of(5, 4, forward=[-1] * 5, back=[-1] * 4)):
        drawn = [sampler(found).draw(step) for step in range(STEPS)]
        assert {int(label) for (labels, _), _ in drawn for label in labels} == set(range(5))
        assert {int(label) for _, (labels, _) in drawn for label in labels} == set(range(4))


def test_few_clusters_of_one_modality_stand_twice() -> None:
    found = labels_of(6, 1, forward=[-1] * 6, back=[-1])
    for step in range(STEPS):
        (visible, _), (infrared, _) = sampler(found, clusters=4).draw(step)
        assert len(visible) == len(infrared) == (1 if step % 2 else 4)
        assert (infrared == 0).all()


def test_a_batch_is_a_function_of_its_step_and_is_shared_out() -> None:
    found = labels_of(6, 6, forward=[0, 1, 2, 3, 4, 5], back=[0, 1, 2, 3, 4, 5])
    images = np.random.default_rng(0).integers(0, 255, (len(found.labels), 8, 8, 3), dtype=np.uint8)
    rows, changes = np.arange(len(images)), AugmentationSettings(pad=1, erase=0.5, channels=0.5)
    whole = PrototypeBatches(images, sampler(found, clusters=4), rows, changes)
    parts = [
        PrototypeBatches(images, sampler(found, clusters=4, shares=2), rows, changes, share=(rank, 2))
        for rank in (0, 1)
    ]
    for step in (0, 3, 11):
        batch, again = whole[step], whole[step]
        assert all(torch.equal(a, b) for a, b in zip(batch, again, strict=True))
        halves = [part[step] for part in parts]
        for name in batch._fields:
            both = torch.cat([getattr(half, name).unflatten(0, (2, 4)) for half in halves])
            assert torch.equal(both[[0, 2, 1, 3]].flatten(0, 1), getattr(batch, name))
    assert not torch.equal(whole[0].visible, whole[2].visible)


def test_fewer_clusters_than_processes_are_refused() -> None:
    found = labels_of(6, 1, forward=[-1] * 6, back=[-1])
    with pytest.raises(InputError, match="1 clusters of infrared pictures for 2 processes"):
        sampler(found, shares=2)
