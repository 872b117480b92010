"""`limbeck evaluate`, `diagnose`, `search` and `project` on the files of others."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import torch
from PIL import Image

from limbeck.arrayfiles import read_array_file
from limbeck.cli import main


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A gallery of pictures with embeddings in several forms, and queries."""
    rng = np.random.default_rng(0)
    who = np.repeat(["ann", "bo", "cy"], 8)
    vectors = (np.repeat(np.eye(3, 5), 8, axis=0) + 0.1 * rng.normal(size=(24, 5))).astype(np.float32)
    paths = [f"{place}.png" for place in range(24)]
    for place, path in enumerate(paths):
        Image.new("RGB", (20 + place, 40), (10 * place, 80, 160)).save(tmp_path / path)
    np.savez(tmp_path / "gallery.npz", embeddings=vectors[3:], labels=who[3:], path=paths[3:])
    np.save(tmp_path / "queries.npy", vectors[:3])
    pd.DataFrame({"label": who[:3], "path": paths[:3]}).to_csv(tmp_path / "queries.csv", index=False)
    codes = np.unique(who, return_inverse=True)[1]
    torch.save({"features": torch.tensor(vectors), "pids": codes, "camids": np.arange(24) % 2}, tmp_path / "all.pt")
    scipy.io.savemat(tmp_path / "all.mat", {"embeddings": vectors, "labels": codes})
    pd.DataFrame(vectors).assign(label=who).to_csv(tmp_path / "all.csv", index=False)
    return tmp_path


