"""Which verbs there are, which of them was typed, and what `limbeck --help` says of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from limbeck.errors import InputError
from limbeck.registry import SharedVerb, Study, Task, Verb, entries, is_reference, referred

AnyVerb: TypeAlias = Verb | SharedVerb | Task | Study
_MOST_WORDS = 3


def known() -> dict[str, AnyVerb]:
    """Every verb by what is typed, sorted into families: train, evaluate, ..., study, data."""
    found: dict[str, AnyVerb] = {f"train {task.name}": task for task in entries(Task).values()}
    found |= entries(SharedVerb)
    found |= entries(Verb)
    found |= {f"study {study.name}": study for study in entries(Study).values()}
    return dict(sorted(found.items(), key=lambda item: (_rank(item[0]), item[0])))


def is_verb(words: Sequence[str]) -> bool:
    """Whether the words are a verb, whole."""
    return " ".join(words) in known()


def choose(words: Sequence[str]) -> tuple[AnyVerb, list[str]]:
    """The verb that the words begin with, and the words after it.

    Raises:
        InputError: they begin with none.
    """
    if len(words) > 1 and words[0] == "study" and is_reference(words[1]):
        return referred(Study, words[1]), list(words[2:])
    verbs = known()
    for count in range(min(_MOST_WORDS, len(words)), 0, -1):
        name = " ".join(words[:count])
        if name in verbs:
            return verbs[name], list(words[count:])
    raise InputError(f"{_no_verb(words, verbs)} (see limbeck --help)")


def help_text(family: Sequence[str] = ()) -> str:
    """What `limbeck --help` or `limbeck study --help` says."""
    verbs = known()
    shown = {name: verb for name, verb in verbs.items() if name.startswith(" ".join((*family, "")))} or verbs
    width = max(map(len, shown))
    lines = "\n".join(f"  {name:<{width}}  {verb.help}" for name, verb in shown.items())
    return (
        "usage: limbeck VERB ...\n\nThe `limbeck` command: one verb per job, typed arguments, YAML recipes, one line "
        f"for every mistake.\n\n{lines}\n\n`limbeck VERB --help` says more of one."
    )


def _rank(name: str) -> int:
    families = ("train", "evaluate", "diagnose")
    first = name.split(maxsplit=1)[0]
    if first in families:
        return families.index(first)
    return len(families) + {"study": 1, "data": 2}.get(first, 0)


def _no_verb(words: Sequence[str], verbs: dict[str, AnyVerb]) -> str:
    if not words:
        return f"a verb is missing: choose from {', '.join(verbs)}"
    typed = " ".join(words[:2])
    for study in entries(Study).values():
        if typed in (f"study {name}" for name in study.former):
            return f"there is no verb {typed!r} any more: it is `study {study.name}`"
    family = [name for name in verbs if name.startswith(f"{words[0]} ")]
    if family and (len(words) == 1 or words[1].startswith("-")):
        return f"{words[0]!r} is the beginning of a verb: choose from {', '.join(family)}"
    typed, near = _nearest(words, (*verbs, "--version", "--help"))
    if near:
        return f"there is no verb {typed!r}: did you mean `{near}`?"
    return f"there is no verb {typed!r}: choose from {', '.join(family or verbs)}"


def _nearest(words: Sequence[str], verbs: Iterable[str]) -> tuple[str, str]:
    """The words that are most like a verb of as many words, and that verb; the first two and "" where none is near."""
    best, found = 0.6, (" ".join(words[:2]), "")
    for verb in verbs:
        typed = " ".join(words[: verb.count(" ") + 1])
        likeness = difflib.SequenceMatcher(None, typed, verb).ratio()
        if likeness > best:
            best, found = likeness, (typed, verb)
    return found
