"""Typing mistakes: each gives one line that names what was typed and says what to do, and exit code 2."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import torch
from PIL import Image

import limbeck.metric.runs
import limbeck.reid.runs
import limbeck.segmentation.runs
from limbeck.errors import InputError
from limbeck.multiview.classifier import MultiViewClassifier

# What is typed after `limbeck`, and what the line must say.
MISTAKES = [
    # verbs
    ("evalaute features.npz --protocol cub", ["no verb 'evalaute'", "`evaluate`"]),
    ("trian multiview --out run", ["no verb 'trian multiview'", "`train multiview`"]),
    ("train multivew", ["no verb 'train multivew'", "`train multiview`"]),
    ("train", ["'train' is the beginning of a verb", "train multiview", "train reid"]),
    ("study multiview_ablation", ["`study multiview-ablation`"]),
    ("--versoin", ["`--version`"]),
    # flags
    ("train multiview --epoch 3", ["no flag --epoch", "--epochs"]),
    ("train multiview --epochs 3", ["--out is missing", "folder"]),
    ("train multiview --out run --dropout 0.1", ["no flag --dropout", "--recipe.dropout"]),
    ("train reid --recipe.epochs 3", ["no flag --recipe.epochs", "--training.epochs"]),
    ("evaluate features.npz --protocol cub --labels_key who", ["no flag --labels_key", "--keys"]),
    ("data convert features.npz set.npz --lables y", ["no flag --lables", "did you mean --labels"]),
    ("data convert features.npz", ["TARGET is missing"]),
    ("evaluate features.npz --protocol", ["--protocol needs a value"]),
    ("search features.npz stray", ["'stray'"]),
    # values
    ("train multiview --out run --recipe.epochs three", ["--recipe.epochs must be a whole number, not 'three'"]),
    ("train multiview --out run --recipe.epochs 0", ["--recipe.epochs must be", "at least 1, not 0"]),
    ("train multiview --out run --recipe.dropout 1.5", ["--recipe.dropout must be", "not 1.5"]),
    ("train multiview --out run --recipe.encoder wide", ["--recipe.encoder must be a list", "'wide'"]),
    ("train multiview --out run --recipe.objective mv3d", ["--recipe.objective must be one of mv2d", "'mv3d'"]),
    ("train multiview --out run --fold 9", ["no fold 9", "0 to 4"]),
    ("train multiview --out run --device cdua", ["'cdua'", "cpu"]),
    ("train multiview --out run --device cuda:99", ["device 'cuda:99' cannot be used here", "cpu"]),
    ("train multiview --out run --device meta", ["device 'meta' cannot be used here", "cpu"]),
    ("train multiview --out run --device hpu", ["device 'hpu' cannot be used here", "cpu"]),
    ("train multiview --out run --seed 99999999999999999999", ["--seed must be a whole number in [0, "]),
    ("project features.npz --out run --seed -3", ["--seed must be a whole number in [0, ", "not -3"]),
    ("train multiview --out run --recipe.learning_rate .inf", ["--recipe.learning_rate must be", "above 0, not inf"]),
    ("train multiview --out run --recipe.learning_rate .nan", ["--recipe.learning_rate must be", "above 0, not nan"]),
    ("train multiview --out run --recipe.encoder [99999999999999999999]", ["--recipe.encoder must be", "below 2^31"]),
    ("train multiview --out run --recipe.representation 9223372036854775807", ["--recipe.repr", "below 2^31"]),
    ("train reid --out run --network.hidden [9223372036854775807]", ["network.hidden must be", "below 2^31"]),
    ("data make streets streets --workers 99999999999999999999", ["--workers must be", "1 to 1,024"]),
    (
        "study multiview-ablation --out run --folds 99999999999999999999",
        ["--folds must be a whole number of at least 0 and below 2^31"],
    ),
    ("train multiview --out 'a\0b'", [r"a\x00b: a NUL byte", "leave it out"]),
    ("evaluate 'a\0b.npz' --protocol cub", [r"a\x00b.npz: a NUL byte", "leave it out"]),
    ("diagnose features.npz --probe_folds 1", ["--probe_folds must be", "not 1"]),
    ("search features.npz --queries array.npy --top 0", ["--top must be at least 1, not 0"]),
    ("data make people people --train_identities -3", ["--train_identities must be", "not -3"]),
    # names of sets, protocols, rows, columns
    ("train multiview --out run --data digts", ["digts", "digits"]),
    ("data describe sysuu", ["no set 'sysuu'", "data list"]),
    ("evaluate features.npz --protocol cubb", ["no protocol 'cubb'", "cub"]),
    ("study multiview-ablation --rows [E+X]", ["--rows must be one of", "'E+X'"]),
    ("evaluate features.npz --protocol cub --keys identity=who", ["'who'", "feature, identity"]),
    ("data convert features.npz set.npz --labels_key who", ["'who'", "--labels_key may be one of"]),
    ("data convert table.csv set.npz", ["column '0' belongs to no view", "view:feature"]),
    ("evaluate odd.npz --protocol cub", ["'feature' is missing", "--keys feature=NAME"]),
    # recipes
    ("train multiview --out run --config none.yaml", ["--config none.yaml: there is no such file"]),
    ("train multiview --out run --config key.yaml", ["key.yaml: there is no key recipe.encodr", "recipe.encoder"]),
    ("train multiview --out run --config broken.yaml", ["--config broken.yaml: not a YAML file"]),
    ("train reid --out run --config smal", ["--config smal", "small"]),
    ("train multiview --out run --config latin.yaml", ["latin.yaml: cannot be read", "UTF-8"]),
    ("train reid --out run --config=latin.yaml", ["latin.yaml: cannot be read", "UTF-8"]),
    ("train reid --out run --config hidden.yaml", ["network.hidden must be whole numbers", "not None"]),
    ("train reid --out run --config nulls.yaml", ["nulls.yaml: network must be a mapping of settings, not null"]),
    ("train segmentation --out run --config nulls.yaml", ["nulls.yaml: network must be a mapping", "not null"]),
    ("train multiview --out run --config null.yaml", ["null.yaml: data must be text, not null"]),
    ("train reid --out run --config infinite.yaml", ["training.learning_rate must be a number above 0, not inf"]),
    ("train multiview --out run --config nul.yaml", ["nul.yaml: a string with a NUL"]),
    # files and folders
    ("train multiview --out run --data none.npz", ["none.npz: no such file"]),
    ("train multiview --out run --data tensors.pt", ["tensors.pt: is a PyTorch file", "NPZ"]),
    ("train multiview --out run --data array.npy", ["array.npy: is a single NPY array", "NPZ"]),
    ("train multiview --out run --data matlab.mat", ["matlab.mat: is a MATLAB file", "NPZ"]),
    ("evaluate cut.npz --protocol cub", ["cut.npz: ", "cut-off", "fetch it again"]),
    ("evaluate empty.csv --protocol cub", ["empty.csv: is empty"]),
    ("data describe bits.npz", ["bits.npz: damaged", "fetch it again"]),
    ("search features.npz --queries bits.npy", ["bits.npy: a damaged", "fetch it again"]),
    # names that would steer a terminal
    ("evaluate 'a\x1b[2J\nb.npz' --protocol cub", [r"a\x1b[2J\nb.npz"]),
    ("train multiview --out run --config 'a\rb.yaml'", [r"--config a\rb.yaml: there is no such file"]),
    ("evaluate '\u202eb' --protocol cub", [r"\u202eb"]),
    ("'\x1b[31mtrain'", [r"\x1b[31mtrain"]),
    ("evaluate hostile.csv --protocol cub", [r"red\x1b[31m"]),
    ("evaluate features.npz --protocol cub --keys 'identity=a\x1bb'", [r"a\x1bb"]),
    ("evaluate folder", ["folder: holds no model.safetensors"]),
    ("evaluate nowhere", ["nowhere: there is no such file or folder"]),
    ("evaluate features.npz --protocol cub --out array.npy", ["array.npy: a file lies where a folder is needed"]),
    ("reid rank --model nowhere --query picture.png --gallery folder", ["nowhere: there is no such", "train reid"]),
    ("reid rank --model matlab.mat --query picture.png --gallery folder", ["is a MATLAB file", "limbeck train"]),
    ("reid rank --model array.npy --query picture.png --gallery folder", ["is a single NPY array", "limbeck train"]),
    ("reid rank --model tensors.pt --query picture.png --gallery folder", ["is a PyTorch file", "limbeck train"]),
    ("data check sysu folder", ["folder: holds no folder exp", "cam1 to cam6"]),
    ("train segmentation --data.root nowhere --out run", ["nowhere", "sequences"]),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of many kinds."""
    home = tmp_path_factory.mktemp("mistakes")
    vectors = np.random.default_rng(0).normal(size=(24, 5)).astype(np.float32)
    who = np.repeat([0, 1, 2], 8)
    np.savez(home / "features.npz", feature=vectors, identity=who)
    np.savez(home / "odd.npz", first=vectors, second=who)
    np.save(home / "array.npy", vectors)
    torch.save({"features": torch.tensor(vectors), "pids": torch.tensor(who)}, home / "tensors.pt")
    scipy.io.savemat(home / "matlab.mat", {"embeddings": vectors, "labels": who})
    pd.DataFrame(vectors).assign(label=who).to_csv(home / "table.csv", index=False)
    (home / "cut.npz").write_bytes((home / "features.npz").read_bytes()[:200])
    (home / "empty.csv").touch()
    large = {"view_0": np.zeros((300, 200)), "y": np.zeros(300)}  # so that a header is read before its checksum
    np.savez(home / "bits.npz", **large)
    np.save(home / "bits.npy", large["view_0"])
    for name in ("bits.npz", "bits.npy"):
        raw = (home / name).read_bytes()
        (home / name).write_bytes(raw.replace(b"{'descr'", b"{(descr'"))
    (home / "hostile.csv").write_text("e0,e1,red\x1b[31m,red\x1b[31m\n1,2,3,4\n")
    (home / "key.yaml").write_text("recipe: {encodr: [8, 4]}\n")
    (home / "broken.yaml").write_text("recipe: [\n")
    (home / "latin.yaml").write_bytes("recipe: {epochs: 1}  # caf\xe9\n".encode("latin-1"))
    (home / "hidden.yaml").write_text("network: {hidden: ~}\n")
    (home / "nulls.yaml").write_text("network: ~\n")
    (home / "null.yaml").write_text("data: ~\n")
    (home / "infinite.yaml").write_text("training: {learning_rate: .inf}\n")
    (home / "nul.yaml").write_text('data: "a\\0b"\n')
    Image.new("RGB", (8, 16)).save(home / "picture.png")
    (home / "folder").mkdir()
    return home