def test_one_file_for_every_verb(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("all.pt", "all.mat", "all.csv"):
        assert main(["evaluate", str(files / name), "--protocol", "cub"]) == 0
        assert "100.0" in capsys.readouterr().out
        assert main(["diagnose", str(files / name), "--probe_folds", "2"]) == 0
        assert "I(z;y)" in capsys.readouterr().out
    sides = ["--queries", str(files / "queries.npy"), "--query_labels", str(files / "queries.csv")]
    assert main(["evaluate", str(files / "gallery.npz"), *sides, "--protocol", "inshop"]) == 0
    assert "100.0" in capsys.readouterr().out


def test_search_prints_a_table_and_writes_a_page(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["search", str(files / "gallery.npz"), "--queries", str(files / "queries.npy"), "--top", "4"]
    assert main(asked) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert len(rows) == 12
    assert {row["item_identity"] for row in rows} == {"ann"}
    out = files / "page"
    assert main([*asked, "--query_labels", str(files / "queries.csv"), "--out", str(out)]) == 0
    assert "without pictures" not in capsys.readouterr().out
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count("<img") == 15
    assert page.count('class="query"') == 3
    assert page.count('class="right"') == page.count("<figcaption>\u2713 ") == 12
    table = pd.read_csv(out / "matches.csv")
    assert table["item_path"].str.endswith(".png").all()
    assert table["rank"].tolist() == [1, 2, 3, 4] * 3
    assert (table["query_identity"] == table["item_identity"]).all()


@pytest.mark.slow
def test_a_picture_with_a_formula_for_a_name_is_text_in_every_table(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(1)
    paths = ['=HYPERLINK("http://example.org")', "+a.png", "-1", "b.png"]
    vectors = -np.eye(4, 5) + 0.01 * rng.normal(size=(4, 5))
    np.savez(files / "named.npz", feature=vectors, identity=["@x", "@x", "-7", "-7"], path=paths)
    told = ["'" + paths[0], "'+a.png", "-1", "b.png"]
    assert main(["search", str(files / "named.npz"), "--queries", str(files / "named.npz"), "--top", "1"]) == 0
    printed = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["item_path"] for row in printed] == told
    assert [row["item_identity"] for row in printed] == ["'@x", "'@x", "-7", "-7"]
    flags = ["--protocol", "cub", "--per_query", str(files / "each.csv"), "--similarity", "euclidean"]
    assert main(["evaluate", str(files / "named.npz"), *flags]) == 0
    each = pd.read_csv(files / "each.csv")
    assert each["path"].tolist() == told
    assert (each["best_similarity"] < 0).all()  # numbers are left as they are
    assert read_array_file(files / "each.csv")["path"].tolist() == paths
    assert main(["project", str(files / "named.npz"), "--out", str(files / "plane")]) == 0
    points = pd.read_csv(files / "plane" / "points.csv")
    assert points["identity"].tolist() == ["'@x", "'@x", "-7", "-7"]
    assert points["x"].dtype == points["y"].dtype == float


def test_what_is_found_without_identities_is_written_too(files: Path, tmp_path: Path) -> None:
    array = files / "queries.npy"
    main(["search", str(array), "--queries", str(array), "--top", "2", "--out", str(tmp_path / "found")])
    page = (tmp_path / "found" / "index.html").read_text()
    assert "item 1" in page
    assert "yes" not in page


def test_project_refuses_labels_that_are_neither_numbers_nor_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "features.npz", feature=np.eye(4), identity=np.arange(4, dtype=np.int32).view("V4"))
    with pytest.raises(SystemExit, match="2"):
        main(["project", str(tmp_path / "features.npz"), "--out", str(tmp_path / "plane")])
    assert "'identity' holds |V4, neither numbers nor text" in capsys.readouterr().err
    assert not (tmp_path / "plane").exists()


@pytest.mark.parametrize("method", ["tsne", "umap"])
def test_project_draws_every_label(files: Path, capsys: pytest.CaptureFixture[str], method: str) -> None:
    if method == "umap":
        pytest.importorskip("umap", reason="umap-learn is not installed")
    words = ["project", str(files / "all.pt"), "--out", str(files / "plane"), "--items", "20", "--method", method]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "20 of 24 items, drawn with seed 0" in told.out
    assert told.err == ""
    for name in ("identity.png", "camera.png"):
        with Image.open(files / "plane" / name) as picture:
            assert min(picture.size) > 100
    points = pd.read_csv(files / "plane" / "points.csv")
    assert len(points) == 20
    assert np.isfinite(points[["x", "y"]]).all(axis=None)
    centres = points.groupby("identity")[["x", "y"]].mean()
    own = np.hypot(*(points[["x", "y"]].to_numpy() - centres.loc[points["identity"]].to_numpy()).T).mean()
    assert own < np.hypot(*(centres.to_numpy() - centres.to_numpy().mean(axis=0)).T).mean()


def test_mistakes_are_one_line(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    np.savez("both.npz", z_0=np.eye(4), z_1=np.eye(4), y=[0, 0, 1, 1])
    for words, told in (
        (["evaluate", "queries.npy", "--protocol", "cub"], "--labels"),
        (["evaluate", "both.npz", "--protocol", "cub"], "--keys feature=z_0"),
        (["evaluate", "all.pt", "--protocol", "cub", "--keys", "feature"], "must be written feature=NAME"),
        (["evaluate", "all.pt", "--protocol", "cub", "--keys", "feature=f"], "there are: features, pids, camids"),
        (
            ["evaluate", "all.csv", "--queries", "all.csv", "--protocol", "cub"],
            "chooses queries by its own rules",
        ),
        (["evaluate", "all.pt", "--protocol", "cub", "--per_query", "."], "is a folder; name a file with --per_query"),
        (["search", "all.pt"], "give their file with --queries"),
        (["search", "none.npz", "--queries", "queries.npy"], "none.npz: no such file"),
        (["search", "all.pt", "--queries", "queries.npy", "--top", "0"], "--top must be at least 1"),
        (["project", "queries.csv", "--out", "o"], "'feature' is missing; there are: label, path"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(words)
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1


@pytest.mark.slow
def test_the_command_itself_searches(files: Path) -> None:
    words = ["search", str(files / "gallery.npz"), "--queries", str(files / "queries.npy"), "--top", "1"]
    done = subprocess.run([sys.executable, "-m", "limbeck", *words], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("query,rank,item,similarity,item_identity,item_path\n")
