"""The one exception that carries a message meant for the person who typed the input, and the code of a stopped job."""

TERMINATED = 143  # exit code of what SIGTERM or SIGHUP ended


class InputError(ValueError):
    """Something that the user gave cannot be used; the message is one line that names it and says what to do.

    The command prints the message alone, without a traceback, and exits with 2.
    """
