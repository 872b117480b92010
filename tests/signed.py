"""Files of tensors with a right checksum over a wrong content."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from limbeck.tensorfiles import read_description, read_tensors, write_tensors

Change = Callable[[dict[str, Any], dict[str, Tensor]], object]


def rewrite(path: Path, change: Change) -> None:
    """Change the description and the tensors in a file, and sign it anew."""
    form = read_description(path)["format"]
    description, tensors = read_tensors(path, format=form, what="file")
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    change(description, tensors)
    write_tensors(path, tensors, description, format=form)


def rewritten(path: Path, folder: Path, change: Change) -> Path:
    """A copy of the file in another folder, changed and signed."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = Path(shutil.copy(path, folder / path.name))
    rewrite(copy, change)
    return copy
