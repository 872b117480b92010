"""What a diagnosis found."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.information.diagnosis.resampling import Interval
from limbeck.information.probes import Probe


@dataclass(frozen=True)
class Retained:
    """I(z; v), what a stochastic encoder's z holds of v at all: between two bounds, with their intervals.

    Attributes:
        lower: contrastive, with the known densities; cannot exceed log samples.
        upper: the least of the upper bounds.
    """

    lower: Interval
    upper: Interval

    def __str__(self) -> str:
        return f"{self.lower.nats:.3f} to {self.upper.nats:.3f}"


@dataclass(frozen=True)
class ViewDiagnosis:
    """What one view holds of the label; all in nats but accuracy and calibration error.

    Attributes:
        name: of the view.
        observation: I(v; y), None where observations were not given.
        representation: I(z; y); of a stochastic encoder with z drawn.
        gap: I(v; y) - I(z; y), 0 for a sufficient representation (2022, eq. 5); None as above.
        specific: I(y; z | the others) = H(y | others) - H(y | all): what only this view knows (2022, eq. 30); None for
            the only view.
        consistent: I(z; y) less that (2022, eq. 7): what the others know too, less what only shows in them together.
        redundancy: see `Diagnosis`.
        synergy: see `Diagnosis`.
        retained: I(z; v); None where the encoder's Gaussians were not given: it is infinite where z is a continuous
            function of v.
        accuracy: of the probe of z, in [0, 1].
        calibration_error: of the probe of z, in [0, 1]; see `calibration_error`.
    """

    name: str
    observation: Interval | None
    representation: Interval
    gap: Interval | None
    specific: Interval | None
    consistent: Interval | None
    redundancy: Interval | None
    synergy: Interval | None
    retained: Retained | None
    accuracy: float
    calibration_error: float


@dataclass(frozen=True)
class Agreement:
    """How far the predictions from two views agree.

    Attributes:
        first: name of a view.
        second: of another.
        share: of samples for which both predict the same class.
        chance: the share that views without anything in common would reach, given how often each predicts each class.
        divergence: mean Jensen-Shannon divergence of the two predicted distributions, in nats, at most log 2; what VML
            minimises (2021, eq. 12).
    """

    first: str
    second: str
    share: float
    chance: float
    divergence: float


@dataclass(frozen=True)
class CrossViewRetrieval:
    """Samples of one view as queries among those of another, by cosine similarity of representations.

    The sample itself (its whole group where there are groups) is left out of the gallery, except for `pair`.

    Attributes:
        query: name of the view whose samples search.
        gallery: name of the view that is searched.
        mean_average_precision: of samples of the same label.
        rank_1: share of queries whose nearest other sample is of their label.
        pair: share of queries that are nearest to themselves in the other view.
        queries: that have another sample of their label to find.
    """

    query: str
    gallery: str
    mean_average_precision: float
    rank_1: float
    pair: float
    queries: int


@dataclass(frozen=True)
class Diagnosis:
    r"""What the representations of several views hold of a label, in nats with intervals.

    Everything is made of held-out cross-entropies of one family of probes: an information is a lower bound on the true
    one, tight where the family can express the posterior; differences of them (gap, specific, consistent, overlap) are
    estimates, on neither side.

    Redundancy and synergy split the consistent information of a view and the others,
    :math:`I^c_i = R_i - S_i`, by the sign of what every single sample says (after Ince 2017, on the distribution as it
    is): with :math:`i(a) = \log q(y|a) - \log p(y)` and :math:`c = i(z_i) + i(\text{others}) - i(\text{all})`,
    :math:`R_i` is the mean of c where the four have one sign, of 0 elsewhere. Other authors split otherwise.

    Attributes:
        entropy: H(y).
        views: of each view.
        joint: I(z_1 ... z_n; y).
        joint_observations: I(v_1 ... v_n; y), or None.
        overlap: sum of the I(z_i; y) less the joint: what is counted more than once; negative where views inform in
            company only.
        regions: of two or three views: what exactly these views know in common of y, the regions of the Venn diagram
            within y (2022, Fig. 2); a region of several views may be negative.
        agreements: of every pair of views.
        retrieval: across two views, in both directions; empty for other numbers of views or unequal widths.
        accuracy: of the probe of all representations.
        calibration_error: of it.
        warnings: what the figures cannot bear.
        samples: how many.
        classes: names of the labels.
        majority: share of the most frequent class.
        probe: which family.
        folds: of the cross-fitting.
        confidence: of the intervals.
        seed: of folds, networks and resamples.
    """

    entropy: Interval
    views: tuple[ViewDiagnosis, ...]
    joint: Interval
    joint_observations: Interval | None
    overlap: Interval | None
    regions: dict[tuple[str, ...], Interval]
    agreements: tuple[Agreement, ...]
    retrieval: tuple[CrossViewRetrieval, ...]
    accuracy: float
    calibration_error: float
    warnings: tuple[str, ...]
    samples: int
    classes: tuple[str, ...]
    majority: float
    probe: Probe
    folds: int
    confidence: float
    seed: int

    def __str__(self) -> str:
        from limbeck.information.diagnosis.table import format_diagnosis  # noqa: PLC0415 - it builds on this module

        return format_diagnosis(self)
