"""In-Shop Clothes Retrieval (DeepFashion): items to learn from, and queries that search a gallery of other items.

Layout: `list_eval_partition.txt` (in the folder or in its `Eval/` or `Anno/`), a line with the number of pictures, a
line of heading, and then lines "<path> <item> <train, query or gallery>"; the paths begin with `img/`, the pictures of
256 x 256 pixels (in the folder or in its `Img/`). Those of `img_highres/` are others, with figures of their own.

Source: Liu et al. 2016.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from limbeck.errors import InputError
from limbeck.files import is_number, read_text
from limbeck.metric.dataset import MetricDataset, miscounted
from limbeck.metric.lists import words_of
from limbeck.metric.sets import MetricSet

LIST = "list_eval_partition.txt"
STATUS = ("train", "query", "gallery")
OFFICIAL = {"train": (3997, 25882), "test, queries": (3985, 14218), "test, gallery": (3985, 12612)}


def load_inshop(root: Path) -> MetricDataset:
    """Read the list; the splits are "train" and "test", whose queries are marked.

    Raises:
        InputError: the list is missing or damaged, or holds more or fewer pictures than its first line says.
    """
    file = next((root / folder / LIST for folder in (".", "Eval", "Anno") if (root / folder / LIST).is_file()), None)
    if file is None:
        raise InputError(f"{root}: holds no {LIST}, nor its Eval/ or Anno/; give the folder of the set")
    paths: list[str] = []
    labels: list[int] = []
    status: list[int] = []
    example = "img/WOMEN/Dresses/id_00000002/02_1_front.jpg id_00000002 train"
    for path, item, word in words_of(file, 3, example, skip=2):
        if not is_number(item.removeprefix("id_")) or word not in STATUS:
            raise InputError(f"{file}: a line must be like {example!r}, not {f'{path} {item} {word}'!r}")
        paths.append(path)
        labels.append(int(item.removeprefix("id_")) - 1)
        status.append(STATUS.index(word))
    said = read_text(file).split(maxsplit=1)[0]
    if said != str(len(paths)):
        raise InputError(f"{file}: says that it lists {said} pictures, but lists {len(paths)}")
    kind, inside = np.array(status), "" if (root / "img").is_dir() or not (root / "Img").is_dir() else "Img/"
    shown = np.array([not path.rpartition("/")[2].startswith(".") for path in paths], np.bool_)
    return MetricDataset(
        "inshop",
        root,
        tuple(f"{inside}{path}" for path in paths),
        np.array(labels, np.int64),
        {"train": np.flatnonzero(shown & (kind == 0)), "test": np.flatnonzero(shown & (kind > 0))},
        query=kind == 1,
    )


SET = MetricSet(
    "inshop",
    "In-Shop Clothes: 25,882 images of 3,997 items to learn from; 14,218 queries, a gallery of 12,612, of 3,985 others",
    load=load_inshop,
    check=lambda photographs: miscounted(photographs, OFFICIAL),
    protocol="inshop",
)
