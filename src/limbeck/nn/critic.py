"""The critic that the I_JS objective needs: it scores whether an observation and a representation belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

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
        normalization: "batch" puts batch normalisation between each hidden layer and its ReLU. Both kinds of pairs are
            then scored as one batch, so that they are measured by the same moments.

    Raises:
        ValueError: `normalization` is unknown; when called, the batch has fewer than two samples, or v and z differ
            in length.

    Source: Tian et al. 2021, §4.2 and Table 4 ("MIE", whose size is that of `PairCritic(2048, 512, hidden=(2048, 512),
    normalization="batch")`); Hjelm et al. 2019, eq. 4.

    Example:
        >>> scores = PairCritic(8, 4)(torch.randn(5, 8), torch.randn(5, 4))
        >>> scores.joint.shape, scores.product.shape
        (torch.Size([5]), torch.Size([5]))
    """

    def __init__(
        self,
        observation_features: int,
        representation_features: int,
        *,
        hidden: Sequence[int] = (1024, 512),
        normalization: Literal["none", "batch"] = "none",
    ) -> None:
        super().__init__()
        if normalization not in ("none", "batch"):
            raise ValueError(f"normalization must be 'none' or 'batch', not {normalization!r}")
        self.normalization = normalization
        layers: list[nn.Module] = []
        width = observation_features + representation_features
        for following in hidden:
            layers.append(StackedLinear(width, following))
            if normalization == "batch":
                layers.append(nn.BatchNorm1d(following))
            layers.append(nn.ReLU())
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
        if self.normalization == "batch":
            both = self.score(torch.cat([joint, product])).squeeze(-1)
            return PairScores(both[: len(joint)], both[len(joint) :])
        return PairScores(self.score(joint).squeeze(-1), self.score(product).squeeze(-1))
