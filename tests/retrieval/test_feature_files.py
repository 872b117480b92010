"""Which array is which: names, keys, labels of their own, two sides, similarities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io
import torch

from limbeck.errors import InputError
from limbeck.information.diagnosis import load_view_features
from limbeck.retrieval import Features, LeaveOneOut, Market, evaluate, load_features, save_features, similarities
from limbeck.retrieval.files import load_sides, parse_keys
from limbeck.retrieval.report.matches import find_matches
from limbeck.retrieval.reranking import KReciprocal

RNG = np.random.default_rng(0)
QUERY, GALLERY = RNG.normal(size=(6, 4)).astype(np.float32), RNG.normal(size=(20, 4)).astype(np.float32)
Q_PIDS, G_PIDS = np.arange(6) % 3, np.append(np.arange(18) % 3, [-1, -1])
Q_CAMS, G_CAMS = np.arange(6) % 2, np.arange(20) % 4
WANTED = evaluate(
    Features.from_arrays(
        np.concatenate([QUERY, GALLERY]),
        np.concatenate([Q_PIDS, G_PIDS]),
        camera=np.concatenate([Q_CAMS, G_CAMS]),
        query=np.arange(26) < 6,
    ),
    Market(),
)[0].mean_average_precision.mean


def mean_ap(features: Features) -> float:
    return evaluate(features, Market())[0].mean_average_precision.mean


def as_layumi(folder: Path) -> Path:
    names = ("query_f", "query_label", "query_cam", "gallery_f", "gallery_label", "gallery_cam")
    values = (QUERY, Q_PIDS, Q_CAMS, GALLERY, G_PIDS, G_CAMS)
    scipy.io.savemat(folder / "result.mat", dict(zip(names, values, strict=True)))
    return folder / "result.mat"


def as_torchreid(folder: Path, **more: Any) -> Path:
    names = ("qf", "q_pids", "q_camids", "gf", "g_pids", "g_camids")
    values = (torch.tensor(QUERY), Q_PIDS, Q_CAMS, torch.tensor(GALLERY), G_PIDS, G_CAMS)
    torch.save(dict(zip(names, values, strict=True)) | more, folder / "features.pt")
    return folder / "features.pt"


def as_two_files(folder: Path) -> dict[str, Path]:
    pd.DataFrame(QUERY).assign(pid=[f"{n:04}" for n in Q_PIDS], camid=Q_CAMS).to_csv(folder / "q.csv", index=False)
    np.save(folder / "g.npy", GALLERY)
    pd.DataFrame({"label": G_PIDS, "cam": G_CAMS}).to_csv(folder / "g.csv")
    return {"path": folder / "g.npy", "labels": folder / "g.csv", "queries": folder / "q.csv"}


def test_layouts_of_others_give_the_same_figures(tmp_path: Path) -> None:
    assert mean_ap(load_features(as_layumi(tmp_path))) == pytest.approx(WANTED, abs=1e-6)
    assert mean_ap(load_features(as_torchreid(tmp_path))) == pytest.approx(WANTED, abs=1e-6)
    assert mean_ap(load_features(**as_two_files(tmp_path))) == pytest.approx(WANTED, abs=1e-6)


def test_similarities_and_distances_give_the_figures_of_their_vectors(tmp_path: Path) -> None:
    ((_, matrix),) = similarities(QUERY, GALLERY)
    path = as_torchreid(tmp_path, distmat=torch.tensor(1 - matrix))
    with pytest.raises(InputError, match=r"query_feature and gallery_feature and distance.*--keys distance="):
        load_features(path)
    given = load_features(path, keys={"distance": "distmat"})
    assert given.similarity is not None
    assert given.feature.shape == (26, 0)
    assert mean_ap(given) == pytest.approx(WANTED, abs=1e-6)
    assert mean_ap(load_features(path, keys={"query_feature": "qf"})) == pytest.approx(WANTED, abs=1e-6)
    save_features(given, tmp_path / "s.npz")
    assert mean_ap(load_features(tmp_path / "s.npz")) == mean_ap(given)
    assert "given similarities" in evaluate(given, Market())[0].rules
    with pytest.raises(InputError, match=r"no query among them|no part of the gallery"):
        evaluate(given, LeaveOneOut())
    with pytest.raises(InputError, match="leave --rerank out"):
        evaluate(given, Market(), reranking=KReciprocal())


@pytest.mark.parametrize("feature", ["feature", "features", "embeddings", "z_0", "Feats"])
@pytest.mark.parametrize("identity", ["identity", "labels", "y", "PIDs"])
def test_names_in_use_are_known(tmp_path: Path, feature: str, identity: str) -> None:
    np.savez(tmp_path / "f.npz", **{feature: GALLERY, identity: G_PIDS})
    held = load_features(tmp_path / "f.npz")
    np.testing.assert_array_equal(held.feature, GALLERY)
    np.testing.assert_array_equal(held.identity, G_PIDS)
    seen = load_view_features(tmp_path / "f.npz")
    np.testing.assert_array_equal(seen.representations[0], GALLERY)
    assert seen.classes == ("-1", "0", "1", "2")


def test_strings_are_identities() -> None:
    held = Features.from_arrays(np.eye(4), ["zoe", "-1", "adam", "zoe"])
    assert held.identity.tolist() == [1, -1, 0, 1]
    assert held.names == ("adam", "zoe")
    assert Features.from_arrays(np.eye(3), ["0002", "-1", "10"]).identity.tolist() == [2, -1, 10]
    apart = Features.from_arrays(np.eye(3), ["1", "01", "1"])
    assert apart.identity.tolist() == [1, 0, 1]
    assert apart.names == ("01", "1")
    with pytest.raises(InputError, match="'identity' is empty in row 1"):
        Features.from_arrays(np.eye(2), ["a", " "])


def test_names_survive_a_file(tmp_path: Path) -> None:
    save_features(Features.from_arrays(np.eye(3), ["zoe", "-1", "adam"]), tmp_path / "f.npz")
    held = load_features(tmp_path / "f.npz")
    assert held.identity.tolist() == [1, -1, 0]
    assert held.names == ("adam", "zoe")


def test_keys_say_what_names_do_not(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", backbone=GALLERY, head=GALLERY[:, :2], who=G_PIDS)
    held = load_features(tmp_path / "f.npz", keys=parse_keys("feature=head, identity=who"))
    np.testing.assert_array_equal(held.feature, GALLERY[:, :2])
    seen = load_view_features(tmp_path / "f.npz", keys=parse_keys("z_0=head,v_0=backbone,y=who"))
    assert seen.observations is not None
    assert seen.observations[0].shape == (20, 4)


@pytest.mark.parametrize(
    ("arrays", "options", "words"),
    [
        ({"emb": 1}, {}, "the array 'feature' is missing; there are: emb, pid; name it with --keys feature=NAME"),
        ({"z_0": 1, "z_1": 1}, {}, "'z_0' and 'z_1' could each be 'feature'; choose with --keys feature=z_0"),
        ({"features": 1, "embeddings": 1}, {}, "'features' and 'embeddings' could each be 'feature'"),
        ({"f": 1, "label": 2}, {}, "'label' and 'pid' could each be 'identity'"),
        ({"f": 1}, {"keys": {"feature": "g"}}, "there is no 'g'; there are: f, pid"),
        ({"f": 1}, {"keys": {"features": "f"}}, "--keys: there is no 'features'; it may name feature, identity"),
        ({"f": 1, "gallery_f": 1}, {}, "'feature'.*'identity'.*of the queries or the gallery|nothing is of the query"),
        ({"f": 1, "similarity": 1}, {}, "there are feature and similarity"),
        ({"f": 1}, {"query_labels": "x.csv"}, "--query_labels are those of --queries"),
    ],
)
def test_what_is_not_clear_is_refused_in_a_line(
    tmp_path: Path, arrays: dict[str, int], options: dict[str, Any], words: str
) -> None:
    given = {name: GALLERY if kind == 1 else G_PIDS for name, kind in arrays.items()} | {"pid": G_PIDS}
    np.savez(tmp_path / "f.npz", **given)
    with pytest.raises(InputError, match=words) as caught:
        load_features(tmp_path / "f.npz", **options)
    assert "\n" not in str(caught.value)


def test_sides_must_say_the_same_things(tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", f=GALLERY, pid=G_PIDS, cam=G_CAMS)
    np.savez(tmp_path / "q.npz", f=QUERY, pid=Q_PIDS)
    np.savez(tmp_path / "names.npz", f=QUERY, pid=["ann"] * 6, cam=Q_CAMS)
    np.savez(tmp_path / "bare.npz", f=QUERY)
    np.savez(tmp_path / "labels.npz", pid=G_PIDS[::-1])
    with pytest.raises(InputError, match="the gallery have 'camera' and the queries have not"):
        load_features(tmp_path / "g.npz", queries=tmp_path / "q.npz")
    with pytest.raises(InputError, match=r"names .*'ann'.* on one side and numbers on the other"):
        load_features(tmp_path / "g.npz", queries=tmp_path / "names.npz")
    np.savez(tmp_path / "number.npz", f=QUERY, pid=Q_PIDS, cam=3)
    with pytest.raises(
        InputError, match=r"'camera' must hold a value for every row, not arrays of shapes \(\), \(20,\)"
    ):
        load_features(tmp_path / "g.npz", queries=tmp_path / "number.npz")
    np.savez(tmp_path / "times.npz", f=QUERY.astype("m8[s]"), pid=Q_PIDS, cam=Q_CAMS)
    with pytest.raises(InputError, match=r"'feature' must hold numbers or names, not timedelta64\[s\]"):
        load_features(tmp_path / "g.npz", queries=tmp_path / "times.npz")
    asked, searched = load_sides(tmp_path / "g.npz", queries=tmp_path / "bare.npz")
    assert (len(asked), len(searched)) == (6, 20)
    assert "identity" not in asked
    with pytest.raises(InputError, match="give their file with --queries"):
        load_sides(tmp_path / "g.npz")
    with pytest.raises(InputError, match="both hold 'identity', and not the same"):
        load_features(tmp_path / "g.npz", labels=tmp_path / "labels.npz")


def test_matlab_columns_are_turned_where_labels_show_it(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "f.mat", {"features": GALLERY.T, "labels": G_PIDS})
    np.testing.assert_array_equal(load_features(tmp_path / "f.mat").feature, GALLERY)


def test_a_number_in_place_of_vectors_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", feature=0.5, identity=G_PIDS)
    sides = load_sides(tmp_path / "one.npz", queries=tmp_path / "one.npz")
    with pytest.raises(InputError, match=r"1 rows of 'feature' but 'identity' has shape \(20,\)"):
        find_matches(*sides, k=3)


def test_a_path_that_is_one_name_is_refused_where_there_are_more_rows(tmp_path: Path) -> None:
    np.savez(tmp_path / "features.npz", feature=GALLERY, identity=G_PIDS, path=np.array("a.jpg"))
    with pytest.raises(InputError, match="20 rows of 'feature' but 1 of 'path'"):
        load_features(tmp_path / "features.npz")
