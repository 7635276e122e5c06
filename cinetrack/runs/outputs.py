"""Whether an output could be written, asked before the work rather than after it, and where temporary files may go."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cinetrack.errors import InputError


def check_output_folder(folder: Path) -> None:
    """Raise InputError where nothing could be written below `folder`. Leaves nothing behind."""
    existing = _existing(folder)
    if not existing.is_dir():
        raise InputError(f"{folder}: expected a writable output folder, found {existing} to be a file")
    try:
        with tempfile.TemporaryFile(dir=existing) as probe:  # what permissions say is not true of every file system
            probe.write(b"\0")
    except OSError as error:
        raise InputError(
            f"{folder}: expected a writable output folder, found {existing} to be a folder that may not be written to "
            f"({error.strerror or error})"
        ) from None


def check_output_file(path: Path) -> None:
    """Raise InputError where no file could be written at `path`."""
    if path.is_dir():
        raise InputError(f"{path}: expected the name of a file to write, found a folder")
    check_output_folder(path.parent)


def find_temporary_folder(instead: Path | None = None) -> None:
    """See to it that small temporary files can be made, where the system has no folder for them in `instead`, or in the
    folder in which that will be made.

    Raises:
        InputError: there is neither.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        if instead is None:
            raise InputError(
                "expected a writable folder for temporary files, as TMPDIR or /tmp names it, found none"
            ) from None
        tempfile.tempdir = str(_existing(instead))


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
