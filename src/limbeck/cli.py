"""The `limbeck` command: one verb per job, typed arguments, YAML recipes, one line for every mistake."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from jsonargparse import ArgumentParser, Namespace

from limbeck.errors import InputError
from limbeck.reporting.console import console_output
from limbeck.reporting.progress import progress_bar

if TYPE_CHECKING:
    from limbeck.information.diagnosis import ViewFeatures
    from limbeck.retrieval.protocols import Permutations

Settings = TypeVar("Settings")
USAGE_ERROR, INTERRUPTED, TERMINATED = 2, 130, 143


@dataclass(frozen=True)
class _Verb:
    """One job of the command. What it needs is imported when it is chosen, so that help is quick.

    Attributes:
        help: what it does, in one line.
        arguments: adds its arguments to a parser.
        run: does it, given the parser and what it read.
    """

    help: str
    arguments: Callable[[ArgumentParser], object]
    run: Callable[[ArgumentParser, Namespace], None]


class _Parser(ArgumentParser):
    """A parser that says what is wrong in one line and exits with 2."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        del ex
        _fail(f"{' '.join(message.split())} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the words after `limbeck`; default: those of the process.

    Returns:
        0. Wrong usage or input prints one line and exits with 2, Ctrl-C with 130; a re-identification training that a
        signal stopped exits with 143, its checkpoint written.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if hasattr(sys.stdout, "reconfigure"):  # a terminal without box-drawing characters gets question marks
        sys.stdout.reconfigure(errors="replace")
    if words == ["--version"]:
        _print(f"limbeck {version('limbeck')}")
        return 0
    if words and words[-1] in ("-h", "--help") and " ".join(words[:-1]) not in VERBS:
        _print(_help())
        return 0
    name, rest = _choose(words)
    verb = VERBS[name]
    parser = _Parser(prog=f"limbeck {name}", usage=f"limbeck {name} ...", description=verb.help)
    verb.arguments(parser)
    try:
        config = parser.parse_args([_underscored(word) for word in rest])
        with console_output():
            verb.run(parser, config)
    except (InputError, OSError) as error:
        _fail(_one_line(error))
    except KeyboardInterrupt:
        sys.stderr.write("limbeck: interrupted; files that were already written are whole\n")
        raise SystemExit(INTERRUPTED) from None
    return 0


def _choose(words: list[str]) -> tuple[str, list[str]]:
    """The verb that the words begin with, and the words after it."""
    name = next((name for k in (3, 2, 1) if (name := " ".join(words[:k])) in VERBS), None)
    if name is None:
        family = [known for known in VERBS if words and known.split()[0] == words[0]] or list(VERBS)
        given = f"there is no verb {' '.join(words[:2])!r}" if words else "a verb is missing"
        _fail(f"{given}: choose from {', '.join(family)} (see limbeck --help)")
    return name, words[len(name.split()) :]


def _help() -> str:
    """What `limbeck --help` and `limbeck study --help` say."""
    verbs = "\n".join(f"  {name:<16}  {verb.help}" for name, verb in VERBS.items())
    return f"usage: limbeck VERB ...\n\n{__doc__}\n\n{verbs}\n\n`limbeck VERB --help` says more of one."


def _multiview_arguments(parser: ArgumentParser) -> None:
    from limbeck.multiview.recipe import Recipe  # noqa: PLC0415

    parser.add_argument("--config", action="config", help="a YAML recipe; flags after it override its values")
    _add_data(parser)
    parser.add_argument("--split", type=int, default=0, help="which stored split's parts to use")
    parser.add_argument("--seed", type=int, default=0, help="of initial weights, order and dropout")
    parser.add_argument("--device", type=str, default="cpu", help="where to compute")
    parser.add_argument("--out", type=str, required=True, help="folder for the model and its figures")
    parser.add_argument(
        "--information_epochs",
        type=int,
        default=0,
        help="every so many epochs measure I(v;y) and I(z;y) on the validation part; 0: never",
    )
    parser.add_class_arguments(Recipe, "recipe")


def _reid_arguments(parser: ArgumentParser) -> None:
    from limbeck.reid.recipe import ReidRecipe  # noqa: PLC0415

    parser.add_argument(
        "--config", action="config", help="a YAML recipe, or several; later ones and flags after them override it"
    )
    parser.add_argument("--device", type=str, default="cpu", help="where to compute; with torchrun: cuda or cpu")
    parser.add_argument("--out", type=str, required=True, help="the run's folder; a training begun there goes on")
    parser.add_class_arguments(ReidRecipe, as_group=False)


def _rank_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--model", type=str, required=True, help="a folder that `limbeck train reid` wrote")
    parser.add_argument("--query", type=str, required=True, help="a picture of a person")
    parser.add_argument("--gallery", type=str, required=True, help="a folder of pictures")
    parser.add_argument("--first", type=int, default=10, help="how many to show")
    parser.add_argument(
        "--query_modality", type=str, default="auto", help="visible, infrared, or auto: grey is infrared"
    )
    parser.add_argument("--gallery_modality", type=str, default="auto", help="the same, of every picture")
    parser.add_argument("--feature", type=str, default="v", help="what is compared: v, z or v+z")
    parser.add_argument("--out", type=str | None, default=None, help="folder for a page that shows the pictures")
    parser.add_argument("--device", type=str, default="cpu", help="where to compute")


def _evaluate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "inputs",
        type=str,
        nargs="+",
        help="folders that `limbeck train` wrote, or their model files; with --protocol also NPZ files of features; "
        "several are trials of one evaluation",
    )
    parser.add_argument("--protocol", type=str | None, default=None, help="score under this protocol (or family)")
    parser.add_argument("--feature", type=str, default="v", help="of re-identification models: v, z or v+z")
    parser.add_argument("--similarity", type=str, default="cosine", help="of features: cosine, euclidean or dot")
    parser.add_argument("--rerank", type=bool, default=False, help="re-rank with k-reciprocal neighbours (true, false)")
    parser.add_argument("--permutations", type=str | None, default=None, help="SYSU-MM01's rand_perm_cam.mat")
    parser.add_argument(
        "--out", type=str | None, default=None, help="a JSON file for figures of features; a folder for those of models"
    )
    parser.add_argument(
        "--data",
        type=str | None,
        default=None,
        help="an NPZ file, `digits`, or the folder of people; default: `digits`, or where they lay in training",
    )
    parser.add_argument("--split", type=int, default=0, help="which stored split's part of a multi-view set to score")
    parser.add_argument(
        "--part", type=str | None, default=None, help="train, validation, test, all or held_out; default: test"
    )
    parser.add_argument("--seed", type=int, default=0, help="of what a report's pictures show")
    parser.add_argument("--device", type=str, default="cpu", help="where to compute")


