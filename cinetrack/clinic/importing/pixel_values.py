"""Limits on frames' sizes, and grey from colours."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from cinetrack.errors import InputError

LARGEST_SIDE_PX = 4096  # cine-MR frames have some hundred; a small damaged file may promise thousands of millions
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def check_frame_size(path: Path, rows: int, columns: int) -> None:
    """Raise InputError where frames are empty or larger than any cine's: before memory is asked for."""
    if not (0 < rows <= LARGEST_SIDE_PX and 0 < columns <= LARGEST_SIDE_PX):
        raise InputError(
            f"{path}: expected frames of 1 to {LARGEST_SIDE_PX} px a side, found {rows} x {columns} (rows x columns)"
        )


def grey(pixels: np.ndarray) -> tuple[np.ndarray, int]:
    """Brightness of coloured pixels, in their own number type.

    Args:
        pixels: (..., 3) red, green, blue.
    Returns:
        (...) the common value where the three are equal, their luma elsewhere; and the number of those.
    """
    red = pixels[..., 0]
    coloured = (pixels[..., 1] != red) | (pixels[..., 2] != red)
    count = int(np.count_nonzero(coloured))
    if count == 0:
        return red.copy(), 0
    luma = pixels[coloured] @ LUMA
    values = red.copy()
    values[coloured] = np.round(luma).astype(pixels.dtype) if pixels.dtype.kind in "ui" else luma
    return values, count


def natural_order(path: Path) -> tuple[tuple[int, str], ...]:
    """A sorting key by which frame10 follows frame9: numbers in a name count as numbers."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", path.name))
