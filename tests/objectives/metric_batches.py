"""Batches of embeddings and labels for the tests of losses over pairs, and their distances and cosines as loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

SEEDS = pytest.mark.parametrize("seed", range(4))


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batch(seed: int, samples: int = 11, features: int = 4, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Classes of unequal size, one of them with a single sample."""
    labels = torch.randint(classes, (samples,), generator=torch.Generator().manual_seed(seed))
    labels[0] = classes
    return normal(seed, samples, features), labels


def balanced(seed: int, classes: int = 4, members: int = 5, features: int = 6) -> tuple[Tensor, Tensor]:
    """Embeddings of length 1 in classes of equal size."""
    points = normal(seed, classes * members, features)
    return points / points.norm(dim=1, keepdim=True), torch.arange(classes * members) % classes


def referenced(seed: int) -> dict[str, Tensor]:
    """References for `batch`: not all of its classes occur among them."""
    return {
        "references": normal(seed + 100, 7, 4),
        "reference_labels": torch.tensor([0, 1, 1, 0, 5, 1, 0]),
    }


def partners(
    embeddings: Tensor, labels: Tensor, given: dict[str, Tensor], *, normalize: bool
) -> tuple[list[list[float]], list[list[list[float]]], list[list[int]], list[list[list[float]]]]:
    """For every sample: itself, and the vectors and labels of all that it is compared to, itself left out by index."""
    rows, own = embeddings.tolist(), labels.tolist()
    others, other_labels = (given["references"].tolist(), given["reference_labels"].tolist()) if given else (rows, own)
    if normalize:
        rows, others = [scaled(row) for row in rows], [scaled(row) for row in others]
    kept = [[j for j in range(len(others)) if given or j != i] for i in range(len(rows))]
    return (
        rows,
        [[others[j] for j in some] for some in kept],
        [[other_labels[j] for j in some] for some in kept],
        own,
    )


def scaled(row: list[float]) -> list[float]:
    length = math.sqrt(math.fsum(value * value for value in row))
    return [value / length for value in row]


def product(first: list[float], second: list[float]) -> float:
    return math.fsum(a * b for a, b in zip(first, second, strict=True))


def squared(first: list[float], second: list[float]) -> float:
    return math.fsum((a - b) ** 2 for a, b in zip(first, second, strict=True))


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0
