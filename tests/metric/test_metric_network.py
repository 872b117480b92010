"""The network and its objective: how a classifier starts, what is frozen, smoothing, memories, pairs of a class."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tests.metric.metric_photographs import recipe
from tests.metric.metric_processes import LOSSES
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.errors import InputError
from limbeck.metric.loss import next_of_class, training_terms
from limbeck.metric.network import MetricNetwork, Outputs
from limbeck.metric.recipe import LossSettings
from limbeck.nn import CrossBatchMemory
from limbeck.objectives import snca

CLASSES = 4


def network_of(**groups: dict) -> MetricNetwork:
    torch.manual_seed(0)
    return MetricNetwork(recipe(Path("nowhere"), **groups), CLASSES)


def test_a_classifier_starts_from_zero_with_a_bias_and_from_chance_if_asked() -> None:
    head = network_of().heads["v"]
    assert not head.weight.any()
    assert head.bias is not None
    assert not head.bias.any()
    assert network_of(loss={"zero_classifier": False}).heads["v"].weight.any()


def test_losses_of_pairs_have_no_classifier_unless_a_bottleneck_needs_one() -> None:
    assert not network_of(loss={"name": "snca"}).heads
    assert set(network_of(loss={"name": "snca"}, network={"bottleneck": True}).heads) == {"v", "z"}
    assert network_of(loss={"name": "proxy-nca"}).proxies["v"].shape == (CLASSES, 8)


def test_features_are_normalised_as_the_recipe_says() -> None:
    pictures = torch.rand(16, 3, 16, 16)
    batch = network_of(network={"normalization": "batch"})
    assert [name for name, _ in batch.named_parameters() if "normalization" in name] == []
    torch.testing.assert_close(batch.train()(pictures).observation.mean(0), torch.zeros(8), atol=1e-5, rtol=0)
    layer = network_of(network={"normalization": "layer"}).eval().embed(pictures)["v"]
    torch.testing.assert_close(layer.mean(1), torch.zeros(16), atol=1e-5, rtol=0)


def test_smoothing_over_the_other_classes_is_the_official_one_but_for_a_constant() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(6, CLASSES, dtype=torch.float64), torch.arange(6) % CLASSES
    smoothing = 0.1
    target = torch.full_like(logits, smoothing / (CLASSES - 1)).scatter_(1, labels[:, None], 1 - smoothing)
    official = F.kl_div(logits.log_softmax(1), target, reduction="batchmean")
    entropy = -(target[0] * target[0].log()).sum()
    outputs = Outputs(torch.randn(6, 8), logits)
    settings = LossSettings(label_smoothing=smoothing, smoothing_over="others")
    terms = training_terms(outputs, labels, settings, network=network_of())
    torch.testing.assert_close(terms["metric"], official + entropy)
    everybody = LossSettings(label_smoothing=smoothing, smoothing_over="all")
    expected = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    torch.testing.assert_close(training_terms(outputs, labels, everybody, network=network_of())["metric"], expected)
    with pytest.raises(InputError, match=r"loss\.label_smoothing"):
        training_terms(outputs, labels, LossSettings(label_smoothing=0.8), network=network_of())


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_teaches_the_encoder(name: str) -> None:
    settings = {"name": name, "zero_classifier": False, **LOSSES[name]}
    network = network_of(loss=settings).train()
    outputs = network(torch.rand(8, 3, 16, 16))
    labels = torch.arange(4).repeat_interleave(2)
    terms = training_terms(outputs, labels, recipe(Path("nowhere"), loss=settings).loss, network=network)
    terms["metric"].backward()
    first = next(network.encoder.parameters()).grad
    assert first is not None
    assert first.isfinite().all()
    assert first.any()


def test_a_memory_adds_the_loss_against_earlier_batches() -> None:
    torch.manual_seed(1)
    settings = LossSettings(name="snca", memory=5, memory_weight=0.5, temperature=0.1)
    vectors, labels = torch.randn(6, 8), torch.arange(6) % 3
    old, of_old = torch.randn(5, 8), torch.tensor([0, 1, 2, 0, 1])
    memory = CrossBatchMemory(5)
    found = training_terms(Outputs(vectors), labels, settings, network=network_of(), memories={"v": memory})
    assert set(found) == {"metric"}  # empty: nothing to compare with
    memory.push(old, of_old)
    found = training_terms(Outputs(vectors), labels, settings, network=network_of(), memories={"v": memory})
    expected = snca(vectors, labels, references=old, reference_labels=of_old, temperature=0.1)
    torch.testing.assert_close(found["memory"], 0.5 * expected)


class Plain(nn.Module):
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return embeddings.square().sum() * len(labels)


class Classed(nn.Module):
    def __init__(self, num_classes: int, embedding_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_classes, embedding_size))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return (embeddings - self.weight[labels]).square().sum()


def test_losses_of_another_library_are_part_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = ModuleType("losses")
    vars(losses).update(Plain=Plain, Classed=Classed)
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", ModuleType("pytorch_metric_learning"))
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning.losses", losses)
    vectors, labels = torch.randn(4, 8), torch.arange(4)
    for name, expected in (("Plain", 4 * vectors.square().sum()), ("Classed", vectors.square().sum())):
        settings = {"name": "pytorch-metric-learning", "external": name}
        network = network_of(loss=settings)
        found = training_terms(Outputs(vectors), labels, LossSettings(**settings), network=network)  # type: ignore[arg-type]
        torch.testing.assert_close(found["metric"], expected)
    assert network.external["v"].loss.weight.shape == (CLASSES, 8)
    with pytest.raises(InputError, match=r"loss\.external: .*no loss named 'Missing'"):
        network_of(loss={"name": "pytorch-metric-learning", "external": "Missing"})


def test_the_next_of_a_class() -> None:
    first, second = next_of_class(torch.tensor([3, 1, 3, 2, 1, 3]))
    pairs = dict(zip(first.tolist(), second.tolist(), strict=True))
    assert pairs == {0: 2, 2: 5, 5: 0, 1: 4, 4: 1}
    assert all(len(part) == 0 for part in next_of_class(torch.arange(3)))
