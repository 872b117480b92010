"""Heads: from a representation to logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from limbeck.nn.stacked import StackedLinear


class JointPrediction(NamedTuple):
    """What `AdditiveHead` and `PairwiseHead` predict.

    Attributes:
        joint: `(*stack, batch, classes)`, logits from all views that are present.
        leave_one_out: `(*stack, views, batch, classes)`, entry i from all present views but the i-th.
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

    Shapes: representations `(*stack, views, batch, in_features)`; `present` `(*stack, views, batch)` booleans,
    default all.

    Raises:
        ValueError: the representations do not have that many views, or `present` does not fit them.

    Source: ours, for p(y | z_{1..n}) and p(y | z_{1..n} without i) of Tian et al. 2022, eq. 9, which leave it open.

    Example:
        >>> head = AdditiveHead(4, 3, 2)
        >>> z = torch.randn(2, 5, 4)
        >>> torch.allclose(head(z).leave_one_out[0], head(z * torch.tensor([0.0, 1.0])[:, None, None]).joint, atol=1e-6)
        True
        >>> torch.allclose(head(z).joint, head.bias + head.terms(z).sum(dim=0), atol=1e-6)
        True
    """

    additive: ClassVar[bool] = True  # whether what `terms` gives adds up to the logits

    def __init__(self, in_features: int, classes: int, views: int, *, stack: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.views = views
        self.blocks = StackedLinear(in_features, classes, stack=(*stack, views), bias=False)
        self.bias = nn.Parameter(torch.zeros(*stack, classes))

    def forward(self, representations: Tensor, present: Tensor | None = None) -> JointPrediction:
        return self.combine(self.terms(representations, present), present)

    def terms(self, representations: Tensor, present: Tensor | None = None) -> Tensor:
        """What the views add, `(*stack, views, batch, width)`: here `W_i z_i`; 0 for absent views.

        Any views can be predicted from by `joint`, once the terms of the others are set to 0.
        """
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
        return self._terms(representations)

    def joint(self, terms: Tensor) -> Tensor:
        """The logits `(*stack, batch, classes)` from the views whose terms are not 0."""
        return self.bias.unsqueeze(-2) + terms.sum(dim=-3)

    def combine(self, terms: Tensor, present: Tensor | None = None) -> JointPrediction:
        """What is predicted from what `terms` returned for the same `present`."""
        joint, leave_one_out = self._sums(terms)
        if present is not None:  # leaving out what is not there changes nothing, to the last bit
            leave_one_out = torch.where(present.unsqueeze(-1), leave_one_out, joint.unsqueeze(-3))
        return JointPrediction(joint, leave_one_out)

    def _terms(self, known: Tensor) -> Tensor:
        terms: Tensor = self.blocks(known)
        return terms

    def _sums(self, terms: Tensor) -> JointPrediction:
        before, after = _sums_before(terms), _sums_after(terms)
        bias = self.bias.unsqueeze(-2)
        joint = bias + before[..., -1, :, :] + terms[..., -1, :, :]
        return JointPrediction(joint, bias.unsqueeze(-3) + before + after)


class PairwiseHead(AdditiveHead):
    r"""An additive head with a low-rank bilinear interaction of every pair of views.

    .. math:: s = b + \sum_i W_i z_i + \sum_{i<j} U ((A_i z_i) \circ (A_j z_j)), \qquad
        s_{\setminus k} = b + \sum_{i \neq k} W_i z_i + \sum_{i<j;\, i,j \neq k} U ((A_i z_i) \circ (A_j z_j))

    where :math:`z_i` is the representation of view i, :math:`W_i` (classes, in_features) and b the additive head,
    :math:`A_i` (rank, in_features) the factors of view i, :math:`\circ` the product of entries and U (classes, rank)
    the weights of the interaction, shared by all pairs. The logit of class c therefore has the bilinear form
    :math:`z_i^T A_i^T diag(U_c) A_j z_j` of rank at most `rank` for the pair i, j. There is no constant in
    :math:`A_i z_i`: a missing view is terms that are not there.

    All n leave-one-out predictions are made in time and memory linear in n: with :math:`a_i = A_i z_i`, the pairs
    without k are those before k, those after k, and one of each, :math:`(\sum_{i<k} a_i) \circ (\sum_{j>k} a_j)`.
    Unlike the identity :math:`((\sum a)^2 - \sum a^2) / 2` nothing is subtracted, so that a large view leaves no
    rounding behind where it is left out.

    U starts at zero: the head starts as the additive one.

    Args:
        in_features: width of one representation.
        classes: number of classes.
        views: number of views; of a single one there are no pairs.
        rank: length of each :math:`a_i`.
        stack: leading dimensions of independent copies, see `limbeck.nn.stacked`.

    Shapes and errors: as of `AdditiveHead`; also `ValueError` where the rank is not positive.

    Source: ours. Products of linear maps as an interaction of low rank: Rendle 2010, "Factorization machines", eq. 1,
    and Kim et al. 2017, "Hadamard product for low-rank bilinear pooling".

    Example:
        >>> head = PairwiseHead(1, 1, 2, rank=1)
        >>> for parameter, value in zip(head.parameters(), (0.0, 0.0, 1.0, 1.0)):  # b, W, A, U: s = z_1 z_2
        ...     _ = torch.nn.init.constant_(parameter, value)
        >>> prediction = head(torch.tensor([[[2.0]], [[3.0]]]))
        >>> prediction.joint.item(), prediction.leave_one_out.flatten().tolist()
        (6.0, [0.0, 0.0])
    """

    additive = False

    def __init__(
        self, in_features: int, classes: int, views: int, *, rank: int = 32, stack: tuple[int, ...] = ()
    ) -> None:
        super().__init__(in_features, classes, views, stack=stack)
        if rank <= 0:
            raise ValueError(f"rank must be positive, not {rank}")
        self.factors = StackedLinear(in_features, rank, stack=(*stack, views), bias=False)
        self.interaction = _LinearFromZero(rank, classes, stack=stack, bias=False)

    def joint(self, terms: Tensor) -> Tensor:
        linear, factors = self._parts(terms)
        pairs: Tensor = self.interaction((factors * _sums_before(factors)).sum(dim=-3))
        return super().joint(linear) + pairs

    def _terms(self, known: Tensor) -> Tensor:
        """`W_i z_i` and `A_i z_i` side by side, classes + rank wide."""
        return torch.cat([self.blocks(known), self.factors(known)], dim=-1)

    def _parts(self, terms: Tensor) -> tuple[Tensor, Tensor]:
        classes = self.bias.shape[-1]
        return terms[..., :classes], terms[..., classes:]

    def _sums(self, terms: Tensor) -> JointPrediction:
        linear, factors = self._parts(terms)
        additive = super()._sums(linear)
        before, after = _sums_before(factors), _sums_after(factors)
        closed_by = factors * before  # the pairs of which each view is the later one
        pairs_before = _sums_before(closed_by)
        joint = pairs_before[..., -1, :, :] + closed_by[..., -1, :, :]
        rest = pairs_before + _sums_after(factors * after) + before * after
        # Views and batch side by side: the weights are the same for all views.
        leave_one_out = self.interaction(rest.flatten(-3, -2)).unflatten(-2, rest.shape[-3:-1])
        return JointPrediction(additive.joint + self.interaction(joint), additive.leave_one_out + leave_one_out)


class _LinearFromZero(StackedLinear):
    """A `StackedLinear` whose parameters start at zero, and take no draws."""

    def reset_parameters(self, generators: Sequence[torch.Generator] | None = None) -> None:
        del generators
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()


def _sums_before(terms: Tensor) -> Tensor:
    """Of (..., views, batch, width) terms: entry k is the sum over the views before k."""
    return torch.cat([torch.zeros_like(terms[..., :1, :, :]), terms[..., :-1, :, :]], dim=-3).cumsum(dim=-3)


def _sums_after(terms: Tensor) -> Tensor:
    """Entry k is the sum over the views after k."""
    return _sums_before(terms.flip(-3)).flip(-3)


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
