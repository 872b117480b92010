"""Losses of deep metric learning on soft neighbourhoods: NCA, SNCA, multi-similarity, supervised contrastive; and the
information about the class that SNCA estimates.

Everywhere :math:`z` are the `embeddings`, :math:`y` their `labels` and :math:`s_{ij} = z_i \\cdot z_j` a cosine
(`normalize=False` leaves lengths as they are). Without references j runs over the other samples of the batch, never
over i itself (by its position, so that duplicates are pairs like any other). With `references` (a memory of earlier
batches, say) j runs over all of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.objectives.divergences import Reduction, check_temperature, reduce
from limbeck.objectives.pairs import (
    Pairs,
    find_pairs,
    inner_products,
    log_one_plus_sum,
    masked_logsumexp,
    positive_number,
    reduce_valid,
    squared_distances,
)


def snca_tightness(
    embeddings: Tensor,
    labels: Tensor,
    *,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
    temperature: float = 0.05,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The part of `snca` that pulls: how near the samples of the same class are, softly the nearest.

    .. math:: T_i = -\log \sum_{j \ne i: y_j = y_i} e^{s_{ij} / \sigma}

    Arguments and errors are those of `snca`; a sample without positives counts 0 and is left out of the mean.

    Example:
        >>> points, labels = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])
        >>> snca_tightness(points, labels, temperature=0.5)
        tensor(-2.)
    """
    pairs, scores = _cosines(embeddings, labels, references, reference_labels, temperature, normalize)
    return reduce_valid(-masked_logsumexp(scores, pairs.positive), pairs.positive.any(dim=1), reduction)


def snca_contrast(
    embeddings: Tensor,
    labels: Tensor,
    *,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
    temperature: float = 0.05,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The part of `snca` that pushes: how near all other samples are, softly the nearest.

    .. math:: C_i = \log \sum_{j \ne i} e^{s_{ij} / \sigma}

    Arguments and errors are those of `snca`; a sample without positives counts 0 and is left out of the mean.

    Example:
        >>> points, labels = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])
        >>> round(snca_contrast(points, labels, temperature=0.5).item(), 4)  # log(e^2 + 2)
        2.2395
    """
    pairs, scores = _cosines(embeddings, labels, references, reference_labels, temperature, normalize)
    everything = masked_logsumexp(scores, pairs.positive | pairs.negative)
    return reduce_valid(everything, pairs.positive.any(dim=1), reduction)


def snca(
    embeddings: Tensor,
    labels: Tensor,
    *,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
    temperature: float = 0.05,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Scalable neighbourhood component analysis (SNCA): the soft nearest neighbour, by cosine, must be of one's class.

    .. math:: L_i = -\log \frac{\sum_{j \ne i: y_j = y_i} e^{s_{ij} / \sigma}}{\sum_{j \ne i} e^{s_{ij} / \sigma}}

    where :math:`\sigma` is `temperature`: the sum of `snca_tightness` and `snca_contrast`, computed so that neither
    large nor tiny losses lose digits. Of classes of equal size it is a constant less the leave-one-out kernel estimate
    of I(z; y): see `kernel_information`. A sample without positives costs 0 and is left out of the mean; one without
    negatives costs 0.

    Args:
        embeddings: (n, features).
        labels: (n,) integers.
        references: (m, features), or None for the neighbours inside the batch.
        reference_labels: (m,) integers, with `references`.
        temperature: σ > 0.
        normalize: divide embeddings and references by their lengths first; a vector of zeros stays.
        reduction: "mean" over the samples that have a positive, "sum", or "none" for (n,).

    Returns:
        In nats.

    Raises:
        ValueError: shapes disagree or are empty, or the temperature is not positive.

    Source: Wu et al. 2018 (ECCV), §3, where the references are all training samples.

    Example:
        >>> points, labels = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])
        >>> round(snca(points, labels, temperature=0.5).item(), 4)  # log(1 + 2 / e^2)
        0.2395
    """
    pairs, scores = _cosines(embeddings, labels, references, reference_labels, temperature, normalize)
    return _soft_neighbour_loss(pairs, scores, reduction)


