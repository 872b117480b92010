"""A re-identification model as programs that other software runs: one for each modality, or one for both."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from limbeck.images.export import Exported, Form, export_embedding
from limbeck.modalities import MODALITIES
from limbeck.reid.embedding import Feature, search_names
from limbeck.reid.runs import ReidModel


def export_model(
    model: ReidModel, folder: Path, *, forms: Sequence[Form], feature: Feature = "v", tolerance: float
) -> Iterator[Exported]:
    """Write what a search compares, as `limbeck evaluate` has it: "visible" and "infrared" (`.onnx`, `.pt2`).

    A network of the routing "grey" treats both modalities alike: there is one, "pictures".

    Args:
        model: on the processor.
        folder: of the files.
        forms: see `limbeck.images.export.export_embedding`.
        feature: v, z or both.
        tolerance: see there.

    Raises:
        InputError: the network has no z, cannot be exported, or a program differs from it by more than the tolerance.
        OSError: a file cannot be written.
    """
    network, data = model.network, model.recipe.data
    size = data.height, data.width
    with torch.inference_mode():
        names = search_names(network.eval().embed(torch.zeros(1, 3, *size), 0), feature)
    for code, modality in enumerate(MODALITIES):
        if network.routing == "grey" and code:
            return

        def embed(pictures: Tensor, code: int = code) -> Tensor:
            found = network.embed(pictures, code)
            return torch.cat([found[name] for name in names], dim=1) / math.sqrt(len(names))

        yield from export_embedding(
            network,
            embed,
            folder / ("pictures" if network.routing == "grey" else modality),
            size=size,
            forms=forms,
            about={
                "modality": "any" if network.routing == "grey" else modality,
                "feature": feature,
                "parts": names,
                "pictures": f"RGB, resized to {size[0]} x {size[1]} (height x width), bilinear with antialiasing",
            },
            tolerance=tolerance,
        )
