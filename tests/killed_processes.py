"""A process is killed, and none of those that it started may outlive it."""

from __future__ import annotations

import signal
import subprocess
import time

import psutil


def kill_and_expect_no_orphans(process: subprocess.Popen, workers: list[psutil.Process]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while (alive := [worker for worker in workers if is_alive(worker)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for worker in alive:
        worker.kill()
    assert not alive


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended stays a zombie where nobody asks how it ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
