"""Everything that decides how a multi-view classifier is built and trained, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Objective = Literal["mv2d", "released-2021", "cib", "none"]


@dataclass(frozen=True)
class Recipe:
    """How to build and train the network. The defaults are what limbeck ships.

    Widths of the encoder, optimiser and schedule follow Tian et al. 2022, §5.2.2; where the paper is silent the value
    was chosen on validation parts only, see docs/multiview.md.

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
        normalization: "batch" puts batch normalisation before every ReLU of the encoder, "none" nothing.
        dropout: rate after every layer of the encoder.
        label_smoothing: mass moved from the true class to all classes.
        classification_weight: weight of the cross-entropy: mean over views from v, the same from z, and the joint one.
        ranking_weight: weight of the ranked list loss on v and z, mean over views.
        distillation_weight: weight of the MV2D terms.
        compression_weight: weight of the Gaussian KL ("cib" only), mean over views.
        epochs: at most so many passes over the training part.
        batch_size: samples a step.
        learning_rate: of Adam.
        betas: of Adam.
        weight_decay: decoupled, on weight matrices only.
        milestones: epochs after which the learning rate is multiplied by `decay`.
        decay: see above.
        patience: stop when the validation accuracy has not reached its best again for so many epochs; None: never.
        scaling: "standard" scales each feature of a dense view to mean 0 and variance 1, and a sparse view by one
            number, all measured on the training part; "none" takes features as they are.
        clip: scaled features are clipped to ± this many standard deviations.
    """

    objective: Objective = "mv2d"
    bottleneck: bool = True
    encoder: tuple[int, ...] = (512, 256)
    bottleneck_hidden: tuple[int, ...] = (1024, 512)
    representation: int = 256
    stochastic: bool = False
    normalization: Literal["batch", "none"] = "batch"
    dropout: float = 0.5
    label_smoothing: float = 0.0
    classification_weight: float = 1.0
    ranking_weight: float = 1.0
    distillation_weight: float = 2.0
    compression_weight: float = 1e-3
    epochs: int = 160
    batch_size: int = 64
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.9)
    weight_decay: float = 0.0
    milestones: tuple[int, ...] = (30, 60)
    decay: float = 0.05
    patience: int | None = 20
    scaling: Literal["standard", "none"] = "standard"
    clip: float = 10.0
