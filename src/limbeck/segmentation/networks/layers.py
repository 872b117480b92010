"""What the networks of points share."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class RowNorm(nn.BatchNorm1d):
    """Batch normalisation over rows, for any number of them: fewer than two in training are normalised as at inference.

    One row has no variance and none has no mean; such a batch takes the running statistics and leaves them as they are.
    """

    def forward(self, rows: Tensor) -> Tensor:
        if self.training and len(rows) < 2:
            return F.batch_norm(rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(rows)


def linear_block(inside: int, outside: int) -> nn.Sequential:
    """Linear, normalisation, ReLU."""
    return nn.Sequential(nn.Linear(inside, outside), RowNorm(outside), nn.ReLU())