def _diagnose_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "input",
        type=str,
        help="an NPZ file with z_0, z_1, ..., y and perhaps v_0, ...; a multi-view set; or a folder of `limbeck train`",
    )
    parser.add_argument("--out", type=str | None, default=None, help="folder for figures, pictures and a page")
    parser.add_argument("--probe", type=str, default="linear", help="linear, or mlp: slower, reads more")
    parser.add_argument("--folds", type=int, default=5, help="of the cross-fitting")
    parser.add_argument("--confidence", type=float, default=0.95, help="of the intervals")
    parser.add_argument("--seed", type=int, default=0, help="of folds, probes and resamples")
    parser.add_argument(
        "--data", type=str | None, default=None, help="of a run: an NPZ file, `digits`, or the folder of people"
    )
    parser.add_argument("--split", type=int, default=0, help="which stored split of a multi-view set")
    parser.add_argument(
        "--part", type=str | None, default=None, help="train, validation, test, all or held_out; default: test of a run"
    )
    parser.add_argument("--branch", type=str, default="shared", help="of re-identification runs: shared or specific")
    parser.add_argument("--device", type=str, default="cpu", help="where a run's network computes")


def _ablation_arguments(parser: ArgumentParser) -> None:
    from limbeck.studies.multiview_ablation.run import AblationSettings  # noqa: PLC0415

    _add_data(parser)
    _add_study(parser, AblationSettings, out="runs/ablation", what="folder for the report")


def _table4_arguments(parser: ArgumentParser) -> None:
    from limbeck.studies.reid_ablation.run import Table4Settings  # noqa: PLC0415

    _add_study(parser, Table4Settings, out="runs/table4", what="folder for people, runs and the report")


