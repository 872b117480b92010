"""Batches and augmentation: functions of the seed and the step, whoever draws them."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.images.augmentation import AugmentationSettings, augmented, unchanged
from limbeck.reid.supervised.batches import Batches, CrossModalSampler, relabelled
from limbeck.training import generator

PEOPLE, EACH = 7, 5


def labels_and_modality() -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    labels = np.repeat(np.arange(PEOPLE), 2 * EACH)
    return labels, np.tile(np.repeat([0, 1], EACH), PEOPLE).astype(np.int8)


def sampler(seed: int = 3, identities: int = 3, pictures: int = 2, steps: int | None = None) -> CrossModalSampler:
    return CrossModalSampler(
        *labels_and_modality(), identities=identities, pictures=pictures, steps_per_epoch=steps, seed=seed
    )


def test_a_batch_holds_p_people_and_k_pictures_of_each_in_each_modality() -> None:
    labels, modality = labels_and_modality()
    for step in range(20):
        draw = sampler().draw(step)
        assert len(set(draw.labels.tolist())) == 3
        for code, positions in enumerate((draw.visible, draw.infrared)):
            assert positions.shape == (3, 2)
            assert (modality[positions] == code).all()
            assert (labels[positions] == draw.labels[:, None]).all()
            assert all(len(set(row)) == 2 for row in positions.tolist())


def test_an_epoch_shows_nobody_twice_and_epochs_differ() -> None:
    drawn = sampler()
    assert drawn.steps_per_epoch == PEOPLE // 3
    epochs = [np.concatenate([drawn.draw(2 * epoch + place).labels for place in range(2)]) for epoch in range(8)]
    assert all(len(set(epoch.tolist())) == 6 for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) > 1
    assert set(np.concatenate(epochs).tolist()) == set(range(PEOPLE))


def test_longer_epochs_go_round_again() -> None:
    drawn = sampler(steps=5)
    rounds = [drawn.draw(step).labels for step in range(4)]
    assert len(set(np.concatenate(rounds[:2]).tolist())) == 6
    assert len(set(np.concatenate(rounds[2:]).tolist())) == 6


def test_what_is_drawn_depends_on_seed_and_step_alone() -> None:
    one, other = sampler(), sampler()
    for step in (9, 2, 5):  # in any order
        assert all(np.array_equal(a, b) for a, b in zip(one.draw(step), other.draw(step), strict=True))
    assert not np.array_equal(one.draw(4).visible, sampler(seed=4).draw(4).visible)


def test_a_person_with_few_pictures_shows_some_twice() -> None:
    labels, modality = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 0, 1, 1], np.int8)
    draw = CrossModalSampler(labels, modality, identities=2, pictures=4, seed=0).draw(0)
    assert draw.visible.shape == (2, 4)
    two = draw.infrared[draw.labels == 1][0]
    assert np.unique(two, return_counts=True)[1].tolist() == [2, 2]


def test_too_few_people_and_one_sided_people_are_refused() -> None:
    with pytest.raises(InputError, match=r"data\.identities asks for 9 people in a batch, but there are 7"):
        sampler(identities=9)
    with pytest.raises(InputError, match="no infrared picture"):
        CrossModalSampler(np.array([0, 0, 1]), np.array([0, 1, 0], np.int8), identities=2, pictures=1)


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


def change(settings: AugmentationSettings, *, coloured: bool = True, seed: int = 0) -> torch.Tensor:
    pictures = images()[:4]
    return augmented(pictures, settings, [generator(seed, place) for place in range(4)], coloured=coloured)


def test_nothing_asked_changes_nothing() -> None:
    assert torch.equal(change(AugmentationSettings(flip=0.0)), unchanged(images()[:4]))


def test_each_change_does_what_it_says() -> None:
    plain = unchanged(images()[:4])
    assert torch.equal(change(AugmentationSettings(flip=1.0)), plain.flip(-1))
    grey = change(AugmentationSettings(flip=0.0, channels=1.0))
    assert torch.equal(grey[:, 0], grey[:, 1])
    candidates = [*plain.unbind(1), plain[:, 0] * 0.299 + plain[:, 1] * 0.587 + plain[:, 2] * 0.114]
    assert all(any(torch.allclose(grey[i, 0], c[i], atol=1e-6) for c in candidates) for i in range(4))
    assert torch.equal(change(AugmentationSettings(flip=0.0, channels=1.0), coloured=False), plain)
    mixed = change(AugmentationSettings(flip=0.0, channels=1.0, channel_mode="mix"))
    assert torch.equal(mixed[:, 0], mixed[:, 2])
    assert not torch.allclose(mixed, plain)
    erased = change(AugmentationSettings(flip=0.0, erase=1.0))
    changed = (erased != plain).any(dim=1)
    assert (changed.flatten(1).sum(1) > 0).all()
    assert (changed.flatten(1).float().mean(1) < 0.6).all()
    cropped = change(AugmentationSettings(flip=0.0, pad=2))
    assert cropped.shape == plain.shape
    assert torch.isin(cropped, plain).all()


def test_changes_follow_their_key() -> None:
    settings = AugmentationSettings(pad=2, erase=0.5, channels=0.5, tone=0.3)
    assert torch.equal(change(settings), change(settings))
    assert not torch.equal(change(settings), change(settings, seed=1))


def test_labels_count_from_zero() -> None:
    names, labels = relabelled([7, 3, 7, 12])
    assert names.tolist() == [3, 7, 12]
    assert labels.tolist() == [1, 0, 1, 2]
