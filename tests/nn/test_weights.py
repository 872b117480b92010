"""Weights: files that fit go in whole, all others are refused in one line and leave the module as it was."""

import copy
import hashlib
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from limbeck.errors import InputError
from limbeck.nn import SmallResNet, TimmEncoder, load_weights, resnet18, weights


def _network(seed: int) -> SmallResNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SmallResNet()
        network(torch.randn(2, 3, 16, 16))  # moves the running averages and counters too
    return network


def _same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def _save(path: Path, state: Any) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path


def _refused(module: nn.Module, source: object, *words: str, **options: Any) -> None:
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(InputError) as caught:
        load_weights(module, str(source), **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    assert _same(before, module.state_dict())


# --- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.safetensors"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    source, target = _network(0), _network(1)
    path = _save(tmp_path / name, source.state_dict())
    assert not _same(source.state_dict(), target.state_dict())
    line = load_weights(target, str(path))
    assert _same(source.state_dict(), target.state_dict())
    assert line == f"weights {path}: {len(source.state_dict())} tensors"


def test_the_old_format_of_torch_is_read(tmp_path: Path) -> None:
    source, target = _network(0), _network(1)
    torch.save(source.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    load_weights(target, str(tmp_path / "old.pth"))
    assert _same(source.state_dict(), target.state_dict())


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_wrappers_are_taken_off(tmp_path: Path, wrapper: str) -> None:
    source, target = _network(0), _network(1)
    state = {f"module.{key}": value for key, value in source.state_dict().items()}
    load_weights(target, str(_save(tmp_path / "w.pth", {wrapper: state, "epoch": 3})))
    assert _same(source.state_dict(), target.state_dict())


def test_a_module_whose_own_names_begin_so_keeps_them(tmp_path: Path) -> None:
    source, target = nn.DataParallel(_network(0)), nn.DataParallel(_network(1))
    load_weights(target, str(_save(tmp_path / "w.pth", source.state_dict())))
    assert _same(source.state_dict(), target.state_dict())


def test_none_leaves_the_random_weights_and_says_so() -> None:
    module = _network(0)
    before = copy.deepcopy(module.state_dict())
    assert "random weights" in load_weights(module, "none")
    assert _same(before, module.state_dict())


def test_an_unused_classifier_and_missing_counters_are_reported(tmp_path: Path) -> None:
    source, target = _network(0), _network(1)
    state = {key: value for key, value in source.state_dict().items() if "num_batches" not in key}
    extra = {"fc.weight": torch.zeros(5, 192), "fc.bias": torch.zeros(5), "head.fc.weight": torch.zeros(2)}
    line = load_weights(target, str(_save(tmp_path / "w.pth", {**state, **extra})))
    assert f"{len(state)} tensors" in line
    assert "classifier (fc.bias, fc.weight, head.fc.weight)" in line
    assert "7 batch counters" in line
    assert _same(state, {key: value for key, value in target.state_dict().items() if key in state})


def test_a_classifier_that_the_module_has_is_loaded(tmp_path: Path) -> None:
    module = nn.ModuleDict({"fc": nn.Linear(2, 2)})
    path = _save(tmp_path / "w.pth", {"fc.weight": torch.ones(2, 2), "fc.bias": torch.ones(2)})
    assert load_weights(module, str(path)) == f"weights {path}: 2 tensors"
    assert (module["fc"].weight == 1).all()


def test_missing_unexpected_and_misshapen_tensors_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    state = dict(_network(0).state_dict())
    path = tmp_path / "w.pth"
    for key in ("stem.0.weight", "blocks.0.bn1.weight"):
        del state[key]
    _refused(_network(1), _save(path, state), str(path), "2 missing (first: stem.0.weight)")
    state = {**_network(0).state_dict(), "other.weight": torch.zeros(1), "z": torch.zeros(1)}
    _refused(_network(1), _save(path, state), "2 unexpected (first: other.weight)")
    state = {**_network(0).state_dict(), "stem.0.weight": torch.zeros(16, 1, 3, 3)}
    _refused(
        _network(1),
        _save(path, state),
        "1 of another shape (first: stem.0.weight, (16, 1, 3, 3) in the file, (16, 3, 3, 3) in the network)",
    )
    _refused(_network(1), _save(path, {}), "missing (first: stem.0.weight)")


def test_a_timm_encoder_is_filled_under_its_models_own_names(tmp_path: Path) -> None:
    encoder = TimmEncoder.__new__(TimmEncoder)  # without timm
    nn.Module.__init__(encoder)
    encoder.model = nn.Linear(2, 2)
    load_weights(encoder, str(_save(tmp_path / "w.pth", {"weight": torch.ones(2, 2), "bias": torch.ones(2)})))
    assert (encoder.model.weight == 1).all()


class _Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.victim),)


