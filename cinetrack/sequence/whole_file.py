"""Whether a file has reached the disk whole, before it takes the place of another.

Writers of images and films keep to themselves that a disk was full: what they leave is shorter than it should be, or
empty. A short answer must not look like one.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import cv2

# Less room than this beside a file that came out short, and the disk is to blame.
LITTLE_ROOM_BYTES = 1 << 20


def flush_to_disk(path: Path) -> None:
    """Wait until a written file is on the disk. Raises OSError where it is empty or does not fit."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        if os.fstat(file.fileno()).st_size == 0:
            raise not_whole(path, "empty")


def check_film(path: Path, frames: int) -> None:
    """Raise OSError unless `path` is a film of so many frames: OpenCV's writer reports nothing."""
    film = cv2.VideoCapture(str(path))
    found = 0
    while film.grab():
        found += 1
    film.release()
    if found != frames:
        raise not_whole(path, f"{found} of {frames} frames long")


def named(error: OSError, temporary: Path, target: Path) -> OSError:
    """The error of a failed write with the name of the file that was wanted, for the temporary one's or for none."""
    if error.errno is not None and error.filename in (None, str(temporary)):
        error.filename = str(target)
    return error


def not_whole(path: Path, found: str) -> OSError:
    """The error for a file that came out wrong: no space left, where that is so."""
    is_full = shutil.disk_usage(path.parent).free < LITTLE_ROOM_BYTES
    code = errno.ENOSPC if is_full else errno.EIO
    return OSError(code, f"{os.strerror(code)}: the file came out {found}", str(path))
