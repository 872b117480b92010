"""What the processes of the distributed tests run; one process alone runs the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tests.training.toytask import train
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from limbeck.errors import InputError
from limbeck.nn import PairCritic
from limbeck.objectives import (
    cross_entropy,
    jensen_shannon_information,
    mv2d,
    ranked_list_loss,
    vcd,
    vmd,
    vsd,
)
from limbeck.training import gather, gather_rows, generator, process_group, rank, synchronised, world_size
from limbeck.training.distributed import from_main

BATCH, CLASSES = 12, 4
LOSSES = ("cross_entropy", "ranked_list_loss", "vsd", "vcd", "vmd", "mv2d", "jensen_shannon_information")


class TwoViews(nn.Module):
    """Two views through one encoder with both kinds of batch normalisation; a critic beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 8)
        )
        self.neck = nn.BatchNorm1d(8, momentum=None)
        self.bottleneck = nn.Linear(8, 5)
        self.observation_head, self.representation_head = nn.Linear(8, CLASSES), nn.Linear(5, CLASSES)
        self.critic = PairCritic(8, 5, hidden=(7,))

    def forward(self, first: Tensor, second: Tensor) -> tuple[list[Tensor], ...]:
        v = [self.neck(self.encoder(image)) for image in (first, second)]
        z = [self.bottleneck(each) for each in v]
        return v, z, [self.observation_head(each) for each in v], [self.representation_head(each) for each in z]


def loss_of(name: str, network: TwoViews, outputs: tuple[list[Tensor], ...], labels: Tensor) -> Tensor:
    v, z, of_v, of_z = outputs
    joint = of_z[0] + of_z[1]
    scores = network.critic(v[0], z[0])
    losses = {
        "cross_entropy": lambda: cross_entropy(of_v[0], labels, label_smoothing=0.1) + cross_entropy(of_z[1], labels),
        "ranked_list_loss": lambda: ranked_list_loss(torch.cat(v), labels.repeat(2)).loss,
        "vsd": lambda: vsd(of_v[0], of_z[0]) + vsd(of_v[1], of_z[1], detach_teacher=False),
        "vcd": lambda: vcd(*of_v, *of_z),
        # Pairs inside the gathered batch: each sample with its neighbour, across the border of two shares.
        "vmd": lambda: vmd(of_z[0], of_z[1].roll(-1, dims=0)),
        "mv2d": lambda: mv2d(torch.stack(of_v), torch.stack(of_z), joint, joint - torch.stack(of_z)),
        "jensen_shannon_information": lambda: -jensen_shannon_information(scores.joint, scores.product),
    }
    return losses[name]()


def gradients(name: str) -> dict[str, Tensor]:
    """Gradients and buffers after two steps, from this process's share of the batch."""
    torch.manual_seed(0)
    network = TwoViews().double()
    network.encoder[1].weight.requires_grad_(False)
    if world_size() > 1:
        synchronised(network, "cpu")
    module: nn.Module = network
    if world_size() > 1:
        module = DistributedDataParallel(network)
        module.broadcast_buffers = False
    share = BATCH // world_size()
    mine = slice(rank() * share, (rank() + 1) * share)
    for step in range(2):
        images = torch.from_numpy(generator(step, 7).normal(size=(2, BATCH, 3, 5, 5)))
        labels = torch.arange(BATCH) % CLASSES
        module.zero_grad()
        outputs = tuple([gather(tensor) for tensor in group] for group in module(images[0, mine], images[1, mine]))
        gathered = gather(labels[mine])
        # Every parameter takes part, as DistributedDataParallel wants it.
        everything = sum(tensor.square().mean() for group in outputs for tensor in group)
        critic = sum(parameter.square().sum() for parameter in network.critic.parameters())
        (loss_of(name, network, outputs, gathered) + 1e-3 * everything + 1e-3 * critic).backward()
    found = {f"gradient {key}": p.grad.clone() for key, p in network.named_parameters() if p.grad is not None}
    return found | {f"buffer {key}": buffer.clone() for key, buffer in network.named_buffers()}


def all_gradients(folder: str) -> None:
    with process_group("cpu"):
        for name in LOSSES:
            save_file(gradients(name), Path(folder) / f"{name}-{rank()}.safetensors")


def train_together(folder: str, **changes: Any) -> int:
    with process_group("cpu"):
        return 143 if train(Path(folder), dropout=0, **changes).stopped else 0


def small_things(folder: str) -> None:
    """Collectives one by one, in two processes."""
    with process_group("cpu") as place:
        for kind in (torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool):
            mine = torch.tensor([[rank(), 1], [0, 1]]).to(kind)
            expected = torch.cat([torch.tensor([[other, 1], [0, 1]]) for other in range(world_size())]).to(kind)
            assert torch.equal(gather(mine), expected)
            assert gather(mine).dtype == kind
        assert gather(torch.rand(4, 3).T).shape == (6, 4)
        try:
            gather(torch.zeros(2 + rank(), 3))
        except InputError as error:
            assert "(2, 3), (3, 3)" in str(error)  # noqa: PT017 - no pytest in these processes
        else:
            raise AssertionError("unequal shares went through")
        for counts in ((3, 1), (0, 2), (2, 2), (0, 0)):
            own = torch.full((counts[rank()], 2), float(rank()), requires_grad=True)
            whole = gather_rows(own)
            assert whole[:, 0].tolist() == [0.0] * counts[0] + [1.0] * counts[1]
            weights = torch.arange(2.0 * sum(counts)).reshape(-1, 2)
            (whole * weights).sum().backward()
            start = counts[0] * rank()  # twice the gradient, of which the mean over processes takes half
            assert own.grad is not None
            assert torch.equal(own.grad, 2 * weights[start : start + counts[rank()]])
        assert gather_rows(torch.ones(1 + rank(), dtype=torch.bool)).tolist() == [True] * 3
        assert from_main({"a": [1, None]} if rank() == 0 else None, place) == {"a": [1, None]}
        (Path(folder) / f"done-{rank()}").touch()