@pytest.mark.parametrize(("typed", "words"), MISTAKES, ids=[typed for typed, _ in MISTAKES])
def test_a_mistake_is_one_helpful_line(
    typed: str, words: list[str], folder: Path, refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    refused(shlex.split(typed), *words)
    assert not (folder / "run" / "model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "words"), [MISTAKES[0], next(one for one in MISTAKES if "tensors.pt" in one[0]), MISTAKES[-3]]
)
def test_and_so_it_is_from_a_shell(typed: str, words: list[str], folder: Path) -> None:
    started = [sys.executable, "-m", "limbeck", *shlex.split(typed)]
    ended = subprocess.run(started, capture_output=True, text=True, check=False, cwd=folder)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("limbeck: error: ")
    for word in words:
        assert word in line


@pytest.mark.parametrize("module", [limbeck.metric.runs, limbeck.reid.runs, limbeck.segmentation.runs])
def test_runs_are_loaded_by_strings_too(module: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="x: there is no such file or folder; give a folder that `limbeck train"):
        module.load_run(str(tmp_path / "x"))  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"holds no model\.safetensors"):
        module.load_run(str(tmp_path))  # type: ignore[attr-defined]


def test_a_matrix_for_a_model_of_named_views_is_told_the_names() -> None:
    rng = np.random.default_rng(0)
    views = {"blood": rng.normal(size=(12, 3)), "genes": rng.normal(size=(12, 2))}
    model = MultiViewClassifier(encoder=(4,), representation=2, epochs=1).fit(views, np.arange(12) % 2)
    with pytest.raises(InputError, match=r"X is one matrix, but .* 2 views: give a dict \{'blood': \.\.\., 'genes'"):
        model.predict(np.zeros((2, 5)))
