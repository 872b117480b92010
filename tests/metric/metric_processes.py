"""What two processes compute in the tests of metric learning: gradients of a batch for every loss, and a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tests.metric.metric_photographs import recipe
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from limbeck.metric.loss import training_terms
from limbeck.metric.network import MetricNetwork, Outputs
from limbeck.metric.runs import train_run
from limbeck.nn import CrossBatchMemory
from limbeck.training import gather, process_group, rank, synchronised, world_size

CLASSES, EACH = 4, 2
LOSSES: dict[str, dict[str, Any]] = {
    "cross-entropy": {},
    "normalized-softmax": {},
    "arcface": {"margin": 0.3, "scale": 16.0},
    "cosface": {"scale": 16.0},
    "center": {"center_weight": 0.5},
    "spce": {"scale": 4.0},
    "contrastive": {"memory": 6},
    "triplet": {"triplets": "all", "memory": 6},
    "ranked-list": {},
    "multi-similarity": {"mining": 0.1, "memory": 6},
    "nca": {"memory": 6},
    "snca": {"memory": 6},
    "supervised-contrastive": {"memory": 6},
    "proxy-nca": {},
    "proxy-anchor": {},
}


def gradients(name: str, *, bottleneck: bool = False) -> dict[str, Tensor]:
    """The gradient of every parameter for a batch, this process's pictures only being fed to the network."""
    made = recipe(
        Path("nowhere"),
        network={"dropout": 0.0, "bottleneck": bottleneck, "normalization": "batch"},
        loss={"name": name, "zero_classifier": False, **LOSSES[name]} | ({"consistency": "vcd"} if bottleneck else {}),
    )
    torch.manual_seed(0)
    network = MetricNetwork(made, CLASSES).double().train()
    pictures = torch.rand(CLASSES * EACH, 3, 16, 16, dtype=torch.float64)
    labels = torch.arange(CLASSES).repeat_interleave(EACH)
    memories = {}
    for level, width in (("v", 8), ("z", 6))[: 1 + bottleneck]:
        if made.loss.memory:
            memories[level] = CrossBatchMemory(made.loss.memory)
            memories[level].push(torch.randn(5, width, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 0]))
    each = len(pictures) // world_size()
    mine = slice(rank() * each, (rank() + 1) * each)
    module: torch.nn.Module = network
    if world_size() > 1:
        module = DistributedDataParallel(synchronised(network, "cpu"), broadcast_buffers=False)
    outputs: Outputs = module(pictures[mine]).each(gather)
    terms = training_terms(outputs, gather(labels[mine]), made.loss, network=network, memories=memories)
    torch.stack([term.double() for term in terms.values()]).sum().backward()
    found = {key: parameter.grad for key, parameter in network.named_parameters() if parameter.grad is not None}
    return found | {f"term {key}": term.detach().reshape(1) for key, term in terms.items()}


def all_gradients(folder: str) -> None:
    """Write those of every loss, without and with a bottleneck, from inside a group of processes."""
    with process_group(torch.device("cpu")):
        for name in LOSSES:
            for bottleneck in (False, True):
                save_file(gradients(name, bottleneck=bottleneck), Path(folder) / f"{name}-{bottleneck}-{rank()}")


def train_together(file: str, folder: str) -> None:
    """Train the small recipe with a memory, in all processes."""
    train_run(trained_together(Path(file)), Path(folder))


def trained_together(file: Path) -> Any:
    """The recipe of `train_together`, without dropout, which each process draws apart."""
    return recipe(file, network={"dropout": 0.0}, loss={"name": "snca", "memory": 20, "memory_start": 1})
