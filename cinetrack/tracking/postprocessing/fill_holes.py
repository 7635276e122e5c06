"""Fill holes in each frame's mask: the method's last step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.ndimage import binary_fill_holes

from cinetrack.sequence.cine_sequence import Spacing
from cinetrack.settings import Settings
from cinetrack.tracking.postprocessing.step import PostProcessing, TargetMasks


@dataclass(frozen=True)
class FillHolesSettings(Settings):
    """There is nothing to set."""

    kind: ClassVar[str] = "fill_holes"
    on_device: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ()

    def load(self, folder: Path, device: str) -> PostProcessing:
        """The step."""
        return FillHoles()


class FillHoles:
    """Fills holes; it remembers nothing, and so is the same for every target."""

    name = "hole filling"

    def found(self, mask: np.ndarray) -> np.ndarray:
        """The mask, its holes filled."""
        return fill_holes(mask)

    def start(self, frame: np.ndarray, mask: np.ndarray, spacing_mm: Spacing) -> TargetMasks:
        """Begin with a prompted frame."""
        return self

    def step(self, frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The mask of the next frame, its holes filled."""
        return fill_holes(mask)

    def copy(self) -> TargetMasks:
        """Itself: there is no state."""
        return self


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Set every background pixel that the mask encloses (4-connected background, as scipy's default).

    Args:
        mask: (H, W) bool.
    Returns:
        (H, W) bool.

    Examples:
        >>> ring = np.ones((3, 3), dtype=bool)
        >>> ring[1, 1] = False
        >>> bool(fill_holes(ring)[1, 1])
        True
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return mask
    # A hole lies inside the mask's bounding box; the search is quadratic in the image's side otherwise.
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    filled = mask.copy()
    filled[box] = binary_fill_holes(mask[box])
    return filled
