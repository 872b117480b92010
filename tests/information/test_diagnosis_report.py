"""The folder of a diagnosis: figures as JSON, pictures, a page; and the file that it is read from."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from limbeck.errors import InputError
from limbeck.information.diagnosis import (
    Diagnosis,
    Interval,
    ViewFeatures,
    diagnose,
    diagnosis_as_json,
    load_view_features,
    save_view_features,
    write_diagnosis,
)
from limbeck.information.diagnosis.pictures import _centres, _lens, venn_figure
from limbeck.information.diagnosis.report import findings


def bits(views: int, samples: int = 160, seed: int = 0) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    shared, *own = rng.integers(2, size=(views + 1, samples))
    matrices = [np.stack([shared, bit], axis=1) + 0.2 * rng.normal(size=(samples, 2)) for bit in own]
    return {"representations": matrices, "labels": shared + 2 * own[0], "names": [f"<view {k}>" for k in range(views)]}


@pytest.fixture(scope="module")
def found() -> Diagnosis:
    given = bits(2)
    return diagnose(observations=given["representations"], folds=2, **given)


@pytest.mark.parametrize(
    ("views", "observed"),
    [
        (1, True),
        pytest.param(2, True, marks=pytest.mark.slow),
        (3, False),
        pytest.param(4, True, marks=pytest.mark.slow),
    ],
)
def test_the_folder_holds_what_there_is_to_see(tmp_path, views, observed):
    given = bits(views)
    found = diagnose(observations=given["representations"] if observed else None, folds=2, **given)
    files = write_diagnosis(found, tmp_path / "new" / "folder", title="A < B")
    expected = [
        "diagnosis.json",
        "bars.png",
        *["venn.png"] * (views in (2, 3)),
        *["plane.png"] * observed,
        "index.html",
    ]
    assert [file.name for file in files] == expected
    for file in files:
        if file.suffix == ".png":
            assert np.asarray(Image.open(file).convert("L")).std() > 5
    page = files[-1].read_text()
    assert "<h1>A &lt; B</h1>" in page
    assert "<view 0>" not in page
    assert "&lt;view 0&gt;" in page
    assert page.count("<img") == len(files) - 2
    assert f"{found.joint.nats:.3f}" in page


def test_figures_as_json_are_those_of_the_diagnosis(found, tmp_path):
    write_diagnosis(found, tmp_path)
    plain = json.loads((tmp_path / "diagnosis.json").read_text())
    assert plain["joint"] == {"nats": found.joint.nats, "low": found.joint.low, "high": found.joint.high}
    assert plain["views"][1]["gap"]["nats"] == found.views[1].gap.nats
    assert [region["views"] for region in plain["regions"]] == [["<view 0>"], ["<view 1>"], ["<view 0>", "<view 1>"]]
    nothing = replace(found, retrieval=(replace(found.retrieval[0], mean_average_precision=float("nan")),))
    assert diagnosis_as_json(nothing)["retrieval"][0]["mean_average_precision"] is None


def test_what_is_said_is_borne_out_by_the_intervals(found):
    view = found.views[0]
    sure = replace(view, gap=Interval(0.3, 0.2, 0.4), specific=Interval(0.1, 0.05, 0.2))
    unsure = replace(view, gap=Interval(0.3, -0.1, 0.6), specific=Interval(0.1, -0.05, 0.2))
    easier = replace(view, gap=Interval(-0.3, -0.4, -0.2), specific=None)
    said = list(findings(replace(found, views=(sure, unsure, easier), overlap=Interval(-0.2, -0.3, -0.1))))
    assert "loses 0.300 of what v tells; it adds 0.100 to what the others tell" in said[1]
    assert "no clear loss against v; it adds nothing clear to what the others tell" in said[2]
    assert said[3].endswith("is read more easily than v.")
    assert "0.200 nats of synergy" in said[4]
    silent = Interval(0.01, -0.02, 0.04)
    nothing = list(
        findings(replace(found, joint=silent, views=(replace(unsure, representation=silent),), overlap=None))
    )
    assert nothing[0] == "Nothing clear of the label can be read."
    assert "z by itself tells nothing clear" in nothing[1]


def test_names_are_no_formulas_and_none_is_left_out(tmp_path):
    given = bits(2)
    given["names"] = [r"$\foo$", "_hidden" * 9]
    found = diagnose(folds=2, **given)
    assert write_diagnosis(found, tmp_path)[-1].is_file()
    (legend,) = [axes.get_legend() for axes in venn_figure(found).axes]
    words = [text.get_text() for text in legend.get_texts()]
    assert words[0].startswith(r"\$\foo\$")
    assert words[1].strip().startswith("_hidden")  # behind a blank: Matplotlib leaves others out


@pytest.mark.slow
def test_pictures_of_an_earlier_diagnosis_do_not_stay(tmp_path):
    write_diagnosis(diagnose(folds=2, **bits(2)), tmp_path)
    assert (tmp_path / "venn.png").is_file()
    write_diagnosis(diagnose(folds=2, **bits(4)), tmp_path)
    assert not (tmp_path / "venn.png").exists()


def test_circles_share_the_area_they_should():
    areas, shared = [2.0, 1.2], {(0, 1): 0.5}
    centres = _centres(areas, shared)
    radii = np.sqrt(np.array(areas) / np.pi)
    distance = float(np.linalg.norm(centres[1] - centres[0]))
    assert _lens(*radii, distance) == pytest.approx(0.5)
    rng = np.random.default_rng(0)
    points = rng.uniform(-3, 3, size=(400_000, 2))
    inside = [np.hypot(*(points - centre).T) < radius for centre, radius in zip(centres, radii, strict=True)]
    assert 36 * np.mean(inside[0] & inside[1]) == pytest.approx(0.5, abs=0.03)
    assert 36 * np.mean(inside[1]) == pytest.approx(1.2, abs=0.05)
    apart = _centres([1.0, 1.0], {(0, 1): -0.3})
    assert np.linalg.norm(apart[1] - apart[0]) > 2 / np.sqrt(np.pi)
    within = _centres([4.0, 1.0], {(0, 1): 1.5})  # as much in common as the smaller holds, or more
    assert np.linalg.norm(within[1] - within[0]) == pytest.approx(1 / np.sqrt(np.pi))


def test_three_circles_overlap_two_by_two_as_wanted():
    areas = [2.0, 1.5, 1.0]
    shared = {(0, 1): 0.6, (0, 2): 0.4, (1, 2): 0.5}
    centres, radii = _centres(areas, shared), np.sqrt(np.array(areas) / np.pi)
    for (i, j), area in shared.items():
        assert _lens(radii[i], radii[j], float(np.linalg.norm(centres[i] - centres[j]))) == pytest.approx(
            area, abs=1e-3
        )


def test_views_that_say_nothing_can_be_drawn(found):
    zero = Interval(0.0, 0.0, 0.0)
    silent = replace(
        found,
        views=tuple(replace(view, representation=zero) for view in found.views),
        regions=dict.fromkeys(found.regions, zero),
    )
    assert venn_figure(silent) is not None


def test_no_figure_below_zero_stands_in_the_picture(found, tmp_path):
    one, other, both = found.regions
    regions = {
        one: Interval(-0.02, -0.05, 0.01),
        other: Interval(0.4, 0.3, 0.5),
        both: Interval(-0.1, -0.2, -0.05),
    }
    more = Interval(found.entropy.nats + 0.01, found.entropy.nats, found.entropy.nats + 0.02)
    company = replace(found, regions=regions, joint=more)
    (axes,) = venn_figure(company).axes
    assert axes.get_title().splitlines() == [
        f"H(y) = {found.entropy.nats:.3f} nats; all of it is read",
        "<view 0> alone: nothing",
        "<view 0> and <view 1>: nothing in common, but 0.100 of synergy",
    ]
    assert not [text for text in axes.texts if "-" in text.get_text()]
    page = write_diagnosis(company, tmp_path)[-1].read_text()
    assert "Regions whose figure is below 0" in page
    assert "-0.100" in page  # the table has it


def test_captions_speak_of_what_is_there(found, tmp_path):
    page = write_diagnosis(found, tmp_path)[-1].read_text()
    assert "read from observations and representations" in page
    assert "Where areas cannot follow" not in page
    precision = " and ".join(f"{100 * one.mean_average_precision:.0f}" for one in found.retrieval)
    assert f"has a mAP of {precision} %" in page
    alone = replace(found, views=found.views[:1], regions={}, joint_observations=None, retrieval=())
    page = write_diagnosis(alone, tmp_path)[-1].read_text()
    assert "Nats of the label read from representations" in page
    assert "Hatched" not in page
    assert "mAP" not in page


def test_a_file_gives_what_was_saved(tmp_path):
    given = bits(3)
    matrices = given["representations"]
    sources = ViewFeatures.from_arrays(
        matrices,
        np.array(["a", "b", "c", "d"])[given["labels"]],
        observations=matrices[::-1],
        log_variances=matrices,
        names=given["names"],
        groups=np.arange(160) // 2,
    )
    save_view_features(sources, tmp_path / "features.npz")
    again = load_view_features(tmp_path / "features.npz")
    assert (again.names, again.classes) == (sources.names, ("a", "b", "c", "d"))
    np.testing.assert_array_equal(again.labels, sources.labels)
    np.testing.assert_array_equal(again.groups, sources.groups)
    for kind in ("representations", "observations", "log_variances"):
        for one, other in zip(getattr(again, kind), getattr(sources, kind), strict=True):
            np.testing.assert_array_equal(one, other)


Z, Y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"y": Y}, "the array 'z_0' is missing"),
        ({"z_0": Z}, "the array 'y' is missing"),
        ({"z_0": Z, "z_2": Z, "y": Y}, "z_2 stands without z_1: count views from 0"),
        ({"z_0": Z, "v_1": Z, "y": Y}, "v_1 stands without v_0"),
        ({"z_0": Z, "y": Y, "weights": Z}, "the array 'weights' is not known here"),
        ({"z_0": Z, "z_1": Z[:9], "y": Y}, "representations[1] must have 20 rows"),
        ({"z_0": Z, "y": Y, "view_names": np.array(["a", "b"])}, "names must be 1 different ones"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(tmp_path, arrays, words):
    path = tmp_path / "features.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        load_view_features(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_of_pickled_objects_is_refused(tmp_path):
    np.savez(tmp_path / "bad.npz", z_0=Z, y=np.array([object()] * 20, dtype=object))
    with pytest.raises(InputError, match="pickled objects"):
        load_view_features(tmp_path / "bad.npz")
