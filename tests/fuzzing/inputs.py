"""Small valid inputs of every reader, and commands over them that end well: what a case changes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import chdir, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

SCALARS = "--recipe.epochs 2 --recipe.encoder [6] --recipe.representation 3 --recipe.batch_size 16"


@dataclass(frozen=True)
class Command:
    """A command that ends well.

    Attributes:
        words: behind `limbeck`; files are named relative to the folder of the inputs, where it runs.
        inputs: files and folders that it needs.
        weight: how often it is drawn, beside the others; trainings and studies take seconds, readers a fraction of one.
        verb: how many of the words are the verb.
        changes: a file or folder among the inputs that it continues.
    """

    words: str
    inputs: tuple[str, ...] = ()
    weight: float = 1.0
    verb: int = 1
    continued: str = ""

    @property
    def name(self) -> str:
        return " ".join(self.words.split()[: self.verb])


def commands() -> tuple[Command, ...]:
    """All of them."""
    return tuple(_commands())


def _commands() -> Iterator[Command]:
    features = ("features.npz", "features.mat", "features.pt", "features.csv", "features.tsv")
    for file in features:
        yield Command(f"evaluate {file} --protocol leave-one-out", (file,), 2)
        yield Command(f"search {file} --queries {file} --keys feature=feature --top 3", (file,))
        yield Command(f"search {file} --queries {file} --top 3 --out found --shown 2", (file,), 0.5)
    yield Command(
        "evaluate features.npy --labels labels.csv --protocol leave-one-out", ("features.npy", "labels.csv"), 2
    )
    yield Command(
        "evaluate gallery.npz --queries features.npz --protocol market --out report",
        ("gallery.npz", "features.npz"),
    )
    yield Command("evaluate features.npz --protocol sysu-all-single --per_query q.csv --rerank true", ("features.npz",))
    yield Command("evaluate features.npz --protocol sysu-all --permutations perm.mat", ("features.npz", "perm.mat"))
    yield Command("evaluate features.npz --protocol market", ("features.npz",))
    yield Command("project features.csv --out plane --items 12", ("features.csv",), 0.5)
    yield Command("project features.npz --out plane --items 12", ("features.npz",), 0.5)
    yield Command("diagnose pairs.npz --probe_folds 2", ("pairs.npz",))
    yield Command("diagnose features.mat --probe_folds 2", ("features.mat",))
    yield Command(
        "diagnose features.npy --labels labels.csv --probe_folds 2 --out report", ("features.npy", "labels.csv"), 0.3
    )
    yield Command("diagnose views.npz --probe_folds 2", ("views.npz",))
    yield Command("completion bash", (), 0.2)
    for file in ("views.npz", "sparse.npz"):
        yield Command(f"data check {file}", (file,), 2, 2)
        yield Command(f"data describe {file}", (file,), 2, 2)
    for file in ("views.npz", "views.mat", "sparse.npz", "table.csv"):
        yield Command(f"data convert {file} --out made.npz", (file,), 2, 2)
    yield Command(
        "data convert sound.csv sight.tsv --labels y.csv --index sample --out made.npz",
        ("sound.csv", "sight.tsv", "y.csv"),
        2,
        2,
    )
    yield Command("data list", (), 0.2, 2)
    yield Command("data download handwritten there", (), 0.2, 2)
    for place in ("sysu people", "regdb regdb", "csv own/people.csv", "folder unnamed", "llcm llcm"):
        root = place.split()[1].split("/")[0]
        yield Command(f"data describe {place}", (root,), 1, 2)
        yield Command(f"data check {place}", (root,), 1, 2)
    for place in ("class-folder photographs", "class-npz photographs.npz", "class-csv photographs/table.csv"):
        root = place.split()[1].split("/")[0]
        yield Command(f"data describe {place}", (root,), 1, 2)
        yield Command(f"data check {place}", (root,), 1, 2)
    for place in ("semantickitti streets", "scans-packed packed"):
        root = place.split()[1]
        yield Command(f"data describe {place}", (root,), 1, 2)
        yield Command(f"data check {place}", (root,), 1, 2)
    yield Command("segmentation pack semantickitti streets repacked --size 16", ("streets",), 1, 2)
    yield Command("metric pack photographs packed.npz --size 8", ("photographs",), 1, 2)
    yield Command("metric pack photographs.zip packed.npz --size 8", ("photographs.zip",), 1, 2)
    yield Command(
        "data make people made --train_identities 1 --validation_identities 0 --test_identities 1 "
        "--images_per_camera 1 --height 16 --width 16 --workers 1 --difficulty easy",
        (),
        0.3,
        3,
    )
    yield Command(
        "data make streets made --scenes 3 --frames 1 --beams 8 --azimuths 40 --width 40 --height 32 --workers 1",
        (),
        0.3,
        3,
    )
    yield Command(
        "train multiview --config multiview.yaml --data views.npz --out new", ("multiview.yaml", "views.npz"), 1, 2
    )
    yield Command(
        "train multiview --config multiview.yaml --data table.csv --out new", ("multiview.yaml", "table.csv"), 1, 2
    )
    yield Command("predict multiview-run views.npz --out answers.csv", ("multiview-run", "views.npz"), 2)
    yield Command(
        "predict multiview-run sound.csv sight.tsv --index sample --join outer --out answers.csv",
        ("multiview-run", "sound.csv", "sight.tsv"),
        1,
    )
    yield Command("evaluate multiview-run --data views.npz", ("multiview-run", "views.npz"), 2)
    yield Command("diagnose multiview-run --data views.npz --probe_folds 2", ("multiview-run", "views.npz"))
    tasks = {
        "reid": ("people", "sysu-all-single"),
        "metric": ("photographs.npz", "leave-one-out"),
        "reid-unsupervised": ("people", "sysu-all-single"),
        "segmentation": ("streets", "all"),
    }
    for task, (data, protocol) in tasks.items():
        run = f"{task}-run"
        yield Command(f"train {task} --config {task}.yaml --out new", (f"{task}.yaml", data), 0.7, 2)
        yield Command(
            f"train {task} --config {task}.yaml --out {task}-begun",
            (f"{task}.yaml", data, f"{task}-begun"),
            0.5,
            2,
            f"{task}-begun",
        )
        yield Command(f"evaluate {run} --data {data} --protocol {protocol}", (run, data), 0.2)
        split = "all" if task == "segmentation" else "test"
        yield Command(f"diagnose {run} --data {data} --probe_folds 2 --split {split}", (run, data), 0.5)
        if task != "segmentation":
            yield Command(f"export {run} --torch --out exported", (run,), 0.15)
    yield Command(
        "metric embed --model metric-run --data photographs.npz --out e.npz", ("metric-run", "photographs.npz"), 1, 2
    )
    yield Command("reid rank --model reid-run --query unnamed/visible --gallery unnamed", ("reid-run", "unnamed"), 1, 2)
    for command in _studies():
        yield command
        if command.name in RESUMED:
            yield _resumed(command)


RESUMED = tuple(
    f"study {name}"
    for name in (
        "estimators",
        "multiview-peers",
        "multiview-theory",
        "reid-ablation",
        "segmentation",
        "losses",
        "unsupervised",
    )
)
"""Studies that keep what was done of them, and go on in their folder."""


def _resumed(study: Command) -> Command:
    """The same study in a folder where it has ended."""
    folder = f"{study.name.split()[1]}-study"
    words = study.words.replace("--out study", f"--out {folder}")
    return Command(words, (*study.inputs, folder), 0.2, 2, folder)


def _studies() -> Iterator[Command]:
    def study(name: str, words: str, *inputs: str, weight: float = 0.15) -> Command:
        return Command(f"study {name} --out study {words}", inputs, weight, 2)

    views = "--data views.npz --folds 1"
    reid = (
        "--recipe.data.height 32 --recipe.data.width 16 --recipe.data.identities 2 --recipe.data.pictures 2 "
        "--recipe.data.steps_per_epoch 1 --recipe.training.epochs 1 --recipe.training.warmup_epochs 0 "
        "--recipe.network.hidden [4] --recipe.network.representation 3 "
    )
    people = (
        "--people.train_identities 4 --people.validation_identities 0 --people.test_identities 4 "
        "--people.images_per_camera 2 --people.height 32 --people.width 16 "
    )
    yield study("estimators", "--samples 200 --seeds 1 --estimators [ksg,linear] --tasks [normal]", weight=0.3)
    yield study("multiview-ablation", f"{views} {SCALARS} --rows [E,E+B] --baselines [logistic]", "views.npz")
    yield study(
        "multiview-peers", f"{views} {SCALARS} --peers [limbeck-one-network,logistic] --missing [test]", "views.npz"
    )
    yield study("multiview-theory", f"{views} {SCALARS} --rows [E+B] --diagnosed_folds 1 --probe_folds 2", "views.npz")
    yield study("diagnosis", f"--data [views.npz] --folds 1 {SCALARS} --rows [E+B] --probe_folds 2", "views.npz")
    yield study(
        "fitting", f"--data [views.npz] --folds 1 {SCALARS} --widths [3] --measured [1] --probe_folds 2", "views.npz"
    )
    yield study("reid-ablation", f"--rows [E] --seeds [1] {reid}{people}", weight=0.1)
    yield study("reid-cost", f"--classes 2 --repeats 1 --recipe.network.encoder small {reid}", weight=0.1)
    yield Command("study factors reid-run --out study --data people --probe_folds 2", ("reid-run", "people"), 0.05, 2)
    yield study(
        "segmentation",
        "--rows [lidar] --seeds [1] --recipe.training.epochs 1 --recipe.data.steps_per_epoch 1 --recipe.data.batch 1 "
        "--streets.scenes 3 --streets.frames 1 --streets.beams 8 --streets.azimuths 64 --streets.width 40 "
        "--streets.height 40",
        weight=0.1,
    )
    yield study(
        "losses",
        "--data photographs.npz --sets [photographs] --losses [cross-entropy] --seeds [1] --grid small "
        "--distillation false --recipe.network.embedding 4 --recipe.sampler.batch 4 --recipe.sampler.pictures 2 "
        "--recipe.sampler.steps_per_epoch 1 --recipe.training.epochs 1 --recipe.training.warmup_steps 0 "
        "--photographs.leave_out [] --photographs.validation_classes 4 --photographs.most 5 --photographs.side 16",
        "photographs.npz",
        weight=0.05,
    )
    yield study("unsupervised", f"--rows [untrained] --overlaps [full] --seeds [1] {reid}{people}", weight=0.1)


# -- how they are made ------------------------------------------------------------------------------------------------


def make(folder: Path) -> None:
    """Write all inputs into a folder. Trainings run backward, so it is for a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with chdir(folder):
        _features(rng)
        _views(rng)
        _pictures(rng)
        _scans()
        _runs()
        _ended_studies()


