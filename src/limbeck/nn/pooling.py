"""Pooling: from the maps of an encoder to one vector per picture."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.errors import InputError


class GeneralizedMean(nn.Module):
    r"""The generalised mean of every map (GeM): between the average (p = 1) and the maximum (p → ∞).

    .. math:: f_c = \left( \frac1{|X_c|} \sum_{x \in X_c} \max(x, \epsilon)^p \right)^{1/p}

    where :math:`X_c` are the values of map c, :math:`p` is `power`, which is learned, one for all maps, and
    :math:`\epsilon` is `epsilon`. The mean is of positive numbers: values below :math:`\epsilon`, such as the zeros
    behind a ReLU, count as :math:`\epsilon` and get no gradient. Computed relative to each map's maximum, so that no
    power overflows.

    Args:
        power: what p starts from, > 0.
        epsilon: the smallest value that counts, > 0.

    Shapes: maps (n, c, height, width); output (n, c).

    Raises:
        ValueError: power or epsilon is not positive.

    Source: Radenović et al. 2019, eq. 3, with p = 3 to start from.

    Example:
        >>> round(GeneralizedMean()(torch.tensor([[[[1.0, 2.0]]]])).item() ** 3, 4)  # (1 + 8) / 2
        4.5
    """

    def __init__(self, *, power: float = 3.0, epsilon: float = 1e-6) -> None:
        super().__init__()
        if not (power > 0 and epsilon > 0):
            raise ValueError(f"power and epsilon must be positive, not {power} and {epsilon}")
        self.power = nn.Parameter(torch.tensor(float(power)))
        self.epsilon = epsilon

    def forward(self, maps: Tensor) -> Tensor:
        x = maps.clamp(min=self.epsilon)
        # The mean is of degree 1, whatever constant is taken out of it: gradients through the maximum would cancel.
        most = x.detach().amax(dim=(-2, -1), keepdim=True)
        mean = (x / most).pow(self.power).mean(dim=(-2, -1)).pow(1 / self.power)
        return mean * most[..., 0, 0]

    def extra_repr(self) -> str:
        return f"epsilon={self.epsilon}"


class Stripes(nn.Module):
    """Average plus maximum of every map over each of several horizontal stripes, one stripe after the other.

    Where the height is not a multiple of the number of stripes, neighbouring stripes share a row.

    Args:
        stripes: their number, from top to bottom.

    Shapes: maps (n, c, height, width); output (n, stripes * c), the topmost stripe's c numbers first.

    Raises:
        ValueError: `stripes` is not positive.
        InputError: when called, the maps have fewer rows than there are stripes.

    Source: ours; horizontal parts of people as in Sun et al. 2018 (PCB).

    Example:
        >>> maps = torch.arange(8.0).reshape(1, 1, 4, 2)
        >>> Stripes(2)(maps)  # rows 0-1: mean 1.5, maximum 3
        tensor([[ 4.5000, 12.5000]])
    """

    def __init__(self, stripes: int) -> None:
        super().__init__()
        if stripes < 1:
            raise ValueError(f"stripes must be positive, not {stripes}")
        self.stripes = stripes

    def forward(self, maps: Tensor) -> Tensor:
        if maps.shape[-2] < self.stripes:
            raise InputError(
                f"maps of {maps.shape[-2]} rows cannot be cut into {self.stripes} stripes; "
                "give higher pictures or pool over fewer stripes"
            )
        size = (self.stripes, 1)
        pooled = F.adaptive_avg_pool2d(maps, size) + F.adaptive_max_pool2d(maps, size)
        return pooled.squeeze(-1).mT.flatten(1)

    def extra_repr(self) -> str:
        return f"{self.stripes}"


def make_pooling(name: str, features: int) -> tuple[nn.Module, int]:
    """Make a pooling from its name.

    Args:
        name: "average", "gem" (`GeneralizedMean`), or "stripes" and a number, such as "stripes4" (`Stripes`).
        features: number of maps that will come in.

    Returns:
        A module from maps (n, features, height, width) to vectors (n, width), and that width.

    Raises:
        InputError: the name is unknown.

    Example:
        >>> make_pooling("stripes4", 192)
        (Stripes(4), 768)
    """
    if name == "average":
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), features
    if name == "gem":
        return GeneralizedMean(), features
    if match := re.fullmatch(r"stripes([1-9][0-9]?)", name):
        stripes = int(match[1])
        return Stripes(stripes), stripes * features
    raise InputError(f"pooling {name!r} is unknown; choose average, gem, or stripes1 to stripes99, such as stripes4")
