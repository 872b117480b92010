"""Processes that work for this one: they end when it ends, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any, Literal

from limbeck.errors import InputError

_MOST = 1024
_PATIENCE = 10.0  # seconds in which a process that was asked to end may tidy up


def end_with_parent() -> None:
    """In a process that `multiprocessing` started: end it as soon as the one that started it is gone.

    A process that is killed cannot tell others. Each of them holds the end of a pipe whose other end is the parent's,
    and which the kernel closes with it.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), name="limbeck-follow", daemon=True).start()


def _follow(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


@contextmanager
def process_pool(
    workers: int,
    *,
    method: Literal["spawn"] | None = None,
    initializer: Callable[..., object] | None = None,
    arguments: tuple[Any, ...] = (),
) -> Iterator[ProcessPoolExecutor]:
    """A pool whose processes are gone after the block, and when this process is killed.

    If the block fails, which Ctrl-C and other signals make it do, they get SIGTERM at once: nobody waits for what they
    were doing, but a training in one of them writes its checkpoint first.

    Args:
        workers: so many processes, at most 1024. Spawned ones begin as there is work for them, forked ones all at once.
        method: how they begin; None: as the platform has it.
        initializer: called in each of them first.
        arguments: of the initializer.

    Raises:
        InputError: one of them was killed.
    """
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        min(workers, _MOST), multiprocessing.get_context(method), _begin, (initializer, arguments)
    )
    try:
        yield pool
    except BaseException as error:
        pool.shutdown(wait=False, cancel_futures=True)
        own = set(multiprocessing.active_children()) - before
        for child in own:
            child.terminate()
        for child in own:
            child.join(_PATIENCE)
            child.kill()
        if isinstance(error, BrokenProcessPool):
            raise InputError(
                "a process that worked for this one was killed, for want of memory perhaps: try again with fewer"
            ) from error
        raise
    pool.shutdown()


def _begin(initializer: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
    # A fork has the handlers of the parent, which are not for it.
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN:
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    end_with_parent()
    if initializer is not None:
        initializer(*arguments)


def begin_loader(_worker: int) -> None:
    """What a process that loads batches for a training does first (`worker_init_fn`)."""
    # A fork would write the signals that it gets into the training's own pipe for them.
    signal.set_wakeup_fd(-1)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the training hears of it, and ends its loaders
    end_with_parent()
