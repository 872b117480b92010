"""Text for a terminal: names of files, classes and columns, and what servers say, cannot steer it."""

from __future__ import annotations


def printable(text: str, *, kept: str = "\n\t") -> str:
    r"""The text with every character that does not print as `repr` writes it, `\x1b` and the like.

    Such are control characters, which colour, move and delete what stands on a terminal, and those that turn the
    direction of writing around, which show names as other names.

    Args:
        text: any.
        kept: characters that stay.

    Example:
        >>> print(printable("a\x1b[2Jb\nc"))
        a\x1b[2Jb
        c
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in kept else repr(letter)[1:-1] for letter in text)


def one_line(text: str) -> str:
    r"""The same without line breaks: `\n` in the place of each.

    Example:
        >>> print(one_line("a\nb"))
        a\nb
    """
    return printable(text, kept="")
