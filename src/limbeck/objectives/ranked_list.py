"""The ranked list loss on embeddings."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.objectives.pairs import fixed_direction
from limbeck.objectives.precision import full_precision, power_of_two


class RankedList(NamedTuple):
    """What `ranked_list_loss` returns; `limbeck.objectives.modules.RankedListLoss` returns the loss alone.

    Attributes:
        loss: (...): mean over the valid anchors of each batch; 0 where a batch has none.
        per_anchor: (..., batch): each anchor's loss, 0 for anchors that are not valid.
        valid: (..., batch) booleans: anchors with at least one positive in the batch. The others cannot say how close a
            positive should be; they are left out of the mean and reported here.
    """

    loss: Tensor
    per_anchor: Tensor
    valid: Tensor


def ranked_list_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    margin: float = 0.4,
    boundary: float = 1.2,
    temperature: float = 10.0,
    balance: float = 0.5,
    normalize: bool = True,
    usable: Tensor | None = None,
) -> RankedList:
    r"""Ranked list loss: positives inside a ball, negatives outside a larger one, harder negatives weighted more.

    For an anchor i with distances :math:`d_{ij} = \|e_i - e_j\|_2`

    .. math::
        L_i = (1 - \lambda) \frac{1}{|P_i|} \sum_{j \in P_i} (d_{ij} - (\alpha - m))
            + \lambda \frac{\sum_{j \in N_i} w_{ij} (\alpha - d_{ij})}{\sum_{j \in N_i} w_{ij}},
        \qquad w_{ij} = \exp(\tau (\alpha - d_{ij}))

    where :math:`e` are the `embeddings`, :math:`P_i` the positives with :math:`d_{ij} > \alpha - m`, :math:`N_i` the
    negatives with :math:`d_{ij} < \alpha`, :math:`\alpha` is `boundary`, :math:`m` is `margin`, :math:`\tau` is
    `temperature` and :math:`\lambda` is `balance`. An empty :math:`P_i` or :math:`N_i` adds 0.

    As the authors of the loss prescribe, only the anchor moves (the gradient does not flow into :math:`e_j`) and the
    weights :math:`w` are constants. Where two embeddings coincide up to
    rounding the distance is 0 and has no gradient; a fixed unit vector, one of its subgradients, is used, with opposite
    signs for the two classes, so that a collapsed batch comes apart.

    Embeddings of half precision are taken to float32 first, and the loss is float32, also under autocast. Embeddings
    may be of any magnitude that their precision holds.

    Args:
        embeddings: (..., batch, features).
        labels: (..., batch) integers, or a shape that broadcasts to it.
        margin: m > 0, in units of distance.
        boundary: α > margin.
        temperature: τ ≥ 0, finite; 0 weighs all negatives alike.
        balance: λ in [0, 1].
        normalize: L2-normalise the embeddings first, so that distances lie in [0, 2].
        usable: (..., batch) booleans; samples where it is false are neither anchors, positives nor negatives, whatever
            their embeddings hold, NaN too.

    Returns:
        `RankedList`: loss, each anchor's loss, and which anchors were valid.

    Raises:
        ValueError: shapes disagree, a dimension is empty, or a parameter is out of range.

    Source: Wang et al. 2019 (CVPR), eq. 3-9; the "rank loss" [48] of Tian et al. 2022, §5.1.2 and §5.2.2.

    Example:
        >>> result = ranked_list_loss(torch.eye(3), torch.tensor([0, 0, 1]))  # result.loss is the scalar to minimise
        >>> [round(value, 4) for value in result.per_anchor.tolist()], result.valid.tolist()
        ([0.3071, 0.3071, 0.0], [True, True, False])
    """
    if embeddings.ndim < 2 or embeddings.numel() == 0:
        raise ValueError(f"embeddings must be (..., batch, features), got shape {tuple(embeddings.shape)}")
    if not 0 < margin < boundary:
        raise ValueError(f"margin must lie between 0 and boundary = {boundary}, not {margin}")
    if not 0 <= balance <= 1:
        raise ValueError(f"balance must be in [0, 1], not {balance}")
    if not 0 <= temperature < torch.inf:
        raise ValueError(f"temperature must be at least 0 and finite, not {temperature}")
    try:
        label = labels.expand(embeddings.shape[:-1])
    except RuntimeError:
        raise ValueError(
            f"labels of shape {tuple(labels.shape)} do not fit embeddings of shape {tuple(embeddings.shape)}"
        ) from None

    if usable is not None and usable.shape != embeddings.shape[:-1]:
        raise ValueError(
            f"usable has shape {tuple(usable.shape)}, but embeddings ask for {tuple(embeddings.shape[:-1])}"
        )

    vectors = full_precision(embeddings)
    if usable is not None:
        vectors = torch.where(usable.unsqueeze(-1), vectors, 0.0)
    # Under autocast the products would be of half precision.
    with torch.no_grad(), torch.autocast(vectors.device.type, enabled=False):
        # Squares of scaled vectors neither overflow nor vanish; a power of two rounds nothing.
        size = vectors.abs().amax(dim=-1, keepdim=True)
        scale = power_of_two(size if normalize else size.amax(dim=-2, keepdim=True))
        scaled = vectors / scale
        # A vector of zeros has no direction: it stays, with a gradient of ordinary size.
        length = torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)
        length = torch.where(length > 0, length, 1.0) if normalize else torch.ones_like(scale)
        anchors = scaled / length
        unit = None if normalize else scale  # of the distances between anchors
        per_anchor, gradient, valid = _values_and_gradients(
            anchors, unit, label, usable, margin=margin, boundary=boundary, temperature=temperature, balance=balance
        )
        if normalize:  # moving along itself does not move a normalised vector
            gradient = (gradient - (gradient * anchors).sum(dim=-1, keepdim=True) * anchors) / length
        else:
            gradient = gradient * scale
    # With fixed weights and a fixed gallery the loss is known together with its gradient in closed form: this term is
    # zero and has that gradient, so that nothing of the (batch, batch) computation is kept for the backward pass.
    projection = (vectors / scale * gradient).sum(dim=-1)
    per_anchor = per_anchor + (projection - projection.detach())
    return RankedList(per_anchor.sum(dim=-1) / valid.sum(dim=-1).clamp(min=1), per_anchor, valid)


def _values_and_gradients(
    anchors: Tensor,
    unit: Tensor | None,
    label: Tensor,
    usable: Tensor | None,
    *,
    margin: float,
    boundary: float,
    temperature: float,
    balance: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Each anchor's loss, its gradient with respect to the embedding, and whether the anchor is valid.

    The embeddings are `anchors` times `unit`, of which None is 1.
    """
    apart, coincident = _distances(anchors)
    distance = apart if unit is None else unit * apart
    same = label.unsqueeze(-1) == label.unsqueeze(-2)
    positive, negative = same, ~same
    positive.diagonal(dim1=-2, dim2=-1).fill_(False)
    if usable is not None:
        pair = usable.unsqueeze(-1) & usable.unsqueeze(-2)
        positive, negative = positive & pair, negative & pair
    valid = positive.any(dim=-1)

    far_positive = (positive & (distance > boundary - margin)).to(distance.dtype)
    far = far_positive.sum(dim=-1, keepdim=True)
    pull = far_positive.mul_((1 - balance) / far.clamp(min=1))

    near_negative = negative & (distance < boundary)
    # Relative to the nearest negative, whose weight is 1: none overflows, and the common factor cancels.
    nearest = torch.where(near_negative, distance, torch.inf).amin(dim=-1, keepdim=True)
    weight = (nearest - distance).mul_(temperature).exp_()
    weight = torch.where(near_negative, weight, 0.0)
    push = weight.mul_(balance / weight.sum(dim=-1, keepdim=True).clamp(min=1))

    slope = (pull - push).mul_(valid.unsqueeze(-1))  # derivative of the loss with respect to each distance
    # pull and push are means: times a constant they are that constant, or 0 where there is no pair.
    inner = (1 - balance) * (boundary - margin) * far.clamp(max=1)
    outer = balance * boundary * torch.isfinite(nearest).to(slope.dtype)
    constant = (outer - inner) * valid.unsqueeze(-1)
    per_anchor = ((slope * distance).sum(dim=-1, keepdim=True) + constant).squeeze(-1)

    toward = (slope / apart.clamp(min=torch.finfo(apart.dtype).tiny)).masked_fill_(coincident, 0.0)
    gradient = toward.sum(dim=-1, keepdim=True) * anchors - toward @ anchors
    touching = coincident & negative
    side = torch.where(label.unsqueeze(-1) > label.unsqueeze(-2), slope, -slope)  # antisymmetric
    along = torch.where(touching, side, 0.0).sum(dim=-1, keepdim=True)
    return per_anchor, torch.addcmul(gradient, along, fixed_direction(anchors)), valid


def _distances(anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Euclidean distances (..., batch, batch), and which pairs coincide up to rounding: their distance is 0."""
    # Distances do not change with the origin, and around the mean no digits cancel.
    centred = anchors - anchors.mean(dim=-2, keepdim=True)
    product = centred @ centred.mT
    squares = product.diagonal(dim1=-2, dim2=-1)
    squared = _sums(squares).sub_(product, alpha=2)
    unit = 8 * torch.finfo(anchors.dtype).eps
    coincident = squared <= _sums(unit * squares + unit**2 * anchors.square().sum(dim=-1))
    distance = squared.clamp(min=0).sqrt_().masked_fill_(coincident, 0.0)
    coincident.diagonal(dim1=-2, dim2=-1).fill_(False)
    return distance, coincident


def _sums(values: Tensor) -> Tensor:
    """values_i + values_j for all pairs."""
    return values.unsqueeze(-1) + values.unsqueeze(-2)
