"""Changes of pictures in training: what is drawn depends on a key alone, never on who draws it or when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.images.decoding import LUMA
from limbeck.settings import NonNegativeFloat, NonNegativeInt, Probability, check_settings

_ERASED_AREA, _ERASED_ASPECT = (0.02, 0.4), (0.3, 3.3)  # Zhong et al. 2020: share of the picture, height over width
_CANDIDATES = np.array([*np.eye(3), LUMA], np.float32)  # what "exchange" may put in place of the colours


@dataclass(frozen=True)
class AugmentationSettings:
    """Changes that every drawn picture undergoes in training, each by its own chance.

    Attributes:
        flip: chance of a mirror image.
        pad: pixels added on every side before a crop of the picture's size is taken at random.
        erase: chance that a rectangle of 2 to 40 % of the picture becomes its mean colour.
        channels: chance that a picture of a modality with colours loses them.
        channel_mode: what it becomes: "exchange": one of its channels, or its grey, in all three channels (Ye et al.
            2021, channel augmentation); "mix": a random mixture of its channels, with weights that may be negative.
        tone: strength of a random curve of tones, on pictures of every modality; 0 is none.
    """

    flip: Probability = 0.5
    pad: NonNegativeInt = 0
    erase: Probability = 0.0
    channels: Probability = 0.0
    channel_mode: Literal["exchange", "mix"] = "exchange"
    tone: NonNegativeFloat = 0.0

    def __post_init__(self) -> None:
        check_settings(self, "augmentation.")


def augmented(
    pictures: NDArray[np.uint8],
    settings: AugmentationSettings,
    generators: list[np.random.Generator],
    *,
    coloured: bool,
) -> Tensor:
    """Changed pictures, each by its own generator.

    Args:
        pictures: (batch, height, width, 3) RGB.
        settings: what may change, and how often.
        generators: one a picture.
        coloured: whether the pictures are of a modality with colours, which `settings.channels` takes away.

    Returns:
        (batch, 3, height, width) float32; in [0, 1] but for "mix" and `tone`, which may leave it.
    """
    changed = np.empty((len(pictures), 3, *pictures.shape[1:3]), np.float32)
    for place, (picture, rng) in enumerate(zip(pictures, generators, strict=True)):
        changed[place] = _changed(picture, settings, rng, coloured).transpose(2, 0, 1)
    return torch.from_numpy(changed)


def unchanged(pictures: NDArray[np.uint8]) -> Tensor:
    """The pictures as they are, (batch, 3, height, width) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32) / 255)


def _changed(
    picture: NDArray[np.uint8], settings: AugmentationSettings, rng: np.random.Generator, coloured: bool
) -> NDArray[np.float32]:
    # All chances are drawn first, so that one change does not decide what another draws.
    flips, erases, loses = rng.random(3) < (settings.flip, settings.erase, settings.channels)
    if settings.pad:
        picture = _cropped(picture, settings.pad, rng)
    if flips:
        picture = picture[:, ::-1]
    values: NDArray[np.float32] = picture.astype(np.float32) / np.float32(255)
    if coloured and loses:
        values = _without_colours(values, settings.channel_mode, rng)
    if settings.tone:
        values = _toned(values, settings.tone, rng)
    if erases:
        values = _erased(values, rng)
    return values


def _cropped(picture: NDArray[np.uint8], pad: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    top, left = rng.integers(0, 2 * pad + 1, 2)
    rows = np.clip(np.arange(top - pad, top - pad + height), 0, height - 1)
    columns = np.clip(np.arange(left - pad, left - pad + width), 0, width - 1)
    return np.asarray(picture[rows[:, None], columns])


def _without_colours(values: NDArray[np.float32], mode: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """One tone in all three channels."""
    weights: NDArray[Any]
    if mode == "exchange":
        weights = _CANDIDATES[rng.integers(4)]
        return np.repeat((values @ weights)[:, :, None], 3, axis=2)
    # Half of the mixtures have negative weights: a contrast's sign says nothing across modalities.
    weights = rng.dirichlet([2, 2, 2]) if rng.random() < 0.5 else rng.normal(0, 0.6, 3)
    mixed = values @ weights.astype(np.float32)
    return np.repeat((mixed + max(0.0, -float(weights[weights < 0].sum())))[:, :, None], 3, axis=2)


def _toned(values: NDArray[np.float32], strength: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A random smooth curve of tones, the same for all pixels and channels."""
    waves, bend, phase = rng.uniform(0, (9.0, strength, 2 * np.pi)).astype(np.float32)
    return np.asarray(values + bend * np.sin(waves * values + phase), np.float32)


def _erased(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """With a rectangle of the picture's mean colour somewhere."""
    height, width = values.shape[:2]
    area = rng.uniform(*_ERASED_AREA) * height * width
    aspect = np.exp(rng.uniform(*np.log(_ERASED_ASPECT)))
    tall = int(np.clip(round(float(np.sqrt(area * aspect))), 1, height))
    wide = int(np.clip(round(float(np.sqrt(area / aspect))), 1, width))
    top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
    values = values.copy()
    values[top : top + tall, left : left + wide] = values.mean(axis=(0, 1))
    return values
