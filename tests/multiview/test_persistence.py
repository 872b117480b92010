"""Saving and loading: the same model comes back, a damaged file is refused, nothing is lost."""

import errno
import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from safetensors.torch import save_file
from tests.signed import rewritten

from limbeck import MultiViewClassifier
from limbeck.errors import InputError
from limbeck.multiview.mixing import Mix
from limbeck.multiview.persistence import FORMAT
from limbeck.tensorfiles import read_tensors, write_tensors

TINY: dict[str, Any] = {"encoder": (8, 4), "representation": 3, "epochs": 2, "batch_size": 32, "learning_rate": 1e-2}
RNG = np.random.default_rng(0)
LEFT, RIGHT = RNG.normal(size=(60, 3)).astype(np.float32), RNG.normal(size=(60, 4)).astype(np.float32)
Y = np.arange(60) % 3
FRAME = pd.DataFrame(np.hstack([LEFT, RIGHT]), columns=list("abcdefg"))
GAPS = LEFT.copy()
GAPS[::4] = np.nan


def _model(**options: Any) -> MultiViewClassifier:
    return MultiViewClassifier(**(TINY | options))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    _model().fit([LEFT, RIGHT], Y).save(path)
    return path


def _refused(path: Path, *parts: str) -> None:
    """`load` refuses `path` in one line that names the file and holds `parts`."""
    with pytest.raises(InputError) as caught:
        MultiViewClassifier.load(path)
    assert "\n" not in str(caught.value)
    for part in (str(path), *parts):
        assert part in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*missing for every sample")
@pytest.mark.parametrize(
    ("given", "labels", "options"),
    [
        ([LEFT, RIGHT], Y, {}),
        ({"l": LEFT, "r": RIGHT}, np.array(["ant", "bee", "cat"])[Y], {}),
        ({"l": LEFT, "r": RIGHT}, np.array(["ant", "bee", "cat"], dtype=object)[Y], {}),
        ([LEFT, RIGHT], Y > 0, {}),
        ([LEFT, RIGHT], Y + 0.0, {}),
        ([LEFT, RIGHT], Y.astype(np.int8), {}),
        (FRAME, Y, {"view_columns": {"l": list("abc"), "r": list("defg")}}),
        (FRAME, Y, {"view_columns": (3, 4)}),
        (FRAME.to_numpy(), Y, {"view_columns": {"l": slice(0, 3), "r": slice(3, None, 1)}}),
        (FRAME.to_numpy(), Y, {"view_columns": {"l": np.arange(3), "r": [3, 4, 5, 6]}}),
        (FRAME.to_numpy(), Y, {"view_columns": np.array([3, 4])}),
        ([sp.csr_array(LEFT), RIGHT], Y, {}),
        ([GAPS, RIGHT], Y, {}),
        ([LEFT, None], Y, {}),
        ([LEFT], Y, {}),
        ([LEFT, RIGHT], Y, {"class_weight": {0: 2.0, 1: 1.0, 2: 1.0}}),
        ([LEFT, RIGHT], Y, {"class_weight": "balanced"}),
        ([LEFT, RIGHT], Y, {"objective": "none", "bottleneck": False}),
        ([LEFT, RIGHT], Y, {"joint_head": "pairwise", "interaction_rank": 5, "consistency_weight": 0.5}),
        ([LEFT, RIGHT], Y, {"objective": "cib", "bottleneck_hidden": (5,), "validation_fraction": 0}),
        ([LEFT, RIGHT], Y, {"encoder": [8], "patience": None, "ranking_weight": 0.0, "verbose": False}),
    ],
)
def test_a_loaded_model_is_the_saved_one(
    given: Any, labels: np.ndarray, options: dict[str, Any], tmp_path: Path
) -> None:
    model = _model(**options).fit(given, labels)
    path = tmp_path / "new folder" / "model.safetensors"
    model.save(path)
    loaded = MultiViewClassifier.load(path)
    np.testing.assert_array_equal(loaded.predict_proba(given), model.predict_proba(given))
    np.testing.assert_array_equal(loaded.transform(given), model.transform(given))
    np.testing.assert_array_equal(loaded.predict(given), model.predict(given))
    np.testing.assert_array_equal(loaded.classes_, model.classes_)
    assert loaded.classes_.dtype == model.classes_.dtype
    assert loaded.score(given, labels) == model.score(given, labels)
    assert loaded.view_contributions_ == model.view_contributions_
    assert loaded.recipe_ == model.recipe_
    assert loaded.best_epoch_ == model.best_epoch_
    assert [epoch.loss for epoch in loaded.history_] == [epoch.loss for epoch in model.history_]
    assert loaded.n_features_in_ == model.n_features_in_