def _factors_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("runs", type=str, nargs="+", help="run folders of models trained on procedural people")
    parser.add_argument("--data", type=str | None, default=None, help="the people; default: where they lay in training")
    parser.add_argument("--part", type=str, default="test", help="of the people: train, validation or test")
    parser.add_argument(
        "--representations",
        type=list[str],
        default=["v specific", "z specific", "v shared", "z shared"],
        help="which of the networks'",
    )
    parser.add_argument("--names", type=list[str] | None, default=None, help="which factors; default: all")
    parser.add_argument("--probe", type=str, default="linear", help="linear or mlp")
    parser.add_argument("--folds", type=int, default=5, help="of the cross-fitting")
    parser.add_argument("--seed", type=int, default=0, help="of folds and probes")
    parser.add_argument("--out", type=str, default="runs/factors", help="folder for the report")


def _table5_arguments(parser: ArgumentParser) -> None:
    from limbeck.studies.reid_cost.run import Table5Settings  # noqa: PLC0415

    _add_study(parser, Table5Settings, out="runs/table5", what="folder for the report")


def _estimators_arguments(parser: ArgumentParser) -> None:
    from limbeck.studies.estimators.run import EstimatorsSettings  # noqa: PLC0415

    _add_study(parser, EstimatorsSettings, out="runs/estimators", what="folder for the report")


def _fitting_arguments(parser: ArgumentParser) -> None:
    from limbeck.studies.fitting.run import FittingSettings  # noqa: PLC0415

    _add_study(parser, FittingSettings, out="runs/fitting", what="folder for people, runs and the report")


def _diagnosis_arguments(parser: ArgumentParser) -> None:
    from limbeck.studies.diagnosis.run import DiagnosisSettings  # noqa: PLC0415

    _add_study(parser, DiagnosisSettings, out="runs/diagnosis", what="folder for people, runs and the report")


def _add_study(parser: ArgumentParser, kind: type[object], *, out: str, what: str) -> None:
    parser.add_argument("--config", action="config", help="a YAML file of settings; flags after it override its values")
    parser.add_argument("--out", type=str, default=out, help=what)
    parser.add_class_arguments(kind, as_group=False)


def _add_data(parser: ArgumentParser) -> None:
    parser.add_argument("--data", type=str, default="digits", help="an NPZ file, or the embedded set `digits`")


def _no_arguments(parser: ArgumentParser) -> None:
    del parser


def _set_or_people(parser: ArgumentParser) -> None:
    parser.add_argument("data", type=str, help="an NPZ file, the embedded set `digits`, or sysu, regdb, llcm or csv")
    parser.add_argument("place", type=str | None, nargs="?", default=None, help="where the set of people lies")


def _check_arguments(parser: ArgumentParser) -> None:
    _set_or_people(parser)
    parser.add_argument("--decode", type=bool, default=True, help="open every picture of people too (true, false)")


def _people_arguments(parser: ArgumentParser) -> None:
    from limbeck.synthetic.people import PeopleSettings  # noqa: PLC0415

    parser.add_argument("--config", action="config", help="a YAML file of settings; flags after it override its values")
    parser.add_argument("directory", type=str, help="a new folder")
    parser.add_argument("--layout", type=str, default="sysu", help="sysu, regdb or csv")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; the result is the same")
    parser.add_class_arguments(PeopleSettings, as_group=False)


def _convert_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("source", type=str, help="a .mat, .npz or .csv file")
    parser.add_argument("target", type=str, help="the NPZ file to write")
    parser.add_argument("--views_key", type=str | None, default=None, help="the array that holds the views")
    parser.add_argument("--labels_key", type=str | None, default=None, help="the array or column that holds the labels")
    parser.add_argument("--name", type=str | None, default=None, help="what to call the set")
    parser.add_argument("--splits", type=int, default=5, help="how many 70/20/10 splits to draw where none are stored")
    parser.add_argument("--seed", type=int, default=0, help="of the splits")


def _download_arguments(parser: ArgumentParser) -> None:
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
            fold=config.split,
            seed=config.seed,
            device=config.device,
            resolved=parser.dump(config, skip_unset=False),
            information_epochs=config.information_epochs,
        )
    )


