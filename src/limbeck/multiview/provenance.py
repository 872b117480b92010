"""What a run learned from, kept with it, so that nothing later is measured on something else by mistake."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

from limbeck.errors import InputError
from limbeck.files import read_json, resolved, write_json
from limbeck.multiview.data import EMBEDDED, digest, load
from limbeck.multiview.tables import Layout
from limbeck.records import from_json
from limbeck.yamlfiles import read_yaml

FILE = "data.json"  # of a run folder


@dataclasses.dataclass(frozen=True)
class Source:
    """A set and what was used of it.

    Attributes:
        data: absolute path of a file, or the name of an embedded set.
        sha256: of the file's bytes; of an embedded set its digest; empty for a run of an earlier version.
        fold: that was trained on.
        split: that was learned from.
        layout: how a table says what is what, the fields of `Layout` that were given.
    """

    data: str
    sha256: str
    fold: int
    split: str = "train"
    layout: dict[str, str] = dataclasses.field(default_factory=dict)


def source_of(data: str | os.PathLike[str], fold: int, layout: Layout | None = None) -> Source:
    """The source of a training that is about to begin.

    Raises:
        InputError: the set cannot be read.
    """
    given = {} if layout is None else {k: v for k, v in vars(layout).items() if v != getattr(Layout, k)}
    if "groups" in given:
        given["groups"] = str(resolved(given["groups"]))
    return Source(_absolute(data), _checksum(data), fold, layout=given)


def write_source(source: Source, folder: Path) -> None:
    """Keep it with a run."""
    told = dataclasses.asdict(source)
    write_json(folder / FILE, {name: value for name, value in told.items() if value != {}})


def read_source(run: Path) -> Source | None:
    """What a run folder, or the folder of a model file, says it was trained on; None: nothing.

    Raises:
        InputError: it cannot be understood.
    """
    folder = run if run.is_dir() else run.parent
    for file in (folder / FILE, folder / "recipe.yaml"):  # runs of earlier versions have the second alone
        if not file.is_file():
            continue
        try:
            if file.name == FILE:
                return from_json(Source, read_json(file))
            known = read_yaml(file)
            if "data" in known:
                return Source(_absolute(str(known["data"])), "", int(known.get("fold", 0)))
        except (ValueError, TypeError) as error:
            raise InputError(f"{file}: damaged ({type(error).__name__}): give --data and --fold") from None
    return None


def layout_of(run: Path, **given: str | None) -> Layout | None:
    """How tables are read for a run: as it was trained, but for what is given; None where nothing says so."""
    known = read_source(run)
    told = ({} if known is None else known.layout) | {name: value for name, value in given.items() if value is not None}
    return Layout(**told) if told else None  # type: ignore[arg-type]


def choose_source(run: Path, data: str | os.PathLike[str] | None, fold: int | None) -> tuple[str, int, str]:
    """Which set and fold a trained model is to be measured on.

    Args:
        run: a run folder or a model file.
        data: what the user said; None: what it was trained on, which must not have changed since.
        fold: what the user said; None: the one it was trained on, or 0 of another set.

    Returns:
        The set, the fold, and a warning to tell, or nothing.

    Raises:
        InputError: nothing was said, and the run says nothing either, or its set has changed or gone.
    """
    known = read_source(run)
    if data is None:
        if known is None:
            raise InputError(
                f"{run}: does not say what it was trained on: give --data, an NPZ file or an embedded set "
                f"({', '.join(EMBEDDED)})"
            )
        _check_unchanged(run, known)
        data = known.data
    same = known is not None and _absolute(data) == known.data
    if known is None or not same:
        return os.fspath(data), 0 if fold is None else fold, ""
    if fold is None or fold == known.fold:
        return os.fspath(data), known.fold, ""
    return (
        os.fspath(data),
        fold,
        f"Beware: the model was trained on fold {known.fold}; it may have learned from samples of this split of fold "
        f"{fold}.",
    )


def _check_unchanged(run: Path, known: Source) -> None:
    if known.data not in EMBEDDED and not Path(known.data).is_file():
        raise InputError(f"{run}: was trained on {known.data}, which is not there any more: give --data")
    if known.sha256 and _checksum(known.data) != known.sha256:
        raise InputError(
            f"{known.data}: has changed since {run} was trained on it (its SHA-256 is another): restore it, or give "
            f"--data {known.data} to measure on it as it is now"
        )


def _absolute(data: str | os.PathLike[str]) -> str:
    return os.fspath(data) if data in EMBEDDED else str(resolved(data))


def _checksum(data: str | os.PathLike[str]) -> str:
    if data in EMBEDDED:
        whole = load(data)
        return digest(whole, whole.folds)
    with Path(data).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