def _features(rng: np.random.Generator) -> None:
    import scipy.io
    import torch

    count = 24
    who = np.arange(count) % 4
    camera = np.arange(count) // 4 % 6 + 1
    held: dict[str, Any] = {
        "feature": (np.eye(4, 5)[who] + 0.1 * rng.normal(size=(count, 5))).astype(np.float32),
        "identity": who,
        "camera": camera,
        "modality": np.where(np.isin(camera, (3, 6)), "infrared", "visible"),
        "path": np.array([f"{place}.png" for place in range(count)]),
    }
    np.savez("features.npz", **held)
    np.savez("gallery.npz", **held)
    np.save("features.npy", held["feature"])
    scipy.io.savemat("features.mat", held)
    torch.save({name: torch.as_tensor(value) for name, value in held.items() if value.dtype.kind != "U"}, "features.pt")
    header = [*(f"feature_{place}" for place in range(5)), "identity", "camera", "modality", "path"]
    rows = [[*map(float, held["feature"][i]), *(held[name][i] for name in header[5:])] for i in range(count)]
    for name, mark in (("features.csv", ","), ("features.tsv", "\t")):
        _table(Path(name), [header, *rows], mark)
    _table(Path("labels.csv"), [header[5:], *(row[5:] for row in rows)])
    cells = np.empty((6, 1), object)
    for place in range(6):
        inner = np.empty((4, 1), object)
        for person in range(4):
            inner[person, 0] = np.ones((10, 1), np.uint16)
        cells[place, 0] = inner
    scipy.io.savemat("perm.mat", {"rand_perm_cam": cells})
    pairs = {f"{word}_{place}": rng.normal(size=(40, 3)) for word in "vz" for place in range(2)}
    np.savez("pairs.npz", y=np.arange(40) % 2, **pairs)


