"""What the tests of the training loop share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.training.toytask import train


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As in the nursery's processes: with another number of threads torch adds in another order, to other last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def uninterrupted(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the toy's training in one go."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    train(folder)
    return folder


@pytest.fixture(scope="module")
def measured(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with information measured on the way."""
    folder = tmp_path_factory.mktemp("measured")
    train(folder, information_epochs=2)
    return folder
