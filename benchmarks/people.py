"""Pictures a second: drawing people, decoding them, reading them from the cache."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.table import Table

from limbeck.cores import usable_cores
from limbeck.images.cache import decoded_images
from limbeck.images.decoding import read_image
from limbeck.reid.sets.sysu import load_sysu
from limbeck.synthetic.people import PeopleSettings, make_people

SETTINGS = PeopleSettings(train_identities=60, validation_identities=10, test_identities=30)
SIZE = (288, 144)
Result = TypeVar("Result")


def run() -> Table:
    table = Table(title=f"Pictures of {SETTINGS.height} x {SETTINGS.width} pixels, {usable_cores()} cores")
    for heading in ("what", "pictures", "pictures / s"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for workers in (1, usable_cores()):
            start = time.perf_counter()
            made = make_people(folder / f"made{workers}", SETTINGS, workers=workers)
            seconds = time.perf_counter() - start
            table.add_row(f"drawn by {workers} processes, written as JPEG", *_rate(made.images, seconds))
        people = load_sysu(folder / "made1")
        _, seconds = _timed(lambda: [read_image(people.root / path, SIZE) for path in people.path])
        table.add_row(f"decoded and resized to {SIZE[0]} x {SIZE[1]}, one by one", *_rate(len(people), seconds))
        held, seconds = _timed(lambda: decoded_images(people.root, people.path, folder / "cache", size=SIZE))
        table.add_row("the same into the cache, cold", *_rate(len(held.images), seconds))
        order = np.random.default_rng(0).permutation(len(held.images))

        def read_all() -> None:
            again = decoded_images(people.root, people.path, folder / "cache", size=SIZE)
            for start in range(0, len(order), 64):
                np.ascontiguousarray(again.images[order[start : start + 64]])

        _, seconds = _timed(read_all)
        table.add_row("read from the cache in batches of 64, random order", *_rate(len(people), seconds))
    return table


def _rate(pictures: int, seconds: float) -> tuple[str, str]:
    return str(pictures), f"{pictures / seconds:,.0f}"


def _timed(function: Callable[[], Result]) -> tuple[Result, float]:
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start
