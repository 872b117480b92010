"""Checkpoints: nested state comes back, damage is passed over or named, nothing good is lost."""

import errno
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.nursery import Nursery
from tests.training.toytask import STEPS, ToyTask, train, weights
from torch import Tensor, nn

from limbeck.errors import InputError
from limbeck.training import checkpoints
from limbeck.training.checkpoints import flatten, latest, unflatten, write
from limbeck.training.restoring import load_network, load_optimizer

STATE: dict[str, Any] = {
    "network": OrderedDict(weight=torch.arange(6.0).reshape(2, 3), count=torch.tensor(3)),
    "optimizer": {"state": {0: {"step": torch.tensor(2.0)}, 10: {}}, "groups": [{"betas": (0.5, 0.9), "lr": 0.1}]},
    "half": torch.ones(3, dtype=torch.bfloat16),
    "mask": torch.tensor([True, False]),
    "none": None,
    "flag": True,
    "empty": [{}, [], (), torch.zeros(0, 2)],
    "a/b": torch.ones(1),
    "a": {"b": torch.zeros(1)},
    "tensor": {"tensor": "not one", "dict": 1},
    "number": 0.1 + 0.2,
    "unbounded": float("inf"),
}


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return list(first) == list(second) and all(_equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        alike = type(first) is type(second) and len(first) == len(second)
        return alike and all(_equal(*pair) for pair in zip(first, second, strict=True))
    return type(first) is type(second) and first == second


def test_nested_state_comes_back_from_memory_and_disk(tmp_path: Path) -> None:
    assert _equal(STATE, unflatten(*flatten(STATE)))
    path = write(tmp_path, 3, STATE, {"a": (1, 2)}, keep=1)
    found = checkpoints.read(path)
    assert _equal(STATE, found.state)
    assert (found.step, found.fingerprint) == (3, {"a": [1, 2]})


@pytest.mark.parametrize("state", [{"a": {1, 2}}, {"a": {1.5: 0}}, [object()]])
def test_state_that_cannot_be_kept_is_refused(state: Any) -> None:
    with pytest.raises(TypeError):
        flatten(state)


def test_the_last_few_are_kept_and_later_ones_given_up(tmp_path: Path) -> None:
    for step in (2, 4, 6, 8):
        write(tmp_path, step, {}, {}, keep=3)
    (tmp_path / "notes.txt").touch()
    assert sorted(path.name[-14:-12] for path in tmp_path.glob("step*")) == ["04", "06", "08"]
    write(tmp_path, 5, {}, {}, keep=2)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "notes.txt",
        "step-000000004.safetensors",
        "step-000000005.safetensors",
    ]
    found = latest(tmp_path)
    assert found is not None
    assert found.step == 5


def test_no_folder_and_no_checkpoint_are_none(tmp_path: Path) -> None:
    assert latest(tmp_path) is None
    assert latest(tmp_path / "absent") is None


