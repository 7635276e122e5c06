"""Checks of the values in a `bundle.json`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from cinetrack.errors import BundleError


def expect_keys(value: Any, where: str, required: Iterable[str], optional: Iterable[str]) -> None:
    """Raise BundleError unless `value` is an object with the required keys, and none beyond the optional ones."""
    if not isinstance(value, dict):
        raise BundleError(f"{where}: expected an object with {', '.join(required)}, found {value!r}")
    missing = [key for key in required if key not in value]
    unknown = sorted(value.keys() - {*required, *optional})
    if missing:
        raise BundleError(f"{where}: expected the keys {', '.join(required)}, found no {', '.join(missing)}")
    if unknown:
        known = ", ".join(sorted({*required, *optional}))
        raise BundleError(f"{where}: expected only the keys {known}, found {', '.join(unknown)}")


def inside(name: str) -> str:
    """`name`, a relative path that stays in the bundle's folder; raises BundleError for another."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise BundleError(f"expected a path inside the bundle, found {name!r}")
    if any(len(part.encode(errors="replace")) > 255 for part in path.parts) or len(name) > 2000:
        raise BundleError(f"expected a path of usual length, found {name[:60]!r}... of {len(name)} characters")
    return name


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
