"""Keep a refined mask near the tracker's: a refiner redraws an outline, and should not invent a target elsewhere."""

from __future__ import annotations

import cv2
import numpy as np


def within_reach(mask: np.ndarray, reach_px: float) -> np.ndarray:
    """Where a refined mask may lie.

    Args:
        mask: (H, W) bool, the tracker's.
        reach_px: the greatest Euclidean distance of a pixel's centre from the mask's, in pixels, 0 or more.
    Returns:
        (H, W) bool; empty where the mask is.
    """
    if not mask.any():
        return np.zeros_like(mask)
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= reach_px