class Trap:
    """Touches a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def _damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "short":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "flipped":
        content[-3] ^= 1
        path.write_bytes(content)
    elif how == "pickle":
        path.write_bytes(pickle.dumps(Trap(path.parent / "sprung")))
    elif how == "torch":
        torch.save({"trap": Trap(path.parent / "sprung")}, path)


@pytest.mark.parametrize("how", ["short", "empty", "flipped", "pickle", "torch"])
def test_a_damaged_newest_is_passed_over(tmp_path: Path, how: str, uninterrupted: Path) -> None:
    train(tmp_path)
    first, second = sorted((tmp_path / "checkpoints").iterdir())
    _damage(second, how)
    with pytest.warns(UserWarning, match=f"{second.name}: not a training checkpoint, or damaged"):
        train(tmp_path)
    assert all(torch.equal(value, weights(uninterrupted)[name]) for name, value in weights(tmp_path).items())
    _damage(first, how)
    _damage(second, how)
    with (
        pytest.warns(UserWarning, match="the checkpoint before it is tried"),
        pytest.raises(InputError, match="no checkpoint can be read; remove") as caught,
    ):
        train(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "checkpoints" / "sprung").exists()


def test_other_settings_are_named_in_one_line(tmp_path: Path) -> None:
    train(tmp_path, epochs=1)
    with pytest.raises(InputError) as caught:
        train(tmp_path, epochs=1, learning_rate=0.1, optimizer="sgd")
    assert str(caught.value) == (
        f"{tmp_path} was begun with other settings: training.optimizer is adam there and sgd here, "
        "training.learning_rate is 0.02 there and 0.1 here; use another folder or the same settings"
    )
    train(tmp_path, epochs=1, workers=1, keep=5, checkpoint_steps=3, validate_epochs=0)


def test_a_fingerprint_is_compared_by_dotted_names() -> None:
    there = {"network": {"encoder": "resnet50", "widths": (1, 2), "old": 1}, "a": 1, "b": 1, "c": 1}
    with pytest.raises(InputError) as caught:
        checkpoints.check_fingerprint("RUN", there, {"network": {"encoder": "small", "widths": [1, 2]}, "a": None})
    assert str(caught.value) == (
        "RUN was begun with other settings: network.encoder is resnet50 there and small here, a is 1 there and null "
        "here, network.old is 1 there and absent here, and 2 more; use another folder or the same settings"
    )


def test_settings_that_were_renamed_are_compared_by_their_current_names() -> None:
    there, here, renamed = {"size": 3, "seed": 1}, {"width": 3, "seed": 1}, {"size": "width"}
    checkpoints.check_fingerprint("RUN", there, here, renamed=renamed)
    with pytest.raises(InputError, match="width is 3 there and 4 here; use"):
        checkpoints.check_fingerprint("RUN", there, {**here, "width": 4}, renamed=renamed)
    with pytest.raises(InputError, match="width is absent there and 3 here, size is 3 there and absent here"):
        checkpoints.check_fingerprint("RUN", there, here)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (nn.Linear(3, 4), r"weight is \(4, 2\) there and \(4, 3\) here"),
        (nn.Linear(2, 4, bias=False), "which has no bias"),
        (nn.Sequential(nn.Linear(2, 4)), r"it has no 0\.weight"),
    ],
)
def test_weights_of_another_architecture_are_named(network: nn.Module, words: str) -> None:
    with pytest.raises(InputError, match=f"^FILE does not fit this network.*{words}") as caught:
        load_network(network, nn.Linear(2, 4).state_dict(), "FILE")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path, epochs=1)
    begin = ToyTask.__init__

    def wider(self: ToyTask, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        self.network[4] = nn.Linear(12, 3)

    monkeypatch.setattr(ToyTask, "__init__", wider)
    with pytest.raises(
        InputError, match=r"step-000000007.safetensors does not fit this network: 4.weight is \(2, 12\)"
    ):
        train(tmp_path, epochs=1)


def test_optimizer_state_lies_in_memory_as_its_parameter(tmp_path: Path) -> None:
    def step(network: nn.Module) -> torch.optim.Optimizer:
        optimizer = torch.optim.Adam(network.parameters(), fused=True)
        network(torch.ones(2, 3, 8, 8)).square().mean().backward()
        optimizer.step()
        return optimizer

    network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    optimizer = step(network)
    path = write(tmp_path, 1, {"optimizer": optimizer.state_dict()}, {}, keep=1)
    fresh = torch.optim.Adam(network.parameters(), fused=True)
    load_optimizer(fresh, checkpoints.read(path).state["optimizer"], "FILE")
    for parameter in network.parameters():
        for name, value in optimizer.state[parameter].items():
            assert torch.equal(fresh.state[parameter][name], value)
            assert fresh.state[parameter][name].stride() == value.stride()
    with pytest.raises(InputError, match="FILE does not fit this optimiser"):
        load_optimizer(torch.optim.Adam(nn.PReLU().parameters()), optimizer.state_dict(), "FILE")


# -- disks that refuse -------------------------------------------------------------------------------------------------


def test_a_full_disk_ends_the_training_and_the_last_checkpoint_stands(
    tmp_path: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, calls = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            train(tmp_path, checkpoint_steps=1)
    found = latest(tmp_path / "checkpoints")
    assert found is not None
    assert 0 < found.step < STEPS
    assert not (tmp_path / "model.safetensors").exists()
    train(tmp_path)
    assert all(torch.equal(value, weights(uninterrupted)[name]) for name, value in weights(tmp_path).items())


@pytest.mark.slow
def test_a_limit_on_the_size_of_files_ends_the_training(nursery: Nursery, tmp_path: Path) -> None:
    folder, errors = tmp_path / "run", tmp_path / "errors"
    child = "tests.training.toytask:child"
    assert nursery.wait(nursery.start(child, folder, errors=errors, limit=2500)) == 1
    assert "File too large" in errors.read_text().splitlines()[-1]
    assert not list((folder / "checkpoints").iterdir())


def test_a_file_in_the_folder_s_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    for folder in (tmp_path / "run", tmp_path / "run" / "deeper"):
        with pytest.raises(InputError, match="cannot be made the folder of a run") as caught:
            train(folder)
        assert "\n" not in str(caught.value)
