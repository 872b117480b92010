"""What two processes compute in the tests of segmentation: gradients of a batch, and a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tests.segmentation.segmentation_small import recipe
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from limbeck.segmentation.recipe import SegmentationRecipe
from limbeck.segmentation.runs import make_task, train_run
from limbeck.training import process_group, rank, synchronised, world_size

OBJECTIVES = ("none", "vcd", "mv2d")


def changed(distillation: str) -> dict[str, dict[str, Any]]:
    """Groups of the recipe; half of the steps have no pictures."""
    return {"loss": {"distillation": distillation}, "augmentation": {"no_pictures": 0.5}}


def gradients(streets: Path, distillation: str) -> dict[str, Tensor]:
    """Terms and gradients of the first step with pictures and of the first without, by this process's scans."""
    task = make_task(recipe(streets, **changed(distillation)))
    network = task.network.double().train()
    module: torch.nn.Module = network
    if world_size() > 1:
        module = DistributedDataParallel(synchronised(network, "cpu"), broadcast_buffers=False)
    found: dict[str, Tensor] = {}
    wanted = {True, False}
    for batch in task.batches(0, 8):
        seen = len(batch.pictures) > 0
        if seen not in wanted:
            continue
        wanted.remove(seen)
        double = batch._replace(
            features=batch.features.double(),
            voxels=batch.voxels.double(),
            pictures=batch.pictures.double(),
            sight=batch.sight._replace(pixels=batch.sight.pixels.double()),
        )
        module.zero_grad()
        terms = task.terms(module, double)
        torch.stack(list(terms.values())).sum().backward()
        found |= {f"{seen} term {name}": term.detach().reshape(1) for name, term in terms.items()}
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            found[f"{seen} {name}"] = parameter.grad.clone()
        found |= {f"{seen} {name}": buffer.clone() for name, buffer in network.named_buffers()}
    assert not wanted
    return found


def all_gradients(streets: str, folder: str) -> None:
    """Write those of every objective, from inside a group of processes."""
    with process_group(torch.device("cpu")):
        for distillation in OBJECTIVES:
            save_file(gradients(Path(streets), distillation), Path(folder) / f"{distillation}-{rank()}")


def train_together(streets: str, folder: str) -> None:
    """Train the small recipe, in all processes."""
    train_run(trained_together(Path(streets)), Path(folder))


def trained_together(streets: Path) -> SegmentationRecipe:
    """The recipe of `train_together`; without Adam, which makes a step of the last bit of a gradient next to 0."""
    return recipe(streets, training={"optimizer": "sgd", "learning_rate": 1e-3})
