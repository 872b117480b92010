"""The network of deep metric learning: encoder, embedding v, what the loss needs, and perhaps a bottleneck to z."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from limbeck.errors import InputError
from limbeck.files import first_line
from limbeck.metric.recipe import MetricRecipe
from limbeck.nn import Bottleneck, PictureNormalization, load_weights, make_encoder, make_pooling

CLASSIFIERS = ("cross-entropy", "center")
"""Losses of a linear classifier's logits."""
PROXIES = ("normalized-softmax", "arcface", "cosface", "proxy-nca", "proxy-anchor")
"""Losses of one vector a class."""


class Outputs(NamedTuple):
    """What the network says of a batch.

    Attributes:
        observation: v, (pictures, features).
        observation_logits: (pictures, classes); None where nothing asks for them.
        representation: z, (pictures, representation); None without a bottleneck.
        representation_logits: (pictures, classes); None without a bottleneck.
    """

    observation: Tensor
    observation_logits: Tensor | None = None
    representation: Tensor | None = None
    representation_logits: Tensor | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> Outputs:
        """The same with every tensor changed."""
        return Outputs(*(None if tensor is None else change(tensor) for tensor in self))  # type: ignore[arg-type]


class MetricNetwork(nn.Module):
    """Built as a recipe says.

    Args:
        recipe: how.
        classes: to tell apart.

    Attributes:
        heads: "v" and, with a bottleneck, "z" -> linear classifier, where the loss or the bottleneck needs one.
        proxies: the same -> (classes, features), where the loss has one vector a class.
        external: the same -> a loss of pytorch-metric-learning, whose parameters are trained too.

    Shapes: pictures (batch, 3, crop, crop) of red, green, blue in [0, 1].

    Source: Boudiaf et al. 2020, §5, for the encoder with its frozen batch normalisation, dropout and a classifier that
    starts from 0; what is not in their text is as their code has it.
    """

    def __init__(self, recipe: MetricRecipe, classes: int) -> None:
        super().__init__()
        settings, loss = recipe.network, recipe.loss
        self.picture_normalization = PictureNormalization(settings.picture_normalization)
        self.encoder = make_encoder(settings.encoder, last_stride=settings.last_stride)
        self.freeze_bn = settings.freeze_bn
        self.pooling, width = make_pooling(settings.pooling, self.encoder.features)
        self.embedding: nn.Module = nn.Identity()
        if settings.embedding is not None:
            self.embedding, width = nn.Linear(width, settings.embedding), settings.embedding
        self.normalization: nn.Module = nn.Identity()
        if settings.normalization == "batch":
            self.normalization = nn.BatchNorm1d(width, affine=False)
        elif settings.normalization == "layer":
            self.normalization = nn.LayerNorm(width, elementwise_affine=False)
        self.features = width
        self.dropout = nn.Dropout(settings.dropout)
        self.bottleneck: Bottleneck | None = None
        widths = {"v": width}
        if settings.bottleneck:
            self.bottleneck = Bottleneck(
                width,
                hidden=settings.hidden,
                features=settings.representation,
                normalization=settings.bottleneck_normalization,
                gaussian=settings.gaussian,
            )
            widths["z"] = settings.representation
        self.heads = nn.ModuleDict()
        if loss.name in CLASSIFIERS or settings.bottleneck:
            for name, features in widths.items():
                head = nn.Linear(features, classes)
                if loss.zero_classifier:
                    nn.init.zeros_(head.weight)
                    nn.init.zeros_(head.bias)
                self.heads[name] = head
        self.proxies = nn.ParameterDict()
        if loss.name in PROXIES:
            for name, features in widths.items():
                drawn = torch.empty(classes, features)
                self.proxies[name] = nn.Parameter(nn.init.kaiming_normal_(drawn, mode="fan_out"))
        self.external = nn.ModuleDict()
        if loss.name == "pytorch-metric-learning":
            for name, features in widths.items():
                self.external[name] = _external(loss.external, classes, features)

    def train(self, mode: bool = True) -> MetricNetwork:
        """In training mode too, frozen batch normalisation stays as it is in evaluation."""
        super().train(mode)
        if self.freeze_bn:
            for module in self.encoder.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, pictures: Tensor) -> Outputs:
        observation, representation = self._vectors(pictures)
        logits = {
            name: self.heads[name](self.dropout(vectors)) if name in self.heads else None
            for name, vectors in (("v", observation), ("z", representation))
            if vectors is not None
        }
        return Outputs(observation, logits["v"], representation, logits.get("z"))

    def embed(self, pictures: Tensor) -> dict[str, Tensor]:
        """v and, with a bottleneck, z of pictures, (batch, features) each, in evaluation mode; not normalised."""
        observation, representation = self._vectors(pictures)
        found = {"v": observation, "z": representation}
        return {name: vectors.float() for name, vectors in found.items() if vectors is not None}

    def _vectors(self, pictures: Tensor) -> tuple[Tensor, Tensor | None]:
        seen = self.picture_normalization(pictures).contiguous(memory_format=torch.channels_last)
        observation: Tensor = self.normalization(self.embedding(self.pooling(self.encoder(seen))))
        return observation, None if self.bottleneck is None else self.bottleneck(observation)


def _external(name: str, classes: int, features: int) -> nn.Module:
    """A loss of pytorch-metric-learning; one with a vector a class is told how many there are."""
    # Not among the imports above: it is for an optional package.
    adapter = importlib.import_module("limbeck.objectives.external").PytorchMetricLearningLoss
    try:
        try:
            made = adapter(name)
        except TypeError:
            made = adapter(name, num_classes=classes, embedding_size=features)
    except (ImportError, ValueError, TypeError) as error:
        raise InputError(f"loss.external: {first_line(error)}") from None
    return cast(nn.Module, made)


def initial_network(recipe: MetricRecipe, classes: int, *, resuming: bool = False) -> tuple[MetricNetwork, list[str]]:
    """The network as its training begins, by the recipe's seed, and a line: the weights its encoder has.

    Args:
        recipe: how it is built, where its encoder starts.
        classes: to tell apart.
        resuming: its weights come out of a checkpoint, so that the encoder's need not be there any more; no line.

    Raises:
        InputError: the encoder's weights cannot be read or do not fit.
    """
    torch.manual_seed(recipe.training.seed)
    network = MetricNetwork(recipe, classes)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if resuming:
        return network, []
    return network, [f"encoder: {load_weights(network.encoder, recipe.network.weights)}"]
