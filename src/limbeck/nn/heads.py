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

    .. math:: s = b + \sum_i W_i z_i, \qquad s_{\setminus i} = b + \sum_{j \neq i} W_j z_j

    where :math:`z_i` is the representation of view i, :math:`W_i` its block of the weights and :math:`b` the bias. All
    n leave-one-out predictions are made of running sums from either end, O(n) and not O(n²), and a missing view is a
    term that is not there, whatever its representation holds. Nothing is subtracted: a view whose term is a million
    times the others' leaves no rounding behind where it is left out.

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
        if present is not None:
            if present.shape != representations.shape[:-1]:
                raise ValueError(
                    f"present has shape {tuple(present.shape)}, but representations ask for "
                    f"{tuple(representations.shape[:-1])}"
                )
            # The input and not the term: a NaN that is masked afterwards still makes the weights' gradient NaN.
            representations = torch.where(present.unsqueeze(-1), representations, 0.0)
        terms = self.blocks(representations)
        nothing = torch.zeros_like(terms[..., :1, :, :])
        before = torch.cat([nothing, terms[..., :-1, :, :]], dim=-3).cumsum(dim=-3)
        after = torch.cat([terms[..., 1:, :, :], nothing], dim=-3).flip(-3).cumsum(dim=-3).flip(-3)
        bias = self.bias.unsqueeze(-2)
        joint = bias + before[..., -1, :, :] + terms[..., -1, :, :]
        leave_one_out = bias.unsqueeze(-3) + before + after
        if present is not None:  # leaving out what is not there changes nothing, to the last bit
            leave_one_out = torch.where(present.unsqueeze(-1), leave_one_out, joint.unsqueeze(-3))
        return JointPrediction(joint, leave_one_out)


class ClassificationHead(nn.Module):
    """Logits from one vector per sample: one linear layer, or two with normalisation and dropout between them.

    With `hidden`, the layers are linear, batch normalisation, leaky ReLU of slope 0.1, dropout, linear.

    Args:
        in_features: width of the vectors.
        classes: number of classes.
        hidden: width between the two linear layers; default: there is but one.
        dropout: rate between the two linear layers; without `hidden` there is none.
        init_std: the last layer's weights start from N(0, init_std²) and its bias from 0, in the field 0.001 behind a
            `BNNeck`; default: as torch starts a linear layer.

    Shapes: vectors (batch, in_features); logits (batch, classes).

    Raises:
        ValueError: a width is not positive, or the rate or the deviation is out of range.

    Source: one layer: Luo et al. 2019. Two: what the authors' code of Tian et al. 2021 puts on z, 512 -> 256 ->
    classes.

    Example:
        >>> sum(parameter.numel() for parameter in ClassificationHead(512, 395, hidden=256).parameters())
        233355
    """

    def __init__(
        self,
        in_features: int,
        classes: int,
        *,
        hidden: int | None = None,
        dropout: float = 0.5,
        init_std: float | None = None,
    ) -> None:
        super().__init__()
        if min(in_features, classes, 1 if hidden is None else hidden) <= 0:
            raise ValueError(f"widths must be positive, got {in_features} -> {hidden} -> {classes}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), not {dropout}")
        if init_std is not None and not init_std >= 0:
            raise ValueError(f"init_std must not be negative, got {init_std}")
        if hidden is None:
            self.hidden: nn.Module = nn.Identity()
        else:
            self.hidden = nn.Sequential(
                nn.Linear(in_features, hidden), nn.BatchNorm1d(hidden), nn.LeakyReLU(0.1), nn.Dropout(dropout)
            )
        self.classifier = nn.Linear(in_features if hidden is None else hidden, classes)
        if init_std is not None:
            nn.init.normal_(self.classifier.weight, std=init_std)
            nn.init.zeros_(self.classifier.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.hidden(vectors))
        return logits


class BNNeck(nn.BatchNorm1d):
    """Batch normalisation between the vector that distances are taken of and the classifier, with a bias frozen at 0.

    Without a bias the classes stay spread around the origin, where the cosine between vectors is measured.

    Args:
        features: width of the vectors.

    Shapes: input and output (batch, features).

    Source: Luo et al. 2019, "Bag of tricks and a strong baseline for deep person re-identification", BNNeck.

    Example:
        >>> sum(parameter.numel() for parameter in BNNeck(2048).parameters() if parameter.requires_grad)
        2048
    """

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.bias.requires_grad_(False)
