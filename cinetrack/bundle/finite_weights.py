"""Whether a checkpoint's tensors can be weights at all: dense, stored whole, and finite.

A network with a NaN in it gives logits of NaN, none of which is above 0: an empty mask that looks like "no target".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from cinetrack.errors import BundleError


def check_weights(weights: Mapping[Any, Any], path: Path) -> None:
    """Raise BundleError, naming `path` and the first tensor at fault, where tensors are not finite or not stored whole.

    Args:
        weights: name -> tensor; other values are left alone, as are integers and truth values among the tensors.
        path: the file that they were read from.
    """
    for name, value in weights.items():
        if not isinstance(value, torch.Tensor):
            continue
        if value.layout != torch.strided or value.is_quantized or value.device.type == "meta":
            kind = "no values" if value.device.type == "meta" else "a sparse or quantized tensor"
            raise BundleError(f"{path}: expected weights as plain tensors, found {kind} in {name}")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise BundleError(
                f"{path}: expected weights that are stored whole, found {name} of {tuple(value.shape)} "
                f"from {value.untyped_storage().nbytes()} bytes"
            )
        if not is_finite(value):
            raise BundleError(f"{path}: expected finite weights, found {_first_bad_value(value)} in {name}")


def is_finite(value: torch.Tensor) -> bool:
    """Whether a tensor holds no NaN and no infinity."""
    if not (value.is_floating_point() or value.is_complex()) or value.numel() == 0:
        return True
    if value.element_size() == 1:  # float8 types have no arithmetic
        value = value.float()
    # One pass without a temporary: a NaN or an infinity makes the sum one. A sum may also overflow; then look closer.
    return bool(torch.isfinite(value.sum())) or bool(torch.isfinite(value).all())


def _first_bad_value(value: torch.Tensor) -> str:
    value = value.float() if value.element_size() == 1 else value
    number = value[~torch.isfinite(value)][0].item()
    return "NaN" if isinstance(number, complex) or math.isnan(number) else f"{number}"
