"""Batches of P classes with K pictures of each in every group: functions of the seed and the step."""

import hashlib

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from limbeck.errors import InputError
from limbeck.images.augmentation import AugmentationSettings, unchanged
from limbeck.images.sampling import PictureBatches, PKSampler, in_order, relabelled

CLASSES, EACH = 7, 5
CHANGES = AugmentationSettings(pad=1, erase=0.5, channels=0.5, tone=0.2)


def labels_and_groups(groups: int = 2) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    labels = np.repeat(np.arange(CLASSES), groups * EACH)
    return labels, np.tile(np.repeat(np.arange(groups), EACH), CLASSES)


def sampler(seed: int = 3, classes: int = 3, pictures: int = 2, steps: int | None = None, groups: int = 2) -> PKSampler:
    labels, group = labels_and_groups(groups)
    return PKSampler(labels, group, classes=classes, pictures=pictures, steps_per_epoch=steps, seed=seed)


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_a_batch_holds_p_classes_and_k_pictures_of_each_in_each_group(groups: int) -> None:
    labels, group = labels_and_groups(groups)
    for step in range(20):
        draw = sampler(groups=groups).draw(step)
        assert len(set(draw.labels.tolist())) == 3
        assert len(draw.positions) == groups
        for code, positions in enumerate(draw.positions):
            assert positions.shape == (3, 2)
            assert (group[positions] == code).all()
            assert (labels[positions] == draw.labels[:, None]).all()
            assert all(len(set(row)) == 2 for row in positions.tolist())


def test_without_groups_there_is_one() -> None:
    labels, group = labels_and_groups(1)
    named, plain = (PKSampler(labels, given, classes=3, pictures=2, seed=3) for given in (group, None))
    for step in range(5):
        ((one,), (other,)) = named.draw(step).positions, plain.draw(step).positions
        assert np.array_equal(one, other)


def test_an_epoch_shows_no_class_twice_and_epochs_differ() -> None:
    drawn = sampler()
    assert drawn.steps_per_epoch == CLASSES // 3
    epochs = [np.concatenate([drawn.draw(2 * epoch + place).labels for place in range(2)]) for epoch in range(8)]
    assert all(len(set(epoch.tolist())) == 6 for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) > 1
    assert set(np.concatenate(epochs).tolist()) == set(range(CLASSES))


def test_longer_epochs_go_round_again() -> None:
    drawn = sampler(steps=5)
    rounds = [drawn.draw(step).labels for step in range(4)]
    assert len(set(np.concatenate(rounds[:2]).tolist())) == 6
    assert len(set(np.concatenate(rounds[2:]).tolist())) == 6


def test_what_is_drawn_depends_on_seed_and_step_alone() -> None:
    one, other = sampler(), sampler()
    for step in (9, 2, 5):  # in any order
        assert np.array_equal(one.draw(step).labels, other.draw(step).labels)
        assert np.array_equal(one.draw(step).positions, other.draw(step).positions)
    assert not np.array_equal(one.draw(4).positions, sampler(seed=4).draw(4).positions)


def test_a_class_with_few_pictures_shows_some_twice() -> None:
    labels, groups = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 0, 1, 1])
    draw = PKSampler(labels, groups, classes=2, pictures=4, seed=0).draw(0)
    assert draw.positions[0].shape == (2, 4)
    two = draw.positions[1][draw.labels == 1][0]
    assert np.unique(two, return_counts=True)[1].tolist() == [2, 2]


def test_what_no_batch_can_be_drawn_from_is_refused() -> None:
    with pytest.raises(InputError, match="cannot hold 9 classes: there are 7"):
        sampler(classes=9)
    with pytest.raises(InputError, match="classes must be a whole number of at least 1, not 0"):
        sampler(classes=0)
    with pytest.raises(InputError, match="class 1 has no picture in group 1"):
        PKSampler(np.array([0, 0, 1]), np.array([0, 1, 0]), classes=2, pictures=1)
    with pytest.raises(InputError, match="class 1 has no picture in group 0"):
        PKSampler(np.array([0, 2]), classes=2, pictures=1)
    with pytest.raises(ValueError, match="3 labels but 2 groups"):
        PKSampler(np.array([0, 0, 1]), np.array([0, 1]), classes=2, pictures=1)


# -- batches ----------------------------------------------------------------------------------------------------------


def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (2 * CLASSES * EACH, 8, 6, 3)).astype(np.uint8)


def batches(
    settings: AugmentationSettings = CHANGES,
    *,
    share: tuple[int, int] = (0, 1),
    classes: int = 4,
    coloured: tuple[bool, ...] = (True, False),
) -> PictureBatches:
    rows = np.arange(2 * CLASSES * EACH)
    return PictureBatches(images(), sampler(classes=classes), rows, settings, coloured=coloured, share=share)


