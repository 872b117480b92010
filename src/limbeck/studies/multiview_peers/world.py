"""The samples that classifiers are compared on: a set of views, or drawn counts of words whose law is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from limbeck.multiview.data import MultiViewData, assemble, digest, load
from limbeck.multiview.folds import stored_or_drawn
from limbeck.multiview.views import Views, read_views
from limbeck.studies.multiview_peers.counts import Counts, CountSettings, draw_counts, view_name

DRAWN = "sparse-counts"


@dataclass(frozen=True, eq=False)
class World:
    """The samples of a study.

    Attributes:
        data: the set.
        views: its views.
        folds: `(folds, samples)` as `MultiViewData.folds`.
        law: where it is known.
        digest: of views, labels and folds.
    """

    data: MultiViewData
    views: Views
    folds: NDArray[np.int8]
    law: Counts | None
    digest: str


@lru_cache(maxsize=1)
def read_world(source: str, folds: int, seed: int, law: CountSettings) -> World:
    """Read a set, or draw one; a process does it once.

    Args:
        source: an NPZ file, the name of an embedded set, or "sparse-counts".
        folds: 0: those stored with the data (five 70/20/10 ones where there are none); k: k drawn the same way.
        seed: of drawn folds and counts.
        law: of "sparse-counts".

    Raises:
        InputError: the set cannot be read, or it has no such folds.
    """
    counts = None
    if source == DRAWN:
        counts = draw_counts(law, seed)
        views = {view_name(number): matrix for number, matrix in enumerate(counts.views)}
        data = assemble(DRAWN, views, counts.labels)
    else:
        data = load(source)
    codes = stored_or_drawn(data, folds, seed)
    return World(data, read_views(data.views), codes, counts, digest(data, codes))
