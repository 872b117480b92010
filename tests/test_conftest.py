"""What the suite stands on: one thread a process, and folders that are filled once."""

from collections.abc import Callable
from pathlib import Path

import pytest


def test_a_process_of_the_suite_has_one_thread() -> None:
    import numba
    import torch

    assert torch.get_num_threads() == numba.get_num_threads() == 1


def test_a_folder_is_filled_once_and_again_only_where_that_failed(built_once: Callable[..., Path]) -> None:
    asked: list[Path] = []

    def build(folder: Path) -> None:
        assert not list(folder.iterdir())
        (folder / "file").touch()
        asked.append(folder)
        if len(asked) == 1:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        built_once("filled-once", build)
    assert built_once("filled-once", build) == built_once("filled-once", build) == asked[0]
    assert len(asked) == 2
    assert (asked[0] / "file").is_file()