def test_a_batch_shows_the_drawn_rows() -> None:
    labels, _ = labels_and_groups(1)
    rows = np.arange(len(labels))[::-1].copy()
    drawn = PKSampler(labels, classes=2, pictures=3, seed=1)
    batch = PictureBatches(images(), drawn, rows, AugmentationSettings(flip=0.0))[4]
    draw = drawn.draw(4)
    assert torch.equal(batch.pictures[0], unchanged(images()[rows[draw.positions[0].ravel()]]))
    assert batch.labels.tolist() == np.repeat(draw.labels, 3).tolist()


def test_only_groups_with_colours_lose_them() -> None:
    first, second = batches(AugmentationSettings(flip=0.0, channels=1.0))[0].pictures
    assert torch.equal(first[:, 0], first[:, 1])
    assert not torch.equal(second[:, 0], second[:, 1])


def test_shares_of_two_processes_are_the_batch_of_one() -> None:
    whole = batches()[3]
    parts = [batches(share=(rank, 2))[3] for rank in range(2)]
    order = torch.tensor([0, 2, 1, 3])  # rank 0 takes the classes at 0 and 2
    for expected, shares in (
        *((whole.pictures[group], [part.pictures[group] for part in parts]) for group in range(2)),
        (whole.labels, [part.labels for part in parts]),
    ):
        joined = torch.cat([one.view(2, 2, *one.shape[1:]) for one in shares])
        assert torch.equal(joined[order].flatten(0, 1), expected)


def test_classes_must_divide_by_the_processes_and_every_group_be_named() -> None:
    with pytest.raises(InputError, match="3 classes must divide by the number of processes, 2"):
        batches(share=(0, 2), classes=3)
    with pytest.raises(ValueError, match="1 entries for 2 groups"):
        batches(coloured=(True,))


def test_labels_count_from_zero() -> None:
    names, labels = relabelled([7, 3, 7, 12])
    assert names.tolist() == [3, 7, 12]
    assert labels.tolist() == [1, 0, 1, 2]


# -- pinned: what a seed draws never changes, or no training could be repeated -----------------------------------------


def digest(*arrays: NDArray[np.int64] | NDArray[np.float32]) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


@pytest.mark.parametrize(
    ("pictures", "steps", "expected"),
    [
        (2, None, "768b03bc78c12cea68773067385e51ae52f5181dc7b3a4dc950df3e5d3f308cb"),
        (6, 5, "3b893a9d53a90c48e1590039f072820cdda80c9508713e4c9a62ce18394b1303"),  # some pictures twice
    ],
)
def test_twenty_draws_of_two_groups_are_pinned(pictures: int, steps: int | None, expected: str) -> None:
    drawn = sampler(pictures=pictures, steps=steps)
    draws = [drawn.draw(step) for step in range(20)]
    assert digest(*(array for draw in draws for array in (draw.labels, *draw.positions))) == expected


def test_a_draw_of_two_groups_is_pinned() -> None:
    draw = sampler().draw(19)
    assert draw.labels.tolist() == [5, 2, 4]
    assert draw.positions[0].tolist() == [[52, 54], [22, 21], [42, 43]]
    assert draw.positions[1].tolist() == [[57, 58], [28, 25], [45, 46]]


def test_crops_and_mirror_images_of_twenty_batches_are_pinned() -> None:
    drawn = batches(AugmentationSettings(pad=1), classes=3)
    arrays = [part.numpy() for step in range(20) for part in (*drawn[step].pictures, drawn[step].labels)]
    assert digest(*arrays) == "f44797a1131f8ab841bb6a793a63cc64c7084cc9b9411794d21dcd4e6179823c"


@pytest.mark.parametrize(("mode", "first"), [("exchange", 8701.549333116738), ("mix", 9416.994044348365)])
def test_the_sums_of_twenty_batches_are_pinned(mode: str, first: float) -> None:
    # Sums, because the last bits of a mixture of colours may differ from machine to machine.
    settings = AugmentationSettings(pad=1, erase=0.5, channels=0.5, tone=0.2, channel_mode=mode)  # type: ignore[arg-type]
    drawn = batches(settings, classes=3)
    sums = [sum(float(drawn[step].pictures[group].double().sum()) for step in range(20)) for group in range(2)]
    assert sums == pytest.approx([first, 8621.348177983076], rel=1e-6)


class _Broken(Dataset[int]):
    def __getitem__(self, step: int) -> int:
        if step == 2:
            raise InputError("a\nb.jpg: is no picture")
        return step


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_what_a_loading_process_cannot_use_is_told_as_without_it(workers: int) -> None:
    batches = iter(in_order(_Broken(), 0, 4, workers=workers))
    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(InputError) as caught:
        next(batches)
    assert str(caught.value) == "a\nb.jpg: is no picture"
