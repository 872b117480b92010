"""What others have named or sent does not steer the terminal, and a message is one line whatever is in it."""

import io
import logging
from typing import Any

import pytest
from rich.console import Console

from limbeck.reporting.console import console_output
from limbeck.reporting.progress import progress_bar
from limbeck.reporting.terminal import one_line, printable

# A colour, a title, a line begun anew, one of 8 bits, a deletion, writing turned around, a surrogate, a line separator.
HOSTILE = "a\x1b[31mb\x1b]0;c\x07\rd\x9b2Je\x7ff\u202eg\udcffh\u2028i"
ESCAPED = r"a\x1b[31mb\x1b]0;c\x07\rd\x9b2Je\x7ff\u202eg\udcffh\u2028i"


def test_what_does_not_print_is_written_out() -> None:
    assert one_line(HOSTILE) == printable(HOSTILE) == ESCAPED
    assert one_line("a\n\tb") == r"a\n\tb"
    assert printable("a\n\tb") == "a\n\tb"


@pytest.mark.parametrize("text", ["", "plain words", "±½²é—–…「視」👤", "a\\nb"])
def test_what_prints_stays(text: str) -> None:
    assert one_line(text) == printable(text) == text


def test_messages_and_warnings_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with console_output():
        logging.getLogger("limbeck.some").info("class %s\nis gone", HOSTILE)
        logging.getLogger("limbeck.some").warning("%s", HOSTILE)
    assert capsys.readouterr().err == f"limbeck: class {ESCAPED}\\nis gone\nlimbeck: warning: {ESCAPED}\n"


def test_lines_of_progress_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(HOSTILE, unit="epoch", total=1, show=True) as advance:
        advance(1, state="two\nlines")
    assert capsys.readouterr().err == f"{ESCAPED}: epoch 1/1, two\\nlines\n"


def test_a_bar_shows_names_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()

    def terminal(**_: Any) -> Console:
        return Console(file=shown, force_terminal=True, width=200, color_system=None)

    monkeypatch.setattr("rich.console.Console", terminal)
    with progress_bar(f"[red]{HOSTILE}", unit="epoch", total=1, show=True) as advance:
        advance(1, state=f"[/red]{HOSTILE}")
    assert f"[red]{ESCAPED}" in shown.getvalue()
    assert f"[/red]{ESCAPED}" in shown.getvalue()
    assert "\x1b[31m" not in shown.getvalue()
