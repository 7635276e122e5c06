"""Read the json files that come with a model, within bounds: they come from somebody else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from cinetrack.errors import BundleError, InputError
from cinetrack.sequence.json_files import read_json

MOST_BYTES = 8_000_000  # nnU-Net's plans have some 20 KB
LARGEST_NUMBER = 2**53


def read_model_json(path: Path, finite: bool = True) -> Any:
    """Parse a json file of a model.

    Args:
        finite: whether NaN and infinity are refused; nnU-Net itself writes them as statistics of empty channels.
    Raises:
        BundleError: the file is missing, unreadable, too large, or holds a number out of all proportion.
    """
    try:
        if path.is_file() and path.stat().st_size > MOST_BYTES:
            raise BundleError(f"{path}: expected json of at most {MOST_BYTES} bytes, found {path.stat().st_size}")
        content = read_json(path)
    except InputError as error:
        raise BundleError(str(error)) from None
    check_numbers(path, content, finite)
    return content


def check_numbers(path: Path, node: Any, finite: bool) -> None:
    """Raise BundleError, naming `path`, for a number within `node` that is out of all proportion, or no number.

    Args:
        node: plain values, and dictionaries and lists of these.
        finite: whether NaN and infinity are refused.
    """
    waiting = [node]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
            waiting.extend(value)
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            raise BundleError(
                f"{path}: expected numbers of a usual size, found a whole number of {value.bit_length()} bits"
            )
        elif finite and isinstance(value, float) and not math.isfinite(value):
            raise BundleError(f"{path}: expected finite numbers, found {value}")
