"""Pictures of noise for tests."""

from pathlib import Path

import numpy as np
from PIL import Image


def photograph(path: Path, seed: int, size: tuple[int, int] = (12, 20)) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
