"""The critic that the I_JS objective needs: it scores whether an observation and a representation belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from limbeck.nn.stacked import StackedLinear


class PairScores(NamedTuple):
    """Scores (batch,) of pairs that belong together, and (batch,) of pairs from different samples."""

    joint: Tensor
    product: Tensor


class PairCritic(nn.Module):
    """A multi-layer perceptron T(v, z) on the concatenation of an observation and a representation.

    Called with a batch, it scores each (v_i, z_i) and, as draws from the product of the marginals, each
    (v_i, z_{i+1}), cyclically: every sample appears once on each side.

    Args:
        observation_features: width of v.
        representation_features: width of z.
        hidden: widths of the hidden ReLU layers.

    Raises:
        ValueError: when called, the batch has fewer than two samples, or v and z differ in length.

    Source: Tian et al. 2021, §4.2 and Table 4 ("MIE"); Hjelm et al. 2019, eq. 4.

    Example:
        >>> scores = PairCritic(8, 4)(torch.randn(5, 8), torch.randn(5, 4))
        >>> scores.joint.shape, scores.product.shape
        (torch.Size([5]), torch.Size([5]))
    """

    def __init__(
        self, observation_features: int, representation_features: int, *, hidden: Sequence[int] = (1024, 512)
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = observation_features + representation_features
        for following in hidden:
            layers += [StackedLinear(width, following), nn.ReLU()]
            width = following
        self.score = nn.Sequential(*layers, StackedLinear(width, 1))

    def forward(self, observations: Tensor, representations: Tensor) -> PairScores:
        if len(observations) != len(representations) or len(observations) < 2:
            raise ValueError(
                "observations and representations must hold the same two or more samples, "
                f"got {len(observations)} and {len(representations)}"
            )
        joint = torch.cat([observations, representations], dim=-1)
        product = torch.cat([observations, representations.roll(-1, dims=0)], dim=-1)
        return PairScores(self.score(joint).squeeze(-1), self.score(product).squeeze(-1))
