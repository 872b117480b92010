"""Threads are as many as the process may use, not as many as the machine has."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from limbeck.cores import default_threads, usable_cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system binds no process to cores")
@pytest.mark.parametrize("variable", ["", "7", "1"])
def test_a_process_bound_to_one_core_uses_one(variable: str) -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from limbeck.cores import *; print(usable_cores(), default_threads())"
    )
    environment = os.environ | {"OMP_NUM_THREADS": variable}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1"]


@pytest.mark.parametrize(
    ("variable", "threads"), [(None, 8), ("", 8), ("3", 3), ("3,2", 3), (" 5 ", 5), ("20", 8), ("0", 8), ("many", 8)]
)
def test_the_variable_lowers_threads_and_not_cores(
    variable: str | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert (usable_cores(), default_threads()) == (8, threads)
