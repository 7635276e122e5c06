"""The frame rate from the times at which frames were acquired, and how regular they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

IRREGULAR_SHARE = 0.2  # of the median interval: beyond it an interval counts as irregular


@dataclass(frozen=True)
class FrameTimes:
    """When each frame was acquired.

    Attributes:
        seconds: from the first frame, rising.
        stated_in: where the times stand, for the log: "AcquisitionTime", "axis 3 index values", ...
    """

    seconds: tuple[float, ...]
    stated_in: str

    @property
    def intervals_s(self) -> np.ndarray:
        """(T - 1,) seconds between neighbouring frames."""
        return np.diff(self.seconds)

    @property
    def frame_rate_hz(self) -> float:
        """One over the mean of the regular intervals: a pause in the acquisition does not lower the rate."""
        intervals, irregular = self.intervals_s, self._irregular()
        return float(1 / (intervals if irregular.all() else intervals[~irregular]).mean())

    @property
    def irregularity(self) -> str:
        """What is to be said of the intervals; empty where all are within 20 % of their median."""
        intervals, irregular = self.intervals_s, self._irregular()
        if not irregular.any():
            return ""
        return (
            f"{irregular.sum()} of {len(intervals)} intervals differ by more than {IRREGULAR_SHARE:.0%} from the "
            f"median of {np.median(intervals):.4g} s (shortest {intervals.min():.4g} s, "
            f"longest {intervals.max():.4g} s)"
        )

    def _irregular(self) -> np.ndarray:
        median = np.median(self.intervals_s)
        irregular: np.ndarray = np.abs(self.intervals_s - median) > IRREGULAR_SHARE * median
        return irregular


def frame_times(seconds: list[float], stated_in: str) -> FrameTimes | None:
    """Times from the first frame; None where they do not rise from frame to frame, so that no rate follows."""
    values = np.asarray(seconds, dtype=float)
    if len(values) < 2 or not np.isfinite(values).all() or (np.diff(values) <= 0).any():
        return None
    return FrameTimes(tuple(float(value) for value in np.round(values - values[0], 6)), stated_in)
