"""A parser whose flags are exact, whose mistakes are one line, and which knows the names that flags once had."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from jsonargparse import ArgumentParser, Namespace

from limbeck.errors import InputError

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
_FLAG = re.compile(r"--([A-Za-z_][\w.-]*)(\+?)(=.*)?", re.DOTALL)


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

    def read(self, words: Sequence[str]) -> Namespace:
        """What the words say.

        Raises:
            InputError: a flag is unknown or a value does not fit.
            SystemExit: help was asked for.
        """
        self._add_short()
        return self.parse_args(self._with_recipes([self._exact(word) for word in words]))

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        del ex
        raise InputError(f"{self._plain(message)} (see {self.prog} --help)")

    @property
    def flags(self) -> dict[str, str]:
        """Every flag, without its hyphens, and its help."""
        actions = self._option_string_actions
        return {name[2:]: str(action.help or "") for name, action in actions.items() if name.startswith("--")}

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

    def _with_recipes(self, words: list[str]) -> list[str]:
        """The words with the files of shipped recipes in place of their names."""
        if self.recipes is None:
            return words
        found = list(words)
        for place, word in enumerate(words):
            if place and words[place - 1] == "--config" and re.fullmatch(r"[\w-]+", word) and not Path(word).exists():
                try:
                    found[place] = str(self.recipes(word))
                except InputError as error:
                    raise InputError(f"--config {word}: there is no such file, and a shipped {error}") from None
        return found

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
        near = longer or difflib.get_close_matches(name, [*known, *self._short], n=1, cutoff=0.6)
        meant = f": did you mean {' or '.join(f'--{flag}' for flag in near)}?" if near else ""
        return f"there is no flag --{name}{meant}"

    def _plain(self, message: str) -> str:
        """The message of jsonargparse as one line, without the words that only programmers use."""
        line = " ".join(message.split())
        line = re.sub(r'^Parser key "([^"]+)": ', r"\1: ", line)
        choice = re.match(r"([\w.]+): Expected an? typing\.Literal\[(.*?)\]\. Got value: (.*)", line)
        if choice:
            options = choice[2].replace("'", "")
            return f"{choice[1]} must be one of {options}, not {choice[3]!r}"
        line = re.sub(r": Expected an? <class '(\w+)'>\. Got value: ", r" must be \1, not ", line)
        unknown = re.search(r"does not accept option '([^']+)'", line)
        if unknown:
            group = re.search(r"Group '([^']+)'", line)
            name = f"{group[1]}.{unknown[1]}" if group else unknown[1]
            if FORMER.get(name) in self.flags:
                return f"there is no key {name} any more: it is {FORMER[name]}"
        return line
