"""Catch what C libraries write to stderr past Python: file readers report there what their return value hides."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

# Two blocks that overlapped would put back each other's file, and the process's own stderr would be lost.
_one_at_a_time = threading.RLock()


@contextmanager
def native_messages() -> Iterator[list[str]]:
    """Yield a list that holds, after the block, the lines written to file descriptor 2 within it.

    The descriptor belongs to the whole process: what other threads write there meanwhile is caught as well. Blocks of
    several threads wait for each other.
    """
    lines: list[str] = []
    with _one_at_a_time, _scratch() as caught:
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            lines += [line for line in caught.read().decode("utf-8", "replace").splitlines() if line.strip()]


def _scratch() -> BinaryIO:
    # In memory where the system can: a container may have no writable /tmp, and a disk may be full.
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("messages"), "w+b")
    return tempfile.TemporaryFile()
