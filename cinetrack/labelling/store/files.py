"""What a store's back end must do: keep files that are written once, and let only one writer have a name.

Labels and leases are logs of numbered files on top of this. Nothing is ever overwritten, so a file read once can be
kept for good, and "the next number was taken" is all that is needed to notice another writer, on every back end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Protocol


class AlreadyThere(Exception):
    """Someone else has written the file that only one writer may write."""


class WriteOnceFiles(Protocol):
    """Files under relative names with "/" between folders. Safe to use from several threads."""

    location: str  # for people

    def names(self, folder: str) -> list[str]:
        """Names of all files below `folder`, at any depth, sorted; none where there is no such folder."""

    def read(self, name: str) -> bytes:
        """A file's content. Raises FileNotFoundError."""

    def create(self, last: str, files: Mapping[str, bytes]) -> None:
        """Write several new files; `last`, one of them, is seen only when all others can be read.

        The others' names must be the caller's alone (a random part in the folder's name).

        Raises:
            AlreadyThere: `last` exists; exactly one of several concurrent writers gets it.
        """

    def delete(self, names: Iterable[str]) -> None:
        """Remove files; those that are gone already are passed over."""


def safe_name(text: str) -> str:
    """A file or folder name for any text, different for different texts: other characters than A-Z a-z 0-9 _ . -
    become ~hex~, as does a leading dot."""
    escaped = re.sub(r"[^A-Za-z0-9_.-]", lambda match: f"~{ord(match[0]):x}~", text)
    return re.sub(r"^\.", "~2e~", escaped)


def check_name(name: str) -> str:
    """`name` unless it could lead out of the store: a ValueError is our own bug, names come from `safe_name`."""
    parts = PurePosixPath(name).parts
    if (
        not name
        or name.startswith("/")
        or "\\" in name
        or any(part in ("..", ".") for part in name.split("/"))
        or not parts
    ):
        raise ValueError(f"store: expected a relative name, found {name!r}")
    return name
