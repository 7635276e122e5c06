"""Write a checkpoint: whole under another name first, then in the place of the one before.

torch writes archives from C++, and a full disk there ends in an error that does not say so. The bytes go through a
Python file instead, are flushed to the disk, and the archive's own list of records is read back before the rename.
"""

from __future__ import annotations

import errno
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from cinetrack.errors import InputError
from cinetrack.runs.failure import NO_ROOM
from cinetrack.sequence.atomic_write import atomic_path


def save_checkpoint(content: dict[str, Any], target: Path) -> None:
    """Write what `torch.save` takes to `target`. Raises as `checkpoint_file`."""
    with checkpoint_file(target) as file:
        torch.save(content, file)


@contextmanager
def checkpoint_file(target: Path) -> Iterator[BinaryIO]:
    """A file for `torch.save`, which takes the place of `target` once it is known to be whole.

    Raises:
        InputError: there is no space left, or no permission. `target` is then as it was.
    """
    try:
        with atomic_path(target) as temporary, _explained(target):
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _check_whole(temporary)
    except OSError as error:
        raise InputError(f"{target}: expected to write a checkpoint there, found {error.strerror or error}") from None


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    """Say that a disk is full, however deep in torch's own error that lies."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OSError) and cause.errno in NO_ROOM:
                raise InputError(
                    f"{target}: expected room for a checkpoint, found no space left on the device "
                    f"({os.strerror(cause.errno)}); the one before, if any, is kept"
                ) from None
            cause = cause.__cause__ or cause.__context__
        raise


def _check_whole(path: Path) -> None:
    """Raise OSError where an archive's records end beyond the file, or its list of them is not there."""
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            stored = sum(record.compress_size for record in archive.infolist())
    except zipfile.BadZipFile:
        stored = -1
    if not 0 <= stored <= size:
        raise OSError(errno.EIO, f"a file of {size} bytes that is not whole")