def _train_reid(parser: ArgumentParser, config: Namespace) -> None:
    from limbeck.reid.recipe import ReidRecipe  # noqa: PLC0415
    from limbeck.reid.runs import train_run  # noqa: PLC0415
    from limbeck.training.loop import MODEL  # noqa: PLC0415

    folder = Path(config.out)
    fitted = train_run(
        _settings(parser, config, ReidRecipe),
        folder,
        device=config.device,
        resolved=parser.dump(config, skip_unset=False),
    )
    if fitted.stopped:
        raise SystemExit(TERMINATED)
    if os.environ.get("RANK", "0") == "0":
        _print(f"Written: {folder / MODEL}")


def _reid_rank(parser: ArgumentParser, config: Namespace) -> None:
    del parser
    from limbeck.reid.runs import load_run  # noqa: PLC0415
    from limbeck.reid.search import format_found, rank_folder, write_found  # noqa: PLC0415

    _among("query_modality", config.query_modality, ("auto", "visible", "infrared"))
    _among("gallery_modality", config.gallery_modality, ("auto", "visible", "infrared"))
    _among("feature", config.feature, ("v", "z", "v+z"))
    model = load_run(Path(config.model), device=config.device)
    with progress_bar("pictures") as progress:
        found = rank_folder(
            model,
            Path(config.query),
            Path(config.gallery),
            first=config.first,
            query_modality=config.query_modality,
            gallery_modality=config.gallery_modality,
            feature=config.feature,
            progress=progress,
        )
    _print(format_found(found))
    if config.out is not None:
        _print(f"Written: {write_found(found, Path(config.out))}")


def _evaluate(parser: ArgumentParser, config: Namespace) -> None:
    del parser
    kinds = {_kind(Path(given)) for given in config.inputs}
    if len(kinds) > 1:
        raise InputError(f"{config.inputs[0]} and {config.inputs[-1]} are of different kinds: evaluate them apart")
    match kinds.pop():
        case "reid":
            _evaluate_reid(config)
        case "multiview":
            _evaluate_multiview(config)
        case _:
            _evaluate_features(config)


def _kind(given: Path) -> str:
    """Which task's model lies in a folder or file; "features" for any other file."""
    from limbeck.tensorfiles import read_description  # noqa: PLC0415
    from limbeck.training.loop import MODEL  # noqa: PLC0415

    file = given / MODEL if given.is_dir() else given
    if file.suffix == ".npz":
        return "features"
    if given.is_dir() and not file.is_file():
        raise InputError(f"{given}: holds no {file.name}; give the folder of a training that has ended")
    return "reid" if read_description(file)["format"].startswith("limbeck-reid") else "multiview"


def _evaluate_multiview(config: Namespace) -> None:
    from limbeck.multiview.runs import evaluate_run  # noqa: PLC0415

    first, *others = config.inputs
    if others or config.protocol is not None:
        raise InputError(f"{others[0] if others else first}: a multi-view model is scored alone, without --protocol")
    for name in ("out", "permutations"):
        if getattr(config, name) is not None:
            raise InputError(f"--{name} is for re-identification and for features: leave it out for {first}")
    data, part = config.data or "digits", config.part or "test"
    _print(evaluate_run(Path(first), data, fold=config.split, split=part, device=config.device))


def _evaluate_reid(config: Namespace) -> None:
    from limbeck.reid.evaluation import evaluate_runs  # noqa: PLC0415

    _among("feature", config.feature, ("v", "z", "v+z"))
    if config.split:
        raise InputError("--split is for multi-view sets: a run of RegDB knows its own split")
    _print(
        evaluate_runs(
            [Path(run) for run in config.inputs],
            protocol=config.protocol,
            root=config.data,
            split=config.part,
            feature=config.feature,
            out=None if config.out is None else Path(config.out),
            device=config.device,
            permutations=_permutations(config),
            similarity=config.similarity,
            rerank=config.rerank,
            seed=config.seed,
        )
    )


def _permutations(config: Namespace) -> Permutations | None:
    if config.permutations is None:
        return None
    from limbeck.reid.sets.sysu import read_permutations  # noqa: PLC0415

    return read_permutations(Path(config.permutations))


