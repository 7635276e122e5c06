"""What the system says of an input that cannot be read is bad input, not a failure of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cinetrack.errors import InputError


@contextmanager
def input_errors(path: Path, wanted: str) -> Iterator[None]:
    """Turn an OSError or MemoryError of the block into an InputError.

    Args:
        path: what is being read, where the system does not name it.
        wanted: what it should hold ("a mask").
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{error.filename or path}: expected {wanted}, found what cannot be read ({reason})") from None
    except MemoryError:
        raise InputError(f"{path}: expected {wanted} that fits into memory, found a larger one") from None
