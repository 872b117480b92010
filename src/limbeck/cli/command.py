"""The command itself: what was typed becomes a job, and whatever goes wrong one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from limbeck.errors import InputError

USAGE_ERROR, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the words after `limbeck`; default: those of the process.

    Returns:
        0. Wrong usage or input prints one line and exits with 2, Ctrl-C with 130; a training that a signal stopped
        exits with 143, its checkpoint written.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if hasattr(sys.stdout, "reconfigure"):  # a terminal without box-drawing characters gets question marks
        sys.stdout.reconfigure(errors="replace")
    try:
        _run(words)
    except (InputError, OSError) as error:
        _fail(_one_line(error))
    except KeyboardInterrupt:
        sys.stderr.write("limbeck: interrupted; files that were already written are whole\n")
        raise SystemExit(INTERRUPTED) from None
    return 0


def _run(words: list[str]) -> None:
    # Imported on use, so that --version and --help do not wait for parsers, and verbs only for their own packages.
    from limbeck.cli import verbs  # noqa: PLC0415

    if words == ["--version"]:
        _print(f"limbeck {version('limbeck')}")
    elif words and words[-1] in ("-h", "--help") and not verbs.is_verb(words[:-1]):
        _print(verbs.help_text(words[:-1]))
    else:
        verb, rest = verbs.choose(words)
        from limbeck.cli.jobs import perform  # noqa: PLC0415
        from limbeck.reporting.console import console_output  # noqa: PLC0415

        with console_output():
            for text in perform(verb, rest):
                _print(text)


def _one_line(error: BaseException) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError) and error.filename:
        return f"{error.filename}: a file lies where a folder is needed; name another folder"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())


def _print(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"limbeck: error: {message}\n")
    raise SystemExit(USAGE_ERROR)
