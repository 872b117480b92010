"""The information bottleneck of the papers: a small network from an observation to a Gaussian representation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from limbeck.nn.stacked import StackedLinear


class Gaussian(NamedTuple):
    """A diagonal Gaussian over representations: `mean` and `log_variance`, both (..., features)."""

    mean: Tensor
    log_variance: Tensor


class Bottleneck(nn.Module):
    r"""Encode an observation v into a representation z: hidden ReLU layers, then a mean and a log-variance.

    .. math:: z = \mu(v) + \sigma(v) \epsilon, \quad \epsilon \sim N(0, I)

    in training if `stochastic`, and :math:`z = \mu(v)` otherwise.

    Args:
        in_features: width of the observation.
        hidden: widths of the hidden layers; the papers' are 1024 and 512.
        features: width of the representation; the last layer has twice as many outputs, or as many if not `gaussian`.
        stochastic: sample z while training. At inference z is always the mean.
        stack: leading dimensions of independent copies, see `limbeck.nn.stacked`.
        normalization: "batch" puts batch normalisation between each hidden layer and its ReLU; not with a stack.
        gaussian: whether there is a Gaussian. If not, all outputs of the last layer are z, which has no distribution.

    Shapes: observation `(*stack, batch, in_features)`; representation `(*stack, batch, features)`.

    Raises:
        ValueError: a width is not positive; batch normalisation is asked for with a stack, or sampling without a
            Gaussian; when called in training, a batch of one with batch normalisation.

    Source: Tian et al. 2021, §4.2; Tian et al. 2022, §5.1.2 ("multi-layer perceptrons of 2 hidden ReLU units of size
    1,024 and 512 respectively with an output of size 2 × 256 that parameterizes mean and variance"). The authors'
    code never samples and uses the whole output, 512 numbers, as z, behind hidden layers of 1000 and 500 with batch
    normalisation: here `hidden=(1000, 500), features=512, normalization="batch", gaussian=False`.

    Example:
        >>> bottleneck = Bottleneck(2048)
        >>> bottleneck(torch.zeros(4, 2048)).shape, sum(p.numel() for p in bottleneck.parameters())
        (torch.Size([4, 256]), 2885632)
    """

    generators: list[torch.Generator] | None = (
        None  # one for each slice of the first stack dimension, as in StackedDropout
    )

    def __init__(
        self,
        in_features: int,
        *,
        hidden: Sequence[int] = (1024, 512),
        features: int = 256,
        stochastic: bool = False,
        stack: tuple[int, ...] = (),
        normalization: Literal["none", "batch"] = "none",
        gaussian: bool = True,
    ) -> None:
        super().__init__()
        if min(in_features, features, *hidden) <= 0:
            raise ValueError(f"widths must be positive, got {in_features} -> {tuple(hidden)} -> {features}")
        if normalization not in ("none", "batch"):
            raise ValueError(f"normalization must be 'none' or 'batch', not {normalization!r}")
        if stack and normalization != "none":
            raise ValueError(f"normalization='batch' is not made for a stack, got stack={stack}")
        if stochastic and not gaussian:
            raise ValueError("stochastic=True asks for a Gaussian to sample from; leave gaussian at True")
        self.stochastic, self.gaussian = stochastic, gaussian
        layers: list[nn.Module] = []
        width = in_features
        for following in hidden:
            layers.append(StackedLinear(width, following, stack=stack))
            if normalization == "batch":
                layers.append(nn.BatchNorm1d(following))
            layers.append(nn.ReLU())
            width = following
        self.hidden = nn.Sequential(*layers)
        self.output = StackedLinear(width, 2 * features if gaussian else features, stack=stack)

    def distribution(self, observation: Tensor) -> Gaussian:
        """The Gaussian p(z | v) of each observation; a ValueError where there is none."""
        if not self.gaussian:
            raise ValueError("a bottleneck made with gaussian=False has no distribution; call it for z itself")
        mean, log_variance = self.output(self.hidden(observation)).chunk(2, dim=-1)
        return Gaussian(mean, log_variance)

    def sample(self, distribution: Gaussian) -> Tensor:
        """z: the mean, or in training, if stochastic, one draw by the reparameterisation trick."""
        if not (self.training and self.stochastic):
            return distribution.mean
        noise = torch.empty_like(distribution.mean)
        if self.generators is None:
            noise.normal_()
        else:
            for model, generator in zip(noise, self.generators, strict=True):
                model.normal_(generator=generator)
        return torch.addcmul(distribution.mean, noise, torch.exp(distribution.log_variance / 2))

    def forward(self, observation: Tensor) -> Tensor:
        if self.gaussian:
            return self.sample(self.distribution(observation))
        representation: Tensor = self.output(self.hidden(observation))
        return representation
