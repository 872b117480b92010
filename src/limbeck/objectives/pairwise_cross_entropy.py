"""Cross-entropy against losses over pairs: the pairwise cross-entropy, its simplification, and the dual of
weight-decayed cross-entropy. What of it the paper's abstract fixes and what is ours is said in docs/metric.md.

Everywhere :math:`z` are the `embeddings`, n of them, :math:`y` their `labels`, and for any soft assignment q of samples
to classes :math:`c^q_k = \\frac1n \\sum_i q_{ik} z_i`; for the labels themselves it is :math:`c^h_k`. The factor is
1/n, not one over the size of the class.
"""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.objectives.divergences import Reduction, log_probabilities
from limbeck.objectives.pairs import (
    check_batch,
    find_pairs,
    inner_products,
    masked_logsumexp,
    positive_number,
    reduce_valid,
)
from limbeck.objectives.precision import full_precision


def pairwise_cross_entropy_tightness(
    embeddings: Tensor, labels: Tensor, logits: Tensor, *, coefficient: float = 1.0
) -> Tensor:
    r"""The part of `pairwise_cross_entropy` that pulls: products of samples of the same class.

    .. math:: T = -\frac{1}{2 \lambda n^2} \sum_i \sum_{j: y_j = y_i} z_i \cdot z_j
        = -\frac{1}{2 \lambda} \sum_k \| c^h_k \|^2

    j = i is among the pairs. Arguments and errors are those of `pairwise_cross_entropy`; of `logits` only the number of
    classes counts here.

    Example:
        >>> pairwise_cross_entropy_tightness(torch.eye(2), torch.tensor([0, 1]), torch.zeros(2, 2))
        tensor(-0.2500)
    """
    vectors, hard, _ = _batch(embeddings, labels, logits, coefficient, "coefficient")
    return -_means(hard, vectors).square().sum() / (2 * coefficient)


def pairwise_cross_entropy_contrast(
    embeddings: Tensor, labels: Tensor, logits: Tensor, *, coefficient: float = 1.0
) -> Tensor:
    r"""The part of `pairwise_cross_entropy` that pushes: products with what the classes are predicted to hold.

    .. math:: C = \frac1n \sum_i \log \sum_k \exp \Big( \frac{1}{\lambda n} \sum_j p_{jk} \, z_i \cdot z_j \Big)
        - \frac{1}{2 \lambda} \sum_k \| c^p_k \|^2

    Arguments and errors are those of `pairwise_cross_entropy`; of `labels` nothing counts here but their number.

    Example:
        >>> points = torch.eye(2)
        >>> round(pairwise_cross_entropy_contrast(points, torch.tensor([0, 1]), torch.zeros(2, 2)).item(), 4)
        0.8181
    """
    vectors, _, log_p = _batch(embeddings, labels, logits, coefficient, "coefficient")
    means = _means(log_p.exp(), vectors)
    scores = inner_products(vectors, means) / coefficient
    summed = masked_logsumexp(scores, torch.ones_like(scores, dtype=torch.bool))
    return summed.mean() - means.square().sum() / (2 * coefficient)


