"""A case that failed: it is named, the others go on, and the exit code tells of it."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cinetrack.errors import InputError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, a quota, a limit on one file
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """A case that could not be used, and why in one line. `is_input`: the case is at fault, not we."""

    case_id: str
    error: str
    is_input: bool = True

    def as_json(self) -> dict[str, str]:
        """As metrics.json and the report name it."""
        return {"case_id": self.case_id, "error": self.error}


def failure_of(case_id: str, error: Exception) -> Failure:
    """The failure that an exception is; of one that is our fault the traceback is logged."""
    if isinstance(error, InputError):
        return Failure(case_id, str(error))
    if isinstance(error, OSError) and error.errno in NO_ROOM:  # a traceback would say no more
        return Failure(case_id, f"{error.filename or 'output'}: {os.strerror(error.errno)}", is_input=False)
    logger.error("%s: failed", case_id, exc_info=error)
    return Failure(case_id, f"{type(error).__name__}: {error}", is_input=False)


def report_failures(failures: Sequence[Failure]) -> int:
    """Print a line on stderr for each; returns the exit code: 0 for none, 2 for bad input, 1 where we failed."""
    for failure in failures:
        print(f"error: {failure.case_id}: {failure.error}", file=sys.stderr)
    if any(not failure.is_input for failure in failures):
        return 1
    return 2 if failures else 0
