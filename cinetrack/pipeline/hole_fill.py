"""Fill holes in one frame's mask: the method's last step."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_fill_holes


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Set every background pixel that the mask encloses (4-connected background, as scipy's default).

    Args:
        mask: (H, W) bool.
    Returns:
        (H, W) bool.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return mask
    # A hole lies inside the mask's bounding box; the search is quadratic in the image's side otherwise.
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    filled = mask.copy()
    filled[box] = binary_fill_holes(mask[box])
    return filled
