"""A process that has imported torch and forks children at once: twenty starts cost no more than one import."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from tests.ports import torchrun

ROOT = Path(__file__).resolve().parents[2]


class Nursery:
    """The parent's side: start children, wait for them.

    Args:
        modules: that children need not import, beside torch.
    """

    def __init__(self, *modules: str) -> None:
        command = [sys.executable, "-m", "tests.training.nursery", *modules]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(
        self, call: str, *arguments: Any, environment: dict[str, str] | None = None, errors: Path, **options: Any
    ) -> int:
        """Call "module:function" in a new process, the leader of its own group; its id."""
        order = {"call": call, "arguments": [str(a) if isinstance(a, Path) else a for a in arguments]}
        return self._ask({**order, "options": options, "environment": environment or {}, "errors": str(errors)})

    def wait(self, child: int) -> int:
        """The exit code of a child, or less than 0 where a signal ended it."""
        return self._ask({"wait": child})

    def start_pair(self, call: str, *arguments: Any, errors: Path, **options: Any) -> list[int]:
        """`start` twice, as torchrun starts two processes of one group."""
        return [self.start(call, *arguments, environment=told, errors=errors, **options) for told in torchrun()]

    def together(self, call: str, *arguments: Any, errors: Path, code: int = 0, **options: Any) -> None:
        """Let two processes of one group end, both with that exit code."""
        found = [self.wait(child) for child in self.start_pair(call, *arguments, errors=errors, **options)]
        assert found == [code, code], errors.read_text()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, order: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def _serve() -> None:
    import tests.training.toytask  # noqa: F401 - so that children need not
    import torch

    for module in sys.argv[1:]:
        importlib.import_module(module)
    torch.set_num_threads(1)
    # Its first step makes an optimiser import half of torch. Nothing runs backward: autograd's threads do not fork.
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    torch.optim.Adam([parameter], fused=True).step()
    while line := sys.stdin.readline():  # not `for line in`, which reads ahead
        order = json.loads(line)
        if "wait" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                _become(order)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _become(order: dict[str, Any]) -> None:
    code = 1
    try:
        os.setsid()
        descriptor = os.open(order["errors"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 2)
        os.dup2(descriptor, 1)
        os.environ.update(order["environment"])
        module, name = order["call"].split(":")
        code = getattr(importlib.import_module(module), name)(*order["arguments"], **order["options"]) or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
