"""What is diagnosed of a re-identification model: pairs of a visible and an infrared picture of one person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from limbeck.errors import InputError
from limbeck.information.diagnosis import ViewFeatures
from limbeck.modalities import MODALITIES
from limbeck.objectives import identity_pairs
from limbeck.reid.evaluation import embed_split
from limbeck.reid.runs import load_run


def view_features_of_run(
    run: Path,
    *,
    root: str | None = None,
    split: str = "test",
    branch: str = "shared",
    device: str = "cpu",
) -> ViewFeatures:
    """Observations and representations of the two modalities; the label is who it is.

    The k-th visible picture of a person is paired with the k-th infrared one (`identity_pairs`), and surplus ones are
    left out: a pair shows the same person, not the same moment, so that what both know is what identifies.

    Args:
        run: a folder that `limbeck train reid` wrote, or its model file.
        root: of the set; default: where it lay in training.
        split: of the set; nobody whom the model learned from should be in it. "held_out": whom training left out.
        branch: "shared" or "specific".
        device: where to compute.

    Raises:
        InputError: the run or the set cannot be read, or the model has no such branch.
    """
    embedded = embed_split(load_run(run, device=device), run, root=root, split=split)
    found, modality = embedded.representations, embedded.features.modality
    if f"v {branch}" not in found:
        known = sorted({name.split()[1] for name in found})
        raise InputError(f"{run}: has no branch {branch!r}; choose from {', '.join(known)}")
    assert modality is not None
    places = [np.flatnonzero(modality == code) for code in range(len(MODALITIES))]
    identity = embedded.features.identity
    pairs = identity_pairs(*(torch.from_numpy(identity[place]) for place in places))
    rows = [place[chosen.numpy()] for place, chosen in zip(places, pairs, strict=True)]
    if not len(rows[0]):
        raise InputError(f"{run}: nobody in split {split!r} was seen in both modalities")
    v, z = (found.get(f"{kind} {branch}") for kind in "vz")
    assert v is not None
    held = v if z is None else z  # without a bottleneck z is v
    return ViewFeatures.from_arrays(
        [held[chosen] for chosen in rows],
        identity[rows[0]],
        observations=[v[chosen] for chosen in rows],
        names=MODALITIES,
        origin=str(run),
    )
