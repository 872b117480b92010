"""Training without labels: which share of the time is spent outside gradient steps, with new clusters every epoch."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from rich.box import SIMPLE
from rich.table import Table

from limbeck.reid.sets.sysu import load_sysu
from limbeck.reid.train import train_run
from limbeck.reporting.console import quiet
from limbeck.studies.unsupervised.run import small_unsupervised_recipe
from limbeck.synthetic.people import PeopleSettings, make_people

_EPOCHS = 8
_PEOPLE = 83  # of 24 pictures each


def run() -> Table:
    """Seconds of the shipped small recipe on 2,000 pictures: the whole training, and its steps."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        people = PeopleSettings(
            train_identities=_PEOPLE, validation_identities=0, test_identities=1, difficulty="easy", absent=0.0
        )
        with quiet():
            make_people(place / "people", people, "sysu")
            recipe = small_unsupervised_recipe()
            data = replace(recipe.data, root=str(place / "people"), cache=str(place / "pictures"), splits=("train",))
            training = replace(recipe.training, warmup_epochs=1)
            # The first training compiles what is compiled, and decodes the pictures.
            for folder, epochs in (("first", 1), ("second", _EPOCHS)):
                asked = replace(recipe, data=data, training=replace(training, epochs=epochs))
                started = time.perf_counter()
                train_run(asked, place / folder)
                whole = time.perf_counter() - started
        lines = (place / "second" / "log.jsonl").read_text().splitlines()
        steps = sum(json.loads(line).get("seconds", 0.0) for line in lines)
        pictures = len(load_sysu(place / "people").split("train"))
    table = Table(title=f"training without labels, {pictures} pictures, {_EPOCHS} epochs of 50 steps", box=SIMPLE)
    for heading in ("seconds of the training", "of its steps", "share outside steps"):
        table.add_column(heading, justify="right")
    table.add_row(f"{whole:.1f}", f"{steps:.1f}", f"{1 - steps / whole:.1%}")
    return table
