"""Two processes give the terms and the gradient of one, though their scans differ in points and pixels."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.segmentation.segmentation_processes import OBJECTIVES, gradients, trained_together
from tests.training.nursery import Nursery

from limbeck.segmentation.runs import FORMAT, train_run
from limbeck.tensorfiles import read_tensors


@pytest.fixture(scope="module")
def together(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`together(function, *arguments)`: run it in two processes of a group; the folder they were given last."""

    def run(function: str, *arguments: Path) -> Path:
        folder = tmp_path_factory.mktemp("segmentation-together")
        call = f"tests.segmentation.segmentation_processes:{function}"
        nursery.together(call, *arguments, folder, errors=folder / "errors")
        return folder

    return run


@pytest.fixture(scope="module")
def all_gradients(together: Callable[..., Path], small_streets: Path) -> Path:
    return together("all_gradients", small_streets)


@pytest.mark.slow
@pytest.mark.parametrize("distillation", OBJECTIVES)
def test_two_processes_give_the_gradient_of_one(all_gradients: Path, small_streets: Path, distillation: str) -> None:
    expected = gradients(small_streets, distillation)
    for number in range(2):
        found = load_file(all_gradients / f"{distillation}-{number}")
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(found[key], value, rtol=1e-6, atol=1e-8, msg=lambda text, key=key: key + text)
        assert sum(float(value.double().abs().sum()) for value in found.values()) > 1e-2


@pytest.mark.slow
def test_two_processes_train_the_network_of_one(
    together: Callable[..., Path], tmp_path: Path, small_streets: Path
) -> None:
    folder = together("train_together", small_streets)
    train_run(trained_together(small_streets), tmp_path / "alone")
    one, two = (
        read_tensors(run / "model.safetensors", format=FORMAT, what="model")[1] for run in (tmp_path / "alone", folder)
    )
    # Four steps in single precision, whose sums have another order; each step's gradient is compared above.
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-2, atol=1e-3, msg=lambda text, key=key: key + text)
