"""A report holds what the evaluation holds, says how it drew what it shows, and opens in a browser."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image
from tests.reporting.test_html import Read
from tests.retrieval.test_protocols import sysu_like

from limbeck.errors import InputError
from limbeck.modalities import MODALITIES
from limbeck.reporting.plots import png
from limbeck.retrieval.evaluation import evaluate
from limbeck.retrieval.features import Features
from limbeck.retrieval.protocols import SYSU, CrossModal, Market, RegDB, named_protocols
from limbeck.retrieval.ranking import Ranks
from limbeck.retrieval.report import write_report
from limbeck.retrieval.report.curves import cmc_figure, precision_figure, sorted_precision
from limbeck.retrieval.report.plane import plane_figure
from limbeck.retrieval.report.projection import (
    choose_items,
    identity_silhouette,
    modality_mixing,
    project,
    projection_figure,
)
from limbeck.retrieval.report.queries import COLUMNS, query_rows
from limbeck.retrieval.report.sheet import ShownQuery, choose_queries, sheet_figure
from limbeck.retrieval.report.table import evaluations_as_json
from limbeck.retrieval.reranking import KReciprocal
from limbeck.retrieval.top_k import ranked_lists

HOSTILE = "<b>$x_</b> & \"'"


def people(identities: int = 5, each: int = 4) -> Features:
    """Features that know their identity somewhat."""
    plain = sysu_like(identities, each)
    code = np.random.default_rng(2).normal(size=(identities + 1, 8))
    return Features.from_arrays(
        plain.feature + 0.7 * code[plain.identity],
        plain.identity,
        camera=plain.camera,
        modality=plain.modality,
        path=plain.path,
    )


def picture(position: int) -> NDArray[np.uint8]:
    return np.random.default_rng(position).integers(0, 255, (16, 8, 3)).astype(np.uint8)


def lines(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))


def size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.size


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evidence")
    features, protocols = people(), named_protocols("sysu-all")
    heard: list[tuple[int, int]] = []
    files = write_report(
        folder,
        evaluate(features, protocols),
        features,
        protocols,
        picture=picture,
        title=f"Report of {HOSTILE}",
        notes=["Made up.", HOSTILE],
        representations={HOSTILE: features.feature, "noise": np.random.default_rng(0).normal(size=(len(features), 3))},
        progress=lambda done, total: heard.append((done, total)),
    )
    assert [file.name for file in files] == [
        "figures.json",
        "queries-sysu-all-single.csv",
        "queries-sysu-all-multi.csv",
        "cmc.png",
        "average-precision.png",
        "ranked.png",
        "projection.png",
        "index.html",
    ]
    assert sorted(folder.iterdir()) == sorted(files)
    assert heard == [(number, len(files)) for number in range(1, len(files) + 1)]
    return folder


@pytest.mark.slow
def test_figures_are_those_of_the_evaluation(report: Path) -> None:
    values = json.loads((report / "figures.json").read_text())
    assert values["evaluations"] == evaluations_as_json(evaluate(people(), named_protocols("sysu-all")))
    assert values["notes"] == ["Made up.", HOSTILE]
    assert [one["representation"] for one in values["projection"]] == [HOSTILE, "noise"]
    assert len(values["ranked"]) == 9
    precision = [row["average_precision"] for row in values["ranked"]]
    assert precision == sorted(precision)


@pytest.mark.slow
def test_every_query_of_every_trial_is_a_line(report: Path) -> None:
    features = people()
    (one,) = evaluate(features, SYSU("all", 1))
    found = lines(report / "queries-sysu-all-single.csv")
    assert len(found) == sum(map(len, one.queries))
    assert tuple(found[0]) == COLUMNS
    position = 0
    for trial, (queries, ranks) in enumerate(zip(one.queries, one.ranks, strict=True)):
        lists = ranked_lists(features, SYSU("all", 1), trial=trial, k=1)
        for index, query in enumerate(queries.tolist()):
            line = found[position]
            position += 1
            assert (int(line["trial"]), int(line["row"]), line["path"]) == (trial, query, features.path[query])
            assert (int(line["identity"]), int(line["camera"])) == (features.identity[query], features.camera[query])
            assert line["modality"] == MODALITIES[features.modality[query]]
            assert int(line["first_match"]) == ranks.first[index]
            assert float(line["average_precision"]) == ranks.average_precision[index]
            assert float(line["inverse_negative_penalty"]) == ranks.inverse_negative_penalty[index]
            assert float(line["r_precision"]) == ranks.r_precision[index]
            assert float(line["average_precision_at_r"]) == ranks.average_precision_at_r[index]
            assert int(line["matches"]) == ranks.matches[index]
            best = int(lists[index].items[0])
            assert (int(line["best_row"]), line["best_path"]) == (best, features.path[best])
            assert (line["best_right"] == "1") == (features.identity[best] == features.identity[query])
            assert (line["best_right"] == "1") == (ranks.first[index] == 1)


@pytest.mark.slow
def test_the_page_is_whole_and_says_what_it_shows(report: Path) -> None:
    text = (report / "index.html").read_text(encoding="utf-8")
    found = Read(text)
    words = "".join(found.text)
    assert "<b>" not in text
    assert words.count(HOSTILE) >= 3
    images = found.all("img")
    assert len(images) == 4
    for image in images:
        assert str(image["src"]).startswith("data:image/png;base64,")
        assert image["alt"]
    assert all((report / str(link["href"])).is_file() for link in found.all("a"))
    assert {str(link["href"]) for link in found.all("a")} == {f.name for f in report.iterdir()} - {"index.html"}
    for one in evaluate(people(), named_protocols("sysu-all")):
        assert f"{one.protocol}: {one.rules}" in words
        assert f"{100 * one.cmc(1).mean:.2f} ± {100 * one.cmc(1).deviation:.2f}" in words
        assert f"({100 * one.mean_average_precision.standard_error:.2f})" in words
    assert "one query of each group was drawn at random (seed 0)" in words
    assert "count identities" in words
    assert not re.search(r"https?://", text)


@pytest.mark.slow
def test_a_browser_shows_all_pictures(report: Path, tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("there is no chromium on the PATH")
    text = (report / "index.html").read_text(encoding="utf-8")
    # The page forbids scripts, so a copy that allows one asks the browser what it has loaded.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert policy in text
    probe = (
        "<script>addEventListener('load', () => { document.title = 'loaded ' + [...document.images].map("
        "i => i.complete && i.naturalWidth == i.getAttribute('width')).join(' ') + ' wide ' + "
        "(document.documentElement.scrollWidth <= innerWidth) })</script>"
    )
    copy = tmp_path / "index.html"
    changed = text.replace(policy, f"{policy}; script-src 'unsafe-inline'").replace("</body>", f"{probe}</body>")
    copy.write_text(changed, encoding="utf-8")
    switches = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    switches += " --disable-component-update --disable-sync --window-size=500,900"
    done = subprocess.run(
        [browser, *switches.split(), f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", copy.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "<title>loaded true true true true wide true</title>" in done.stdout


@pytest.mark.slow
def test_bare_features_make_a_report(tmp_path: Path) -> None:
    """No paths, cameras or pictures, one trial, a query without a match, a gallery smaller than k."""
    features = Features.from_arrays(np.eye(5), [1, 2, 1, 3, 2], modality=[0, 0, 1, 1, 1])
    protocol = CrossModal("v2i")
    together = evaluate(features, protocol)
    files = write_report(tmp_path, together, features, protocol, picture=None, title="bare")
    names = ["figures.json", "queries-cross-v2i.csv", "cmc.png", "average-precision.png", "index.html"]
    assert [file.name for file in files] == names
    assert "there is no sheet" in (tmp_path / "index.html").read_text()
    files = write_report(tmp_path, together, features, protocol, picture=picture, title="bare", k=10)
    assert (tmp_path / "ranked.png") in files
    backwards = CrossModal("i2v")
    write_report(tmp_path, evaluate(features, backwards), features, backwards, picture=picture, title="bare")
    unmatched = lines(tmp_path / "queries-cross-i2v.csv")[1]
    assert (unmatched["row"], unmatched["first_match"], unmatched["matches"]) == ("3", "0", "0")
    assert unmatched["average_precision"] == unmatched["inverse_negative_penalty"] == ""
    assert unmatched["path"] == unmatched["camera"] == unmatched["best_path"] == ""
    assert unmatched["best_right"] == "0"


def test_where_everything_is_removed_no_best_item_is_named() -> None:
    features = Features.from_arrays(np.eye(3), [1, 1, 1], camera=[1, 1, 2], query=[True, True, False])
    alone = Features.from_arrays(np.eye(3), [1, 1, 1], camera=[1, 2, 2], query=[True, True, False])
    (one,) = evaluate([features, alone], Market())
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in query_rows(one, Market(), [features, alone])]
    assert [row["trial"] for row in rows] == ["0", "0", "1", "1"]
    assert rows[-1]["best_row"] == rows[-1]["best_similarity"] == rows[-1]["best_right"] == ""
    assert rows[0]["best_row"] == "2"


def test_reranking_and_several_sets_of_features(tmp_path: Path) -> None:
    first, second = people(4, 3), people(3, 4)
    settings = KReciprocal(4, 2, 0.3)
    together = evaluate([first, second], RegDB("v2i"), reranking=settings)
    write_report(
        tmp_path, together, [first, second], RegDB("v2i"), picture=picture, title="two", reranking=settings, rows=2, k=3
    )
    found = lines(tmp_path / "queries-regdb-v2i.csv")
    assert [len(part) for part in together[0].queries] == [sum(li["trial"] == t for li in found) for t in "01"]
    assert all((line["best_right"] == "1") == (line["first_match"] == "1") for line in found)
    assert "2 such sets, each of a model of its own" in (tmp_path / "index.html").read_text()


def test_a_protocol_may_come_twice(tmp_path: Path) -> None:
    features = people(3, 3)
    twice = [RegDB("v2i"), RegDB("v2i")]
    files = write_report(tmp_path, evaluate(features, twice), features, twice, picture=None, title="t")
    assert [file.name for file in files][1:3] == ["queries-regdb-v2i.csv", "queries-regdb-v2i-2.csv"]


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    features = people(3, 3)
    together = evaluate(features, [RegDB("v2i"), RegDB("i2v")])
    folder = tmp_path / "none"

    def write(*given: Any, **options: Any) -> None:
        write_report(folder, *given, **{"picture": picture, "title": "t"} | options)

    with pytest.raises(InputError, match="2 evaluations, 1 features and 1 protocols"):
        write(together, features, RegDB("v2i"))
    with pytest.raises(InputError, match="0 evaluations"):
        write([], features, [])
    with pytest.raises(InputError, match="keep to one order"):
        write(together, features, [RegDB("i2v"), RegDB("v2i")])
    with pytest.raises(InputError, match="not of these features"):
        write(together[:1], people(4, 3), RegDB("v2i"))
    with pytest.raises(InputError, match=r"picture of item \d+ must be"):
        write(together[:1], features, RegDB("v2i"), picture=lambda _: np.zeros((4, 4)))
    with pytest.raises(InputError, match=r"representation 'z' must be numbers of shape"):
        write(together[:1], features, RegDB("v2i"), representations={"z": np.zeros((2, 2))})
    broken = np.full((len(features), 2), np.nan)
    with pytest.raises(InputError, match="representation 'z' holds NaN"):
        write(together[:1], features, RegDB("v2i"), representations={"z": broken})
    assert not folder.exists()


def test_the_queries_shown_are_one_of_each_group_by_precision() -> None:
    precision = np.random.default_rng(0).permutation(100) / 100 + 0.01
    precision[:10] = np.nan
    matches = np.isfinite(precision).astype(np.int64)
    ranks = Ranks(matches, precision, precision, matches, precision, precision)
    order = np.argsort(precision)[:90]
    for seed in range(5):
        chosen = choose_queries(ranks, count=9, seed=seed)
        assert [one in group for one, group in zip(chosen, np.split(order, 9), strict=True)] == [True] * 9
        np.testing.assert_array_equal(chosen, choose_queries(ranks, count=9, seed=seed))
    assert len({choose_queries(ranks, seed=seed).tobytes() for seed in range(5)}) > 1
    assert len(choose_queries(ranks, count=1000)) == 90
    assert len(choose_queries(Ranks(*(np.zeros(3, np.int64),) * 6))) == 0
    with pytest.raises(InputError, match="at least 1"):
        choose_queries(ranks, count=0)


def test_the_sheet_marks_right_and_wrong_and_takes_any_shape_of_picture() -> None:
    features = people(3, 3)
    lists = ranked_lists(features, RegDB("i2v"), k=4)[:3]
    shown = [ShownQuery(found, found.first, 0.5) for found in lists]
    figure = sheet_figure(shown, features, lambda i: np.zeros((8 + i, 8 + 3 * (i % 7), 3), np.uint8), k=4)
    (axes,) = figure.axes
    texts = [text.get_text() for text in axes.texts]
    right = sum(int(found.right.sum()) for found in lists)
    assert texts.count("✓") == right
    assert texts.count("✗") == 12 - right
    first = lists[0].items[0]
    beneath = f"id {features.identity[first]} · cam {features.camera[first]}\n{lists[0].similarity[0]:.3f}"
    assert beneath in texts
    assert len(axes.images) == 3 * 5
    size(png(figure))
    with pytest.raises(InputError, match="no query to show"):
        sheet_figure([], features, picture)


def test_the_sheet_names_identities_where_names_are_known() -> None:
    features = people(3, 3)
    (found,) = ranked_lists(features, RegDB("i2v"), k=2)[:1]
    names = ["a barn owl" for _ in range(int(features.identity.max()))]  # the last identity has no name
    names[0] = "a name that is too long to stand beneath"
    shown = [ShownQuery(found, found.first, 0.5)]
    texts = [text.get_text() for text in sheet_figure(shown, features, picture, k=2, names=names).axes[0].texts]
    for item, similarity in zip(found.items, found.similarity, strict=True):
        identity = int(features.identity[item])
        who = {0: "a name that is to…", len(names): f"id {identity}"}.get(identity, "a barn owl")
        assert f"{who} · cam {features.camera[item]}\n{similarity:.3f}" in texts


def test_texts_of_the_sheet_do_not_overlap() -> None:
    plain = people(3, 3)
    features = Features.from_arrays(
        plain.feature, plain.identity + 123456, camera=plain.camera + 1000, modality=plain.modality, path=plain.path
    )
    lists = ranked_lists(features, RegDB("i2v"), k=4)[:2]
    figure = sheet_figure([ShownQuery(found, 1, 0.5) for found in lists], features, picture, k=4)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text() not in "✓✗"]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_curves_hold_the_figures() -> None:
    features = people()
    together = evaluate(features, [SYSU("all", 1), RegDB("v2i")])
    (axes,) = cmc_figure(together).axes
    curves = [line.get_ydata() for line in axes.lines]
    np.testing.assert_allclose(curves[0], [100 * together[0].cmc(k).mean for k in range(1, 21)])
    assert len(axes.collections) == 1  # a band for the ten trials, none for the one
    (axes,) = precision_figure(together).axes
    for patch, one in zip(axes.patches, together, strict=True):
        np.testing.assert_array_equal(patch.get_data().values, 100 * sorted_precision(one))
    assert sorted_precision(together[1]).mean() == pytest.approx(together[1].mean_average_precision.mean)
    for figure in (cmc_figure(together * 5), precision_figure(together * 5)):
        size(png(figure))


def test_items_are_drawn_of_identities_seen_in_both_modalities() -> None:
    identity = np.array([1, 1, 1, 2, 3, 3, -1, -1, 1])
    modality = np.array([0, 0, 1, 0, 0, 1, 0, 1, 0], np.int8)
    assert choose_items(identity, modality).tolist() == [0, 1, 2, 4, 5, 8]
    assert len(choose_items(identity, modality, identities=1, pictures=1)) == 2
    assert choose_items(identity, None).tolist() == [0, 1, 2, 3, 4, 5, 8]
    assert choose_items(np.array([1, 2]), np.array([0, 1], np.int8)).tolist() in ([0], [1], [0, 1])
    assert len(choose_items(np.array([-1]), None)) == 0


def test_neighbours_are_counted_as_a_loop_counts_them() -> None:
    generator = np.random.default_rng(0)
    vectors, modality = generator.normal(size=(40, 3)), (np.arange(40) % 3 == 0).astype(np.int8)
    found, expected = [], []
    for item in range(40):
        others = [other for other in range(40) if other != item]
        others.sort(key=lambda other: float(np.linalg.norm(vectors[other] - vectors[item])))
        found.append(np.mean(modality[others[:10]] != modality[item]))
        expected.append(np.mean(modality[others] != modality[item]))
    assert modality_mixing(vectors, modality) == pytest.approx(np.mean(found) / np.mean(expected))
    assert modality_mixing(vectors, modality, k=100) == pytest.approx(1)
    assert math.isnan(modality_mixing(vectors, np.zeros(40, np.int8)))


def test_silhouettes_at_their_ends() -> None:
    points = np.array([[0.0], [0.0], [1.0], [1.0]])
    assert identity_silhouette(points, np.array([1, 1, 2, 2])) == 1
    assert identity_silhouette(points, np.array([1, 2, 1, 2])) < 0
    for labels in ([1, 1, 1, 1], [1, 2, 3, 4]):
        assert math.isnan(identity_silhouette(points, np.array(labels)))


@pytest.mark.parametrize(
    ("vectors", "identity", "modality"),
    [
        ([[1, 0], [0, 1]], [1, 1], [0, 1]),  # two items of one identity
        ([[1, 0], [0, 1]], [1, 2], [0, 1]),  # no identity in both modalities
        ([[1, 0]], [1], None),
        ([[1], [2], [-1], [3], [-2]], [1, 1, 2, 2, 2], None),  # one feature
        ([[1, 2]] * 6, [1, 1, 1, 2, 2, 2], [0, 1] * 3),  # all alike
        (np.random.default_rng(0).normal(size=(6, 3)), [1, 1, 1, 2, 2, 2], [0, 1] * 3),
        (np.random.default_rng(0).normal(size=(6, 3)), [1, 1, 1, 2, 2, 2], [1] * 6),
    ],
)
def test_degenerate_maps(vectors: Any, identity: list[int], modality: list[int] | None) -> None:
    kind = None if modality is None else np.array(modality, np.int8)
    maps = project({"z": np.array(vectors, np.float32)}, np.array(identity), kind)
    assert maps[0].points.shape == (len(maps[0].items), 2)
    assert np.isfinite(maps[0].points).all()
    size(png(projection_figure(maps, np.array(identity), kind)))


def test_a_map_repeats_with_its_seed_and_junk_alone_is_refused() -> None:
    features = people(4, 3)
    first, again = (project({"z": features.feature}, features.identity, features.modality, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first[0].points, again[0].points)
    with pytest.raises(InputError, match="nothing to project"):
        project({"z": np.eye(2)}, np.array([-1, -1]))


def test_the_legend_of_a_plane_counts_as_people_do() -> None:
    names = [str(number) for number in (1, 2, 10, 11)]
    labels = np.array(sorted(names) * 3)
    figure = plane_figure(np.random.default_rng(0).normal(size=(12, 2)), labels, title="t", name="identity")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == names


def test_the_dark_sheet_differs_in_its_letters_and_its_paper_alone() -> None:
    held = people()
    shown = [ShownQuery(found, found.first, 0.5) for found in ranked_lists(held, RegDB("i2v"), k=3)[:2]]
    light, dark = (sheet_figure(shown, held, picture, k=3, dark=dark) for dark in (False, True))
    assert [text.get_text() for text in light.axes[0].texts] == [text.get_text() for text in dark.axes[0].texts]
    for figure, paper in ((light, 1.0), (dark, 0.1)):
        assert figure.get_facecolor()[0] == pytest.approx(paper, abs=0.02)
        letters = [text.get_color() for text in figure.axes[0].texts if text.get_text() not in "\u2713\u2717"]
        assert min(abs(to_rgb(colour)[0] - paper) for colour in letters) > 0.5
