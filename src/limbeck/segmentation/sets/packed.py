"""Any set of scans, packed by `limbeck segmentation pack` so that it is read fast."""

from __future__ import annotations

from limbeck.segmentation.packed import load_packed
from limbeck.segmentation.sets import SegmentationSet

SET = SegmentationSet(
    "scans-packed",
    "any set of scans as `limbeck segmentation pack` writes it, which is read fast",
    load=load_packed,
    check=None,
)
