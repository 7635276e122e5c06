"""From raw MR intensity to what the models are fed: finite numbers, and 8-bit frames.

The paper scales every frame between its own minimum and maximum to 8 bit, so the models never see scanner units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

EXACT_INTEGERS = 2**52  # float64 tells integers up to here apart
ORDINARY_SIZES = (1e-100, 1e100)  # of a series' largest number: sums, differences and quotients stay finite


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


@dataclass(frozen=True)
class NumberRange:
    """How a series' numbers are brought to where float64 calculates well; ordinary ones stay as they are.

    Neighbouring 64-bit integers near 2^63 are one number in float64, and sums of numbers near 1e308 are infinite.

    Attributes:
        origin: is subtracted from integers first, exactly.
        shift: real numbers are multiplied by 2^shift.
    """

    origin: int = 0
    shift: int = 0

    @classmethod
    def of(cls, frame: np.ndarray) -> NumberRange:
        """From one frame of a series, of any shape and real type."""
        finite, _ = finite_frame(frame)
        if finite.dtype.kind in "iu" and finite.dtype.itemsize == 8:
            low, high = int(finite.min()), int(finite.max())
            return cls(origin=low) if max(abs(low), abs(high)) > EXACT_INTEGERS else cls()
        if finite.dtype.kind == "f":
            size = float(max(abs(finite.min()), abs(finite.max())))
            if size > 0 and not ORDINARY_SIZES[0] < size < ORDINARY_SIZES[1]:
                return cls(shift=-math.frexp(size)[1])
        return cls()

    def values(self, frame: np.ndarray) -> np.ndarray:
        """A frame's numbers as float64; NaN and infinities count as its smallest finite value.

        Other frames than the one that this was made from may hold larger numbers still: those become infinite.
        """
        finite, _ = finite_frame(frame)
        if self.origin:
            # Modulo 2^64, where differences cannot overflow.
            above = finite >= np.array(self.origin, finite.dtype)
            difference = finite.view(np.uint64) - np.uint64(self.origin % 2**64)
            return np.where(above, difference.astype(np.float64), -((~difference + np.uint64(1)).astype(np.float64)))
        values = finite.astype(np.float64)
        if self.shift:
            with np.errstate(over="ignore", under="ignore"):
                values = np.ldexp(values, self.shift)
        return values


def gain_8bit(low: float, high: float) -> tuple[float, float]:
    """What to multiply `values - low` with so that `high` becomes 255, and the `high` that is meant.

    A window without width gets one: neither a constant frame nor a spike beside background may divide by zero.
    """
    width = high - low
    if not (width > 0 and math.isfinite(255.0 / width)):
        high = low + max(1.0, 4 * float(np.spacing(abs(low))))
    return 255.0 / (high - low), high


def min_max_8bit(frame: np.ndarray) -> np.ndarray:
    """Scale one frame between its own minimum and maximum to 0..255, rounding down.

    Args:
        frame: (H, W), any real type; NaN and infinities count as the smallest finite value.
    Returns:
        (H, W) uint8; all 0 for a constant frame, which has no range to scale.
    """
    frame = np.asarray(frame)
    # Half the range: the difference of two float64 extremes may itself overflow.
    values = NumberRange.of(frame).values(frame) * 0.5
    low, high = values.min(), values.max()
    if high <= low:
        return np.zeros(values.shape, dtype=np.uint8)
    # 1e-9 keeps whole numbers whole through the division, so that scaling a scaled frame changes nothing.
    return ((values - low) / (high - low) * 255.0 + 1e-9).astype(np.uint8)
