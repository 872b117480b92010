"""Sets in their official layouts: what is read, every official count, and what is said of tampered copies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from tests.reid.sets.folders import (
    make_llcm,
    make_permutations,
    make_regdb,
    make_sysu,
    official_sysu_sizes,
    picture,
)

from limbeck.errors import InputError
from limbeck.reid.check import check_people, describe_people
from limbeck.reid.recipe import DataSettings
from limbeck.reid.runs import decoded
from limbeck.reid.sets import llcm, load_people, regdb, reid_sets, sysu
from limbeck.reid.sets.table import load_table

SPLITS = {"train": [1, 2], "validation": [3], "test": [4, 6]}
SIZES = {
    (camera, identity): 3 for camera in range(1, 7) for identity in (1, 2, 3, 4, 6) if (camera, identity) != (1, 6)
}


@pytest.fixture
def small_sysu(tmp_path: Path) -> Path:
    make_sysu(tmp_path / "sysu", SPLITS, SIZES)
    make_permutations(tmp_path / "sysu" / "exp" / "rand_perm_cam.mat", SIZES, 6)
    return tmp_path / "sysu"


@pytest.fixture
def small_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is official for `small_sysu`."""
    images = {
        split: {camera: 3 * sum((camera, identity) in SIZES for identity in members) for camera in range(1, 7)}
        for split, members in SPLITS.items()
    }
    monkeypatch.setattr(sysu, "OFFICIAL_IMAGES", images)
    monkeypatch.setattr(sysu, "OFFICIAL_IDENTITIES", {split: len(members) for split, members in SPLITS.items()})
    monkeypatch.setattr(sysu, "OFFICIAL_TEST_IDENTITIES", {camera: 1 if camera == 1 else 2 for camera in range(1, 7)})


@pytest.fixture(scope="module")
def official_sysu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("official") / "sysu"
    make_sysu(root, *official_sysu_sizes(), empty=True)
    return root


@pytest.fixture(scope="module")
def official_regdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("official") / "regdb"
    make_regdb(root, regdb.OFFICIAL_IDENTITIES, regdb.OFFICIAL_IMAGES, empty=True)
    return root


@pytest.fixture(scope="module")
def official_llcm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("official") / "llcm"
    make_llcm(root, llcm.OFFICIAL_IDENTITIES, llcm.OFFICIAL_IMAGES)
    return root


# -- SYSU-MM01 --------------------------------------------------------------------------------------------------------


def test_sysu_is_read(small_sysu: Path) -> None:
    people = sysu.load_sysu(small_sysu)
    assert len(people) == sum(SIZES.values())
    assert {split: len(members) for split, members in people.splits.items()} == {
        "train": 36,
        "validation": 18,
        "test": 33,
    }
    test = people.split("test")
    assert set(people.identity[test]) == {4, 6}
    assert set(people.camera[people.modality == 1]) == {3, 6}
    for path, identity, camera in zip(people.path, people.identity, people.camera, strict=True):
        assert path.startswith(f"cam{camera}/{identity:04d}/")
        assert (people.root / path).is_file()
    with pytest.raises(InputError, match="no split 'gallery'"):
        people.split("gallery")


