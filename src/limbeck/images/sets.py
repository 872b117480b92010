"""What every set of pictures has: a name, paths, splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError


class PictureSet:
    """The base of sets of pictures, which are frozen dataclasses of their own.

    Attributes:
        name: what to call the set.
        root: the folder that paths are relative to.
        path: (pictures,) with forward slashes.
        splits: name of a split -> positions of its pictures, ascending.
    """

    name: str
    root: Path
    path: tuple[str, ...]
    splits: dict[str, NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.path)

    def split(self, name: str) -> NDArray[np.int64]:
        """Positions of the pictures of a split.

        Raises:
            InputError: there is no such split.
        """
        if name not in self.splits:
            raise InputError(f"{self.name}: there is no split {name!r}; there are {', '.join(self.splits) or 'none'}")
        return self.splits[name]
