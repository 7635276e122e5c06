"""Keep a refined mask near the tracker's: a refiner redraws an outline, and should invent neither targets nor holes."""

from __future__ import annotations

import cv2
import numpy as np


def within_reach(mask: np.ndarray, reach_px: float) -> np.ndarray:
    """Where a refined mask may differ from the tracker's.

    Args:
        mask: (H, W) bool, the tracker's.
        reach_px: the greatest Euclidean distance to a pixel on the other side of the mask's outline, between centres,
            in pixels, 0 or more.
    Returns:
        (H, W) bool; empty where the mask has no outline, being empty or full.
    """
    if not mask.any() or mask.all():
        return np.zeros_like(mask)
    # Each is 0 where the other is not.
    return _distance_to_zeros(mask) + _distance_to_zeros(~mask) <= reach_px


def _distance_to_zeros(mask: np.ndarray) -> np.ndarray:
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