def _evaluate_features(config: Namespace) -> None:
    from limbeck.files import write_json  # noqa: PLC0415
    from limbeck.retrieval.evaluation import evaluate  # noqa: PLC0415
    from limbeck.retrieval.features import load_features  # noqa: PLC0415
    from limbeck.retrieval.protocols import named_protocols  # noqa: PLC0415
    from limbeck.retrieval.report.table import evaluations_as_json, format_evaluations  # noqa: PLC0415
    from limbeck.retrieval.reranking import KReciprocal  # noqa: PLC0415

    if config.protocol is None:
        raise InputError(f"{config.inputs[0]}: features are scored under a protocol: add --protocol")
    protocols = named_protocols(config.protocol, permutations=_permutations(config))
    with progress_bar("queries") as progress:
        evaluations = evaluate(
            [load_features(path) for path in config.inputs],
            protocols,
            similarity=config.similarity,
            reranking=KReciprocal() if config.rerank else None,
            device=None if config.device == "cpu" else config.device,
            progress=progress,
        )
    _print(format_evaluations(evaluations))
    if config.out is not None:
        write_json(config.out, evaluations_as_json(evaluations))
        _print(f"Written: {config.out}")


def _diagnose(parser: ArgumentParser, config: Namespace) -> None:
    del parser
    from limbeck.information.diagnosis import diagnose_view_features, write_diagnosis  # noqa: PLC0415

    _among("probe", config.probe, ("linear", "mlp"))
    features = _sources(config)
    if config.out is not None:  # rather now than after the work
        Path(config.out).mkdir(parents=True, exist_ok=True)
    with progress_bar("probes") as progress:
        found = diagnose_view_features(
            features,
            probe=config.probe,
            folds=config.folds,
            confidence=config.confidence,
            seed=config.seed,
            progress=progress,
        )
    _print(str(found))
    if config.out is not None:
        _print_written(write_diagnosis(found, config.out, title=f"Diagnosis of {config.input}"))


def _sources(config: Namespace) -> ViewFeatures:
    """What is to be diagnosed, from whatever the user gave."""
    given = Path(config.input)
    kind = "set" if _is_set(config.input) else _kind(given)
    for name, default, kinds in (
        ("data", None, ("reid", "multiview")),
        ("part", None, ("set", "reid", "multiview")),
        ("split", 0, ("set", "multiview")),
        ("branch", "shared", ("reid",)),
    ):
        if getattr(config, name) != default and kind not in kinds:
            raise InputError(f"--{name} is not for {given}: leave it out")
    match kind:
        case "set":
            from limbeck.multiview.diagnosis import view_features_of_set  # noqa: PLC0415

            return view_features_of_set(config.input, fold=config.split, split=config.part or "all")
        case "features":
            from limbeck.information.diagnosis import load_view_features  # noqa: PLC0415

            return load_view_features(given)
        case "reid":
            from limbeck.reid.diagnosis import view_features_of_run as view_features_of_reid  # noqa: PLC0415

            _among("branch", config.branch, ("shared", "specific"))
            part = config.part or "test"
            return view_features_of_reid(
                given, root=config.data, split=part, branch=config.branch, device=config.device
            )
        case _:
            from limbeck.multiview.diagnosis import view_features_of_run  # noqa: PLC0415

            return view_features_of_run(
                given, config.data or "digits", fold=config.split, split=config.part or "test", device=config.device
            )


def _is_set(given: str) -> bool:
    """Whether this is a multi-view set rather than features."""
    from limbeck.files import array_names  # noqa: PLC0415
    from limbeck.multiview.data import EMBEDDED  # noqa: PLC0415

    return given in EMBEDDED or not {"view_0", "view_0_data"}.isdisjoint(array_names(given))


def _study_estimators(parser: ArgumentParser, config: Namespace) -> None:
    from limbeck.studies.estimators.report import format_estimators, write_estimators  # noqa: PLC0415
    from limbeck.studies.estimators.run import EstimatorsSettings, run_estimators  # noqa: PLC0415

    settings, folder = _study(parser, config, EstimatorsSettings)
    result = run_estimators(settings)
    files = write_estimators(result, folder)
    _print(format_estimators(result))
    _print_written(files)


def _study_fitting(parser: ArgumentParser, config: Namespace) -> None:
    from limbeck.studies.fitting.report import format_fitting, write_fitting  # noqa: PLC0415
    from limbeck.studies.fitting.run import FittingSettings, run_fitting  # noqa: PLC0415

    settings, folder = _study(parser, config, FittingSettings)
    result = run_fitting(settings, folder)
    files = write_fitting(result, settings, folder)
    _print(format_fitting(result))
    _print_written(files)


