"""The small json files beside a series: one number or one word each."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from cinetrack.errors import InputError


MOST_DIGITS = 300  # of a whole number: longer ones fit no float, and raise in the middle of a calculation


def read_json(path: Path) -> Any:
    """Parse a json file. Raises InputError where it is missing, unreadable or not json."""
    try:
        if path.exists() and not path.is_file():  # a named pipe would be waited for without end
            raise InputError(f"{path}: expected a json file, found something else than a file")
        return parse_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: expected a json file, found none") from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no json, no UTF-8, or digits without end
        raise InputError(f"{path}: expected json, found something unreadable ({error})") from None


def parse_json(content: bytes) -> Any:
    """Parse json in any encoding that it may have, with a byte-order mark or without.

    Raises:
        ValueError: no json, or a whole number of more digits than any float holds.
        RecursionError: nested without end.
    """
    return json.loads(content, parse_int=_whole_number)  # of bytes it tells the encoding


def read_positive_number(path: Path, unit: str) -> float:
    """Read a json file that holds one positive, finite number in `unit`."""
    value = read_json(path)
    # bool is an int in Python; true is no frame rate. A very long integer overflows float.
    try:
        usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    except OverflowError:
        usable = False
    if not usable:
        raise InputError(f"{path}: expected a positive number ({unit}), found {_short(value)}")
    return float(value)


def read_word(path: Path, meaning: str) -> str:
    """Read a json file that holds one non-empty, printable string."""
    value = read_json(path)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise InputError(f"{path}: expected a string ({meaning}), found {_short(value)}")
    return value


def _whole_number(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits instead of numbers of a usual size")
    return int(digits)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
