"""An embedding of photographs as programs that other software runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limbeck.errors import InputError
from limbeck.images.export import Exported, Form, export_embedding
from limbeck.metric.embedding import Feature
from limbeck.metric.runs import MetricModel


def export_model(
    model: MetricModel, folder: Path, *, forms: Sequence[Form], feature: Feature = "v", tolerance: float
) -> list[Exported]:
    """Write what a search compares, as `limbeck evaluate` has it: "photographs" (`.onnx`, `.pt2`).

    Args:
        model: on the processor.
        folder: of the files.
        forms: see `limbeck.images.export.export_embedding`.
        feature: v or z, not normalised.
        tolerance: see there.

    Raises:
        InputError: the network has no z, cannot be exported, or a program differs from it by more than the tolerance.
        OSError: a file cannot be written.
    """
    network, data = model.network, model.recipe.data
    if feature == "z" and network.bottleneck is None:
        raise InputError(f"the network has no bottleneck, so feature {feature!r} does not exist: use v")
    resized = f"{data.resize} x {data.resize}" if data.fit == "squash" else f"{data.resize} on the shorter side"
    return export_embedding(
        network,
        lambda pictures: network.embed(pictures)[feature],
        folder / "photographs",
        size=(data.crop, data.crop),
        forms=forms,
        about={
            "feature": feature,
            "pictures": f"RGB, resized to {resized}, bilinear with antialiasing; the middle {data.crop} x {data.crop}",
        },
        tolerance=tolerance,
    )
