"""The challenge's dose metric: what a beam that follows the prediction delivers to the target.

The planned dose is the first true mask with a margin, smoothed and cut at a level. In every frame the beam is off by
the distance between predicted and true centroid; the delivered dose is the mean over the frames of the planned one so
shifted (TrackRAD2025 evaluation, `DoseMetric`). The metric is the delivered D98 over the planned one.

Two things the challenge's arrays imply and its definition does not say:
- The planned dose has the number type of the truth's file. Label files hold whole numbers, so the spline's values
  are rounded to 0 or 1 at every shift.
- A frame with an empty prediction has no centroid: the beam is off, the frame adds no dose and counts in the mean.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

MARGIN_PX = 3
SIGMA_PX = 4.0
LUNG_SIGMA_PX = 6.0
PLANNED_LEVEL = 0.25  # public copies of the code from 2025 cut at >= 0.5 instead, a narrower margin

_SPLINE_PAD = 12  # what scipy.ndimage.shift pads with for mode "nearest"
_BEYOND_PX = 4  # further than this from a binary image's support a cubic spline stays below one half


def planned_dose(target: np.ndarray, region: str) -> np.ndarray:
    """The dose a beam is planned to give the target of the first frame.

    Args:
        target: (H, W) bool.
        region: scanned region as its file says it; "lung" smooths more.
    Returns:
        (H, W) bool, relative dose 0 or 1.
    """
    cross = ndimage.generate_binary_structure(2, 1)
    expanded = ndimage.binary_dilation(target, structure=cross, iterations=MARGIN_PX)
    sigma = LUNG_SIGMA_PX if region == "lung" else SIGMA_PX
    return ndimage.gaussian_filter(expanded.astype(np.float32), sigma=sigma) > PLANNED_LEVEL


def delivered_dose(
    planned: np.ndarray, displacements_px: np.ndarray, number_type: np.dtype | type = np.uint8
) -> np.ndarray:
    """Mean over the frames of the planned dose, shifted by each frame's displacement.

    Args:
        planned: (H, W) bool.
        displacements_px: (T, 2) predicted minus true centroid (row, column); NaN where there is no prediction.
        number_type: of the truth's file; floating point leaves the spline's values unrounded.
    Returns:
        (H, W) float32.
    """
    total = np.zeros(planned.shape, dtype=np.float32)
    known = displacements_px[~np.isnan(displacements_px).any(axis=1)]
    distinct, counts = np.unique(known, axis=0, return_counts=True)
    if np.issubdtype(number_type, np.integer) and not _touches_border(planned):
        shifted_parts = _rounded_shifts(planned, distinct)
    else:
        dose = planned.astype(number_type)
        everywhere = (slice(None), slice(None))
        shifted_parts = ((everywhere, ndimage.shift(dose, step, order=3, mode="nearest")) for step in distinct)
    for (where, shifted), count in zip(shifted_parts, counts, strict=True):
        total[where] += count * shifted
    total /= len(displacements_px)
    return total


def dose_volume_histogram(dose: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cumulative dose-volume histogram of the target in bins of 0.1.

    Args:
        dose: (H, W) number, relative dose.
        target: (H, W) bool, at least one pixel.
    Returns:
        dose of each bin's centre, and the fraction of the target with at least that bin's dose.
    """
    # The sum in the dose's own type, as the challenge takes it: it decides whether there is one bin more.
    edges = np.arange(-0.05, dose.max() + 0.1, 0.1)
    counts, edges = np.histogram(dose[target], bins=edges)
    at_least = np.cumsum(counts[::-1])[::-1]
    return np.round((edges[1:] + edges[:-1]) / 2, 10), at_least / max(at_least.max(), 1)


def d98(dose: np.ndarray, target: np.ndarray) -> float:
    """Dose that 98 % of the target receives, interpolated in the histogram; 0 where all of it is in the first bin."""
    centres, volume = dose_volume_histogram(dose, target)
    if volume[0] == volume.sum():
        return 0.0
    return float(np.interp(0.98, volume[::-1], centres[::-1]))


def relative_d98(planned: np.ndarray, delivered: np.ndarray, target: np.ndarray) -> float:
    """Delivered over planned D98; NaN where the plan itself gives the target nothing (a target of a few pixels)."""
    reference = d98(planned.astype(np.uint8), target)
    return d98(delivered, target) / reference if reference > 0 else float("nan")


def _touches_border(mask: np.ndarray) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def _rounded_shifts(
    planned: np.ndarray, displacements_px: np.ndarray
) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """Yield, a displacement each, where the shifted dose may be 1 and its values there.

    Equal to scipy.ndimage.shift of an integer image, to the last bit: the same coefficients (found once, not for
    every shift), weights and order of summation, for the neighbourhood of the dose alone.
    """
    rows, columns = np.nonzero(planned)
    if len(rows) == 0:
        yield from (((slice(0), slice(0)), np.zeros((0, 0))) for _ in displacements_px)
        return
    padded = np.pad(planned, _SPLINE_PAD).astype(np.float64)
    coefficients = ndimage.spline_filter(padded, order=3, output=np.float64, mode="nearest")
    for step_rows, step_columns in displacements_px:
        row_range = _reached(rows.min(), rows.max(), step_rows, planned.shape[0])
        column_range = _reached(columns.min(), columns.max(), step_columns, planned.shape[1])
        first_row, row_weights = _spline_weights(row_range, step_rows)
        first_column, column_weights = _spline_weights(column_range, step_columns)
        value = np.zeros((len(row_range), len(column_range)))
        for a in range(4):
            weighted = coefficients[first_row + a] * row_weights[a][:, None]
            for b in range(4):
                value += weighted[:, first_column + b] * column_weights[b]
        where = (slice(row_range.start, row_range.stop), slice(column_range.start, column_range.stop))
        yield where, value >= 0.5


def _reached(low: int, high: int, step: float, length: int) -> range:
    """Output pixels along one axis that the shifted dose can reach."""
    start = int(np.floor(low + step)) - _BEYOND_PX
    stop = int(np.ceil(high + step)) + _BEYOND_PX + 1
    start = min(max(start, 0), length)
    return range(start, min(max(stop, start), length))


def _spline_weights(pixels: range, step: float) -> tuple[np.ndarray, np.ndarray]:
    """First of the four coefficients each output pixel draws on, and their cubic B-spline weights, (4, N)."""
    position = np.arange(pixels.start, pixels.stop, dtype=np.float64) + -step + _SPLINE_PAD
    whole = np.floor(position)
    y = position - whole
    z = 1.0 - y
    inner = (y * y * (y - 2.0) * 3.0 + 4.0) / 6.0
    outer = (z * z * (z - 2.0) * 3.0 + 4.0) / 6.0
    first = z * z * z / 6.0
    return whole.astype(int) - 1, np.stack([first, inner, outer, 1.0 - first - inner - outer])
