"""The `limbeck` command: one verb per job, typed arguments, YAML recipes, one line for every mistake."""

from collections.abc import Sequence

from limbeck.cli.beginning import end_on_interrupt, ignore_interrupts

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the words after `limbeck`; default: those of the process, which the command then is.

    Returns:
        0. Wrong usage, wrong input and faults of limbeck print one line and exit with 2, Ctrl-C with 130, SIGTERM and
        SIGHUP with 143; a training that a signal stopped exits with 143 or 130, its checkpoint written. With
        `LIMBECK_DEBUG=1` in the environment the traceback comes before the line.
    """
    if arguments is None:
        end_on_interrupt()
    from limbeck.cli.command import run  # noqa: PLC0415 (what it imports takes a while)

    code = run(arguments)
    if arguments is None:
        ignore_interrupts()
    return code
