"""Losses on proxies as loops over samples and proxies, and softmax with margin at all angles."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from tests.objectives.metric_batches import SEEDS, batch, mean, normal, product, scaled, squared
from torch import Tensor

from limbeck.objectives import cross_entropy, margin_logits, prototype_logits, proxy_anchor, proxy_nca

PROXIES = 5  # one more than the classes of a batch


@SEEDS
@pytest.mark.parametrize("normalize", [True, False])
def test_proxy_nca_is_that_of_a_loop(seed: int, normalize: bool) -> None:
    embeddings, labels = batch(seed)
    proxies = normal(seed + 50, PROXIES, 4)
    rows, centers = ([scaled(row) if normalize else row for row in given.tolist()] for given in (embeddings, proxies))
    expected = []
    for row, label in zip(rows, labels.tolist(), strict=True):
        others = math.fsum(math.exp(-squared(row, center)) for k, center in enumerate(centers) if k != label)
        expected.append(-math.log(math.exp(-squared(row, centers[label])) / others))
    found = proxy_nca(embeddings, labels, proxies, normalize=normalize, reduction="none")
    assert found.tolist() == pytest.approx(expected, rel=1e-9)
    assert proxy_nca(embeddings, labels, proxies, normalize=normalize).item() == pytest.approx(mean(expected))


@SEEDS
def test_proxy_nca_less_its_own_proxy_is_a_cross_entropy(seed: int) -> None:
    """With the own proxy in the denominator it would be CE of -D^2; the two differ by log(1 - p_y)."""
    embeddings, labels = batch(seed)
    proxies = normal(seed + 50, PROXIES, 4)
    logits = -torch.cdist(embeddings, proxies).square()
    share = logits.softmax(1).gather(1, labels.unsqueeze(1)).squeeze(1)
    found = proxy_nca(embeddings, labels, proxies, normalize=False, reduction="none")
    expected = cross_entropy(logits, labels, reduction="none") + torch.log1p(-share)
    torch.testing.assert_close(found, expected)


@SEEDS
def test_proxy_anchor_is_that_of_a_loop(seed: int) -> None:
    embeddings, labels = batch(seed)
    proxies = normal(seed + 50, PROXIES, 4)
    rows, centers = ([scaled(row) for row in given.tolist()] for given in (embeddings, proxies))
    pull, push = [], []
    for k, center in enumerate(centers):
        own = [product(row, center) for row, y in zip(rows, labels.tolist(), strict=True) if y == k]
        others = [product(row, center) for row, y in zip(rows, labels.tolist(), strict=True) if y != k]
        push.append(math.log(1 + math.fsum(math.exp(32 * (s + 0.1)) for s in others)))
        if own:
            pull.append(math.log(1 + math.fsum(math.exp(-32 * (s - 0.1)) for s in own)))
    assert len(pull) < len(push)
    assert proxy_anchor(embeddings, labels, proxies).item() == pytest.approx(mean(pull) + mean(push), rel=1e-9)


@SEEDS
@pytest.mark.parametrize(
    "loss",
    [proxy_nca, proxy_anchor, lambda z, y, p: cross_entropy(margin_logits(_cosines(z, p), y, scale=8.0), y)],
    ids=["nca", "anchor", "arcface"],
)
def test_gradients_are_those_of_finite_differences(seed: int, loss: Callable[..., Tensor]) -> None:
    embeddings, labels = batch(seed)
    leaves = embeddings.requires_grad_(), normal(seed + 50, PROXIES, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda z, p: loss(z, labels, p), leaves)


@pytest.mark.parametrize("loss", [proxy_nca, proxy_anchor])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize("labels", [[0], [1, 1, 1], [0, 1, 2]])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("zero", [False, True])
def test_all_ways_to_be_empty_are_finite(
    loss: Callable[..., Tensor], dtype: torch.dtype, labels: list[int], classes: int, zero: bool
) -> None:
    target = torch.tensor(labels).clamp(max=classes - 1)
    points = torch.zeros(len(labels), 2) if zero else torch.ones(len(labels), 2)
    leaves = points.to(dtype).requires_grad_(), points[:1].expand(classes, -1).to(dtype).clone().requires_grad_()
    value = loss(leaves[0], target, leaves[1])
    assert value.isfinite()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(value, leaves))


def test_one_proxy_leaves_the_distance() -> None:
    embeddings, proxies = normal(0, 3, 2), normal(1, 1, 2)
    found = proxy_nca(embeddings, torch.zeros(3, dtype=torch.long), proxies, normalize=False, reduction="none")
    torch.testing.assert_close(found, (embeddings - proxies).square().sum(1))


# --- softmax with margin ------------------------------------------------------------------------------------------


def _cosines(embeddings: Tensor, proxies: Tensor) -> Tensor:
    return prototype_logits(embeddings, proxies, temperature=1)


def test_without_margin_it_is_the_normalised_softmax() -> None:
    embeddings, labels = batch(0)
    proxies = normal(1, PROXIES, 4)
    expected = prototype_logits(embeddings, proxies, temperature=0.05)
    for kind in ("arcface", "cosface"):
        found = margin_logits(_cosines(embeddings, proxies), labels, kind=kind, margin=0.0, scale=20.0)
        torch.testing.assert_close(found, expected)
    unit = [given / given.norm(dim=1, keepdim=True) for given in (embeddings, proxies)]
    torch.testing.assert_close(expected, unit[0] @ unit[1].T / 0.05)


@pytest.mark.parametrize("margin", [0.1, 0.5, 1.5, 2.3, 3.0])
def test_the_angle_is_added_up_to_pi_and_continued_beyond(margin: float) -> None:
    """cos(angle + m) as written while the sum is below pi; cos(angle) - m sin(m) after it."""
    angles = torch.linspace(0, math.pi, 2001, dtype=torch.float64)
    cosines = torch.stack([angles.cos(), torch.full_like(angles, 0.3)], dim=1)
    found = margin_logits(cosines, torch.zeros(2001, dtype=torch.long), margin=margin, scale=2.0)
    inside = angles + margin < math.pi - 1e-9
    assert 0 < inside.sum() < 2001
    torch.testing.assert_close(found[inside, 0], 2 * torch.cos(angles[inside] + margin), rtol=0, atol=1e-9)
    beyond = 2 * (angles[~inside].cos() - margin * math.sin(margin))
    torch.testing.assert_close(found[~inside, 0], beyond, rtol=0, atol=1e-9)
    assert (found[:, 0].diff() < 0).all() == (margin < 2.33)
    drop = 2 * (math.cos(margin) + margin * math.sin(margin) - 1)
    at = int(inside.sum())
    assert (found[at - 1, 0] - found[at, 0]).item() == pytest.approx(drop, abs=0.01)
    assert (found[:, 1] == 0.6).all()


def test_cosface_subtracts_from_the_true_class_alone() -> None:
    cosines = torch.tensor([[0.9, 0.1, -0.4], [0.2, 0.3, 0.5]])
    found = margin_logits(cosines, torch.tensor([0, 2]), kind="cosface")
    expected = 64 * (cosines - 0.35 * torch.tensor([[1.0, 0, 0], [0, 0, 1]]))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize("cosine", [1.0, -1.0, 1.0 + 1e-3, -1.0 - 1e-3, 1.0 - 1e-7])
@pytest.mark.parametrize("margin", [0.0, 0.5, 3.0])
def test_the_gradient_is_finite_where_the_cosine_is_one(dtype: torch.dtype, cosine: float, margin: float) -> None:
    cosines = torch.tensor([[cosine, 0.2]], dtype=dtype).requires_grad_()
    logits = margin_logits(cosines, torch.tensor([0]), margin=margin, scale=30.0)
    value = cross_entropy(logits, torch.tensor([0]))
    (gradient,) = torch.autograd.grad(logits[0, 0], cosines, retain_graph=True)
    assert value.isfinite()
    assert gradient.isfinite().all()
    if cosine == 1:
        assert logits[0, 0].item() == pytest.approx(30 * math.cos(margin), rel=1e-6)
        assert gradient[0, 0].item() == pytest.approx(30 * math.cos(margin), rel=1e-3)
    (gradient,) = torch.autograd.grad(value, cosines)
    assert gradient.isfinite().all()


def test_an_embedding_on_its_proxy_has_a_finite_gradient() -> None:
    for dtype in (torch.float32, torch.float64):
        embeddings = normal(2, 3, 4).to(dtype).requires_grad_()
        proxies = (2 * embeddings.detach()).requires_grad_()
        labels = torch.arange(3)
        loss = cross_entropy(margin_logits(_cosines(embeddings, proxies), labels), labels)
        for gradient in torch.autograd.grad(loss, [embeddings, proxies]):
            assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: proxy_nca(torch.ones(2, 3), torch.zeros(2), torch.ones(4, 2)), "proxies must be"),
        (lambda: proxy_anchor(torch.ones(2, 3), torch.zeros(2), torch.ones(0, 3)), "proxies must be"),
        (lambda: proxy_anchor(torch.ones(2, 3), torch.zeros(3), torch.ones(4, 3)), "labels of shape"),
        (lambda: proxy_anchor(torch.ones(2, 3), torch.zeros(2), torch.ones(4, 3), scale=0.0), "scale must be positive"),
        (lambda: margin_logits(torch.ones(2, 3), torch.zeros(3)), "labels of shape"),
        (lambda: margin_logits(torch.ones(2, 3), torch.zeros(2), kind="sphere"), "kind must be"),
        (lambda: margin_logits(torch.ones(2, 3), torch.zeros(2), margin=4.0), "margin must be"),
        (lambda: margin_logits(torch.ones(2, 3), torch.zeros(2), margin=-0.1), "margin must be"),
        (lambda: margin_logits(torch.ones(2, 3), torch.zeros(2), scale=-1.0), "scale must be positive"),
    ],
)
def test_wrong_input_is_refused_by_name(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
