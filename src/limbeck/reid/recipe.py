"""Everything that decides how a re-identification model is built and trained, in one frozen object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from limbeck.errors import InputError
from limbeck.images.augmentation import AugmentationSettings
from limbeck.images.decoding import DEEP
from limbeck.registry import is_reference
from limbeck.reid.sets import reid_set, reid_sets
from limbeck.settings import (
    Items,
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

Branch = Literal["visible", "infrared", "shared"]
Routing = Literal["modality", "grey"]
Depth = Annotated[int, Range(ge=0, le=DEEP)]
Objective = Literal["vd", "released-2021", "cib", "none"]
# Names of settings in files of earlier versions -> their current names.
RENAMED = {"data.split": "data.fold", "data.parts": "data.splits"}


@dataclass(frozen=True)
class DataSettings:
    """What is learned from, and how a batch is drawn.

    Attributes:
        set: the name of a `ReidSet`: "sysu", "regdb", "llcm", "csv" or a registered one.
        root: its folder; the file for "csv". Procedural people lie in these layouts too. There is no default.
        fold: of RegDB, from 1 to 10.
        splits: whose pictures are used; those a set does not have are left out. "all" of a CSV.
        held_out: identities taken out of these splits, by the training seed, to select and to watch; never test ones.
        height: pictures are resized to this many pixels.
        width: see above.
        identities: a batch holds so many people,
        pictures: and so many pictures of each in each modality.
        steps_per_epoch: None: as many as people // identities, so that nobody is seen twice; who is left over changes.
        cache: folder for decoded pictures; None: `pictures` in the run's folder.
        skip_corrupt: leave unreadable pictures out instead of refusing.
        radiometric: values of grey pictures of 16 bits, as thermal cameras write them, that are read as black and as
            white, such as the counts of 0 and of 50 degrees; None: 0 and 65535.
    """

    set: str = "sysu"
    root: str = ""
    fold: PositiveInt = 1
    splits: Annotated[tuple[str, ...], Items(empty=False)] = ("train", "validation", "all")
    held_out: NonNegativeInt = 0
    height: PositiveInt = 288
    width: PositiveInt = 144
    identities: Annotated[int, Range(ge=2)] = 8
    pictures: PositiveInt = 4
    steps_per_epoch: Annotated[int | None, Range(ge=1)] = None
    cache: str | None = None
    skip_corrupt: bool = False
    radiometric: Annotated[tuple[Depth, Depth], Items(increasing=True)] | None = None

    def __post_init__(self) -> None:
        check_settings(self, "data.")
        if is_reference(self.set):
            reid_set(self.set)
        elif self.set not in (known := reid_sets()):
            raise InputError(f"data.set must be one of {', '.join(known)}, not {self.set!r}")


@dataclass(frozen=True)
class NetworkSettings:
    """The three-branch network of Tian et al. 2021, Fig. 3, and what it leaves open.

    Attributes:
        encoder: "resnet50", "resnet18", "small" (for processors and small pictures), "timm:NAME", or your own
            as "package.module:factory" (`limbeck.nn.OwnEncoder`).
        weights: where the encoders start: a local .safetensors or .pth file, the name of a published weight, or "none"
            for random weights. There is no silent choice: what was loaded is printed.
        branches: any of "visible", "infrared", "shared"; the two specific ones only together.
        routing: "modality": the visible branch sees visible pictures, the infrared one infrared pictures, the shared
            one both (the papers' words; two encoder passes a picture). "grey": as in the authors' code every picture
            goes in colour through the visible and shared branches and in grey through the infrared and shared ones.
        normalization: of pictures: "imagenet" takes off the mean colour of ImageNet, as published weights expect;
            "picture" gives every picture mean 0 and deviation 1, so that no brightness or contrast is left.
        pooling: "average", "gem", or "stripesN": average and maximum of N horizontal stripes.
        last_stride: of the last stage of a ResNet.
        bottleneck: put an information bottleneck behind every encoder.
        hidden: widths of its hidden layers.
        representation: width of z.
        gaussian: the bottleneck gives a mean and a variance, and z is the mean at inference; otherwise z is its whole
            output.
        bottleneck_normalization: "batch" or "none", before every ReLU of the bottleneck.
        head_hidden: width of the hidden layer of the heads on z; None: they are linear, as those on v always are.
        dropout: in the heads on z, where they have a hidden layer.
        critic_hidden: widths of the critics' hidden layers, where the objective has critics.
        uniform: give the shared branch a third view, a picture of one channel that a U-Net makes of either modality
            (Tian et al. 2022, B.1).
        uniform_widths: of the U-Net's levels.
    """

    encoder: str = "resnet50"
    weights: str = "resnet50-imagenet-v1"
    branches: Annotated[tuple[Branch, ...], Items(empty=False, different=True)] = ("visible", "infrared", "shared")
    routing: Routing = "modality"
    normalization: Literal["imagenet", "picture"] = "imagenet"
    pooling: str = "average"
    last_stride: PositiveInt = 1
    bottleneck: bool = True
    hidden: tuple[PositiveInt, ...] = (1024, 512)
    representation: PositiveInt = 256
    gaussian: bool = True
    bottleneck_normalization: Literal["none", "batch"] = "batch"
    head_hidden: Annotated[int | None, Range(ge=1)] = 256
    dropout: Share = 0.5
    critic_hidden: tuple[PositiveInt, ...] = (2048, 512)
    uniform: bool = False
    uniform_widths: Annotated[tuple[PositiveInt, ...], Items(empty=False)] = (16, 32, 64)

    def __post_init__(self) -> None:
        check_settings(self, "network.")
        if ("visible" in self.branches) != ("infrared" in self.branches):
            raise InputError("network.branches must hold visible and infrared together, or neither")
        if self.uniform and ("shared" not in self.branches or self.routing != "modality"):
            raise InputError("network.uniform needs the shared branch and network.routing modality")


@dataclass(frozen=True)
class LossSettings:
    r"""The weights of the training objective, see `limbeck.reid.supervised.loss.training_terms`.

    Attributes:
        objective: "vd": VSD on the specific branches, VCD and VML (or VMD, or MV2D) on the shared one. "released-2021":
            VSD and VCD under the arithmetic of the authors' code, which has no VML. "cib": the conventional information
            bottleneck, which lowers I(v; z) as a critic of I_JS sees it. "none": nothing.
        vsd: use VSD on the specific branches.
        consistency: on the shared branch: "vcd+vml" (2021), "vcd+vmd" (2022), "vcd" alone, "mv2d" (2022, eq. 9; any
            number of views) or "none".
        vcd_equation: "2022-eq18", or "2021-eq15", which prints the other representation as the teacher.
        pairs: which pictures of a person count as two views of one thing: "matched": the k-th visible one of the batch
            with the k-th infrared one; "all": every one with every one.
        distillation_weight: β.
        over_views: MV2D's sums over the views: "sum" as eq. 9 is printed, or "mean", so that β means the same for any
            number of views.
        detach_teacher: no gradient flows into the teacher of a divergence.
        detach_joint: the same of MV2D's joint prediction; without it every view is also asked to forget what the others
            do not know, see `limbeck.objectives.mv2d`.
        temperature: of the divergences.
        classification_weight: of cross-entropy.
        label_smoothing: mass moved from the true class to all classes.
        ranking_weight: of the ranked list loss.
        margin: of the ranked list loss.
        boundary: of the ranked list loss.
        ranking_temperature: of the ranked list loss.
        mutual_weight: α, of deep mutual learning between the specific branches' predictions from v.
        compression_weight: of I_JS ("cib" only).
        supervise_observation: classify and rank v too. The papers' conventional bottleneck does not.
        reconstruction_weight: ω of eq. 43, where there is a uniform view.
    """

    objective: Objective = "vd"
    vsd: bool = True
    consistency: Literal["vcd+vml", "vcd+vmd", "vcd", "mv2d", "none"] = "vcd+vmd"
    vcd_equation: Literal["2022-eq18", "2021-eq15"] = "2022-eq18"
    pairs: Literal["matched", "all"] = "matched"
    distillation_weight: NonNegativeFloat = 2.0
    over_views: Literal["sum", "mean"] = "sum"
    detach_teacher: bool = True
    detach_joint: bool = True
    temperature: PositiveFloat = 1.0
    classification_weight: NonNegativeFloat = 1.0
    label_smoothing: Share = 0.1
    ranking_weight: NonNegativeFloat = 1.0
    margin: PositiveFloat = 0.4
    boundary: PositiveFloat = 1.2
    ranking_temperature: NonNegativeFloat = 10.0
    mutual_weight: NonNegativeFloat = 0.0
    compression_weight: NonNegativeFloat = 1.0
    supervise_observation: bool = True
    reconstruction_weight: NonNegativeFloat = 1.0

    def __post_init__(self) -> None:
        check_settings(self, "loss.")
        if self.consistency == "mv2d" and (self.pairs == "all" or self.objective == "released-2021"):
            raise InputError("loss.consistency mv2d needs loss.pairs matched, and is not in the released arithmetic")
        if self.margin >= self.boundary:
            raise InputError(f"loss.margin must lie below loss.boundary, {self.boundary!r}, not be {self.margin!r}")


@dataclass(frozen=True)
class Asked:
    """What an objective asks of the network beside v and z.

    Attributes:
        heads: identities are predicted from v and from z.
        observation: the head on v learns.
        sampled: z is drawn from its Gaussian in training.
        joint: a prediction from all views of the shared branch, and those without one of them.
        critics: of v and z, one in every branch.
    """

    heads: bool = True
    observation: bool = True
    sampled: bool = False
    joint: bool = False
    critics: bool = False


@dataclass(frozen=True, kw_only=True)
class PeopleRecipe(shared.Recipe):
    """What every recipe of a network for pictures of people has.

    Not an abstract base class: the library that reads the flags would not take it for a dataclass.

    Attributes:
        data: what is learned from.
        network: what learns.
        augmentation: how pictures vary.
        training: how long, how fast, how exactly.
    """

    data: DataSettings = field(default_factory=DataSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)

    @classmethod
    def renamed(cls) -> Mapping[str, str]:
        return RENAMED

    @property
    def asked(self) -> Asked:
        """What the objective needs of the network."""
        raise NotImplementedError

    @property
    def objective(self) -> str:
        """What is learned, in a word or two."""
        raise NotImplementedError

    def elsewhere(self) -> Self:
        """The same recipe, without where its data lie: what two runs must share to be of one recipe."""
        return replace(self, data=replace(self.data, root="", cache=None))


Recipe = TypeVar("Recipe", bound=PeopleRecipe)


@dataclass(frozen=True, kw_only=True)
class ReidRecipe(PeopleRecipe):
    """A recipe of training with labels.

    Attributes:
        data: what is learned from.
        network: what learns.
        augmentation: how pictures vary.
        training: how long, how fast, how exactly.
        loss: what is asked of the network.
    """

    loss: LossSettings = field(default_factory=LossSettings)

    @property
    def asked(self) -> Asked:
        conventional = self.loss.objective == "cib"
        joint = self.loss.objective == "vd" and self.loss.consistency == "mv2d"
        return Asked(
            observation=self.loss.supervise_observation, sampled=conventional, joint=joint, critics=conventional
        )

    @property
    def objective(self) -> str:
        return self.loss.objective + ("" if self.loss.supervise_observation else ", v not asked")

    def __post_init__(self) -> None:
        check_settings(self)
        if self.loss.objective != "none" and not self.network.bottleneck:
            raise InputError(
                f"loss.objective {self.loss.objective} needs a bottleneck: set it to none, "
                "or network.bottleneck to true"
            )
        if self.loss.objective == "cib" and not self.network.gaussian:
            raise InputError("loss.objective cib samples z: set network.gaussian to true")
        if not self.loss.supervise_observation:
            if not self.network.bottleneck:
                raise InputError("loss.supervise_observation false leaves nothing to learn from without a bottleneck")
            if self.loss.objective not in ("cib", "none"):
                raise InputError(
                    f"loss.objective {self.loss.objective} learns from the predictions of v: "
                    "set loss.supervise_observation to true"
                )
        if self.network.uniform and self.loss.objective == "vd" and self.loss.consistency not in ("mv2d", "none"):
            raise InputError("network.uniform makes three views: set loss.consistency to mv2d")


def shipped_recipe(name: str) -> Path:
    """The YAML file of a recipe that comes with the package, see `limbeck.training.recipes.shipped_recipe`."""
    return shared.shipped_recipe(name, Path(__file__).parent)


def read_recipe(path: Path, kind: type[Recipe] = ReidRecipe) -> Recipe:  # type: ignore[assignment]
    """The recipe of a YAML file, see `limbeck.training.recipes.read_recipe`."""
    return shared.read_recipe(path, kind)
