"""One case in a process of its own, with limits, and what came of it."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import stat
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from tests.fuzzing.changes import apply, is_regular
from tests.fuzzing.drawing import Case
from tests.interruptions import processes_of

SECONDS, BYTES = 60.0, 2 * 2**30
_UNTOUCHED = 2**28  # what of the libraries that are mapped a case may still read into memory
_FILE = 2**30  # what a case may write into one file
_LINKED = 2**16  # files from so many bytes on are linked and not copied
_WELL = ("ok", "refused", "no memory")
ROOT = Path(__file__).resolve().parents[2]
# Python's and NumPy's own warnings say that a number came out that nobody looked at.
_UNSEEN = re.compile(
    r"(invalid value|divide by zero|overflow|underflow) encountered|Mean of empty slice|Degrees of freedom <= 0"
    r"|[Dd]eprecat|Glyph \d+|Exception ignored|non-writable|Casting complex"
)
# How far a job has come; and what a library says of the environment before anybody of ours is asked.
_PROGRESS = re.compile(r"[\w +.,-]+: .*\b[\d,]+/[\d,]+\b|[\w -]* *━|libgomp: Invalid value for environment variable")
_COLOURS = re.compile(r"\x1b\[[?\d;]*[A-Za-z]")  # which rich writes where they are asked for
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]")


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        kind: "ok", "refused", "no memory" (refused, for the limit left too little), or what is wrong.
        where: of what is wrong: two cases with the same are the same finding.
        detail: what was said.
        seconds: that it took.
        memory: bytes at the peak.
    """

    kind: str
    where: str = ""
    detail: str = ""
    seconds: float = 0.0
    memory: int = 0

    @property
    def is_finding(self) -> bool:
        return self.kind not in _WELL