def pairwise_cross_entropy(embeddings: Tensor, labels: Tensor, logits: Tensor, *, coefficient: float = 1.0) -> Tensor:
    r"""Pairwise cross-entropy (PCE): cross-entropy with the classifier replaced by what pairs of samples tell.

    .. math:: L = -\frac{1}{2 \lambda n^2} \sum_i \sum_{j: y_j = y_i} z_i \cdot z_j
        + \frac1n \sum_i \log \sum_k \exp \Big( \frac{1}{\lambda n} \sum_j p_{jk} \, z_i \cdot z_j \Big)
        - \frac{1}{2 \lambda} \sum_k \| c^p_k \|^2

    where :math:`p` is the softmax of `logits`, those of a linear classifier without bias, and :math:`\lambda` is
    `coefficient`: the sum of `pairwise_cross_entropy_tightness` and `pairwise_cross_entropy_contrast`. Exactly,
    :math:`L = CE(\theta = c^p / \lambda) - \frac{1}{2 \lambda} \sum_k \| c^h_k - c^p_k \|^2`, and so it is computed.

    That cross-entropy is an upper bound of L is *not* so in general: see docs/metric.md, and
    `weight_decayed_cross_entropy_bound` for a bound that always holds. Both arguments receive gradients; detach the
    logits to hold p fixed.

    Args:
        embeddings: (n, features), not normalised by this function.
        labels: (n,) integers in [0, classes).
        logits: (n, classes).
        coefficient: λ > 0.

    Returns:
        A scalar. It belongs to the batch as a whole and has no reduction.

    Raises:
        ValueError: shapes disagree or are empty, or the coefficient is not positive.

    Source: Boudiaf et al. 2020 (arXiv 2003.08983), of which only the abstract is at hand; the formula is a
    reconstruction.

    Example:
        >>> points, labels = torch.eye(2), torch.tensor([0, 1])
        >>> round(pairwise_cross_entropy(points, labels, torch.zeros(2, 2)).item(), 4)  # log 2 - 1/8
        0.5681
    """
    vectors, hard, log_p = _batch(embeddings, labels, logits, coefficient, "coefficient")
    means = _means(log_p.exp(), vectors)
    scores = inner_products(vectors, means) / coefficient
    apart = _means(hard - log_p.exp(), vectors).square().sum() / (2 * coefficient)
    return -(hard * log_probabilities(scores)).sum(dim=1).mean() - apart


