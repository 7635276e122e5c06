"""From raw MR intensity to what the models are fed: finite numbers, and 8-bit frames.

The paper scales every frame between its own minimum and maximum to 8 bit, so the models never see scanner units.
"""

from __future__ import annotations

import numpy as np


def finite_frame(frame: np.ndarray) -> tuple[np.ndarray, int]:
    """Replace NaN and infinities by the frame's smallest finite value (0 where there is none).

    A dropped k-space line must not end a treatment: the rest of the frame still shows the anatomy.

    Args:
        frame: any shape, any real type.
    Returns:
        The frame (itself where all is finite) and the number of pixels replaced.
    """
    if frame.dtype.kind != "f":
        return frame, 0
    finite = np.isfinite(frame)
    bad = frame.size - int(finite.sum())
    if bad == 0:
        return frame, 0
    floor = frame[finite].min() if bad < frame.size else frame.dtype.type(0)
    return np.where(finite, frame, floor), bad


def min_max_8bit(frame: np.ndarray) -> np.ndarray:
    """Scale one frame between its own minimum and maximum to 0..255, rounding down.

    Args:
        frame: (H, W), any real type; NaN and infinities count as the smallest finite value.
    Returns:
        (H, W) uint8; all 0 for a constant frame, which has no range to scale.
    """
    finite, _ = finite_frame(np.asarray(frame))
    # float64 and half the range: the difference of two float64 extremes may itself overflow.
    values = finite.astype(np.float64) * 0.5
    low, high = values.min(), values.max()
    if high <= low:
        return np.zeros(values.shape, dtype=np.uint8)
    # 1e-9 keeps whole numbers whole through the division, so that scaling a scaled frame changes nothing.
    return ((values - low) / (high - low) * 255.0 + 1e-9).astype(np.uint8)
