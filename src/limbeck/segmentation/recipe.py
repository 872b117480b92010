"""Everything that decides how a segmentation of LiDAR points is built and trained, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Self

from limbeck.errors import InputError
from limbeck.segmentation.sets import segmentation_sets
from limbeck.settings import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Probability,
    Range,
    Share,
    check_settings,
)
from limbeck.training import TrainingSettings
from limbeck.training import recipes as shared

Distillation = Literal["none", "vcd", "mv2d"]


@dataclass(frozen=True)
class DataSettings:
    """What is learned from.

    Attributes:
        set: the name of a `SegmentationSet`: "semantickitti", "nuscenes", "scans", "scans-packed" or a registered one.
        root: its folder. There is no default.
        cameras: look at the pictures; False: LiDAR alone, and no picture is read.
        height: of the pictures that the network sees,
        width: likewise: they are resized. None for both: as they are.
        voxel: side of a voxel, in metres.
        points: "one-per-voxel": of each voxel one point is seen, drawn in training and the first otherwise, and what is
            predicted of it holds for all points of the voxel (as the code of SPVNAS has it); "all": every point is.
        most: points of a scan that are seen in training, drawn; None: all.
        batch: scans of a step, of all processes together.
        steps_per_epoch: None: as many as there are whole batches.
    """

    set: str = "semantickitti"
    root: str = ""
    cameras: bool = True
    height: Annotated[int | None, Range(ge=33)] = None
    width: Annotated[int | None, Range(ge=33)] = None
    voxel: PositiveFloat = 0.05
    points: Literal["one-per-voxel", "all"] = "one-per-voxel"
    most: Annotated[int | None, Range(ge=2)] = 80_000
    batch: PositiveInt = 8
    steps_per_epoch: Annotated[int | None, Range(ge=1)] = None

    def __post_init__(self) -> None:
        check_settings(self, "data.")
        if self.set not in (known := segmentation_sets()):
            raise InputError(f"data.set must be one of {', '.join(known)}, not {self.set!r}")
        if (self.height is None) != (self.width is None):
            raise InputError("data.height and data.width go together: give both or neither")


@dataclass(frozen=True)
class AugmentationSettings:
    """Changes that every scan undergoes in training, after its points have been projected into its pictures.

    Attributes:
        turn: the scan is turned about the vertical by up to so many degrees either way.
        scale: its coordinates are multiplied by a factor from the first to the second.
        flip: chance that the scan is mirrored at its x axis, and again that it is at its y axis.
        picture_flip: chance that pictures are mirrored, with their pixels.
        brightness: colours of a picture are multiplied by a factor from 1 - brightness to 1 + brightness.
        contrast: differences from its mean grey likewise.
        no_pictures: chance that a step has no pictures, so that the network learns to do without.
    """

    turn: Annotated[float, Range(ge=0, le=180)] = 180.0
    scale: tuple[PositiveFloat, PositiveFloat] = (0.95, 1.05)
    flip: Probability = 0.0
    picture_flip: Probability = 0.0
    brightness: Share = 0.0
    contrast: Share = 0.0
    no_pictures: Probability = 0.0

    def __post_init__(self) -> None:
        check_settings(self, "augmentation.")
        if self.scale[0] > self.scale[1]:
            raise InputError(f"augmentation.scale must ascend, not be {self.scale}")


@dataclass(frozen=True)
class NetworkSettings:
    """A LiDAR branch, an image branch, their fusion, and a bottleneck behind each.

    Attributes:
        width: of the LiDAR branch, as a factor on SPVCNN's channels, 32 to 256.
        dropout: in the LiDAR branch.
        image_width: maps of the first layer of the image branch's ResNet-18, 64 where it has published weights.
        image_features: maps of its decoder.
        weights: where the ResNet starts: a local .safetensors or .pth file, the name of a published weight, or "none"
            for random weights. What was loaded is printed.
        image_rate: the image branch learns so many times as fast as the rest; the paper has one rate, which is high
            for an encoder that was trained before.
        picture_normalization: "imagenet" or "picture", see `limbeck.nn.PictureNormalization`.
        fusion: how image features come into point features: "attention" (LI-Fusion), "concatenation", "addition",
            "product", or "none": the branches meet in the objective alone.
        fused: at which of the LiDAR branch's depths, 0 to 3.
        hidden: widths of the hidden layers of the bottlenecks.
        representation: width of z.
        stochastic: sample z in training.
    """

    width: Annotated[float, Range(gt=0, le=4)] = 1.0
    dropout: Annotated[float, Range(ge=0, lt=1)] = 0.3
    image_width: PositiveInt = 64
    image_features: Annotated[int, Range(ge=3)] = 128
    weights: str = "resnet18-imagenet-v1"
    image_rate: PositiveFloat = 1.0
    picture_normalization: Literal["imagenet", "picture"] = "imagenet"
    fusion: Literal["attention", "concatenation", "addition", "product", "none"] = "attention"
    fused: tuple[NonNegativeInt, ...] = (0, 1, 2, 3)
    hidden: tuple[PositiveInt, ...] = (128,)
    representation: PositiveInt = 64
    stochastic: bool = False

    def __post_init__(self) -> None:
        check_settings(self, "network.")
        if len(set(self.fused)) != len(self.fused) or not set(self.fused) <= set(range(4)):
            raise InputError(f"network.fused must be different depths from 0 to 3, not {list(self.fused)}")


@dataclass(frozen=True)
class LossSettings:
    """What is minimised, see `limbeck.segmentation.loss`.

    Attributes:
        cross_entropy: weight of the cross-entropy of every head,
        focal: of the multi-class focal loss,
        lovasz: of Lovász-softmax.
        gamma: of the focal loss.
        image_weight: of the image branch's heads beside the LiDAR branch's.
        distillation: "none", "vcd", or "mv2d" of both views with a joint head.
        to_lidar: with "vcd": weight of KL[P_v camera || P_z LiDAR],
        to_camera: and of KL[P_v LiDAR || P_z camera]; both 1: eq. 18 of the 2022 paper. With "mv2d" `to_lidar` weighs
            all of it.
        detach_teacher: P_v only teaches.
        temperature: of the divergences.
    """

    cross_entropy: NonNegativeFloat = 1.0
    focal: NonNegativeFloat = 1.0
    lovasz: NonNegativeFloat = 1.0
    gamma: NonNegativeFloat = 2.0
    image_weight: NonNegativeFloat = 1.0
    distillation: Distillation = "vcd"
    to_lidar: NonNegativeFloat = 1.0
    to_camera: NonNegativeFloat = 1.0
    detach_teacher: bool = True
    temperature: PositiveFloat = 1.0

    def __post_init__(self) -> None:
        check_settings(self, "loss.")
        if not self.cross_entropy + self.focal + self.lovasz:
            raise InputError("loss.cross_entropy, loss.focal and loss.lovasz must not all be 0")


@dataclass(frozen=True, kw_only=True)
class SegmentationRecipe(shared.Recipe):
    """A recipe of segmentation; the defaults are the 2022 paper's where it says something.

    Attributes:
        data: what is learned from.
        network: what learns.
        augmentation: how scans vary.
        loss: what is minimised.
        training: how long, how fast, how exactly.
    """

    data: DataSettings = field(default_factory=DataSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    training: TrainingSettings = field(
        default_factory=partial(
            TrainingSettings,
            epochs=40,
            optimizer="sgd",
            learning_rate=0.24,
            weight_decay=1e-4,
            schedule="cosine",
            warmup_epochs=1,
            validate_epochs=0,
        )
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.loss.distillation != "none" and not self.data.cameras:
            raise InputError("loss.distillation is between two sensors: set it to none, or data.cameras to true")

    def elsewhere(self) -> Self:
        """The same recipe, without where its data lie: what two runs must share to be of one recipe."""
        return replace(self, data=replace(self.data, root=""))


def shipped_recipe(name: str) -> Path:
    """The YAML file of a recipe that comes with the package, see `limbeck.training.recipes.shipped_recipe`."""
    return shared.shipped_recipe(name, Path(__file__).parent)
