"""Costs and priors that the tests of transport share."""

import torch
from torch import Tensor
from torch.nn import functional as F


def random_cost(n: int, m: int, *, seed: int = 0) -> Tensor:
    """Independent uniform costs."""
    return torch.rand(n, m, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def clustered_cost(n: int, m: int, *, seed: int = 0) -> Tensor:
    """1 - cos between noisy pictures of the same directions, some of which have none in the other view, or several."""
    generator = torch.Generator().manual_seed(seed)
    width, people = 64, max(1, m - m // 14)
    centres = F.normalize(torch.randn(people, width, generator=generator, dtype=torch.float64), dim=-1)

    def view(size: int) -> Tensor:
        who = torch.randint(people, (size,), generator=generator)
        noise = 0.09 * torch.randn(size, width, generator=generator, dtype=torch.float64)
        return F.normalize(centres[who] + noise, dim=-1)

    return 1 - view(n) @ view(m).mT


def positive_prior(size: int, *, seed: int) -> Tensor:
    """Positive numbers of sum 1, the largest some ten times the smallest."""
    weights = 0.1 + torch.rand(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return weights / weights.sum()
