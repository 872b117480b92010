"""A small task that trains in a moment, in this process or in one that may be killed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from limbeck.tensorfiles import read_tensors
from limbeck.training import (
    MODEL_FORMAT,
    Fitted,
    TrainingSettings,
    fit,
    gather,
    generator,
    interruption,
    process_group,
    rank,
    world_size,
)
from limbeck.training.loop import HeldOut

STEPS, SAMPLES = 7, 8
SETTINGS: dict[str, Any] = {
    "epochs": 3,
    "learning_rate": 0.02,
    "warmup_epochs": 1,
    "milestones": (2,),
    "seed": 3,
    "validate_epochs": 2,
}


class Drawn(Dataset[tuple[Tensor, Tensor]]):
    """Samples by key: the number of a sample in the training decides it, whoever loads it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        epoch, cursor = divmod(place, STEPS * SAMPLES)
        index = int(generator(self.seed, epoch).permutation(STEPS * SAMPLES)[cursor])
        inputs = torch.from_numpy(generator(self.seed, 0, index, 1).normal(size=6)).float()
        noise = torch.from_numpy(generator(self.seed, epoch, index, 2).normal(size=6)).float()
        return inputs + 0.1 * noise, (inputs.sum() > 0).long()


class ToyTask:
    """Two classes from six numbers, by a network with batch normalisation and dropout."""

    def __init__(
        self, settings: TrainingSettings, *, hook: Callable[[int], None] | None = None, dropout: float = 0.5
    ) -> None:
        torch.manual_seed(settings.seed)
        self.network = nn.Sequential(
            nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(dropout), nn.Linear(12, 2)
        )
        self.steps_per_epoch = STEPS
        self.settings, self.hook, self.asked = settings, hook, 0

    def batches(self, start: int, stop: int) -> Iterable[tuple[Tensor, Tensor]]:
        self.asked = start
        share = SAMPLES // world_size()
        rows = [
            range(step * SAMPLES + rank() * share, step * SAMPLES + (rank() + 1) * share) for step in range(start, stop)
        ]
        return DataLoader(Drawn(self.settings.seed), batch_sampler=rows, num_workers=self.settings.workers)

    def terms(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        if self.hook is not None:
            self.hook(self.asked)
        self.asked += 1
        logits, labels = gather(network(batch[0])).float(), gather(batch[1])
        return {"classification": F.cross_entropy(logits, labels), "size": 1e-3 * logits.square().mean()}

    def validate(self, network: nn.Module) -> dict[str, float]:
        inputs = torch.from_numpy(generator(99).normal(size=(32, 6))).float()
        right = network(inputs).argmax(1) == (inputs.sum(1) > 0)
        return {"accuracy": float(right.float().mean()), "noise": float(torch.rand(()))}


class MeasuredTask(ToyTask):
    """The same task, which also says what its hidden layer makes of held-out samples."""

    def held_out_representations(self, network: nn.Module) -> HeldOut:
        assert not network.training
        assert not torch.is_grad_enabled()
        torch.rand(3)  # draws of its own must not change the training
        inputs = torch.from_numpy(generator(98).normal(size=(40, 6))).float()
        hidden = network[:3](inputs)  # type: ignore[index]
        return HeldOut({"v": hidden[:, :2], "z": network(inputs)[:, :1]}, inputs.sum(1) > 0)


class RenewedTask(ToyTask):
    """The same task with labels of its own: made of the network before every epoch, and a memory that steps move."""

    def __init__(self, settings: TrainingSettings, **options: Any) -> None:
        super().__init__(settings, **options)
        self.threshold, self.memory = torch.zeros(()), torch.zeros(2, 6)
        self.ready = False

    def renew(self, network: nn.Module, epoch: int) -> dict[str, float]:
        assert not network.training
        assert not torch.is_grad_enabled()
        self.ready = True
        inputs = torch.from_numpy(generator(98, epoch).normal(size=(40, 6))).float()
        self.threshold = network(inputs)[:, 0].median() + 1e-3 * torch.rand(())
        self.memory = torch.zeros(2, 6)
        return {"threshold": float(self.threshold)}

    def state(self) -> dict[str, Any]:
        return {"threshold": self.threshold, "memory": self.memory, "plain": [1, "two"]}

    def restore(self, state: Mapping[str, Any]) -> None:
        assert state["plain"] == [1, "two"]
        self.threshold, self.memory, self.ready = state["threshold"], state["memory"], True

    def batches(self, start: int, stop: int) -> Iterable[tuple[Tensor, Tensor]]:
        assert stop <= (start // STEPS + 1) * STEPS  # those of one epoch, after its renewal
        assert self.ready
        return super().batches(start, stop)

    def terms(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        found = super().terms(network, batch)
        inputs, labels = gather(batch[0]), gather(batch[1])
        with torch.no_grad():
            own = torch.stack([inputs[labels == label].sum(0) for label in range(2)])
            self.memory = 0.9 * self.memory + 0.1 * own
        drawn = gather(network(batch[0])).float()[:, 0] - self.threshold
        return found | {"memory": 1e-2 * (drawn * (inputs @ self.memory.T)[:, 0]).mean()}


def train(
    folder: Path,
    *,
    hook: Callable[[int], None] | None = None,
    dropout: float = 0.5,
    renewed: bool = False,
    **changes: Any,
) -> Fitted:
    """Train the toy in a folder; where information is asked for, the one that can be measured."""
    settings = TrainingSettings(**(SETTINGS | changes))
    kind = RenewedTask if renewed else MeasuredTask if settings.information_epochs else ToyTask
    return fit(kind(settings, hook=hook, dropout=dropout), settings, folder, description={"toy": True})


def weights(folder: Path) -> dict[str, Tensor]:
    """The trained network of a run."""
    return read_tensors(folder / "model.safetensors", format=MODEL_FORMAT, what="network")[1]


def child(folder: str, *, pause: float = 0, stuck: int = -1, limit: int = 0, **changes: Any) -> int:
    """What a process of its own does: train the toy, each step taking `pause` seconds at least; 143 when stopped."""
    if limit:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    def hook(step: int) -> None:
        if step == stuck:
            (Path(folder) / "stuck").touch()
        time.sleep(1000 if step == stuck else pause)

    with process_group("cpu"):
        stopped = train(Path(folder), hook=hook, **changes).stopped
    return 128 + signal.SIGTERM if stopped else 0


def patient(folder: str) -> int:
    """A training whose step lasts for ever; the watchdog waits a short while only."""
    interruption.GRACE_SECONDS = 0.3
    return child(folder, stuck=9)
