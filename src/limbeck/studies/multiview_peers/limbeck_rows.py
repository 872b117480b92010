"""limbeck's own rows: the classifier as it comes, and its relatives."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from typing import Any, Literal

from limbeck.multiview.classifier import MultiViewClassifier
from limbeck.multiview.evaluation import cross_entropy_nats
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.views import Views
from limbeck.studies.multiview_peers.features import as_given
from limbeck.studies.multiview_peers.peers import Floats, Labels
from limbeck.studies.multiview_peers.tuning import Learned

OwnName = Literal["limbeck", "limbeck-refitted", "limbeck-plain", "limbeck-view-dropout"]

# What makes the classifier learn from validation rows too, once it offers that.
_REFIT: dict[str, Any] = {"refit": True}


@dataclass(frozen=True)
class OwnRow:
    """A row of limbeck's own, which nothing is tuned of.

    Attributes:
        meaning: in a line.
        recipe: what it changes in the recipe.
        options: what it changes in the classifier's other arguments.
    """

    meaning: str
    recipe: dict[str, Any]
    options: dict[str, Any]

    @property
    def unavailable(self) -> str | None:
        """Why it cannot be run here; None: it can."""
        offered = MultiViewClassifier().get_params()
        return None if set(self.options) <= set(offered) else "this version does not refit"


OWN: dict[str, OwnRow] = {
    "limbeck": OwnRow("MultiViewClassifier as it comes; validation rows stop and calibrate it", {}, {}),
    "limbeck-refitted": OwnRow("the same, refitted on validation rows too", {}, _REFIT),
    "limbeck-plain": OwnRow('the same as limbeck with objective="none"', {"objective": "none"}, {}),
    "limbeck-view-dropout": OwnRow(
        "limbeck-plain with view dropout: nine samples in ten hide one of their views from the joint prediction",
        {"objective": "none", "view_dropout": 0.9, "view_dropout_sampling": "one"},
        {},
    ),
}


def learned(
    row: OwnRow,
    recipe: Recipe,
    training: Views,
    labels: Labels,
    validation: Views,
    validation_labels: Labels,
    *,
    seed: int,
    device: str,
) -> Learned:
    """Fit a row of limbeck's own, untuned; the arguments are those of `tuned`."""
    started = time.process_time()
    model = MultiViewClassifier.from_recipe(
        replace(recipe, **row.recipe), random_state=seed, device=device, **row.options
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "view .* has .* constant column")  # the same for every trial
        model.fit(as_given(training), labels, validation=(as_given(validation), validation_labels))
    fitting = time.process_time() - started

    def answer(views: Views) -> Floats:
        return model.predict_proba(as_given(views))

    probability = answer(validation)
    return Learned(
        answer,
        {"epoch": float(model.best_epoch_ + 1), "temperature": float(model.temperature_)},
        float((probability.argmax(axis=1) == validation_labels).mean()),
        cross_entropy_nats(probability, validation_labels),
        0.0,
        fitting,
    )
