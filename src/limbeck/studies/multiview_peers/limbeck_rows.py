"""limbeck's own rows: the classifier as it comes, and its relatives."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np

from limbeck.multiview.classifier import MultiViewClassifier
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.views import Views, concatenate
from limbeck.studies.multiview_peers.features import as_given
from limbeck.studies.multiview_peers.peers import Floats, Labels
from limbeck.studies.multiview_peers.tuning import Learned

OwnName = Literal[
    "limbeck", "limbeck-networks", "limbeck-one-network", "limbeck-plain", "limbeck-view-dropout", "limbeck-paper"
]


@dataclass(frozen=True)
class OwnRow:
    """A row of limbeck's own, which nothing is tuned of.

    Attributes:
        meaning: in a line.
        recipe: what it changes in the recipe.
        options: what it changes in the classifier's other arguments.
        everything: whether it learns from validation rows too; otherwise they stop and calibrate it.
    """

    meaning: str
    recipe: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    everything: bool = True
    unavailable: ClassVar[None] = None


_NO_PATH = {"kernel_path": False, "linear_path": False}
_SCHEDULE = ("epochs", "batch_size", "milestones", "decay", "patience")

OWN: dict[str, OwnRow] = {
    "limbeck": OwnRow("MultiViewClassifier as it comes, from training and validation rows"),
    "limbeck-networks": OwnRow("the same without kernel and linear paths", options=dict(_NO_PATH)),
    "limbeck-one-network": OwnRow(
        "one network that validation rows stop and calibrate, and nothing else",
        options=dict(_NO_PATH),
        everything=False,
    ),
    "limbeck-plain": OwnRow('limbeck with objective="none"', {"objective": "none"}),
    "limbeck-view-dropout": OwnRow(
        "limbeck-plain with view dropout: nine samples in ten hide one of their views from the joint prediction",
        {"objective": "none", "view_dropout": 0.9, "view_dropout_sampling": "one"},
    ),
    "limbeck-paper": OwnRow(
        "limbeck-one-network on the schedule of the paper",
        {name: getattr(Recipe(), name) for name in _SCHEDULE},
        dict(_NO_PATH),
        everything=False,
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
        if row.everything:
            model.fit(as_given(concatenate(training, validation)), np.concatenate([labels, validation_labels]))
        else:
            model.fit(as_given(training), labels, validation=(as_given(validation), validation_labels))
    fitting = time.process_time() - started

    def answer(views: Views) -> Floats:
        return model.predict_proba(as_given(views))

    # What held-out rows were worth: the mean over views of the same figure, of samples that have them.
    held_out = model.view_contributions_
    return Learned(
        answer,
        {
            "temperature": float(model.temperature_),
            "kernel weight": float(model.kernel_weight_),
            **{f"linear weight {number}": float(one) for number, one in enumerate(model.linear_weights_)},
        },
        float(np.mean([one.everything for one in held_out])) if held_out else 0.0,
        0.0,
        0.0,
        fitting,
    )
