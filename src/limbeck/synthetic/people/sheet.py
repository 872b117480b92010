"""A contact sheet: a row for each person, a column for each picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from limbeck.synthetic.people.layouts import CAMERAS, Shot
from limbeck.synthetic.people.make import scenario
from limbeck.synthetic.people.render import render
from limbeck.synthetic.people.settings import PeopleSettings

_GAP, _PAPER = 3, 255
_COLUMNS = ((1, 1), (2, 1), (4, 1), (5, 1), (3, 1), (3, 2), (6, 1), (6, 2))


def sheet(
    settings: PeopleSettings, identities: Sequence[int], columns: Sequence[tuple[int, int]] = _COLUMNS
) -> NDArray[np.uint8]:
    """Pictures of several people side by side, as the layout `sysu` has them.

    Args:
        settings: seed, size and difficulty of the pictures.
        identities: the rows.
        columns: (camera, index) of each; default: one picture of each visible camera, two of each infrared one.

    Returns:
        `(rows, columns, 3)` pixels, `pictures + 3` apart, on white.
    """
    tall, wide = settings.height + _GAP, settings.width + _GAP
    page = np.full((tall * len(identities) + _GAP, wide * len(columns) + _GAP, 3), _PAPER, np.uint8)
    for down, identity in enumerate(identities):
        for right, (camera, index) in enumerate(columns):
            shot = Shot("", identity, camera, index, CAMERAS["sysu"][camera])
            shown = scenario(settings, shot)
            top, left = _GAP + down * tall, _GAP + right * wide
            page[top : top + settings.height, left : left + settings.width] = render(
                shown.person, shown.camera, shown.picture, shot.modality, settings.height, settings.width
            )
    return page
