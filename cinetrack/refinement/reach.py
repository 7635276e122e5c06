"""Keep a refined mask near the tracker's: a refiner redraws an outline, and should not invent a target elsewhere."""

from __future__ import annotations

import cv2
import numpy as np


def within_reach(refined: np.ndarray, tracked: np.ndarray, reach_px: float) -> np.ndarray:
    """The refined mask without what is far from the tracker's.

    Args:
        refined, tracked: (H, W) bool, the masks of one frame.
        reach_px: the greatest Euclidean distance between pixel centres, in pixels, 0 or more.
    Returns:
        (H, W) bool; empty where the tracker's mask is.
    """
    if not tracked.any():
        return np.zeros_like(refined)
    distance_px = cv2.distanceTransform((~tracked).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return refined & (distance_px <= reach_px)
