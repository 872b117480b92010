"""Photographs: what crops and colours do, that keys decide all of it, and pictures that keep their shape on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.images.pictures import photograph

from limbeck.errors import InputError
from limbeck.images.cache import decoded_photographs
from limbeck.images.decoding import read_image
from limbeck.images.photographs import PhotographSettings, central_photographs, changed_photographs
from limbeck.training import generator

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
WHOLE = PhotographSettings(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0)


def changed(settings: PhotographSettings, *key: int, picture: np.ndarray = PICTURE, size: int = 24) -> np.ndarray:
    (found,) = changed_photographs([picture], settings, [generator(*key)], size=size).numpy()
    return found.transpose(1, 2, 0)


def test_a_key_decides_everything() -> None:
    settings = PhotographSettings(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
    assert np.array_equal(changed(settings, 1), changed(settings, 1))
    assert not np.array_equal(changed(settings, 1), changed(settings, 2))


def test_a_crop_of_everything_is_a_resize_and_a_mirror_its_mirror() -> None:
    square = PICTURE[:, :40]
    expected = np.asarray(Image.fromarray(square).resize((24, 24), Image.Resampling.BILINEAR)) / 255
    np.testing.assert_allclose(changed(WHOLE, 3, picture=square), expected, atol=1e-7)
    mirror = PhotographSettings(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=1.0)
    np.testing.assert_allclose(changed(mirror, 3, picture=square), expected[:, ::-1], atol=1e-7)


def test_crops_have_the_shares_and_ratios_that_were_asked() -> None:
    # Of a picture whose colours are its coordinates, a crop's corners say where it lay.
    rows, columns = np.indices((200, 200))
    picture = np.stack([rows, columns, rows], axis=2).astype(np.uint8)
    settings = PhotographSettings(scale=(0.2, 0.5), ratio=(0.5, 2.0), flip=0.0)
    shares, ratios = [], []
    for key in range(200):
        found = changed(settings, key, picture=picture, size=64) * 255
        tall = (found[-1, 0, 0] - found[0, 0, 0]) * 64 / 63
        wide = (found[0, -1, 1] - found[0, 0, 1]) * 64 / 63
        shares.append(tall * wide / 200**2)
        ratios.append(wide / tall)
    assert 0.17 < min(shares) < 0.25
    assert 0.45 < max(shares) < 0.53
    assert 0.45 < min(ratios) < 0.6
    assert 1.6 < max(ratios) < 2.2


def test_a_crop_that_does_not_fit_lies_in_the_middle() -> None:
    settings = PhotographSettings(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0)
    found = changed(settings, 0, size=40)  # 40 x 60: no square has the whole area
    np.testing.assert_allclose(found, PICTURE[:, 10:50] / 255, atol=1e-7)


def test_colours_change_as_their_names_say() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    bright = [
        changed(PhotographSettings(brightness=0.5, scale=(1, 1), ratio=(1, 1)), k, picture=grey) for k in range(40)
    ]
    levels = [float(one.mean()) * 255 for one in bright]
    assert 50 <= min(levels) < 70
    assert 130 < max(levels) <= 150
    for kind in ("contrast", "saturation", "hue"):  # of a grey picture without contrast: nothing
        found = changed(PhotographSettings(**{kind: 0.5}, scale=(1, 1), ratio=(1, 1)), 5, picture=grey)
        np.testing.assert_allclose(found * 255, 100, atol=0.01)
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 200
    turned = changed(PhotographSettings(hue=0.5, scale=(1, 1), ratio=(1, 1)), 1, picture=red)
    assert turned[..., 1:].max() > 0.3


@pytest.mark.parametrize("changes", [{"scale": (0.5, 0.2)}, {"scale": (0.5, 1.5)}, {"ratio": (2.0, 1.0)}, {"hue": 0.6}])
def test_unusable_settings_are_named(changes: dict) -> None:
    with pytest.raises(InputError, match=f"augmentation.{next(iter(changes))}"):
        PhotographSettings(**changes)


def test_the_middle_is_cut_out() -> None:
    (found,) = central_photographs([PICTURE], size=20).numpy()
    np.testing.assert_allclose(found.transpose(1, 2, 0), PICTURE[10:30, 20:40] / 255, atol=1e-7)
    with pytest.raises(InputError, match=r"40 x 60 pixels holds no square of 50: lower data\.crop"):
        central_photographs([PICTURE], size=50)


def test_pictures_keep_their_shape_on_disk(tmp_path: Path) -> None:
    sizes = {"a.png": (30, 20), "b/c.png": (17, 43), "d.png": (20, 20)}
    for number, (name, size) in enumerate(sizes.items()):
        photograph(tmp_path / "set" / name, number, size)
    paths = ["d.png", "a.png", "b/c.png"]
    first = decoded_photographs(tmp_path / "set", paths, tmp_path / "cache", side=16)
    again = decoded_photographs(tmp_path / "set", paths, tmp_path / "cache", side=16)
    assert (first.built, again.built) == (True, False)
    shapes = {"a.png": (16, 24), "b/c.png": (40, 16), "d.png": (16, 16)}
    for found in (first, again):
        assert len(found.images) == 3
        for path, row in zip(paths, found.rows.tolist(), strict=True):
            assert found.images[row].shape[:2] == shapes[path]
            assert np.array_equal(found.images[row], read_image(tmp_path / "set" / path, 16))
    index = json.loads((tmp_path / "cache" / "cache.json").read_text())
    index["shapes"][0][0] += 1
    (tmp_path / "cache" / "cache.json").write_text(json.dumps(index))
    assert decoded_photographs(tmp_path / "set", paths, tmp_path / "cache", side=16).built
