"""Batches of people: functions of the seed and the step, whoever draws them."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.images.augmentation import AugmentationSettings
from limbeck.images.sampling import PKSampler
from limbeck.reid.supervised.batches import Batches, cross_modal_sampler

PEOPLE, EACH = 7, 5


def labels_and_modality() -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    labels = np.repeat(np.arange(PEOPLE), 2 * EACH)
    return labels, np.tile(np.repeat([0, 1], EACH), PEOPLE).astype(np.int8)


def sampler(identities: int = 3) -> PKSampler:
    return cross_modal_sampler(*labels_and_modality(), identities=identities, pictures=2, seed=3)


def test_a_batch_holds_p_people_and_k_pictures_of_each_in_each_modality() -> None:
    labels, modality = labels_and_modality()
    for step in range(20):
        draw = sampler().draw(step)
        assert len(set(draw.labels.tolist())) == 3
        for code, positions in enumerate(draw.positions):
            assert positions.shape == (3, 2)
            assert (modality[positions] == code).all()
            assert (labels[positions] == draw.labels[:, None]).all()
            assert all(len(set(row)) == 2 for row in positions.tolist())


def test_too_few_people_and_one_sided_people_are_refused() -> None:
    with pytest.raises(InputError, match=r"data\.identities asks for 9 people in a batch, but there are 7"):
        sampler(identities=9)
    with pytest.raises(InputError, match="no infrared picture"):
        cross_modal_sampler(np.array([0, 0, 1]), np.array([0, 1, 0], np.int8), identities=2, pictures=1)


def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (2 * PEOPLE * EACH, 8, 6, 3)).astype(np.uint8)


def batches(share: tuple[int, int] = (0, 1), identities: int = 4) -> Batches:
    settings = AugmentationSettings(pad=1, erase=0.5, channels=0.5, tone=0.2)
    rows = np.arange(2 * PEOPLE * EACH)
    return Batches(images(), sampler(identities=identities), rows, settings, share=share)


def test_shares_of_two_processes_are_the_batch_of_one() -> None:
    whole = batches()[3]
    parts = [batches((rank, 2))[3] for rank in range(2)]
    for field in ("visible", "infrared", "labels"):
        joined = torch.cat([getattr(part, field).view(2, 2, *getattr(part, field).shape[1:]) for part in parts])
        order = torch.tensor([0, 2, 1, 3])  # rank 0 takes the people at 0 and 2
        assert torch.equal(joined[order].flatten(0, 1), getattr(whole, field))


def test_people_must_divide_by_the_processes() -> None:
    with pytest.raises(InputError, match="must divide by the number of processes"):
        batches((0, 2), identities=3)


def test_batches_do_not_depend_on_the_workers() -> None:
    first, second = (
        [*torch.utils.data.DataLoader(batches(), batch_size=None, sampler=range(2, 6), num_workers=workers)]
        for workers in (0, 2)
    )
    for one, other in zip(first, second, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