def prepare() -> None:
    """Import what cases need, in the process that all of them are forked from."""
    os.environ.update({f"{pool}_NUM_THREADS": "1" for pool in ("OMP", "OPENBLAS", "MKL", "NUMBA")})
    os.environ["MPLBACKEND"] = "agg"
    import gc
    import importlib
    import pkgutil

    import matplotlib.pyplot as plt
    import torch

    import limbeck

    torch.set_num_threads(1)
    for module in pkgutil.walk_packages(limbeck.__path__, "limbeck."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("sklearn.manifold", "sklearn.ensemble", "sklearn.svm", "scipy.io", "matplotlib.backends.backend_agg"):
        importlib.import_module(name)
    plt.close(plt.figure())
    # An optimiser imports half of torch at its first step. Nothing runs backward: autograd's threads do not fork.
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    torch.optim.AdamW([parameter], fused=True).step()
    gc.collect()
    gc.freeze()


def run(case: Case, inputs: Path, work: Path) -> Outcome:
    """Lay the inputs out, change them, call the command, look at what it said and left; the folder is removed."""
    shutil.rmtree(work, ignore_errors=True)
    place = work / "inputs"
    try:
        for name in ("inputs", "home", "tmp"):
            (work / name).mkdir(parents=True)
        (place / ".inputs").write_text(str(inputs))
        for name in case.inputs:
            _lay(inputs / name, place / name)
        for change in case.changes:
            _own(place / change["file"])
            apply(place, change)
        before = dict(_stamps(place))
        outcome = _called(case, work)
        if outcome.kind == "fault":  # where, a traceback says
            environment = case.surroundings.get("environment", {}) | {"LIMBECK_DEBUG": "1"}
            told = _called(replace(case, surroundings={**case.surroundings, "environment": environment}), work)
            outcome = told if told.kind == "traceback" else outcome
        if _nowhere_restored():
            return replace(outcome, kind="device", where=f"device: {case.verb}", detail=f"{os.devnull} was replaced")
        return outcome if outcome.is_finding else _looked_at(outcome, case, work, before)
    finally:
        _remove(work)


def _nowhere_restored() -> bool:
    """Whether somebody, who must be root, put a file in the place of /dev/null, which is mended."""
    if Path(os.devnull).is_char_device():
        return False
    Path(os.devnull).unlink(missing_ok=True)
    os.mknod(os.devnull, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    Path(os.devnull).chmod(0o666)
    return True


def _lay(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_copy)
    else:
        _copy(str(source), str(target))


def _copy(source: str, target: str) -> None:
    if Path(source).stat().st_size >= _LINKED:
        os.link(source, target)
    else:
        shutil.copyfile(source, target)


def _own(path: Path) -> None:
    """A copy in the place of a link to what other cases have too."""
    if is_regular(path) and path.stat().st_nlink > 1:
        held = path.read_bytes()
        path.unlink()
        path.write_bytes(held)


def _stamps(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    for path in folder.rglob("*"):
        if is_regular(path):
            found = path.stat()
            yield str(path.relative_to(folder)), (found.st_size, found.st_mtime_ns)


def _remove(work: Path) -> None:
    shutil.rmtree(work, onerror=lambda _function, path, _error: Path(path).parent.chmod(0o700))
    shutil.rmtree(work, ignore_errors=True)


def _called(case: Case, work: Path) -> Outcome:
    for name in ("out", "err"):
        (work / name).unlink(missing_ok=True)
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(case, work)
    status, usage, late = _waited(child, begun)
    seconds, memory = time.monotonic() - begun, usage.ru_maxrss * 1024
    end = time.monotonic() + 1
    while (left := processes_of(child)) and time.monotonic() < end and not late:
        time.sleep(0.02)
    _kill(child)
    said = (work / "err").read_bytes().decode("utf-8", "replace")
    kind, where, detail = _judged(case, os.waitstatus_to_exitcode(status), said)
    if late:
        kind, where, detail = "time", f"time: {case.verb}", f"over {SECONDS:.0f} s\n{said[-2000:]}"
    elif memory > BYTES:
        kind, where = "memory", f"memory: {case.verb}"
        detail = f"{memory / 2**20:.0f} MiB\n{said[-2000:]}"
    elif left and kind in _WELL:
        kind, where, detail = "processes", f"processes left: {case.verb}", f"{len(left)} processes left"
    return Outcome(kind, where, detail, seconds, memory)


def _waited(child: int, begun: float) -> tuple[int, Any, bool]:
    pause = 0.001
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            return status, usage, False
        if time.monotonic() - begun > SECONDS:
            _kill(child)
            _, status, usage = os.wait4(child, 0)
            return status, usage, True
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


def _kill(group: int) -> None:
    for process in (-group, *processes_of(group)):
        try:
            os.kill(process, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


# -- in the child -----------------------------------------------------------------------------------------------------


def _become(case: Case, work: Path) -> NoReturn:
    """What the forked process does: the command, in the surroundings of the case."""
    code = 1
    try:
        os.setsid()
        _limit()
        os.chdir(work / "inputs")
        _environment(case, work)
        _open(0, "/dev/null", os.O_RDONLY)
        for number, name in ((1, "out"), (2, "err")):
            _open(number, str(work / name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        _streams(case.surroundings)
        if case.surroundings.get("folder") == "removed":
            gone = work / "gone"
            gone.mkdir()
            os.chdir(gone)
            gone.rmdir()
        if case.surroundings.get("folder") == "locked":
            (work / "inputs").chmod(0o500)
        if case.surroundings.get("fresh"):
            os.execve(sys.executable, [sys.executable, "-m", "limbeck", *_typed(case.words)], os.environ)
        code = _command(case)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _command(case: Case) -> int:
    """The command, and what the interpreter does at its end."""
    from multiprocessing import util

    from limbeck.cli import main

    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        encoding = "ascii" if case.surroundings.get(name) == "ascii" else "utf-8"
        errors = "backslashreplace" if name == "stderr" else "strict"
        try:
            os.fstat(number)
            buffering = 1 if name == "stderr" else -1
            stream = os.fdopen(number, mode, buffering, encoding, errors, closefd=False)
        except OSError:
            stream = None  # type: ignore[assignment]
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv = ["limbeck", *case.words]
    code: Any
    try:
        code = main(list(case.words))
    except SystemExit as left:
        code = left.code
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
            code = 1
    except BaseException:
        code = 1
        if sys.stderr is not None:
            traceback.print_exc()
    util._exit_function()  # type: ignore[attr-defined]
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except Exception:
        code = 120
        if sys.stderr is not None:
            sys.stderr.write("Exception ignored while flushing sys.stdout\n")
            traceback.print_exc()
    return int(code or 0)


def _typed(words: tuple[str, ...]) -> list[str]:
    return [word.replace("\0", "") for word in words]


def _limit() -> None:
    """At most `BYTES` of memory, of which the process that is forked holds some already."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    mapped, held = (1024 * int(status[name].split()[0]) for name in ("VmSize", "VmRSS"))
    resource.setrlimit(resource.RLIMIT_AS, (mapped + BYTES - held - _UNTOUCHED,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _environment(case: Case, work: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    given: dict[str, str | None] = {"HOME": str(work / "home"), "TMPDIR": str(work / "tmp")}
    given |= {"http_proxy": nowhere, "https_proxy": nowhere, "no_proxy": None, "COLUMNS": "100"}
    given |= case.surroundings.get("environment", {})
    if case.surroundings.get("fresh"):
        given["PYTHONPATH"] = str(ROOT / "src")
    for name, value in given.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    import tempfile

    tempfile.tempdir = None


def _open(number: int, path: str, mode: int) -> None:
    descriptor = os.open(path, mode)
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)


def _streams(surroundings: dict[str, Any]) -> None:
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        how = surroundings.get(name)
        if how == "closed":
            os.close(number)
        elif how == "full":
            _open(number, "/dev/full", os.O_WRONLY)
        elif how == "pipe":
            reader, writer = os.pipe()
            os.dup2(writer, number)
            os.close(writer)
            os.close(reader)


# -- judging ----------------------------------------------------------------------------------------------------------


def _judged(case: Case, code: int, err: str) -> tuple[str, str, str]:  # noqa: PLR0911
    """Kind, where, detail."""
    mute = case.surroundings.get("stderr") in ("closed", "full")
    if "Traceback (most recent call last)" in err:
        return "traceback", _frame(err), err[-4000:]
    if match := re.search(r"this is a fault of limbeck \((\w+)", err):
        return "fault", f"fault: {case.verb}: {match[1]}", err[-4000:]
    if code < 0:
        return "signal", f"signal {-code}: {case.verb}", err[-4000:]
    if code not in (0, 2):
        return "exit code", f"exit code {code}: {case.verb}: {_shape(err)}", err[-4000:]
    asked = {"FORCE_COLOR", "TTY_COMPATIBLE"} & case.surroundings.get("environment", {}).keys()
    plain = _COLOURS.sub("", err) if asked else err
    shown = [line for line in (line.rpartition("\r")[2] for line in plain.split("\n")) if line]
    if match := _UNSEEN.search(err):
        return "warning", f"warning: {case.verb}: {match[0]}", err[-4000:]
    if code == 0 or mute:
        return "ok" if code == 0 else "refused", "", ""
    errors = [line for line in shown if line.startswith("limbeck: error: ")]
    strange = [line for line in shown if not line.startswith("limbeck: ") and not _PROGRESS.match(line)]
    if len(errors) != 1 or shown[-1] != errors[0] or strange:
        return "lines", f"lines: {case.verb}: {_shape((strange or shown or [''])[0])}", err[-4000:]
    if _CONTROL.search(errors[0]):
        return "control", f"control: {case.verb}: {_shape(errors[0])}", err[-4000:]
    return "no memory" if "there is not enough memory" in errors[0] else "refused", "", errors[0]


def _frame(err: str) -> str:
    """The innermost line of the library's own in a traceback, and what was raised."""
    last = err[err.rfind("Traceback (most recent call last)") :]
    frames = re.findall(r'File "[^"]*?/src/(limbeck/[^"]+)", line (\d+), in (\S+)', last)
    said = [line for line in last.splitlines() if not line.startswith("limbeck: ")]
    raised = next((line for line in reversed(said) if re.match(r"[\w.]+(:|$)", line)), "?")
    return f"{raised.partition(':')[0]} in {frames[-1][0]}:{frames[-1][2]}" if frames else raised[:80]


def _shape(line: str) -> str:
    """A message without what differs from case to case."""
    return re.sub(r"['\"].*?['\"]|\d+", "_", line.strip())[:60]


def _looked_at(outcome: Outcome, case: Case, work: Path, before: dict[str, tuple[int, int]]) -> Outcome:
    """An outcome that would do, unless a temporary file is left or an input is another."""

    def wrong(kind: str, names: list[str]) -> Outcome:
        return Outcome(kind, f"{kind}: {case.verb}", "\n".join(names[:20]), outcome.seconds, outcome.memory)

    place = work / "inputs"
    left = [str(path) for path in place.rglob("*.tmp")] + [str(path) for path in (work / "tmp").iterdir()]
    if left:
        return wrong("left", left)
    after = dict(_stamps(place))
    changed = [
        name
        for name, stamp in before.items()
        if after.get(name) != stamp
        and (case.continued == "" or not name.startswith(f"{case.continued}/"))
        and not _is_output(name, case)
    ]
    return wrong("input changed", changed) if changed else outcome


def _is_output(name: str, case: Case) -> bool:
    """Whether the words name it as something to write to."""
    for flag, word in zip(case.words, case.words[1:], strict=False):
        target = word if flag in ("--out", "--per_query", "--submission") else ""
        if target and (name == target or name.startswith(f"{target}/")):
            return True
    return any(
        word.startswith(("--out=", "--per_query=", "--submission=")) and name.startswith(word.partition("=")[2])
        for word in case.words
    )
