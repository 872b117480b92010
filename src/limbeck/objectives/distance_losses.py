"""Losses of deep metric learning on Euclidean distances: center, contrastive, triplet; an entropy from distances.

Everywhere :math:`z` are the `embeddings` and :math:`y` their `labels`. Without references the pairs are those inside
the batch, and no sample is paired with itself (by its position, so that duplicates are pairs like any other). With
`references` (a memory of earlier batches, say) every sample is paired with every reference.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from limbeck.objectives.divergences import Reduction, reduce
from limbeck.objectives.pairs import (
    distances,
    find_pairs,
    inner_products,
    positive_number,
    reduce_valid,
    squared_distances,
)
from limbeck.objectives.precision import full_precision


def center_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
    normalize: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Center loss: half the squared distance of every sample to the mean of its class: tightness and no contrast.

    .. math:: L_i = \tfrac12 \| z_i - c_{y_i} \|^2

    where :math:`c_k` is the mean of class k: of its samples in the batch, :math:`z_i` among them, or of its
    `references`. References that hold one row a class are its given centers, as the loss was published with: then
    `reference_labels` are `torch.arange(classes)`. A sample whose class has no reference costs 0.

    Args:
        embeddings: (n, features).
        labels: (n,) integers.
        references: (m, features), or None.
        reference_labels: (m,) integers, with `references`.
        normalize: divide embeddings and references by their lengths first; a vector of zeros stays. Means are not.
        reduction: "mean" or "sum" over the samples, or "none" for (n,).

    Raises:
        ValueError: shapes disagree or are empty.

    Source: Wen et al. 2016 (ECCV), eq. 2, with means in place of centers that are moved by a rate.

    Example:
        >>> center_loss(torch.tensor([[0.0], [2.0], [7.0]]), torch.tensor([0, 0, 1]), reduction="sum")
        tensor(1.)
    """
    pairs = find_pairs(embeddings, labels, references, reference_labels, normalize=normalize)
    own = (~pairs.negative).to(pairs.anchors.dtype)  # the sample itself belongs to its class
    count = own.sum(dim=1, keepdim=True)
    origin = pairs.others.detach().mean(dim=0)  # around which no digits cancel
    mean = inner_products(own / count.clamp(min=1), (pairs.others - origin).mT)
    values = 0.5 * (pairs.anchors - origin - mean).square().sum(dim=1)
    return reduce(torch.where(count.squeeze(1) > 0, values, 0.0), reduction)


