"""Two processes give the gradient, the course and the files of one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.ports import torchrun
from tests.training.nursery import Nursery
from tests.training.processes import LOSSES, gradients
from tests.training.toytask import STEPS, train, weights
from torch import nn

from limbeck.errors import InputError
from limbeck.information.curve import read_information
from limbeck.training import GlobalBatchNorm, gather, is_main, process_group, rank, run_lock, synchronised, world_size


@pytest.fixture(scope="module")
def shared(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes computed for every loss."""
    folder = tmp_path_factory.mktemp("gradients")
    nursery.together("tests.training.processes:all_gradients", folder, errors=folder / "errors")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_two_processes_give_the_gradient_of_one(shared: Path, name: str) -> None:
    expected = gradients(name)
    for number in range(2):
        found = load_file(shared / f"{name}-{number}.safetensors")
        assert found.keys() == expected.keys()
        assert sum(value.abs().sum() > 0 for key, value in expected.items() if key.startswith("gradient")) > 10
        for key, value in expected.items():
            torch.testing.assert_close(found[key], value, rtol=1e-6, atol=1e-10, msg=lambda text, key=key: key + text)


@pytest.mark.slow
def test_small_collectives(nursery: Nursery, tmp_path: Path) -> None:
    nursery.together("tests.training.processes:small_things", tmp_path, errors=tmp_path / "errors")
    assert sorted(path.name for path in tmp_path.glob("done*")) == ["done-0", "done-1"]


@pytest.mark.slow
def test_two_processes_train_as_one(nursery: Nursery, tmp_path: Path) -> None:
    # Not by Adam: a bias before batch normalisation has no gradient but rounding, which Adam scales up to full steps.
    options: dict[str, Any] = {"optimizer": "sgd", "information_epochs": 3}
    train(tmp_path / "one", dropout=0, **options)
    nursery.together("tests.training.processes:train_together", tmp_path / "two", errors=tmp_path / "errors", **options)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-5)
    logs = [
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert [line["step"] for line in logs[1]] == list(range(1, 3 * STEPS + 1))
    for key in ("total", "size", "gradient_norm"):
        assert [line[key] for line in logs[1]] == pytest.approx([line[key] for line in logs[0]], rel=1e-5, abs=1e-5)
    tables = [read_information(tmp_path / name / "information.csv") for name in ("one", "two")]
    assert [(row.step, row.name) for row in tables[1]] == [(step, name) for step in (0, 3 * STEPS) for name in "vz"]
    assert [row.nats for row in tables[1]] == pytest.approx([row.nats for row in tables[0]], abs=0.01)


@pytest.mark.slow
def test_two_processes_share_what_is_renewed_before_every_epoch(nursery: Nursery, tmp_path: Path) -> None:
    options: dict[str, Any] = {"optimizer": "sgd", "renewed": True}
    train(tmp_path / "one", dropout=0, **options)
    nursery.together("tests.training.processes:train_together", tmp_path / "two", errors=tmp_path / "errors", **options)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_sigterm_to_one_stops_both_and_they_go_on(nursery: Nursery, tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 15, "select": "best"}
    nursery.together(
        "tests.training.processes:train_together", tmp_path / "one go", errors=tmp_path / "errors", **options
    )
    folder = tmp_path / "two"
    children = nursery.start_pair(
        "tests.training.processes:train_together", folder, errors=tmp_path / "errors", **options
    )
    for _ in range(3000):
        if (folder / "log.jsonl").exists() and (folder / "log.jsonl").stat().st_size > 500:
            break
        time.sleep(0.01)
    os.kill(children[1], signal.SIGTERM)
    codes = [nursery.wait(child) for child in children]
    assert codes == [143, 143], (tmp_path / "errors").read_text()
    nursery.together("tests.training.processes:train_together", folder, errors=tmp_path / "errors", **options)
    expected = weights(tmp_path / "one go")
    assert all(torch.equal(value, expected[name]) for name, value in weights(folder).items())
    steps = [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 15 * STEPS + 1))


@pytest.mark.slow
def test_other_settings_end_both_processes_with_the_same_line(nursery: Nursery, tmp_path: Path) -> None:
    train(tmp_path / "run", epochs=2)
    nursery.together(
        "tests.training.processes:train_together", tmp_path / "run", errors=tmp_path / "errors", code=1, epochs=1
    )
    lines = [line for line in (tmp_path / "errors").read_text().splitlines() if "InputError: " in line]
    assert len(lines) == 2
    assert all("training.epochs is 2 there and 1 here" in line for line in lines)


