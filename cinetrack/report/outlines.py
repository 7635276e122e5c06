"""The outline of a mask as closed polylines, compact enough to draw in a browser."""

from __future__ import annotations

import numpy as np
from skimage.measure import find_contours


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Closed lines halfway between the pixels in and out of a mask, holes too, without points on straight stretches.

    Args:
        mask: (H, W) bool.
    Returns:
        One (N, 2) int array a line, (row, column) in half pixels: 2 is the centre of the pixel with index 1. The
        last point is not the first repeated.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return []
    top, left = rows[0], columns[0]
    crop = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    offset = 2 * np.array([top - 1, left - 1])
    return [_corners(np.rint(2 * line[:-1]).astype(int) + offset) for line in find_contours(crop.astype(float), 0.5)]


def _corners(line: np.ndarray) -> np.ndarray:
    before, after = line - np.roll(line, 1, axis=0), np.roll(line, -1, axis=0) - line
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return line[turns]
