"""How to train: the settings of the loop, and the learning rate they give to every step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

from limbeck.errors import InputError

Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["steps", "cosine", "constant"]
Precision = Literal["fp32", "bf16", "fp16"]

# Settings that cannot change the result: a run may go on with others. `validate_epochs` joins them where the last
# network is kept, see `resume_fingerprint`.
FREE = ("workers", "keep", "checkpoint_steps", "information_epochs", "tensorboard")


@dataclass(frozen=True)
class TrainingSettings:
    """How to train. One seed and one set of settings give one network, however often the training is interrupted.

    Attributes:
        epochs: passes over the training split.
        optimizer: "adam", "adamw", or "sgd" with Nesterov's momentum.
        learning_rate: the full rate, which warm-up leads up to and the schedule leads down from.
        momentum: of "sgd"; 0 for none.
        weight_decay: of every parameter. "adam" and "sgd": added to the gradient (L2), as torch.optim.Adam does;
            "adamw": decoupled.
        schedule: "steps" multiplies the rate by `decay` at every milestone; "cosine" leads it from the end of the
            warm-up to 0 at the end of the training; "constant" leaves it.
        warmup_epochs: the rate rises linearly over so many epochs, counted in steps, from nearly 0 to the full rate.
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
        select: which network is the result: the "last", or the "best" on held-out data, the earliest of equals. Never
            select on test data.
        information_epochs: every so many epochs, and before the first step and after the last, measure the nats of the
            label that can be read from observations and representations of held-out data; 0: never. It takes time, and
            changes nothing of the result.
        tensorboard: also write the curves for TensorBoard.

    Raises:
        InputError: a setting is of the wrong type or outside its range.
    """

    epochs: int = 60
    optimizer: Optimizer = "adam"
    learning_rate: float = 2.6e-4
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Schedule = "steps"
    warmup_epochs: float = 10
    milestones: tuple[int, ...] = (40,)
    decay: float = 0.1
    precision: Precision = "fp32"
    clip_norm: float | None = None
    seed: int = 0
    workers: int = 0
    checkpoint_steps: int | None = None
    keep: int = 2
    validate_epochs: int = 10
    select: Literal["last", "best"] = "last"
    information_epochs: int = 0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name, options in _OPTIONS.items():
            if getattr(self, name) not in options:
                raise InputError(f"{name} must be one of {', '.join(options)}, not {getattr(self, name)!r}")
        if not isinstance(self.tensorboard, bool):
            raise InputError(f"tensorboard must be true or false, not {self.tensorboard!r}")
        for name, (kind, fits, range_) in _RANGES.items():
            value = getattr(self, name)
            if not (value is None and name in _OPTIONAL) and not _is(value, kind, fits):
                raise InputError(f"{name} must be {_WORD[kind]} {range_}, not {value!r}")
        if not isinstance(self.milestones, tuple) or not all(_is(m, Integral, _positive) for m in self.milestones):
            raise InputError(f"milestones must be whole numbers above 0, not {self.milestones!r}")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise InputError(f"milestones must rise, not {self.milestones!r}")
        if self.select == "best" and not self.validate_epochs:
            raise InputError("select must be 'last' where validate_epochs is 0: there is nothing to choose by")


def learning_rate(settings: TrainingSettings, step: int, steps_per_epoch: int) -> float:
    """The learning rate of one step: a function of its place alone.

    Args:
        settings: see `TrainingSettings`.
        step: steps taken before this one.
        steps_per_epoch: steps in one pass over the training split.

    Example:
        >>> settings = TrainingSettings(learning_rate=0.1, warmup_epochs=2, milestones=(5,))
        >>> [round(learning_rate(settings, step, 10), 4) for step in (0, 9, 19, 20, 49, 50)]
        [0.005, 0.05, 0.1, 0.1, 0.1, 0.01]
    """
    warmup = settings.warmup_epochs * steps_per_epoch
    rate = settings.learning_rate * (min(1.0, (step + 1) / warmup) if warmup > 0 else 1.0)
    if settings.schedule == "steps":
        rate *= settings.decay ** sum(step >= milestone * steps_per_epoch for milestone in settings.milestones)
    elif settings.schedule == "cosine" and step >= warmup:
        way = (step - warmup) / (settings.epochs * steps_per_epoch - warmup)
        rate *= 0.5 * (1 + math.cos(math.pi * min(1.0, way)))
    return rate


def resume_fingerprint(settings: TrainingSettings) -> dict[str, Any]:
    """The settings that decide the result, which a resumed run must share."""
    values = dataclasses.asdict(settings)
    free = {*FREE, "validate_epochs"} if settings.select == "last" else set(FREE)
    return {name: value for name, value in values.items() if name not in free}


def _is(value: Any, kind: type, fits: Callable[[Any], bool]) -> bool:
    # bool is a whole number to Python, but true is no number of epochs.
    return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value) and fits(value)  # type: ignore[arg-type]


def _positive(value: Any) -> bool:
    return bool(value > 0)


def _not_negative(value: Any) -> bool:
    return bool(value >= 0)


_WORD: dict[type, str] = {Integral: "a whole number", Real: "a number"}
_OPTIONAL = ("clip_norm", "checkpoint_steps")
_OPTIONS = {
    "optimizer": ("adam", "adamw", "sgd"),
    "schedule": ("steps", "cosine", "constant"),
    "precision": ("fp32", "bf16", "fp16"),
    "select": ("last", "best"),
}
_RANGES: dict[str, tuple[type, Callable[[Any], bool], str]] = {
    "epochs": (Integral, _positive, "above 0"),
    "learning_rate": (Real, _positive, "above 0"),
    "momentum": (Real, lambda v: 0 <= v < 1, "from 0 to below 1"),
    "weight_decay": (Real, _not_negative, "not below 0"),
    "warmup_epochs": (Real, _not_negative, "not below 0"),
    "decay": (Real, lambda v: 0 < v <= 1, "above 0 and at most 1"),
    "clip_norm": (Real, _positive, "above 0"),
    "seed": (Integral, lambda v: 0 <= v < 2**63, "from 0 to below 2^63"),
    "workers": (Integral, _not_negative, "not below 0"),
    "checkpoint_steps": (Integral, _positive, "above 0"),
    "keep": (Integral, _positive, "above 0"),
    "validate_epochs": (Integral, _not_negative, "not below 0"),
    "information_epochs": (Integral, _not_negative, "not below 0"),
}
