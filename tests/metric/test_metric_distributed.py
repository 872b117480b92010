"""Two processes give the terms and the gradient of one for every loss, and the network of one after a training."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.metric.metric_photographs import make_photographs
from tests.metric.metric_processes import LOSSES, gradients, trained_together
from tests.training.nursery import Nursery

from limbeck.metric.runs import train_run
from limbeck.tensorfiles import read_tensors


@pytest.fixture(scope="module")
def together(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`together(function, *arguments)`: run it in two processes of a group; the folder they were given last."""

    def run(function: str, *arguments: Path) -> Path:
        folder = tmp_path_factory.mktemp("metric-together")
        call = f"tests.metric.metric_processes:{function}"
        nursery.together(call, *arguments, folder, errors=folder / "errors")
        return folder

    return run


@pytest.fixture(scope="module")
def all_gradients(together: Callable[..., Path]) -> Path:
    return together("all_gradients")


@pytest.mark.slow
@pytest.mark.parametrize("bottleneck", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_two_processes_give_the_gradient_of_one(all_gradients: Path, name: str, bottleneck: bool) -> None:
    expected = gradients(name, bottleneck=bottleneck)
    for number in range(2):
        found = load_file(all_gradients / f"{name}-{bottleneck}-{number}")
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(found[key], value, rtol=1e-6, atol=1e-9, msg=lambda text, key=key: key + text)
        assert sum(float(value.abs().sum()) for value in found.values()) > 1e-2


@pytest.mark.slow
def test_two_processes_train_the_network_of_one(together: Callable[..., Path], tmp_path: Path) -> None:
    make_photographs(tmp_path / "set.npz")
    folder = together("train_together", tmp_path / "set.npz")
    train_run(trained_together(tmp_path / "set.npz"), tmp_path / "alone")
    one, two = (
        read_tensors(run / "model.safetensors", format="limbeck-metric-1", what="model")[1]
        for run in (tmp_path / "alone", folder)
    )
    # Six steps in single precision, whose sums have another order; each step's gradient is compared above.
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-3, atol=3e-4, msg=lambda text, key=key: key + text)
