"""Reading pictures: every way in which one can be unusable is one clear line."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from limbeck.errors import InputError

LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in a grey picture (Rec. 601)
# A crop of a person has some ten thousand pixels. A file that unfolds to more than this is an accident or an attack.
MAX_PIXELS = 2**25


def try_image(path: Path, size: tuple[int, int] | int) -> NDArray[np.uint8] | str:
    """What `read_image` gives, or the line that says why it cannot."""
    try:
        return read_image(path, size)
    except InputError as error:
        return str(error)


def read_image(path: Path, size: tuple[int, int] | int | None = None) -> NDArray[np.uint8]:
    """Decode a picture to (height, width, 3) in RGB; grey pictures get three equal channels.

    Args:
        path: of a JPEG, PNG or BMP file.
        size: (height, width) in pixels to resize to, bilinear with antialiasing; a number: of the shorter side, the
            longer one in proportion, rounded down; default: as it is.

    Raises:
        InputError: there is no such file, it is not a picture, damaged, empty, or unfolds to more than `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the check below is stricter
            with Image.open(path, formats=("JPEG", "PNG", "BMP")) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise InputError(
                        f"{path}: unfolds to {image.width} x {image.height} pixels, more than {MAX_PIXELS}; refused"
                    )
                if image.width == 0 or image.height == 0:
                    raise InputError(f"{path}: the picture has no pixels")
                picture = image.convert("RGB")
                if isinstance(size, int):
                    shorter = min(image.width, image.height)
                    size = size * image.height // shorter, size * image.width // shorter
                if size is not None:
                    picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
                return np.asarray(picture)
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
