"""An annotator's bias: outlines that are too wide, too narrow or uneven, in the same way on every frame.

The phantom's outlines lie exactly on the edges of what they enclose, and a refiner taught on nothing else snaps to
edges. People's outlines do not, and are to be followed all the same. On stabilised frames one displacement of all
masks and labels of a sequence is such a bias.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cinetrack.tracking.stabilisation.optical_flow import pixel_grid
from cinetrack.tracking.stabilisation.warping import stabilised_mask

SMOOTHNESS_PX = 8.0  # of the uneven part: a finger's breadth of the outline errs together


def outline_bias(first: np.ndarray, greatest_px: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a bias.

    Args:
        first: (H, W) bool, the outlined target.
        greatest_px: the outline moves by up to as much along an uneven field, and by up to half as much in or out.
    Returns:
        (H, W, 2) float32: where each pixel of the biased masks lies on the given ones, (column, row) in px.
    """
    grid = pixel_grid(first.shape)
    centre = np.array(ndimage.center_of_mass(first)[::-1], np.float32)
    outward = grid - centre
    outward /= np.maximum(np.linalg.norm(outward, axis=-1, keepdims=True), 1)
    uneven = ndimage.gaussian_filter(rng.normal(size=outward.shape), (SMOOTHNESS_PX, SMOOTHNESS_PX, 0))
    uneven *= rng.uniform(0, greatest_px) / np.abs(uneven).max()
    wider = rng.uniform(-greatest_px / 2, greatest_px / 2)
    return (grid - wider * outward + uneven).astype(np.float32)


def biased(masks: np.ndarray, where: np.ndarray) -> np.ndarray:
    """(T, H, W) bool masks drawn with a bias, as `outline_bias` gives it."""
    return np.stack([stabilised_mask(mask, where) for mask in masks])
