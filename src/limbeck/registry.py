"""What the command can do: entries that packages declare, ours and others', each naming code that is imported on use.

A package declares its entries in a light module `entry.py` (in `limbeck/NAME/` or `limbeck/studies/NAME/`); another
distribution by an entry point of the group `limbeck`, which names such a module or an entry in it; a script or a test
by `register`. A set or a study that nobody declared may be named as "package.module:NAME" instead (`referred`). Nothing
heavy is imported until a verb is chosen, so that `limbeck --help` is quick.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias, TypeVar

from limbeck.errors import InputError

GROUP = "limbeck"

Settings = TypeVar("Settings")
Reference: TypeAlias = str | Callable[..., Any]
"""An object, or "package.module:name", which is imported when it is needed."""


@dataclass(frozen=True)
class Job:
    """Something that a verb does.

    Attributes:
        run: called with the `Invocation`; yields what is to be printed, a text at a time.
        arguments: called with the parser (a `jsonargparse.ArgumentParser`), adds what can be said; None: nothing.
        recipes: called with a name, gives the file of a shipped recipe, which `--config NAME` then reads; None: there
            are none.
    """

    run: Reference
    arguments: Reference | None = None
    recipes: Reference | None = None


@dataclass(frozen=True)
class Verb:
    """A verb that stands alone, such as `data convert`.

    Attributes:
        name: one to three words.
        help: what it does, in one line.
        job: does it.
    """

    name: str
    help: str
    job: Job


@dataclass(frozen=True)
class SharedVerb:
    """A verb that does what its input asks for, such as `evaluate`: a `Task` or an `Input` has the job.

    Attributes:
        name: of the verb.
        help: what it does, in one line.
        inputs: what can be given, for the help; empty: nothing is, and everybody who has the verb does it.
        several: whether more than one input may be given.
        missing: what to say of a word that is nothing, with {word} and {inputs} in it.
    """

    name: str
    help: str
    inputs: str
    several: bool = False
    missing: str = "{word}: there is no such file or folder; give {inputs}"


@dataclass(frozen=True)
class Task:
    """A task that models are trained for.

    Attributes:
        name: `limbeck train NAME`.
        help: what that trains, in one line.
        format: what the files of its models are called inside (`read_description(file)["format"]`): a model is known by
            nothing else.
        train: trains a model into a folder.
        verbs: name of a shared verb ("evaluate", "diagnose", ...) -> what it does with models of this format.
    """

    name: str
    help: str
    format: str
    train: Job
    verbs: Mapping[str, Job] = field(default_factory=dict)


@dataclass(frozen=True)
class Input:
    """Something that shared verbs can be given beside models: a data set, a file of features.

    Attributes:
        name: what to call it in messages.
        accepts: called with a word, says whether it is one.
        verbs: name of a shared verb -> what it does.
        general: asked after those that are not: it accepts whatever looks like its kind of file.
    """

    name: str
    accepts: Reference
    verbs: Mapping[str, Job]
    general: bool = False


@dataclass(frozen=True)
class Study:
    """A study: settings, a run, a report.

    Attributes:
        name: `limbeck study NAME`.
        help: what it shows, in one line.
        settings: a frozen dataclass; its fields are the flags.
        run: `(settings, folder) -> result`.
        format: `(result) -> str`, what is printed.
        write: `(result, folder) -> list[Path]`, the files of the report.
        positional: the field of `settings` that is given without a flag, one word or more; None: none.
        former: names that it once had, which are answered with the new one.
    """

    name: str
    help: str
    settings: Reference
    run: Reference
    format: Reference
    write: Reference
    positional: str | None = None
    former: tuple[str, ...] = ()


@dataclass(frozen=True)
class Invocation:
    """What a job is told; `call.seed` is the value of `--seed`.

    Attributes:
        parser: that read the words, a `jsonargparse.ArgumentParser`.
        values: what they say, by name.
        inputs: of a shared verb, what it was given.
    """

    parser: Any
    values: Any
    inputs: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[name]
        except (KeyError, TypeError):
            raise AttributeError(name) from None

    @property
    def resolved(self) -> str:
        """Everything that was said, and the defaults of the rest, as YAML that `--config` reads."""
        return str(self.parser.dump(self.values, skip_unset=False))

    def group(self, name: str) -> Any:
        """The settings whose fields are flags of a group, `--name.field`."""
        return self.parser.instantiate(self.values)[name]

    def settings(self, kind: type[Settings], **given: Any) -> Settings:
        """The settings, a dataclass, whose fields are flags themselves, but for those that are given."""
        ready = self.parser.instantiate(self.values)
        names = [one.name for one in fields(kind) if one.name not in given]  # type: ignore[arg-type]
        return kind(**{name: ready[name] for name in names}, **given)


Entry: TypeAlias = Any
"""An instance of a class of this module, or of one that a task declares for its own additions."""
Kind = TypeVar("Kind")

_registered: list[Entry] = []
_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.\w+)*:[A-Za-z_]\w*")


def register(*entries: Entry) -> None:
    """Add entries. One of the kind and name of an earlier one takes its place."""
    _registered.extend(entries)


def entries(kind: type[Kind]) -> dict[str, Kind]:
    """All entries of one kind by name: limbeck's own, those of other distributions, registered ones.

    Raises:
        ImportError: a declaring module cannot be imported.
    """
    everybody = (*_own(), *_others(), *_registered)
    return {entry.name: entry for entry in everybody if isinstance(entry, kind)}  # type: ignore[attr-defined]


def members(kind: type[Kind], package: ModuleType) -> dict[str, Kind]:
    """Entries by name, where a package has one in each of its modules as `SET`: those, and `entries` of the kind.

    Raises:
        ImportError: a module cannot be imported.
    """
    modules = pkgutil.iter_modules(package.__path__)
    own = [importlib.import_module(f"{package.__name__}.{module.name}").SET for module in modules]
    return {one.name: one for one in (*own, *entries(kind).values())}


def member(kind: type[Kind], package: ModuleType, name: str) -> Kind:
    """That of `members` which has a name, or the one that "package.module:NAME" refers to.

    Raises:
        InputError: there is none.
        ImportError: a module cannot be imported.
    """
    if is_reference(name):
        return referred(kind, name)
    known = members(kind, package)
    if name not in known:
        raise InputError(f"there is no set {name!r}: choose from {', '.join(known)}")
    return known[name]


def is_reference(word: str) -> bool:
    """Whether a word is written as "package.module:NAME"."""
    return _REFERENCE.fullmatch(word) is not None


def referred(kind: type[Kind], reference: str) -> Kind:
    """The entry that "package.module:NAME" refers to.

    Raises:
        InputError: the module cannot be imported, or holds no such entry of that kind.
    """
    try:
        found = resolve(reference)
    except Exception as error:  # whatever another's module raises
        raise _not_imported(reference, error) from error
    if not isinstance(found, kind):
        raise InputError(f"{reference} must be a {kind.__name__}, not {type(found).__name__}")
    return found


def refers_to(kind: type[Any], word: str) -> bool:
    """Whether a word is such a reference to an entry of a kind, which is imported to be known.

    Raises:
        InputError: its module is there, but fails.
    """
    try:
        return is_reference(word) and isinstance(resolve(word), kind)
    except ImportError:
        return False
    except Exception as error:  # whatever another's module raises
        raise _not_imported(word, error) from error


def _not_imported(reference: str, error: Exception) -> InputError:
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return InputError(
        f"{reference} cannot be imported ({reason}); mend or install its package, or put its folder in PYTHONPATH"
    )


def set_input(name: str, jobs: str) -> Input:
    """Named sets as input of `data list`, `data describe` and `data check`.

    Args:
        name: what to call them in messages.
        jobs: a module with `is_set`, `list_known`, `describe_set`, `set_arguments`, `check_set` and `check_arguments`.
    """
    return Input(
        name,
        f"{jobs}:is_set",
        {
            "data list": Job(f"{jobs}:list_known"),
            "data describe": Job(f"{jobs}:describe_set", f"{jobs}:set_arguments"),
            "data check": Job(f"{jobs}:check_set", f"{jobs}:check_arguments"),
        },
    )


def resolve(reference: Reference) -> Any:
    """The object behind a reference.

    Raises:
        ImportError: there is no such module, or nothing of that name in it.
    """
    if not isinstance(reference, str):
        return reference
    module, _, name = reference.partition(":")
    found = importlib.import_module(module)
    try:
        return getattr(found, name)
    except AttributeError:
        raise ImportError(f"{module} has no {name!r}") from None


@cache
def _own() -> tuple[Entry, ...]:
    """The entries of limbeck itself, module by module in alphabetical order."""
    home = Path(__file__).parent
    found: list[Entry] = []
    for file in sorted((*home.glob("*/entry.py"), *home.glob("*/*/entry.py"))):
        words = file.relative_to(home).with_suffix("").parts
        found += _declared(importlib.import_module(".".join(("limbeck", *words))))
    return tuple(found)


@cache
def _others() -> tuple[Entry, ...]:
    found: list[Entry] = []
    for point in entry_points(group=GROUP):
        try:
            loaded = point.load()
        except Exception as error:  # whatever another's module raises, the rest of the command still works
            warnings.warn(f"the plug-in {point.value} cannot be loaded: {error}", stacklevel=2)
            continue
        found += _declared(loaded) if isinstance(loaded, ModuleType) else [loaded]
    return tuple(found)


def _declared(module: ModuleType) -> Iterator[Entry]:
    """The entries among a module's public names, in the order of their definition."""
    for name, value in vars(module).items():
        if name.isupper() and not name.startswith("_"):
            yield from value if isinstance(value, tuple) else (value,)
