"""The pictures of a folder."""

from __future__ import annotations

from pathlib import Path

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})


def listed(folder: Path) -> list[Path]:
    """The pictures of a folder, by name; other files are left out, as `strays` reports them."""
    return sorted(file for file in folder.iterdir() if is_picture(file))


def strays(folder: Path) -> list[Path]:
    """What lies in a folder of pictures and is none."""
    return sorted(file for file in folder.iterdir() if not is_picture(file))


def is_picture(file: Path) -> bool:
    """Whether a file is named like a picture; one whose name begins with a dot, as `._photo.jpg` of macOS, is not."""
    return file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
