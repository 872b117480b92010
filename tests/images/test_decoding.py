"""Reading pictures: every way in which one can be unusable."""

import contextlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.images.pictures import photograph

from limbeck.errors import InputError
from limbeck.images.decoding import MAX_PIXELS, read_image


def test_reads_rgb_and_grey_and_resizes(tmp_path: Path) -> None:
    photograph(tmp_path / "a.png", 0)
    assert read_image(tmp_path / "a.png").shape == (20, 12, 3)
    assert read_image(tmp_path / "a.png", (8, 4)).shape == (8, 4, 3)
    Image.new("L", (3, 2), 77).save(tmp_path / "grey.bmp")
    assert (read_image(tmp_path / "grey.bmp") == 77).all()
    Image.new("RGBA", (3, 2), (9, 8, 7, 6)).save(tmp_path / "alpha.png")
    assert read_image(tmp_path / "alpha.png").shape == (2, 3, 3)


def bomb(path: Path, width: int, height: int) -> None:
    """A PNG of a few bytes whose header promises more."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (60_000, 60_000), (2**25 + 1, 1)])
def test_a_decompression_bomb_is_refused(tmp_path: Path, width: int, height: int) -> None:
    bomb(tmp_path / "bomb.png", width, height)
    with pytest.raises(InputError, match=r"bomb.png: unfolds to more than|bomb.png: unfolds to \d+ x"):
        read_image(tmp_path / "bomb.png")


def test_pictures_that_are_none_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.jpg"
    with pytest.raises(InputError, match=r"x.jpg: cannot be read \(No such file"):
        read_image(file)
    file.touch()
    with pytest.raises(InputError, match=r"x.jpg: is empty"):
        read_image(file)
    file.write_bytes(b"GIF89a" + bytes(100))
    with pytest.raises(InputError, match=r"x.jpg: is not a JPEG, PNG or BMP"):
        read_image(file)
    photograph(file, 0, (64, 64))
    file.write_bytes(file.read_bytes()[:600])
    with pytest.raises(InputError, match=r"x.jpg: cannot be read \(the picture is damaged or cut off\)"):
        read_image(file)
    bomb(tmp_path / "nothing.png", 0, 5)
    with pytest.raises(InputError, match=r"nothing.png: "):
        read_image(tmp_path / "nothing.png")


def test_random_damage_is_a_clear_line_or_a_picture(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for suffix in ("jpg", "png", "bmp"):
        file = tmp_path / f"x.{suffix}"
        photograph(file, 1, (32, 32))
        whole = np.frombuffer(file.read_bytes(), np.uint8)
        for _ in range(60):
            broken = whole.copy()
            broken[generator.integers(0, len(whole), 8)] = generator.integers(0, 256, 8)
            file.write_bytes(broken[: generator.integers(1, len(whole) + 1)].tobytes())
            with contextlib.suppress(InputError):  # anything else is a failure
                assert read_image(file).dtype == np.uint8


def test_the_limit_is_no_larger_than_pillows() -> None:
    assert MAX_PIXELS <= Image.MAX_IMAGE_PIXELS
