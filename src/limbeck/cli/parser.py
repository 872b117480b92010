"""A parser whose flags are exact, whose mistakes are one line, and which knows the names that flags once had."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace, get_loader, set_loader
from yaml import YAMLError

from limbeck.errors import InputError
from limbeck.files import check_regular, read_text
from limbeck.settings import Seed, check_value
from limbeck.yamlfiles import check_yaml

# Flags that mean the same in every verb; where they are the end of a single longer flag, they stand for it.
SHORT = ("epochs", "seed", "device", "fold", "split")
# Older name of a flag or of a recipe's key -> today's.
FORMER = {
    "part": "split",
    "data.split": "data.fold",
    "data.parts": "data.splits",
    "splits": "folds",
    "folds": "probe_folds",
}
# Flag of another verb -> the one that does the same where both are not known.
MEANT = {"labels_key": "keys", "views_key": "keys"}
_FLAG = re.compile(r"--([A-Za-z_][\w.-]*)(\+?)(=.*)?", re.DOTALL)
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "tuple": "a list, [A, B]",
}
_GROUP = "a mapping of settings"
_NO_NAME, _QUOTE = 'in "<unicode string>", ', "'"
_load = get_loader("yaml")


def _checked(text: str, path: str = "") -> Any:
    """jsonargparse's own reader of YAML, once it is known that the text stands for no more than it may."""
    check_yaml(text, f"{path}: " if path else "")
    return _load(text)


# A file in place of a group of settings is read by jsonargparse: where it is no text, it is no such file.
set_loader("yaml", _checked, (YAMLError, UnicodeDecodeError))


def _one_of(kinds: str) -> str:
    """What a union's members, as Python writes them, are called."""
    told = []
    for plain, options, listed in re.findall(r"<class '(\w+)'>|Literal\[(.*?)\]|\b(tuple|list)\[[^\]]*\]+", kinds):
        if plain == "NoneType":
            told.append("null")
        elif options:
            told.append(f"one of {options.replace(_QUOTE, '')}")
        else:
            told.append(_KINDS["tuple"] if listed else _KINDS.get(plain, plain))
    return ", or ".join(told) or kinds


def _existing(given: str) -> Path | None:
    """What lies under a name. Settings that are written out in place of a file may be too long to be one."""
    try:
        return Path(given) if Path(given).exists() else None
    except OSError:
        return None


