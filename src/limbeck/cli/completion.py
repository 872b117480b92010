"""`limbeck completion SHELL`: a script that completes verbs, flags, their choices and file names."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from limbeck.cli import verbs
from limbeck.cli.jobs import parsers
from limbeck.cli.parser import Parser
from limbeck.errors import InputError
from limbeck.registry import Invocation

Shell = Literal["bash", "zsh", "tcsh"]


def completion_arguments(parser: Parser) -> None:
    """What can be said to `limbeck completion`."""
    parser.add_argument("shell", type=Shell, help="bash, zsh or tcsh")


def completion(call: Invocation) -> Iterator[str]:
    """Print the script.

    Every verb is asked for its flags once, which takes seconds; the script holds them and starts no Python.
    """
    try:
        import shtab  # noqa: PLC0415 (an extra)
    except ImportError:
        raise InputError("completion needs shtab: pip install 'limbeck[completion]'") from None
    yield shtab.complete(command_tree(shtab.FILE), call.shell)


def command_tree(file: Any = None) -> argparse.ArgumentParser:
    """The whole command as one tree of plain parsers: a level a word of the verb, and below it all flags of the verb.

    Args:
        file: the attribute `complete` of arguments whose values may be files.
    """
    root = argparse.ArgumentParser(prog="limbeck")
    root.add_argument("--version", action="store_true", help="print the version")
    # Words -> their parser, and what adds a word below it.
    nodes: dict[tuple[str, ...], argparse.ArgumentParser] = {(): root}
    levels: dict[tuple[str, ...], Any] = {}
    for name, verb in verbs.known().items():
        words = tuple(name.split())
        for depth, word in enumerate(words):
            above, here = words[:depth], words[: depth + 1]
            if above not in levels:
                levels[above] = nodes[above].add_subparsers()
            if here not in nodes:
                told = verb.help if here == words else f"{word} ..."
                nodes[here] = levels[above].add_parser(word, help=told.replace("%", "%%"))
        _add_flags(nodes[words], parsers(verb), file)
    return root


def _add_flags(node: argparse.ArgumentParser, known: list[Parser], file: Any) -> None:
    """Add the flags of parsers, each once; whatever takes a word that is no choice may take a file."""
    seen: set[str] = {"--help"}
    for parser in known:
        for action in parser.public_actions:
            longest = max(action.option_strings, key=len, default="")
            if longest in seen:
                continue
            seen.add(longest)
            choices = _choices(action)
            options: dict[str, Any] = {"help": " ".join(str(action.help or "").split()).replace("%", "%%")}
            options["nargs"] = action.nargs if longest or action.nargs == "+" else "*"
            if longest and action.nargs == 0:
                options = {"help": options["help"], "action": "store_true"}
            elif choices:
                options["choices"] = choices
            added = node.add_argument(longest or action.dest, **options)
            if not choices and options.get("action") is None:
                added.complete = file  # type: ignore[attr-defined]


def _choices(action: argparse.Action) -> tuple[str, ...]:
    """The words that a flag takes, where they are known."""
    if action.choices is not None:
        return tuple(map(str, action.choices))
    kind = getattr(action, "_typehint", None) or action.type
    return tuple(map(str, get_args(kind))) if get_origin(kind) is Literal else ()