def contrastive_tightness(
    embeddings: Tensor,
    labels: Tensor,
    *,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
    normalize: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The part of `contrastive_loss` that pulls: squared distances to the samples of the same class.

    .. math:: T_i = \sum_{j \ne i: y_j = y_i} D_{ij}^2, \qquad D_{ij} = \| z_i - z_j \|

    Summed over a batch of classes with m samples each it is :math:`4 m` times `center_loss`, summed. Arguments and
    errors are those of `contrastive_loss`; a sample without positives costs 0.

    Example:
        >>> contrastive_tightness(torch.tensor([[0.0], [2.0], [7.0]]), torch.tensor([0, 0, 1]), reduction="none")
        tensor([4., 4., 0.])
    """
    pairs = find_pairs(embeddings, labels, references, reference_labels, normalize=normalize)
    squared, _ = squared_distances(pairs.anchors, pairs.others)
    return reduce(torch.where(pairs.positive, squared, 0.0).sum(dim=1), reduction)


def contrastive_contrast(
    embeddings: Tensor,
    labels: Tensor,
    *,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
    margin: float = 1.0,
    normalize: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The part of `contrastive_loss` that pushes: samples of other classes nearer than the margin.

    .. math:: C_i = \sum_{j: y_j \ne y_i} [m - D_{ij}]_+^2

    Arguments and errors are those of `contrastive_loss`; a sample without negatives costs 0.

    Example:
        >>> contrastive_contrast(torch.tensor([[0.0], [2.0]]), torch.tensor([0, 1]), margin=5.0)
        tensor(9.)
    """
    pairs = find_pairs(embeddings, labels, references, reference_labels, normalize=normalize)
    short = (positive_number(margin, "margin") - distances(pairs)).relu()
    return reduce(torch.where(pairs.negative, short.square(), 0.0).sum(dim=1), reduction)


def contrastive_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
    margin: float = 1.0,
    normalize: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Contrastive loss: squared distances within classes, squared shortfalls of a margin between classes.

    .. math:: L_i = \sum_{j \ne i: y_j = y_i} D_{ij}^2 + \sum_{j: y_j \ne y_i} [m - D_{ij}]_+^2

    where :math:`D_{ij} = \| z_i - z_j \|` and :math:`m` is `margin`: the sum of `contrastive_tightness` and
    `contrastive_contrast`. The sums run over all partners of a sample and are not divided by their number; the
    published loss has a factor 1/2 before either. Where two samples of different classes coincide, one fixed direction
    serves as the gradient, so that a collapsed batch comes apart.

    Args:
        embeddings: (n, features).
        labels: (n,) integers.
        references: (m, features), or None for the pairs inside the batch.
        reference_labels: (m,) integers, with `references`.
        margin: m > 0, in units of distance.
        normalize: divide embeddings and references by their lengths first, so that distances lie in [0, 2].
        reduction: "mean" or "sum" over the samples, or "none" for (n,).

    Raises:
        ValueError: shapes disagree or are empty, or the margin is not positive.

    Source: Hadsell et al. 2006 (CVPR), eq. 4, without its factor 1/2.

    Example:
        >>> points, labels = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])
        >>> contrastive_loss(points, labels, margin=2.5, reduction="none")
        tensor([1.0000, 1.2500, 0.2500])
    """
    pairs = find_pairs(embeddings, labels, references, reference_labels, normalize=normalize)
    distance = distances(pairs)
    short = (positive_number(margin, "margin") - distance).relu()
    pulled = torch.where(pairs.positive, distance, 0.0)
    return reduce(torch.where(pairs.negative, short, pulled).square().sum(dim=1), reduction)


def triplet_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
    margin: float = 0.2,
    mining: Literal["all", "semihard", "hard"] = "semihard",
    squared: bool = True,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Triplet loss: every positive must be nearer than a negative by a margin.

    .. math:: L_i = \frac{1}{|T_i|} \sum_{(p, n) \in T_i} [m + d_{ip} - d_{in}]_+

    where :math:`d` is the squared distance (the distance itself with `squared=False`), :math:`m` is `margin`, and the
    triplets :math:`T_i` of anchor i are

    - "all": all its positives with all its negatives;
    - "semihard": each positive with the nearest of the negatives that are farther than it; a positive without such a
      negative is left out;
    - "hard": its farthest positive with its nearest negative.

    An anchor without triplets costs 0 and is left out of the mean. Memory is n m numbers, not n m m, for all three.
    Squared distances have no gradient where all embeddings coincide; with `squared=False` a collapsed batch comes apart
    as with `contrastive_loss`.

    Args:
        embeddings: (n, features).
        labels: (n,) integers.
        references: (m, features), or None for the triplets inside the batch.
        reference_labels: (m,) integers, with `references`.
        margin: m ≥ 0, in units of d.
        mining: which triplets.
        squared: squared distances.
        normalize: divide embeddings and references by their lengths first.
        reduction: "mean" or "sum" over the anchors, or "none" for (n,).

    Raises:
        ValueError: shapes disagree or are empty, the margin is negative, or the mining unknown.

    Source: Schroff et al. 2015 (CVPR, "FaceNet"), §3.1 and §3.2 ("semihard", squared, normalised, margin 0.2); "all"
    and "hard", with distances that are not squared: Hermans et al. 2017 ("batch all", "batch hard").

    Example:
        >>> points, labels = torch.tensor([[0.0], [1.0], [1.5]]), torch.tensor([0, 0, 1])
        >>> triplet_loss(points, labels, margin=1.0, squared=False, normalize=False, reduction="none")
        tensor([0.5000, 0.0000, 0.0000])
    """
    if not margin >= 0:
        raise ValueError(f"margin must be at least 0, not {margin}")
    pairs = find_pairs(embeddings, labels, references, reference_labels, normalize=normalize)
    distance = squared_distances(pairs.anchors, pairs.others)[0] if squared else distances(pairs)
    both = pairs.positive.any(dim=1) & pairs.negative.any(dim=1)
    if mining == "hard":
        farthest = torch.where(pairs.positive, distance, -torch.inf).amax(dim=1)
        nearest = torch.where(pairs.negative, distance, torch.inf).amin(dim=1)
        return reduce_valid(
            (margin + torch.where(both, farthest, 0.0) - torch.where(both, nearest, 0.0)).relu(), both, reduction
        )
    if mining == "semihard":
        beyond, found = _nearest_negative_beyond(distance, pairs.positive, pairs.negative)
        count = found.sum(dim=1)
        total = torch.where(found, (margin + distance - beyond).relu(), 0.0).sum(dim=1)
        return reduce_valid(total / count.clamp(min=1), count > 0, reduction)
    if mining == "all":
        total = _sum_over_triplets(distance, pairs.positive, pairs.negative, margin)
        count = pairs.positive.sum(dim=1) * pairs.negative.sum(dim=1)
        return reduce_valid(total / count.clamp(min=1), both, reduction)
    raise ValueError(f"mining must be 'all', 'semihard' or 'hard', not {mining!r}")