def test_a_loaded_model_still_refuses_other_columns(tmp_path: Path) -> None:
    _model(view_columns=(3, 4)).fit(FRAME, Y).save(tmp_path / "m")
    loaded = MultiViewClassifier.load(tmp_path / "m")
    with pytest.raises(InputError, match="feature names"):
        loaded.predict(FRAME.rename(columns={"a": "z"}))
    with pytest.raises(InputError, match="5 features"):
        loaded.predict(FRAME.iloc[:, :5])


def test_a_file_of_before_names_of_columns_were_kept_is_read(saved: Path, tmp_path: Path) -> None:
    name = "limbeck-multiview-1"
    description, tensors = read_tensors(saved, format=name, what="model")
    for view in description["views"]:
        del view["columns"]
    write_tensors(tmp_path / "older", tensors, description, format=name)
    expected = MultiViewClassifier.load(saved).predict_proba([LEFT, RIGHT])
    np.testing.assert_array_equal(MultiViewClassifier.load(tmp_path / "older").predict_proba([LEFT, RIGHT]), expected)


def test_a_loaded_model_saves_to_the_same_bytes_and_fits_again(saved: Path, tmp_path: Path) -> None:
    loaded = MultiViewClassifier.load(saved)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()
    expected = loaded.predict_proba([LEFT, RIGHT])
    np.testing.assert_array_equal(loaded.fit([LEFT, RIGHT], Y).predict_proba([LEFT, RIGHT]), expected)


def test_a_subclass_loads_as_itself(saved: Path) -> None:
    class Mine(MultiViewClassifier):
        pass

    assert type(Mine.load(saved)) is Mine


def test_the_path_may_be_text(tmp_path: Path) -> None:
    _model().fit([LEFT, RIGHT], Y).save(str(tmp_path / "m"))
    assert MultiViewClassifier.load(str(tmp_path / "m")).recipe_.epochs == 2


# -- files that are not a model ---------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    _refused(tmp_path / "none", "no such file")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    _refused(tmp_path)


def test_a_truncated_file_is_refused_at_any_length(saved: Path) -> None:
    content = saved.read_bytes()
    for length in (0, 1, 7, 8, 9, 500, len(content) // 2, len(content) - 1):
        saved.write_bytes(content[:length])
        _refused(saved)


def test_a_lengthened_file_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"\0")
    _refused(saved)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_flipped_byte_anywhere_never_changes_the_model_silently(saved: Path, stride: int) -> None:
    content = saved.read_bytes()
    places = np.random.default_rng(stride).choice(len(content), 150, replace=False)
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 7)
        saved.write_bytes(damaged)
        _refused(saved)


def _text(content: bytes) -> bytes:
    return b"not a model, but text\n" * 50


def _noise(content: bytes) -> bytes:
    return np.random.default_rng(0).bytes(4000)


def _pickled(content: bytes) -> bytes:
    return pickle.dumps({"weights": [1, 2, 3] * 500})


def _huge_header(content: bytes) -> bytes:
    return struct.pack("<Q", 2**60) + content[8:]


@pytest.mark.parametrize("make", [_text, _noise, _pickled, _huge_header])
def test_another_kind_of_file_is_refused(saved: Path, make: Callable[[bytes], bytes]) -> None:
    saved.write_bytes(make(saved.read_bytes()))
    _refused(saved)


def test_a_torch_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"trap": Trap()}, tmp_path / "m")
    _refused(tmp_path / "m")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "metadata", [None, {"other": "x"}, {"limbeck": "no json"}, {"limbeck": "[]"}, {"limbeck": "{}"}]
)
def test_safetensors_of_something_else_are_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "m", metadata)
    _refused(tmp_path / "m")


def _rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the description inside a model file and leave it a valid safetensors file."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as stream:
        description = json.loads(stream.metadata()["limbeck"])
        rest = {name: value for name, value in stream.metadata().items() if name != "limbeck"}
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a mapping
    change(description)
    save_file(tensors, path, rest | {"limbeck": json.dumps(description)})


