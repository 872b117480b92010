"""The study of factors: what synthetic representations hold is read back, controls stay near zero, the files."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.errors import InputError
from limbeck.studies.factors.report import as_json, factors_figure, format_report, write_report
from limbeck.studies.factors.run import FACTORS, FactorsResult, FactorsSettings, measure_factors
from limbeck.synthetic.people import PeopleSettings, make_people, read_factors


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("factors") / "people"
    settings = PeopleSettings(
        train_identities=99, validation_identities=0, test_identities=1, images_per_camera=2, height=16, width=16
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("limbeck.synthetic.people.make.encoded", lambda *_: b"")  # the table alone, without the pictures
        make_people(folder, settings, "csv")
    return read_factors(folder).columns


@pytest.fixture(scope="module")
def representations(people):
    """`all`: colours where the picture is visible, reflectance where it is infrared, view and build in both; `shared`:
    view and build alone; `noise`: nothing."""
    rng = np.random.default_rng(0)
    visible = people["modality"] == "visible"
    colours = np.stack([people[f"person.colours.upper.{channel}"] for channel in ("red", "green", "blue")], axis=1)
    value, hue = colours.max(axis=1, keepdims=True), colours - colours.mean(axis=1, keepdims=True)
    saturation = np.ptp(colours, axis=1, keepdims=True) / value
    angle = np.radians(people["picture.pose.view"])
    girth = (people["person.body.waist"] + people["person.body.belly"]) / people["person.body.height"]
    shared = np.column_stack([np.cos(angle), np.sin(angle), (girth - girth.mean()) / girth.std()])
    reflectance = people["person.infrared.upper"][:, None]
    private = np.where(visible[:, None], np.hstack([value, hue, saturation]), np.repeat(reflectance, 5, axis=1))
    size = len(visible)
    return {
        "all": np.hstack([shared, 4 * private]) + 0.05 * rng.normal(size=(size, 8)),
        "shared": shared + 0.05 * rng.normal(size=(size, 3)),
        "noise": rng.normal(size=(size, 6)),
    }


@pytest.fixture(scope="module")
def rows(people, representations):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    names = [name for name in FACTORS if name not in ("identity", "lower colour", "step", "bag")]
    measured = measure_factors(
        representations, people, modality=people["modality"], identity=people["identity"], names=names, folds=3
    )
    torch.set_num_threads(before)
    return measured


def nats(rows, representation, modality, factor):
    (row,) = [
        row for row in rows if (row.representation, row.modality, row.factor) == (representation, modality, factor)
    ]
    return row.nats


@pytest.mark.slow
def test_what_is_in_a_representation_is_read(rows):
    assert nats(rows, "all", "visible", "upper colour") > 0.8
    assert nats(rows, "all", "infrared", "upper reflectance") > 0.7
    for modality in ("visible", "infrared"):
        for representation in ("all", "shared"):
            assert nats(rows, representation, modality, "view") > 0.8
            assert nats(rows, representation, modality, "build") > 0.6


@pytest.mark.slow
def test_what_is_not_in_it_reads_near_zero(rows):
    for row in rows:
        absent = row.factor in ("camera", "brightness") or row.representation == "noise"
        absent |= row.representation == "shared" and row.factor in ("upper colour", "upper reflectance")
        if absent:
            assert abs(row.nats) < 0.05, row


@pytest.mark.slow
def test_controls_are_marked_and_near_zero(rows):
    controls = {(row.factor, row.modality) for row in rows if row.control}
    assert controls == {("upper colour", "infrared"), ("upper reflectance", "visible")}
    assert max(abs(row.nats) for row in rows if row.control) < 0.05


@pytest.mark.slow
def test_rows_are_whole_and_in_order(rows, representations):
    assert len(rows) == 2 * 7 * 3
    assert [row.modality for row in rows] == ["visible"] * 21 + ["infrared"] * 21
    assert [row.representation for row in rows[:3]] == list(representations)
    for row in rows:
        assert row.low <= row.nats <= row.high
        assert 0 < row.entropy <= np.log(6) + 1e-9
        assert row.nats <= row.entropy


@pytest.mark.slow
def test_identity_is_read_over_pictures(people, representations):
    few = people["identity"] <= 12
    codes = people["identity"][few]
    who = np.random.default_rng(0).normal(size=(13, 20))[codes]
    done = []
    rows = measure_factors(
        {"who": who + 0.1 * np.random.default_rng(1).normal(size=who.shape), "noise": representations["noise"][few]},
        {name: column[few] for name, column in people.items()},
        modality=(people["modality"][few] == "infrared").astype(int),
        identity=codes,
        names=["identity"],
        progress=lambda number, of: done.append((number, of)),
    )
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert nats(rows, "who", "visible", "identity") > np.log(12) - 0.3
    assert -0.3 < nats(rows, "noise", "infrared", "identity") < 0.05  # 48 pictures of 12 people


def test_labels_are_sensible(people):
    label = {name: factor.label(*(people[column] for column in factor.columns)) for name, factor in FACTORS.items()}
    first = np.unique(people["identity"], return_index=True)[1]
    shares = dict(zip(*np.unique(label["upper colour"][first], return_counts=True), strict=True))
    assert set(shares) == {"dark", "pale", "reddish", "greenish", "bluish"}
    assert min(shares.values()) >= 5
    dress = people["person.lower.kind"] == "dress"
    assert (label["lower colour"][dress] == label["upper colour"][dress]).all()
    assert not (label["lower colour"][~dress] == label["upper colour"][~dress]).all()
    assert set(label["view"]) == {0, 1, 2, 3}
    for name in ("build", "upper reflectance", "brightness", "step"):
        assert np.bincount(label[name]).tolist() == pytest.approx([len(dress) / 4] * 4, rel=0.1)


def test_a_factor_that_is_the_same_in_all_pictures_has_no_row(people, representations):
    kept = np.isin(people["camera"], (1, 3, 6))
    rows = measure_factors(
        {"noise": representations["noise"][kept]},
        {name: column[kept] for name, column in people.items()},
        modality=people["modality"][kept],
        identity=people["identity"][kept],
        names=["camera"],
    )
    assert [row.modality for row in rows] == ["infrared"]


def found(rows):
    return FactorsResult(FactorsSettings(runs=("run",)), tuple(rows))


@pytest.mark.slow
def test_the_table_of_one_run_and_of_several(rows):
    one, several = format_report(found(rows)), format_report(found([*rows, *rows, *rows]))
    assert "visible pictures" in one
    assert "infrared pictures" in one
    assert re.search(r"upper colour \* .*\[", one)
    assert "One run" in one
    assert "Mean ± standard deviation of 3 runs" in several
    assert re.search(r"view +1\.3\d +\d\.\d\d ± 0\.00", several)
    assert "-0.00" not in one


@pytest.mark.slow
def test_files(rows, tmp_path):
    files = write_report(found(rows), tmp_path / "out")
    assert [file.name for file in files] == ["factors.json", "factors.txt", "factors.png"]
    assert json.loads(files[0].read_text()) == as_json(found(rows))
    assert files[1].read_text() == format_report(found(rows))
    with Image.open(files[2]) as picture:
        assert picture.width > 600
    panels = factors_figure(found([row for row in rows if row.modality == "visible"])).axes
    assert len(panels) == 1
    with pytest.raises(InputError, match="rows must hold"):
        format_report(found([]))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"names": ["shoe size"]}, "names must be among identity"),
        ({"representations": {}}, "representations must hold"),
        ({"representations": {"short": np.zeros((3, 2))}}, "representations['short'] must have"),
        ({"factors": {}}, "factors must hold the column 'picture.pose.view'"),
        ({"factors": {"picture.pose.view": np.zeros(2)}}, "factors['picture.pose.view'] must have"),
        ({"modality": ["visible"]}, "modality must have"),
        ({"modality": "thermal"}, "modality must be of"),
        ({"identity": "person"}, "identity must be integers"),
        ({"folds": 500}, "'noise', visible pictures, view: folds must be at most"),
    ],
)
def test_unusable_input_is_refused_in_one_line(people, representations, changed, words):
    arguments = {
        "representations": {"noise": representations["noise"]},
        "factors": people,
        "modality": people["modality"],
        "identity": people["identity"],
        "names": ["view"],
    } | changed
    for name in ("modality", "identity"):
        if isinstance(arguments[name], str):
            arguments[name] = np.full(len(people["identity"]), arguments[name])
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        measure_factors(arguments.pop("representations"), arguments.pop("factors"), **arguments)
    assert "\n" not in str(caught.value)


def test_unusable_settings_are_refused():
    for changed, words in (({"runs": ()}, "runs must name"), ({"probe": "tree"}, "probe must be one of linear, mlp")):
        with pytest.raises(InputError, match=words):
            FactorsSettings(**({"runs": ("run",)} | changed))
