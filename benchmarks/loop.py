"""A fit against the same training written as a plain per-view PyTorch loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.timing import medians
from limbeck.multiview.data import load
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.training import Fold, train
from limbeck.multiview.views import Views, read_views

EPOCHS = 4


def run(source: str = "digits") -> Table:
    """Seconds of one fit, both ways, without a validation split on either side."""
    data = load(source)
    views = read_views(data.views)
    training = data.split("train")
    recipe = Recipe(epochs=EPOCHS, patience=None)

    def fit() -> None:
        fold = Fold(training, np.array([], dtype=np.int64))
        train(views, data.labels, [fold], recipe, classes=data.classes, seeds=[0])

    def plain() -> None:
        plain_fit(views, data.labels, training, recipe, classes=data.classes)

    seconds = medians({"fit": fit, "plain": plain}, repeats=3)
    table = Table(title=f"One fit of {data.name}, {EPOCHS} epochs")
    for heading in ("how", "seconds", "against limbeck"):
        table.add_column(heading, justify="left" if heading == "how" else "right")
    table.add_row("limbeck", f"{seconds['fit']:.2f}", "1.00")
    table.add_row("plain per-view loop", f"{seconds['plain']:.2f}", f"{seconds['plain'] / seconds['fit']:.2f}")
    return table


class _PlainView(nn.Module):
    """One view's encoder, bottleneck and heads from torch's own layers."""

    def __init__(self, features: int, classes: int, recipe: Recipe) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in recipe.encoder:
            layers += [nn.Linear(features, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(recipe.dropout)]
            features = width
        self.encoder = nn.Sequential(*layers)
        self.bottleneck = nn.Linear(features, 2 * recipe.representation)
        self.observation_head = nn.Linear(features, classes)
        self.representation_head = nn.Linear(recipe.representation, classes)
        self.joint_block = nn.Linear(recipe.representation, classes, bias=False)

    def forward(self, view: Tensor) -> tuple[Tensor, ...]:
        observation = self.encoder(view)
        representation = self.bottleneck(observation).chunk(2, dim=-1)[0]
        return (
            observation,
            representation,
            self.observation_head(observation),
            self.representation_head(representation),
            self.joint_block(representation),
        )


def plain_fit(
    views: Views, labels: NDArray[np.int64], training: NDArray[np.int64], recipe: Recipe, *, classes: int
) -> None:
    """Train with a Python loop over the views, as one would write it first; default recipe's terms, complete views."""
    tensors = []
    for matrix in views.matrices:
        assert isinstance(matrix, np.ndarray)
        deviation = matrix[training].std(axis=0)
        scaled = (matrix - matrix[training].mean(axis=0)) / np.where(deviation > 0, deviation, 1)
        tensors.append(torch.from_numpy(scaled.clip(-recipe.clip, recipe.clip).astype(np.float32)))
    target = torch.from_numpy(labels)
    model = nn.ModuleList(_PlainView(tensor.shape[1], classes, recipe) for tensor in tensors)
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, betas=recipe.betas)
    for _ in range(recipe.epochs):
        for rows in torch.from_numpy(training)[torch.randperm(len(training))].split(recipe.batch_size):
            outputs = [net(tensor[rows]) for net, tensor in zip(model, tensors, strict=True)]
            loss = _plain_loss(outputs, target[rows], recipe)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def _plain_loss(outputs: list[Any], labels: Tensor, recipe: Recipe) -> Tensor:
    def classify(logits: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)

    def distil(teacher: Tensor, student: Tensor) -> Tensor:
        return F.kl_div(
            student.log_softmax(-1), teacher.detach().log_softmax(-1), reduction="batchmean", log_target=True
        )

    joint = sum(block for *_, block in outputs)
    loss = classify(joint)
    for observation, representation, observed, represented, block in outputs:
        view_loss = classify(observed) + classify(represented)
        view_loss = view_loss + recipe.distillation_weight * (
            distil(observed, represented) + distil(joint, joint - block)
        )
        view_loss = view_loss + recipe.ranking_weight * (
            _plain_ranked_list(observation, labels) + _plain_ranked_list(representation, labels)
        )
        loss = loss + view_loss / len(outputs)
    return loss


def _plain_ranked_list(embeddings: Tensor, labels: Tensor) -> Tensor:
    """The ranked list loss by autograd through all distances to a detached gallery."""
    unit = F.normalize(embeddings, dim=-1)
    distance = torch.cdist(unit, unit.detach())
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    positive = same & ~torch.eye(len(labels), dtype=torch.bool)
    far, near = positive & (distance > 0.8), ~same & (distance < 1.2)
    pull = torch.where(far, distance - 0.8, 0.0).sum(1) / far.sum(1).clamp(min=1)
    weight = torch.where(near, torch.exp(10 * (1.2 - distance.detach())), 0.0)
    push = (weight * (1.2 - distance)).sum(1) / weight.sum(1).clamp(min=1e-12)
    valid = positive.any(1)
    return torch.where(valid, 0.5 * pull + 0.5 * push, 0.0).sum() / valid.sum().clamp(min=1)
