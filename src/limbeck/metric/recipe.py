"""Everything that decides how an embedding of photographs is built and trained, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Self

from limbeck.errors import InputError
from limbeck.images.photographs import PhotographSettings
from limbeck.metric.sets import metric_set, metric_sets
from limbeck.registry import is_reference
from limbeck.settings import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    Share,
    check_settings,
)
from limbeck.training import TrainingSettings
from limbeck.training import recipes as shared

LossName = Literal[
    "cross-entropy",
    "normalized-softmax",
    "arcface",
    "cosface",
    "center",
    "spce",
    "contrastive",
    "triplet",
    "ranked-list",
    "multi-similarity",
    "nca",
    "snca",
    "supervised-contrastive",
    "proxy-nca",
    "proxy-anchor",
    "pytorch-metric-learning",
]


@dataclass(frozen=True)
class DataSettings:
    """What is learned from.

    Attributes:
        set: the name of a `MetricSet`: "cub", "cars", "sop", "inshop", "class-folder", "class-csv", "class-npz" or a
            registered one.
        root: its folder, table or array. There is no default.
        test_classes: share of the classes that is for the test, where the set does not say which are.
        division_seed: of who they are; None: the last ones in their order (half of them: the custom of the field).
        held_out: classes taken out of those to learn from, by the training seed, to select and to watch; never test
            ones.
        resize: pixels that pictures are resized to when they are decoded,
        fit: as a square ("squash"), or the shorter side ("short").
        crop: height and width of what the network sees: of a random crop in training, of the middle otherwise.
        cache: folder for decoded pictures; None: `pictures` in the run's folder.
        skip_corrupt: leave unreadable pictures out instead of refusing.
    """

    set: str = "cub"
    root: str = ""
    test_classes: Annotated[float, Range(gt=0, lt=1)] = 0.5
    division_seed: Annotated[int | None, Range(ge=0, lt=2**63)] = None
    held_out: NonNegativeInt = 0
    resize: PositiveInt = 256
    fit: Literal["squash", "short"] = "squash"
    crop: PositiveInt = 224
    cache: str | None = None
    skip_corrupt: bool = False

    def __post_init__(self) -> None:
        check_settings(self, "data.")
        if is_reference(self.set):
            metric_set(self.set)
        elif self.set not in (known := metric_sets()):
            raise InputError(f"data.set must be one of {', '.join(known)}, not {self.set!r}")
        if self.crop > self.resize:
            raise InputError(f"data.crop must be at most data.resize, {self.resize}, not {self.crop}")


@dataclass(frozen=True)
class NetworkSettings:
    """An encoder, its embedding v, and perhaps a bottleneck behind it.

    Attributes:
        encoder: "resnet50", "resnet18", "small" (for processors and small pictures), "timm:NAME", or your own
            as "package.module:factory" (`limbeck.nn.OwnEncoder`).
        weights: where it starts: a local .safetensors or .pth file, the name of a published weight, or "none" for
            random weights. There is no silent choice: what was loaded is printed.
        picture_normalization: "imagenet" or "picture", see `limbeck.nn.PictureNormalization`.
        pooling: "average", "gem", or "stripesN".
        last_stride: of the last stage of a ResNet.
        embedding: width of a linear layer behind the pooling; None: there is none, v is as wide as the encoder.
        normalization: of v: "none"; "batch": batch normalisation without parameters; "layer": layer normalisation
            without parameters. It belongs to v, in searches too.
        dropout: before the classifier.
        freeze_bn: the encoder's batch normalisation keeps the means and variances it began with; its scales and biases
            learn.
        bottleneck: put an information bottleneck behind v, whose z learns as v does and is asked to predict what v
            predicts (VSD).
        hidden: widths of its hidden layers.
        representation: width of z.
        gaussian: the bottleneck gives a mean and a variance, and z is the mean at inference; otherwise z is its whole
            output.
        bottleneck_normalization: "batch" or "none", before every ReLU of the bottleneck.
    """

    encoder: str = "resnet50"
    weights: str = "resnet50-imagenet-v1"
    picture_normalization: Literal["imagenet", "picture"] = "imagenet"
    pooling: str = "average"
    last_stride: PositiveInt = 2
    embedding: Annotated[int | None, Range(ge=1)] = None
    normalization: Literal["none", "batch", "layer"] = "none"
    dropout: Share = 0.5
    freeze_bn: bool = True
    bottleneck: bool = False
    hidden: tuple[PositiveInt, ...] = (1024, 512)
    representation: PositiveInt = 256
    gaussian: bool = True
    bottleneck_normalization: Literal["none", "batch"] = "batch"

    def __post_init__(self) -> None:
        check_settings(self, "network.")


@dataclass(frozen=True)
class SamplerSettings:
    """What a batch holds.

    Attributes:
        kind: "random": pictures of an epoch's order of chance, whole batches of them; "classes": some classes with
            `pictures` of each.
        batch: pictures, of all processes together.
        pictures: of a class ("classes" only); it divides `batch`.
        steps_per_epoch: None: pictures // batch.
    """

    kind: Literal["random", "classes"] = "random"
    batch: Annotated[int, Range(ge=2)] = 128
    pictures: Annotated[int, Range(ge=2)] = 4
    steps_per_epoch: Annotated[int | None, Range(ge=1)] = None

    def __post_init__(self) -> None:
        check_settings(self, "sampler.")
        if self.kind == "classes" and self.batch % self.pictures:
            raise InputError(f"sampler.pictures must divide sampler.batch, {self.batch}, not be {self.pictures}")


@dataclass(frozen=True)
class LossSettings:
    r"""What is minimised, see `limbeck.metric.loss`; a parameter that is None is as the loss's function has it.

    Attributes:
        name: "cross-entropy" of a linear classifier with bias; "normalized-softmax", "arcface", "cosface": of cosines
            with class vectors; "center": cross-entropy and `center_loss`; "spce": the simplified pairwise
            cross-entropy; "contrastive", "triplet", "ranked-list", "multi-similarity", "nca", "snca",
            "supervised-contrastive": of pairs in the batch; "proxy-nca", "proxy-anchor": of pairs with one proxy a
            class; "pytorch-metric-learning": `external` of that library.
        external: name of its class.
        zero_classifier: the classifier of "cross-entropy" and "center" starts from 0; otherwise as torch's layers do.
        label_smoothing: mass moved from the true class,
        smoothing_over: to "all" classes, the true one included (torch), or to the "others" (the official code).
        margin: of "contrastive", "triplet", "ranked-list", "arcface", "cosface", "proxy-anchor".
        boundary: of "ranked-list".
        temperature: of "nca", "snca", "supervised-contrastive", "normalized-softmax", "ranked-list".
        scale: of "arcface", "cosface", "proxy-anchor", "spce".
        positive_scale: of "multi-similarity",
        negative_scale: likewise,
        offset: likewise,
        mining: likewise: the margin of its mining; None: no mining.
        triplets: of "triplet": "all", "semihard" or "hard" ones.
        center_weight: of "center": of `center_loss` beside the cross-entropy.
        rate_factor: the classifier, class vectors or proxies learn so many times as fast as the rest.
        memory: pictures of earlier batches that those of the batch are compared with too (cross-batch memory; losses of
            pairs only); 0: none.
        memory_start: steps before the memory is filled,
        memory_weight: weight of the loss against it.
        classification_weight: with a bottleneck and a loss without a classifier: of the cross-entropy of the
            classifiers that the distillation needs.
        distillation_weight: of VSD, with a bottleneck.
        consistency: with a bottleneck, between a picture and the next one of its class in the batch: "vcd", or "none".
        consistency_weight: of it.
        distillation_temperature: of both.
    """

    name: LossName = "cross-entropy"
    external: str = ""
    zero_classifier: bool = True
    label_smoothing: Share = 0.1
    smoothing_over: Literal["all", "others"] = "others"
    margin: Annotated[float | None, Range(ge=0)] = None
    boundary: Annotated[float | None, Range(gt=0)] = None
    temperature: Annotated[float | None, Range(gt=0)] = None
    scale: Annotated[float | None, Range(gt=0)] = None
    positive_scale: Annotated[float | None, Range(gt=0)] = None
    negative_scale: Annotated[float | None, Range(gt=0)] = None
    offset: Annotated[float | None, Range()] = None
    mining: Annotated[float | None, Range(ge=0)] = None
    triplets: Literal["all", "semihard", "hard"] = "semihard"
    center_weight: NonNegativeFloat = 0.01
    rate_factor: PositiveFloat = 1.0
    memory: NonNegativeInt = 0
    memory_start: NonNegativeInt = 1000
    memory_weight: NonNegativeFloat = 1.0
    classification_weight: NonNegativeFloat = 1.0
    distillation_weight: NonNegativeFloat = 1.0
    consistency: Literal["none", "vcd"] = "none"
    consistency_weight: NonNegativeFloat = 1.0
    distillation_temperature: PositiveFloat = 1.0

    def __post_init__(self) -> None:
        check_settings(self, "loss.")
        for parameter, users in PARAMETERS.items():
            if getattr(self, parameter) is not None and self.name not in users:
                raise InputError(f"loss.{parameter} is not a parameter of loss.name {self.name}: leave it out")
        if self.memory and self.name not in WITH_REFERENCES:
            raise InputError(f"loss.memory is for losses of pairs ({', '.join(WITH_REFERENCES)}), not for {self.name}")
        if (self.name == "pytorch-metric-learning") != bool(self.external):
            raise InputError(
                "loss.external names a loss of pytorch-metric-learning, with loss.name of that library alone"
            )


PARAMETERS: dict[str, tuple[str, ...]] = {
    "margin": ("contrastive", "triplet", "ranked-list", "arcface", "cosface", "proxy-anchor"),
    "boundary": ("ranked-list",),
    "temperature": ("nca", "snca", "supervised-contrastive", "normalized-softmax", "ranked-list"),
    "scale": ("arcface", "cosface", "proxy-anchor", "spce"),
    "positive_scale": ("multi-similarity",),
    "negative_scale": ("multi-similarity",),
    "offset": ("multi-similarity",),
    "mining": ("multi-similarity",),
}
"""Which losses have a parameter."""
WITH_REFERENCES = ("contrastive", "triplet", "multi-similarity", "nca", "snca", "supervised-contrastive")
"""Losses that compare a batch with samples beyond it."""


@dataclass(frozen=True, kw_only=True)
class MetricRecipe(shared.Recipe):
    """A recipe of deep metric learning.

    Attributes:
        data: what is learned from.
        network: what learns.
        augmentation: how pictures vary.
        sampler: what a batch holds.
        loss: what is minimised.
        training: how long, how fast, how exactly.
    """

    data: DataSettings = field(default_factory=DataSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    augmentation: PhotographSettings = field(default_factory=PhotographSettings)
    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    training: TrainingSettings = field(
        default_factory=partial(
            TrainingSettings,
            epochs=30,
            optimizer="sgd",
            learning_rate=0.02,
            momentum=0.0,
            weight_decay=5e-4,
            decay_vectors=False,
            schedule="whole-cosine",
            warmup_steps=100,
            validate_epochs=0,
        )
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.loss.consistency != "none" and not self.network.bottleneck:
            raise InputError("loss.consistency needs a bottleneck: set it to none, or network.bottleneck to true")
        if self.loss.consistency != "none" and self.sampler.kind != "classes":
            raise InputError("loss.consistency pairs pictures of a class in the batch: set sampler.kind to classes")

    def elsewhere(self) -> Self:
        """The same recipe, without where its data lie: what two runs must share to be of one recipe."""
        return replace(self, data=replace(self.data, root="", cache=None))


def shipped_recipe(name: str) -> Path:
    """The YAML file of a recipe that comes with the package, see `limbeck.training.recipes.shipped_recipe`."""
    return shared.shipped_recipe(name, Path(__file__).parent)