def simplified_pairwise_cross_entropy(
    embeddings: Tensor,
    labels: Tensor,
    *,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
    scale: float = 1.0,
    leave_one_out: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Simplified pairwise cross-entropy (SPCE): cross-entropy of a classifier made of the classes' own sums.

    .. math:: L_i = -\frac{s}{n} \sum_{j: y_j = y_i} z_i \cdot z_j
        + \log \sum_k \exp \Big( \frac{s}{n} \sum_{j: y_j = k} z_i \cdot z_j \Big)

    where k runs over the classes that occur and :math:`s` is `scale`. The first sum is its tightness, the second its
    contrast. It is exactly the cross-entropy of logits :math:`s \, z_i \cdot c^h_k`, so that the best linear classifier
    has at most this cross-entropy. Without references j = i is among the pairs, as written; a batch of few samples then
    scores samples against themselves, which `leave_one_out` ends. Logits are of the size of s over the number of
    classes: with many classes and s = 1 all predictions are nearly uniform.

    Args:
        embeddings: (n, features), not normalised by this function.
        labels: (n,) integers.
        references: (m, features), or None for the sums over the batch; then n in the formula is m.
        reference_labels: (m,) integers, with `references`.
        scale: s > 0; 1/λ of `pairwise_cross_entropy`.
        leave_one_out: leave j = i out of the sums (without references only; n in the formula is then n - 1).
        reduction: "mean" over the samples whose class occurs among their pairs, "sum", or "none" for (n,), with 0 for
            the other samples.

    Raises:
        ValueError: shapes disagree or are empty, the scale is not positive, or leave_one_out meets references.

    Source: Boudiaf et al. 2020 (arXiv 2003.08983), of which only the abstract is at hand; the formula is a
    reconstruction. `references`, `scale` and `leave_one_out` are ours.

    Example:
        >>> points, labels = torch.eye(2), torch.tensor([0, 1])
        >>> round(simplified_pairwise_cross_entropy(points, labels).item(), 4)  # log(1 + e^-0.5)
        0.4741
    """
    positive_number(scale, "scale")
    if leave_one_out and references is not None:
        raise ValueError("leave_one_out is for pairs inside the batch: of references no sample is known to be itself")
    pairs = find_pairs(embeddings, labels, references, reference_labels, normalize=False)
    among = pairs.positive | pairs.negative
    if references is None and not leave_one_out:
        among = torch.ones_like(among)
    products = torch.where(among, inner_products(pairs.anchors, pairs.others), 0.0)
    column = _class_columns(labels if reference_labels is None else reference_labels).expand(among.shape)

    def by_class(values: Tensor) -> Tensor:
        return torch.zeros_like(products).scatter_add(1, column, values.to(products.dtype))

    scores = scale * by_class(products) / among.sum(dim=1, keepdim=True).clamp(min=1)
    present, own = by_class(among) > 0, by_class(among & ~pairs.negative) > 0
    behind = scores - torch.where(own, scores, 0.0).sum(dim=1, keepdim=True)
    return reduce_valid(masked_logsumexp(behind, present), own.any(dim=1), reduction)


def weight_decayed_cross_entropy_bound(
    embeddings: Tensor, labels: Tensor, logits: Tensor, *, weight_decay: float
) -> Tensor:
    r"""A pairwise lower bound of weight-decayed cross-entropy, whatever the linear classifier: its dual.

    .. math:: \min_\theta \; CE(\theta) + \frac{\lambda}{2} \| \theta \|^2 \;\ge\;
        \frac1n \sum_i H(q_i) - \frac{1}{2 \lambda} \sum_k \| c^h_k - c^q_k \|^2

    where :math:`\theta`, (classes, features), is a linear classifier without bias, CE its mean cross-entropy, :math:`q`
    the softmax of `logits` (any assignment will do), H its entropy, and :math:`\lambda` is `weight_decay`, as
    `torch.optim.SGD` has it. Equality holds at the minimum with q the classifier's own predictions, where
    :math:`\lambda \theta_k = c^h_k - c^q_k`. Written out, it has the tightness of `pairwise_cross_entropy`,
    :math:`-\frac{1}{2\lambda} \sum_k \|c^h_k\|^2`, a product of the two kinds of means, and an entropy.

    Args:
        embeddings: (n, features).
        labels: (n,) integers in [0, classes).
        logits: (n, classes).
        weight_decay: λ > 0.

    Returns:
        A scalar, in nats. It belongs to the batch as a whole and has no reduction.

    Raises:
        ValueError: shapes disagree or are empty, or the weight decay is not positive.

    Source: ours: Fenchel duality of multinomial logistic regression, for Proposition 1 of Boudiaf et al. 2020.

    Example:
        >>> points, labels = torch.eye(2), torch.tensor([0, 1])
        >>> logits = torch.zeros(2, 2)  # of the classifier 0, of which CE is log 2
        >>> round(weight_decayed_cross_entropy_bound(points, labels, logits, weight_decay=1.0).item(), 4)
        0.5681
    """
    vectors, hard, log_q = _batch(embeddings, labels, logits, weight_decay, "weight_decay")
    entropy = -(log_q.exp() * log_q).sum(dim=1).mean()
    return entropy - _means(hard - log_q.exp(), vectors).square().sum() / (2 * weight_decay)


def _batch(
    embeddings: Tensor, labels: Tensor, logits: Tensor, positive: float, name: str
) -> tuple[Tensor, Tensor, Tensor]:
    """The embeddings, the labels as ones and zeros (n, classes), and the logarithms of the predictions."""
    check_batch(embeddings, labels)
    check_batch(logits, labels, names=("logits", "labels"))
    positive_number(positive, name)
    vectors, log_p = full_precision(embeddings), log_probabilities(logits)
    classes = torch.arange(logits.shape[1], device=labels.device)
    return vectors, (labels.unsqueeze(1) == classes).to(vectors.dtype), log_p.to(vectors.dtype)


def _means(assignment: Tensor, vectors: Tensor) -> Tensor:
    """(classes, features): the sum of every class's samples over the number of all."""
    return inner_products(assignment.mT, vectors.mT) / vectors.shape[0]


def _class_columns(labels: Tensor) -> Tensor:
    """(n,): the classes that occur, numbered from 0, without asking how many there are."""
    ordered, order = labels.sort()
    number = torch.cat([torch.zeros_like(order[:1]), (ordered[1:] != ordered[:-1]).long()]).cumsum(0)
    return number.gather(0, order.argsort())