def _views(rng: np.random.Generator) -> None:
    import scipy.io
    from scipy import sparse

    from limbeck.multiview.data import assemble, save

    labels = np.arange(60) % 3
    views = {
        name: np.eye(3)[labels] @ rng.normal(size=(3, width)) + 0.3 * rng.normal(size=(60, width))
        for name, width in (("sound", 4), ("sight", 3))
    }
    codes = np.array([([0] * 6 + [1, 2, 2, 1]) * 6], np.int8)
    save(assemble("animals", views, labels, class_names=("ant", "bee", "cat"), folds=codes), "views.npz")
    thin = {name: sparse.csr_array(np.where(view > 0, view, 0)) for name, view in views.items()}
    save(assemble("thin", thin, labels, class_names=("ant", "bee", "cat"), folds=codes), "sparse.npz")
    cells = np.empty((1, 2), object)
    cells[0, :] = list(views.values())
    scipy.io.savemat("views.mat", {"X": cells, "Y": labels[:, None] + 1})
    names = [f"s{place}" for place in range(60)]
    table = [["label", *(f"{name}:{place}" for name, view in views.items() for place in range(view.shape[1]))]]
    table += [
        [["ant", "bee", "cat"][label], *map(float, np.hstack(list(views.values()))[i])]
        for i, label in enumerate(labels)
    ]
    _table(Path("table.csv"), table)
    for name, view, mark in (("sound.csv", "sound", ","), ("sight.tsv", "sight", "\t")):
        width = views[view].shape[1]
        rows = [[names[i], *map(float, views[view][i])] for i in range(60)]
        _table(Path(name), [["sample", *(f"c{place}" for place in range(width))], *rows], mark)
    _table(
        Path("y.csv"), [["sample", "label"], *([name, f"k{label}"] for name, label in zip(names, labels, strict=True))]
    )


