"""What relates the losses over pairs to each other and to information: docs/metric.md says the same in words."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from tests.objectives.metric_batches import balanced, batch, normal
from torch import Tensor

from limbeck.objectives import (
    center_loss,
    contrastive_tightness,
    cross_entropy,
    kernel_information,
    mean_neighbour_entropy,
    multi_similarity_tightness,
    nca,
    snca,
    snca_contrast,
    snca_tightness,
    supervised_contrastive_loss,
)

SEEDS = pytest.mark.parametrize("seed", range(20))
CLASSES, MEMBERS = 4, 5  # of `balanced`
SAMPLES = CLASSES * MEMBERS


# --- tightness ----------------------------------------------------------------------------------------------------


@SEEDS
def test_contrastive_tightness_is_center_loss(seed: int) -> None:
    """Σ_i Σ_j D_ij² = 4 m T_center for classes of m samples; of n_k samples Σ_k 4 n_k T_center,k. Of any length."""
    points, labels = balanced(seed)
    points = points * normal(seed, SAMPLES, 1)
    found = contrastive_tightness(points, labels, reduction="sum")
    torch.testing.assert_close(found, 4 * MEMBERS * center_loss(points, labels, reduction="sum"))
    points, labels = batch(seed)
    sizes = (labels.unsqueeze(1) == labels).sum(1)
    assert len(sizes.unique()) > 1
    weighted = (4 * sizes * center_loss(points, labels, reduction="none")).sum()
    torch.testing.assert_close(contrastive_tightness(points, labels, reduction="sum"), weighted)


@SEEDS
@pytest.mark.parametrize("temperature", [0.05, 0.3, 2.0])
@pytest.mark.parametrize("itself", [False, True])
def test_snca_tightness_is_below_the_contrastive(seed: int, temperature: float, itself: bool) -> None:
    """Jensen, of unit vectors in classes of m: T_SNCA <= -n log m' - n/σ + T_contrastive / (2 m' σ).

    m' = m - 1 without the pair (i, i), and m with it. Equality where a class has only one distance.
    """
    points, labels = balanced(seed)
    partners = MEMBERS if itself else MEMBERS - 1
    given = {"references": points, "reference_labels": labels} if itself else {}
    tight = snca_tightness(points, labels, temperature=temperature, reduction="sum", **given)
    spread = contrastive_tightness(points, labels, reduction="sum")
    bound = -SAMPLES * (math.log(partners) + 1 / temperature) + spread / (2 * partners * temperature)
    assert tight < bound
    together = points[labels]
    tight = snca_tightness(
        together,
        labels,
        temperature=temperature,
        reduction="sum",
        **(given and {"references": together, "reference_labels": labels}),
    )
    assert tight.item() == pytest.approx(-SAMPLES * (math.log(partners) + 1 / temperature), rel=1e-9)


def test_snca_tightness_may_exceed_that_bound_for_vectors_of_other_lengths() -> None:
    """The premise of length 1 is needed: D^cos = 1 - D²/2 holds of nothing else. Two short vectors at a right angle."""
    points, labels = 0.1 * torch.eye(2, dtype=torch.float64), torch.tensor([0, 0])
    tight = snca_tightness(points, labels, temperature=1.0, reduction="sum")
    bound = -2 * (math.log(1) + 1) + contrastive_tightness(points, labels, reduction="sum") / 2
    assert tight > bound + 1


@SEEDS
@pytest.mark.parametrize("scale", [0.5, 2.0, 10.0])
def test_multi_similarity_tightness_is_above_the_contrastive(seed: int, scale: float) -> None:
    """Jensen again, and log(1 + x) > log x, with the offset 1: T_MS >= (n/α) log(m-1) + T_contrastive / (2 (m-1))."""
    points, labels = balanced(seed)
    tight = multi_similarity_tightness(points, labels, positive_scale=scale, offset=1.0, reduction="sum")
    spread = contrastive_tightness(points, labels, reduction="sum")
    assert tight > SAMPLES / scale * math.log(MEMBERS - 1) + spread / (2 * (MEMBERS - 1))


# --- the generative view --------------------------------------------------------------------------------------------


def _gaussian(seed: int, features: int = 3, samples: int = 200) -> tuple[Tensor, Tensor]:
    """A covariance with determinant between 0 and 1 or so, and samples of that very covariance and mean 0."""
    factor = 0.3 * torch.eye(features, dtype=torch.float64) + 0.5 * normal(seed, features, features)
    white = normal(seed + 1, samples, features)
    white = white - white.mean(0)
    white = white @ torch.linalg.inv(torch.linalg.cholesky(white.T @ white / samples)).T
    return factor @ factor.T, white @ factor.T


@SEEDS
def test_center_loss_is_a_gaussian_cross_entropy(seed: int) -> None:
    """½ E|z - c|² + (d/2) log 2π = H(z | y) + KL[z | y ‖ N(c, I)] >= H(z | y), of a Gaussian class; equality at I."""
    covariance, points = _gaussian(seed)
    features = len(covariance)
    labels = torch.zeros(len(points), dtype=torch.long)
    found = center_loss(points, labels) + features / 2 * math.log(2 * math.pi)
    torch.testing.assert_close(found, covariance.trace() / 2 + features / 2 * math.log(2 * math.pi))
    entropy = 0.5 * torch.logdet(2 * math.pi * math.e * covariance)
    divergence = 0.5 * (covariance.trace() - features - torch.logdet(covariance))
    torch.testing.assert_close(found, entropy + divergence)
    assert divergence > 1e-2
    white = torch.linalg.solve(torch.linalg.cholesky(covariance), points.T).T
    found = center_loss(white, labels) + features / 2 * math.log(2 * math.pi)
    assert found.item() == pytest.approx(features / 2 * math.log(2 * math.pi * math.e))


@SEEDS
@pytest.mark.parametrize("factor", [1e-3, -2.0, 50.0])
def test_mean_neighbour_entropy_of_scaled_samples(seed: int, factor: float) -> None:
    points = normal(seed, 20, 3)
    expected = mean_neighbour_entropy(points) + 3 * math.log(abs(factor))
    torch.testing.assert_close(mean_neighbour_entropy(factor * points), expected)
    torch.testing.assert_close(mean_neighbour_entropy(points + 5), mean_neighbour_entropy(points))


def test_mean_neighbour_entropy_is_the_mean_of_estimates_from_each_neighbour() -> None:
    """Kozachenko and Leonenko: ψ(n) - ψ(k) + log V_d + (d/n) Σ_i log r_ik, for k = 1 ... n - 1."""
    for samples, features in ((2, 1), (9, 2), (15, 5)):
        points = normal(samples, samples, features)
        ranked = torch.cdist(points, points).sort(1).values[:, 1:].log()
        ball = math.pi ** (features / 2) / math.gamma(features / 2 + 1)
        ranks = torch.arange(1, samples, dtype=torch.float64)
        digamma = torch.digamma(torch.tensor(float(samples), dtype=torch.float64)) - torch.digamma(ranks)
        each = digamma + math.log(ball) + features * ranked.mean(0)
        torch.testing.assert_close(mean_neighbour_entropy(points), each.mean())


def test_mean_neighbour_entropy_of_duplicates_and_of_too_few() -> None:
    points = normal(0, 6, 3)
    points[1] = points[0]
    leaf = points.clone().requires_grad_()
    mean_neighbour_entropy(leaf).backward()
    assert leaf.grad.isfinite().all()
    near = points.clone()
    near[1] += 1e-6
    assert -60 < mean_neighbour_entropy(points) < mean_neighbour_entropy(near)
    assert torch.autograd.gradcheck(mean_neighbour_entropy, normal(1, 6, 3).requires_grad_())
    for collapsed in (torch.zeros(4, 2), torch.ones(4, 2)):
        assert mean_neighbour_entropy(collapsed).isfinite()
    for wrong in (torch.ones(1, 3), torch.ones(3), torch.ones(3, 0)):
        with pytest.raises(ValueError, match="embeddings must be"):
            mean_neighbour_entropy(wrong)


@SEEDS
@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_snca_is_a_constant_less_a_kernel_estimate_of_information(seed: int, temperature: float) -> None:
    """The densities are written out here, in classes of equal size: L = log((n - 1) / (m - 1)) - I."""
    points, labels = balanced(seed)
    kernel = torch.exp(points @ points.T / temperature)
    logarithms = []
    for i in range(SAMPLES):
        others = [j for j in range(SAMPLES) if j != i]
        own = torch.stack([kernel[i, j] for j in others if labels[j] == labels[i]]).mean()
        logarithms.append(torch.log(own / torch.stack([kernel[i, j] for j in others]).mean()))
    information = torch.stack(logarithms).mean()
    torch.testing.assert_close(kernel_information(points, labels, temperature=temperature), information)
    most = math.log((SAMPLES - 1) / (MEMBERS - 1))
    torch.testing.assert_close(snca(points, labels, temperature=temperature), most - information)
    assert information < most


@SEEDS
def test_relatives_of_snca(seed: int) -> None:
    """Of unit vectors NCA is SNCA at half the temperature. SupCon is SNCA with the mean over positives outside the
    logarithm: by Jensen above it by log(m - 1) or more, and equal for a single positive."""
    points, labels = balanced(seed)
    torch.testing.assert_close(nca(points, labels, temperature=0.6), snca(points, labels, temperature=0.3))
    outside = supervised_contrastive_loss(points, labels, temperature=0.3)
    assert outside > snca(points, labels, temperature=0.3) + math.log(MEMBERS - 1)
    labels = torch.arange(SAMPLES) // 2
    outside = supervised_contrastive_loss(points, labels, temperature=0.3)
    torch.testing.assert_close(outside, snca(points, labels, temperature=0.3))


@SEEDS
def test_tightness_pulls_and_contrast_pushes(seed: int) -> None:
    """A step along the gradient of tightness brings classes together; one along that of contrast spreads everything."""
    points, labels = balanced(seed)
    same = (labels.unsqueeze(1) == labels) & ~torch.eye(SAMPLES, dtype=torch.bool)
    for part, pairs, sign in ((snca_tightness, same, 1), (snca_contrast, ~same, -1)):
        leaf = points.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(part(leaf, labels, temperature=0.5), leaf)
        moved = points - 0.1 * gradient / gradient.norm()
        moved = moved / moved.norm(dim=1, keepdim=True)
        assert sign * ((moved @ moved.T)[pairs].mean() - (points @ points.T)[pairs].mean()) > 0


# --- the discriminative view ----------------------------------------------------------------------------------------


@SEEDS
def test_cross_entropy_is_entropy_and_divergence(seed: int) -> None:
    """CE = H(y|z) + E KL[p(y|z) ‖ q(y|z)] >= H(y|z), so that H(y) - CE <= I(z; y); equality at q = p. Discrete z."""
    joint = torch.rand(6, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) ** 2
    joint = joint / joint.sum()
    logits = normal(seed, 6, 4)
    every = torch.arange(4)

    def expected_cross_entropy(scores: Tensor) -> Tensor:
        each = torch.stack([cross_entropy(scores, label.expand(6), reduction="none") for label in every], dim=1)
        return (joint * each).sum()

    posterior = joint / joint.sum(1, keepdim=True)
    conditional = -(joint * posterior.log()).sum()
    divergence = (joint * (posterior.log() - logits.log_softmax(1))).sum()
    found = expected_cross_entropy(logits)
    torch.testing.assert_close(found, conditional + divergence)
    assert divergence > 0
    torch.testing.assert_close(expected_cross_entropy(posterior.log()), conditional)
    label = joint.sum(0)
    entropy = -(label * label.log()).sum()
    information = (joint * (joint / (joint.sum(1, keepdim=True) * label)).log()).sum()
    assert entropy - found < information
    torch.testing.assert_close(entropy - expected_cross_entropy(posterior.log()), information)


@SEEDS
@pytest.mark.parametrize("smoothing", [0.1, 0.3])
def test_smoothing_over_the_other_classes(seed: int, smoothing: float) -> None:
    """The released code gives ε/(K - 1) to each other class and subtracts the target's entropy: our smoothing, which
    includes the true class, of ε K/(K - 1), less that entropy. H(y) less a smoothed CE is no bound of information."""
    classes = 5
    logits, labels = 3 * normal(seed, 7, classes), torch.arange(7) % classes
    target = torch.full((7, classes), smoothing / (classes - 1), dtype=torch.float64)
    target[torch.arange(7), labels] = 1 - smoothing
    released = (target * (target.log() - logits.log_softmax(1))).sum(1).mean()
    entropy = -(target * target.log()).sum(1).mean()
    ours = cross_entropy(logits, labels, label_smoothing=smoothing * classes / (classes - 1))
    torch.testing.assert_close(released, ours - entropy)


def test_the_same_information_may_be_found_by_neighbours_or_not() -> None:
    """z tells y in both, exactly; the kernel finds the information only where neighbours share the class: what a loss
    over pairs raises is not I(z; y) alone, which an encoder that loses nothing never changes."""
    steps = torch.arange(40, dtype=torch.float64) * (2 * math.pi / 40)
    points = torch.stack([steps.cos(), steps.sin()], dim=1)
    measure = partial(kernel_information, temperature=0.05)
    apart, mixed = torch.arange(40) // 20, torch.arange(40) % 2
    assert measure(points, apart) > 0.5
    assert measure(points, mixed) < 0.1
