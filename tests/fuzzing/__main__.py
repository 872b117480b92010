"""Cases drawn from a seed over every verb: what a case does beside ending well or refusing in one line is a finding.

    python -m tests.fuzzing [--cases 500] [--seed 0] [--verbs "evaluate,data check"] [--jobs 1] [--out FOLDER]
    python -m tests.fuzzing --every arrays trees flags [--verbs ...] [--jobs 1]
    python -m tests.fuzzing --again FILE

The second tries each change of these kinds by itself, in an order of chance, or the first `--cases` of them. A finding
is made smaller, and written to the folder as JSON, which `--again` runs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzzing import running
from tests.fuzzing.drawing import KINDS, Case, draw, every
from tests.fuzzing.findings import CORPUS, read, shrunk, write
from tests.fuzzing.inputs import make
from tests.fuzzing.running import Outcome, prepare, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, help="how many; default: 500, and with --every all")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbs", default="", help="comma-separated; default: all")
    parser.add_argument("--every", nargs="+", choices=KINDS, help="each change of these kinds, in place of drawn cases")
    parser.add_argument("--jobs", type=int, default=1, help="cases side by side")
    parser.add_argument("--out", type=Path, help="folder for findings; default: a new one")
    parser.add_argument("--inputs", type=Path, help="folder of the valid inputs, filled where it is absent")
    parser.add_argument("--seconds", type=float, default=60, help="that a case may take")
    parser.add_argument("--mebibytes", type=int, default=2048, help="that it may take")
    parser.add_argument("--again", type=Path, nargs="+", help="findings that are run again, and nothing else")
    parser.add_argument("--corpus", action="store_true", help="run the past findings, and nothing else")
    given = parser.parse_args()
    running.SECONDS, running.BYTES = given.seconds, given.mebibytes * 2**20
    prepare()
    work = Path(tempfile.mkdtemp(prefix="limbeck-fuzzing-"))
    inputs = given.inputs or work / "inputs"
    try:
        files = given.again or (sorted(CORPUS.glob("*.json")) if given.corpus else [])
        needed = not files or any(read(file).inputs for file in files)
        if needed and not (inputs / ".whole").exists():
            _in_a_process(lambda: _make(inputs, work / "making.log"))
        if given.again or given.corpus:
            return _again(files, inputs, work)
        out = given.out or Path(tempfile.mkdtemp(prefix="limbeck-findings-"))
        verbs = tuple(verb.strip() for verb in given.verbs.split(",") if verb.strip())
        if given.every:
            listed = every(inputs, verbs, tuple(given.every))
            random.Random(given.seed).shuffle(listed)
            cases = range(len(listed))[given.first :][: given.cases]
            return _fuzz(lambda number: listed[number], cases, given.jobs, inputs, work, out)
        cases = range(given.first, given.first + (500 if given.cases is None else given.cases))
        return _fuzz(lambda number: draw(inputs, given.seed, number, verbs), cases, given.jobs, inputs, work, out)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _make(inputs: Path, log: Path) -> None:
    """All valid inputs; what is said meanwhile goes into a file."""
    shutil.rmtree(inputs, ignore_errors=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        make(inputs)
    (inputs / ".whole").touch()


def _in_a_process(call: Callable[[], None]) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            call()
            code = 0
        finally:
            os._exit(code)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("the inputs could not be made")


def _again(files: list[Path], inputs: Path, work: Path) -> int:
    wrong = 0
    for file in files:
        outcome = run(read(file), inputs, work / "again")
        wrong += outcome.is_finding
        _say(f"{file.name}: {outcome.kind} {outcome.seconds:.1f} s {outcome.where}\n{outcome.detail}".rstrip())
    _say(f"{len(files)} past findings, {wrong} of them again")
    return int(bool(wrong))


@dataclass
class Row:
    """A verb's row of the table."""

    cases: int = 0
    ok: int = 0
    refused: int = 0
    memory_refused: int = 0
    findings: int = 0
    seconds: float = 0.0
    worst: float = 0.0
    memory: int = 0

    def add(self, outcome: Outcome) -> None:
        self.cases += 1
        self.ok += outcome.kind == "ok"
        self.refused += outcome.kind in ("refused", "no memory")
        self.memory_refused += outcome.kind == "no memory"
        self.findings += outcome.is_finding
        self.seconds += outcome.seconds
        self.worst = max(self.worst, outcome.seconds)
        self.memory = max(self.memory, outcome.memory)


