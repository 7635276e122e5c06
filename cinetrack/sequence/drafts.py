"""Unfinished files and folders beside their target, under a name that tells them from anybody else's.

    .<target's name>.<8 characters>.cinetrack-draft<ending>

The process that writes a draft holds a lock on it, which the system frees when the process ends, however it ends. So
whoever writes the same target next removes what dead processes left, and never what a living one is writing, be it in
another container or, where the file system shares its locks, on another machine. Without locks nothing is removed.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MARK = "cinetrack-draft"


@contextmanager
def draft_file(target: Path) -> Iterator[Path]:
    """Yield the path of a new empty file with the target's ending, beside it; what is left of it at the end is deleted.

    Parent folders are made, and drafts of the same target that dead processes left are removed.
    """
    with _locked_draft(target, is_folder=False) as draft:
        yield draft


@contextmanager
def draft_folder(target: Path) -> Iterator[Path]:
    """The same for a folder."""
    with _locked_draft(target, is_folder=True) as draft:
        yield draft


def remove_dead_drafts(target: Path) -> None:
    """Remove the drafts of `target` that no living process writes."""
    stem, suffix = _name_parts(target)
    ours = re.compile(rf"\.{re.escape(stem)}\.[0-9a-f]{{8}}\.{MARK}{re.escape(suffix)}")
    try:
        names = os.listdir(target.parent)
    except OSError:  # not there, or not ours to look into
        return
    for name in filter(ours.fullmatch, names):
        draft = target.parent / name
        try:
            handle = os.open(draft, os.O_RDONLY)
        except OSError:  # gone meanwhile, or another user's
            continue
        try:
            if _lock(handle, wait=False):
                _remove(draft)
        finally:
            os.close(handle)


@contextmanager
def _locked_draft(target: Path, is_folder: bool) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_dead_drafts(target)
    stem, suffix = _name_parts(target)
    while True:
        draft = target.parent / f".{stem}.{secrets.token_hex(4)}.{MARK}{suffix}"
        if is_folder:
            draft.mkdir(mode=0o700)
            handle = os.open(draft, os.O_RDONLY)
        else:
            handle = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        _lock(handle, wait=True)
        if draft.exists():
            break
        os.close(handle)  # a process that was removing dead drafts took it for one, before it was locked
    try:
        yield draft
    finally:
        _remove(draft)
        os.close(handle)


def _name_parts(target: Path) -> tuple[str, str]:
    return target.stem, "".join(target.suffixes[-2:]) if target.suffix == ".gz" else target.suffix


def _lock(handle: int, wait: bool) -> bool:
    """Whether the lock is held now."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # another process's, or a file system without locks
        return False
    return True


def _remove(draft: Path) -> None:
    if draft.is_dir() and not draft.is_symlink():
        shutil.rmtree(draft, ignore_errors=True)
    else:
        draft.unlink(missing_ok=True)
