"""What a representation keeps and what it throws away: each factor behind the pictures, read by a held-out probe."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from limbeck.errors import InputError
from limbeck.information import cross_fitted_information, quantile_classes
from limbeck.information.probes import Probe
from limbeck.modalities import MODALITIES
from limbeck.reid.evaluation import embed_split
from limbeck.reid.recipe import PeopleRecipe
from limbeck.reid.runs import load_run, recipe_of
from limbeck.reporting.console import quiet
from limbeck.reporting.progress import Progress
from limbeck.settings import Range, Seed, check_settings
from limbeck.synthetic.people import read_factors

Columns = Mapping[str, NDArray[Any]]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Factor:
    """A factor and how it becomes a label.

    Attributes:
        columns: of `limbeck.synthetic.people.Factors.columns` that it is made of.
        label: from these columns to `(pictures,)` classes.
        seen: the modalities whose pictures show it; in the other it must come out near zero: a check of the method.
        grouped: whether people stay whole in the folds, so that it is read from people whom the probe has not seen.
    """

    columns: tuple[str, ...]
    label: Callable[..., NDArray[Any]]
    seen: tuple[str, ...] = MODALITIES
    grouped: bool = True


def _colour(red: NDArray[Any], green: NDArray[Any], blue: NDArray[Any]) -> NDArray[Any]:
    """Dark, pale, reddish, greenish or bluish: the lots that colours are drawn from, and thirds of the hues."""
    channels = np.stack([red, green, blue])
    value, span = channels.max(axis=0), np.ptp(channels, axis=0)
    # Dark and pale garments are drawn with a saturation of at most 0.3, the others with 0.35 at least.
    grey = span <= 0.325 * value
    names = np.array(["reddish", "greenish", "bluish"])[channels.argmax(axis=0)]
    return np.where(grey, np.where(value < 0.425, "dark", "pale"), names)


def _lower_colour(kind: NDArray[Any], *channels: NDArray[Any]) -> NDArray[Any]:
    """A dress is of the upper garment's colour."""
    return np.where(kind == "dress", _colour(*channels[3:]), _colour(*channels[:3]))


def _girth(waist: NDArray[Any], belly: NDArray[Any], height: NDArray[Any]) -> NDArray[Any]:
    """Width and depth of the trunk relative to the height, to which pictures are scaled."""
    return quantile_classes((waist + belly) / height)