def _study_diagnosis(parser: ArgumentParser, config: Namespace) -> None:
    from limbeck.studies.diagnosis.report import format_diagnoses, write_diagnoses  # noqa: PLC0415
    from limbeck.studies.diagnosis.run import DiagnosisSettings, run_diagnosis  # noqa: PLC0415

    settings, folder = _study(parser, config, DiagnosisSettings)
    result = run_diagnosis(settings, folder)
    files = write_diagnoses(result, folder)
    _print(format_diagnoses(result))
    _print_written(files)


def _study_table4(parser: ArgumentParser, config: Namespace) -> None:
    from limbeck.studies.reid_ablation.report import format_table4, write_table4  # noqa: PLC0415
    from limbeck.studies.reid_ablation.run import Table4Settings, run_table4  # noqa: PLC0415

    settings, folder = _study(parser, config, Table4Settings)
    trained = run_table4(settings, folder)
    files = write_table4(trained, settings, folder)
    _print(format_table4(trained, settings))
    _print_written(files)


def _study_factors(parser: ArgumentParser, config: Namespace) -> None:
    del parser
    from limbeck.studies.factors.report import format_factors, write_factors  # noqa: PLC0415
    from limbeck.studies.factors.run import run_factors  # noqa: PLC0415

    _among("probe", config.probe, ("linear", "mlp"))
    rows = run_factors(
        [Path(run) for run in config.runs],
        root=config.data,
        part=config.part,
        representations=config.representations,
        names=config.names,
        probe=config.probe,
        folds=config.folds,
        seed=config.seed,
    )
    files = write_factors(rows, Path(config.out))
    _print(format_factors(rows))
    _print_written(files)


def _study_table5(parser: ArgumentParser, config: Namespace) -> None:
    from limbeck.studies.reid_cost.run import Table5Settings, format_table5, run_table5, write_table5  # noqa: PLC0415

    settings, folder = _study(parser, config, Table5Settings)
    costs = run_table5(settings)
    files = write_table5(costs, settings, folder)
    _print(format_table5(costs, settings))
    _print_written(files)


def _study_ablation(parser: ArgumentParser, config: Namespace) -> None:
    from limbeck.multiview.data import load  # noqa: PLC0415
    from limbeck.studies.multiview_ablation.report import format_report, write_report  # noqa: PLC0415
    from limbeck.studies.multiview_ablation.run import AblationSettings, run_ablation  # noqa: PLC0415

    data = load(config.data)
    settings, folder = _study(parser, config, AblationSettings)
    result = run_ablation(data, settings)
    files = write_report(result, folder)
    _print(format_report(result))
    _print_written(files)


def _data_list(parser: ArgumentParser, config: Namespace) -> None:
    del parser, config
    from limbeck.multiview.commands import list_sets  # noqa: PLC0415

    _print(list_sets())


def _data_describe(parser: ArgumentParser, config: Namespace) -> None:
    del parser
    if config.place is not None:
        from limbeck.reid.commands import describe_people  # noqa: PLC0415

        _print(describe_people(config.data, Path(config.place)))
        return
    from limbeck.multiview.commands import describe  # noqa: PLC0415
    from limbeck.multiview.data import load  # noqa: PLC0415

    _print(describe(load(config.data)))


def _data_check(parser: ArgumentParser, config: Namespace) -> None:
    del parser
    if config.place is not None:
        from limbeck.reid.commands import check_set  # noqa: PLC0415

        with progress_bar("pictures") as progress:
            _print(check_set(config.data, Path(config.place), decode=config.decode, progress=progress))
        return
    from limbeck.multiview.commands import check  # noqa: PLC0415

    doubts = check(config.data)
    for doubt in doubts:
        _print(f"doubt: {doubt}")
    _print(f"{config.data}: usable, {len(doubts)} doubt{'s' * (len(doubts) != 1)}")


def _data_make_people(parser: ArgumentParser, config: Namespace) -> None:
    from limbeck.synthetic.people import PeopleSettings, make_people  # noqa: PLC0415

    settings = _settings(parser, config, PeopleSettings)
    with progress_bar("pictures") as progress:
        made = make_people(config.directory, settings, config.layout, workers=config.workers, progress=progress)
    _print(f"Written: {made.directory}, {made.images} pictures of {made.identities} people")


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
        folds=config.splits,
        seed=config.seed,
    )
    _print(describe(data))
    _print(f"Written: {config.target}")


