"""Searching one's own pictures with a model."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limbeck.errors import InputError
from limbeck.modalities import INFRARED, VISIBLE
from limbeck.reid.network import ReidNetwork
from limbeck.reid.recipe import DataSettings, LossSettings, NetworkSettings, ReidRecipe
from limbeck.reid.runs import ReidModel
from limbeck.reid.search import format_found, rank_folder, write_found


@pytest.fixture
def model() -> ReidModel:
    import torch

    recipe = ReidRecipe(
        data=DataSettings(height=32, width=16),
        network=NetworkSettings(encoder="small", weights="none", bottleneck=False),
        loss=LossSettings(objective="none"),
    )
    torch.manual_seed(0)
    return ReidModel(ReidNetwork(recipe, 3).eval(), recipe, np.arange(3), torch.device("cpu"))


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "gallery"
    (folder / "below").mkdir(parents=True)
    for place in range(5):
        pixels = rng.integers(0, 256, (40, 20, 3)).astype(np.uint8)
        name = folder / "below" / f"{place}.png" if place % 2 else folder / f"{place}.png"
        Image.fromarray(pixels).save(name)
    grey = rng.integers(0, 256, (40, 20)).astype(np.uint8)
    Image.fromarray(grey).save(folder / "grey.jpg")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_the_same_picture_comes_first(model: ReidModel, gallery: Path, tmp_path: Path) -> None:
    query = tmp_path / "asked.png"
    query.write_bytes((gallery / "below" / "3.png").read_bytes())
    found = rank_folder(model, query, gallery, first=4)
    assert found.path[0] == gallery / "below" / "3.png"
    assert found.similarity[0] == pytest.approx(1, abs=1e-5)
    assert (np.diff(found.similarity) <= 0).all()
    assert (found.query_modality, found.searched, len(found.path)) == (VISIBLE, 6, 4)
    assert "3.png" in format_found(found)
    page = write_found(found, tmp_path / "out").read_text()
    assert page.count("<img") == 5


def test_modality_is_seen_or_given(model: ReidModel, gallery: Path) -> None:
    found = rank_folder(model, gallery / "grey.jpg", gallery, first=9)
    assert found.query_modality == INFRARED
    assert found.searched == 5  # the query itself lies there, and is not found
    assert set(found.modality.tolist()) == {VISIBLE}
    given = rank_folder(model, gallery / "grey.jpg", gallery, query_modality="visible", gallery_modality="infrared")
    assert given.query_modality == VISIBLE
    assert set(given.modality.tolist()) == {INFRARED}


def test_unreadable_pictures_are_left_out_and_told(model: ReidModel, gallery: Path) -> None:
    (gallery / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    found = rank_folder(model, gallery / "0.png", gallery)
    assert len(found.skipped) == 1
    assert "broken.jpg" in found.skipped[0]
    assert found.searched == 5


def test_what_cannot_be_searched_is_one_line(model: ReidModel, gallery: Path, tmp_path: Path) -> None:
    for query, folder, first, words in (
        (tmp_path / "none.png", gallery, 3, "none.png"),
        (gallery / "0.png", tmp_path / "nowhere", 3, "no such folder"),
        (gallery / "0.png", gallery, 0, "first"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            rank_folder(model, query, folder, first=first)
        assert len(str(caught.value).splitlines()) == 1
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="holds no"):
        rank_folder(model, gallery / "0.png", empty)
    (empty / "bad.png").write_bytes(b"bad")
    with pytest.raises(InputError, match="none of the 1 pictures"):
        rank_folder(model, gallery / "0.png", empty)
