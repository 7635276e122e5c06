"""Where the target must be for the beam to be on.

Both windows judge a displacement of the target's centroid from its place on the first frame, the planned one.

No medical device: research and simulation.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.ndimage import distance_transform_edt, map_coordinates

from cinetrack.errors import EmptyMaskError, InputError


class Window(Protocol):
    """A gating window."""

    def inside(self, moved_mm: np.ndarray) -> np.ndarray:
        """Whether the beam may be on at displacements (N, 2) along rows and columns, mm: (N,) bool, False for NaN."""


class DistanceWindow:
    """The centroid is at most `margin_mm` from where it was planned."""

    def __init__(self, margin_mm: float) -> None:
        self._margin_mm = _checked_margin(margin_mm)

    def inside(self, moved_mm: np.ndarray) -> np.ndarray:
        """See `Window`."""
        return np.asarray(np.linalg.norm(moved_mm, axis=-1) <= self._margin_mm)  # a comparison with NaN is False


class ShareWindow:
    """At least `least_share` of the target lies within the planned target grown by `margin_mm`.

    The target is taken to move without changing its shape.

    Args:
        planned: (H, W) bool, at least one pixel.
        spacing_mm: (row, column).
        least_share: above 0, at most 1.
    """

    def __init__(
        self, planned: np.ndarray, spacing_mm: tuple[float, float], margin_mm: float, least_share: float
    ) -> None:
        margin_mm = _checked_margin(margin_mm)
        if not planned.any():
            raise EmptyMaskError("gating window: expected a planned target, found an empty mask")
        if not 0 < least_share <= 1:
            raise InputError(f"share of the target: expected above 0 and at most 1, found {least_share}")
        self._least_share, self._spacing_mm = least_share, spacing_mm
        rows, columns = np.flatnonzero(planned.any(axis=1)), np.flatnonzero(planned.any(axis=0))
        target = planned[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        reach = [int(np.ceil(margin_mm / step)) + 1 for step in spacing_mm]
        padded = np.pad(target, [(pixels, pixels) for pixels in reach])
        region = distance_transform_edt(~padded, sampling=spacing_mm) <= margin_mm
        # Entry [i, j]: share of the target inside where it is moved by (i, j) less the centre, pixels.
        overlap = _convolved(region.astype(np.float64), target[::-1, ::-1].astype(np.float64))
        self._shares = np.rint(overlap) / target.sum()
        self._centre = np.array([length + pixels - 1 for length, pixels in zip(target.shape, reach, strict=True)])

    def share(self, moved_mm: np.ndarray) -> np.ndarray:
        """Share of the target inside at displacements (N, 2): (N,), NaN for NaN."""
        moved = np.atleast_2d(moved_mm)
        positions = moved / np.asarray(self._spacing_mm) + self._centre
        known = ~np.isnan(positions).any(axis=1)
        shares = np.full(len(positions), np.nan)
        shares[known] = map_coordinates(self._shares, positions[known].T, order=1, mode="constant", cval=0.0)
        return shares

    def inside(self, moved_mm: np.ndarray) -> np.ndarray:
        """See `Window`."""
        found = self.share(moved_mm) >= self._least_share - 1e-9
        return found if np.ndim(moved_mm) > 1 else found[0]


def _convolved(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # scipy.signal has this too, and takes a second to import.
    shape = (a.shape[0] + b.shape[0] - 1, a.shape[1] + b.shape[1] - 1)
    return np.fft.irfft2(np.fft.rfft2(a, shape) * np.fft.rfft2(b, shape), shape)


def _checked_margin(margin_mm: float) -> float:
    if not (np.isfinite(margin_mm) and margin_mm >= 0):
        raise InputError(f"gating margin: expected 0 mm or more, found {margin_mm}")
    return float(margin_mm)
