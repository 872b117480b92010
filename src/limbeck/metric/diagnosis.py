"""What is diagnosed of an embedding: v and z of pictures of unseen classes, of which the class is to be read."""

from __future__ import annotations

from pathlib import Path

from limbeck.information.diagnosis import ViewFeatures
from limbeck.metric.evaluation import embed_split
from limbeck.metric.runs import load_run


def view_features_of_run(
    run: Path, *, root: str | None = None, split: str = "test", device: str = "cpu"
) -> ViewFeatures:
    """Observations and representations of one view; the label is the class. Without a bottleneck z is v.

    Args:
        run: a folder that `limbeck train metric` wrote, or its model file.
        root: of the set; default: where it lay in training.
        split: of the set; no class that the model learned from should be in it.
        device: where to compute.

    Raises:
        InputError: the run or the set cannot be read.
    """
    embedded = embed_split(load_run(run, device=device), run, root=root, split=split)
    found = embedded.representations
    return ViewFeatures.from_arrays(
        [found.get("z", found["v"])],
        embedded.features.identity,
        observations=[found["v"]],
        names=["picture"],
        origin=str(run),
    )
