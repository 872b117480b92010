"""Reading pictures: every way in which one can be unusable is one clear line."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from limbeck.errors import InputError
from limbeck.files import check_regular

LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in a grey picture (Rec. 601)
# A crop of a person has some ten thousand pixels. A file that unfolds to more than this is an accident or an attack.
MAX_PIXELS = 2**25
BACKGROUND = (255, 255, 255)
"""What stands behind transparent pixels, whose own colours nobody sees: white, as on a page."""
DEEP = 65535
"""The greatest value of a grey picture of 16 bits, which thermal cameras write."""
Radiometric: TypeAlias = tuple[int, int]
"""Values of grey pictures of 16 bits that are read as black and as white."""


def try_image(
    path: Path, size: tuple[int, int] | int, *, radiometric: Radiometric | None = None
) -> NDArray[np.uint8] | str:
    """What `read_image` gives, or the line that says why it cannot."""
    try:
        return read_image(path, size, radiometric=radiometric)
    except InputError as error:
        return str(error)


def read_image(
    path: Path, size: tuple[int, int] | int | None = None, *, radiometric: Radiometric | None = None
) -> NDArray[np.uint8]:
    """Decode a picture to (height, width, 3) in RGB; grey pictures get three equal channels.

    16 bits a channel become 8 in proportion: 0 stays 0, 65535 becomes 255. Transparent pixels are laid over white.

    Args:
        path: of a JPEG, PNG or BMP file.
        size: (height, width) in pixels to resize to, bilinear with antialiasing; a number: of the shorter side, the
            longer one in proportion, rounded down; default: as it is.
        radiometric: values of grey pictures of 16 bits that become 0 and 255, those between in proportion, those
            outside the nearer one of the two; default: 0 and 65535.

    Raises:
        InputError: there is no such file, it is not a picture, damaged, empty, or unfolds to more than `MAX_PIXELS`.
    """
    with opened(path) as image:
        picture = _in_rgb(image, radiometric or (0, DEEP))
        if isinstance(size, int):
            shorter = min(image.width, image.height)
            size = size * image.height // shorter, size * image.width // shorter
        if size is not None:
            picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        return np.asarray(picture)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """A JPEG, PNG or BMP, open; what is wrong with it, inside of the block too, is one line.

    Raises:
        InputError: there is no such file, it is not a picture, damaged, empty, or unfolds to more than `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the check below is stricter
            check_regular(path)
            with Image.open(path, formats=("JPEG", "PNG", "BMP")) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise InputError(
                        f"{path}: unfolds to {image.width} x {image.height} pixels, more than {MAX_PIXELS}; refused"
                    )
                if image.width == 0 or image.height == 0:
                    raise InputError(f"{path}: the picture has no pixels")
                yield image
    except InputError:
        raise
    except UnidentifiedImageError:
        told = "is empty" if path.stat().st_size == 0 else "is not a JPEG, PNG or BMP picture, or a damaged one"
        raise InputError(f"{path}: {told}") from None
    except Image.DecompressionBombError:
        raise InputError(f"{path}: unfolds to more than {MAX_PIXELS} pixels; refused") from None
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        KeyError,
        IndexError,
        TypeError,
        struct.error,
        zlib.error,
    ) as error:
        reason = getattr(error, "strerror", None) or "the picture is damaged or cut off"
        raise InputError(f"{path}: cannot be read ({reason})") from None


def is_deep(path: Path) -> bool:
    """Whether a file is a grey PNG of 16 bits, by its first bytes; one that cannot be read is not."""
    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        with path.open("rb") as stream:
            head = stream.read(26)
    except OSError:
        return False
    return head[:8] == b"\x89PNG\r\n\x1a\n" and head[24:26] == bytes((16, 0))


def deep_values(path: Path) -> tuple[int, int]:
    """The lowest and the highest value of a picture that `is_deep` and that `read_image` reads."""
    with Image.open(path, formats=("PNG",)) as image:
        values = np.asarray(image)
    return int(values.min()), int(values.max())


def _in_rgb(image: Image.Image, radiometric: Radiometric) -> Image.Image:
    """A picture in RGB. Pillow alone would clip 16 bits at 255, and show what transparency hides."""
    key = image.info.get("transparency")
    if image.mode.startswith("I"):  # one channel of 16 bits
        low, high = radiometric
        values = np.clip(np.arange(DEEP + 1), low, high) - low
        grey = ((510 * values + (high - low)) // (2 * (high - low))).astype(np.uint8)
        held = np.asarray(image)
        shades = grey[held]
        if isinstance(key, int):
            shades[held == key] = BACKGROUND[0]
        return Image.fromarray(shades).convert("RGB")
    if image.has_transparency_data:
        behind = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        return Image.alpha_composite(behind, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")
