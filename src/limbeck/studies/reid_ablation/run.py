"""Table 4 of Tian et al. 2022 on procedural people: what the bottleneck and each objective bring."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from limbeck.reporting.statistics import Difference, Estimate, paired_difference
from limbeck.studies.people import PeopleTrainings, Trained, train_people


@dataclass(frozen=True)
class ReidAblationSettings(PeopleTrainings):
    """What the study runs.

    Attributes:
        rows: any of `limbeck.studies.people.ROWS`.
        seeds: of the people, the weights and the batches.
        recipe: what every row starts from.
        people: what is drawn; its seed is replaced.
        jobs: trainings side by side, each in a process of its own with its share of the cores.
    """


@dataclass(frozen=True)
class ReidAblationResult:
    """Every training, row by row."""

    settings: ReidAblationSettings
    trainings: tuple[Trained, ...]

    def values(self, row: str, feature: str, figure: str) -> list[float]:
        """One figure of a row in per cent, one number per seed, by seed; empty where the row has no such feature.

        Args:
            row: of the settings.
            feature: "v" or "z".
            figure: a field of `limbeck.studies.people.Score`.
        """
        chosen = sorted((one for one in self.trainings if one.row == row), key=lambda one: one.seed)
        return [100 * float(getattr(one.scores[feature], figure)) for one in chosen if feature in one.scores]

    def estimate(self, row: str, feature: str, figure: str) -> Estimate:
        """The same over the seeds."""
        return Estimate.from_values(self.values(row, feature, figure))

    def against(
        self, reference: str, row: str, feature: str, figure: str = "mean_average_precision"
    ) -> Difference | None:
        """The reference less a row, paired by seed; None where one of them has no such feature."""
        first, second = (self.values(name, feature, figure) for name in (reference, row))
        if row == reference or not first or len(first) != len(second):
            return None
        # Seeds share no people, so that nothing corrects the interval.
        return paired_difference(first, second, test_to_train=0.0)

    def parameters(self, row: str) -> int:
        """Of the network of a row."""
        return next(one.parameters for one in self.trainings if one.row == row)


def run(settings: ReidAblationSettings, folder: Path) -> ReidAblationResult:
    """Train and score every row with every seed; see `limbeck.studies.people.train_people`.

    Args:
        settings: what to run.
        folder: gets people and run folders; a second call goes on where one stopped.

    Raises:
        InputError: a folder holds something else, or a training diverged.
        OSError: the folder cannot be written.
    """
    return ReidAblationResult(settings, tuple(train_people(settings, folder)))