def _data_download(parser: ArgumentParser, config: Namespace) -> None:
    del parser
    from limbeck.multiview.catalogue import download  # noqa: PLC0415

    result = download(config.name, config.directory, url=config.url, sha256=config.sha256)
    _print(f"Written: {result.path} (sha256 of the archive {result.sha256}; {result.verified})")


def _settings(parser: ArgumentParser, config: Namespace, kind: type[Settings]) -> Settings:
    """The settings whose fields are arguments of the parser's own."""
    ready = parser.instantiate(config)
    return kind(**{field.name: ready[field.name] for field in fields(kind)})  # type: ignore[arg-type]


def _study(parser: ArgumentParser, config: Namespace, kind: type[Settings]) -> tuple[Settings, Path]:
    """The settings of a study, and its folder with them written down.

    Before the work, so that an unwritable folder is known now and not in an hour.
    """
    from limbeck.files import write_text  # noqa: PLC0415

    settings, folder = _settings(parser, config, kind), Path(config.out)
    write_text(folder / "settings.yaml", parser.dump(config, skip_unset=False))
    return settings, folder


def _print_written(files: Iterable[Path]) -> None:
    _print("Written: " + ", ".join(str(file) for file in files))


def _among(name: str, value: str, options: tuple[str, ...]) -> None:
    if value not in options:
        raise InputError(f"{name} must be one of {', '.join(options)}, not {value!r}")


def _underscored(word: str) -> str:
    """Flags may be typed with hyphens, as shells like them, or underscores, as recipes write them."""
    flag, equals, value = word.partition("=")
    return "--" + flag[2:].replace("-", "_") + equals + value if word.startswith("--") else word


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())


def _print(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"limbeck: error: {message}\n")
    raise SystemExit(USAGE_ERROR)


VERBS = {
    "train multiview": _Verb("train a classifier on several views", _multiview_arguments, _train_multiview),
    "train reid": _Verb(
        "train a re-identification model on visible and infrared pictures", _reid_arguments, _train_reid
    ),
    "reid rank": _Verb("search a folder of pictures with one picture", _rank_arguments, _reid_rank),
    "evaluate": _Verb("score a trained model, or anybody's features under a protocol", _evaluate_arguments, _evaluate),
    "diagnose": _Verb(
        "nats that representations hold of a label: kept, lost, only in one view, shared; for any model's features",
        _diagnose_arguments,
        _diagnose,
    ),
    "study ablation": _Verb(
        "Table 7 and Figures 9 and 10 of Tian et al. 2022 on any multi-view set, beside plain baselines",
        _ablation_arguments,
        _study_ablation,
    ),
    "study table4": _Verb(
        "Table 4 of Tian et al. 2022 on procedural people: the bottleneck and every objective, over several seeds",
        _table4_arguments,
        _study_table4,
    ),
    "study factors": _Verb(
        "nats of identity, colour, light and pose read from v and z: what was kept and what was thrown away",
        _factors_arguments,
        _study_factors,
    ),
    "study table5": _Verb(
        "Table 5 of Tian et al. 2022: what every objective costs in time and parameters",
        _table5_arguments,
        _study_table5,
    ),
    "study estimators": _Verb(
        "every estimator of mutual information on tasks whose truth is known",
        _estimators_arguments,
        _study_estimators,
    ),
    "study diagnosis": _Verb(
        "what v and z hold after four trainings: bottleneck, conventional, variational distillation, released code",
        _diagnosis_arguments,
        _study_diagnosis,
    ),
    "study fitting": _Verb(
        "Figure 7 of Tian et al. 2021: I(v;y) and I(z;y) while training, over widths of the bottleneck",
        _fitting_arguments,
        _study_fitting,
    ),
    "data list": _Verb("list the known sets", _no_arguments, _data_list),
    "data describe": _Verb("say what a set holds", _set_or_people, _data_describe),
    "data check": _Verb("look for what would spoil a result; official counts", _check_arguments, _data_check),
    "data make people": _Verb("draw visible and infrared pictures of people", _people_arguments, _data_make_people),
    "data convert": _Verb("make an NPZ of a .mat, .npz or .csv file", _convert_arguments, _data_convert),
    "data download": _Verb("fetch a known set and verify it", _download_arguments, _data_download),
}
