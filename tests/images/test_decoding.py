"""Reading pictures: every way in which one can be unusable."""

import contextlib
import os
import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.images.pictures import photograph

from limbeck.errors import InputError
from limbeck.images.decoding import MAX_PIXELS, deep_values, is_deep, read_image
from limbeck.segmentation.dataset import picture_size


def test_reads_rgb_and_grey_and_resizes(tmp_path: Path) -> None:
    photograph(tmp_path / "a.png", 0)
    assert read_image(tmp_path / "a.png").shape == (20, 12, 3)
    assert read_image(tmp_path / "a.png", (8, 4)).shape == (8, 4, 3)
    Image.new("L", (3, 2), 77).save(tmp_path / "grey.bmp")
    assert (read_image(tmp_path / "grey.bmp") == 77).all()


def png(width: int, height: int, lines: bytes | None, *, depth: int = 8, kind: int = 2, key: bytes = b"") -> bytes:
    """A PNG written byte by byte; without lines its header promises more than there is."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    body = chunk(b"IDAT", b"" if lines is None else zlib.compress(lines))
    return b"\x89PNG\r\n\x1a\n" + header + (chunk(b"tRNS", key) if key else b"") + body + chunk(b"IEND", b"")


def bomb(path: Path, width: int, height: int) -> None:
    """A PNG of a few bytes whose header promises more."""
    path.write_bytes(png(width, height, None))


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


def deep(path: Path, values: Sequence[int]) -> Path:
    """A grey PNG of 16 bits, one row."""
    Image.fromarray(np.array([values], np.uint16)).save(path)
    return path


def test_16_bits_are_scaled_by_their_depth(tmp_path: Path) -> None:
    values = [0, 1, 128, 129, 385, 386, 5000, 30000, 65406, 65407, 65535]
    found = read_image(deep(tmp_path / "a.png", values))[0]
    assert found[:, 0].tolist() == [int(Fraction(value * 255, 65535) + Fraction(1, 2)) for value in values]
    assert found[:, 0].tolist()[6:8] == [19, 117]
    assert (found == found[:, :1]).all()
    # As a picture of 8 bits of the same shades is read, resized or not.
    shades = np.random.default_rng(0).integers(0, 256, (20, 12), dtype=np.uint8)
    Image.fromarray(shades).save(tmp_path / "shallow.png")
    Image.fromarray(shades.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    for size in (None, (9, 5), 8):
        assert (read_image(tmp_path / "shallow.png", size) == read_image(tmp_path / "deep.png", size)).all()


def test_a_stated_range_is_black_and_white(tmp_path: Path) -> None:
    file = deep(tmp_path / "a.png", [0, 7200, 7205, 8150, 9100, 65535])
    assert read_image(file, radiometric=(7200, 9100))[0, :, 0].tolist() == [0, 0, 1, 128, 255, 255]
    # It is of pictures of 16 bits alone.
    photograph(tmp_path / "b.png", 0)
    assert (read_image(tmp_path / "b.png", radiometric=(7200, 9100)) == read_image(tmp_path / "b.png")).all()


def test_16_bits_in_colour_and_with_transparency_are_scaled_too(tmp_path: Path) -> None:
    for kind, channels, expected in ((2, [65535, 32896, 0], [255, 128, 0]), (4, [30000, 65535], [117] * 3)):
        line = b"\0" + struct.pack(f">{len(channels)}H", *channels)
        (tmp_path / "a.png").write_bytes(png(1, 1, line, depth=16, kind=kind))
        assert np.abs(read_image(tmp_path / "a.png")[0, 0].astype(int) - expected).max() <= 1  # Pillow rounds down
    keyed = b"\0" + struct.pack(">2H", 30000, 5000)
    (tmp_path / "a.png").write_bytes(png(2, 1, keyed, depth=16, kind=0, key=struct.pack(">H", 30000)))
    assert read_image(tmp_path / "a.png")[0, :, 0].tolist() == [255, 19]


def test_transparent_pixels_show_white_and_not_what_they_hide(tmp_path: Path) -> None:
    pixels = np.array([[[200, 10, 10, 0], [200, 10, 10, 255], [0, 0, 0, 51]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[0].tolist() == [[255, 255, 255], [200, 10, 10], [204, 204, 204]]
    grey = np.array([[[7, 0], [7, 255]]], np.uint8)
    Image.fromarray(grey, "LA").save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png")[0, :, 0].tolist() == [255, 7]
    palette = Image.new("P", (2, 1))
    palette.putpalette([9, 9, 9, 50, 60, 70])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "palette.png", transparency=0)
    assert read_image(tmp_path / "palette.png")[0].tolist() == [[255] * 3, [50, 60, 70]]
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "key.png", transparency=(1, 2, 3))
    assert read_image(tmp_path / "key.png")[0, 0].tolist() == [255] * 3


def test_which_pictures_have_16_bits(tmp_path: Path) -> None:
    file = deep(tmp_path / "deep.jpg.png", [300, 9, 65000])
    assert is_deep(file)
    assert deep_values(file) == (9, 65000)
    photograph(tmp_path / "a.png", 0)
    photograph(tmp_path / "a.jpg", 0)
    (tmp_path / "empty.png").touch()
    assert not any(is_deep(tmp_path / name) for name in ("a.png", "a.jpg", "empty.png", "none.png"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_or_a_device_in_place_of_a_picture_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("/dev/zero")
    for name in ("a.png", "b.png"):
        with pytest.raises(InputError, match=f"{name}: is a pipe or a device, not a file"):
            read_image(tmp_path / name)
        with pytest.raises(InputError, match=f"{name}: is a pipe or a device, not a file"):
            picture_size(tmp_path / name)
        assert not is_deep(tmp_path / name)
