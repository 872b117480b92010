"""What all tests share: where the real data is, when it is there."""

from collections.abc import Callable
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the repository; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real data of ../shared/data is not here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def shared_set(shared_data: Path) -> Callable[[str], Path]:
    """`shared_set(name)`: the NPZ file of a real multi-view set; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        path = shared_data / name / f"{name}.npz"
        if not path.is_file():
            pytest.skip(f"../shared/data holds no {name}")
        return path

    return find
