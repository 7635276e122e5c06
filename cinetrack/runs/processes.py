"""Worker processes: the same work on many cases, where a bad case ends no other and no worker outlives its parent."""

from __future__ import annotations

import ctypes
import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from cinetrack.runs.failure import Failure, failure_of

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int | None = None) -> None:
    """Let this process end when the one that started it does, however that ends.

    On Linux the kernel sees to it; elsewhere a thread looks every second who the parent is.

    Args:
        parent: its process id, where it may have ended already; by default the present one.
    """
    parent = parent or os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


@functools.cache
def forks_die_with_this_process() -> None:
    """The same for processes that libraries fork from this one from now on, as nnU-Net's augmentation does."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=die_with_parent)


def process_pool(
    workers: int, initializer: Callable[..., None] | None = None, initargs: tuple[Any, ...] = (), spawn: bool = True
) -> ProcessPoolExecutor:
    """A pool whose workers end with this process.

    Args:
        initializer: a function of a module, called with `initargs` in every worker first.
        spawn: start from scratch, because forking a process that has loaded OpenCV or torch may inherit locked threads;
            else as the system does by default.
    """
    context = multiprocessing.get_context("spawn") if spawn else None
    arguments = (os.getpid(), initializer, initargs)
    return ProcessPoolExecutor(workers, context, initializer=_begin, initargs=arguments)


def in_processes(
    work: Callable[[Item], Outcome],
    items: Sequence[Item],
    name_of: Callable[[Item], str],
    workers: int | None = None,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[Item, Outcome | Failure]]:
    """Each item, in order, with the outcome of `work` on it, or why there is none.

    Args:
        work: a function of a module, so that other processes find it.
        name_of: an item's name in failures.
        workers: processes; by default one for each core. With one, the work is done in this process.
        on_case: told how many are done, and how many there are.
    Raises:
        RuntimeError: a worker was killed.
    """
    workers = min(workers or _cores(), len(items))
    if workers <= 1:
        yield from _outcomes(items, (functools.partial(work, item) for item in items), name_of, on_case)
        return
    with process_pool(workers, spawn=False) as pool:
        running = [pool.submit(work, item) for item in items]
        try:
            yield from _outcomes(items, (future.result for future in running), name_of, on_case)
        except BrokenProcessPool:
            raise RuntimeError("a worker process was killed, most likely for want of memory; lower --workers") from None
        finally:
            pool.shutdown(cancel_futures=True)


def _outcomes(
    items: Sequence[Item],
    results: Iterator[Callable[[], Outcome]],
    name_of: Callable[[Item], str],
    on_case: Callable[[int, int], None],
) -> Iterator[tuple[Item, Outcome | Failure]]:
    for done, (item, result) in enumerate(zip(items, results, strict=True), 1):
        outcome: Outcome | Failure
        try:
            outcome = result()
        except BrokenProcessPool:
            raise
        except Exception as error:
            outcome = failure_of(name_of(item), error)
        on_case(done, len(items))
        yield item, outcome


def _begin(parent: int, initializer: Callable[..., None] | None, initargs: tuple[Any, ...]) -> None:
    die_with_parent(parent)
    if initializer is not None:
        initializer(*initargs)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _cores() -> int:
    # The cores this process may use, where the system tells; a container's share is often smaller than the machine.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
