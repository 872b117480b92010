"""What somebody else's distribution adds to the command: a task, a study, a set of people, a verb."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limbeck.files import MODEL, write_text
from limbeck.information.arguments import add_diagnosis_arguments, diagnosis
from limbeck.information.diagnosis import ViewFeatures
from limbeck.modalities import INFRARED, VISIBLE
from limbeck.registry import Invocation, Job, Study, Task, Verb
from limbeck.reid.dataset import Picture, ReidDataset, assemble
from limbeck.reid.sets import ReidSet
from limbeck.tensorfiles import read_tensors, write_tensors

FORMAT_NAME = "toy-1"


# -- a task -----------------------------------------------------------------------------------------------------------


def train_arguments(parser: Any) -> None:
    parser.add_argument("--out", type=str, required=True, help="the run's folder")
    parser.add_argument("--seed", type=int, default=0, help="of the throws")


def train(call: Invocation) -> Iterator[str]:
    throws = np.random.default_rng(call.seed).integers(1, 7, size=1000)
    mean = torch.tensor(throws.mean())
    write_tensors(Path(call.out) / MODEL, {"mean": mean}, {"seed": call.seed}, format=FORMAT_NAME)
    yield f"Written: {Path(call.out) / MODEL}"


def evaluate(call: Invocation) -> Iterator[str]:
    for run in call.inputs:
        held, tensors = read_tensors(Path(run) / MODEL, format=FORMAT_NAME, what="toy model")
        yield f"toy of seed {held['seed']}: mean {tensors['mean'].item():.2f}"


def diagnose(call: Invocation) -> Iterator[str]:
    y = np.arange(100) % 2
    return diagnosis(call, ViewFeatures.from_arrays([y[:, None] + 0.1 * np.sin(np.arange(100))[:, None]], y))


TASK = Task(
    "toy",
    "train a toy",
    FORMAT_NAME,
    train=Job(train, train_arguments),
    verbs={"evaluate": Job(evaluate), "diagnose": Job(diagnose, add_diagnosis_arguments)},
)


# -- a study ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DiceSettings:
    """How many throws.

    Attributes:
        sides: of the die.
        throws: how many.
        seed: of the throws.
    """

    sides: int = 6
    throws: int = 100
    seed: int = 0


@dataclass(frozen=True)
class Dice:
    settings: DiceSettings
    mean: float


def run(settings: DiceSettings, folder: Path) -> Dice:
    assert (folder / "settings.yaml").is_file()
    throws = np.random.default_rng(settings.seed).integers(1, settings.sides + 1, size=settings.throws)
    return Dice(settings, float(throws.mean()))


def format_report(dice: Dice) -> str:
    return f"{dice.settings.throws} throws of {dice.settings.sides} sides: {dice.mean:.2f}"


def write_report(dice: Dice, folder: Path) -> list[Path]:
    write_text(folder / "dice.txt", format_report(dice))
    return [folder / "dice.txt"]


STUDY = Study("dice", "throw dice", DiceSettings, run, format_report, write_report)


# -- a set of people: one folder per person, whose name says who it is -------------------------------------------------


def load(root: Path, fold: int) -> ReidDataset:
    assert fold == 1
    splits: dict[str, list[Picture]] = {"train": [], "test": []}
    for file in sorted(root.glob("*/*.png")):
        who, modality = int(file.parent.name), VISIBLE if file.name.startswith("v") else INFRARED
        picture = Picture(file.relative_to(root).as_posix(), who, 1 + modality, modality)
        splits["train" if who < 4 else "test"].append(picture)
    return assemble("toyset", root, splits)


def check(people: ReidDataset) -> list[str]:
    return [] if len(people) == 32 else [f"{len(people)} pictures, expected 32"]


SET = ReidSet("toyset", "Toy set: eight people", load, check, protocol="cross-i2v")


# -- a verb -----------------------------------------------------------------------------------------------------------


def greet(call: Invocation) -> Iterator[str]:
    del call
    yield "hello"


VERB = Verb("toy greet", "say hello", Job(greet))
