"""The `limbeck` command: one verb per job, typed arguments, YAML recipes, one line for every mistake."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

from limbeck.errors import InputError

USAGE_ERROR, INTERRUPTED = 2, 130
Verb = Callable[[ArgumentParser, Namespace], None]


class _Parser(ArgumentParser):
    """A parser that says what is wrong in one line and exits with 2."""

    def attach(self, commands: Any, name: str, help_text: str) -> None:
        """Become the subcommand `name`, with a usage line for people."""
        prog = self.prog
        commands.add_subcommand(name, self, help=help_text)
        self.prog, self.usage = prog, f"{prog} ..."

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        del ex
        _fail(f"{' '.join(message.split())} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the words after `limbeck`; default: those of the process.

    Returns:
        0. Wrong usage or input prints one line and exits with 2, Ctrl-C with 130.
    """
    parser, verbs = _parser()
    chosen = parser.parse_args(_underscored(sys.argv[1:] if arguments is None else arguments))
    words = _words(chosen)
    subparser, config = _descend(parser, chosen, words)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn  # type: ignore[assignment]
            verbs[" ".join(words)](subparser, config)
    except (InputError, OSError) as error:
        _fail(_one_line(error))
    except KeyboardInterrupt:
        sys.stderr.write("limbeck: interrupted; files that were already written are whole\n")
        raise SystemExit(INTERRUPTED) from None
    return 0


def _parser() -> tuple[ArgumentParser, dict[str, Verb]]:
    """The parser, and the function of each verb."""
    parser = _Parser(prog="limbeck", description=__doc__)
    parser.add_argument("--version", action="version", version=f"limbeck {version('limbeck')}")
    verbs: dict[str, Verb] = {}
    commands = parser.add_subcommands(dest="verb", required=True)
    for name, help_text, fill in (
        ("train", "train a model", _add_train),
        ("evaluate", "score a trained model", _add_evaluate),
        ("study", "reproduce a table or a figure of the papers", _add_study),
        ("data", "list, describe, check, convert or download data sets", _add_data),
    ):
        sub = _Parser(prog=f"limbeck {name}", description=help_text)
        sub.attach(commands, name, help_text)  # before it gets subcommands of its own
        verbs.update({f"{name} {inner}".strip(): verb for inner, verb in fill(sub).items()})
    return parser, verbs


def _add_train(parser: ArgumentParser) -> dict[str, Verb]:
    from limbeck.multiview.recipe import Recipe  # noqa: PLC0415 - a verb imports what it needs, `--help` imports nothing

    commands = parser.add_subcommands(dest="task", required=True)
    multiview = _Parser(prog="limbeck train multiview", description="Train a classifier on several views.")
    multiview.add_argument("--config", action="config", help="a YAML recipe; flags after it override its values")
    multiview.add_argument("--data", type=str, default="digits", help="an NPZ file, or the embedded set `digits`")
    multiview.add_argument("--split", type=int, default=0, help="which stored split's parts to use")
    multiview.add_argument("--seed", type=int, default=0, help="of initial weights, order and dropout")
    multiview.add_argument("--device", type=str, default="cpu")
    multiview.add_argument("--out", type=str, required=True, help="folder for the model and its figures")
    multiview.add_class_arguments(Recipe, "recipe")
    multiview.attach(commands, "multiview", "a classifier on several views")
    return {"multiview": _train_multiview}


def _add_evaluate(parser: ArgumentParser) -> dict[str, Verb]:
    parser.add_argument("run", type=str, help="a folder that `limbeck train` wrote, or its model file")
    parser.add_argument("--data", type=str, default="digits", help="an NPZ file, or the embedded set `digits`")
    parser.add_argument("--split", type=int, default=0, help="which stored split's part to score")
    parser.add_argument("--part", type=str, default="test", help="train, validation, test, or all samples")
    parser.add_argument("--device", type=str, default="cpu")
    return {"": _evaluate}


def _add_study(parser: ArgumentParser) -> dict[str, Verb]:
    from limbeck.studies.ablation import AblationSettings  # noqa: PLC0415

    commands = parser.add_subcommands(dest="study", required=True)
    ablation = _Parser(
        prog="limbeck study ablation",
        description="Table 7 and Figures 9 and 10 of Tian et al. 2022 on any multi-view set, beside plain baselines.",
    )
    ablation.add_argument(
        "--config", action="config", help="a YAML file of settings; flags after it override its values"
    )
    ablation.add_argument("--data", type=str, default="digits", help="an NPZ file, or the embedded set `digits`")
    ablation.add_argument("--out", type=str, default="runs/ablation", help="folder for the report")
    ablation.add_class_arguments(AblationSettings, as_group=False)
    ablation.attach(commands, "ablation", "what each part of the network and the loss is worth")
    return {"ablation": _study_ablation}


def _add_data(parser: ArgumentParser) -> dict[str, Verb]:
    commands = parser.add_subcommands(dest="action", required=True)
    one_file = {"type": str, "help": "an NPZ file, or the embedded set `digits`"}
    for name, help_text, fill in (
        ("list", "list the known sets", lambda sub: None),
        ("describe", "say what a set holds", lambda sub: sub.add_argument("data", **one_file)),
        ("check", "look for what would spoil a result", lambda sub: sub.add_argument("data", **one_file)),
        ("convert", "make an NPZ of a .mat, .npz or .csv file", _add_convert),
        ("download", "fetch a known set and verify it", _add_download),
    ):
        sub = _Parser(prog=f"limbeck data {name}", description=help_text)
        fill(sub)
        sub.attach(commands, name, help_text)
    return {
        "list": _data_list,
        "describe": _data_describe,
        "check": _data_check,
        "convert": _data_convert,
        "download": _data_download,
    }


