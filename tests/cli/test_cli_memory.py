"""What every verb that reads data takes of memory, in times of the data: the peak of a process is measured.

SECURITY.md states these bounds. The process does each verb on a small file first, so that imports and compiled code are
there, and the peak is counted anew.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
MEBIBYTE = 2**20
# Beside the data: blocks of similarities, reports, what libraries set aside.
CONSTANT = 48 * MEBIBYTE
LARGE, SMALL = (2000, 4000), (80, 8)

# Verb -> the file it is given, and how many times the data it may take.
VERBS: dict[str, tuple[str, float]] = {
    "evaluate table": ("table.csv", 4),
    "data convert table": ("views.csv", 10),
    "data convert": ("views.npz", 2),
    "data describe": ("views.npz", 3),
    "data check": ("views.npz", 3),
    "evaluate": ("features.npz", 3),
    "evaluate --similarity euclidean": ("features.npz", 5),
    "search": ("features.npz", 3),
    "project": ("features.npz", 2),
    "diagnose": ("pairs.npz", 6),
    "train multiview": ("quarter.npz", 6),
    "predict": ("quarter.npz", 4),
}


def write(folder: Path, samples: int, columns: int) -> None:
    """The files of one size."""
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, samples, columns)).astype(np.float32)
    people = np.arange(samples) % 4
    np.savez(folder / "features.npz", feature=first, identity=people)
    codes = np.stack([np.arange(samples) // 4 % 3] * 2)
    views = {"view_0": first, "view_1": second, "view_names": np.array(["a", "b"])}
    np.savez(folder / "views.npz", **views, y=people, splits=codes)
    rows, wide = slice(samples // 2), columns // 2  # for what takes its time
    less = {"view_0": first[rows, :wide], "view_1": second[rows, :wide], "view_names": views["view_names"]}
    np.savez(folder / "quarter.npz", **less, y=people[rows], splits=codes[:, rows])
    np.savez(folder / "pairs.npz", z_0=first[rows, :wide], z_1=second[rows, :wide], y=people[rows])
    few = first[:, : columns // 4]
    for name, label, column in (("table.csv", "pid", "f"), ("views.csv", "label", "v:")):
        header = ",".join([label, *(f"{column}{place}" for place in range(few.shape[1]))])
        np.savetxt(folder / name, np.column_stack([people, few]), "%.6g", ",", header=header, comments="")


def words(verb: str, file: Path, out: Path) -> list[str]:
    given = str(file)
    return {
        "evaluate table": ["evaluate", given, "--protocol", "leave-one-out"],
        "data convert table": ["data", "convert", given, str(out / "made.npz")],
        "data convert": ["data", "convert", given, str(out / "made.npz")],
        "data describe": ["data", "describe", given],
        "data check": ["data", "check", given],
        "train multiview": ["train", "multiview", "--data", given, "--out", str(out / "run"), "--epochs", "1"],
        "predict": ["predict", str(out / "run"), given, "--out", str(out / "answers.csv")],
        "evaluate": ["evaluate", given, "--protocol", "leave-one-out"],
        "evaluate --similarity euclidean": [
            *("evaluate", given, "--protocol", "leave-one-out", "--similarity", "euclidean")
        ],
        "search": ["search", given, "--queries", given, "--top", "1"],
        "project": ["project", given, "--out", str(out / "plane"), "--items", "40"],
        "diagnose": ["diagnose", given],
    }[verb]


def measure() -> None:
    """Print a line of JSON for each verb: bytes of the data, and bytes above the beginning at the peak."""
    from limbeck.cli import main

    with tempfile.TemporaryDirectory() as home:
        folders = {}
        for name, size in (("small", SMALL), ("large", LARGE)):
            folders[name] = Path(home) / name
            folders[name].mkdir()
            write(folders[name], *size)
        for verb, (file, _) in VERBS.items():
            for folder in folders.values():
                Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
                before = resident("VmRSS")
                with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
                    main(words(verb, folder / file, folder))
            size = (folders["large"] / file).stat().st_size
            sys.stdout.write(json.dumps([verb, size, resident("VmHWM") - before]) + "\n")
            sys.stdout.flush()


def resident(name: str) -> int:
    """Bytes of the process by the kernel's count: VmRSS now, VmHWM at the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux counts the peak of a process anew")
def test_every_verb_stays_within_its_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tests.cli.test_cli_memory import measure; measure()"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    )
    assert "error" not in done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [verb for verb, *_ in found] == list(VERBS)
    too_much = {
        verb: f"{peak / MEBIBYTE:.0f} MiB for {size / MEBIBYTE:.0f}"
        for verb, size, peak in found
        if peak > VERBS[verb][1] * size + CONSTANT
    }
    assert not too_much
