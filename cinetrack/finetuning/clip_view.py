"""What of a clip the network is shown, where the tracker will not show it whole frames as they are.

A tracker that works in the target's surroundings, or on stabilised frames, is trained on just that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cinetrack.tracking.prompts import MaskPrompt
from cinetrack.tracking.region import Region
from cinetrack.tracking.stabilisation.stabiliser import stabilised_clip


@dataclass(frozen=True)
class ClipView:
    """How clips are cut and warped.

    Attributes:
        stabilise: warp all frames onto the first.
        region_px: range of the side of the square around one of the targets that is cut out; None for whole frames.
    """

    stabilise: bool = False
    region_px: tuple[int, int] | None = None

    def of(self, frames: np.ndarray, masks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The part that is shown.

        Args:
            frames: (T, H, W), any real type.
            masks: (T, K, H, W) bool; one of them or more shows on frame 0.
            rng: draws the target whose surroundings are cut out, and their size.
        Returns:
            frames (T, h, w) and masks (T, K, h, w) bool.
        """
        if self.stabilise:
            frames, masks = stabilised_clip(frames, masks)
        if self.region_px is not None:
            target = int(rng.choice(np.flatnonzero(masks[0].any(axis=(1, 2)))))
            side_px = int(rng.integers(*self.region_px, endpoint=True))
            region = Region.around(MaskPrompt(masks[0, target]), side_px, frames.shape[1:])
            frames, masks = (array[..., region.rows, region.columns] for array in (frames, masks))
        return frames, masks
