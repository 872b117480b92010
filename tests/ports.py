"""Where the processes of a test meet."""

import itertools
import os
import random
import socket

# Below those that the system gives to outgoing connections, and for each worker a range of its own: nobody takes a port
# between this process's looking and its children's listening.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = itertools.count(20_000 + 1500 * (_WORKER % 8) + random.SystemRandom().randrange(1000))


def free_port() -> str:
    """A port of this machine that nothing listens on, another at each call."""
    return str(next(filter(_free, _PORTS)))


def torchrun() -> list[dict[str, str]]:
    """What torchrun puts into the environments of two processes of one group."""
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    return [common | {"RANK": str(number), "LOCAL_RANK": str(number)} for number in range(2)]


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
