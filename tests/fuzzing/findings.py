"""What is kept of a finding: the smallest case that does the same, in a file that needs no seed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

from tests.fuzzing.changes import Change, apply, is_regular, packed
from tests.fuzzing.drawing import Case, smaller
from tests.fuzzing.running import Outcome, run

CORPUS = Path(__file__).with_name("corpus")
_RUNS = 60
_PATIENCE = 5.0  # seconds
_KEPT = 20_000  # bytes of a file that is kept whole


def shrunk(case: Case, outcome: Outcome, inputs: Path, work: Path) -> tuple[Case, Outcome]:
    """A case with as little as can be in it that comes to the same finding, and what comes of it.

    What takes long is left as it is.
    """
    if outcome.seconds > _PATIENCE:
        return case, outcome
    left = _RUNS
    for less in (tried := smaller(case)):
        found = run(less, inputs, work)
        left -= 1
        if found.where == outcome.where:
            shrinking, outcome = shrunk(less, found, inputs, work)
            tried.close()
            return shrinking, outcome
        if not left:
            break
    return case, outcome


def write(case: Case, outcome: Outcome, where: str, folder: Path, inputs: Path, work: Path) -> Path:
    """Write a finding.

    Bytes that were changed in a file that is made anew in every run may not mean the same next time: a small file is
    kept as a whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = replace(case, changes=tuple(_whole(change, inputs, work) for change in case.changes))
    words = re.sub(r"\W+", "-", where).strip("-")[:70]
    file = folder / f"{words}-{hashlib.sha256(where.encode()).hexdigest()[:6]}.json"
    held = {"finding": where, "said": _told(outcome.detail), "case": whole.to_dict()}
    file.write_text(json.dumps(held, indent=1) + "\n")
    return file


def _told(detail: str) -> str:
    """What was said, without the code of a traceback, and files without the folders of this machine."""
    lines = [line for line in detail.splitlines() if not line.startswith("    ")]
    return re.sub(r"(?<![\w.])/[\w./-]*/", "", "\n".join(lines))[-1500:]


def _whole(change: Change, inputs: Path, work: Path) -> Change:
    if change["do"] not in ("put", "repeat", "npy_header", "line"):
        return change
    source = inputs / change["file"]
    if not is_regular(source) or source.stat().st_size > _KEPT:
        return change
    shutil.rmtree(work, ignore_errors=True)
    (work / change["file"]).parent.mkdir(parents=True)
    shutil.copyfile(source, work / change["file"])
    if not apply(work, change):
        return change
    after = (work / change["file"]).read_bytes()
    return {"file": change["file"], "do": "write", "content": packed(after)} if len(after) < 10**6 else change


def read(file: Path) -> Case:
    """A case that was written."""
    return Case.from_dict(json.loads(file.read_text())["case"])
