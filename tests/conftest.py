"""What all tests share: workers and threads, where the real data is, folders that are filled once, refused commands."""

import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from limbeck.cli import main

if TYPE_CHECKING:
    from tests.training.nursery import Nursery

    from limbeck.reid.recipe import ReidRecipe

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# One thread a process, with one pytest worker a core: figures do not depend on the machine, and workers do not wait for
# one another. Libraries read these when they are imported, so nothing above may import NumPy or torch.
for pool in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[f"{pool}_NUM_THREADS"] = "1"


# A shell that runs the tests beside itself lets them ignore Ctrl-C, `nohup` the end of the terminal, and so all that
# they start.
if threading.current_thread() is threading.main_thread():
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: the cores that this process may use, which may be fewer than the machine has; at most 8."""
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """`built_once(name, build)`: the folder that `build(folder)` fills, once for all workers of a session.

    Tests read it and leave it as it is.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # a worker's own folder lies in that of the session
    home = base / "built-once"
    home.mkdir(exist_ok=True)

    def find(name: str, build: Callable[[Path], object]) -> Path:
        folder, whole = home / name, home / f"{name}.whole"
        with FileLock(home / f"{name}.lock"):
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                build(folder)
                whole.touch()
        return folder

    return find


@pytest.fixture(scope="session")
def nursery() -> Iterator["Nursery"]:
    """Starts processes that have torch already."""
    from tests.training.nursery import Nursery

    found = Nursery()
    yield found
    found.close()


@pytest.fixture(scope="session")
def small_people(built_once: Callable[..., Path]) -> Path:
    """A folder of 14 people in the layout of SYSU-MM01: `tests.small.PEOPLE`."""
    from tests.small import PEOPLE

    from limbeck.synthetic.people import make_people

    return built_once("small-people", lambda folder: make_people(folder / "sysu", PEOPLE)) / "sysu"


@pytest.fixture(scope="session")
def small_recipe(small_people: Path) -> "ReidRecipe":
    """A recipe that trains on them in a second."""
    from tests.small import recipe

    return recipe(small_people)


@pytest.fixture(scope="session")
def small_run(small_recipe: "ReidRecipe", built_once: Callable[..., Path]) -> Path:
    """The folder of a finished training by it."""
    from limbeck.reid.train import train_run

    return built_once("small-run", lambda folder: train_run(small_recipe, folder))


@pytest.fixture
def short_tsne(monkeypatch: pytest.MonkeyPatch) -> None:
    """t-SNE takes 250 iterations, the fewest there may be: for reports whose maps nobody looks at."""
    from sklearn.manifold import TSNE

    for module in ("limbeck.retrieval.report.projection", "limbeck.studies.multiview_ablation.report"):
        monkeypatch.setattr(f"{module}.TSNE", partial(TSNE, max_iter=250))


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
