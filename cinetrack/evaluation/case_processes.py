"""Does the same work on many cases in parallel processes, where a bad case must not end the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from cinetrack.errors import InputError

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def in_processes(
    work: Callable[[Item], Outcome], items: list[Item], workers: int | None = None
) -> Iterator[Outcome | InputError]:
    """The outcome of `work` on each item, in order; an InputError is an outcome, anything else is raised.

    Args:
        work: a function of a module, so that other processes find it.
        workers: processes; by default one for each core. With one, the work is done in this process.
    """
    workers = min(workers or _cores(), len(items))
    if workers <= 1:
        yield from (_attempt(work, item) for item in items)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(_attempt, [work] * len(items), items)


def _attempt(work: Callable[[Item], Outcome], item: Item) -> Outcome | InputError:
    try:
        return work(item)
    except InputError as error:
        return error


def _cores() -> int:
    # The cores this process may use, where the system tells; a container's share is often smaller than the machine.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