@dataclass
class Found:
    """Findings so far, by where."""

    first: dict[str, tuple[int, Outcome]] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)


def _fuzz(case: Callable[[int], Case], numbers: range, jobs: int, inputs: Path, work: Path, out: Path) -> int:
    rows: dict[str, Row] = {}
    found = Found()
    begun = time.monotonic()
    for number, verb, outcome in _outcomes(case, numbers, jobs, inputs, work):
        rows.setdefault(verb, Row()).add(outcome)
        if (done := sum(row.cases for row in rows.values())) % 1000 == 0:
            _say(f"{done} cases, {time.monotonic() - begun:.0f} s")
        if outcome.is_finding:
            if outcome.where not in found.first:
                found.first[outcome.where] = number, outcome
                write(case(number), outcome, outcome.where, out, inputs, work / "writing")
                _say(f"case {number}: {outcome.where}")
            found.times[outcome.where] = found.times.get(outcome.where, 0) + 1
    for where, (number, first) in found.first.items():
        small, outcome = shrunk(case(number), first, inputs, work / "shrinking")
        file = write(small, outcome, where, out, inputs, work / "shrinking")
        _say(f"{found.times[where]:5} times: {where}: {file}")
    _say(_table(rows))
    _say(f"{sum(found.times.values())} findings of {len(found.times)} kinds, {time.monotonic() - begun:.0f} s")
    return int(bool(found.times))


def _outcomes(
    case: Callable[[int], Case], numbers: range, jobs: int, inputs: Path, work: Path
) -> Iterator[tuple[int, str, Outcome]]:
    """Of every case, from processes each of which has its share of the numbers."""
    pipes: dict[int, Any] = {}
    children = []
    for job in range(jobs):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            _work(case, numbers[job::jobs], inputs, work / str(job), writer)
        os.close(writer)
        children.append(child)
        pipes[reader] = os.fdopen(reader, "r")
    while pipes:
        for reader in select.select(list(pipes), [], [])[0]:
            line = pipes[reader].readline()
            if not line:
                pipes.pop(reader).close()
                continue
            number, verb, *values = json.loads(line)
            yield number, verb, Outcome(*values)
    for child in children:
        if os.waitpid(child, 0)[1]:
            raise SystemExit("a process of the fuzzer failed")


def _work(case: Callable[[int], Case], numbers: range, inputs: Path, work: Path, writer: int) -> None:
    code = 1
    try:
        with os.fdopen(writer, "w") as stream:
            for number in numbers:
                drawn = case(number)
                outcome = run(drawn, inputs, work)
                values = [outcome.kind, outcome.where, outcome.detail, outcome.seconds, outcome.memory]
                stream.write(json.dumps([number, drawn.verb, *values]) + "\n")
                stream.flush()
        code = 0
    except BaseException:
        import traceback

        sys.stderr.write(f"case {number}\n")
        traceback.print_exc()
    finally:
        os._exit(code)


def _table(rows: dict[str, Row]) -> str:
    total = Row()
    for row in rows.values():
        for name in ("cases", "ok", "refused", "memory_refused", "findings", "seconds"):
            setattr(total, name, getattr(total, name) + getattr(row, name))
        total.worst, total.memory = max(total.worst, row.worst), max(total.memory, row.memory)
    lines = [f"{'verb':26}  cases     ok  refused  of memory  findings  seconds  worst s  worst MiB"]
    lines += [
        f"{name:26} {row.cases:6} {row.ok:6} {row.refused:8} {row.memory_refused:10} {row.findings:9} "
        f"{row.seconds:8.0f} {row.worst:8.1f} {row.memory / 2**20:10.0f}"
        for name, row in (*sorted(rows.items()), ("all", total))
    ]
    return "\n".join([*lines, f"limits: {running.SECONDS:.0f} s, {running.BYTES / 2**20:.0f} MiB"])


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