def nca(
    embeddings: Tensor,
    labels: Tensor,
    *,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
    temperature: float = 1.0,
    normalize: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Neighbourhood component analysis (NCA): a soft nearest neighbour, by distance, must be of the same class.

    .. math:: L_i = -\log
        \frac{\sum_{j \ne i: y_j = y_i} e^{-D_{ij}^2 / \sigma}}{\sum_{j \ne i} e^{-D_{ij}^2 / \sigma}},
        \qquad D_{ij} = \| z_i - z_j \|

    Of embeddings of length 1 it is `snca` at half the temperature. Arguments, conventions and errors are those of
    `snca`.

    Source: Goldberger et al. 2004 (NIPS), the objective g(A) (logarithms of the probabilities).

    Example:
        >>> round(nca(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([0, 0, 1])).item(), 4)
        0.3709
    """
    check_temperature(temperature)
    pairs = find_pairs(embeddings, labels, references, reference_labels, normalize=normalize)
    squared, _ = squared_distances(pairs.anchors, pairs.others)
    return _soft_neighbour_loss(pairs, -squared / temperature, reduction)


def supervised_contrastive_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
    temperature: float = 0.1,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Supervised contrastive loss (SupCon): every positive must be the soft nearest neighbour.

    .. math:: L_i = -\frac{1}{|P_i|} \sum_{p \in P_i} \log \frac{e^{s_{ip} / \tau}}{\sum_{j \ne i} e^{s_{ij} / \tau}},
        \qquad P_i = \{p \ne i: y_p = y_i\}

    where :math:`\tau` is `temperature`. The mean over positives is outside the logarithm; `snca` has their sum inside.
    Arguments, conventions and errors are those of `snca`.

    Source: Khosla et al. 2020 (NeurIPS), eq. 2 (:math:`L_{out}`), without the factor τ/τ_0 of the released code.

    Example:
        >>> points, labels = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])
        >>> round(supervised_contrastive_loss(points, labels, temperature=0.5).item(), 4)  # log(1 + 2 / e^2)
        0.2395
    """
    pairs, scores = _cosines(embeddings, labels, references, reference_labels, temperature, normalize)
    everything = masked_logsumexp(scores, pairs.positive | pairs.negative)
    behind = torch.where(pairs.positive, everything.unsqueeze(1) - scores, 0.0).sum(dim=1)
    count = pairs.positive.sum(dim=1)
    return reduce_valid(behind / count.clamp(min=1), count > 0, reduction)


def multi_similarity_tightness(
    embeddings: Tensor,
    labels: Tensor,
    *,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
    positive_scale: float = 2.0,
    offset: float = 0.5,
    mining: float | None = None,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The part of `multi_similarity_loss` that pulls: samples of the same class less alike than the offset.

    .. math:: T_i = \frac{1}{\alpha} \log \left( 1 + \sum_{j \ne i: y_j = y_i} e^{-\alpha (s_{ij} - \lambda)} \right)

    Arguments and errors are those of `multi_similarity_loss`; a sample without positives costs 0.

    Example:
        >>> points, labels = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])
        >>> round(multi_similarity_tightness(points, labels).item(), 4)  # log(1 + e^-1) / 2
        0.1566
    """
    pairs, cosines = _cosines(embeddings, labels, references, reference_labels, 1.0, normalize)
    positive, _ = _mined(pairs, cosines, mining)
    scale = positive_number(positive_scale, "positive_scale")
    return reduce(log_one_plus_sum(-scale * (cosines - offset), positive) / scale, reduction)


def multi_similarity_contrast(
    embeddings: Tensor,
    labels: Tensor,
    *,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
    negative_scale: float = 50.0,
    offset: float = 0.5,
    mining: float | None = None,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The part of `multi_similarity_loss` that pushes: samples of other classes more alike than the offset.

    .. math:: C_i = \frac{1}{\beta} \log \left( 1 + \sum_{j: y_j \ne y_i} e^{\beta (s_{ij} - \lambda)} \right)

    Arguments and errors are those of `multi_similarity_loss`; a sample without negatives costs 0.

    Example:
        >>> points, labels = torch.tensor([[1.0], [1.0]]), torch.tensor([0, 1])
        >>> round(multi_similarity_contrast(points, labels).item(), 4)
        0.5
    """
    pairs, cosines = _cosines(embeddings, labels, references, reference_labels, 1.0, normalize)
    _, negative = _mined(pairs, cosines, mining)
    scale = positive_number(negative_scale, "negative_scale")
    return reduce(log_one_plus_sum(scale * (cosines - offset), negative) / scale, reduction)


