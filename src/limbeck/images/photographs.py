"""Changes of photographs in training, as classifiers of ImageNet see them: colours, a crop of any shape, a mirror."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor

from limbeck.errors import InputError
from limbeck.settings import NonNegativeFloat, PositiveFloat, Probability, Range, check_settings

_TRIES = 10  # crops drawn before one in the middle is taken, as torchvision has it


class Photographs(Protocol):
    """Decoded pictures, each (height, width, 3) uint8: an array of them, or `RaggedImages`."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class PhotographSettings:
    """Changes that every drawn photograph undergoes in training, in this order.

    Attributes:
        brightness: all colours are multiplied by a factor from 1 - brightness to 1 + brightness;
        contrast: differences from the mean grey by one drawn likewise;
        saturation: differences from each pixel's grey by another;
        hue: and hues are turned by a share of the circle from -hue to hue. These four come in an order of chance.
        scale: a crop of so large a share of the picture's area, at least and at most, is taken,
        ratio: of so large a width over its height, at least and at most, drawn evenly in the logarithm, and resized.
        flip: chance of a mirror image.
    """

    brightness: NonNegativeFloat = 0.0
    contrast: NonNegativeFloat = 0.0
    saturation: NonNegativeFloat = 0.0
    hue: Annotated[float, Range(ge=0, le=0.5)] = 0.0
    scale: tuple[PositiveFloat, PositiveFloat] = (0.16, 1.0)
    ratio: tuple[PositiveFloat, PositiveFloat] = (0.75, 4 / 3)
    flip: Probability = 0.5

    def __post_init__(self) -> None:
        check_settings(self, "augmentation.")
        for name in ("scale", "ratio"):
            low, high = getattr(self, name)
            if low > high:
                raise InputError(f"augmentation.{name} must ascend, not be {(low, high)}")
        if self.scale[1] > 1:
            raise InputError(f"augmentation.scale must be at most 1, the whole picture, not {self.scale[1]}")


def changed_photographs(
    pictures: Sequence[NDArray[np.uint8]],
    settings: PhotographSettings,
    generators: Sequence[np.random.Generator],
    *,
    size: int,
) -> Tensor:
    """Changed photographs, each by its own generator.

    Args:
        pictures: (height, width, 3) RGB each.
        settings: what may change.
        generators: one a picture.
        size: height and width of what comes out.

    Returns:
        (pictures, 3, size, size) float32 in [0, 1].
    """
    changed = np.empty((len(pictures), size, size, 3), np.uint8)
    for place, (picture, rng) in enumerate(zip(pictures, generators, strict=True)):
        changed[place] = _changed(picture, settings, rng, size)
    return _floating(changed)


def central_photographs(pictures: Sequence[NDArray[np.uint8]], *, size: int) -> Tensor:
    """The squares in the middle of photographs, (pictures, 3, size, size) float32 in [0, 1].

    Raises:
        InputError: a picture is smaller.
    """
    cut = np.empty((len(pictures), size, size, 3), np.uint8)
    for place, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        if min(height, width) < size:
            raise InputError(f"a picture of {height} x {width} pixels holds no square of {size}: lower data.crop")
        top, left = round((height - size) / 2), round((width - size) / 2)
        cut[place] = picture[top : top + size, left : left + size]
    return _floating(cut)


def _floating(pictures: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32) / 255)


def _changed(
    picture: NDArray[np.uint8], settings: PhotographSettings, rng: np.random.Generator, size: int
) -> NDArray[np.uint8]:
    # All chances are drawn first and always, so that one change does not decide what another draws.
    flips = rng.random() < settings.flip
    order = rng.permutation(4)
    factors = rng.uniform(-1, 1, 4)
    box = _box(picture.shape[0], picture.shape[1], settings, rng)
    image = Image.fromarray(picture)
    for kind in order.tolist():
        image = _coloured(image, kind, settings, float(factors[kind]))
    top, left, height, width = box
    image = image.crop((left, top, left + width, top + height))
    # Cropped first: a box given to resize would let pixels outside it in.
    found = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
    return found[:, ::-1] if flips else found


def _coloured(image: Image.Image, kind: int, settings: PhotographSettings, drawn: float) -> Image.Image:
    strength = (settings.brightness, settings.contrast, settings.saturation, settings.hue)[kind]
    if not strength:
        return image
    if kind == 3:
        hue, saturation, value = image.convert("HSV").split()
        turned = (np.asarray(hue).astype(np.int64) + round(255 * drawn * strength)) % 256
        return Image.merge("HSV", (Image.fromarray(turned.astype(np.uint8)), saturation, value)).convert("RGB")
    enhance = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[kind]
    return enhance(image).enhance(max(0.0, 1 + drawn * strength))


def _box(height: int, width: int, settings: PhotographSettings, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the crop, after torchvision's RandomResizedCrop."""
    low, high = np.log(settings.ratio)
    for _ in range(_TRIES):
        area = height * width * rng.uniform(*settings.scale)
        ratio = math.exp(rng.uniform(low, high))
        wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < tall <= height:
            return int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1)), tall, wide
    ratio = min(max(width / height, settings.ratio[0]), settings.ratio[1])
    wide, tall = (width, round(width / ratio)) if width / height < ratio else (round(height * ratio), height)
    wide, tall = min(wide, width), min(tall, height)
    return (height - tall) // 2, (width - wide) // 2, tall, wide