class Parser(ArgumentParser):
    """An `ArgumentParser` that raises `InputError` with one line instead of printing its usage.

    A flag must be written out; `-` and `_` in it are the same. `--epochs`, `--seed` and the like may stand for a longer
    flag that ends so, where there is only one (`--training.epochs`).

    Args:
        verb: that the flags belong to.
        description: for the help.
        usage: what follows the verb in the help.
        elsewhere: gives flags that the verb has for other inputs -> the input that was given: they are refused with
            that reason. Called for an unknown flag only.

    Attributes:
        recipes: gives the file of a shipped recipe, so that `--config` takes its name; None: there are none.
    """

    def __init__(
        self,
        verb: str,
        *,
        description: str,
        usage: str = "...",
        elsewhere: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        super().__init__(prog=f"limbeck {verb}", usage=f"limbeck {verb} {usage}", description=description)
        self.recipes: Callable[[str], Path] | None = None
        self._elsewhere = elsewhere
        self._short: dict[str, str] = {}
        self._typed: set[str] = set()
        self._config = ""

    def read(self, words: Sequence[str]) -> Namespace:
        """What the words say.

        Raises:
            InputError: a flag is unknown or a value does not fit.
            SystemExit: help was asked for.
        """
        self._add_short()
        for word in words:
            check_yaml(word.partition("=")[2] if word.startswith("--") else word, f"{word[:40]}: ")
        values = self.parse_args(self._with_configs([self._exact(word) for word in words]))
        self._check_kinds(values)
        if isinstance(values.get("seed"), int):
            check_value(self._called("seed"), values.seed, Seed)
        return values

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        del ex
        raise InputError(f"{self._plain(message)} (see {self.prog} --help)")

    @property
    def flags(self) -> dict[str, str]:
        """Every flag, without its hyphens, and its help."""
        actions = self._option_string_actions
        return {name[2:]: str(action.help or "") for name, action in actions.items() if name.startswith("--")}

    def as_typed(self, message: str) -> str:
        """A message that begins with the name of an argument, with the flag that stands for it here instead."""
        match = re.match(r"(\w+) must ", message)
        if match is None:
            return message
        for end in (match[1], f".{match[1]}", f"_{match[1]}"):
            found = [flag for flag in self.flags if (flag.endswith(end) if end[0] in "._" else flag == end)]
            if len(found) == 1:
                return f"--{found[0]}{message[len(match[1]) :]}"
        return message

    @property
    def public_actions(self) -> list[argparse.Action]:
        """What can be said, but for what is not shown in the help."""
        return [action for action in self._actions if action.help != argparse.SUPPRESS]

    def _add_short(self) -> None:
        """The flags that short ones stand for."""
        known = self.flags
        for name in SHORT:
            longer = [flag for flag in known if flag.endswith(f".{name}")]
            if name not in known and len(longer) == 1:
                self._short[name] = longer[0]
        if self._short:
            told = ", ".join(f"--{name} is short for --{flag}" for name, flag in self._short.items())
            self.epilog = f"{told}."

    def _with_configs(self, words: list[str]) -> list[str]:
        """The words with the files of shipped recipes in place of their names.

        Raises:
            InputError: there is no such file or recipe, or it is a pipe.
        """
        found, groups = list(words), {f"--{name}" for name in self._groups()}
        for place, (before, word) in enumerate(zip(("", *words), words, strict=False)):
            name, equals, given = word.partition("=") if word.startswith("--") else (before, "", word)
            if name in groups and (file := _existing(given)):
                check_regular(file)
            if name != "--config" or name == word:
                continue
            flag = f"{name}=" if equals else ""
            self._config = given
            # A setting may be written out in place of a file.
            if (file := _existing(given)) and file.is_file():
                read_text(file)  # or it says what is wrong with it
                continue
            if "{" in given or ": " in given:
                continue
            if self.recipes is None or not re.fullmatch(r"[\w-]+", given):
                raise InputError(f"--config {given}: there is no such file; give a YAML file of settings")
            try:
                found[place] = f"{flag}{self.recipes(given)}"
            except InputError as error:
                raise InputError(f"--config {given}: there is no such file, and a shipped {error}") from None
        return found

    def _check_kinds(self, values: Namespace) -> None:
        """Refuse what jsonargparse lets pass: a plain value for a group of settings, null where something must be.

        Lists are looked at by their owners.

        Raises:
            InputError: a group of settings is none, or a plain one is null.
        """
        groups = self._groups()
        for action in self._actions:
            if action.dest not in values:
                continue
            kind, value = getattr(action, "_typehint", None), values[action.dest]
            if action.dest in groups:
                wrong, words = not isinstance(value, Namespace), _GROUP
            else:
                wrong = value is None and kind in (str, int, float, bool) and action.default is not None
                words = _KINDS.get(getattr(kind, "__name__", ""), "")
            if wrong:
                shown = "null" if value is None else repr(value)
                raise InputError(f"{self._called(action.dest)} must be {words}, not {shown} (see {self.prog} --help)")

    def _groups(self) -> set[str]:
        """Of settings."""
        return {name.rpartition(".")[0] for name in self.flags if "." in name}

    def _exact(self, word: str) -> str:
        """The word with its flag as the parser knows it.

        Raises:
            InputError: it does not know it.
        """
        match = _FLAG.fullmatch(word)
        if match is None:
            return word
        name, append, value = match[1].replace("-", "_"), match[2], match[3] or ""
        name = self._short.get(name, name)
        if name not in self.flags:
            raise InputError(f"{self._unknown(name)} (see {self.prog} --help)")
        self._typed.add(name)
        return f"--{name}{append}{value}"

    def _unknown(self, name: str) -> str:
        """What to say of a flag that is not known."""
        known = self.flags
        longer = [flag for flag in known if flag.rpartition(".")[2] == name]
        now = FORMER.get(name, "")
        if now in known:
            return f"there is no flag --{name} any more: it is --{now}"
        if name in (others := self._elsewhere()):
            return f"--{name} is not for {others[name]}: leave it out"
        meant_here = [MEANT[name]] if MEANT.get(name) in known else []
        near = longer or meant_here or difflib.get_close_matches(name, [*known, *self._short], n=1, cutoff=0.6)
        meant = f": did you mean {' or '.join(f'--{flag}' for flag in near)}?" if near else ""
        return f"there is no flag --{name}{meant}"

    def _plain(self, message: str) -> str:
        """The message of jsonargparse as one line, without the words that only programmers use."""
        line = " ".join(message.split())
        line = re.sub(r'^Parser key "([^"]+)": ', r"\1: ", line)
        for pattern, told in self._rewordings():
            if match := re.match(pattern, line):
                return told(match)
        line = re.sub(r"^argument (--[\w.]+): expected one argument$", r"\1 needs a value", line)
        line = re.sub(r"^unrecognized arguments: (.*)$", r"'\1' is not expected here; flags begin with --", line)
        name = re.match(r"([\w.]+)(?=: )", line)
        return self._called(name[1]) + line[name.end() :] if name else line

    def _rewordings(self) -> list[tuple[str, Callable[[re.Match[str]], str]]]:
        """Beginnings of messages, and what is said instead."""
        groups = "|".join(re.escape(name) for name in self._groups()) or "(?!)"
        return [
            (r"the following arguments are required: (.+)", lambda found: self._missing(found[1].split(", "))),
            (
                r"Problems parsing config: (.*)",
                lambda found: f"--config {self._config}: not a YAML file ({found[1].replace(_NO_NAME, 'in ')})",
            ),
            (
                r"([\w.]+): Expected an? typing\.Literal\[(.*?)\]\. Got value: (.*)",
                lambda found: (
                    f"{self._called(found[1])} must be one of {found[2].replace(_QUOTE, '')}, not {found[3]!r}"
                ),
            ),
            (
                r"([\w.]+): Expected an? <class '(\w+)'>\. Got value: (.*)",
                lambda found: f"{self._called(found[1])} must be {_KINDS.get(found[2], found[2])}, not {found[3]!r}",
            ),
            (
                r"([\w.]+): Does not validate against any of the Union subtypes Subtypes: \[(.*)\] Errors: .* "
                r"Given value: (.*)",
                lambda found: f"{self._called(found[1])} must be {_one_of(found[2])}, not {found[3]!r}",
            ),
            (
                rf"({groups}): Unable to load config ('.*?'|\".*?\")",
                lambda found: f"{self._called(found[1])} must be {_GROUP}, or a file of them, not {found[2]}",
            ),
            (
                r".*?(?:Group '([^']+)'.*?)?does not accept option '([^']+)'",
                lambda found: self._no_key(".".join(filter(None, found.groups()))),
            ),
        ]

    def _missing(self, names: Sequence[str]) -> str:
        """What to say of arguments that must be given; of one also what it is."""
        told = [f"--{name}" if name in self.flags else name.upper() for name in names]
        if len(told) > 1:
            return f"{' and '.join(told)} are missing"
        (help_text,) = [str(action.help or "") for action in self._actions if action.dest == names[0]][:1] or [""]
        return f"{told[0]} is missing{f': give {help_text}' if help_text else ''}"

    def _called(self, name: str) -> str:
        """A setting as it was given: a flag, or a key of the file."""
        if name in self._typed:
            return f"--{name}"
        return f"{self._config}: {name}" if self._config and name in self.flags else name

    def _no_key(self, name: str) -> str:
        """What to say of a key in a file of settings that is not known."""
        if FORMER.get(name) in self.flags:
            return f"there is no key {name} any more: it is {FORMER[name]}"
        group, _, last = name.rpartition(".")
        own = [flag.rpartition(".") for flag in self.flags]
        near = difflib.get_close_matches(last, [end for above, _, end in own if above == group], n=1)
        meant = f": did you mean {'.'.join([group, *near] if group else near)}?" if near else ""
        return f"{f'{self._config}: ' if self._config else ''}there is no key {name}{meant}"
