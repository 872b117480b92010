"""One way to train: a thin loop over plain PyTorch, which any interruption leaves exactly where it was."""

from __future__ import annotations

import logging
import math
import operator
import re
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar, runtime_checkable

import torch
import torch.distributed as dist
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from limbeck.devices import check_device
from limbeck.errors import TERMINATED, InputError
from limbeck.files import MODEL, first_line, write_text
from limbeck.reporting.progress import Advance, progress_bar
from limbeck.tensorfiles import write_tensors
from limbeck.training import checkpoints, guard, restoring
from limbeck.training.batchnorm import synchronised
from limbeck.training.distributed import asked_processes, barrier, from_main, is_main, rank, state_from_main, world_size
from limbeck.training.interruption import StopRequest, stop_signals
from limbeck.training.keys import seed_step
from limbeck.training.lock import run_lock
from limbeck.training.logs import StepLog, write_epochs
from limbeck.training.selection import improves
from limbeck.training.settings import TrainingSettings, learning_rate, resume_fingerprint
from limbeck.training.steps import autocast, make_optimizer, parameter_groups, to_device, total_of

if TYPE_CHECKING:
    from limbeck.information.curve import InformationRow

CHECKPOINTS, BEST = "checkpoints", "best.safetensors"
MODEL_FORMAT = "limbeck-network-1"
logger = logging.getLogger(__name__)
Batch = TypeVar("Batch")


class Task(Protocol[Batch]):
    """What is trained: a network, its batches, its loss, and its figures on held-out data."""

    @property
    def network(self) -> nn.Module:
        """What is trained. Begun from the seed alone, so that every start begins alike."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one pass over the training split."""

    def batches(self, start: int, stop: int) -> Iterable[Batch]:
        """This process's share of the global steps [start, stop), one batch per step, on the CPU.

        Iterated over once, for all that is left of the training. A batch must depend on its step alone: draw with
        `generator` and keys such as (seed, epoch, place).
        """

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The named terms of the loss, single numbers and already weighted; their sum is minimised.

        All of it runs under autocast where the precision asks for it. Compute the terms themselves in float32, as
        `with torch.autocast(device, enabled=False)` and `.float()` do. `network` is the task's own, or
        DistributedDataParallel around it: call it, so that gradients are shared.
        """

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures on held-out data; the first decides where the best network is selected, larger being better.

        Called in the main process alone, without gradients, with the bare network in evaluation mode: do not gather.
        {} where there is nothing held out.
        """


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a network makes of samples that it is not trained on.

    Attributes:
        representations: name -> `(samples, features)` on the CPU; "v ..." for observations and "z ..." for what
            bottlenecks made of them.
        labels: `(samples,)` integers, booleans or strings; the same at every call.
        groups: `(samples,)` of samples that belong together, see `cross_fitted_information`; or None.
    """

    representations: Mapping[str, ArrayLike]
    labels: ArrayLike
    groups: ArrayLike | None = None


@runtime_checkable
class Measurable(Protocol):
    """What a task has beside the rest of `Task` where `information_epochs` is to be possible."""

    def held_out_representations(self, network: nn.Module) -> HeldOut:
        """Observations and representations of held-out data, and their labels.

        Called as `Task.validate` is: in the main process alone, without gradients, with the bare network in evaluation
        mode.
        """


@runtime_checkable
class Stateful(Protocol):
    """What a task has beside the rest of `Task` where steps change something beside the network: a memory of samples.

    Steps must change it alike in all processes.
    """

    def state(self) -> Mapping[str, Any]:
        """It: nested, of tensors and plain values. It goes into every checkpoint."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over such a state.

        Raises:
            KeyError: something is missing.
            InputError, TypeError, AttributeError, ValueError: something does not fit this task.
        """


@runtime_checkable
class Paced(Protocol):
    """What a task has beside the rest of `Task` where some of its parameters learn at another rate."""

    @property
    def rate_factors(self) -> Mapping[str, float]:
        """Beginnings of parameters' names -> factor of the learning rate."""


