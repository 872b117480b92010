"""limbeck's classifier and its peers on the folds of any multi-view set, complete and with views missing.

A trial is one peer, fitted on one fold with one thing missing while it learns, and asked under every condition that
this fit can answer. It is stored, so that a study goes on where it stopped.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from limbeck.errors import InputError
from limbeck.multiview.evaluation import Scores, score
from limbeck.multiview.recipe import QUICK, Recipe
from limbeck.multiview.views import Views, select
from limbeck.reporting.console import quiet
from limbeck.reporting.statistics import Difference, paired_difference
from limbeck.settings import Items, NonNegativeInt, PositiveInt, Probability, Range, Seed, check_settings
from limbeck.studies.multiview_peers.conditions import ALL, Fit, Mask, Rows, lacking, learning_rows
from limbeck.studies.multiview_peers.counts import CountSettings
from limbeck.studies.multiview_peers.features import hidden, without
from limbeck.studies.multiview_peers.limbeck_rows import OWN, OwnName, OwnRow, learned
from limbeck.studies.multiview_peers.peers import PEERS, Peer, TunedName
from limbeck.studies.multiview_peers.tuning import Learned, Model, tuned
from limbeck.studies.multiview_peers.world import World, read_world
from limbeck.studies.side_by_side import side_by_side
from limbeck.studies.stored import read_stored, write_stored

PeerName = Literal[OwnName, TunedName]
Missing = Literal["each", "refitted", "test", "both"]
FigureName = Literal["accuracy", "cross_entropy", "calibration_error"]
REFERENCE = "limbeck"
TRUTH = "best-possible"
CHOSEN = "chosen-on-validation"
_LACKING: dict[Missing, str] = {"test": "of test samples lack a view", "both": "of all samples lack a view"}
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MultiviewPeersSettings:
    """What the study does.

    Attributes:
        data: an NPZ file, the name of an embedded multi-view set, or "sparse-counts": drawn counts whose posterior is
            known.
        folds: 0: the folds stored with the data (five 70/20/10 ones where there are none); k: k drawn the same way.
        seed: of drawn folds, counts, samples and missing views; models of fold f: seed + f.
        rows: how many training and validation samples of a fold together, drawn class by class; null: all.
        peers: which classifiers.
        missing: "each": one view missing at test, each in turn; "refitted": the same, with models that never heard of
            the view; "test": some test samples lack one random view; "both": so do training and validation samples.
        shares: of samples that lack one random view; 0 is what is measured with all views.
        counts: the law of "sparse-counts".
        recipe: of limbeck's rows; the others are fitted by grids of their own.
        device: where limbeck's rows are trained.
        jobs: trials side by side, each in a process of its own with its share of the cores.
    """

    data: str = "digits"
    folds: NonNegativeInt = 0
    seed: Seed = 0
    rows: Annotated[int | None, Range(ge=2)] = None
    peers: Annotated[tuple[PeerName, ...], Items(empty=False, different=True)] = get_args(PeerName)
    missing: Annotated[tuple[Missing, ...], Items(different=True)] = ("each", "refitted", "test", "both")
    shares: Annotated[tuple[Probability, ...], Items(increasing=True)] = (0.5,)
    counts: CountSettings = field(default_factory=CountSettings)
    recipe: Recipe = QUICK
    device: str = "cpu"
    jobs: PositiveInt = 1

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class Trial:
    """What one fit of one peer on one fold gave.

    Attributes:
        figures: condition -> figures on test samples.
        chosen: what validation samples settled.
        validation_accuracy: of the model that they chose, before it was refitted; 0 for the known law.
        validation_cross_entropy: likewise, in nats.
        tuning_seconds: CPU seconds of the grid.
        fitting_seconds: CPU seconds of the last fit.
        predicting_seconds: CPU seconds of answering for the test samples once.
    """

    figures: dict[str, Scores]
    chosen: dict[str, float] = field(default_factory=dict)
    validation_accuracy: float = 0.0
    validation_cross_entropy: float = 0.0
    tuning_seconds: float = 0.0
    fitting_seconds: float = 0.0
    predicting_seconds: float = 0.0


@dataclass(frozen=True)
class _Wanted:
    """A trial, and where it is stored."""

    settings: MultiviewPeersSettings
    peer: str
    fold: int
    fit: Fit
    file: Path
    digest: str


@dataclass(frozen=True)
class MultiviewPeersResult:
    """Everything the study found.

    Attributes:
        settings: that were run.
        name: of the set.
        sizes: samples, classes, and training, validation and test samples of the first fold as they were used.
        view_names: of the set.
        test_to_train: test samples over training samples of the first fold as it is stored: of how much folds overlap,
            which a sample of their rows does not change.
        folds: how many.
        unavailable: peer -> why it was not run.
        trials: (peer, name of the fit) -> a trial a fold.
    """

    settings: MultiviewPeersSettings
    name: str
    sizes: dict[str, int]
    view_names: tuple[str, ...]
    test_to_train: float
    folds: int
    unavailable: dict[str, str]
    trials: dict[tuple[str, str], tuple[Trial, ...]]

    def rows(self) -> list[str]:
        """Peers that were run, in order, then the peer that validation samples choose, then the known law."""
        run = list(dict.fromkeys(peer for peer, _ in self.trials))
        rows = [peer for peer in run if peer != TRUTH]
        if len([peer for peer in rows if peer in PEERS]) > 1:
            rows.append(CHOSEN)
        return [*rows, TRUTH] if TRUTH in run else rows

    def groups(self) -> dict[str, tuple[str, ...]]:
        """What is compared -> its conditions, over which figures are averaged fold by fold."""
        settings, names = self.settings, self.view_names
        groups: dict[str, tuple[str, ...]] = {ALL: (ALL,)}
        if "each" in settings.missing:
            groups["one view missing at test"] = tuple(f"no {name}" for name in names)
        if "refitted" in settings.missing:
            groups["one view missing, peers refitted without it"] = tuple(f"refitted without {name}" for name in names)
        for kind, words in _LACKING.items():
            if kind in settings.missing:
                groups |= {f"{share:.0%} {words}": (_random(kind, share),) for share in settings.shares}
        return groups

    def values(self, row: str, conditions: str | Sequence[str], figure: FigureName = "accuracy") -> list[float]:
        """A figure of a row, one number a fold, mean over the conditions; empty where it was not measured.

        limbeck's rows and the known law answer without a view as they are: theirs is one fit for "no X" and "refitted
        without X".
        """
        asked = (conditions,) if isinstance(conditions, str) else conditions
        columns = [[getattr(one, figure) for one in self._figures(row, condition)] for condition in asked]
        if not columns or not all(columns):
            return []
        return [float(np.mean(of_fold)) for of_fold in zip(*columns, strict=True)]

    def curves(self) -> dict[str, tuple[tuple[float, str], ...]]:
        """Of each kind of random missing views, (share, condition) from none on; only kinds with two shares above 0."""
        shares = (0.0, *(share for share in self.settings.shares if share))
        return {
            words: tuple((share, _random(kind, share)) for share in shares)
            for kind, words in _LACKING.items()
            if kind in self.settings.missing and len(shares) > 2
        }

    def against(self, row: str, conditions: str | Sequence[str], figure: FigureName = "accuracy") -> Difference | None:
        """limbeck less a row, paired by fold; None for limbeck itself, and where either was not measured."""
        own, other = self.values(REFERENCE, conditions, figure), self.values(row, conditions, figure)
        if row == REFERENCE or not own or not other:
            return None
        return paired_difference(own, other, test_to_train=self.test_to_train)

    def seconds(self, row: str) -> tuple[float, float, float] | None:
        """CPU seconds of tuning, fitting and predicting a fold with all views, mean over folds."""
        trials = self.trials.get((row, Fit().name))
        if trials is None or row == TRUTH:
            return None
        means = np.mean([[t.tuning_seconds, t.fitting_seconds, t.predicting_seconds] for t in trials], axis=0)
        return tuple(means.tolist())

    def chosen_peer(self, fit: str, fold: int) -> str | None:
        """The tuned peer with the highest validation accuracy, of equals that of the lowest cross-entropy."""
        known = {peer: trials[fold] for (peer, name), trials in self.trials.items() if name == fit and peer in PEERS}
        if not known:
            return None
        return max(known, key=lambda p: (known[p].validation_accuracy, -known[p].validation_cross_entropy))

    def _figures(self, row: str, condition: str) -> list[Scores]:
        fit = self._fit_of(condition)
        view = fit.without
        if view is not None and (row in OWN or row == TRUTH):
            fit, condition = Fit(), f"no {self.view_names[view]}"
        found = []
        for fold in range(self.folds):
            peer = self.chosen_peer(fit.name, fold) if row == CHOSEN else row
            trials = self.trials.get((str(peer), fit.name))
            if trials is None or condition not in trials[fold].figures:
                return []
            found.append(trials[fold].figures[condition])
        return found

    def _fit_of(self, condition: str) -> Fit:
        for view, name in enumerate(self.view_names):
            if condition == f"refitted without {name}":
                return Fit(without=view)
        for share in self.settings.shares:
            if share and condition == _random("both", share):
                return Fit(share=share)
        return Fit()


def run(settings: MultiviewPeersSettings, folder: Path) -> MultiviewPeersResult:
    """Tune, fit and score whatever is not there yet.

    Args:
        settings: what to run.
        folder: gets `trials/`, a file a trial; a second call goes on where one stopped.

    Raises:
        InputError: the set cannot be read, a setting does not fit it, or the folder holds trials of other settings.
        OSError: the folder cannot be written.
    """
    read_world.cache_clear()
    world = _world(settings)
    if settings.missing and len(world.views.names) < 2:
        raise InputError(f"{world.data.name} has one view, which cannot be missing: set missing to []")
    for fold, codes in enumerate(world.folds):
        training, validation = learning_rows(codes, world.data.labels, settings.rows, settings.seed, fold)
        if fold == 0:
            sizes = {"training": len(training), "validation": len(validation), "test": int((codes == 2).sum())}
    unavailable: dict[str, str] = {
        peer: reason for peer in settings.peers if (reason := _row(peer).unavailable) is not None
    }
    peers = [peer for peer in settings.peers if peer not in unavailable]
    if not peers:
        raise InputError("; ".join(f"{peer}: {reason}" for peer, reason in unavailable.items()))
    wanted = [
        _Wanted(settings, peer, fold, fit, folder / "trials" / fit.name / peer / f"fold-{fold}.json", world.digest)
        for fold in range(len(world.folds))
        for fit in _fits(settings, len(world.views.names))
        for peer in (*peers, *([TRUTH] if world.law is not None else []))
        if fit.without is None or (peer not in OWN and peer != TRUTH)
    ]
    trials: dict[tuple[str, str], list[Trial]] = {}
    with closing(side_by_side(_trial, wanted, settings.jobs)) as done:
        for number, (one, trial) in enumerate(zip(wanted, done, strict=True)):
            trials.setdefault((one.peer, one.fit.name), []).append(trial)
            logger.info(
                "%d/%d: fold %d, %s, %s: %.2f %%",
                number + 1,
                len(wanted),
                one.fold,
                one.fit.name,
                one.peer,
                100 * float(np.mean([found.accuracy for found in trial.figures.values()])),
            )
    first = world.folds[0]
    return MultiviewPeersResult(
        settings,
        world.data.name,
        {"samples": world.data.samples, "classes": world.data.classes, **sizes},
        world.views.names,
        float((first == 2).sum() / (first == 0).sum()),
        len(world.folds),
        unavailable,
        {key: tuple(found) for key, found in trials.items()},
    )


def _row(peer: str) -> OwnRow | Peer:
    return OWN[peer] if peer in OWN else PEERS[peer]


def _random(kind: str, share: float) -> str:
    """The condition in which a share of samples lacks a random view."""
    return f"{kind} {share:g}" if share else ALL


def _fits(settings: MultiviewPeersSettings, views: int) -> list[Fit]:
    fits = [Fit()]
    if "refitted" in settings.missing:
        fits += [Fit(without=view) for view in range(views)]
    if "both" in settings.missing:
        fits += [Fit(share=share) for share in settings.shares if share]
    return fits


def _world(settings: MultiviewPeersSettings) -> World:
    return read_world(settings.data, settings.folds, settings.seed, settings.counts)


def _trial(wanted: _Wanted) -> Trial:
    """A trial, from its file where it was done before."""
    made_by = _made_by(wanted)
    asked = {name for name, _ in _conditions(wanted)}
    found = read_stored(Trial, wanted.file, made_by, "remove it to run the trial again")
    if found is not None and asked <= set(found.figures):
        return found
    # Other libraries do not hear of torch's share of the cores.
    with quiet(), threadpool_limits(torch.get_num_threads()), warnings.catch_warnings():
        # Of a hundred classes, a small sample of rows holds one or two each.
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
        found = _run_trial(wanted)
    write_stored(wanted.file, made_by, found)
    return found


def _made_by(wanted: _Wanted) -> dict[str, Any]:
    """What decides a trial."""
    settings, peer = wanted.settings, wanted.peer
    decided: dict[str, Any] = {"data": wanted.digest, "seed": settings.seed, "rows": settings.rows}
    if peer in OWN:
        decided |= {"recipe": asdict(settings.recipe), "changes": asdict(OWN[peer])}
    elif peer in PEERS:
        decided["grid"] = PEERS[peer].grid
    return decided


def _conditions(wanted: _Wanted) -> list[tuple[str, Fit]]:
    """Names of what the trial is asked, and what is then missing."""
    settings, fit = wanted.settings, wanted.fit
    names = _world(settings).views.names
    if fit.without is not None:
        return [(f"refitted without {names[fit.without]}", fit)]
    if fit.share:
        return [(_random("both", fit.share), fit)]
    # limbeck's rows and the known law are what they are refitted against: they answer without the view as they are.
    each = "each" in settings.missing or ("refitted" in settings.missing and wanted.peer in (*OWN, TRUTH))
    asked = [(ALL, Fit())]
    asked += [(f"no {name}", Fit(without=view)) for view, name in enumerate(names) if each]
    if "test" in settings.missing:
        asked += [(_random("test", share), Fit(share=share)) for share in settings.shares if share]
    return asked


def _run_trial(wanted: _Wanted) -> Trial:
    settings, fit = wanted.settings, wanted.fit
    world = _world(settings)
    labels, test = world.data.labels, np.flatnonzero(world.folds[wanted.fold] == 2)
    training, validation = learning_rows(world.folds[wanted.fold], labels, settings.rows, settings.seed, wanted.fold)
    parts = (training, validation, test)

    def seen(rows: Rows, lacks: Fit) -> tuple[Views, Rows]:
        """Rows with what is missing gone, and which of them still have a view."""
        present: Mask = world.views.present
        if lacks.share:
            present = lacking(present, parts, lacks.share, (settings.seed, wanted.fold))
        if lacks.without is not None:
            present = present.copy()
            present[lacks.without] = False
        kept = rows[present[:, rows].any(axis=0)]
        views = hidden(select(world.views, kept), present[:, kept])
        return (without(views, lacks.without) if fit.without is not None and lacks.without is not None else views), kept

    made: Learned | None = None
    model: Model
    if wanted.peer == TRUTH:
        law = world.law
        assert law is not None

        model = lambda views: np.exp(law.log_posterior(views))  # noqa: E731
    else:
        made = _learn(wanted, seen(training, fit), seen(validation, fit), labels)
        model = made.model
    found: dict[str, Scores] = {}
    predicting = 0.0
    for name, lacks in _conditions(wanted):
        views, rows = seen(test, lacks)
        started = time.process_time()
        probability = model(views)
        if not found:
            predicting = time.process_time() - started
        found[name] = score(probability, labels[rows], equal_mass=True)
    if made is None:
        return Trial(found)
    return Trial(
        found,
        made.chosen,
        made.validation_accuracy,
        made.validation_cross_entropy,
        made.tuning_seconds,
        made.fitting_seconds,
        predicting,
    )


def _learn(
    wanted: _Wanted, training: tuple[Views, Rows], validation: tuple[Views, Rows], labels: NDArray[np.int64]
) -> Learned:
    settings, seed = wanted.settings, wanted.settings.seed + wanted.fold
    given = training[0], labels[training[1]], validation[0], labels[validation[1]]
    # Samples that have no other view than the one that is gone were dropped.
    if len(np.unique(given[1])) < len(np.unique(labels)) or not len(given[3]):
        raise InputError(
            f"fold {wanted.fold}, {wanted.fit.name}: a class has no training sample left, or nothing is left to "
            'validate on; leave "refitted" out of missing'
        )
    if wanted.peer in OWN:
        return learned(OWN[wanted.peer], settings.recipe, *given, seed=seed, device=settings.device)
    return tuned(PEERS[wanted.peer], *given, seed=seed)
