"""Build a network from a configuration that comes from elsewhere, without more memory than its weights call for.

A layer allocates its parameters as it is made. What is asked for is added up before it is given, so that a
configuration of another size than the checkpoint beside it is refused while little is in use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cinetrack.errors import BundleError

# Beside the weights: position tables, and tensors that are only needed while building.
SPARE_BYTES = 64_000_000
# Measured: building makes as many tensors as a checkpoint has, and at most 60 more.
SPARE_TENSORS = 500
# Without a checkpoint to go by. SAM2.1 Large has 0.9 GB in 957 tensors.
UNTRAINED_BYTES, UNTRAINED_TENSORS = 4_000_000_000, 4_000
MOST_ENTRIES = 256
LARGEST_SETTING = 10_000  # the temperature of SAM2's position encodings

_SIZED = {"empty", "empty_strided", "zeros", "ones", "full", "rand", "randn", "randint"}
_COUNTED = {"arange", "linspace", "logspace", "randperm"}


class BuildLimit(TorchDispatchMode):
    """Refuses tensors beyond what a network with these weights is made of.

    Args:
        path: of the configuration, for the error's sake.
        weights: name -> tensor, of the checkpoint; None for a network that is yet to be trained.
    Attributes:
        refusal: the error's text where something was refused; "" otherwise. A library may have wrapped the error.
    """

    def __init__(self, path: Path, weights: Mapping[Any, Any] | None) -> None:
        super().__init__()
        self._path = path
        tensors = () if weights is None else [value for value in weights.values() if isinstance(value, torch.Tensor)]
        # Checkpoints may be of half precision; a network is built in float32.
        needed = sum(value.numel() for value in tensors) * 4
        self._most_bytes = UNTRAINED_BYTES if weights is None else needed * 3 // 2 + SPARE_BYTES
        self._most_tensors = UNTRAINED_TENSORS if weights is None else 2 * len(tensors) + SPARE_TENSORS
        self._bytes = self._tensors = 0
        self.refusal = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """torch calls this for each of its operations."""
        kwargs = kwargs or {}
        wanted = _numbers_made(func, args)
        if wanted:
            dtype = kwargs.get("dtype")
            self._bytes += wanted * (dtype or torch.float32).itemsize
            self._tensors += 1
            if self._bytes > self._most_bytes:
                self._refuse(f"a network of at most {self._most_bytes / 1e6:.0f} MB for these weights")
            if self._tensors > self._most_tensors:
                self._refuse(f"a network of at most {self._most_tensors} tensors for these weights")
        return func(*args, **kwargs)

    def _refuse(self, expected: str) -> None:
        self.refusal = f"{self._path}: expected {expected}, found a larger one"
        raise BundleError(self.refusal)


def check_settings(node: Any, path: Path, where: str) -> None:
    """Raise BundleError for numbers and lists that no network's settings have, before anything is counted by them.

    Args:
        node: plain values, and dictionaries and lists of these.
        where: of the file at `path`.
    """
    if isinstance(node, (dict, list, tuple)):
        if len(node) > MOST_ENTRIES:
            raise BundleError(f"{path}: {where}: expected at most {MOST_ENTRIES} entries, found {len(node)}")
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            check_settings(value, path, f"{where}.{key}")
    elif isinstance(node, (int, float)) and abs(node) > LARGEST_SETTING:
        raise BundleError(f"{path}: {where}: expected a number up to {LARGEST_SETTING}, found {node}")


def _numbers_made(func: Any, args: Any) -> int:
    name = func._schema.name.removeprefix("aten::").removeprefix("new_")
    if name in _SIZED:
        size = next((argument for argument in args if isinstance(argument, (list, tuple))), ())
        return math.prod(size)
    if name in _COUNTED:
        return int(max((abs(argument) for argument in args if isinstance(argument, (int, float))), default=0))
    if name == "clone":
        return int(args[0].numel())
    return 0
