"""Progress: lines where there is no terminal, a bar where there is one, nothing unless it is switched on."""

import errno
import io

import pytest

from limbeck.reporting.progress import progress_bar, progress_shown


def test_without_a_terminal_a_job_with_a_unit_is_a_line_every_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_shown(True), progress_bar("training", unit="step", total=25) as advance:
        for step in range(1, 26):
            advance(step, state=f"loss {step}")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"training: step {step}/25, loss {step}" for step in (*range(2, 25, 2), 25)]


def test_the_total_may_come_later(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_shown(True), progress_bar("work", unit="part") as advance:
        advance(1)  # of nobody knows how many
        advance(2, 2)
    assert capsys.readouterr().err == "work: part 2/2\n"


def test_without_a_terminal_a_job_without_a_unit_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_shown(True), progress_bar("pictures") as advance:
        advance(1, 1)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("unit", [None, "step"])
def test_on_a_terminal_it_is_a_bar(
    unit: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with progress_shown(True), progress_bar("pictures", unit=unit, total=4, start=1) as advance:
        advance(4, state="the last one")
    err = capsys.readouterr().err
    for word in ("pictures", "4/4", "the last one"):
        assert word in err


def test_it_is_off_unless_it_is_switched_on(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("training", unit="step", total=1) as advance:
        advance(1)
    with progress_shown(True), progress_bar("training", unit="step", total=1, show=False) as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")
    with progress_bar("training", unit="step", total=1, show=True) as advance:
        advance(1)
    assert capsys.readouterr().err == "training: step 1/1\n"


def test_a_terminal_that_is_gone_does_not_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.EIO, text)

    monkeypatch.setattr("sys.stderr", Gone())
    done = []
    with progress_bar("work", unit="part", total=2, show=True) as advance:
        for part in range(1, 3):
            advance(part)
            done.append(part)
    assert done == [1, 2]