@pytest.mark.slow
def test_official_sysu_is_in_order(official_sysu: Path) -> None:
    assert sysu.check_sysu(sysu.load_sysu(official_sysu)) == []
    people = sysu.load_sysu(official_sysu)
    visible = people.modality == 0
    used = np.concatenate([people.split("train"), people.split("validation")])
    assert (visible[used].sum(), (~visible[used]).sum()) == (22258, 11909)  # what everybody trains on
    assert ((~visible)[people.split("test")].sum(), visible[people.split("test")].sum()) == (3803, 6775)
    assert (
        check_people("sysu", official_sysu, decode=False)
        == f"{official_sysu}: 44745 pictures as in the official counts"
    )


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lambda r: (r / "cam3/0004/0002.jpg").unlink(), "identity 4, camera 3: image 0002 is missing"),
        (lambda r: picture(r / "cam1/0004/0009.jpg"), "identity 4, camera 1: image 0004 is missing"),
        (lambda r: picture(r / "cam1/0004/0004.jpg"), "identity 4, camera 1: 4 images, expected 3"),
        (lambda r: (r / "cam4/0006/0003.jpg").unlink(), "identity 6, camera 4: 2 images, expected 3"),  # no gap tells
        (lambda r: (r / "cam2/0001/Thumbs.db").touch(), "identity 1, camera 2: Thumbs.db is not a picture"),
        (lambda r: (r / "cam6/0002").rename(r / "cam6/0777"), "identity 777, camera 6: no list in exp names"),
        (lambda r: (r / "cam6/0002").rename(r / "cam6/mine"), "camera 6: cam6/mine is not a folder of an identity"),
        (lambda r: shutil.rmtree(r / "cam5/0004"), "identity 4, camera 5: the folder is missing"),
        (lambda r: shutil.rmtree(r / "cam4/0003"), "validation, camera 4: 0 images, expected 3"),
        (lambda r: shutil.rmtree(r / "cam2/0006"), "test, camera 2: 1 identities, expected 2"),
        (lambda r: shutil.rmtree(r / "cam5"), "camera 5: the folder cam5 is missing"),
        (lambda r: (r / "exp/test_id.txt").write_text("4"), "test: 1 identities are listed, expected 2"),
        (lambda r: (r / "exp/test_id.txt").write_text("4,6,9"), "identity 9: listed in test, but no camera has"),
    ],
)
@pytest.mark.usefixtures("small_counts")
def test_a_tampered_sysu_is_named(small_sysu: Path, tamper: Callable[[Path], None], words: str) -> None:
    assert sysu.check_sysu(sysu.load_sysu(small_sysu)) == []
    tamper(small_sysu)
    wrong = sysu.check_sysu(sysu.load_sysu(small_sysu))
    assert any(line.startswith(words) for line in wrong), wrong
    with pytest.raises(InputError, match=str(small_sysu)):
        check_people("sysu", small_sysu, decode=False)


@pytest.mark.usefixtures("small_counts")
def test_people_whom_no_list_names_are_no_fault_of_their_own(small_sysu: Path) -> None:
    """The official set holds some: its README counts 30,071 + 15,792 images, its lists 29,033 + 15,712."""
    (small_sysu / "exp/rand_perm_cam.mat").unlink()
    picture(small_sysu / "cam1/0005/0001.jpg")
    assert sysu.check_sysu(sysu.load_sysu(small_sysu)) == []
    assert len(sysu.load_sysu(small_sysu)) == sum(SIZES.values())


def test_permutations_are_read(small_sysu: Path) -> None:
    cells = sysu.read_permutations(small_sysu / "exp/rand_perm_cam.mat")
    assert set(cells) == set(SIZES)
    for rows in cells.values():
        assert rows.shape == (10, 3)
        assert (np.sort(rows, axis=1) == [1, 2, 3]).all()


def test_permutations_that_are_none_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "rand_perm_cam.mat"
    with pytest.raises(InputError, match="no such file"):
        sysu.read_permutations(file)
    file.write_bytes(b"MATLAB 5.0 but not really" * 20)
    with pytest.raises(InputError, match="not usable"):
        sysu.read_permutations(file)
    make_permutations(file, {}, 3)
    with pytest.raises(InputError, match="no permutation"):
        sysu.read_permutations(file)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("row", [[1.5, 2, 3], [-np.inf, 2, 3], [1, 2, 2]])
def test_rows_that_are_no_permutation_are_refused(row: list[float], tmp_path: Path) -> None:
    file = tmp_path / "rand_perm_cam.mat"
    cells = np.empty((1, 1), object)
    cells[0, 0] = np.array([row])
    cameras = np.empty((1, 1), object)
    cameras[0, 0] = cells
    savemat(file, {"rand_perm_cam": cameras})
    with pytest.raises(InputError, match="a row is not a permutation"):
        sysu.read_permutations(file)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("test_id.txt", "4,six", "must list identities as numbers .* not 'six'"),
        ("test_id.txt", "", "must list identities"),
        ("test_id.txt", "4,4", "identity 4 is listed twice"),
        ("test_id.txt", "2,4", "identity 2 is listed in train and in test"),
        ("val_id.txt", None, "val_id.txt: cannot be read"),
    ],
)
def test_sysu_lists_that_are_none_are_refused(small_sysu: Path, file: str, text: str | None, words: str) -> None:
    target = small_sysu / "exp" / file
    target.unlink() if text is None else target.write_text(text)
    with pytest.raises(InputError, match=words):
        sysu.load_sysu(small_sysu)


