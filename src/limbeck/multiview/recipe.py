"""Everything that decides how a multi-view classifier is built and trained, in one frozen object."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np

from limbeck.errors import InputError
from limbeck.multiview.view_dropout import Sampling
from limbeck.settings import (
    Items,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Probability,
    Range,
    Share,
    check_settings,
)

Objective = Literal["mv2d", "released-2021", "cib", "none"]


@dataclass(frozen=True)
class Recipe:
    """How to build and train the network. The defaults are what limbeck ships.

    Widths of the encoder, optimiser and schedule follow Tian et al. 2022, §5.2.2; where the paper is silent the value
    was chosen on validation splits only, see docs/multiview.md.

    Attributes:
        objective: what is added to the classification loss. "mv2d": equation 9 of 2022. "released-2021": the same terms
            under the arithmetic of the authors' code. "cib": the conventional information bottleneck, a Gaussian KL to
            the prior with a stochastic representation. "none": nothing.
        bottleneck: put an information bottleneck behind every encoder; without it the joint head reads the
            observations, and `objective` must be "none".
        encoder: widths of the encoder's layers; the last is the width of an observation v.
        bottleneck_hidden: widths of the bottleneck's hidden layers.
        representation: width of a representation z.
        stochastic: sample z in training ("cib" always does).
        joint_head: "additive": a linear term a view. "pairwise": also a low-rank bilinear interaction of every pair of
            views, see `limbeck.nn.PairwiseHead`.
        interaction_rank: of that interaction ("pairwise" only).
        normalization: "batch" puts batch normalisation before every ReLU of the encoder, "none" nothing.
        dropout: rate after every layer of the encoder.
        view_dropout: in training, the probability of hiding views from the joint prediction whose cross-entropy is
            minimised, see `limbeck.multiview.view_dropout.ViewDropout`; other terms of the loss see all views.
        view_dropout_sampling: "independent" hides each view with that probability, but never all of a sample; "one"
            hides exactly one with that probability.
        label_smoothing: mass moved from the true class to all classes.
        classification_weight: weight of the cross-entropy: mean over views from v, the same from z, and the joint one.
        ranking_weight: weight of the ranked list loss on v and z, mean over views.
        distillation_weight: weight of the MV2D terms.
        sufficiency_weight: times that, the weight of MV2D's first sum: each representation must predict what its
            observation predicts.
        consistency_weight: times that, the weight of its second sum: all views but one must predict what all predict.
        over_views: "mean" divides each of MV2D's two sums by the number of views that a sample has, so that the weight
            means the same for any number of views; "sum" is the equation as printed.
        detach_teacher: no gradient flows from MV2D into what the observations predict.
        detach_joint: the same of the joint prediction; without it every view is also asked to forget what the others do
            not know, see `limbeck.objectives.mv2d`.
        compression_weight: weight of the Gaussian KL ("cib" only), mean over views.
        epochs: at most so many passes over the training split.
        batch_size: samples a step.
        learning_rate: of Adam.
        betas: of Adam.
        weight_decay: decoupled, on weight matrices only.
        milestones: epochs after which the learning rate is multiplied by `decay`.
        decay: see above.
        patience: stop when the validation accuracy has not risen for so many epochs; those before the first milestone,
            where the learning rate is still high, do not count. None: never. The weights kept are those of the best
            epoch, of the latest where several are equal.
        scaling: "standard" scales each feature of a dense view to mean 0 and variance 1, and a sparse view by one
            number, all measured on the training split; "none" takes features as they are.
        clip: scaled features are clipped to ± this many standard deviations.
        missing_cells: what becomes of empty cells (NaN) in rows of a dense view that have others. "refuse" says where
            they are; "mean" puts the mean of the feature there, of those samples of the training split that have it:
            after scaling it is 0. A row of NaN alone is a missing view, and never filled.
        categories: what becomes of columns of texts of a DataFrame. "refuse" says where they are; "one-hot" makes a
            column of 0 and 1 of each category of the training samples. Others are 0 in all of them, with a warning.
    """

    objective: Objective = "mv2d"
    bottleneck: bool = True
    encoder: Annotated[tuple[PositiveInt, ...], Items(empty=False)] = (512, 256)
    bottleneck_hidden: tuple[PositiveInt, ...] = ()
    representation: PositiveInt = 256
    stochastic: bool = False
    joint_head: Literal["additive", "pairwise"] = "additive"
    interaction_rank: PositiveInt = 32
    normalization: Literal["batch", "none"] = "batch"
    dropout: Share = 0.5
    view_dropout: Probability = 0.0
    view_dropout_sampling: Sampling = "independent"
    label_smoothing: Share = 0.1
    classification_weight: NonNegativeFloat = 1.0
    ranking_weight: NonNegativeFloat = 1.0
    distillation_weight: NonNegativeFloat = 2.0
    sufficiency_weight: NonNegativeFloat = 1.0
    consistency_weight: NonNegativeFloat = 1.0
    over_views: Literal["sum", "mean"] = "mean"
    detach_teacher: bool = True
    detach_joint: bool = True
    compression_weight: NonNegativeFloat = 1e-3
    epochs: PositiveInt = 160
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 1e-3
    betas: tuple[Share, Share] = (0.5, 0.9)
    weight_decay: NonNegativeFloat = 0.0
    milestones: tuple[PositiveInt, ...] = (30, 60)
    decay: NonNegativeFloat = 0.05
    patience: Annotated[int | None, Range(ge=1)] = 10
    scaling: Literal["standard", "none"] = "standard"
    clip: Annotated[float, Range(gt=0, le=math.inf)] = 10.0
    missing_cells: Literal["refuse", "mean"] = "refuse"
    categories: Literal["refuse", "one-hot"] = "refuse"

    # The learning rate has no other course and no warm-up, see `limbeck.training.learning_rate`.
    schedule: ClassVar[Literal["steps"]] = "steps"
    warmup_epochs: ClassVar[float] = 0.0
    warmup_steps: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        check_settings(self)
        if self.objective != "none" and not self.bottleneck:
            raise InputError(
                f"objective {self.objective!r} needs a bottleneck: set objective to 'none' or bottleneck to true"
            )

        if self.missing_cells == "mean" and self.scaling == "none":
            raise InputError("missing_cells 'mean' needs scaling 'standard', which measures the means")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A recipe from plain values, as JSON or a scikit-learn search gives them.

        Lists become tuples, and NumPy's numbers Python's.
        """
        return cls(**{name: _plain(value) for name, value in values.items()})


QUICK = Recipe(batch_size=128, milestones=(12, 16), decay=0.2, patience=6)
"""What `MultiViewClassifier` starts from: the same network and objective on less than half of the paper's schedule.

Each network of an inner fold takes 18 epochs. Chosen on subsamples of the development sets, see docs/multiview.md.
"""


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    return tuple(value) if isinstance(value, list) else value
