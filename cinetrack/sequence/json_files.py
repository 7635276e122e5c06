"""The small json files beside a series: one number or one word each."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from cinetrack.errors import InputError


def read_json(path: Path) -> Any:
    """Parse a json file. Raises InputError where it is missing, unreadable or not json."""
    try:
        return json.loads(path.read_bytes())  # of bytes it tells the encoding, and passes over a byte-order mark
    except FileNotFoundError:
        raise InputError(f"{path}: expected a json file, found none") from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no json, no UTF-8, or digits without end
        raise InputError(f"{path}: expected json, found something unreadable ({error})") from None


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


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