def test_a_picture_with_a_strange_name_is_refused(small_sysu: Path) -> None:
    picture(small_sysu / "cam1/0001/0001 (copy).jpg")
    with pytest.raises(InputError, match="identity 1, camera 1"):
        sysu.load_sysu(small_sysu)
    with pytest.raises(InputError, match="no such folder"):
        sysu.load_sysu(small_sysu / "nowhere")


# -- RegDB ------------------------------------------------------------------------------------------------------------


def test_regdb_is_read_fold_by_fold(tmp_path: Path) -> None:
    make_regdb(tmp_path, 6, 4)
    halves = []
    for fold in (1, 2, 10):
        people = regdb.load_regdb(tmp_path, fold=fold)
        train, test = (set(people.identity[people.split(split)].tolist()) for split in ("train", "test"))
        assert train | test == set(range(1, 7))
        assert not train & test
        assert len(people) == 6 * 2 * 4
        assert set(people.camera[people.modality == 1]) == {2}
        halves.append(frozenset(train))
    assert len(set(halves)) > 1
    for fold in (0, 11):
        with pytest.raises(InputError, match="fold must be from 1 to 10"):
            regdb.load_regdb(tmp_path, fold=fold)


@pytest.mark.slow
def test_official_regdb_is_in_order(official_regdb: Path) -> None:
    assert regdb.check_regdb(official_regdb) == []
    people = regdb.load_regdb(official_regdb)
    test = people.split("test")
    assert ((people.modality[test] == 0).sum(), (people.modality[test] == 1).sum()) == (2060, 2060)


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lambda r: (r / "Thermal/3/t01.bmp").unlink(), "identity 3, thermal: 3 images, expected 4"),
        (lambda r: picture(r / "Visible/2/extra.bmp"), "identity 2, visible: 5 images, expected 4"),
        (lambda r: (r / "Visible/2/notes.txt").touch(), "identity 2, visible: notes.txt is not a picture"),
        (lambda r: (r / "Visible/5").rename(r / "Visible/five"), "Visible/five is not a folder of an identity"),
        (lambda r: shutil.rmtree(r / "Visible/5"), "visible: 5 identities, expected 6"),
    ],
)
def test_a_tampered_regdb_is_named(tmp_path: Path, tamper: Callable[[Path], None], words: str) -> None:
    make_regdb(tmp_path, 6, 4)
    assert regdb.check_regdb(tmp_path, 6, 4) == []
    tamper(tmp_path)
    assert any(words in line for line in regdb.check_regdb(tmp_path, 6, 4))


def test_regdb_lists_that_do_not_fit_are_named(tmp_path: Path) -> None:
    make_regdb(tmp_path, 6, 4)
    file = tmp_path / "idx/test_thermal_3.txt"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[1:]))
    assert any("test_thermal_3.txt: identity" in line for line in regdb.check_regdb(tmp_path, 6, 4))
    for text, words in (
        ("Visible/1/a.bmp 0", "line 1 must be like 'Thermal/1/name.bmp 0'"),
        ("Thermal/1/a.bmp", "line 1 must be like"),
        ("Thermal/1/absent.bmp 0", "is listed in idx, but there is no such file"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=words):
            regdb.load_regdb(tmp_path, fold=3)
    file.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        regdb.load_regdb(tmp_path, fold=3)
    with pytest.raises(InputError, match="Visible"):
        regdb.check_regdb(tmp_path / "nowhere")


# -- LLCM -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_official_llcm_is_in_order(official_llcm: Path) -> None:
    assert llcm.check_llcm(llcm.load_llcm(official_llcm)) == []
    people = llcm.load_llcm(official_llcm)
    assert len(people) == 46767
    assert (len(people.split("train")), len(people.split("test"))) == (30921, 15846)
    assert set(people.camera[people.split("train")]) == set(range(1, 10))


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lambda r: (r / "test_vis/cam1/0005/0000.jpg").unlink(), "test, vis: 8679 images, expected 8680"),
        (lambda r: (r / "test_nir/cam2/0006").rename(r / "test_nir/cam2/0999"), "identity 0999, camera 2, nir"),
        (lambda r: (r / "test_nir/cam2/0006/x.db").touch(), "identity 6, camera 2, nir: x.db is not a picture"),
        (lambda r: picture(r / "vis/0001/new.jpg", empty=True), "identity 0001, vis: new.jpg is not listed"),
    ],
)
def test_a_tampered_llcm_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tamper: Callable[[Path], None], words: str
) -> None:
    identities = {"train": 4, "test": 3}
    images = {("train", "vis"): 40, ("train", "nir"): 30, ("test", "vis"): 20, ("test", "nir"): 19}
    monkeypatch.setattr(llcm, "OFFICIAL_IDENTITIES", identities)
    monkeypatch.setattr(llcm, "OFFICIAL_IMAGES", images)
    make_llcm(tmp_path, identities, images)
    assert llcm.check_llcm(llcm.load_llcm(tmp_path)) == []
    tamper(tmp_path)
    words = words.replace("8679", "19").replace("8680", "20")
    assert any(words in line for line in llcm.check_llcm(llcm.load_llcm(tmp_path)))


