"""Signed distance to a mask's outline: a smooth stand-in for logits, zero crossing at the outline."""

from __future__ import annotations

import cv2
import numpy as np


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance to the outline in pixels, positive inside.

    Args:
        mask: (H, W) bool.
    Returns:
        (H, W) float32; pixel centres next to the outline are at +0.5 and -0.5, so `> 0` is the mask.
        A mask without outline (empty or full) is as far from one as the frame is large.
    """
    far = float(np.hypot(*mask.shape))
    if not mask.any():
        return np.full(mask.shape, -far, dtype=np.float32)
    if mask.all():
        return np.full(mask.shape, far, dtype=np.float32)
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float32)
