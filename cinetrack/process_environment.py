"""How torch's threads share a machine's cores, settled before torch is imported.

torch computes with OpenMP (GNU's libgomp), whose threads by default wait for their next piece of work by turning in
circles. With two such processes on the same cores, each keeps the other's working threads from theirs. Waiting asleep
costs little alone and much less together; `docs/how-to/busy-machines.md` has what was measured.

libgomp reads these variables once, when it is loaded: commands call `settle_threads` first of all.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

THREADS = "OMP_NUM_THREADS"
# What decides how libgomp, or Intel's and LLVM's OpenMP in its place, waits.
WAITING_NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
# Turns before a thread of libgomp falls asleep; its default is 300,000, some milliseconds.
SPINS = "3000"
_QUOTAS = (Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))


def settle_threads() -> None:
    """Let torch's threads fall asleep soon, and be no more than the cores that this process may use.

    Leaves alone what the user has set. Processes that this one starts inherit it.
    """
    if not any(name in os.environ for name in WAITING_NAMES):
        os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": SPINS}
    cores = usable_cores()
    # torch counts a machine's cores, also in a container that may use two of sixty-four. Where all may be used its
    # own choice, one thread a physical core, is left alone.
    if THREADS not in os.environ and cores < (os.cpu_count() or 1):
        os.environ[THREADS] = str(cores)


def usable_cores() -> int:
    """Cores that this process may use: by its affinity, and by a container's share of processor time, rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _quota() -> float | None:
    """Cores' worth of processor time that the control group allows; None where it sets no limit."""
    for path in _QUOTAS:
        try:
            words = path.read_text().split()
            if path.name != "cpu.max":  # version 1 keeps the period in a file of its own
                words += path.with_name("cpu.cfs_period_us").read_text().split()
            quota, period = float(words[0]), float(words[1])
        except (OSError, ValueError, IndexError):  # "max": no limit
            continue
        if quota > 0 and period > 0:  # version 1 says -1 for no limit
            return quota / period
    return None
