"""What two processes compute in the tests of the three-branch network: the gradient of a batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from limbeck.reid.network import ReidNetwork
from limbeck.reid.recipe import DataSettings, NetworkSettings, ReidRecipe
from limbeck.reid.supervised.loss import training_terms
from limbeck.training import gather, process_group, rank, synchronised, world_size

PEOPLE, EACH = 4, 2
RECIPES = {
    "vd": {"loss": {"consistency": "vcd+vml", "mutual_weight": 2.0, "pairs": "all"}},
    "released-2021": {"loss": {"objective": "released-2021"}},
    "mv2d with three views": {"loss": {"consistency": "mv2d"}, "network": {"uniform": True}},
    "cib": {"loss": {"objective": "cib"}},
    "cib as published": {"loss": {"objective": "cib", "supervise_observation": False}},
    "grey": {"network": {"routing": "grey"}},
}


def gradients(name: str) -> dict[str, Tensor]:
    """The gradient of every parameter for a batch, this process's people only being fed to the network."""
    small = NetworkSettings(encoder="small", weights="none", hidden=(8,), representation=6, head_hidden=None)
    recipe = ReidRecipe(data=DataSettings(height=16, width=16), network=small)
    recipe = replace(
        recipe, **{group: replace(getattr(recipe, group), **given) for group, given in RECIPES[name].items()}
    )
    torch.manual_seed(0)
    network = ReidNetwork(recipe, PEOPLE).double().train()
    for module in network.modules():
        if hasattr(module, "stochastic"):
            module.stochastic = False  # noise is drawn apart in each process
    visible, infrared = torch.rand(2, PEOPLE, EACH, 3, 16, 16, dtype=torch.float64).unbind()
    labels = torch.arange(PEOPLE).repeat_interleave(EACH).view(PEOPLE, EACH)
    mine = slice(rank(), None, world_size())
    # Who stands where decides the critic's strangers and the uniform view's turn: the same order for any number.
    order = torch.cat([torch.arange(first, PEOPLE, 2) for first in range(2)]) if world_size() == 1 else None
    parts = [part[order] if order is not None else part[mine] for part in (visible, infrared, labels)]
    module = synchronised(network, torch.device("cpu")) if world_size() > 1 else network
    if world_size() > 1:
        module = DistributedDataParallel(module, broadcast_buffers=False)
    outputs = module(parts[0].flatten(0, 1), parts[1].flatten(0, 1))
    terms = training_terms(outputs, parts[2].flatten(), recipe.loss, network=network, gather=gather)
    torch.stack(list(terms.values())).sum().backward()
    return {key: parameter.grad for key, parameter in network.named_parameters() if parameter.grad is not None}


def all_gradients(folder: str) -> None:
    """Write those of every recipe, from inside a group of processes."""
    with process_group(torch.device("cpu")):
        for name in RECIPES:
            save_file(gradients(name), Path(folder) / f"{name}-{rank()}.safetensors")
