"""Write to a temporary name beside the target, then rename: a reader never sees half a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cinetrack.sequence.drafts import draft_file, draft_folder
from cinetrack.sequence.whole_file import flush_to_disk, named


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path with the target's ending; rename it to `target` on success, delete it otherwise.

    Parent folders are made, and what killed processes left of earlier tries is removed. Leaves `target` as it was when
    the block raises.

    Raises:
        OSError: what was written is empty, or does not fit on the disk.
    """
    with draft_file(target) as temporary:
        try:
            yield temporary
            flush_to_disk(temporary)
            # Drafts are private; an output is for whoever may read the folder.
            temporary.chmod(0o666 & ~_umask())
            os.replace(temporary, target)
        except OSError as error:
            raise named(error, temporary, target) from None


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """The same for a new folder: yield a temporary, empty one.

    Raises:
        OSError: on success `target` is there, and is not an empty folder.
    """
    with draft_folder(target) as temporary:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        os.rename(temporary, target)


def write_text_atomically(target: Path, text: str) -> None:
    """Write `text` as UTF-8 to `target` by way of a temporary name."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
