"""The adapter to pytorch-metric-learning, and the figures of docs/metric.md: where its losses differ."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.objectives.metric_batches import normal
from torch import Tensor

from limbeck.objectives import (
    center_loss,
    contrastive_loss,
    cross_entropy,
    margin_logits,
    multi_similarity_loss,
    nca,
    prototype_logits,
    proxy_anchor,
    proxy_nca,
    ranked_list_loss,
    snca,
    supervised_contrastive_loss,
    triplet_loss,
)
from limbeck.objectives.external import PytorchMetricLearningLoss

INSTALLED = pytest.mark.skipif(
    importlib.util.find_spec("pytorch_metric_learning") is None, reason="pytorch-metric-learning is not installed"
)
PAGE = Path(__file__).parents[2] / "docs" / "metric.md"
LABELS = torch.arange(24) % 6


def _points() -> Tensor:
    return normal(0, 24, 8)


def _proxies() -> Tensor:
    return normal(1, 6, 8)


# --- the adapter ----------------------------------------------------------------------------------------------------


class _Recorded(torch.nn.Module):
    """A loss with a parameter, called as those of pytorch-metric-learning are."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    def forward(
        self, embeddings: Tensor, labels: Tensor, *, ref_emb: Tensor | None = None, ref_labels: Tensor | None = None
    ) -> Tensor:
        given = embeddings if ref_emb is None else torch.cat([embeddings, ref_emb])
        their = labels if ref_labels is None else torch.cat([labels, ref_labels])
        return self.weight * (given.sum(1) * their).sum()


def test_it_passes_references_on_and_has_the_parameters_of_its_loss() -> None:
    loss = PytorchMetricLearningLoss(_Recorded())
    ones = torch.ones(2, 3)
    assert loss(ones, torch.tensor([1, 2])).item() == 18
    assert loss(ones, torch.tensor([1, 2]), references=ones, reference_labels=torch.tensor([0, 5])).item() == 48
    assert [name for name, _ in loss.named_parameters()] == ["loss.weight"]
    with pytest.raises(ValueError, match="references and reference_labels go together"):
        loss(ones, torch.tensor([1, 2]), references=ones)
    with pytest.raises(ValueError, match="options go with the name"):
        PytorchMetricLearningLoss(_Recorded(), margin=1.0)


def test_a_package_that_is_not_installed_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
    monkeypatch.delitem(sys.modules, "pytorch_metric_learning.losses", raising=False)
    with pytest.raises(ImportError, match=r"CircleLoss needs .*: pip install 'limbeck\[metric\]'") as raised:
        PytorchMetricLearningLoss("CircleLoss")
    assert "\n" not in str(raised.value)


@INSTALLED
def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no loss named 'NoSuchLoss'"):
        PytorchMetricLearningLoss("NoSuchLoss")


@INSTALLED
@pytest.mark.parametrize("name", ["CircleLoss", "LiftedStructureLoss", "NTXentLoss"])
def test_its_losses_train_with_and_without_references(name: str) -> None:
    loss, points = PytorchMetricLearningLoss(name), _points().requires_grad_()
    for given in ({}, {"references": normal(2, 9, 8), "reference_labels": torch.arange(9) % 6}):
        (gradient,) = torch.autograd.grad(loss(points, LABELS, **given), points)
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 0


# --- where they agree -------------------------------------------------------------------------------------------------


def _theirs(name: str, **options: object) -> PytorchMetricLearningLoss:
    return PytorchMetricLearningLoss(name, **options)


def _with_proxies(name: str, attribute: str, **options: object) -> PytorchMetricLearningLoss:
    """Its classifiers W hold one class a column, its proxies one a row."""
    loss = _theirs(name, num_classes=6, embedding_size=8, **options)
    held = _proxies().T if attribute == "W" else _proxies()
    setattr(loss.loss, attribute, torch.nn.Parameter(held.clone()))
    return loss


def _mean_reducer() -> object:
    from pytorch_metric_learning.reducers import MeanReducer

    return MeanReducer()


def _cosine() -> object:
    from pytorch_metric_learning.distances import CosineSimilarity

    return CosineSimilarity()


def _softmax_with_margin(points: Tensor, labels: Tensor, **options: object) -> Tensor:
    return cross_entropy(margin_logits(prototype_logits(points, _proxies(), temperature=1), labels, **options), labels)


AGREE: dict[str, tuple[Callable[[], PytorchMetricLearningLoss], Callable[[Tensor, Tensor], Tensor]]] = {
    "triplet": (
        lambda: _theirs("TripletMarginLoss", margin=0.2, reducer=_mean_reducer()),
        lambda z, y: triplet_loss(z, y, mining="all", squared=False),
    ),
    "multi-similarity": (lambda: _theirs("MultiSimilarityLoss"), multi_similarity_loss),
    "NCA": (lambda: _theirs("NCALoss"), lambda z, y: nca(z, y, normalize=True)),
    "SNCA": (lambda: _theirs("NCALoss", softmax_scale=20, distance=_cosine()), snca),
    "SupCon": (lambda: _theirs("SupConLoss"), supervised_contrastive_loss),
    "Proxy-Anchor": (lambda: _with_proxies("ProxyAnchorLoss", "proxies"), lambda z, y: proxy_anchor(z, y, _proxies())),
    "normalised softmax": (
        lambda: _with_proxies("NormalizedSoftmaxLoss", "W"),
        lambda z, y: cross_entropy(prototype_logits(z, _proxies()), y),
    ),
    "ArcFace": (lambda: _with_proxies("ArcFaceLoss", "W", margin=math.degrees(0.5)), _softmax_with_margin),
    "CosFace": (
        lambda: _with_proxies("CosFaceLoss", "W"),
        lambda z, y: _softmax_with_margin(z, y, kind="cosface"),
    ),
}


