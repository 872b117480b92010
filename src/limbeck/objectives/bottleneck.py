"""The conventional information bottleneck, which variational distillation replaces: kept for comparison."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.objectives.divergences import Reduction, reduce
from limbeck.objectives.precision import full_precision


def gaussian_kl_to_prior(mean: Tensor, log_variance: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    r"""Divergence of a diagonal Gaussian from the standard normal prior: an upper bound on I(v; z), in nats.

    .. math:: D_{KL}[N(\mu, diag(\sigma^2)) \| N(0, I)] = \tfrac12 \sum_d (\mu_d^2 + \sigma_d^2 - 1 - \log \sigma_d^2)

    where :math:`\mu` is `mean` and :math:`\log \sigma^2` is `log_variance`. Averaged over v it bounds I(v; z) from
    above, so that :math:`L_{IB} = CE(y, z) + \beta \cdot` this is the variational form of the Lagrangian
    :math:`I(Z;V) - \beta' I(Z;Y)`, with :math:`\beta = 1 / \beta'`.

    Args:
        mean: (..., features).
        log_variance: the same shape.
        reduction: "mean" or "sum" over all leading dimensions, or "none" for shape (...).

    Raises:
        ValueError: shapes differ or a dimension is empty.

    Source: Tian et al. 2021, eq. 3 and §4.2.

    Example:
        >>> gaussian_kl_to_prior(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)).item()
        0.5
    """
    if mean.shape != log_variance.shape or mean.numel() == 0:
        raise ValueError(
            f"log_variance has shape {tuple(log_variance.shape)}, but mean has {tuple(mean.shape)}: "
            "they must be equal and not empty"
        )
    mean, log_variance = full_precision(mean), full_precision(log_variance)
    # expm1 keeps the small difference exp(s) - 1 - s exact near s = 0.
    per_feature = mean.square() + torch.expm1(log_variance) - log_variance
    return reduce(per_feature.sum(dim=-1) / 2, reduction)


def jensen_shannon_information(joint_scores: Tensor, product_scores: Tensor) -> Tensor:
    r"""The I_JS objective: a lower bound on the dependence between v and z, in nats, that a critic maximises.

    .. math:: I_{JS} = E_{p(v,z)}[-softplus(-T)] - E_{p(v)p(z)}[softplus(T)] \le 2 D_{JS}[p(v,z) \| p(v)p(z)] - 2 \log 2

    where :math:`T(v, z)` is the critic's score (`limbeck.nn.PairCritic`), `joint_scores` are its values on pairs of
    one sample and `product_scores` on pairs of different ones. The bound is tight for
    :math:`T = \log [p(v,z) / (p(v) p(z))]` and for no other T: a constant or a function of v alone may not be added, as
    it may in the contrastive bound (`limbeck.information.critics.info_nce`). It is not an estimate of I(v; z) itself:
    at the optimum it lies in [-2 log 2, 0], whatever I(v; z) is, and minimising it over z means minimising a lower
    bound.

    Args:
        joint_scores: any shape, not empty.
        product_scores: any shape, not empty.

    Raises:
        ValueError: one of them is empty.

    Source: Tian et al. 2021, §4.2 ("Jensen-Shannon I_JS is introduced in the estimation of mutual information").

    Example:
        >>> import math
        >>> silent = torch.zeros(4)  # a critic that cannot tell the pairs apart
        >>> round(jensen_shannon_information(silent, silent).item() / math.log(2), 6)
        -2.0
    """
    if joint_scores.numel() == 0 or product_scores.numel() == 0:
        raise ValueError("joint_scores and product_scores must not be empty")
    return -F.softplus(-full_precision(joint_scores)).mean() - F.softplus(full_precision(product_scores)).mean()