# -- one process -------------------------------------------------------------------------------------------------------


def test_one_process_needs_no_group() -> None:
    with process_group("cpu") as place:
        assert place == torch.device("cpu")
        assert (rank(), world_size(), is_main()) == (0, 1, True)
        tensor = torch.ones(2)
        assert gather(tensor) is tensor


def test_an_environment_that_is_not_whole_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InputError, match="RANK is not; start several processes with torchrun"), process_group("cpu"):
        pass
    with pytest.raises(InputError, match="process_group"):
        train(tmp_path)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE in the environment must be a whole number, not 'two'"),
        ({"WORLD_SIZE": "2", "RANK": "-1"}, "RANK in the environment must be a whole number, not '-1'"),
        ({"LOCAL_RANK": ""}, "LOCAL_RANK in the environment must be a whole number, not ''"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_PORT": "99999"}, "do not come together .*99999.*; see RANK"),
    ],
)
def test_numbers_of_the_environment_are_checked(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"} | environment).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=expected), process_group("cpu"):
        pass


def test_a_device_that_is_none_is_told() -> None:
    with pytest.raises(InputError, match=r"device '\[-1\]' cannot be used here"), process_group("[-1]"):
        pass


@pytest.mark.slow
def test_waiting_for_others_ends_by_sigterm() -> None:
    code = "from limbeck.training import process_group\nprint('here', flush=True)\nwith process_group(): pass"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | torchrun()[0],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as waiting:
        assert waiting.stdout is not None
        waiting.stdout.readline()
        time.sleep(2)  # by then it waits
        waiting.terminate()
        _, said = waiting.communicate(timeout=60)
    assert (waiting.returncode, said.count("\n")) == (143, 1)
    assert "what the folder holds stands" in said


def test_synchronised_keeps_names_tensors_and_flags() -> None:
    shared_norm = nn.BatchNorm1d(4, affine=False)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4, eps=1e-3, momentum=0.3),
        nn.Flatten(),
        shared_norm,
        nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False), shared_norm),
    )
    network[1].bias.requires_grad_(False)
    network[1].eval()
    state = {name: (value.data_ptr(), value.shape) for name, value in network.state_dict().items()}
    parameters = dict(network.named_parameters())
    assert synchronised(network, "cpu") is network
    assert {name: (value.data_ptr(), value.shape) for name, value in network.state_dict().items()} == state
    assert all(parameters[name] is parameter for name, parameter in network.named_parameters())
    kinds = [type(module) for module in network.modules() if "Norm" in type(module).__name__]
    assert kinds == [GlobalBatchNorm] * 3
    assert network[3] is network[4][1]
    assert (network[1].eps, network[1].momentum, network[1].training) == (1e-3, 0.3, False)
    assert not network[1].bias.requires_grad
    assert [type(module) for module in synchronised(nn.Sequential(nn.BatchNorm1d(2)), "cuda")] == [nn.SyncBatchNorm]
    assert type(synchronised(nn.BatchNorm1d(2), "cpu")) is GlobalBatchNorm


@pytest.mark.parametrize("training", [True, False])
def test_global_batch_normalisation_of_one_process_is_torch_s(training: bool) -> None:
    expected, images = nn.BatchNorm2d(3).train(training), torch.rand(4, 3, 5, 5)
    found = synchronised(nn.BatchNorm2d(3), "cpu").train(training)
    assert torch.equal(found(images), expected(images))
    assert torch.equal(found.running_var, expected.running_var)
    with pytest.raises(ValueError, match="input must be"):
        found(torch.rand(3))


@pytest.mark.slow
def test_a_folder_in_use_is_refused_by_all_processes(nursery: Nursery, tmp_path: Path) -> None:
    with run_lock(tmp_path / "run"):
        nursery.together(
            "tests.training.processes:train_together", tmp_path / "run", errors=tmp_path / "errors", code=1
        )
    raised = [line for line in (tmp_path / "errors").read_text().splitlines() if line.startswith("limbeck.errors")]
    assert len(raised) == 2
    assert all("use another folder" in line for line in raised)