@INSTALLED
@pytest.mark.parametrize("name", AGREE)
def test_values_and_gradients_agree_in_float64(name: str) -> None:
    theirs, ours = AGREE[name]
    first, second = _points().requires_grad_(), _points().requires_grad_()
    expected, found = theirs()(first, LABELS), ours(second, LABELS)
    assert found.item() == pytest.approx(expected.item(), rel=1e-9)
    (wanted,), (gradient,) = torch.autograd.grad(expected, first), torch.autograd.grad(found, second)
    torch.testing.assert_close(gradient, wanted, rtol=1e-6, atol=1e-8)


# --- where they differ ------------------------------------------------------------------------------------------------


def _right_angles() -> tuple[Tensor, Tensor]:
    """Every sample sits on one of the other class, at a right angle to its own."""
    return torch.eye(2).repeat(2, 1), torch.tensor([0, 0, 1, 1])


def _collapsed() -> tuple[Tensor, Tensor]:
    return torch.ones(8, 4), torch.arange(8) % 2


def _gradient(loss: Callable[[Tensor, Tensor], Tensor], points: Tensor, labels: Tensor) -> Tensor:
    leaf = points.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf, labels), leaf)
    return gradient


def _some_underflow() -> tuple[Tensor, Tensor]:
    """Half of the pairs of a class at a right angle, half together: the first half has losses of 200 at σ = 0.005."""
    points, labels = _right_angles()
    return torch.cat([points, -torch.eye(2)[:1].expand(4, -1)]), torch.cat([labels, torch.full((4,), 2)])


def _ranked(points: Tensor, labels: Tensor) -> Tensor:
    return ranked_list_loss(points, labels).loss


def _their_ranked() -> PytorchMetricLearningLoss:
    with pytest.warns(UserWarning, match="too high"):  # of the temperature that the paper uses
        return _theirs("RankedListLoss", margin=0.4, Tn=10)


def _figures() -> dict[str, tuple[float, float]]:
    """What each row of the page says: theirs, ours."""
    points, proxies = _points(), _proxies()
    contrastive = _theirs("ContrastiveLoss")
    line = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), torch.tensor([0, 0, 1])
    scaled = 3 * points
    neighbours = _theirs("NCALoss", softmax_scale=200, distance=_cosine())
    their_ranked = _their_ranked()
    gradients = [_gradient(loss, points, LABELS) for loss in (their_ranked, _ranked)]
    own = torch.arange(6)
    angle = _with_proxies("ArcFaceLoss", "W", margin=math.degrees(0.5)).float()

    def with_margin(z: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(margin_logits(prototype_logits(z, proxies.float(), temperature=1), y), y)

    def norm(loss: Callable[[Tensor, Tensor], Tensor], batch: tuple[Tensor, Tensor]) -> float:
        return _gradient(loss, *batch).norm().item()

    def apart(z: Tensor, y: Tensor) -> Tensor:
        return triplet_loss(z, y, mining="all", squared=False)

    return {
        "ContrastiveLoss, value": (contrastive(*line).item(), contrastive_loss(*line, normalize=True).item()),
        "ContrastiveLoss, at collapse": (
            norm(contrastive, _collapsed()),
            norm(lambda z, y: contrastive_loss(z, y, normalize=True), _collapsed()),
        ),
        "TripletMarginLoss, at collapse": (norm(_theirs("TripletMarginLoss"), _collapsed()), norm(apart, _collapsed())),
        "NCALoss, lengths": (_theirs("NCALoss")(scaled, LABELS).item(), nca(scaled, LABELS).item()),
        "NCALoss, underflow": (
            neighbours(*_some_underflow()).item(),
            snca(*_some_underflow(), temperature=0.005).item(),
        ),
        "ProxyNCALoss": (
            _with_proxies("ProxyNCALoss", "proxies", softmax_scale=1)(points, LABELS).item(),
            proxy_nca(points, LABELS, proxies).item(),
        ),
        "ArcFaceLoss, on the class vector": (
            norm(angle, (proxies.float(), own)),
            norm(with_margin, (proxies.float(), own)),
        ),
        "RankedListLoss, gradient": (gradients[0].norm().item(), gradients[1].norm().item()),
        "RankedListLoss, at collapse": (their_ranked(*_collapsed()).item(), _ranked(*_collapsed()).item()),
    }


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "not finite"


@INSTALLED
def test_the_page_has_the_figures() -> None:
    lines = PAGE.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| pytorch-metric-learning |")) + 2
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[start:] if line.startswith("| `")]
    said = {row[0].replace("`", ""): (row[1], row[2]) for row in rows}
    found = {name: tuple(_number(value) for value in pair) for name, pair in _figures().items()}
    assert said == found


@INSTALLED
def test_there_is_no_center_loss() -> None:
    with pytest.raises(ValueError, match="no loss named 'CenterLoss'"):
        PytorchMetricLearningLoss("CenterLoss")
    assert center_loss(_points(), LABELS) > 0