def _add_convert(parser: ArgumentParser) -> None:
    parser.add_argument("source", type=str, help="a .mat, .npz or .csv file")
    parser.add_argument("target", type=str, help="the NPZ file to write")
    parser.add_argument("--views_key", type=str | None, default=None, help="the array that holds the views")
    parser.add_argument("--labels_key", type=str | None, default=None, help="the array or column that holds the labels")
    parser.add_argument("--name", type=str | None, default=None, help="what to call the set")
    parser.add_argument("--splits", type=int, default=5, help="how many 70/20/10 splits to draw where none are stored")
    parser.add_argument("--seed", type=int, default=0, help="of the splits")


def _add_download(parser: ArgumentParser) -> None:
    parser.add_argument("name", type=str, help="a set of `limbeck data list`")
    parser.add_argument("directory", type=str, help="where to put it")
    parser.add_argument("--url", type=str | None, default=None, help="another place to fetch it from")
    parser.add_argument("--sha256", type=str | None, default=None, help="the archive's checksum")


def _train_multiview(parser: ArgumentParser, config: Namespace) -> None:
    from limbeck.multiview.runs import train_run  # noqa: PLC0415

    _print(
        train_run(
            config.data,
            Path(config.out),
            parser.instantiate(config).recipe,
            split=config.split,
            seed=config.seed,
            device=config.device,
            resolved=parser.dump(config, skip_unset=False),
        )
    )


def _evaluate(parser: ArgumentParser, config: Namespace) -> None:
    del parser
    from limbeck.multiview.runs import evaluate_run  # noqa: PLC0415

    _print(evaluate_run(Path(config.run), config.data, split=config.split, part=config.part, device=config.device))


def _study_ablation(parser: ArgumentParser, config: Namespace) -> None:
    from limbeck.files import write_text  # noqa: PLC0415
    from limbeck.multiview.data import load  # noqa: PLC0415
    from limbeck.studies.ablation import AblationSettings, run_ablation  # noqa: PLC0415
    from limbeck.studies.report import format_table, write_report  # noqa: PLC0415

    ready = parser.instantiate(config)
    settings = AblationSettings(**{name: ready[name] for name in AblationSettings.__dataclass_fields__})
    data = load(config.data)
    # Before the work, so that an unwritable folder is known now and not in an hour.
    folder = Path(config.out)
    write_text(folder / "settings.yaml", parser.dump(config, skip_unset=False))
    result = run_ablation(data, settings, say=_tell)
    files = write_report(result, folder)
    _print(format_table(result))
    _print("Written: " + ", ".join(str(file) for file in files))


def _data_list(parser: ArgumentParser, config: Namespace) -> None:
    del parser, config
    from limbeck.multiview.commands import list_sets  # noqa: PLC0415

    _print(list_sets())


def _data_describe(parser: ArgumentParser, config: Namespace) -> None:
    del parser
    from limbeck.multiview.commands import describe  # noqa: PLC0415
    from limbeck.multiview.data import load  # noqa: PLC0415

    _print(describe(load(config.data)))


def _data_check(parser: ArgumentParser, config: Namespace) -> None:
    del parser
    from limbeck.multiview.commands import check  # noqa: PLC0415

    doubts = check(config.data)
    for doubt in doubts:
        _print(f"doubt: {doubt}")
    _print(f"{config.data}: usable, {len(doubts)} doubt{'s' * (len(doubts) != 1)}")


def _data_convert(parser: ArgumentParser, config: Namespace) -> None:
    del parser
    from limbeck.multiview.commands import describe  # noqa: PLC0415
    from limbeck.multiview.convert import convert  # noqa: PLC0415

    data = convert(
        config.source,
        config.target,
        views_key=config.views_key,
        labels_key=config.labels_key,
        name=config.name,
        splits=config.splits,
        seed=config.seed,
    )
    _print(describe(data))
    _print(f"Written: {config.target}")


def _data_download(parser: ArgumentParser, config: Namespace) -> None:
    del parser
    from limbeck.multiview.catalogue import download  # noqa: PLC0415

    result = download(config.name, config.directory, url=config.url, sha256=config.sha256)
    _print(f"Written: {result.path} (sha256 of the archive {result.sha256}; {result.verified})")


def _underscored(arguments: Sequence[str]) -> list[str]:
    """Flags may be typed with hyphens, as shells like them, or underscores, as recipes write them."""
    words = []
    for word in arguments:
        flag, equals, value = word.partition("=")
        words.append("--" + flag[2:].replace("-", "_") + equals + value if word.startswith("--") else word)
    return words


def _words(config: Namespace) -> list[str]:
    """The chosen verb and what follows it: the subcommands, outermost first."""
    words, level = [], config
    for destination in ("verb", "task", "study", "action"):
        word = level.get(destination)
        if word is not None:
            words.append(word)
            level = level[word]
    return words


def _descend(parser: ArgumentParser, config: Namespace, words: list[str]) -> tuple[ArgumentParser, Namespace]:
    """The innermost parser and what it read."""
    for word in words:
        assert parser._subcommands_action is not None
        parser = parser._subcommands_action._name_parser_map[word]
        config = config[word]
    return parser, config


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())


def _warn(message: Warning | str, *_: object) -> None:
    """A warning as one line, without the source line that raised it."""
    _tell(f"warning: {' '.join(str(message).split())}")


def _tell(line: str) -> None:
    sys.stderr.write(f"limbeck: {line}\n")


def _print(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"limbeck: error: {message}\n")
    raise SystemExit(USAGE_ERROR)
