"""Everything that decides how a re-identification model is trained without labels, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from limbeck.errors import InputError
from limbeck.reid.recipe import Asked, DataSettings, NetworkSettings, PeopleRecipe
from limbeck.settings import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Range, Share, check_settings
from limbeck.training import TrainingSettings
from limbeck.training import recipes as shared


@dataclass(frozen=True)
class ClusteringSettings:
    """How pictures are grouped, before every epoch.

    Attributes:
        algorithm: "dbscan", or "hdbscan", which needs no `eps`.
        k1: neighbours that the k-reciprocal Jaccard distance looks at.
        k2: neighbours that it averages over.
        eps: largest distance of neighbours in DBSCAN, in (0, 1): the Jaccard distance. 0.6 is usual for SYSU-MM01, 0.3
            for RegDB.
        min_samples: a picture is of a cluster's core if so many pictures, itself included, are near.
        min_cluster_size: of "hdbscan".
        together: cluster both modalities at once, among neighbours of which half are of either modality, and match
            nothing; otherwise each modality is clustered apart.
        neighbours: "exact", or "approximate", which needs the extra `faiss`.
    """

    algorithm: Literal["dbscan", "hdbscan"] = "dbscan"
    k1: PositiveInt = 30
    k2: PositiveInt = 6
    eps: Annotated[float, Range(gt=0, lt=1)] = 0.6
    min_samples: PositiveInt = 4
    min_cluster_size: Annotated[int, Range(ge=2)] = 4
    together: bool = False
    neighbours: Literal["exact", "approximate"] = "exact"

    def __post_init__(self) -> None:
        check_settings(self, "clustering.")


@dataclass(frozen=True)
class MatchingSettings:
    """Which visible cluster is taken for the same person as which infrared one.

    Attributes:
        method: "transport": optimal transport with entropy; "hungarian": the cheapest assignment, in rounds until every
            cluster has a partner; "nearest": each cluster's nearest of the other modality; "none": nothing is matched;
            "identities": what mostly shows the same person, by the set's labels: not a method, but what wrong matches
            cost in a comparison.
        cost: of two prototypes, from their cosine: "cosine" is 1 - cos, "exponential" is exp(-cos).
        epsilon: of "transport": weight of the entropy, as a share of the costs' range.
        prior: of "transport": how much mass a cluster has: "uniform", or by its "size".
        mass: of "transport": the share that is transported, the cheapest; below 1 it leaves the rest of either side
            alone, for people whom the other modality does not show.
        mutual: match only clusters that are each other's match.
        threshold: of "transport": match only where the best partner gets so much of a cluster's own mass.
    """

    method: Literal["transport", "hungarian", "nearest", "none", "identities"] = "transport"
    cost: Literal["cosine", "exponential"] = "cosine"
    epsilon: PositiveFloat = 0.05
    prior: Literal["uniform", "size"] = "uniform"
    mass: Annotated[float, Range(gt=0, le=1)] = 1.0
    mutual: bool = False
    threshold: Share = 0.0

    def __post_init__(self) -> None:
        check_settings(self, "matching.")


@dataclass(frozen=True)
class PrototypeLossSettings:
    r"""The weights of the objective, see `limbeck.reid.unsupervised.loss.unsupervised_terms`.

    Attributes:
        temperature: τ, of cosines with prototypes.
        kept: share of the old prototype when a batch moves it.
        movers: what moves it: the "mean" of its pictures in the batch or the "hardest", least like it.
        intra_weight: of the contrast with prototypes of a picture's own modality.
        cross_weight: of the contrast with the matched prototypes of the other.
        intra_epochs: so many epochs come first that match nothing.
        alternate: of the cross terms take those of visible pictures in one epoch, of infrared ones in the next.
        alignment_weight: of cross prediction alignment.
        alignment_form: "plan" or "batch", see `limbeck.objectives.cross_prediction_alignment`.
        sharpness_weight: of the entropy of the predictions.
        fairness_weight: of the unevenness of their mean.
        sufficiency_weight: of VSD between what v and z predict of their prototypes (needs network.bottleneck).
        consistency_weight: of VCD between matched rows of a batch (needs network.bottleneck).
    """

    temperature: PositiveFloat = 0.05
    kept: Share = 0.1
    movers: Literal["mean", "hardest"] = "mean"
    intra_weight: NonNegativeFloat = 1.0
    cross_weight: NonNegativeFloat = 1.0
    intra_epochs: NonNegativeInt = 0
    alternate: bool = False
    alignment_weight: NonNegativeFloat = 0.0
    alignment_form: Literal["plan", "batch"] = "plan"
    sharpness_weight: NonNegativeFloat = 0.0
    fairness_weight: NonNegativeFloat = 0.0
    sufficiency_weight: NonNegativeFloat = 0.0
    consistency_weight: NonNegativeFloat = 0.0

    def __post_init__(self) -> None:
        check_settings(self, "loss.")


@dataclass(frozen=True, kw_only=True)
class UnsupervisedRecipe(PeopleRecipe):
    """A recipe of training without labels.

    Of `data`, `identities` are the clusters of a batch and `pictures` the pictures of each, in either modality, and
    `steps_per_epoch` must be given: how many clusters there will be nobody knows. `held_out` people are for figures on
    the way alone; nothing is selected by them.

    Attributes:
        data: what is learned from.
        network: what learns; one shared branch.
        augmentation: how pictures vary.
        training: how long, how fast, how exactly.
        clustering: how pictures are grouped.
        matching: how clusters of the two modalities are brought together.
        loss: what is asked of the network.
    """

    data: DataSettings = field(default_factory=partial(DataSettings, identities=16, pictures=8, steps_per_epoch=200))
    network: NetworkSettings = field(
        default_factory=partial(NetworkSettings, branches=("shared",), bottleneck=False, pooling="gem")
    )
    training: TrainingSettings = field(
        default_factory=partial(
            TrainingSettings, epochs=100, learning_rate=3.5e-4, milestones=(40, 80), warmup_epochs=0, validate_epochs=0
        )
    )
    clustering: ClusteringSettings = field(default_factory=ClusteringSettings)
    matching: MatchingSettings = field(default_factory=MatchingSettings)
    loss: PrototypeLossSettings = field(default_factory=PrototypeLossSettings)

    @property
    def asked(self) -> Asked:
        return Asked(heads=False)

    @property
    def objective(self) -> str:
        return f"prototypes without labels, matching {'together' if self.clustering.together else self.matching.method}"

    def __post_init__(self) -> None:
        check_settings(self)
        if self.network.branches != ("shared",) or self.network.routing != "modality" or self.network.uniform:
            raise InputError(
                "network.branches must be [shared], with network.routing modality and without network.uniform: "
                "clusters of both modalities are compared by one branch"
            )
        if self.data.steps_per_epoch is None:
            raise InputError("data.steps_per_epoch must be given: how many clusters there will be nobody knows")
        if self.training.select != "last":
            raise InputError("training.select must be last: nothing is selected by labels")
        asked = self.loss.sufficiency_weight or self.loss.consistency_weight
        if asked and not self.network.bottleneck:
            raise InputError("loss.sufficiency_weight and loss.consistency_weight need network.bottleneck true")
        if self.network.bottleneck and not asked:
            raise InputError(
                "network.bottleneck must be false where loss.sufficiency_weight and loss.consistency_weight are 0: "
                "nothing would be asked of z"
            )


def shipped_recipe(name: str) -> Path:
    """The YAML file of a recipe that comes with the package, see `limbeck.training.recipes.shipped_recipe`."""
    return shared.shipped_recipe(name, Path(__file__).parent)
