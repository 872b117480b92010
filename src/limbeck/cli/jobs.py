"""From a verb and the words after it to a job done: whose it is, its parser, its settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from limbeck.cli.beginning import raise_on_interrupt
from limbeck.cli.parser import Parser
from limbeck.cli.verbs import AnyVerb
from limbeck.errors import InputError
from limbeck.files import MODEL, write_text
from limbeck.registry import Input, Invocation, Job, SharedVerb, Study, Task, Verb, entries, resolve

_HELP = frozenset({"-h", "--help"})


def perform(verb: AnyVerb, words: Sequence[str]) -> Iterator[str]:
    """Do what a verb says; yields what is to be printed.

    Raises:
        InputError: the words or what they name cannot be used.
        SystemExit: help was asked for.
    """
    _check_surroundings()
    if isinstance(verb, Study):
        return _study(verb, words)
    if isinstance(verb, SharedVerb):
        return _shared(verb, words)
    job = verb.train if isinstance(verb, Task) else verb.job
    return _done(job, _own_parser(verb), words)


def _check_surroundings() -> None:
    """What libraries end the process for, or raise of while they are imported."""
    # Pictures are drawn into files; what is set for windows need not be there.
    os.environ["MPLBACKEND"] = "agg"
    try:
        Path.cwd()
    except FileNotFoundError:
        raise InputError("the current folder is not there any more; change to one that is") from None


def parsers(verb: AnyVerb) -> list[Parser]:
    """The parser of a verb; of one that does what its input asks for, one a kind of input."""
    if isinstance(verb, Study):
        return [_study_parser(verb)]
    if isinstance(verb, SharedVerb):
        return [_parser(verb, owner, "") for owner in _owners(verb)] if verb.inputs else []
    return [_own_parser(verb)]


def _own_parser(verb: Verb | Task) -> Parser:
    job, name = (verb.train, f"train {verb.name}") if isinstance(verb, Task) else (verb.job, verb.name)
    parser = Parser(name, description=verb.help)
    _add(parser, job)
    return parser


def _done(
    job: Job, parser: Parser, words: Sequence[str], *, check: Callable[[Sequence[str]], None] | None = None
) -> Iterator[str]:
    """Do a job; `check` looks at the inputs of a shared verb before."""
    values = parser.read(words)
    given = values.get("inputs", ())
    inputs = (given,) if isinstance(given, str) else tuple(given)
    if check is not None:
        check(inputs)
    work = resolve(job.run)
    raise_on_interrupt()
    with _arguments_as_typed(parser):
        yield from work(Invocation(parser, values, inputs))


@contextmanager
def _arguments_as_typed(parser: Parser) -> Iterator[None]:
    """Messages of the library name its own arguments: name the flags instead."""
    try:
        yield
    except InputError as error:
        raise InputError(parser.as_typed(str(error))) from error


def _add(parser: Parser, job: Job) -> None:
    if job.arguments is not None:
        resolve(job.arguments)(parser)
    if job.recipes is not None:
        parser.recipes = resolve(job.recipes)


# -- studies ----------------------------------------------------------------------------------------------------------


def _study_parser(study: Study) -> Parser:
    parser = Parser(f"study {study.name}", description=study.help)
    if study.positional is not None:
        parser.add_argument(study.positional, type=str, nargs="+", help="one or more")
    parser.add_argument("--config", action="config", help="a YAML file of settings; flags after it override its values")
    parser.add_argument("--out", type=str, default=f"runs/{study.name}", help="folder for the report and what it needs")
    skipped = {study.positional} if study.positional else set()
    parser.add_class_arguments(resolve(study.settings), as_group=False, skip=skipped)
    return parser


def _study(study: Study, words: Sequence[str]) -> Iterator[str]:
    kind, parser = resolve(study.settings), _study_parser(study)
    values = parser.read(words)
    call, folder = Invocation(parser, values), Path(values.out)
    words_given = {} if study.positional is None else {study.positional: tuple(values[study.positional])}
    with _arguments_as_typed(parser):
        settings = call.settings(kind, **words_given)
    work = resolve(study.run)
    raise_on_interrupt()
    # Before the work, so that an unwritable folder is known now and not in an hour.
    write_text(folder / "settings.yaml", call.resolved)
    with _arguments_as_typed(parser):
        result = work(settings, folder)
    files = resolve(study.write)(result, folder)
    yield resolve(study.format)(result)
    yield "Written: " + ", ".join(str(file) for file in files)


# -- verbs that do what their input asks for ---------------------------------------------------------------------------


def _shared(verb: SharedVerb, words: Sequence[str]) -> Iterator[str]:
    if not verb.inputs:
        Parser(verb.name, description=verb.help).read(words)
        for everybody in _owners(verb):
            yield from _done(everybody.verbs[verb.name], Parser(verb.name, description=verb.help), ())
        return
    first = next(iter(_inputs(words)), None)
    if first is None:
        if _HELP.isdisjoint(words):
            raise InputError(f"inputs are missing: give {verb.inputs} (see limbeck {verb.name} --help)")
        yield _help(verb)
        return
    owner = _owner(verb, first)

    def check(given: Sequence[str]) -> None:
        for other in given:
            if _owner(verb, other) != owner:
                raise InputError(f"{first} and {other} are of different kinds: {verb.name} takes one kind at a time")

    parser = _parser(verb, owner, first)
    yield from _done(owner.verbs[verb.name], parser, words, check=check)


def _inputs(words: Sequence[str]) -> Iterator[str]:
    """Words that are not flags; those behind a flag, which may be its value, last."""
    pairs = [(before, word) for before, word in zip(("", *words), words, strict=False) if not word.startswith("-")]
    for behind in (False, True):
        yield from (word for before, word in pairs if (before.startswith("--") and "=" not in before) == behind)


def _owner(verb: SharedVerb, word: str) -> Task | Input:
    """Whose a word is: the task that its model was trained for, or the input that accepts it.

    Raises:
        InputError: nobody's, or there is no such verb for it.
    """
    path = Path(word)
    model = path / MODEL if path.is_dir() else path
    if model.is_file() and model.suffix == Path(MODEL).suffix:
        return _task(verb, model)
    inputs = [one for one in entries(Input).values() if verb.name in one.verbs]
    for one in sorted(inputs, key=lambda one: one.general):
        if resolve(one.accepts)(word):
            return one
    if path.is_dir():
        raise InputError(f"{word}: holds no {MODEL}; give the folder of a training that has ended")
    if path.exists():
        raise InputError(f"{word}: `limbeck {verb.name}` does not know such files; give {verb.inputs}")
    raise InputError(verb.missing.format(word=word, inputs=verb.inputs))


def _task(verb: SharedVerb, model: Path) -> Task:
    from limbeck.tensorfiles import read_description  # noqa: PLC0415

    found = read_description(model)["format"]
    tasks = {task.format: task for task in entries(Task).values()}
    if found not in tasks:
        raise InputError(f"{model}: a model of the format {found!r}; known are {', '.join(tasks)}: train it anew")
    if verb.name not in tasks[found].verbs:
        raise InputError(f"{model}: `limbeck {verb.name}` is not for models of `limbeck train {tasks[found].name}`")
    return tasks[found]


def _parser(verb: SharedVerb, owner: Task | Input, given: str) -> Parser:
    def elsewhere() -> dict[str, str]:
        """Flags of the verb for other inputs."""
        others = [_parser(verb, other, given) for other in _owners(verb) if other != owner]
        return {flag: given for other in others for flag in other.flags}

    parser = Parser(verb.name, usage="INPUT ...", description=f"{verb.help} ({_title(owner)})", elsewhere=elsewhere)
    if verb.several:
        parser.add_argument("inputs", type=str, nargs="+", help=verb.inputs)
    else:
        parser.add_argument("inputs", type=str, help=verb.inputs)
    _add(parser, owner.verbs[verb.name])
    return parser


def _owners(verb: SharedVerb) -> list[Task | Input]:
    everybody: list[Task | Input] = [*entries(Task).values(), *entries(Input).values()]
    return [one for one in everybody if verb.name in one.verbs]


def _title(owner: Task | Input) -> str:
    return f"models of `limbeck train {owner.name}`" if isinstance(owner, Task) else owner.name


def _help(verb: SharedVerb) -> str:
    """The help of a verb that was given nothing: what it takes, and its flags for each."""
    parts = [_parser(verb, owner, "").format_help() for owner in _owners(verb)]
    return "\n".join([f"limbeck {verb.name} takes {verb.inputs}. Its flags depend on what it is given.\n", *parts])