def _order(distance: Tensor, positive: Tensor, negative: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Order of the columns [negatives, positives + margin] of each row by distance, the rest last; and its inverse.

    Of equal ones negatives come first.
    """
    negatives = torch.where(negative, distance.detach(), torch.inf)
    positives = torch.where(positive, distance.detach() + margin, torch.inf)
    order = torch.cat([negatives, positives], dim=1).argsort(dim=1, stable=True)
    return order, order.argsort(dim=1)


def _nearest_negative_beyond(distance: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """For each positive the distance of the nearest negative that is farther, and whether there is one."""
    columns = distance.shape[1]
    order, place = _order(distance, positive, negative, 0.0)
    is_negative = torch.cat([negative, torch.zeros_like(negative)], dim=1).gather(1, order)
    places = torch.arange(2 * columns, device=distance.device)
    following = torch.where(is_negative, places, 2 * columns).flip(1).cummin(dim=1).values.flip(1)
    chosen = following.gather(1, place[:, columns:])
    found = positive & (chosen < 2 * columns)
    column = order.gather(1, torch.where(found, chosen, 0)).clamp(max=columns - 1)
    return distance.gather(1, column), found


def _sum_over_triplets(distance: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """The sum of [margin + positive - negative]_+ over all positives and negatives of each row.

    A sum over those that are above 0 takes each positive as often as negatives are nearer than it plus the margin, and
    each negative as often as there are such positives: counts, which sorting gives.
    """
    columns = distance.shape[1]
    order, place = _order(distance, positive, negative, margin)
    is_negative = torch.cat([negative, torch.zeros_like(negative)], dim=1).gather(1, order)
    is_positive = torch.cat([torch.zeros_like(positive), positive], dim=1).gather(1, order)
    negatives_before = is_negative.cumsum(dim=1).gather(1, place)[:, columns:]
    positives_before = is_positive.cumsum(dim=1).gather(1, place)[:, :columns]
    nearer_negatives = torch.where(positive, negatives_before, 0)
    farther_positives = torch.where(negative, positive.sum(dim=1, keepdim=True) - positives_before, 0)
    return (nearer_negatives * (distance + margin) - farther_positives * distance).sum(dim=1)


def mean_neighbour_entropy(embeddings: Tensor) -> Tensor:
    r"""Differential entropy from the logarithms of all distances (MeanNN), in nats: what contrast raises.

    .. math:: \hat H = \frac{d}{n (n - 1)} \sum_{i \ne j} \log \| z_i - z_j \| + \log V_d + 1

    where n is the number of samples, d that of features and :math:`V_d = \pi^{d/2} / \Gamma(d/2 + 1)` the volume of the
    unit ball. It is the mean over k = 1, ..., n - 1 of the estimates of Kozachenko and Leonenko from k-th nearest
    neighbours. It is smooth, and biased: neighbours of high rank say little of the density near a sample, so compare
    its values with each other, not with a true entropy. Of scaled samples it is exact: :math:`\hat H(a z) = \hat H(z) +
    d \log |a|`.

    Pairs that coincide up to rounding count as if they were just apart, with gradient 0.

    Args:
        embeddings: (n, features), n ≥ 2.

    Returns:
        A scalar.

    Raises:
        ValueError: a shape does not fit, or there are fewer than two samples.

    Source: Faivishevsky and Goldberger 2009 (NIPS), with the constant that they leave out.

    Example:
        >>> round(mean_neighbour_entropy(torch.tensor([[0.0], [1.0]])).item(), 4)  # log 2 + 1
        1.6931
    """
    if embeddings.ndim != 2 or embeddings.shape[0] < 2 or embeddings.shape[1] == 0:
        raise ValueError(f"embeddings must be (n, features) with n of 2 or more, got shape {tuple(embeddings.shape)}")
    vectors = full_precision(embeddings)
    samples, features = vectors.shape
    squared, resolution = squared_distances(vectors, vectors)
    squared = torch.maximum(squared, resolution.clamp(min=torch.finfo(squared.dtype).tiny))
    itself = torch.eye(samples, dtype=torch.bool, device=vectors.device)
    logarithms = torch.where(itself, 0.0, 0.5 * squared.log()).sum() / (samples * (samples - 1))
    ball = features / 2 * math.log(math.pi) - math.lgamma(features / 2 + 1)
    return features * logarithms + (ball + 1)
