"""Heads: from a representation to logits."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from limbeck.nn.stacked import StackedLinear


class JointPrediction(NamedTuple):
    """What `AdditiveHead` predicts.

    Attributes:
        joint: (*stack, batch, classes), logits from all views that are present.
        leave_one_out: (*stack, views, batch, classes), entry i from all present views but the i-th.
    """

    joint: Tensor
    leave_one_out: Tensor


class AdditiveHead(nn.Module):
    r"""One linear head on the concatenation of all representations, kept as a sum over views.

    .. math:: s = b + \sum_i W_i z_i, \qquad s_{\setminus i} = s - W_i z_i

    where :math:`z_i` is the representation of view i, :math:`W_i` its block of the weights and :math:`b` the bias. All
    n leave-one-out predictions cost one subtraction each, O(n) and not O(n²), and a missing view is a term that is not
    there.

    Args:
        in_features: width of one representation.
        classes: number of classes.
        views: number of views.
        stack: leading dimensions of independent copies, see `limbeck.nn.stacked`.

    Shapes: representations (*stack, views, batch, in_features); `present` (*stack, views, batch) booleans, default all.

    Raises:
        ValueError: the representations do not have that many views, or `present` does not fit them.

    Source: ours, for p(y | z_{1..n}) and p(y | z_{1..n} without i) of Tian et al. 2022, eq. 9, which leave it open.

    Example:
        >>> head = AdditiveHead(4, 3, 2)
        >>> z = torch.randn(2, 5, 4)
        >>> torch.allclose(head(z).leave_one_out[0], head(z * torch.tensor([0.0, 1.0])[:, None, None]).joint, atol=1e-6)
        True
    """

    def __init__(self, in_features: int, classes: int, views: int, *, stack: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.views = views
        self.blocks = StackedLinear(in_features, classes, stack=(*stack, views), bias=False)
        self.bias = nn.Parameter(torch.zeros(*stack, classes))

    def forward(self, representations: Tensor, present: Tensor | None = None) -> JointPrediction:
        if representations.ndim < 3 or representations.shape[-3] != self.views:
            raise ValueError(
                f"representations must be (..., {self.views} views, batch, features), "
                f"got shape {tuple(representations.shape)}"
            )
        terms = self.blocks(representations)
        if present is not None:
            if present.shape != terms.shape[:-1]:
                raise ValueError(
                    f"present has shape {tuple(present.shape)}, but representations ask for {tuple(terms.shape[:-1])}"
                )
            terms = torch.where(present.unsqueeze(-1), terms, 0.0)
        joint = self.bias.unsqueeze(-2) + terms.sum(dim=-3)
        return JointPrediction(joint, joint.unsqueeze(-3) - terms)
