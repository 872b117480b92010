"""Two processes give the gradient of one for the whole three-branch objective."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.ports import free_port
from tests.reid.supervised.reid_processes import RECIPES, gradients
from tests.training.nursery import Nursery


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("reid-gradients")
    nursery = Nursery()
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    children = [
        nursery.start(
            "tests.reid.supervised.reid_processes:all_gradients",
            folder,
            environment=common | {"RANK": str(number), "LOCAL_RANK": str(number)},
            errors=folder / "errors",
        )
        for number in range(2)
    ]
    found = [nursery.wait(child) for child in children]
    assert found == [0, 0], (folder / "errors").read_text()
    yield folder
    nursery.close()


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
