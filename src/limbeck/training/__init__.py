"""One way to train: a thin loop over plain PyTorch and torchrun, with checkpoints and exact resume."""

from limbeck.training.batchnorm import GlobalBatchNorm, synchronised
from limbeck.training.checkpoints import Checkpoint, latest
from limbeck.training.distributed import barrier, gather, gather_rows, is_main, process_group, rank, world_size
from limbeck.training.guard import Diverged
from limbeck.training.keys import generator, seed_step
from limbeck.training.lock import run_lock
from limbeck.training.loop import MODEL_FORMAT, Fitted, HeldOut, Measurable, Paced, Renewed, Stateful, Task, fit
from limbeck.training.settings import TrainingSettings, learning_rate
from limbeck.training.steps import to_device

__all__ = [
    "MODEL_FORMAT",
    "Checkpoint",
    "Diverged",
    "Fitted",
    "GlobalBatchNorm",
    "HeldOut",
    "Measurable",
    "Paced",
    "Renewed",
    "Stateful",
    "Task",
    "TrainingSettings",
    "barrier",
    "fit",
    "gather",
    "gather_rows",
    "generator",
    "is_main",
    "latest",
    "learning_rate",
    "process_group",
    "rank",
    "run_lock",
    "seed_step",
    "synchronised",
    "to_device",
    "world_size",
]
