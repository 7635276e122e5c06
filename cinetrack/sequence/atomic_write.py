"""Write to a temporary name beside the target, then rename: a reader never sees half a file."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cinetrack.sequence.whole_file import flush_to_disk, named


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path with the target's ending; rename it to `target` on success, delete it otherwise.

    Parent folders are made. Leaves `target` as it was when the block raises.

    Raises:
        OSError: what was written is empty, or does not fit on the disk.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    suffix = "".join(target.suffixes[-2:]) if target.suffix == ".gz" else target.suffix
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}.", suffix=suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        flush_to_disk(temporary)
        # mkstemp makes files private; an output is for whoever may read the folder.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, target)
    except OSError as error:
        raise named(error, temporary, target) from None
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(target: Path) -> None:
    """Delete what processes that were killed were about to rename to `target`; nobody may be writing it now."""
    ours = re.compile(rf"\.{re.escape(target.stem)}\.[a-z0-9_]{{8}}{re.escape(target.suffix)}")  # as mkstemp names them
    for path in target.parent.glob(".*"):
        if ours.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def write_text_atomically(target: Path, text: str) -> None:
    """Write `text` as UTF-8 to `target` by way of a temporary name."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
