"""How much a file may unfold to: readers take memory for what a header promises, before they look at the data."""

from __future__ import annotations

from pathlib import Path

from cinetrack.errors import InputError
from cinetrack.sequence.tiff_check import ALWAYS_ALLOWED_BYTES, MOST_UNFOLDING


def check_promise(path: Path, promised_bytes: int, is_compressed: bool) -> None:
    """Raise InputError where a file of this size cannot hold what its header promises, or only as a bomb does.

    Args:
        promised_bytes: of the data, not compressed.
    """
    size = path.stat().st_size
    most = max(ALWAYS_ALLOWED_BYTES, MOST_UNFOLDING * size) if is_compressed else size
    if promised_bytes > most:
        found = "unfolds to" if is_compressed else "promises"
        raise InputError(
            f"{path}: expected an image that fits its file, found one of {size} bytes that {found} {promised_bytes}"
        )


def in_one_line(error: Exception) -> str:
    """What a library says of a file, for an error of ours."""
    return " ".join(str(error).split())[:200]