def test_llcm_lists_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    make_llcm(tmp_path, {"train": 2, "test": 2}, {(p, w): 8 for p in ("train", "test") for w in ("vis", "nir")})
    missing = tmp_path / "nir/0002" / sorted(f.name for f in (tmp_path / "nir/0002").iterdir())[0]
    missing.unlink()
    with pytest.raises(InputError, match=r"identity 2 is listed in train_nir.txt, but the file is missing"):
        llcm.load_llcm(tmp_path)
    (tmp_path / "idx/train_nir.txt").write_text("vis/0001/a.jpg 0")
    with pytest.raises(InputError, match=r"line 1 must be like 'nir/0001/name.jpg 0'"):
        llcm.load_llcm(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        llcm.load_llcm(tmp_path / "nowhere")


@pytest.mark.parametrize("number", ["\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT THREE}", "9" * 40])
def test_llcm_numbers_are_of_ascii_digits_and_fit(tmp_path: Path, number: str) -> None:
    make_llcm(tmp_path, {"train": 2, "test": 2}, {(p, w): 8 for p in ("train", "test") for w in ("vis", "nir")})
    listed = tmp_path / "idx/train_nir.txt"
    first = tmp_path / listed.read_text().split()[0]
    named = first.with_name(f"a_c{number}_b.jpg")
    first.rename(named)
    text = listed.read_text().replace(first.name, named.name)
    listed.write_text(text, encoding="utf-8")
    people = llcm.load_llcm(tmp_path)
    assert people.camera[people.path.index(f"nir/{named.parent.name}/{named.name}")] == llcm.UNKNOWN_CAMERA
    listed.write_text(text.replace(f"/{named.parent.name}/", f"/{number}/", 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"train_nir\.txt"):
        llcm.load_llcm(tmp_path)
    (tmp_path / "idx/test_id.txt").write_text(f"1,{number}", encoding="utf-8")
    with pytest.raises(InputError, match=r"train_nir\.txt|test_id\.txt"):
        llcm.load_llcm(tmp_path)


# -- one's own pictures -----------------------------------------------------------------------------------------------


def write_table(folder: Path, lines: list[str], header: str = "path,identity,modality,camera") -> Path:
    for name in ("a", "b", "c", "d"):
        picture(folder / "pictures" / f"{name}.png")
    file = folder / "people.csv"
    file.write_text("\n".join([header, *lines]) + "\n")
    return file


GOOD = [
    "pictures/a.png,ann,visible,1",
    "pictures/b.png,ann,infrared,2",
    "pictures/c.png,bob,visible,1",
    "pictures/d.png,bob,infrared,2",
]


def test_a_table_is_read(tmp_path: Path) -> None:
    people = load_table(write_table(tmp_path, GOOD))
    assert people.identity_names == ("ann", "bob")
    assert people.identity.tolist() == [0, 0, 1, 1]
    assert people.camera.tolist() == [1, 2, 1, 2]
    assert people.modality.tolist() == [0, 1, 0, 1]
    assert people.name == "people"
    bare = load_table(write_table(tmp_path, [line.rpartition(",")[0] for line in GOOD], "path,identity,modality"))
    assert bare.camera is None
    assert "2 people" in describe_people("csv", tmp_path / "people.csv")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("../secret.png,ann,visible,1", "line 6: '../secret.png' lies outside the folder"),
        ("/etc/hostname,ann,visible,1", "line 6: '/etc/hostname' lies outside"),
        ("pictures/link/x.png,ann,visible,1", "lies outside the folder"),
        ("pictures/a.png,ann,visible,1", "line 6: 'pictures/a.png' is listed twice"),
        ("pictures/e.png,ann,visible,1", "line 6: there is no file 'pictures/e.png'"),
        ("pictures/a.png,,visible,1", "line 6: the identity is empty"),
        ("pictures/a.png,ann,thermal,1", "line 6: modality must be visible or infrared, not 'thermal'"),
        ("pictures/a.png,ann,visible,one", "line 6: camera must be a whole number, not 'one'"),
        ("pictures/a.png,ann", "line 6: 2 cells, but the header has 4"),
        ("pictures/a.png,ann,visible,1,2", "line 6: 5 cells, but the header has 4"),
    ],
)
def test_lines_that_do_not_fit_are_refused(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    picture(tmp_path / "elsewhere/x.png")
    folder = tmp_path / "set"
    file = write_table(folder, [*GOOD, line])
    (folder / "pictures/link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=f"people.csv, .*{words}"):
        load_table(file)


def test_tables_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_table(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="the column 'identity' is missing; there are: path, who"):
        load_table(write_table(tmp_path, GOOD, "path,who"))
    with pytest.raises(InputError, match="lists no picture"):
        load_table(write_table(tmp_path, []))
    with pytest.raises(InputError, match="identity 'bob' is seen in visible pictures only"):
        load_table(write_table(tmp_path, GOOD[:3]))
    (tmp_path / "people.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a CSV file in UTF-8"):
        load_table(tmp_path / "people.csv")


# -- by name ----------------------------------------------------------------------------------------------------------


def test_sets_by_name(small_sysu: Path, tmp_path: Path) -> None:
    make_regdb(tmp_path / "regdb", 4, 2)
    file = write_table(tmp_path / "own", GOOD)
    assert len(load_people("sysu", small_sysu)) == sum(SIZES.values())
    assert len(load_people("regdb", tmp_path / "regdb", fold=3)) == 16
    assert len(load_people("csv", file)) == 4
    with pytest.raises(InputError, match=r"there is no set 'market'.*sysu"):
        load_people("market", small_sysu)
    assert set(reid_sets()) == {"sysu", "regdb", "llcm", "csv", "folder"}
    text = describe_people("sysu", small_sysu)
    assert "camera 3, infrared" in text
    assert "5 people" in text


def test_checking_decodes_every_picture(tmp_path: Path) -> None:
    file = write_table(tmp_path, GOOD)
    assert check_people("csv", file) == f"{file}: 4 pictures as in its table, all of them readable"
    (tmp_path / "pictures/b.png").write_bytes(b"")
    (tmp_path / "pictures/d.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"2 of 4 pictures cannot be used: .*b.png: is empty; .*d.png: is not a JPEG"):
        check_people("csv", file)
    check_people("csv", file, decode=False)


def test_pictures_of_16_bits_are_told_of(tmp_path: Path) -> None:
    file = write_table(tmp_path, GOOD)
    assert "16 bits" not in describe_people("csv", file)
    for name, counts in (("b", [[7200, 8000]]), ("d", [[7300, 9100]])):
        Image.fromarray(np.array(counts, np.uint16)).save(tmp_path / "pictures" / f"{name}.png")
    told = "2 of 4 pictures are grey with 16 bits: 0 is read as black and 65535 as white, unless data.radiometric"
    assert told in describe_people("csv", file)
    found = check_people("csv", file)
    assert told in found
    assert found.endswith("; their values run from 7200 to 9100")


def test_a_radiometric_range_is_what_the_pictures_are_read_by(tmp_path: Path) -> None:
    file = write_table(tmp_path, GOOD)
    Image.fromarray(np.array([[7200, 9100]], np.uint16)).save(tmp_path / "pictures" / "b.png")
    people, place = load_people("csv", file), load_table(file).path.index("pictures/b.png")
    settings = DataSettings(set="csv", root=str(file), height=1, width=2, radiometric=(7200, 9100))
    images, rows = decoded(people, settings, tmp_path / "cache")
    assert images[rows[place], 0, :, 0].tolist() == [0, 255]
    for wrong in ((9100, 7200), (7200, 7200), (0, 65536), (-1, 5)):
        with pytest.raises(InputError, match=r"data\.radiometric must be"):
            replace(settings, radiometric=wrong)
