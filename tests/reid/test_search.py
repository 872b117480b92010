"""Searching one's own pictures with a model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limbeck.errors import InputError
from limbeck.reid.network import ReidNetwork
from limbeck.reid.recipe import DataSettings, LossSettings, NetworkSettings, ReidRecipe
from limbeck.reid.runs import ReidModel
from limbeck.reid.search import Found, format_found, pictures_of, rank_folder, write_found


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
    found = rank_folder(model, [query], gallery, first=4)
    assert _paths(found)[0][0] == gallery / "below" / "3.png"
    (values,) = found.matches.found.similarity
    assert values[0] == pytest.approx(1, abs=1e-5)
    assert (np.diff(values) <= 0).all()
    assert found.matches.queries["modality"].tolist() == ["visible"]
    assert (len(found.matches.gallery), len(values)) == (6, 4)
    assert "3.png" in format_found(found)
    page = write_found(found, tmp_path / "out").read_text()
    assert "What looks like asked.png" in page
    assert page.count("<img") == 5


def test_several_queries_are_rows_of_one_page(model: ReidModel, gallery: Path, tmp_path: Path) -> None:
    asked = pictures_of([gallery / "below", gallery / "grey.jpg"])
    assert [path.name for path in asked] == ["1.png", "3.png", "grey.jpg"]
    found = rank_folder(model, asked, gallery, first=9)
    for query, paths, values in zip(asked, _paths(found), found.matches.found.similarity, strict=True):
        alone = rank_folder(model, [query], gallery, first=9)
        assert query not in paths  # it lies there, and does not find itself
        assert paths == _paths(alone)[0]
        np.testing.assert_allclose(values, alone.matches.found.similarity[0], atol=1e-5)
    assert " ".join(format_found(found).split()).count("among 6 pictures") == 3
    page = write_found(found, tmp_path / "out").read_text()
    assert page.count('<div class="grid">') == page.count('class="query"') == 3
    assert page.count("<img") == 3 * (1 + 5)
    table = (tmp_path / "out" / "matches.csv").read_text().splitlines()
    assert len(table) == 1 + 3 * 5
    assert str(asked[0]) in table[1]


def test_modality_is_seen_or_given(model: ReidModel, gallery: Path) -> None:
    matches = rank_folder(model, [gallery / "grey.jpg"], gallery, first=9).matches
    assert matches.queries["modality"].tolist() == ["infrared"]
    assert matches.found.positions.shape == (1, 5)
    assert set(matches.gallery["modality"][matches.found.positions[0]]) == {"visible"}
    given = rank_folder(model, [gallery / "grey.jpg"], gallery, query_modality="visible", gallery_modality="infrared")
    assert given.matches.queries["modality"].tolist() == ["visible"]
    assert set(given.matches.gallery["modality"]) == {"infrared"}


def test_unreadable_pictures_are_left_out_and_told(model: ReidModel, gallery: Path, tmp_path: Path) -> None:
    (gallery / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    found = rank_folder(model, [gallery / "0.png"], gallery)
    assert len(found.skipped) == 1
    assert "broken.jpg" in found.skipped[0]
    assert len(found.matches.gallery) == 5
    assert "broken.jpg" in write_found(found, tmp_path / "out").read_text()


def _paths(found: Found) -> list[list[Path]]:
    """The pictures that each query found."""
    paths = found.matches.gallery["path"]
    return [[Path(paths[item]) for item in positions] for positions in found.matches.found.positions]


def test_what_cannot_be_searched_is_one_line(model: ReidModel, gallery: Path, tmp_path: Path) -> None:
    for query, folder, first, words in (
        (tmp_path / "none.png", gallery, 3, "none.png"),
        (gallery / "0.png", tmp_path / "nowhere", 3, "no such folder"),
        (gallery / "0.png", gallery, 0, "first"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            rank_folder(model, [query], folder, first=first)
        assert len(str(caught.value).splitlines()) == 1
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="holds no"):
        rank_folder(model, [gallery / "0.png"], empty)
    (empty / "bad.png").write_bytes(b"bad")
    with pytest.raises(InputError, match="none of the 1 pictures"):
        rank_folder(model, [gallery / "0.png"], empty)
    with pytest.raises(InputError, match="queries must name at least one"):
        rank_folder(model, [], gallery)


def test_pictures_of_16_bits_are_read_as_the_training_did(model: ReidModel, gallery: Path, tmp_path: Path) -> None:
    shades = np.random.default_rng(1).integers(0, 256, (32, 16)).astype(np.uint16)
    query = tmp_path / "asked.png"
    Image.fromarray(shades * 4 + 7000).save(query)
    Image.fromarray(shades.astype(np.uint8)).save(gallery / "same.png")
    ranged = replace(model, recipe=replace(model.recipe, data=replace(model.recipe.data, radiometric=(7000, 8020))))
    found = rank_folder(ranged, [query], gallery)
    assert _paths(found)[0][0] == gallery / "same.png"
    assert found.matches.found.similarity.max() == pytest.approx(1, abs=1e-5)
    assert rank_folder(model, [query], gallery).matches.found.similarity.max() < 0.999
    assert write_found(found, tmp_path / "out").is_file()
