"""Folders in the official layouts, of tiny or empty files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from limbeck.reid.sets import llcm, regdb, sysu

Sizes = Mapping[tuple[int, int], int]  # (camera, identity) -> pictures


def picture(path: Path, *, empty: bool = False, value: int = 128) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if empty:
        path.touch()
    else:
        Image.new("RGB", (4, 8), (value, 0, 255 - value)).save(path)


def spread(total: int, people: list[int]) -> dict[int, int]:
    """`total` pictures over some people, as even as can be; nobody where there is nothing."""
    share, rest = divmod(total, max(len(people), 1))
    return {identity: share + (place < rest) for place, identity in enumerate(people) if share + (place < rest)}


def official_sysu_sizes() -> tuple[dict[str, list[int]], dict[tuple[int, int], int]]:
    """Identities of each split, and cells that add up to the official counts."""
    edges = np.cumsum([0, *sysu.OFFICIAL_IDENTITIES.values()])
    splits = {
        split: list(range(first + 1, last + 1))
        for split, first, last in zip(sysu.OFFICIAL_IDENTITIES, edges, edges[1:], strict=False)
    }
    cells = {}
    for split, cameras in sysu.OFFICIAL_IMAGES.items():
        for camera, total in cameras.items():
            people = splits[split][-sysu.OFFICIAL_TEST_IDENTITIES[camera] :] if split == "test" else splits[split]
            for identity, count in spread(total, people).items():
                cells[camera, identity] = count
    return splits, cells


def make_sysu(root: Path, splits: Mapping[str, list[int]], sizes: Sizes, *, empty: bool = False) -> None:
    (root / "exp").mkdir(parents=True)
    for split, file in sysu.SPLITS.items():
        (root / "exp" / file).write_text(",".join(map(str, splits[split])) + "\n")
    for camera in sysu.CAMERAS:
        (root / f"cam{camera}").mkdir()
    for (camera, identity), count in sizes.items():
        folder = root / f"cam{camera}" / f"{identity:04d}"
        folder.mkdir(parents=True)
        for number in range(1, count + 1):
            picture(folder / f"{number:04d}.jpg", empty=empty)


def make_permutations(file: Path, sizes: Sizes, identities: int, *, seed: int = 0) -> None:
    """A file like the official `rand_perm_cam.mat`: 6 x 1 cells of identities x 1 cells of (10, pictures)."""
    generator = np.random.default_rng(seed)
    cameras = np.empty((6, 1), object)
    for camera in range(1, 7):
        cells = np.empty((identities, 1), object)
        for identity in range(1, identities + 1):
            count = sizes.get((camera, identity), 0)
            rows = [generator.permutation(count) + 1 for _ in range(10)] if count else []
            cells[identity - 1, 0] = np.array(rows, np.uint16).reshape(len(rows), count)
        cameras[camera - 1, 0] = cells
    savemat(file, {"rand_perm_cam": cameras})


def make_regdb(root: Path, identities: int, images: int, *, empty: bool = False) -> None:
    (root / "idx").mkdir(parents=True)
    paths = {
        (word, identity): [f"{regdb.FOLDERS[word]}/{identity}/{word[0]}{number:02d}.bmp" for number in range(images)]
        for word in regdb.MODALITY_WORDS
        for identity in range(1, identities + 1)
    }
    for names in paths.values():
        for name in names:
            picture(root / name, empty=empty)
    for fold in range(1, 11):
        order = np.random.default_rng(fold).permutation(identities) + 1
        for split, members in (("train", order[: identities // 2]), ("test", order[identities // 2 :])):
            for word in regdb.MODALITY_WORDS:
                lines = [f"{name} {label}" for label, who in enumerate(members) for name in paths[word, int(who)]]
                (root / "idx" / f"{split}_{word}_{fold}.txt").write_text("\n".join(lines) + "\n")


def make_llcm(root: Path, identities: Mapping[str, int], images: Mapping[tuple[str, str], int]) -> None:
    """Empty files; test pictures go to cameras 1, 2, 4 by turns."""
    (root / "idx").mkdir(parents=True)
    train = list(range(1, identities["train"] + 1))
    test = [len(train) + number for number in range(1, identities["test"] + 1)]
    (root / "idx" / "test_id.txt").write_text(",".join(map(str, test)))
    for word in llcm.WORDS:
        lines = []
        for identity, count in spread(images["train", word], train).items():
            for number in range(count):
                name = f"{word}/{identity:04d}/{identity:04d}_c{number % 9 + 1:02d}_s{number}_f1_{word}.jpg"
                picture(root / name, empty=True)
                lines.append(f"{name} {identity - 1}")
        (root / "idx" / f"train_{word}.txt").write_text("\n".join(lines))
        for identity, count in spread(images["test", word], test).items():
            for number in range(count):
                camera = (1, 2, 4)[number % 3]
                picture(root / f"test_{word}" / f"cam{camera}" / f"{identity:04d}" / f"{number:04d}.jpg", empty=True)
