"""The two modalities in which a person is photographed: their codes in arrays, and their words."""

from __future__ import annotations

from typing import Literal

Modality = Literal["visible", "infrared"]

VISIBLE, INFRARED = 0, 1
MODALITIES: tuple[Modality, Modality] = ("visible", "infrared")
"""The word of each code."""
