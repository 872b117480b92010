"""How to train: the settings of the loop, and the learning rate they give to every step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from limbeck.errors import InputError
from limbeck.settings import (
    Items,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    Seed,
    check_settings,
)

Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["steps", "cosine", "whole-cosine", "constant"]
Precision = Literal["fp32", "bf16", "fp16"]

# Settings that cannot change the result: a run may go on with others. `validate_epochs` joins them where the last
# network is kept, see `resume_fingerprint`.
FREE = ("workers", "keep", "checkpoint_steps", "information_epochs", "tensorboard")
# Settings that checkpoints of earlier versions lack, and how those trained.
LATER = {"warmup_steps": None, "decay_vectors": True}


@dataclass(frozen=True)
class TrainingSettings:
    r"""How to train. One seed and one set of settings give one network, however often the training is interrupted.

    Attributes:
        epochs: passes over the training split.
        optimizer: "adam", "adamw", or "sgd" with Nesterov's momentum.
        learning_rate: the full rate, which warm-up leads up to and the schedule leads down from.
        momentum: of "sgd"; 0 for none.
        weight_decay: of every parameter. "adam" and "sgd": added to the gradient (L2), as torch.optim.Adam does;
            "adamw": decoupled.
        decay_vectors: apply it to parameters of one dimension too: biases, and the scales of normalisation.
        schedule: "steps" multiplies the rate by `decay` at every milestone; "cosine" leads it from the end of the
            warm-up to 0 at the end of the training; "whole-cosine" leads it from the first step on, and the warm-up is
            a bound on it, :math:`\min((i + 1) / w, (1 + \cos(\pi i / T)) / 2)` in step i of T; "constant" leaves it.
        warmup_epochs: the rate rises linearly over so many epochs, counted in steps, from nearly 0 to the full rate.
        warmup_steps: the same in steps, w; it takes the place of `warmup_epochs` where given.
        milestones: epochs after which the rate is multiplied by `decay` ("steps" only).
        decay: see above.
        precision: of the network's arithmetic. "bf16" and "fp16" are torch's autocast; "fp16" scales the loss, so that
            small gradients survive. Weights and the optimiser's state are float32 always.
        clip_norm: a longer gradient is scaled to this norm; None: never.
        seed: of everything random.
        workers: processes that load data; 0: the training process itself.
        checkpoint_steps: write a checkpoint every so many steps; None: after every epoch.
        keep: so many checkpoints are kept, the newest.
        validate_epochs: look at held-out data every so many epochs, and after the last; 0: never.
        select: which network is the result: the "last", or the "best" on held-out data, the earliest of equals; "both":
            the last, and the best stays beside it as `best.safetensors`. Never select on test data.
        information_epochs: every so many epochs, and before the first step and after the last, measure the nats of the
            label that can be read from observations and representations of held-out data; 0: never. It takes time, and
            changes nothing of the result.
        tensorboard: also write the curves for TensorBoard.

    Raises:
        InputError: a setting is of the wrong type or outside its range.
    """

    epochs: PositiveInt = 60
    optimizer: Optimizer = "adam"
    learning_rate: PositiveFloat = 2.6e-4
    momentum: Annotated[float, Range(ge=0, lt=1)] = 0.9
    weight_decay: NonNegativeFloat = 5e-4
    decay_vectors: bool = True
    schedule: Schedule = "steps"
    warmup_epochs: NonNegativeFloat = 10
    warmup_steps: Annotated[int | None, Range(ge=0)] = None
    milestones: Annotated[tuple[PositiveInt, ...], Items(increasing=True)] = (40,)
    decay: Annotated[float, Range(gt=0, le=1)] = 0.1
    precision: Precision = "fp32"
    clip_norm: Annotated[float | None, Range(gt=0)] = None
    seed: Seed = 0
    workers: NonNegativeInt = 0
    checkpoint_steps: Annotated[int | None, Range(ge=1)] = None
    keep: PositiveInt = 2
    validate_epochs: NonNegativeInt = 10
    select: Literal["last", "best", "both"] = "last"
    information_epochs: NonNegativeInt = 0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        check_settings(self)
        if self.select != "last" and not self.validate_epochs:
            raise InputError("select must be 'last' where validate_epochs is 0: there is nothing to choose by")


class LearningRate(Protocol):
    """Whatever says these of its learning rate, in the words of `TrainingSettings`."""

    @property
    def epochs(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def schedule(self) -> Schedule: ...
    @property
    def warmup_epochs(self) -> float: ...
    @property
    def warmup_steps(self) -> int | None: ...
    @property
    def milestones(self) -> tuple[int, ...]: ...
    @property
    def decay(self) -> float: ...


def learning_rate(settings: LearningRate, step: int, steps_per_epoch: int) -> float:
    """The learning rate of one step: a function of its place alone.

    Args:
        settings: such as `TrainingSettings`.
        step: steps taken before this one.
        steps_per_epoch: steps in one pass over the training split.

    Example:
        >>> settings = TrainingSettings(learning_rate=0.1, warmup_epochs=2, milestones=(5,))
        >>> [round(learning_rate(settings, step, 10), 4) for step in (0, 9, 19, 20, 49, 50)]
        [0.005, 0.05, 0.1, 0.1, 0.1, 0.01]
    """
    warmup = settings.warmup_epochs * steps_per_epoch if settings.warmup_steps is None else settings.warmup_steps
    total = settings.epochs * steps_per_epoch
    if settings.schedule == "whole-cosine":
        rising = min(1.0, (step + 1) / warmup) if warmup > 0 else 1.0
        return settings.learning_rate * min(rising, 0.5 * (1 + math.cos(math.pi * min(1.0, step / total))))
    rate = settings.learning_rate * (min(1.0, (step + 1) / warmup) if warmup > 0 else 1.0)
    if settings.schedule == "steps":
        rate *= settings.decay ** sum(step >= milestone * steps_per_epoch for milestone in settings.milestones)
    elif settings.schedule == "cosine" and step >= warmup:
        way = (step - warmup) / (total - warmup)
        rate *= 0.5 * (1 + math.cos(math.pi * min(1.0, way)))
    return rate


def resume_fingerprint(settings: TrainingSettings) -> dict[str, Any]:
    """The settings that decide the result, which a resumed run must share; `LATER` ones where they say something."""
    values = dataclasses.asdict(settings)
    free = {*FREE, "validate_epochs"} if settings.select == "last" else set(FREE)
    held = {name: value for name, value in values.items() if name not in free}
    return {name: value for name, value in held.items() if name not in LATER or value != LATER[name]}


def refuse_more_epochs(there: Mapping[str, Any], epochs: Any) -> str:
    """Why a run cannot be given more epochs; empty where they change nothing of what was done.

    Args:
        there: the settings of the run, of `resume_fingerprint`.
        epochs: how many it is to have.
    """
    begun, schedule = there.get("epochs"), there.get("schedule")
    if not (isinstance(begun, int) and isinstance(epochs, int)):
        return "one of them is no number"
    if epochs < begun:
        return "a run can be given more epochs, not fewer"
    if schedule not in ("steps", "constant"):
        return f"by the schedule {schedule!r} the learning rate of what was done would have been another"
    every = there.get("validate_epochs")  # there only where the network is selected by it
    if every and begun % every:
        return f"its network is selected among every {every} epochs and its last, which would not have been looked at"
    return ""
