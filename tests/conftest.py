"""What all tests share: where the real data is, when it is there."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from limbeck.cli import main

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


@contextmanager
def _messages() -> Iterator[list[str]]:
    heard: list[str] = []

    class Hear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    logger, handler = logging.getLogger("limbeck"), Hear()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield heard
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.fixture(scope="session")
def messages() -> Callable[[], AbstractContextManager[list[str]]]:
    """`with messages() as heard`: what the logger `limbeck` and its children say inside the block."""
    return _messages


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """`refused(arguments, words...)`: exit code 2 and exactly one line on stderr, which holds the words."""

    def check(arguments: list[Any], *words: str) -> None:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert caught.value.code == 2
        assert out == ""
        (line,) = err.splitlines()
        assert line.startswith("limbeck: error: ")
        for word in words:
            assert word in line

    return check