@pytest.mark.parametrize("kind", ["pickle", "torch", "old torch"])
def test_a_file_that_would_run_code_is_refused(tmp_path: Path, kind: str) -> None:
    path, victim = tmp_path / "w.pth", tmp_path / "was-run"
    content = {"weight": _Malicious(victim)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "torch")
    _refused(nn.Linear(2, 2), path, str(path), "nothing else is ever unpickled")
    assert not victim.exists()


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(nn.Linear(2, 2).state_dict(), buffer)
    whole = buffer.getvalue()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("other", "text")
    for content in (b"", b"no weights", whole[: len(whole) // 2], archive.getvalue()):
        (tmp_path / "w.pth").write_bytes(content)
        _refused(nn.Linear(2, 2), tmp_path / "w.pth", "w.pth", "damaged")
    for content in (b"", b"no weights at all", b"\xff" * 64):
        (tmp_path / "w.safetensors").write_bytes(content)
        _refused(nn.Linear(2, 2), tmp_path / "w.safetensors", "w.safetensors", "damaged")


def test_files_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    _refused(nn.Linear(2, 2), _save(path, [torch.zeros(2)]), "holds a list")
    _refused(nn.Linear(2, 2), _save(path, {"weight": 3}), "'weight' is a int")
    _refused(nn.Linear(2, 2), _save(path, {5: torch.zeros(2)}), "5 is a Tensor")
    _refused(nn.Linear(2, 2), tmp_path / "absent.pth", "absent.pth: does not exist")
    (tmp_path / "folder.pt").mkdir()
    _refused(nn.Linear(2, 2), tmp_path / "folder.pt", "is a folder")


# --- fetched by name ---------------------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, Tensor]]:
    """A file on the "network", the only one of the hub under the name tiny, and what it holds."""
    path, state = tmp_path / "network" / "tiny-v1.pth", nn.Linear(2, 2).state_dict()
    path.parent.mkdir()
    torch.save(state, path)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(weights, "HUB", {"tiny": (weights.HubFile(path.as_uri(), digits),)})
    return path, state


def test_the_hub_holds_torchvisions_names() -> None:
    assert {name: [Path(file.url).name for file in files] for name, files in weights.HUB.items()} == {
        "resnet18-imagenet-v1": ["resnet18-f37072fd.pth"],
        "resnet50-imagenet-v1": ["resnet50-0676ba61.pth", "resnet50-19c8e357.pth"],
        "resnet50-imagenet-v2": ["resnet50-11ad3fa6.pth"],
    }
    for files in weights.HUB.values():
        for file in files:
            assert file.url.startswith("https://download.pytorch.org/models/")
            assert file.url.endswith(f"-{file.sha256}.pth")


def test_a_named_file_is_fetched_once_and_verified_every_time(tmp_path: Path, served) -> None:
    path, state = served
    folder, module = tmp_path / "kept", nn.Linear(2, 2)
    kept = folder / "tiny-v1.pth"
    assert load_weights(module, "tiny", folder=folder) == f"weights tiny: 2 tensors from {kept}"
    assert _same(module.state_dict(), state)
    assert [file.name for file in folder.iterdir()] == ["tiny-v1.pth"]
    path.unlink()
    load_weights(nn.Linear(2, 2), "tiny", folder=folder)
    kept.write_bytes(kept.read_bytes() + b"!")
    _refused(module, "tiny", str(kept), "SHA-256", "delete it", folder=folder)


def test_the_default_folder_is_torch_hubs(tmp_path: Path, served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    load_weights(nn.Linear(2, 2), "tiny")
    assert (tmp_path / "hub" / "checkpoints" / "tiny-v1.pth").is_file()


def test_a_file_that_is_not_the_published_one_is_not_kept(tmp_path: Path, served) -> None:
    path, _ = served
    path.write_bytes(path.read_bytes() + b"!")
    _refused(nn.Linear(2, 2), "tiny", "SHA-256", path.as_uri(), "by hand", folder=tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_network_that_is_not_there_is_one_line_that_says_where_the_file_goes(tmp_path: Path, served) -> None:
    path, _ = served
    path.unlink()
    kept = tmp_path / "kept" / "tiny-v1.pth"
    _refused(nn.Linear(2, 2), "tiny", "cannot be fetched", f"put it at {kept}", folder=tmp_path / "kept")


def test_an_older_file_that_is_there_is_used(tmp_path: Path, served, monkeypatch: pytest.MonkeyPatch) -> None:
    _, state = served
    old = _save(tmp_path / "tiny-v0.pth", state)
    digits = hashlib.sha256(old.read_bytes()).hexdigest()[:8]
    files = weights.HubFile("file:///absent/tiny-v1.pth", "00000000"), weights.HubFile("file:///x/tiny-v0.pth", digits)
    monkeypatch.setattr(weights, "HUB", {"tiny": files})
    assert "tiny-v0.pth" in load_weights(nn.Linear(2, 2), "tiny", folder=tmp_path)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, served) -> None:
    (tmp_path / "file").write_text("")
    _refused(nn.Linear(2, 2), "tiny", "cannot be kept", folder=tmp_path / "file" / "kept")


@pytest.mark.parametrize("source", ["resnet51", "", "weights.bin"])
def test_unknown_names_list_the_known_ones(source: str) -> None:
    _refused(resnet18(), source, repr(source), "none, resnet18-imagenet-v1, resnet50-imagenet-v1, resnet50-imagenet-v2")