@runtime_checkable
class Renewed(Stateful, Protocol):
    """What a task has beside the rest of `Task` where something is made anew before every epoch, of the network as it
    is then: pseudo-labels, memories.

    `Task.batches` is then called once for each epoch, after `renew`, for the steps of that epoch alone.
    """

    def renew(self, network: nn.Module, epoch: int) -> dict[str, float]:
        """Make it anew; figures for the epoch's row of the table, or {}.

        Called as `Task.validate` is, before the first step of every epoch (from 0): in the main process alone, without
        gradients, with the bare network in evaluation mode. It must depend on the network, the epoch and `state` alone.
        """

    def state(self) -> Mapping[str, Any]:
        """All that `renew` made and that steps have changed since; after `renew` it goes to the other processes."""


@dataclass(frozen=True)
class Fitted:
    """What a training came to.

    Attributes:
        step: steps taken.
        epoch: whole epochs taken.
        best_step: the step of the best figures on held-out data; None where they do not select.
        best: these figures.
        history: all figures on held-out data, each with its "epoch" and "step".
        stopped: a signal (SIGTERM, SIGHUP or Ctrl-C) ended the training early; the same call goes on.
        signal: which, where this process got it; else 0.
    """

    step: int
    epoch: int
    best_step: int | None = None
    best: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    stopped: bool = False
    signal: int = 0

    def leave(self) -> NoReturn:
        """End what a stopped training was a part of.

        Raises:
            KeyboardInterrupt: Ctrl-C stopped it.
            SystemExit: another signal did; with 143.
        """
        logger.warning("a training was stopped at step %d; the same command goes on", self.step)
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(TERMINATED)


def fit(
    task: Task[Batch],
    settings: TrainingSettings,
    folder: Path,
    *,
    device: str | torch.device = "cpu",
    fingerprint: Mapping[str, Any] | None = None,
    renamed: Mapping[str, str] | None = None,
    description: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
) -> Fitted:
    """Train a task's network in a folder, or go on with a training that was interrupted there.

    On the CPU an interrupted and resumed training gives bit for bit the network of an uninterrupted one, whatever ended
    it and whatever the number of loader processes, on the same machine with the same number of threads (with another
    number torch adds in another order). Inside `process_group` the processes train together; where the loss
    is computed from what `gather` gives they follow the course of a single process.

    One training at a time can use `folder`, see `run_lock`. In it are then `checkpoints/step-000000120.safetensors`
    (all that is needed to go on), `log.jsonl` (one line per step), `epochs.csv` (means per epoch, figures on held-out
    data), `model.safetensors` at the end (the selected network's weights and `description`), and `best.safetensors`
    while the best is selected, or is to stay beside the last. With `settings.information_epochs` also
    `information.csv` and `information.png`: nats of the label that can be read from held-out data, which a `Measurable`
    task gives.

    News goes to the logger `limbeck.training.loop`, how far the training has come to `progress_bar`.

    SIGTERM, SIGHUP and Ctrl-C end it after the step with a checkpoint. One that comes when the last step is taken is
    raised again at the end.

    The network is trained in place. Every step runs in training mode: a network with parts that must not (frozen
    normalisation) overrides its `train`. It is left with the weights of `model.safetensors`, in evaluation mode, unless
    the training was stopped.

    Args:
        task: what is trained.
        settings: how.
        folder: of the run; made when absent.
        device: where; the network is moved there.
        fingerprint: whatever else decides the result, as nested mappings of plain values. Going on with others is
            refused. `settings` and the steps per epoch are compared anyway.
        renamed: keys of `fingerprint` as checkpoints of earlier versions hold them -> the current keys.
        description: goes with the weights in `model.safetensors`; its "format", if any, becomes the file's format.
        texts: name -> content of files to be kept with the run, such as its recipe; written once it is known that the
            folder's checkpoints, if any, are of these settings.

    Raises:
        InputError: the folder or its checkpoints cannot be used, are of other settings or of another network, or
            another training is under way there; or a process that loads batches was killed: the last checkpoint
            stands.
        Diverged: a term of the loss or its gradient became infinite or NaN; no checkpoint is written of that.
        OSError: a file cannot be written; the last checkpoint stands.
    """
    run = _Run(task, settings, Path(folder), check_device(device), fingerprint or {}, renamed or {}, description or {})
    with stop_signals(run.standing) as stop, ExitStack() as stack:
        run.begin(stack)
        if is_main():
            for name, text in (texts or {}).items():
                write_text(run.folder / name, text)
            run.log = StepLog(run.folder, step=run.step, tensorboard=settings.tensorboard)
            stack.callback(run.log.close)
            if run.step < run.total:
                bar = progress_bar("training", unit="step", total=run.total, start=run.step)
                run.advance = stack.enter_context(bar)
        with _killed_loaders_told():
            stopped = run.train(stop)
        if not stopped:
            run.finish()
    if stop.number and not stopped:
        # All was done when it came: it is for whatever this training is a part of.
        signal.raise_signal(stop.number)
    return run.fitted(stopped, stop.number)


