"""The fuzzer sees what is wrong, says the same twice, and finds nothing in 500 cases nor in what it found before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fuzzing.changes import FUNCTIONS
from tests.fuzzing.drawing import Case, draw, smaller
from tests.fuzzing.findings import CORPUS, _told, read, write
from tests.fuzzing.harmful import WAYS
from tests.fuzzing.inputs import commands
from tests.fuzzing.running import Outcome

from limbeck.cli.verbs import known

ROOT = Path(__file__).resolve().parents[2]
SHARDS, EACH = 5, 100
PATIENCE = 240  # seconds: what hangs takes them, what waits for a busy machine does not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(sys.platform != "linux", reason="processes are forked, and looked at in /proc"),
]


def fuzz(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzzing", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )


@pytest.fixture(scope="session")
def inputs(built_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    return built_once("fuzzing", lambda folder: fuzz("--cases", 0, "--inputs", folder / "inputs")) / "inputs"


def test_every_verb_has_a_command_that_is_changed() -> None:
    assert {one.name for one in commands()} == set(known())


def test_what_is_wrong_is_seen(tmp_path: Path) -> None:
    for how in WAYS:
        words = ("study", "tests.fuzzing.harmful:STUDY", "--how", how)
        case = Case("study", words, ("labels.csv",) if how == "input" else ())
        (tmp_path / f"{how}.json").write_text(json.dumps({"case": case.to_dict()}))
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "labels.csv").write_text("identity\n1\n")
    (tmp_path / "inputs" / ".whole").touch()
    files = sorted(tmp_path.glob("*.json"))
    done = fuzz("--again", *files, "--inputs", tmp_path / "inputs", "--seconds", 10, "--mebibytes", 800)
    for file in files:
        assert f"{file.name}: {WAYS[file.stem][0]} " in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1


def test_seed_and_number_decide_a_case(inputs: Path, tmp_path: Path) -> None:
    drawn = [draw(inputs, 3, number) for number in range(200)]
    assert repr(drawn) == repr([draw(inputs, 3, number) for number in range(200)])
    assert repr(drawn) != repr([draw(inputs, 4, number) for number in range(200)])
    for case in drawn:
        assert {change["do"] for change in case.changes} <= FUNCTIONS.keys()
        file = write(case, Outcome("traceback", "here"), "here", tmp_path, inputs, tmp_path / "work")
        again = read(file)
        assert (again.words, again.inputs) == (case.words, case.inputs)
        assert all(len(str(less)) < len(str(case)) for less in smaller(case))


def test_a_finding_names_no_folder_of_this_machine() -> None:
    said = 'Traceback:\n  File "/where/ever/src/jobs.py", line 5, in run\n    go()\nOSError: /else/where/views.npz: no'
    assert _told(said) == 'Traceback:\n  File "jobs.py", line 5, in run\nOSError: views.npz: no'


@pytest.mark.parametrize("shard", range(SHARDS))
def test_cases_end_well_or_are_refused_in_one_line(shard: int, inputs: Path, tmp_path: Path) -> None:
    done = fuzz("--cases", EACH, "--first", shard * EACH, "--inputs", inputs, "--out", tmp_path, "--seconds", PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_past_findings_stay_mended(inputs: Path) -> None:
    assert list(CORPUS.glob("*.json"))
    done = fuzz("--corpus", "--inputs", inputs, "--seconds", PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
