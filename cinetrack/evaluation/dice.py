"""Dice similarity coefficient of two mask series, frame by frame."""

from __future__ import annotations

import numpy as np


def dice_coefficients(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """2 |P and T| / (|P| + |T|) of every frame.

    Args:
        predicted, reference: (T, H, W) bool, same shape.
    Returns:
        (T,) float32, the precision the challenge keeps; NaN where both masks are empty.
    """
    shared = np.count_nonzero(predicted & reference, axis=(1, 2))
    total = np.count_nonzero(predicted, axis=(1, 2)) + np.count_nonzero(reference, axis=(1, 2))
    with np.errstate(invalid="ignore"):
        return (2 * shared / total).astype(np.float32)