def _table(file: Path, rows: list[list[Any]], mark: str = ",") -> None:
    file.write_text("".join(mark.join(map(str, row)) + "\n" for row in rows))


def _pictures(rng: np.random.Generator) -> None:
    import zipfile

    from PIL import Image
    from tests.metric.metric_photographs import make_photographs
    from tests.reid.sets.folders import make_llcm, make_regdb
    from tests.small import PEOPLE

    from limbeck.synthetic.people import make_people

    make_people(Path("people"), replace(PEOPLE, validation_identities=2), workers=1)
    make_regdb(Path("regdb"), 4, 2)
    make_llcm(
        Path("llcm"),
        {"train": 2, "test": 2},
        {(split, word): 4 for word in ("vis", "nir") for split in ("train", "test")},
    )
    for file in Path("llcm").rglob("*.jpg"):
        Image.new("RGB", (4, 8), (90, 60, 30)).save(file)
    make_photographs(Path("photographs.npz"))
    table = [["path", "label", "split"]]
    for kind in range(4):
        for number in range(3):
            file = Path("photographs") / f"kind{kind}" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)).save(file)
            table.append([f"kind{kind}/{number}.png", f"kind{kind}", "train" if kind < 2 else "test"])
    _table(Path("photographs/table.csv"), table)
    with zipfile.ZipFile("photographs.zip", "w") as packed:
        for file in sorted(Path("photographs").rglob("*.png")):
            packed.write(file, str(file.relative_to("photographs")))
    rows = [["path", "identity", "modality", "camera"]]
    for person in range(3):
        for camera, modality in ((1, "visible"), (2, "infrared"), (3, "infrared")):
            file = Path("own") / f"{person}-{camera}.jpg"
            file.parent.mkdir(exist_ok=True)
            Image.new("RGB", (8, 16), (30 * person, 60 * camera, 9)).save(file)
            rows.append([file.name, str(person), modality, str(camera)])
    _table(Path("own/people.csv"), rows)
    for modality in ("visible", "infrared"):
        for number in range(3):
            file = Path("unnamed") / modality / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 16), (30 * number, 60, 9)).save(file)


