"""Chance by key: what is drawn for a step or a picture depends on its place in the training, and on nothing before it.

With a generator that runs along, an exact resume needs the state of every generator in every process. With a key it
needs nothing, and any number of loader processes draws the same.
"""

from __future__ import annotations

import numpy as np
import torch


def generator(*key: int) -> np.random.Generator:
    """A generator that depends on the key alone; other keys give independent ones.

    It costs about a hundredth of a millisecond, so that every picture may have its own.

    Args:
        key: whole numbers from 0 up to 2^64 - 1, such as (seed, epoch, place). Keys of other length are other keys:
            (3,) and (3, 0) draw differently.

    Raises:
        OverflowError: a number is negative or too large.

    Example:
        >>> int(generator(0, 3, 17).integers(100)) == int(generator(0, 3, 17).integers(100))
        True
    """
    # Two words a number, and the length first: SeedSequence alone pads with zeros, so that (3,) would be (3, 0).
    words = np.array((len(key), *key), dtype=np.uint64).view(np.uint32)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Seed torch's own generators for one step, so that dropout and noise depend on (seed, step, rank) alone.

    Args:
        seed: of the training.
        step: steps taken before this one.
        rank: of the process.
    """
    torch.manual_seed(int(generator(seed, step, rank, _STEP).integers(2**63)))


# Last entry of a step's key, so that nobody's own key of three numbers draws what a step draws.
_STEP = 0x5EED
