"""What is shown on stderr, when, and that nothing of it stays switched on."""

import logging
import subprocess
import sys
import warnings

import pytest

from limbeck.reporting.console import console_output, quiet
from limbeck.reporting.progress import progress_bar

LOGGER = logging.getLogger("limbeck.some.module")


def _work() -> None:
    LOGGER.info("step %d", 1)
    LOGGER.warning("mind the gap")
    LOGGER.debug("too much")
    warnings.warn("two\n  lines", stacklevel=1)
    with progress_bar("training", unit="epoch", total=1) as advance:
        advance(1)


def test_messages_warnings_and_progress_are_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with console_output():
        _work()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "limbeck: step 1",
        "limbeck: warning: mind the gap",
        "limbeck: warning: two lines",
        "training: epoch 1/1",
    ]


def test_a_block_inside_another_doubles_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with console_output():
        with console_output():
            LOGGER.info("inside")
        LOGGER.info("outside")
    assert capsys.readouterr().err == "limbeck: inside\nlimbeck: outside\n"


def test_handlers_of_the_root_logger_do_not_show_it_again(caplog: pytest.LogCaptureFixture) -> None:
    with console_output():
        LOGGER.info("once")
    assert caplog.records == []


def test_afterwards_all_is_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    logger, shown = logging.getLogger("limbeck"), warnings.showwarning
    before = list(logger.handlers), logger.level, logger.propagate
    with pytest.raises(KeyboardInterrupt), console_output():
        raise KeyboardInterrupt
    assert (logger.handlers, logger.level, logger.propagate) == before
    assert warnings.showwarning is shown
    LOGGER.info("unheard")
    with progress_bar("training", unit="epoch", total=1) as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_a_quiet_block_shows_warnings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with console_output():
        with quiet():
            _work()
        LOGGER.info("again")
    assert capsys.readouterr().err.splitlines() == [
        "limbeck: warning: mind the gap",
        "limbeck: warning: two lines",
        "limbeck: again",
    ]
    assert logging.getLogger("limbeck").level == logging.NOTSET


def test_a_library_shows_nothing() -> None:
    """In a process of its own: neither news nor logged warnings, whatever Python does where nobody set up logging."""
    code = (
        "import logging, limbeck\n"
        "logging.getLogger('limbeck.x').info('news')\n"
        "logging.getLogger('limbeck.x').warning('a warning')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