@contextmanager
def _killed_loaders_told() -> Iterator[None]:
    """torch says that a loader process was killed by a RuntimeError, wherever the training is at that moment."""
    try:
        yield
    except RuntimeError as error:
        if not re.match(r"DataLoader worker \(pid.*(killed by signal|exited unexpectedly)", str(error)):
            raise
        raise InputError(
            "a process that loads batches was killed, for want of memory perhaps; the same command goes on from the "
            "last checkpoint, also with fewer training.workers"
        ) from error


class _Run:
    """A training under way: everything that changes from step to step."""

    def __init__(
        self,
        task: Task[Any],
        settings: TrainingSettings,
        folder: Path,
        device: torch.device,
        fingerprint: Mapping[str, Any],
        renamed: Mapping[str, str],
        description: Mapping[str, Any],
    ) -> None:
        self.per_epoch = operator.index(task.steps_per_epoch)
        if self.per_epoch < 1:
            raise InputError(f"an epoch must have at least one step, not {self.per_epoch}; give more samples")
        if "training" in description:
            raise ValueError("description must not have the key 'training', which is the loop's own")
        if settings.information_epochs and not isinstance(task, Measurable):
            raise InputError("information_epochs must be 0: the task has no held_out_representations to measure")
        if world_size() == 1 and asked_processes() > 1:
            # Each would train alone, and all would write the same files.
            raise InputError("WORLD_SIZE asks for several processes; call fit inside limbeck.training.process_group")
        self.task, self.settings, self.folder = task, settings, folder
        self.device = device
        self.renamed = renamed
        self.description = dict(description)
        self.total = self.per_epoch * settings.epochs
        self.fingerprint = {
            **fingerprint,
            "steps_per_epoch": self.per_epoch,
            "training": resume_fingerprint(settings),
        }
        self.network = task.network.to(device)
        if world_size() > 1:
            self.network = synchronised(self.network, device)
        self.parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.optimizer = make_optimizer(
            settings.optimizer,
            self._groups(),
            device,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            momentum=settings.momentum,
        )
        self.scaler = torch.amp.GradScaler(device.type) if settings.precision == "fp16" else None
        self.module = self.network
        self.log: StepLog | None = None
        self.advance: Advance | None = None
        # What a checkpoint holds beside network, optimiser and scaler.
        self.step = 0
        self.closed = 0  # epochs whose row is written and whose validation is done
        self.sums: dict[str, list[float]] = {}  # of this epoch: sum and number of each value
        self.overflows = 0  # in a row
        self.rows: list[dict[str, float]] = []
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Any] | None = None
        self.information: list[InformationRow] = []
        self.renewed: dict[str, float] = {}  # figures of this epoch's renewal
        self._last: Path | None = None  # checkpoint

    def _groups(self) -> list[Any]:
        """What the optimiser is given: all parameters alike, or groups of them."""
        factors = self.task.rate_factors if isinstance(self.task, Paced) else {}
        if self.settings.decay_vectors and not factors:
            return list(self.parameters)
        return parameter_groups(
            self.network,
            weight_decay=self.settings.weight_decay,
            decay_vectors=self.settings.decay_vectors,
            factors=factors,
        )

    # -- beginning ----------------------------------------------------------------------------------------------------

    def begin(self, stack: ExitStack) -> None:
        """Lock and prepare the folder, and go on from its latest checkpoint if there is one."""
        found, error = None, ""
        if is_main():
            try:
                self._prepare(stack)
                found = checkpoints.latest(self.folder / CHECKPOINTS)
                if found is not None:
                    origin = str(self.folder)
                    checkpoints.check_fingerprint(origin, found.fingerprint, self.fingerprint, renamed=self.renamed)
            except InputError as caught:
                error = str(caught)
        # All processes fail alike, and all go on from the same file.
        shared = from_main({"path": found and str(found.path), "error": error}, self.device)
        if shared["error"]:
            raise InputError(shared["error"])
        if shared["path"] is not None:
            self._restore(found or checkpoints.read(shared["path"]))
            self.inform("%s: going on from step %d of %d", self.folder, self.step, self.total)
        if world_size() > 1:
            together = DistributedDataParallel(self.network)
            # Sent once, now. To send buffers before every call would change them between two calls in one step. (The
            # constructor's option for it has another name in every other release of torch.)
            together.broadcast_buffers = False
            self.module = together
        self.network.train()

    def _prepare(self, stack: ExitStack) -> None:
        inside = self.folder / CHECKPOINTS
        try:
            stack.enter_context(run_lock(self.folder))
            inside.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.folder}: cannot be made the folder of a run ({first_line(error)})") from None
        for folder in (self.folder, inside):
            checkpoints.remove_leftovers(folder)

    def _restore(self, checkpoint: checkpoints.Checkpoint) -> None:
        state, origin = checkpoint.state, str(checkpoint.path)
        try:
            # All of it is compared before any of it is loaded.
            restoring.check_network(self.network, state["network"], origin)
            restoring.check_optimizer(self.optimizer, state["optimizer"], origin)
            if self.scaler is not None:
                restoring.check_scaler(self.scaler, state["scaler"], origin)
            restoring.check_course(
                state, step=checkpoint.step, total=self.total, per_epoch=self.per_epoch, origin=origin
            )
            if state["best"] is not None:
                restoring.check_network(self.network, state["best"]["weights"], origin)
            # Checkpoints of before there was such a thing have none.
            information = restoring.information_rows(state.get("information", []), origin)
            if isinstance(self.task, Renewed):
                self.renewed = state["renewed"]
            if isinstance(self.task, Stateful):
                self._restore_task(self.task, state["task"], origin)
        except KeyError as error:
            raise InputError(f"{origin}: written by another version of limbeck (it has no {error})") from None
        restoring.load_network(self.network, state["network"], origin)
        restoring.load_optimizer(self.optimizer, state["optimizer"], origin)
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        self.closed, self.sums, self.overflows = state["closed"], state["sums"], state["overflows"]
        self.rows, self.history, self.best = state["rows"], state["history"], state["best"]
        self.information = information
        self.step, self._last = checkpoint.step, checkpoint.path
        if self.best is not None:
            # Memory of its own: the file's may be gone when it is read.
            self.best["weights"] = {name: tensor.clone() for name, tensor in self.best["weights"].items()}
            self._write_network(BEST, self.best)

    @staticmethod
    def _restore_task(task: Stateful, state: object, origin: str) -> None:
        """Let the task take over its own state, which it checks."""
        if not isinstance(state, Mapping):
            raise InputError(f"{origin} does not fit this training: task is no state; use another folder")
        try:
            task.restore(state)
        except (InputError, TypeError, AttributeError, ValueError) as error:
            raise InputError(f"{origin} does not fit this training: {first_line(error)}; use another folder") from None

    # -- training -----------------------------------------------------------------------------------------------------

    def train(self, stop: StopRequest) -> bool:
        """Take all steps that are left; whether a signal ended them early."""
        if self.step and self.step == (self.closed + 1) * self.per_epoch:  # left before its validation
            self._close_epoch()
            self._save()
        # Rather now than after many epochs.
        if not self.step and self.settings.select != "last" and not self._figures():
            raise InputError("select must be 'last': the task holds out no data to select the best network by")
        if not self.step and self.settings.information_epochs:
            self._measure()
        batches: Iterator[Any] = iter(())
        begun = False  # whether batches come from the task
        alone = world_size() == 1
        while self.step < self.total:
            if isinstance(self.task, Renewed):
                if self.step % self.per_epoch == 0:
                    self._renew(self.task)
                    begun = False
                stop_at = (self.step // self.per_epoch + 1) * self.per_epoch
            else:
                stop_at = self.total
            if not begun:
                batches, begun = iter(self.task.batches(self.step, stop_at)), True
            started = time.perf_counter()
            try:
                batch = self._next(batches)
            except (RuntimeError, OSError, EOFError):
                if not stop.comes():
                    raise
                # The signal went to the whole group, and the loader processes died of it: nothing was begun.
                return self._stopped()
            stopping = self._take(batch, stop, started)
            if stopping or (alone and stop.requested):
                return self._stopped()
            self._after_step()
            if alone and stop.requested and self.step < self.total:
                return self._stopped()
        return False

    def _renew(self, task: Renewed) -> None:
        """Let the main process make anew what the task makes before an epoch, and give it to all."""
        figures, error = {}, ""
        epoch = self.step // self.per_epoch
        if is_main():
            seed_step(self.settings.seed, self.step)
            self.network.eval()
            try:
                with torch.no_grad():
                    figures = {name: float(value) for name, value in task.renew(self.network, epoch).items()}
            except InputError as caught:
                error = str(caught)
            self.network.train()
        shared = from_main({"figures": figures, "error": error}, self.device)
        if shared["error"]:
            raise InputError(shared["error"])
        self.renewed = shared["figures"]
        if world_size() > 1:
            state = state_from_main(task.state() if is_main() else {}, self.device)
            if not is_main():
                task.restore(state)

    def _next(self, batches: Iterator[Any]) -> Any:
        try:
            batch = next(batches)
        except StopIteration:
            raise ValueError(f"the task's batches ended at step {self.step} of {self.total}") from None
        return to_device(batch, self.device)

    def _take(self, batch: Any, stop: StopRequest, started: float) -> bool:
        """One step; whether any process was asked to stop."""
        settings, number = self.settings, self.step + 1
        seed_step(settings.seed, self.step, rank())
        rate = learning_rate(settings, self.step, self.per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(settings, self.device):
            terms = self.task.terms(self.module, batch)
        total = total_of(terms)
        (total if self.scaler is None else self.scaler.scale(total)).backward()
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        *values, total_value, norm_value, asked = self._exchanged([*terms.values(), total, norm], stop)
        named = dict(zip(terms, values, strict=True))
        guard.check_terms(named, self.network, batch, step=number, standing=self._last)
        guard.check_terms({"total": total_value}, self.network, batch, step=number, standing=self._last)
        if self.scaler is None or math.isfinite(norm_value):
            guard.check_gradient(norm_value, self.network, step=number, standing=self._last)
            self.overflows = 0
            if settings.clip_norm is not None:
                torch.nn.utils.clip_grads_with_norm_(self.parameters, settings.clip_norm, norm)
            if self.scaler is None:
                self.optimizer.step()
            else:
                self.scaler.step(self.optimizer)
        else:  # the scale was too large: it is halved, and the step left out
            self.overflows += 1
            guard.check_overflows(self.overflows, step=number, standing=self._last)
        if self.scaler is not None:
            self.scaler.update()
        self.step = number
        self._record({"learning_rate": rate, "total": total_value, **named, "gradient_norm": norm_value}, started)
        return asked > 0

    def _exchanged(self, values: list[Tensor], stop: StopRequest) -> list[float]:
        """Means over the processes, and how many of them were asked to stop: one message, and one wait for the GPU."""
        wide = torch.float32 if self.device.type == "mps" else torch.float64
        vector = torch.stack([value.detach().reshape(()).to(self.device, wide) for value in values])
        if world_size() == 1:
            return [*vector.tolist(), float(stop.requested)]
        vector = torch.cat([vector / world_size(), vector.new_tensor([float(stop.requested)])])
        dist.all_reduce(vector)
        return vector.tolist()

    def _record(self, values: dict[str, float], started: float) -> None:
        epoch = (self.step - 1) // self.per_epoch + 1
        for name, value in values.items():
            if math.isfinite(value):
                entry = self.sums.setdefault(name, [0.0, 0])
                entry[0] += value
                entry[1] += 1
        if self.log is not None:
            seconds = round(time.perf_counter() - started, 6)
            self.log.write({"step": self.step, "epoch": epoch, **values, "seconds": seconds})
        if self.advance is not None:
            self.advance(self.step, state=f"epoch {epoch}/{self.settings.epochs}, loss {values['total']:.4g}")

    def _after_step(self) -> None:
        every, ended = self.settings.checkpoint_steps, self.step % self.per_epoch == 0
        if ended:
            epoch = self.step // self.per_epoch
            if self._due(self.settings.validate_epochs, epoch) or self._due(self.settings.information_epochs, epoch):
                self._save()  # a look at held-out data may take long, and be killed
            self._close_epoch()
        due = ended if every is None else self.step % every == 0
        if due or self.step == self.total:
            self._save()

    def _due(self, every: int, epoch: int) -> bool:
        return every > 0 and (epoch % every == 0 or epoch == self.settings.epochs)

    def _close_epoch(self) -> None:
        """Look at held-out data where it is time, and write the epoch's row."""
        epoch = self.step // self.per_epoch
        row: dict[str, float] = {"epoch": epoch, "step": self.step, **self.renewed}
        row |= {name: total / count for name, (total, count) in self.sums.items()}
        row["learning_rate"] = learning_rate(self.settings, self.step - 1, self.per_epoch)
        figures = self._figures() if self._due(self.settings.validate_epochs, epoch) else {}
        if figures:
            self.history.append({"epoch": epoch, "step": self.step, **figures})
            row |= {f"validation_{name}": value for name, value in figures.items()}
            shown = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
            self.inform("epoch %d: %s", epoch, shown)
            if self.settings.select != "last":
                self._consider(epoch, figures)
        if self._due(self.settings.information_epochs, epoch):
            row |= {f"information_{name}": nats for name, nats in self._measure().items()}
        self.rows.append(row)
        self.sums, self.closed = {}, epoch
        if self.log is not None:
            write_epochs(self.folder, self.rows)
            self.log.curve("validation", {"step": self.step, **figures})

    def _figures(self) -> dict[str, float]:
        """The task's figures on held-out data, from the main process, in all."""
        figures: dict[str, float] = {}
        if is_main():
            seed_step(self.settings.seed, self.step)
            self.network.eval()
            with torch.no_grad():
                figures = {name: float(value) for name, value in self.task.validate(self.network).items()}
            self.network.train()
        found: dict[str, float] = from_main(figures, self.device)
        return found

    def _measure(self) -> dict[str, float]:
        """Nats of the label that can be read from held-out data now, from the main process, in all; and their files."""
        from limbeck.information.curve import InformationCurve, write_information  # noqa: PLC0415 (most do not measure)

        rows, error = [], ""
        if is_main():
            assert isinstance(self.task, Measurable)
            seed_step(self.settings.seed, self.step)
            self.network.eval()
            try:
                with torch.no_grad():
                    held_out = self.task.held_out_representations(self.network)
                curve = InformationCurve(
                    held_out.labels, groups=held_out.groups, seed=self.settings.seed, rows=self.information
                )
                rows = [asdict(row) for row in curve.record(self.step, held_out.representations)]
                self.information = curve.rows
            except InputError as caught:
                error = str(caught)
            self.network.train()
        shared = from_main({"rows": rows, "error": error}, self.device)
        if shared["error"]:
            raise InputError(f"information_epochs: {shared['error']}")
        nats: dict[str, float] = {row["name"]: row["nats"] for row in shared["rows"]}
        entropy = shared["rows"][0]["entropy"]
        shown = ", ".join(f"{name} {value:.3f}" for name, value in nats.items())
        self.inform("step %d: of %.3f nats of the label are read from %s", self.step, entropy, shown)
        if self.log is not None:
            write_information(self.information, self.folder)
            self.log.curve("information", {"step": self.step, **nats})
        return nats

    def _consider(self, epoch: int, figures: dict[str, float]) -> None:
        """Keep the network if it is better than the best so far."""
        best = None if self.best is None else next(iter(self.best["figures"].values()))
        if not improves(next(iter(figures.values())), best):
            return
        weights = {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}
        self.best = {"step": self.step, "epoch": epoch, "figures": figures, "weights": weights}
        self._write_network(BEST, self.best)

    # -- files --------------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        guard.check_network(self.network, step=self.step, standing=self._last)
        folder = self.folder / CHECKPOINTS
        if self.log is not None:
            self.log.settle()
            state = {
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": None if self.scaler is None else self.scaler.state_dict(),
                "closed": self.closed,
                "sums": self.sums,
                "overflows": self.overflows,
                "rows": self.rows,
                "history": self.history,
                "best": self.best,
                "information": [asdict(row) for row in self.information],
            }
            if isinstance(self.task, Renewed):
                state["renewed"] = self.renewed
            if isinstance(self.task, Stateful):
                state["task"] = dict(self.task.state())
            checkpoints.write(folder, self.step, state, self.fingerprint, keep=self.settings.keep)
        self._last = checkpoints.path_of(folder, self.step)

    def _stopped(self) -> bool:
        self._save()
        self.inform(
            "stopped at step %d of %d; %s stands, the same command goes on", self.step, self.total, self.standing()
        )
        return True

    def finish(self) -> None:
        """Write the selected network, and leave the task with it."""
        if self.best is not None and self.settings.select == "best":
            self.network.load_state_dict(self.best["weights"])
        self._write_network(MODEL, self.best if self.settings.select == "best" else None)
        self.network.eval()
        barrier()

    def _write_network(self, name: str, chosen: dict[str, Any] | None) -> None:
        """Write the best network, as `chosen` has it, or without one the network as it is."""
        if not is_main():
            return
        best = chosen or {"step": self.step, "epoch": self.closed, "figures": {}}
        if chosen is None and self.history and self.history[-1]["step"] == self.step:
            best["figures"] = {k: v for k, v in self.history[-1].items() if k not in {"epoch", "step"}}
        plain = {name: value for name, value in self.description.items() if name != "format"}
        trained = {key: best[key] for key in ("step", "epoch", "figures")} | {
            "settings": resume_fingerprint(self.settings)
        }
        weights = best.get("weights") or self.network.state_dict()
        form = str(self.description.get("format", MODEL_FORMAT))
        write_tensors(self.folder / name, weights, {**plain, "training": trained}, format=form)

    # -- words --------------------------------------------------------------------------------------------------------

    def inform(self, message: str, *values: object) -> None:
        if is_main():
            logger.info(message, *values)

    def standing(self) -> str:
        return str(self._last) if self._last is not None else "no checkpoint"

    def fitted(self, stopped: bool, number: int) -> Fitted:
        best = self.best or {"step": None, "figures": {}}
        epoch, figures = self.step // self.per_epoch, dict(best["figures"])
        return Fitted(self.step, epoch, best["step"], figures, list(self.history), stopped, number)
