"""The cache of decoded pictures: shared, stale, interrupted, corrupt."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.images.pictures import photograph

from limbeck.errors import InputError
from limbeck.images import cache
from limbeck.images.cache import decoded_images
from limbeck.images.decoding import read_image

PATHS = [f"{number}.png" for number in range(6)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        photograph(tmp_path / "set" / f"{number}.png", number)
    return tmp_path / "set"


def test_serves_what_a_direct_read_gives(folder: Path, tmp_path: Path) -> None:
    first = decoded_images(folder, PATHS, tmp_path / "cache", size=(10, 6))
    again = decoded_images(folder, PATHS, tmp_path / "cache", size=(10, 6))
    assert (first.built, again.built) == (True, False)
    for held in (first, again):
        assert held.rows.tolist() == list(range(6))
        for number, path in enumerate(PATHS):
            np.testing.assert_array_equal(held.images[number], read_image(folder / path, (10, 6)))
    with pytest.raises(ValueError, match="read-only"):
        again.images[0] = 0


def test_the_order_of_the_paths_does_not_matter(folder: Path, tmp_path: Path) -> None:
    (folder / "4.png").write_bytes(b"")
    options: dict[str, Any] = {"size": (10, 6), "skip_corrupt": True}
    assert decoded_images(folder, PATHS, tmp_path / "cache", **options).built
    for paths in (PATHS[::-1], [PATHS[3], *PATHS, PATHS[3]]):  # another order; one of them asked for again
        held = decoded_images(folder, paths, tmp_path / "cache", **options)
        assert not held.built
        assert len(held.images) == 5
        for row, path in zip(held.rows.tolist(), paths, strict=True):
            if path == "4.png":
                assert row == -1
            else:
                np.testing.assert_array_equal(held.images[row], read_image(folder / path, (10, 6)))


def test_is_rebuilt_when_stale(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "cache"
    decoded_images(folder, PATHS, place, size=(10, 6))
    assert decoded_images(folder, PATHS, place, size=(8, 6)).built  # another size
    assert decoded_images(folder, PATHS[:5], place, size=(8, 6)).built  # fewer pictures
    photograph(folder / "2.png", 99)
    held = decoded_images(folder, PATHS[4::-1], place, size=(8, 6))
    assert held.built  # a changed picture
    np.testing.assert_array_equal(held.images[held.rows[2]], read_image(folder / "2.png", (8, 6)))
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
    index = json.loads((place / "cache.json").read_text())
    (place / "cache.json").write_text(json.dumps(index | {"kept": [*range(5), 6]}))
    assert decoded_images(folder, PATHS, place, size=(10, 6)).built
    for changed in ({"kept": [2**64]}, {"size": [2**70, 6]}, {"size": "x"}, {"corrupt": [1]}):
        index = json.loads((place / "cache.json").read_text())
        (place / "cache.json").write_text(json.dumps(index | changed))
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
        assert one.rows.tolist() == [0, -1, 1, 2, -1, 3]
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


def test_another_radiometric_range_is_another_cache(folder: Path, tmp_path: Path) -> None:
    counts = np.random.default_rng(0).integers(7200, 9100, (10, 6)).astype(np.uint16)
    Image.fromarray(counts).save(folder / "0.png")
    means = []
    for radiometric, built in ((None, True), (None, False), ((7200, 9100), True), ((7200, 9100), False)):
        held = decoded_images(folder, PATHS, tmp_path / "cache", size=(10, 6), radiometric=radiometric)
        assert held.built == built
        np.testing.assert_array_equal(held.images[0], read_image(folder / "0.png", (10, 6), radiometric=radiometric))
        means.append(held.images[0].mean())
    assert means[0] < 40
    assert means[2] > 100
