"""Reading pictures, and the cache of decoded ones: stale, interrupted, corrupt."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limbeck.errors import InputError
from limbeck.images import cache
from limbeck.images import decoding as images
from limbeck.images.cache import decoded_images
from limbeck.images.decoding import read_image


def photograph(path: Path, seed: int, size: tuple[int, int] = (12, 20)) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        photograph(tmp_path / "set" / f"{number}.png", number)
    return tmp_path / "set"


PATHS = [f"{number}.png" for number in range(6)]


# -- reading ----------------------------------------------------------------------------------------------------------


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
    with pytest.raises(InputError, match=r"x.jpg: is no JPEG, PNG or BMP"):
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


# -- the cache --------------------------------------------------------------------------------------------------------


def test_serves_what_a_direct_read_gives(folder: Path, tmp_path: Path) -> None:
    first = decoded_images(folder, PATHS, tmp_path / "cache", size=(10, 6))
    again = decoded_images(folder, PATHS, tmp_path / "cache", size=(10, 6))
    assert (first.built, again.built) == (True, False)
    for held in (first, again):
        assert held.kept.tolist() == list(range(6))
        for number, path in enumerate(PATHS):
            np.testing.assert_array_equal(held.images[number], read_image(folder / path, (10, 6)))
    with pytest.raises(ValueError, match="read-only"):
        again.images[0] = 0


def test_is_rebuilt_when_stale(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "cache"
    decoded_images(folder, PATHS, place, size=(10, 6))
    assert decoded_images(folder, PATHS, place, size=(8, 6)).built  # another size
    assert decoded_images(folder, PATHS[:5], place, size=(8, 6)).built  # fewer pictures
    assert decoded_images(folder, PATHS[4::-1], place, size=(8, 6)).built  # another order
    photograph(folder / "2.png", 99)
    held = decoded_images(folder, PATHS[4::-1], place, size=(8, 6))
    assert held.built  # a changed picture
    np.testing.assert_array_equal(held.images[2], read_image(folder / "2.png", (8, 6)))
    os.utime(folder / "3.png", ns=(1, 1))
    assert decoded_images(folder, PATHS[4::-1], place, size=(8, 6)).built  # a touched one
    assert len(list(place.iterdir())) == 2  # nothing old is left


def test_a_damaged_cache_is_rebuilt(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "cache"
    decoded_images(folder, PATHS, place, size=(10, 6))
    (array,) = place.glob("images-*")
    array.write_bytes(array.read_bytes()[:-1])
    assert decoded_images(folder, PATHS, place, size=(10, 6)).built
    index = json.loads((place / "cache.json").read_text())
    (place / "cache.json").write_text(json.dumps(index | {"file": "../../elsewhere"}))
    assert decoded_images(folder, PATHS, place, size=(10, 6)).built
    (place / "cache.json").write_text("{")
    assert decoded_images(folder, PATHS, place, size=(10, 6)).built
    assert not decoded_images(folder, PATHS, place, size=(10, 6)).built


def test_an_interruption_leaves_the_old_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "cache"
    old = decoded_images(folder, PATHS, place, size=(10, 6))
    before = {file.name: file.read_bytes() for file in place.iterdir()}
    monkeypatch.setattr(cache, "_BATCH", 2)

    def interrupt(done: int, total: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decoded_images(folder, PATHS, place, size=(8, 8), progress=interrupt)
    assert {file.name: file.read_bytes() for file in place.iterdir()} == before
    assert not decoded_images(folder, PATHS, place, size=(10, 6)).built
    monkeypatch.setattr(cache, "write_json", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        decoded_images(folder, PATHS, place, size=(8, 8))
    monkeypatch.undo()
    kept = decoded_images(folder, PATHS, place, size=(10, 6))
    assert not kept.built
    np.testing.assert_array_equal(kept.images, old.images)
    decoded_images(folder, PATHS, place, size=(9, 9))
    assert len(list(place.iterdir())) == 2  # what the full disk left is gone


def test_corrupt_pictures_are_named_counted_and_skipped_if_asked(folder: Path, tmp_path: Path) -> None:
    (folder / "1.png").write_bytes(b"")
    (folder / "4.png").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"1.png: is empty \(and 1 more\): 2 of 6 pictures"):
        decoded_images(folder, PATHS, tmp_path / "cache", size=(10, 6))
    held = decoded_images(folder, PATHS, tmp_path / "cache", size=(10, 6), skip_corrupt=True)
    again = decoded_images(folder, PATHS, tmp_path / "cache", size=(10, 6), skip_corrupt=True)
    assert not again.built
    for one in (held, again):
        assert one.kept.tolist() == [0, 2, 3, 5]
        assert len(one.images) == 4
        assert [line.split(":")[0].rpartition("/")[2] for line in one.corrupt] == ["1.png", "4.png"]
    for number in range(6):
        (folder / f"{number}.png").write_bytes(b"")
    with pytest.raises(InputError, match="none of the 6 pictures"):
        decoded_images(folder, PATHS, tmp_path / "cache", skip_corrupt=True)


def test_missing_pictures_and_none_at_all_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"9.png: No such file"):
        decoded_images(folder, ["9.png"], tmp_path / "cache")
    with pytest.raises(InputError, match="no pictures"):
        decoded_images(folder, [], tmp_path / "cache")


def test_the_limit_is_no_larger_than_pillows() -> None:
    assert images.MAX_PIXELS <= Image.MAX_IMAGE_PIXELS
