"""Signals at random moments, over what takes long: nothing is left running, nothing is left lying, no bit is lost.

    python -m tests.interruptions [--moments 40] [--seconds 0] [--seed 0] [--jobs train,people,study,pictures]
                                 [--signals SIGINT,SIGTERM]

Each job is run once undisturbed. Then it is begun again and again in new folders; at a random moment each run gets
SIGKILL, SIGTERM, SIGHUP or SIGINT, to its main process alone or to its whole group, and is begun anew until it has
ended. A second after a signal there must be no process of it and, but after SIGKILL, no temporary file; at the end
there must be no temporary file, and the same bits as without signals.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.training.nursery import Nursery

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
MODULES = (
    "limbeck.cli.jobs",
    "limbeck.cli.verbs",
    "limbeck.synthetic.jobs",
    "limbeck.reid.jobs",
    "limbeck.studies.reid_ablation.run",
    "limbeck.studies.reid_ablation.report",
)
COMMAND = "tests.interruptions:command"
PEOPLE = (
    "--train_identities 12 --validation_identities 3 --test_identities 6 --images_per_camera 2 --height 48 --width 24 "
    "--difficulty easy --absent 0 --workers 2"
)
NETWORK = "--{0}network.hidden [16] --{0}network.representation 8 --{0}network.head_hidden null"
DATA = "--{0}data.height 32 --{0}data.width 16 --{0}data.identities 3 --{0}data.pictures 2 --{0}data.steps_per_epoch 5"


def command(*words: str) -> int:
    """What a child runs: the command; its exit code."""
    from limbeck.cli import command as cli
    from limbeck.cli.beginning import end_on_interrupt

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it runs beside itself
    end_on_interrupt()  # as the command does first
    return _interruptible(words[0], cli._run, list(words[1:]))


def _interruptible(begun: str, run: Callable[[list[str]], None], words: list[str]) -> int:
    """The command with another inside, which first says that signals are heard."""
    from limbeck.cli import command as cli

    def begin(given: list[str]) -> None:
        Path(begun).touch()
        run(given)

    cli._run = begin
    try:
        return cli.run(words)
    except SystemExit as left:
        return int(left.code or 0)


def pictures(begun: str, root: str, folder: str) -> int:
    """What a child runs: a picture cache, as a verb builds it."""
    from limbeck.images.cache import decoded_images

    signal.signal(signal.SIGINT, signal.default_int_handler)
    names = sorted(str(path.relative_to(root)) for path in Path(root).rglob("*.jpg"))

    def build(_words: list[str]) -> None:
        for size in ((64, 32), (32, 16), (64, 64)):  # each takes the place of the one before
            decoded_images(Path(root), names, Path(folder), size=size, workers=2)

    return _interruptible(begun, build, [])


def signal_codes(number: int) -> set[int]:
    """Exit codes that a signal may lead to; 0: the job had ended."""
    return {signal.SIGKILL: {-9}, signal.SIGINT: {0, 130, 143}}.get(signal.Signals(number), {0, 143})


@dataclass(frozen=True)
class Course:
    """What is interrupted.

    Attributes:
        call: that a child runs.
        words: (folder) -> its words, behind the file that it touches first.
        bits: (folder) -> a digest of what must be the same whatever happened.
    """

    call: str
    words: Callable[[Path], list[str]]
    bits: Callable[[Path], str]


def courses(people: Path) -> dict[str, Course]:
    """The jobs, on people that lie there."""
    from limbeck.studies.people import ROWS

    rows = ",".join(list(ROWS)[:2])
    train = (
        f"train reid --config small --data.root {people} --data.held_out 3 {DATA.format('')} {NETWORK.format('')} "
        "--training.epochs 3 --training.warmup_epochs 0 --training.checkpoint_steps 2 --training.workers 2 "
        "--training.select both --training.validate_epochs 1"
    )
    study = (
        f"study reid-ablation --rows [{rows}] --seeds [1] {DATA.format('recipe.')} {NETWORK.format('recipe.')} "
        "--recipe.training.epochs 1 --recipe.training.warmup_epochs 0 --recipe.training.checkpoint_steps 2 "
        "--people.train_identities 6 --people.validation_identities 0 --people.test_identities 5 "
        "--people.images_per_camera 2 --people.height 32 --people.width 16"
    )
    return {
        "people": Course(
            COMMAND, lambda folder: f"data make people {folder / 'people'} {PEOPLE} --seed 3".split(), _all_files
        ),
        "train": Course(COMMAND, lambda folder: [*train.split(), "--out", str(folder / "run")], _run_files),
        "study": Course(COMMAND, lambda folder: [*study.split(), "--out", str(folder / "study")], _study_files),
        "pictures": Course(
            "tests.interruptions:pictures", lambda folder: [str(people), str(folder / "cache")], _all_files
        ),
    }


def _digest(parts: dict[str, bytes]) -> str:
    return hashlib.sha256(b"".join(name.encode() + b"\0" + parts[name] for name in sorted(parts))).hexdigest()


def _files(folder: Path) -> dict[str, Path]:
    return {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}


def _all_files(folder: Path) -> str:
    # The fingerprint of a cache holds no path; its name does not either.
    return _digest({name: path.read_bytes() for name, path in _files(folder).items()})


def _run_files(folder: Path) -> str:
    """Networks, figures, and every step of the log once; not the time that a step took."""
    parts = {}
    for name, path in _files(folder).items():
        if path.name in ("model.safetensors", "best.safetensors", "epochs.csv", "recipe.yaml"):
            parts[name] = path.read_bytes().replace(str(folder).encode(), b"FOLDER")
        if path.name == "log.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            assert [line["step"] for line in lines] == list(range(1, len(lines) + 1)), f"{path}: not every step once"
            parts[name] = json.dumps([{k: v for k, v in line.items() if k != "seconds"} for line in lines]).encode()
    return _digest(parts)


def _study_files(folder: Path) -> str:
    """Figures of every training; not the seconds, nor where people lie."""
    parts = {}
    for name, path in _files(folder).items():
        if path.name == "figures.json":
            held = json.loads(path.read_text())
            parts[name] = json.dumps([held["row"], held["seed"], held["scores"]]).encode()
        if path.name == "factors.csv" or path.suffix == ".jpg":
            parts[name] = path.read_bytes()
    return _digest(parts)


def processes_of(group: int) -> list[int]:
    """Processes of a session that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session, *_ = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(session) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def temporaries(folder: Path) -> list[str]:
    """Temporary files and folders that lie there."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.tmp"))


class Trial:
    """One folder, one job, until it has ended."""

    def __init__(self, nursery: Nursery, course: Course, folder: Path) -> None:
        self.nursery, self.course, self.folder = nursery, course, folder
        self.errors = folder.with_name(folder.name + ".errors")

    def start(self) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        begun = self.folder.with_name(self.folder.name + ".begun")
        begun.unlink(missing_ok=True)
        child = self.nursery.start(self.course.call, begun, *self.course.words(self.folder), errors=self.errors)
        while not begun.exists():
            time.sleep(0.001)
        return child

    def interrupted(self, number: signal.Signals, moment: float, *, group: bool) -> tuple[int, list[str]]:
        """Begin, send a signal at a moment, and say how it ended and what was wrong."""
        child = self.start()
        time.sleep(moment)
        (os.killpg if group else os.kill)(child, number)
        sent = time.monotonic()
        code = self.nursery.wait(child)
        waited = time.monotonic() - sent
        wrong = []
        if code not in signal_codes(number) | {0}:
            wrong.append(f"exit code {code}")
        deadline = time.monotonic() + 1
        while processes_of(child) and time.monotonic() < deadline:
            time.sleep(0.02)
        wrong += [f"process {left} is still there" for left in processes_of(child)]
        if number != signal.SIGKILL:
            wrong += [f"{name} is left" for name in temporaries(self.folder)]
        if waited > 9:
            wrong.append(f"took {waited:.1f} s to end")
        return code, wrong

    def ended(self) -> list[str]:
        """Let it end, and say what was wrong."""
        child = self.start()
        code = self.nursery.wait(child)
        wrong = [f"exit code {code} at the end"] if code else []
        return wrong + [f"{name} is left at the end" for name in temporaries(self.folder)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=40, help="of every signal and job")
    parser.add_argument("--seconds", type=float, default=0, help="of moments, then it ends; 0: all of them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", default="people,train,study,pictures")
    parser.add_argument("--signals", default=",".join(one.name for one in SIGNALS))
    given = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="limbeck-interruptions-"))
    nursery, rng = Nursery(*MODULES), np.random.default_rng(given.seed)
    failures: list[str] = []
    counts: Counter[tuple[str, str, str]] = Counter()
    began = time.monotonic()
    try:
        made = Trial(nursery, courses(work / "none")["people"], work / "given")
        assert not made.ended(), made.errors.read_text()
        chosen = {name: courses(work / "given" / "people")[name] for name in given.jobs.split(",")}
        expected: dict[str, tuple[str, float]] = {}
        for name, course in chosen.items():
            whole, started = Trial(nursery, course, work / name / "whole"), time.monotonic()
            assert not whole.ended(), whole.errors.read_text()
            expected[name] = course.bits(whole.folder), time.monotonic() - started
            sys.stdout.write(f"{name}: {expected[name][1]:.1f} s undisturbed\n")
            sys.stdout.flush()
        began = time.monotonic()
        for moment in range(given.moments):
            for number in [signal.Signals[name] for name in given.signals.split(",")]:
                for name, course in chosen.items():
                    if given.seconds and time.monotonic() - began > given.seconds:
                        break
                    bits, seconds = expected[name]
                    trial = Trial(nursery, course, work / name / f"{number.name}-{moment}")
                    code, wrong = trial.interrupted(number, rng.uniform(0, seconds), group=bool(rng.integers(2)))
                    wrong += trial.ended() if code else []
                    if course.bits(trial.folder) != bits:
                        wrong.append("other bits at the end")
                    counts[name, number.name, "ended before" if code == 0 else "interrupted"] += 1
                    found = [f"{name}, {number.name}, {moment}: {one}" for one in wrong]
                    failures += found
                    sys.stderr.write("".join(f"WRONG: {one}\n" for one in found))
                    if not wrong:
                        shutil.rmtree(trial.folder)
    finally:
        nursery.close()
    for (name, signalled, how), count in sorted(counts.items()):
        sys.stdout.write(f"{name:10} {signalled:8} {how:14} {count}\n")
    sys.stdout.write("".join(f"WRONG: {one}\n" for one in failures) + f"{sum(counts.values())} moments, ")
    sys.stdout.write(f"{len(failures)} findings, {time.monotonic() - began:.0f} s\n")
    if not failures:
        shutil.rmtree(work)
    return int(bool(failures))


if __name__ == "__main__":
    raise SystemExit(main())
