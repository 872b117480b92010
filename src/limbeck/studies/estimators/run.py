"""How far estimators of mutual information are from the truth, on tasks where the truth is known."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.information.benchmark_tasks import BenchmarkTask, TaskSample, benchmark_task, benchmark_tasks
from limbeck.information.critics import BOUNDS, LEAST_SAMPLES, critic_information
from limbeck.information.estimates import InformationEstimate
from limbeck.information.neighbours import ksg_information, ross_information
from limbeck.information.probes import cross_fitted_information
from limbeck.information.stochastic import encoder_information
from limbeck.processes import process_pool
from limbeck.reporting.statistics import Estimate
from limbeck.settings import PositiveInt, Range, Seed, check_settings
from limbeck.studies.estimators.figures import Measured, read_measured, write_measured

logger = logging.getLogger(__name__)
CRITICS = tuple(BOUNDS)
PROBES = ("linear", "quadratic", "mlp")
NEIGHBOURS = ("ksg", "ross")
BRACKET = "bracket"
ESTIMATORS = (*NEIGHBOURS, BRACKET, "linear", "quadratic", "infonce", "dv", "mine", "nwj", "js", "mlp")  # slowest last
FOLDS = 5

_MOST_COLUMNS = {"ksg": 12, "ross": 8}


@dataclass(frozen=True)
class EstimatorsSettings:
    """What is measured.

    Attributes:
        samples: draws of each task that an estimator gets.
        seeds: how many times each task is drawn.
        first_seed: of the draws; the others follow it.
        estimators: of "nwj", "dv", "mine", "infonce", "js" (critics), "ksg", "ross" (nearest neighbours), "linear",
            "quadratic", "mlp" (probes) and "bracket" (the bounds of a Gaussian encoder of known densities).
        tasks: names of truth tasks; none means all.
        jobs: processes side by side, of one thread each.
    """

    samples: Annotated[int, Range(ge=LEAST_SAMPLES * FOLDS)] = 1000
    seeds: PositiveInt = 40
    first_seed: Seed = 0
    estimators: tuple[str, ...] = ESTIMATORS
    tasks: tuple[str, ...] = ()
    jobs: PositiveInt = 1

    def __post_init__(self) -> None:
        check_settings(self)
        for name in self.estimators:
            if name not in ESTIMATORS:
                raise InputError(f"estimators must be of {', '.join(ESTIMATORS)}, not {name!r}")
        for name in self.tasks:
            benchmark_task(name)


@dataclass(frozen=True)
class StatedError:
    """What is said beforehand of one figure: it lies in [truth + low, truth + high], 19 times of 20.

    Attributes:
        low: may be -inf.
        high: may be inf; where it is below zero, or `low` above, the estimator is said to fail, and on which side.
        why: in a few words.
    """

    low: float
    high: float
    why: str

    @property
    def fails(self) -> bool:
        """Whether the truth itself is outside."""
        return self.high < 0 or self.low > 0


@dataclass(frozen=True)
class EstimatorRow:
    """One estimator on one task: one figure per seed that was answered; the others are counted as refused."""

    task: BenchmarkTask
    estimator: str
    bound: str
    stated: StatedError
    nats: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    saturates: float | None
    seconds: float
    warnings: tuple[tuple[str, ...], ...]
    refused: int = 0

    @property
    def covered(self) -> float:
        """Share of the seeds whose interval holds the truth."""
        return float(self._holding().mean())

    @property
    def warned(self) -> float:
        """Share of the seeds with a warning."""
        return float(np.mean([len(one) > 0 for one in self.warnings]))

    @property
    def missed(self) -> float:
        """Share of the seeds whose interval contradicts what is stated: that the figure bounds the truth or is near it.

        The interval of a lower bound misses where all of it is above the truth, that of an upper bound where all of it
        is below, and any other where it does not hold the truth.
        """
        return float(self._missing().mean())

    @property
    def silent(self) -> float:
        """Share of the seeds whose interval misses, without a warning."""
        return float((self._missing() & self._unwarned()).mean())

    @property
    def loose(self) -> float:
        """Share of the seeds whose interval does not hold the truth, without a warning."""
        return float((~self._holding() & self._unwarned()).mean())

    def _holding(self) -> NDArray[np.bool_]:
        return (np.array(self.low) <= self.task.truth) & (np.array(self.high) >= self.task.truth)

    def _missing(self) -> NDArray[np.bool_]:
        if self.bound == "neither":
            return ~self._holding()
        return ~self._on_its_side()

    def _unwarned(self) -> NDArray[np.bool_]:
        return np.array([not one for one in self.warnings])

    def _on_its_side(self) -> NDArray[np.bool_]:
        allowed = (
            self.task.truth >= np.array(self.low) if self.bound == "lower" else self.task.truth <= np.array(self.high)
        )
        return np.asarray(allowed)

    @property
    def estimate(self) -> Estimate:
        """Of the nats, over seeds."""
        return Estimate.from_values(self.nats)

    @property
    def bias(self) -> float:
        """Mean less truth."""
        return self.estimate.mean - self.task.truth

    @property
    def within(self) -> float:
        """Share of the seeds whose figure is where it was said to be."""
        errors = np.array(self.nats) - self.task.truth
        return float(((errors >= self.stated.low) & (errors <= self.stated.high)).mean())

    @property
    def holds(self) -> bool:
        """Whether what was said is true of 95 % of the seeds."""
        return self.within >= 0.95

    @property
    def right(self) -> float | None:
        """Share of the seeds whose interval allows the bound to be on its side; None where there is no bound."""
        if self.bound == "neither":
            return None
        return float(self._on_its_side().mean())

    @property
    def saturated(self) -> bool:
        """Whether the truth is above what the figure can reach."""
        return self.saturates is not None and self.task.truth > self.saturates


@dataclass(frozen=True)
class EstimatorsResult:
    """Rows, a task after the other."""

    settings: EstimatorsSettings
    rows: tuple[EstimatorRow, ...]

    @property
    def right(self) -> dict[str, float]:
        """For each estimator that bounds: share of all its figures that are on the right side."""
        shares: dict[str, list[float]] = {}
        for row in self.rows:
            if row.right is not None:
                shares.setdefault(row.estimator, []).append(row.right)
        return {name: float(np.mean(own)) for name, own in shares.items()}


def run(settings: EstimatorsSettings, folder: Path) -> EstimatorsResult:
    """Draw every task with every seed, and ask every estimator that suits its kind.

    Critics suit all kinds; "ksg" continuous variables and encoders, whose observation and draw it gets; "ross" and the
    probes labels ("ross" not those whose x repeats itself); "bracket" encoders, of which it knows the densities.

    Args:
        settings: what is measured.
        folder: gets `figures/TASK-ESTIMATOR.json`, a seed after the other; a second call goes on where one stopped, and
            measures the seeds that are not there.

    Raises:
        InputError: a file of figures is damaged or of other settings.
        OSError: the folder cannot be written.
    """
    tasks = [benchmark_task(name) for name in settings.tasks] or benchmark_tasks()
    # Estimator by estimator, so that the quick ones are ready early.
    wanted = [(task.name, name) for name in settings.estimators for task in tasks if suits(name, task)]
    jobs = [(settings, folder, task, estimator) for task, estimator in wanted]
    found: dict[tuple[str, str], list[Measured]] = {}
    with closing(_all(jobs, settings.jobs)) as done:
        for (task_name, estimator), measured in zip(wanted, done, strict=True):
            found[task_name, estimator] = measured
            seconds = sum(one.seconds for one in measured)
            logger.info("%d/%d: %s, %s: %.0f s", len(found), len(wanted), task_name, estimator, seconds)
    rows = [
        row
        for task in tasks
        for estimator in settings.estimators
        if (task.name, estimator) in found
        for row in _rows(task, settings, found[task.name, estimator])
    ]
    return EstimatorsResult(settings, tuple(rows))


def suits(estimator: str, task: BenchmarkTask) -> bool:
    """Whether an estimator can be asked about a task."""
    if estimator in PROBES:
        return task.kind == "discrete label"
    if estimator == "ross":
        return task.kind == "discrete label" and task.name not in ("discrete-table", "structural-zeros")
    if estimator == "ksg":
        return task.kind != "discrete label"
    return estimator != BRACKET or task.kind == "gaussian encoder"


Job = tuple[EstimatorsSettings, Path, str, str]


def _all(jobs: list[Job], processes: int) -> Generator[list[Measured], None, None]:
    if min(processes, len(jobs)) <= 1:
        yield from map(_measure, jobs)
        return
    # Spawned, because threads of torch do not survive a fork.
    with process_pool(processes, method="spawn", initializer=torch.set_num_threads, arguments=(1,)) as pool:
        yield from pool.map(_measure, jobs)


def _measure(job: Job) -> list[Measured]:
    settings, folder, name, estimator = job
    task, file = benchmark_task(name), folder / "figures" / f"{name}-{estimator}.json"
    held = read_measured(file, settings.samples)
    seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
    for seed in seeds:
        if seed not in held:
            begun = time.perf_counter()
            try:
                estimates = tuple(_estimates(task.sample(settings.samples, seed), estimator, seed))
            except InputError as error:  # such as too few samples of a rare label
                logger.info("%s refuses %s, seed %d: %s", estimator, name, seed, error)
                estimates = ()
            held[seed] = Measured(estimates, time.perf_counter() - begun)
            write_measured(file, settings.samples, held)
    return [held[seed] for seed in seeds]


def _rows(task: BenchmarkTask, settings: EstimatorsSettings, measured: list[Measured]) -> Iterator[EstimatorRow]:
    answered = [one.estimates for one in measured if one.estimates]
    for own in zip(*answered, strict=True):
        yield EstimatorRow(
            task=task,
            estimator=own[0].estimator,
            bound=own[0].bound,
            stated=stated_error(own[0].estimator, task, settings.samples),
            nats=tuple(one.nats for one in own),
            low=tuple(one.low for one in own),
            high=tuple(one.high for one in own),
            saturates=own[0].saturates,
            seconds=float(np.mean([one.seconds for one in measured])),
            warnings=tuple(one.warnings for one in own),
            refused=len(measured) - len(answered),
        )


def _estimates(drawn: TaskSample, estimator: str, seed: int) -> list[InformationEstimate]:
    if estimator == "ksg":
        return [ksg_information(drawn.x, drawn.y, seed=seed)]
    if estimator == "ross":
        return [ross_information(drawn.x, drawn.y, seed=seed)]
    if estimator in PROBES:
        read = cross_fitted_information(drawn.x, drawn.y, probe=estimator, seed=seed)  # type: ignore[arg-type]
        ends = read.nats, read.low, read.high
        return [InformationEstimate(*ends, "lower", None, read.samples, estimator, read.warnings)]
    if estimator == BRACKET:
        assert drawn.mean is not None
        assert drawn.log_variance is not None
        bracket = encoder_information(drawn.mean, drawn.log_variance, seed=seed)
        known = [bracket.lower, *bracket.upper]
        return [InformationEstimate(**(vars(one) | {"estimator": f"known {one.estimator}"})) for one in known]
    return [critic_information(drawn.x, drawn.y, estimator=estimator, folds=FOLDS, seed=seed)]  # type: ignore[arg-type]


def stated_error(estimator: str, task: BenchmarkTask, samples: int) -> StatedError:
    r"""What an estimator is said to miss a task's truth by.

    With I the truth, n the samples, d the columns of x and y together (a label has none) and k those of z, the noise of
    a figure is taken as 3 / sqrt(n) nats, of nearest neighbours as 4 / sqrt(n), of known densities as 3 sqrt(k / n).
    Beyond noise, as measured at n = 1000 (docs/estimators.md):

    * critics miss the share 0.25 + 0.03 (d - 2) of I, at most 0.7, and 0.3 more of heavy tails; of fewer samples all of
      that times sqrt(1000 / n). Where I is above log m, with m the samples of a fold, they miss as much of log m, which
      they do not exceed: a failure;
    * "ksg" misses the share 0.06 (d - 2) of I; of heavy tails it misses up to all, and in more than two columns
      is never above I; with more than 12 columns it collapses, and is below I by a fifth of it or more;
    * "ross" misses nothing up to 8 columns; with more it is below I by a tenth of it or more;
    * probes miss the share 0.1 + 0.002 d of I; the linear one, of a task that is quadratic, half of it or more: a
      failure;
    * "known infonce" misses 2 e^I / n, at most 1 nat, of the lesser of I and log n;
    * the bounds of priors are above I by up to 1/2 nat (standard) or 1/4 nat (fitted) a column: how far the mixture is
      from the prior;
    * "known leave-one-out" is above I by up to 4 e^I / n; where I is above log n, by 10 nats or more: a failure.

    Args:
        estimator: its name in a row.
        task: with its truth and kind.
        samples: n.
    """
    columns = task.x_features + (0 if task.kind == "discrete label" else task.y_features)
    noise = 3 / math.sqrt(samples) + 3 * task.truth_error
    if estimator in CRITICS:
        return _critics_error(task, columns, samples, noise)
    if estimator == "linear" and task.quadratic:
        return StatedError(-task.truth - noise, -task.truth / 2, "no line tells the classes apart")
    if estimator in PROBES:
        return StatedError(-(0.1 + 0.002 * columns) * task.truth - noise, noise, "what its family cannot read")
    if estimator in NEIGHBOURS:
        return _neighbours_error(estimator, task, columns, 4 / 3 * noise)
    return _known_error(estimator, task, samples)


def _critics_error(task: BenchmarkTask, columns: int, samples: int, noise: float) -> StatedError:
    share = min(0.25 + 0.03 * max(columns - 2, 0), 0.7) + 0.3 * task.heavy_tails
    share = min(share * max(1.0, math.sqrt(1000 / samples)), 1.0)
    reach = math.log(samples / FOLDS)
    low = (1 - share) * min(task.truth, reach) - task.truth - noise
    if reach < task.truth:
        return StatedError(low, reach - task.truth, "does not exceed log m")
    return StatedError(low, noise, "what the critic does not learn")


def _neighbours_error(estimator: str, task: BenchmarkTask, columns: int, noise: float) -> StatedError:
    truth = task.truth
    if columns > _MOST_COLUMNS[estimator]:
        return StatedError(-truth - noise, -(0.2 if estimator == "ksg" else 0.1) * truth, "collapses with columns")
    if estimator == "ross":
        return StatedError(-noise, noise, "noise")
    if task.heavy_tails:
        return StatedError(-truth, 0.0 if columns > 2 else noise, "heavy tails")
    return StatedError(-0.06 * (columns - 2) * truth - noise, noise, "distances say less in more columns")


def _known_error(estimator: str, task: BenchmarkTask, samples: int) -> StatedError:
    truth, reach, noise = task.truth, math.log(samples), 3 * math.sqrt(task.y_features / samples)
    crowding = math.exp(min(truth - reach, 0.0))
    if estimator == "known infonce":
        low = min(truth, reach) - truth - noise - min(2 * crowding, 1.0)
        return StatedError(low, noise if truth <= reach else reach - truth, "nears log n, and stays there")
    if estimator == "known leave-one-out":
        if truth > reach:
            return StatedError(10.0, math.inf, "fails above log n")
        return StatedError(-noise, noise + 4 * crowding, "loosens towards log n")
    width = 0.5 if estimator == "known standard prior" else 0.25
    return StatedError(-noise, noise + width * task.y_features, "how far the prior is from the mixture")
