"""Changes of pictures: what each does, and that it follows its key."""

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.images.augmentation import AugmentationSettings, augmented, unchanged
from limbeck.training import generator


def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (70, 8, 6, 3)).astype(np.uint8)


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