def multi_similarity_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
    positive_scale: float = 2.0,
    negative_scale: float = 50.0,
    offset: float = 0.5,
    mining: float | None = None,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Multi-similarity loss: positives more alike than an offset, negatives less, the worst of each weighted most.

    .. math:: L_i = \frac{1}{\alpha} \log \Big( 1 + \sum_{j \ne i: y_j = y_i} e^{-\alpha (s_{ij} - \lambda)} \Big)
        + \frac{1}{\beta} \log \Big( 1 + \sum_{j: y_j \ne y_i} e^{\beta (s_{ij} - \lambda)} \Big)

    where :math:`\alpha` is `positive_scale`, :math:`\beta` is `negative_scale` and :math:`\lambda` is `offset`: the sum
    of `multi_similarity_tightness` and `multi_similarity_contrast`. With `mining` :math:`\epsilon` the sums run over
    those positives that are less alike than the most alike negative plus :math:`\epsilon`, and those negatives that are
    more alike than the least alike positive less :math:`\epsilon`; where an anchor has no negative (no positive), no
    positive (no negative) is left.

    Args:
        embeddings: (n, features).
        labels: (n,) integers.
        references: (m, features), or None for the pairs inside the batch.
        reference_labels: (m,) integers, with `references`.
        positive_scale: α > 0.
        negative_scale: β > 0.
        offset: λ; 0.5 in the released code, 1 in the paper.
        mining: ε, 0.1 in the paper; None takes all pairs.
        normalize: divide embeddings and references by their lengths first; a vector of zeros stays.
        reduction: "mean" or "sum" over the samples, or "none" for (n,). The released code divides by n too.

    Raises:
        ValueError: shapes disagree or are empty, or a scale is not positive.

    Source: Wang et al. 2019 (CVPR, "Multi-Similarity Loss"), eq. 15 and the mining before it.

    Example:
        >>> points, labels = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])
        >>> round(multi_similarity_loss(points, labels).item(), 4)
        0.1566
    """
    pairs, cosines = _cosines(embeddings, labels, references, reference_labels, 1.0, normalize)
    positive, negative = _mined(pairs, cosines, mining)
    alpha, beta = positive_number(positive_scale, "positive_scale"), positive_number(negative_scale, "negative_scale")
    tightness = log_one_plus_sum(-alpha * (cosines - offset), positive) / alpha
    contrast = log_one_plus_sum(beta * (cosines - offset), negative) / beta
    return reduce(tightness + contrast, reduction)


def kernel_information(
    embeddings: Tensor,
    labels: Tensor,
    *,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
    temperature: float = 0.05,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""What embeddings tell about their class, by leave-one-out kernel densities: the information that `snca` raises.

    .. math:: \hat I_i = \log \frac{\hat p(z_i | y_i)}{\hat p(z_i)}
        = \log \frac{\frac{1}{m_i} \sum_{j \ne i: y_j = y_i} e^{s_{ij} / \sigma}}{\frac{1}{n - 1} \sum_{j \ne i}
        e^{s_{ij} / \sigma}}

    where :math:`m_i` is the number of other samples of the class and the kernel is that of von Mises and Fisher, whose
    normaliser cancels. So :math:`\hat I_i = \log((n - 1) / m_i) - L_i` with :math:`L_i` the `snca` of sample i: of
    classes of equal size SNCA is a constant less this estimate, which can therefore not exceed
    :math:`\log((n - 1) / m)`. It is a plug-in estimate of I(z; y): no bound of the true information, and its value
    depends on the temperature. `limbeck.information.cross_fitted_information` gives a bound with an interval.

    Arguments, conventions and errors are those of `snca`; a sample without positives is left out of the mean.

    Returns:
        In nats.

    Source: ours; the relation to the mutual information is the subject of Boudiaf et al. 2020 (arXiv 2003.08983).

    Example:
        >>> points, labels = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])
        >>> round(kernel_information(points, labels).item(), 4)  # log 3 - log(1 + 2 / e^20)
        1.0986
    """
    pairs, scores = _cosines(embeddings, labels, references, reference_labels, temperature, normalize)
    losses = _soft_neighbour_loss(pairs, scores, "none")
    positives, everything = pairs.positive.sum(dim=1), (pairs.positive | pairs.negative).sum(dim=1)
    most = torch.log(everything.clamp(min=1).to(losses.dtype) / positives.clamp(min=1))
    return reduce_valid(most - losses, positives > 0, reduction)


def _cosines(
    embeddings: Tensor,
    labels: Tensor,
    references: Tensor | None,
    reference_labels: Tensor | None,
    temperature: float,
    normalize: bool,
) -> tuple[Pairs, Tensor]:
    """The pairs, and their products over a temperature."""
    check_temperature(temperature)
    pairs = find_pairs(embeddings, labels, references, reference_labels, normalize=normalize)
    return pairs, inner_products(pairs.anchors, pairs.others) / temperature


def _soft_neighbour_loss(pairs: Pairs, scores: Tensor, reduction: Reduction) -> Tensor:
    """-log of the share of the positives in the sum of exp(scores)."""
    # log((P + N) / P) = log(1 + N / P): exact for tiny losses too, and never negative.
    behind = masked_logsumexp(scores, pairs.negative) - masked_logsumexp(scores, pairs.positive)
    losses = torch.where(pairs.negative.any(dim=1), torch.logaddexp(behind, torch.zeros_like(behind)), 0.0)
    return reduce_valid(losses, pairs.positive.any(dim=1), reduction)


def _mined(pairs: Pairs, cosines: Tensor, mining: float | None) -> tuple[Tensor, Tensor]:
    """The positives and negatives that are informative: not those that the other kind is beyond."""
    if mining is None:
        return pairs.positive, pairs.negative
    # Where there is no positive or no negative, the other is infinitely far beyond: nothing is left.
    least_alike = torch.where(pairs.positive, cosines, torch.inf).amin(dim=1, keepdim=True)
    most_alike = torch.where(pairs.negative, cosines, -torch.inf).amax(dim=1, keepdim=True)
    return pairs.positive & (cosines < most_alike + mining), pairs.negative & (cosines > least_alike - mining)