def test_another_version_of_the_format_is_named(saved: Path) -> None:
    _rewrite(saved, lambda description: description.update(format="limbeck-multiview-99"))
    _refused(saved, "limbeck-multiview-99")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["recipe"].update(epochs=0),
        lambda d: d["recipe"].update(unknown=1),
        lambda d: d["recipe"].update(encoder=[9, 4]),
        lambda d: d["recipe"].update(encoder=[10**12, 4]),
        lambda d: d["options"].update(unknown=1),
        lambda d: d.update(classes_dtype="no dtype"),
        lambda d: d.update(classes=["a", "b", "c"]),
        lambda d: d.update(classes=[0, 1]),
        lambda d: d["views"].pop(),
        lambda d: d.update(views=[1, 2]),
        lambda d: d.update(views=None),
        lambda d: d.update(options=None),
        lambda d: d["views"][0].update(features=99),
        lambda d: d.pop("temperature"),
        lambda d: d.update(history=[{"loss": 1.0}]),
        lambda d: d.update(account=[3]),
    ],
)
def test_a_description_that_does_not_fit_is_refused(saved: Path, change: Callable[[dict[str, Any]], None]) -> None:
    _rewrite(saved, change)
    _refused(saved)


# -- nothing is lost --------------------------------------------------------------------------------------------------


def _full_disk(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("when", ["os.fsync", "os.fdopen", "pathlib.Path.replace"])
def test_a_full_disk_while_saving_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    before = saved.read_bytes()
    model = _model(random_state=1).fit([LEFT, RIGHT], Y)
    with monkeypatch.context() as patch:
        patch.setattr(when, _full_disk)
        with pytest.raises(OSError, match="No space left"):
            model.save(saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]  # noqa: PTH208 - names, hidden ones too
    model.save(saved)
    assert saved.read_bytes() != before


def test_ctrl_c_while_saving_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()
    model = _model(random_state=1).fit([LEFT, RIGHT], Y)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.save(saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]  # noqa: PTH208 - names, hidden ones too


def test_a_folder_that_cannot_be_made_is_an_error_and_makes_nothing(saved: Path) -> None:
    model = MultiViewClassifier.load(saved)
    with pytest.raises(OSError, match=saved.name):
        model.save(saved / "inside a file" / "m")
    with pytest.raises(OSError, match=saved.parent.name):
        model.save(saved.parent)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_an_error(saved: Path) -> None:
    before = saved.read_bytes()
    saved.parent.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            MultiViewClassifier.load(saved).save(saved)
    finally:
        saved.parent.chmod(0o700)
    assert saved.read_bytes() == before


# -- signed, and not a model ------------------------------------------------------------------------------------------

SPARSE = sp.csr_array(np.where(LEFT > 0.3, LEFT, 0).astype(np.float32))
VALUES: list[Any] = [None, True, -1, 0, 2.5, 1e308, float("nan"), 2**40, 2**63, 10**30, "x", [], {}, [1], {"a": 1}]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("signed") / "model.safetensors"
    _model(inner_folds=2).fit([SPARSE, RIGHT], Y).save(path)
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda d, _: d["recipe"].update(encoder=[60000, 60000]),
        lambda d, _: d.update(networks=10**9),
        lambda d, _: d.update(networks="3"),
        lambda d, _: d["views"][1].update(features=10**10),
        lambda d, _: d["views"][1].update(features="4"),
        lambda d, _: d["views"][1].update(name=d["views"][0]["name"]),
        lambda d, _: d.update(classes=[2, 1, 0]),
        lambda d, _: d.update(classes=[0, 0, 0]),
        lambda d, _: d.update(classes_dtype="<U1000000000"),
        lambda d, _: d.update(temperature=0),
        lambda d, _: d.update(temperature="1"),
        lambda d, _: d.update(leave_one_out_temperature=[1.0]),
        lambda d, _: d.update(n_features_in="7"),
        lambda d, _: d.update(feature_names_in=["a"]),
        lambda d, _: d.update(best_epoch=[]),
        lambda d, _: d["kernel_path"].update(bandwidths=[1.0]),
        lambda d, _: d["kernel_path"]["choice"].update(scalings=["standard", "standard"]),
        lambda d, _: d["kernel_path"]["choice"].update(weights=[1.0]),
        lambda d, _: d["kernel_path"]["choice"].update(weights=[1.0, 0.0]),
        lambda _, t: t.update({"held_out_scores.weights": t["held_out_scores.weights"] * 0}),
        lambda _, t: t.update({"held_out_scores.weights": t["held_out_scores.weights"][:1].clone()}),
        lambda _, t: t.update({"kernel_path.0.landmarks.indices": t["kernel_path.0.landmarks.indices"] + 10**6}),
        lambda _, t: t.update({"kernel_path.0.landmarks.indptr": t["kernel_path.0.landmarks.indptr"] * 1000}),
        lambda _, t: t.update({"kernel_path.solutions": t["kernel_path.solutions"][:, :5].clone()}),
        lambda _, t: t.update({"kernel_path.present": t["kernel_path.present"].float()}),
        lambda _, t: t.update({"kernel_path.1.scaling.mean": torch.zeros(99, dtype=torch.float64)}),
        lambda d, _: d["linear_paths"].pop(),
        lambda d, _: d["linear_paths"][0].update(scalings=["standard", "standard"]),
        lambda d, _: d.update(path_weights=[[1.0]]),
        lambda d, _: d["path_weights"][1].append(1.0),
        lambda d, _: d["class_offsets"][1].append(1.0),
        lambda d, _: d["class_offsets"][0].__setitem__(0, "1"),
        lambda d, _: d.update(class_offsets=[[]]),
        lambda d, _: d["path_weights"][0].__setitem__(0, 1e308),
        lambda d, _: d["path_weights"][0].__setitem__(0, -1.0),
        lambda d, _: d["class_offsets"][0].__setitem__(0, 1e308),
        lambda d, _: d["sharpening"].pop(),
        lambda d, _: d["sharpening"].__setitem__(0, 2.0),
        lambda d, _: d["sharpening"].__setitem__(0, "0"),
        lambda d, _: d.update(sharpening=0.5),
        lambda _, t: t.update({"linear_path.1.0.weight": t["linear_path.1.0.weight"][:1].clone()}),
        lambda _, t: t.update({"linear_path.0.intercept": t["linear_path.0.intercept"].float()}),
        lambda _, t: t.update({"held_out_linear.0.terms": t["held_out_linear.0.terms"][:1].clone()}),
        lambda _, t: t.update({"held_out.labels": t["held_out.labels"] + 1000}),
        lambda _, t: t.update({"held_out.terms": t["held_out.terms"].double()}),
        lambda _, t: t.update({name: one.double() for name, one in t.items() if name.startswith("joint_head")}),
        lambda _, t: t.pop("observation_head.weight"),
        lambda _, t: t.update(more=torch.zeros(1)),
    ],
)
def test_a_signed_model_that_does_not_fit_itself_is_refused(model_file: Path, tmp_path: Path, change: Any) -> None:
    _refused(rewritten(model_file, tmp_path, change))


