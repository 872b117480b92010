"""Exported programs: what they compute, for any batch, and when they are refused."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limbeck.cli import main
from limbeck.errors import InputError
from limbeck.images.augmentation import unchanged
from limbeck.images.export import export_embedding
from limbeck.reid.runs import load_run

ONNX = pytest.param(
    "onnx",
    marks=pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("onnx", "onnxscript", "onnxruntime"))),
        reason="onnx, onnxscript or onnxruntime is not installed (limbeck[export])",
    ),
)


class Small(nn.Module):
    """An embedding of pictures; `noise` makes it another at every call."""

    def __init__(self, noise: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.noise = noise

    def embed(self, pictures: Tensor) -> Tensor:
        found: Tensor = self.layers(pictures - 0.5).flatten(1)
        return found + self.noise * torch.rand_like(found) if self.noise else found


def export(network: Small, target: Path, form: str = "torch", **options: float) -> list[str]:
    written = export_embedding(
        network, network.embed, target, size=(8, 6), forms=[form], about={"feature": "v"}, **options
    )
    return [one.path.name for one in written]


def program(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What a user runs, who has the file and not limbeck."""
    if path.suffix == ".pt2":
        module = torch.export.load(path).module()
        return lambda pictures: module(torch.from_numpy(pictures)).detach().numpy()
    session = pytest.importorskip("onnxruntime").InferenceSession(path)
    return lambda pictures: session.run(None, {"pictures": pictures})[0]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["torch", ONNX])
def test_a_program_takes_decoded_pictures_in_any_number(form: str, tmp_path: Path) -> None:
    network = Small().eval()
    (name,) = export(network, tmp_path / "small", form)
    run = program(tmp_path / name)
    for count in (1, 2, 7):
        pictures = np.random.default_rng(count).integers(0, 256, (count, 8, 6, 3), np.uint8)
        with torch.no_grad():
            expected = network.embed(unchanged(pictures)).numpy()
        assert np.allclose(run(pictures), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["torch", ONNX])
def test_a_program_that_differs_is_not_kept(form: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"the {form} program differs .* more than tolerance 0.0001: nothing is writ"):
        export(Small(noise=0.1), tmp_path / "small", form)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_network_that_cannot_be_traced_is_refused_in_one_line(tmp_path: Path) -> None:
    class Branching(Small):
        def embed(self, pictures: Tensor) -> Tensor:
            return super().embed(pictures) if float(pictures.sum()) > 0 else pictures.flatten(1)

    with pytest.raises(InputError, match=r"cannot be traced by torch.export") as caught:
        export(Branching(), tmp_path / "small")
    assert "\n" not in str(caught.value)


def test_arguments_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="tolerance must be above 0"):
        export(Small(), tmp_path / "small", tolerance=0.0)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"needs the package onnx .*pip install 'limbeck\[export\]'"):
        export(Small(), tmp_path / "small", "onnx")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["torch", ONNX])
def test_a_run_is_exported_from_the_shell(form: str, small_run: Path, tmp_path: Path) -> None:
    words = ["export", str(small_run), f"--{form}", "--out", str(tmp_path), "--feature", "v+z"]
    done = subprocess.run([sys.executable, "-m", "limbeck", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.count("Written: ") == 2
    assert "uint8 (batch, 32, 16, 3)" in done.stdout
    suffix = ".pt2" if form == "torch" else ".onnx"
    model = load_run(small_run)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 16, 3), np.uint8)
    for code, modality in enumerate(("visible", "infrared")):
        found = program(tmp_path / f"{modality}{suffix}")(pictures)
        parts = model.represent(pictures, np.full(3, code, np.int8))
        compared = [parts[f"{kind} {branch}"] for kind in "vz" for branch in ("specific", "shared")]
        expected = np.concatenate(compared, axis=1) / 2
        assert np.allclose(found, expected, atol=1e-5)
        assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    if form == "onnx":
        held = pytest.importorskip("onnx").load(tmp_path / "visible.onnx").metadata_props
        about = json.loads({one.key: one.value for one in held}["limbeck"])
    else:
        extra = {"limbeck": ""}
        torch.export.load(tmp_path / "visible.pt2", extra_files=extra)
        about = json.loads(extra["limbeck"])
    assert about["modality"] == "visible"
    assert about["feature"] == "v+z"


def test_mistakes_from_the_shell_are_one_line(small_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in ([], "add --onnx, --torch or both"), (["--onxx"], "did you mean --onnx?"):
        with pytest.raises(SystemExit):
            main(["export", str(small_run), *words])
        line = capsys.readouterr().err
        assert said in line
        assert line.count("\n") == 1
