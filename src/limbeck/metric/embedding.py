"""From photographs to embeddings, with a trained network."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.images.embedding import embedded_pictures
from limbeck.images.photographs import Photographs, central_photographs
from limbeck.metric.dataset import MetricDataset
from limbeck.metric.network import MetricNetwork
from limbeck.reporting.progress import Progress
from limbeck.retrieval import Features, LeaveOneOut, evaluate

Feature = Literal["v", "z"]


def represent(
    network: MetricNetwork,
    images: Photographs,
    rows: NDArray[np.int64],
    *,
    size: int,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> dict[str, NDArray[np.float32]]:
    """All representations of some photographs, see `MetricNetwork.embed`.

    Args:
        network: it is put into evaluation mode, and back.
        images: decoded pictures.
        rows: (items,) of these.
        size: of the square in their middle that the network sees.
        device: of the network; default: the processor.
        progress: called with (pictures done, pictures in all).
    """
    return embedded_pictures(
        network,
        lambda batch, _: network.embed(batch),
        lambda chosen: central_photographs([images[row] for row in chosen.tolist()], size=size),
        rows,
        device=device,
        progress=progress,
    )


def features_of(
    photographs: MetricDataset,
    members: NDArray[np.int64],
    found: dict[str, NDArray[np.float32]],
    feature: Feature = "v",
) -> Features:
    """Embeddings of some pictures of a set for a search.

    Args:
        photographs: the set.
        members: positions in the set of what was embedded.
        found: its representations.
        feature: what is compared.

    Raises:
        InputError: the network has no bottleneck, so that there is no z.
    """
    if feature not in found:
        raise InputError(f"the network has no bottleneck, so feature {feature!r} does not exist: use v")
    return Features.from_arrays(
        found[feature],
        photographs.label[members],
        path=[photographs.path[place] for place in members],
        query=None if photographs.query is None else photographs.query[members],
        origin=photographs.name,
    )


def searched(features: Features) -> dict[str, float]:
    """Recall@1 and MAP@R, in [0, 1], of pictures that search one another."""
    (figures,) = evaluate(features, LeaveOneOut())
    return {"recall-1": figures.cmc(1).mean, "MAP@R": figures.mean_average_precision_at_r.mean}