def test_a_model_of_before_views_and_classes_were_weighed_answers_as_it_did(model_file: Path, tmp_path: Path) -> None:
    def before(description: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        del description["class_offsets"], description["sharpening"], description["kernel_path"]["choice"]["balanced"]
        del description["kernel_path"]["choice"]["joint"]
        del description["kernel_path"]["choice"]["weights"], tensors["held_out_scores.weights"]

    old = MultiViewClassifier.load(rewritten(model_file, tmp_path, before))
    now = MultiViewClassifier.load(model_file)
    assert now.kernel_path_ is not None
    assert now.kernel_path_.choice.weights == (1.0, 1.0), "the test needs views that weigh alike"
    everything, without_left = now._answers.mixes[0], now._answers.mixes[1]
    for views, mix in (([SPARSE, RIGHT], everything), ([None, RIGHT], without_left)):
        of_now = Mix(offsets=mix.offsets, sharpening=mix.sharpening)
        logits = of_now.logits(np.log(old.predict_proba(views)), np.empty((0, 1, 1)))
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(now.predict_proba(views), expected, atol=1e-6)


def _leaves(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the values of a description lie, and what holds them."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place] * bool(place) + [one for key, entry in inside for one in _leaves(entry, (*place, key))]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_any_value_anywhere_in_a_signed_description_is_refused_or_answers(model_file: Path, tmp_path: Path) -> None:
    description, tensors = read_tensors(model_file, format=FORMAT, what="model")
    places, rng = _leaves(description), np.random.default_rng(0)
    refused = 0
    for number in range(400):
        place, value = places[rng.integers(len(places))], VALUES[rng.integers(len(VALUES))]
        changed = json.loads(json.dumps(description))
        parent = changed
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = value
        file = tmp_path / "m.safetensors"
        write_tensors(file, tensors, changed, format=FORMAT)
        try:
            model = MultiViewClassifier.load(file)
            assert np.isfinite(model.predict_proba([SPARSE, RIGHT])).all(), (number, place, value)
            model.predict_proba([None, RIGHT])
        except InputError as error:
            refused += "\n" not in str(error)
    assert refused > 200
