"""The pickles that nnU-Net keeps beside its preprocessed samples, read first by a reader that runs no code.

nnU-Net's data loaders unpickle `<sample>.pkl`, the sample's spacing and where its labels lie: numbers, text, and numpy
arrays in plain containers. A pickle may call any function; one that names anything else is refused before training.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import blosc2

from cinetrack.errors import InputError

_NUMPY = {
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}
_ALLOWED = {*_NUMPY, ("builtins", "slice"), ("collections", "OrderedDict")}


class _PlainReader(pickle.Unpickler):
    """Builds plain values and numpy arrays only."""

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle asks for by name."""
        if (module, name) not in _ALLOWED:
            raise InputError(f"an object of {module}.{name}")
        return super().find_class(module, name)


def check_properties(folder: Path) -> None:
    """Read the properties of every sample in a folder of preprocessed samples.

    Raises:
        InputError: one is unreadable, or holds anything but plain values; names the file, and what was found.
    """
    for path in sorted(folder.glob("*.pkl")):
        try:
            content = _PlainReader(io.BytesIO(path.read_bytes())).load()
        except InputError as error:
            raise InputError(f"{path}: expected a sample's properties as plain values, found {error}") from None
        except Exception as error:  # a damaged pickle surfaces as almost any error type
            reason = f"{type(error).__name__} {error}".strip()[:200]
            raise InputError(f"{path}: expected a sample's properties, found an unreadable file ({reason})") from None
        if not isinstance(content, dict):
            raise InputError(f"{path}: expected a sample's properties by name, found a {type(content).__name__}")


def check_arrays(folder: Path) -> None:
    """Raise InputError where an image or label that nnU-Net keeps beside the properties is no stored array."""
    for path in sorted(folder.glob("*.b2nd")):
        try:
            found = blosc2.open(str(path), mode="r")  # which refuses arrays that would be calculated by code
        except Exception as error:  # of many kinds, by what is wrong
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{path}: expected a sample's array, found an unreadable file ({reason})") from None
        if not isinstance(found, blosc2.NDArray):
            raise InputError(f"{path}: expected a sample's array, found a {type(found).__name__}")
