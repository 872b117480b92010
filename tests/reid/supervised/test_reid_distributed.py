"""Two processes give the gradient of one for the whole three-branch objective."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.reid.supervised.reid_processes import RECIPES, gradients
from tests.training.nursery import Nursery


@pytest.fixture(scope="module")
def together(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reid-gradients")
    nursery.together("tests.reid.supervised.reid_processes:all_gradients", folder, errors=folder / "errors")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_give_the_gradient_of_one(together: Path, name: str) -> None:
    expected = gradients(name)
    assert len(expected) > 40
    for number in range(2):
        found = load_file(together / f"{name}-{number}.safetensors")
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(found[key], value, rtol=1e-6, atol=1e-10, msg=lambda text, key=key: key + text)
        assert sum(float(value.abs().sum()) for value in found.values()) > 1