def _view(view: NDArray[Any]) -> NDArray[Any]:
    """Front, left, back or right: quarters of the circle about them."""
    return np.asarray((view + 45) % 360 // 90, dtype=np.int64)


def _step(phase: NDArray[Any], speed: NDArray[Any]) -> NDArray[Any]:
    """How far the walk has the legs apart, whichever is in front, in shares of the person's own stride."""
    return quantile_classes(speed * np.abs(np.sin(np.radians(phase))))


def _rgb(garment: str) -> tuple[str, ...]:
    return tuple(f"person.colours.{garment}.{channel}" for channel in ("red", "green", "blue"))


FACTORS: dict[str, Factor] = {
    "identity": Factor(("identity",), np.asarray, grouped=False),
    "upper cut": Factor(("person.upper.kind",), np.asarray),
    "bag": Factor(("person.bag.kind",), np.asarray),
    "build": Factor(("person.body.waist", "person.body.belly", "person.body.height"), _girth),
    "upper colour": Factor(_rgb("upper"), _colour, seen=("visible",)),
    "lower colour": Factor(("person.lower.kind", *_rgb("lower"), *_rgb("upper")), _lower_colour, seen=("visible",)),
    "upper reflectance": Factor(("person.infrared.upper",), quantile_classes, seen=("infrared",)),
    "brightness": Factor(("picture.light.brightness",), quantile_classes),
    "view": Factor(("picture.pose.view",), _view),
    "step": Factor(("picture.pose.phase", "picture.pose.speed"), _step),
    "camera": Factor(("camera",), np.asarray),
}
"""Name -> factor. Quartiles are those of all pictures given, so that a class means the same in both modalities.

* `identity`: who it is; folds are over pictures, since a person who was never seen has no name.
* of the person, seen in both modalities: `upper cut` (the garment's kind), `bag` (its kind, or none), `build` (waist
  and belly over height).
* of the person, seen in one: `upper colour` and `lower colour` (dark, pale, reddish, greenish, bluish; visible),
  `upper reflectance` (infrared).
* of the picture: `brightness`, `view` (front, left, back, right), `step` (how far the legs are apart), `camera`.
"""


@dataclass(frozen=True)
class FactorRow:
    """How much of a factor is read from a representation of the pictures of one modality.

    Attributes:
        representation: its name.
        modality: `visible` or `infrared`.
        factor: one of `FACTORS`.
        nats: the held-out lower bound on the mutual information.
        low: lower end of its interval.
        high: upper end of its interval.
        entropy: of the factor's classes, the most that can be read.
        accuracy: of the probe.
        majority: share of the most frequent class.
        pictures: how many there are.
        control: whether the modality does not show the factor, so that the truth is zero.
    """

    representation: str
    modality: str
    factor: str
    nats: float
    low: float
    high: float
    entropy: float
    accuracy: float
    majority: float
    pictures: int
    control: bool


def measure_factors(
    representations: Mapping[str, ArrayLike],
    factors: Columns,
    *,
    modality: ArrayLike,
    identity: ArrayLike,
    names: Sequence[str] | None = None,
    probe: Probe = "linear",
    folds: int = 5,
    seed: int = 0,
    confidence: float = 0.95,
    progress: Progress | None = None,
) -> list[FactorRow]:
    """Read every factor from every representation, in each modality by itself.

    Every figure is `cross_fitted_information`. Folds keep people whole, and the interval is over people, except for the
    identity itself, which has folds and an interval over pictures.

    Args:
        representations: name -> `(pictures, features)`, finite.
        factors: the columns of `limbeck.synthetic.people.Factors`, rows in the order of the representations'.
        modality: `(pictures,)` of "visible" and "infrared", or of 0 and 1.
        identity: `(pictures,)` integers.
        names: which of `FACTORS`; None: all.
        probe: `linear` or `mlp`.
        folds: how many.
        seed: of folds and probes.
        confidence: of the intervals.
        progress: called with the figures done and the figures in all.

    Returns:
        One row per modality, factor and representation, in this order. A factor that is the same in all pictures of a
        modality, like the only camera of one, has no row there.

    Raises:
        InputError: an argument does not fit the others, a column is missing, a factor is unknown, or a modality has too
            few people for the folds.
    """
    people = np.asarray(identity)
    if people.ndim != 1 or people.dtype.kind not in "iu":
        raise InputError(f"identity must be integers of shape (pictures,), not {people.dtype} {people.shape}")
    modalities = _modality_names(modality, len(people))
    features = _checked(representations, len(people))
    labels = {name: _labels(name, factors, len(people)) for name in (FACTORS if names is None else names)}
    todo = [
        (shown, name)
        for shown in MODALITIES
        for name, label in labels.items()
        if len(np.unique(label[modalities == shown])) > 1
    ]
    rows: list[FactorRow] = []
    for shown, name in todo:
        chosen = modalities == shown
        for representation, vectors in features.items():
            try:
                read = cross_fitted_information(
                    vectors[chosen],
                    labels[name][chosen],
                    groups=people[chosen] if FACTORS[name].grouped else None,
                    folds=folds,
                    probe=probe,
                    seed=seed,
                    confidence=confidence,
                )
            except InputError as error:
                raise InputError(f"{representation!r}, {shown} pictures, {name}: {error}") from error
            rows.append(
                FactorRow(
                    representation=representation,
                    modality=shown,
                    factor=name,
                    nats=read.nats,
                    low=read.low,
                    high=read.high,
                    entropy=read.entropy,
                    accuracy=read.accuracy,
                    majority=read.majority,
                    pictures=read.samples,
                    control=shown not in FACTORS[name].seen,
                )
            )
            if progress is not None:
                progress(len(rows), len(todo) * len(features))
    return rows


def _checked(representations: Mapping[str, ArrayLike], pictures: int) -> dict[str, NDArray[Any]]:
    features = {name: np.asarray(values) for name, values in representations.items()}
    if not features:
        raise InputError("representations must hold at least one")
    for name, values in features.items():
        if values.ndim != 2 or len(values) != pictures:
            raise InputError(
                f"representations[{name!r}] must have {pictures} rows, as identity has, not {values.shape}"
            )
    return features


def _labels(name: str, factors: Columns, pictures: int) -> NDArray[Any]:
    if name not in FACTORS:
        raise InputError(f"names must be among {', '.join(FACTORS)}, not {name!r}")
    factor = FACTORS[name]
    for column in factor.columns:
        if column not in factors:
            raise InputError(f"factors must hold the column {column!r}, which {name} is made of")
        if np.shape(factors[column]) != (pictures,):
            raise InputError(
                f"factors[{column!r}] must have {pictures} entries, as identity has, not {np.shape(factors[column])}"
            )
    try:
        return factor.label(*(np.asarray(factors[column]) for column in factor.columns))
    except InputError as error:
        raise InputError(f"factors: {name}: {error}") from error


def _modality_names(modality: ArrayLike, pictures: int) -> NDArray[np.str_]:
    array = np.asarray(modality)
    if array.shape != (pictures,):
        raise InputError(f"modality must have {pictures} entries, as identity has, not {array.shape}")
    if array.dtype.kind in "iub" and np.isin(array, (0, 1)).all():
        return np.array(MODALITIES)[array.astype(np.int64)]
    if array.dtype.kind != "U" or not np.isin(array, MODALITIES).all():
        raise InputError("modality must be of 'visible' and 'infrared', or of 0 and 1")
    return array


@dataclass(frozen=True)
class FactorsSettings:
    """What is read.

    Attributes:
        runs: folders that `limbeck train reid` or the re-identification ablation wrote.
        data: where the procedural people lie; None: where they lay in training.
        split: of them; nobody the models learned from should be in it.
        representations: which of the networks'; those that a model does not have are left out.
        names: which of `FACTORS`; None: all.
        probe: `linear` or `mlp`.
        probe_folds: of the cross-fitting.
        seed: of folds and probes.
    """

    runs: tuple[str, ...]
    data: str | None = None
    split: str = "test"
    representations: tuple[str, ...] = ("v specific", "z specific", "v shared", "z shared")
    names: tuple[str, ...] | None = None
    probe: Probe = "linear"
    probe_folds: Annotated[int, Range(ge=2)] = 5
    seed: Seed = 0

    def __post_init__(self) -> None:
        if not self.runs:
            raise InputError("runs must name at least one folder of a trained model")
        check_settings(self)


@dataclass(frozen=True)
class FactorsResult:
    """What was read: rows of one run after the other."""

    settings: FactorsSettings
    rows: tuple[FactorRow, ...]


def run(settings: FactorsSettings, folder: Path) -> FactorsResult:
    """Read the factors of procedural people from the representations of trained models.

    Models of one objective count as several runs of one thing; a representation is named by both ("vd: z shared").

    Args:
        settings: what is read.
        folder: nothing is written to it.

    Raises:
        InputError: a run cannot be read, its set is not one of procedural people, or nothing is left to read.
    """
    del folder
    runs = [Path(name) for name in settings.runs]
    _check_labels(runs)
    rows: list[FactorRow] = []
    for number, place in enumerate(runs, start=1):
        rows += _read_run(place, settings)
        logger.info("%d/%d: %s: read", number, len(runs), place)
    return FactorsResult(settings, tuple(rows))


def _check_labels(runs: Sequence[Path]) -> None:
    """Runs that would be counted as one thing must be trainings of one recipe, by different seeds.

    Raises:
        InputError: two are not.
    """
    known: dict[str, tuple[Path, PeopleRecipe, set[int]]] = {}
    for run in runs:
        recipe = recipe_of(run)
        essence = replace(recipe.elsewhere(), training=replace(recipe.training, seed=0))
        first, held, seeds = known.setdefault(_label(recipe), (run, essence, set()))
        if essence != held or recipe.training.seed in seeds:
            raise InputError(
                f"{run} and {first} would be counted as two seeds of one training ({_label(recipe)}), and are not: "
                "read them apart"
            )
        seeds.add(recipe.training.seed)


def _label(recipe: PeopleRecipe) -> str:
    return recipe.objective if recipe.network.bottleneck or not recipe.asked.heads else "without bottleneck"


def _read_run(run: Path, settings: FactorsSettings) -> list[FactorRow]:
    model = load_run(run)
    with quiet():
        embedded = embed_split(model, run, root=settings.data, split=settings.split)
    held = {name: found for name, found in embedded.representations.items() if name in settings.representations}
    if not held:
        known = ", ".join(embedded.representations)
        raise InputError(f"{run}: has none of {', '.join(settings.representations)}; it has {known}")
    factors, paths = read_factors(embedded.people.root), embedded.features.path
    assert paths is not None
    place = {path: row for row, path in enumerate(factors.columns["path"].tolist())}
    try:
        rows = np.array([place[path] for path in paths])
    except KeyError as error:
        raise InputError(f"{embedded.people.root}: the table of factors does not hold {error}") from None
    modality = embedded.features.modality
    assert modality is not None
    return measure_factors(
        {f"{_label(model.recipe)}: {name}": found for name, found in held.items()},
        {name: column[rows] for name, column in factors.columns.items()},
        modality=modality,
        identity=embedded.features.identity,
        names=settings.names,
        probe=settings.probe,
        folds=settings.probe_folds,
        seed=settings.seed,
    )