def _scans() -> None:
    from limbeck.segmentation.packed import pack_scans
    from limbeck.segmentation.sets import load_scans
    from limbeck.synthetic.streets import StreetSettings, make_streets

    small = StreetSettings(scenes=3, frames=1, beams=8, azimuths=40, width=48, height=32, night=0.0)
    make_streets(Path("streets"), small, "semantickitti", workers=1)
    pack_scans(load_scans("semantickitti", Path("streets")), Path("packed"))


class _BrokenOff(BaseException):
    """A training that is killed."""


def _runs() -> None:
    """A finished training of every task, one that broke off, and the recipes."""
    import pytest
    import yaml
    from tests.metric.metric_photographs import recipe as metric
    from tests.reid.unsupervised.unsupervised_processes import recipe as unsupervised
    from tests.segmentation.segmentation_small import recipe as segmentation
    from tests.small import recipe as reid

    from limbeck.cli import main
    from limbeck.training import checkpoints

    multiview = {"recipe": {"epochs": 2, "encoder": [6], "representation": 3, "batch_size": 16}}
    write = checkpoints.write

    def _write_and_break_off(*given: Any, **named: Any) -> None:
        write(*given, **named)
        raise _BrokenOff

    Path("multiview.yaml").write_text(yaml.safe_dump(multiview))
    main(["train", "multiview", "--config", "multiview.yaml", "--data", "views.npz", "--out", "multiview-run"])
    scans = {"set": "semantickitti", "height": 34, "width": 40, "most": 100, "batch": 1}
    made: dict[str, Any] = {
        "reid": reid(Path("people")),
        "reid-unsupervised": unsupervised(Path("people")),
        "metric": metric(Path("photographs.npz")),
        "segmentation": segmentation(Path("streets"), data=scans),
    }
    for task, recipe in made.items():
        plain = recipe.to_dict()
        plain["training"] |= {"epochs": 1}
        if "steps_per_epoch" in plain["data"]:
            plain["data"]["steps_per_epoch"] = 2
        Path(f"{task}.yaml").write_text(yaml.safe_dump(plain))
        words = ["train", task, "--config", f"{task}.yaml", "--out"]
        main([*words, f"{task}-run"])
        shutil.rmtree(f"{task}-run/checkpoints")
        with pytest.MonkeyPatch.context() as patch, suppress(_BrokenOff):
            patch.setattr(checkpoints, "write", _write_and_break_off)
            main([*words, f"{task}-begun"])


def _ended_studies() -> None:
    from limbeck.cli import main

    for study in _studies():
        if study.name in RESUMED:
            main(_resumed(study).words.split())
