"""Read a PyTorch checkpoint without running any code it may carry, and tell its weights from a network's own.

A .pth file is a pickle, and a pickle can call any function. torch's restricted reader (`weights_only=True`) builds
tensors and plain containers only. The trainers whose files we read (nnU-Net's, SAM2's) also store numpy numbers beside
the weights: those, and nothing else, are allowed on top, for the duration of one call.
"""

from __future__ import annotations

import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cinetrack.bundle.finite_weights import check_weights
from cinetrack.errors import BundleError

FORCE_VARIABLE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # torch's own; overrules a caller's weights_only=False


def load_weights(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Returns:
        The dictionary that was saved: tensors, numbers, text and containers of these.
    Raises:
        BundleError: the file is missing, is no PyTorch checkpoint, holds no dictionary, or holds objects other than
            those above. Such a file is refused before any of its code could run.
    """
    if not path.is_file():
        raise BundleError(f"{path}: expected a PyTorch checkpoint, found no such file")
    try:
        _check_stored(path)
        # torch warns of pickle versions that it may not know; what it cannot read, it refuses below.
        with torch.serialization.safe_globals(_numpy_numbers()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except BundleError:
        raise
    except pickle.UnpicklingError as error:
        # torch's message runs over several lines and advises to load the file unsafely.
        named = re.search(r"GLOBAL (\S+)", str(error))
        found = f"an object of {named[1]}" if named else "a pickle of other things"
        raise BundleError(f"{path}: expected a PyTorch checkpoint of weights and plain values, found {found}") from None
    # A damaged archive or pickle surfaces as almost any error type, depending on where it breaks.
    except Exception as error:
        reason = f"{type(error).__name__} {(str(error).splitlines() or [''])[0]}".strip()
        raise BundleError(f"{path}: expected a PyTorch checkpoint, found an unreadable file ({reason})") from None
    if not isinstance(content, dict):
        raise BundleError(f"{path}: expected a PyTorch checkpoint with a dictionary, found a {type(content).__name__}")
    return content


def load_network(path: Path, key: str) -> dict[str, Any]:
    """Read the weights that a checkpoint keeps under `key`, by name.

    Raises:
        BundleError: as `load_weights`; or there is no such key, or a tensor there is not finite.
    """
    content = load_weights(path)
    weights = content.get(key)
    if not isinstance(weights, dict):
        found = ", ".join(map(str, list(content)[:5])) or "nothing"
        raise BundleError(f'{path}: expected weights under the key "{key}", found {found}')
    check_weights(weights, path)
    return weights


@contextmanager
def code_refused() -> Iterator[None]:
    """Within the block `torch.load` reads what `load_weights` reads and runs no code, whoever calls it, and how."""
    before = os.environ.get(FORCE_VARIABLE)
    os.environ[FORCE_VARIABLE] = "1"
    try:
        with torch.serialization.safe_globals(_numpy_numbers()):
            yield
    finally:
        if before is None:
            del os.environ[FORCE_VARIABLE]
        else:
            os.environ[FORCE_VARIABLE] = before


def differences(own: dict[str, torch.Tensor], given: dict[str, torch.Tensor]) -> str:
    """Which tensors differ from a network's own, the first few of each kind; "" where none does."""
    missing = [name for name in own if name not in given]
    extra = [name for name in given if name not in own]
    shapes = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(value.shape)}"
        for name, value in own.items()
        if name in given and given[name].shape != value.shape
    ]
    return "; ".join(
        f"{what} {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        for what, names in (("without", missing), ("with unknown", extra), ("of other shapes:", shapes))
        if names
    )


def _check_stored(path: Path) -> None:
    """torch stores its records as they are; a compressed one may unfold to any size. Raises BundleError."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":  # torch's own test; before 1.6 its files were no zip archives
            return
    with zipfile.ZipFile(path) as archive:
        unfolded = sum(record.file_size for record in archive.infolist())
    if unfolded > path.stat().st_size:
        raise BundleError(
            f"{path}: expected a PyTorch checkpoint of uncompressed records, found {path.stat().st_size} bytes that "
            f"unfold to {unfolded}"
        )


def _numpy_numbers() -> list[Any]:
    """What numpy scalars are rebuilt from, under the module names of numpy 1 and numpy 2."""
    allowed: list[Any] = [np.dtype, *{type(np.dtype(code)) for code in "?bBhHiIlLqQefd"}]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):

        def scalar(dtype: np.dtype, data: bytes) -> np.generic:
            return np.frombuffer(data, dtype, count=1)[0]  # refuses object types, unlike numpy's own

        # torch looks functions up by these two names; torch 2.5 knows no other way to give an alias.
        scalar.__module__, scalar.__qualname__ = module, "scalar"
        allowed.append(scalar)
    return allowed
