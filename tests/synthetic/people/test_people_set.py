"""Making a set: bytes, layouts, counts, refusals, interruptions, and the table of factors."""

import csv
import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limbeck.errors import InputError
from limbeck.synthetic.people import PeopleSettings, make_people, read_factors
from limbeck.synthetic.people import make as making
from limbeck.synthetic.people.layouts import Shot, shots
from limbeck.synthetic.people.make import encoded, scenario
from limbeck.synthetic.people.table import COLUMNS

SMALL = PeopleSettings(
    seed=3, train_identities=4, validation_identities=1, test_identities=3, images_per_camera=2, height=64, width=32
)


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small set in each layout."""
    root = tmp_path_factory.mktemp("people")
    return {layout: make_people(root / layout, SMALL, layout).directory for layout in ("sysu", "regdb", "csv")}


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["sysu", "regdb", "csv"])
def test_same_seed_same_bytes_whatever_the_workers(made, layout: str, tmp_path: Path) -> None:
    expected = _digests(made[layout])
    make_people(tmp_path / "again", SMALL, layout)
    assert _digests(tmp_path / "again") == expected
    if layout == "sysu":
        make_people(tmp_path / "two", SMALL, layout, workers=2)
        assert _digests(tmp_path / "two") == expected


def test_another_seed_draws_other_people(made, tmp_path: Path) -> None:
    make_people(tmp_path / "other", PeopleSettings(**{**vars(SMALL), "seed": 4}), "sysu")
    name = "cam4/0001/0001.jpg"
    assert (tmp_path / "other" / name).read_bytes() != (made["sysu"] / name).read_bytes()


def test_a_picture_does_not_depend_on_how_many_others_there_are(made, tmp_path: Path) -> None:
    fewer = PeopleSettings(
        **{
            **vars(SMALL),
            "train_identities": 2,
            "validation_identities": 0,
            "test_identities": 1,
            "images_per_camera": 1,
        }
    )
    make_people(tmp_path / "fewer", fewer, "sysu")
    pictures = {name: digest for name, digest in _digests(tmp_path / "fewer").items() if name.endswith(".jpg")}
    whole = _digests(made["sysu"])
    assert pictures
    assert {name: whole[name] for name in pictures} == pictures


def test_sysu_layout(made) -> None:
    folder = made["sysu"]
    lists = {path.name: path.read_text() for path in (folder / "exp").iterdir()}
    assert lists == {
        "train_id.txt": "1,2,3,4\n",
        "val_id.txt": "5\n",
        "test_id.txt": "6,7,8\n",
        "available_id.txt": "1,2,3,4,5,6,7,8\n",
    }
    assert {path.name for path in folder.iterdir()} == {
        *(f"cam{camera}" for camera in range(1, 7)),
        "exp",
        "factors.csv",
        "people.json",
    }
    everyone = [f"{identity:04d}" for identity in range(1, 9)]
    for camera in (3, 4, 5, 6):
        assert sorted(path.name for path in (folder / f"cam{camera}").iterdir()) == everyone
    indoor = sorted(path.name for path in (folder / "cam1").iterdir())
    assert 0 < len(indoor) < 8  # some were never seen there
    assert indoor == sorted(path.name for path in (folder / "cam2").iterdir())
    for path in folder.glob("cam*/*"):
        assert sorted(file.name for file in path.iterdir()) == ["0001.jpg", "0002.jpg"]
    with Image.open(folder / "cam6" / "0001" / "0001.jpg") as picture:
        assert (picture.size, picture.mode) == ((32, 64), "RGB")
        pixels = np.asarray(picture)
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])
    with Image.open(folder / "cam4" / "0001" / "0001.jpg") as picture:
        assert np.ptp(np.asarray(picture).astype(int), axis=2).max() > 20


def test_regdb_layout(made) -> None:
    folder = made["regdb"]
    names = {
        f"{split}_{word}_{k}.txt"
        for split in ("train", "test")
        for word in ("visible", "thermal")
        for k in range(1, 11)
    }
    assert {path.name for path in (folder / "idx").iterdir()} == names
    halves = set()
    for fold in range(1, 11):
        people = {}
        for split in ("train", "test"):
            labels: dict[str, dict[str, int]] = {}
            for word, top in (("visible", "Visible"), ("thermal", "Thermal")):
                lines = (folder / "idx" / f"{split}_{word}_{fold}.txt").read_text().splitlines()
                assert len(lines) == 4 * 2
                for line in lines:
                    path, label = line.split(" ")
                    assert (folder / path).is_file()
                    assert path.startswith(f"{top}/")
                    labels.setdefault(word, {})[path.split("/")[1]] = int(label)
            assert labels["visible"] == labels["thermal"]
            assert sorted(labels["visible"].values()) == [0, 1, 2, 3]
            people[split] = frozenset(labels["visible"])
        assert people["train"] | people["test"] == {str(k) for k in range(1, 9)}
        assert not people["train"] & people["test"]
        halves.add(people["train"])
    assert len(halves) > 1
    assert PeopleSettings().images("regdb") == 10
    assert PeopleSettings().images("sysu") == 4


def test_csv_layout(made) -> None:
    with (made["csv"] / "people.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["path", "identity", "modality", "camera"]
    assert {row["modality"] for row in rows} == {"visible", "infrared"}
    assert all((row["modality"] == "infrared") == (row["camera"] in "36") for row in rows)
    assert {row["path"] for row in rows} == {f"images/{path.name}" for path in (made["csv"] / "images").iterdir()}


@pytest.mark.parametrize("layout", ["sysu", "regdb", "csv"])
def test_the_description_counts_what_is_there(made, layout: str) -> None:
    folder = made[layout]
    described = json.loads((folder / "people.json").read_text())
    assert described["layout"] == layout
    assert described["settings"] == vars(SMALL)
    assert described["parts"] == {"train": [1, 2, 3, 4], "validation": [5], "test": [6, 7, 8]}
    factors = read_factors(folder)
    pictures = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in (".jpg", ".bmp", ".png")]
    assert sorted(factors.columns["path"]) == sorted(pictures)
    for camera in described["cameras"]:
        here = factors.columns["camera"] == camera["camera"]
        assert here.sum() == camera["images"]
        assert set(factors.columns["modality"][here]) == {camera["modality"]}


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["sysu", "regdb", "csv"])
def test_factors_are_recoverable_and_sufficient(made, layout: str) -> None:
    factors = read_factors(made[layout])
    assert list(factors.columns) == list(COLUMNS)
    assert factors.columns["person.body.height"].dtype == np.float64
    assert factors.columns["picture.sensor.noise_key"].dtype == np.int64
    assert factors.columns["person.upper.print.kind"].dtype.kind == "U"
    for row in range(len(factors)):
        shot = Shot(*(factors.columns[name][row].item() for name in ("path", "identity", "camera")), 0, "visible")
        file = made[layout] / shot.path
        if layout == "sysu":
            modality = factors.columns["modality"][row].item()
            again = Shot(shot.path, shot.identity, shot.camera, 0, modality)
            assert encoded(SMALL, "sysu", again, factors.scenario(row)) == file.read_bytes()
        else:
            with Image.open(file) as picture:
                np.testing.assert_array_equal(np.asarray(picture), factors.render(row))
    everything = [scenario(SMALL, shot) for shot in shots(SMALL, layout)]  # type: ignore[arg-type]
    assert [factors.scenario(row) for row in range(len(factors))] == everything


def test_a_person_is_the_same_in_all_pictures_and_nuisances_are_not(made) -> None:
    columns = read_factors(made["sysu"]).columns
    person = [name for name in columns if name.startswith("person.")]
    for identity in range(1, 9):
        for name in person:
            assert len(set(columns[name][columns["identity"] == identity])) == 1
    assert len(set(columns["picture.pose.view"])) == len(columns["path"])
    for name in (name for name in columns if name.startswith("camera.")):
        assert len(set(columns[name][columns["camera"] == 3])) == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
        ({"train_identities": 0}, "train_identities"),
        ({"validation_identities": -1}, "validation_identities"),
        ({"test_identities": 2.5}, "test_identities"),
        ({"test_identities": 9999}, "identities"),
        ({"images_per_camera": 0}, "images_per_camera"),
        ({"height": 8}, "height"),
        ({"width": 5000}, "width"),
        ({"difficulty": "brutal"}, "difficulty"),
        ({"absent": 1.5}, "absent"),
        ({"absent": float("nan")}, "absent"),
        ({"absent": "many"}, "absent"),
        ({"jpeg_quality": 101}, "jpeg_quality"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(change: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named) as refused:
        PeopleSettings(**{**vars(SMALL), **change})  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


def test_folders_layouts_and_workers_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="layout"):
        make_people(tmp_path / "new", SMALL, "market")
    with pytest.raises(InputError, match="workers"):
        make_people(tmp_path / "new", SMALL, workers=0)
    with pytest.raises(InputError, match="even"):
        make_people(tmp_path / "new", PeopleSettings(**{**vars(SMALL), "train_identities": 5}), "regdb")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("dear")
    with pytest.raises(InputError, match="not empty"):
        make_people(tmp_path / "full", SMALL)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not a folder"):
        make_people(tmp_path / "file", SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("trouble", [KeyboardInterrupt, OSError])
def test_an_interruption_leaves_nothing(tmp_path: Path, workers: int, trouble: type[BaseException]) -> None:
    def interrupt(done: int, all_: int) -> None:
        assert 0 < done < all_
        raise trouble

    with pytest.raises(trouble):
        make_people(tmp_path / "new", SMALL, workers=workers, progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_used_and_a_folder_filled_meanwhile_is_kept(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    seen = []
    tiny = PeopleSettings(**{**vars(SMALL), "train_identities": 1, "validation_identities": 0, "test_identities": 1})
    result = make_people(tmp_path / "new", tiny, "csv", progress=lambda done, all_: seen.append((done, all_)))
    assert result.images == len(list((tmp_path / "new" / "images").iterdir())) == seen[-1][0] == seen[-1][1]
    assert result.identities == 2
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o777 & ~_umask()
    with pytest.raises(InputError, match="not empty"):
        make_people(tmp_path / "late", tiny, progress=lambda *_: (tmp_path / "late" / "x").mkdir(parents=True))
    assert [path.name for path in (tmp_path / "late").iterdir()] == ["x"]
    assert {path.name for path in tmp_path.iterdir()} == {"new", "late"}


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(making, "encoded", full)
    with pytest.raises(OSError, match="space"):
        make_people(tmp_path / "new", SMALL)
    assert not list(tmp_path.iterdir())


def test_damaged_tables_are_refused(made, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"people\.json"):
        read_factors(tmp_path)
    description, table = (made["csv"] / "people.json").read_text(), (made["csv"] / "factors.csv").read_text()
    lines = table.splitlines(keepends=True)
    for change, message in (
        (("not json", table), "damaged .Expecting value"),
        ((description.replace('"format": 1', '"format": 0'), table), "format 0"),
        ((re.sub(r'"height": \d+', '"height": [1]', description), table), r"height must be a whole number, not \[1\]"),
        ((description, table.replace("person.body.height", "person.body.tall")), "columns"),
        ((description, "".join([*lines[:3], lines[3].rsplit(",", 1)[0] + "\n"])), "line 4"),
        ((description, "".join([*lines[:2], lines[2].replace(",1,", ",one,", 1)])), "identity"),
    ):
        (tmp_path / "people.json").write_text(change[0])
        (tmp_path / "factors.csv").write_text(change[1])
        with pytest.raises(InputError, match=message):
            read_factors(tmp_path)
