"""What the refiner sees of a sequence: the last few frames, each an image and the tracker's mask.

The paper feeds frames i-4 to i, oldest first, image and mask interleaved. Before frame 4 the first frame and its mask
(the prompt) fill the gap. Refined masks never come back in: the network was trained on the tracker's.

On stabilised frames, where the target keeps its place, the first frame may keep the first place in the window:
what changed since the target was outlined is then seen at a glance.
"""

from __future__ import annotations

from collections import deque
from copy import copy

import numpy as np

from cinetrack.errors import InputError
from cinetrack.sequence.intensity import min_max_8bit


class FrameWindow:
    """The last `length` frames and masks of a stream. Its memory does not grow with the stream."""

    def __init__(self, length: int, frame: np.ndarray, mask: np.ndarray, keep_first: bool = False) -> None:
        """Start a stream: the first frame and its mask take every place.

        Args:
            length: number of frames, at least 1; at least 2 where the first is kept.
            frame, mask: as for `append`.
            keep_first: whether the first frame stays in the window, in the oldest's place.
        """
        if length < 1 + keep_first:
            raise ValueError(f"refiner window: expected at least {1 + keep_first} frames, found {length}")
        self._shape = np.shape(frame)
        first = self._as_channels(frame, mask)
        self._kept = [first] if keep_first else []
        latest = length - len(self._kept)
        self._frames = deque([first] * latest, maxlen=latest)

    def append(self, frame: np.ndarray, mask: np.ndarray) -> None:
        """Add the newest frame; the oldest one leaves.

        Args:
            frame: (H, W) raw MR intensity, any real type.
            mask: (H, W) bool, the tracker's mask of this frame; may be empty.
        Raises:
            InputError: a shape other than the first frame's, or a mask that is not bool.
        """
        self._frames.append(self._as_channels(frame, mask))

    def channels(self) -> np.ndarray:
        """(2 * length, H, W) float32: image (0 to 255) and mask (0 or 1) of each frame, oldest first."""
        return np.concatenate([*self._kept, *self._frames])

    def copy(self) -> FrameWindow:
        """A window that goes on by itself."""
        twin = copy(self)
        twin._frames = self._frames.copy()
        return twin

    def _as_channels(self, frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
        frame, mask = np.asarray(frame), np.asarray(mask)
        if frame.ndim != 2 or frame.shape != self._shape or frame.size == 0:
            wanted = self._shape if len(self._shape) == 2 else "(H, W)"
            raise InputError(f"frame to refine: expected {wanted} pixels, found {frame.shape}")
        if mask.shape != frame.shape or mask.dtype != np.bool_:
            raise InputError(
                f"mask to refine: expected bool of the frame's {frame.shape} pixels, found {mask.dtype} {mask.shape}"
            )
        return np.stack([min_max_8bit(frame), mask]).astype(np.float32)
