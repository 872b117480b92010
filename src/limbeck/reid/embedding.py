"""From pictures to representations, with a trained network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.images.embedding import embedded_pictures, rows_of
from limbeck.reid.dataset import ReidDataset
from limbeck.reid.network import ReidNetwork
from limbeck.reporting.progress import Progress
from limbeck.retrieval import CrossModal, Features, evaluate

Feature = Literal["v", "z", "v+z"]


def represent(
    network: ReidNetwork,
    images: NDArray[np.uint8],
    rows: NDArray[np.int64],
    modality: NDArray[np.int8],
    *,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> dict[str, NDArray[np.float32]]:
    """All representations of some pictures, see `ReidNetwork.embed`.

    Args:
        network: it is put into evaluation mode, and back.
        images: (pictures, height, width, 3) uint8.
        rows: (items,) rows of `images`.
        modality: (items,) 0 visible, 1 infrared.
        device: of the network; default: the processor.
        progress: called with (pictures done, pictures in all).

    Returns:
        name -> (items, features) float32, rows of length 1.
    """
    return embedded_pictures(
        network, network.embed, rows_of(images), rows, groups=modality, device=device, progress=progress
    )


def features_of(
    network: ReidNetwork,
    people: ReidDataset,
    images: NDArray[np.uint8],
    rows: NDArray[np.int64],
    members: NDArray[np.int64],
    *,
    device: torch.device | None = None,
    feature: Feature = "v",
    progress: Progress | None = None,
) -> tuple[Features, dict[str, NDArray[np.float32]]]:
    """Embeddings of some pictures of a set for a search, and all representations behind them.

    Args:
        network: see `represent`.
        people: the set.
        images: its decoded pictures.
        rows: of its pictures among these; -1: none.
        members: positions in the set of the pictures to embed; those without a row are left out.
        device: of the network.
        feature: what is compared: v, z or both.
        progress: called with (pictures done, pictures in all).
    """
    chosen = members[rows[members] >= 0]
    modality = people.modality[chosen]
    found = represent(network, images, rows[chosen], modality, device=device, progress=progress)
    features = Features.from_arrays(
        search_feature(found, feature),
        people.identity[chosen],
        camera=None if people.camera is None else people.camera[chosen],
        modality=modality,
        path=[people.path[place] for place in chosen],
        origin=people.name,
    )
    return features, found


def searched(features: Features) -> dict[str, float]:
    """mAP and rank-1, in [0, 1], of infrared pictures that search visible ones."""
    (figures,) = evaluate(features, CrossModal("i2v"))
    return {"mAP": figures.mean_average_precision.mean, "rank-1": figures.cmc(1).mean}


def search_feature(representations: Mapping[str, NDArray[np.float32]], kind: Feature) -> NDArray[np.float32]:
    """The concatenation of every branch's v, z, or both: what is compared in a search.

    Source: Tian et al. 2021, Table 3 ("observation v or representation z alone").

    Raises:
        InputError: the network has no bottleneck, so that there is no z.
    """
    parts = [representations[name] for name in search_names(representations, kind)]
    return np.concatenate(parts, axis=1) / np.float32(np.sqrt(len(parts)))


def search_names(representations: Iterable[str], kind: Feature) -> list[str]:
    """Which representations are compared in a search, in order.

    Raises:
        InputError: there are none: the network has no bottleneck, so that there is no z.
    """
    words = kind.split("+")
    names = [name for name in representations if name.split()[0] in words]
    if not names or ("z" in words and not any(name.startswith("z ") for name in names)):
        raise InputError(f"the network has no bottleneck, so feature {kind!r} does not exist: use v")
    return names
