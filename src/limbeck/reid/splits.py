"""Who is learned from and who is held out, and a digest of a whole set."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.images.sampling import held_out_classes
from limbeck.reid.dataset import ReidDataset
from limbeck.reid.recipe import DataSettings


@dataclass(frozen=True, eq=False)
class IdentitySplit:
    """Positions, in a set, of the pictures that are learned from and of those of the people held out."""

    training: NDArray[np.int64]
    held_out: NDArray[np.int64]


def split_identities(people: ReidDataset, settings: DataSettings, seed: int, *, unknown: bool = False) -> IdentitySplit:
    """Take `settings.held_out` people, drawn by the seed, out of the chosen splits of a set.

    Args:
        people: the set.
        settings: which splits, and how many people to hold out.
        seed: of who that is.
        unknown: pictures of nobody knows whom may be learned from.

    Raises:
        InputError: the set has none of the splits, too few people, or pictures of nobody knows whom.
    """
    chosen = [name for name in settings.splits if name in people.splits]
    if not chosen or "test" in chosen:
        wrong = "names test, which is for the end" if chosen else f"names {', '.join(settings.splits)}"
        raise InputError(f"data.splits {wrong}; {people.name} has {', '.join(people.splits)}: name others of these")
    members = np.concatenate([people.split(name) for name in chosen])
    identities = np.unique(people.identity[members])
    if identities[0] < 0:
        if not unknown:
            raise InputError(
                f"{people.name} does not say who is on its pictures: use `limbeck train reid-unsupervised`"
            )
        if settings.held_out:
            raise InputError(f"data.held_out must be 0: {people.name} does not say who is on its pictures")
        return IdentitySplit(members, members[:0])
    if settings.held_out >= len(identities):
        raise InputError(f"data.held_out must be below the {len(identities)} people there are, not {settings.held_out}")
    kept_apart = held_out_classes(identities, settings.held_out, seed)
    apart = np.isin(people.identity[members], kept_apart)
    return IdentitySplit(members[~apart], members[apart])


def digest(people: ReidDataset) -> str:
    """A digest of who is on which picture of a set; sizes stand for the pictures' bytes."""
    held = hashlib.sha256()
    for path, identity, modality in zip(people.path, people.identity.tolist(), people.modality.tolist(), strict=True):
        size = (people.root / path).stat().st_size
        held.update(f"{path}\0{identity}\0{modality}\0{size}\n".encode())
    return held.hexdigest()
