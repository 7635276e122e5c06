"""HD95 and mean surface distance of two mask series, frame by frame.

A surface is a mask without its erosion by the cross element. Definitions as in the TrackRAD2025 evaluation
(evaluation/monai_metrics.py), which takes distances from a Euclidean distance transform of each frame. Here the
distances between the two outlines' pixels are taken directly, the same numbers for a tenth of the time, unless
the outlines are so long (noise, not a target) that the transform is cheaper.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial.distance import cdist

# Measured: beyond about this many pairs a distance transform of the frame is faster.
MOST_PAIRS = 1_000_000


def surfaces(masks: np.ndarray) -> np.ndarray:
    """Pixels of each mask with a neighbour above, below, left or right outside it; beyond the image is outside.

    Args:
        masks: (T, H, W) bool.
    Returns:
        (T, H, W) bool.
    """
    eroded = np.zeros_like(masks)
    eroded[:, 1:-1, 1:-1] = (
        masks[:, 1:-1, 1:-1] & masks[:, :-2, 1:-1] & masks[:, 2:, 1:-1] & masks[:, 1:-1, :-2] & masks[:, 1:-1, 2:]
    )
    return masks & ~eroded


def surface_distances(
    predicted: np.ndarray, reference: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0)
) -> tuple[np.ndarray, np.ndarray]:
    """HD95 and MASD of every frame, in the unit of `spacing`.

    HD95 is the larger of the two directions' 95th percentiles; MASD is one way, from the prediction's surface
    to the reference's.

    Args:
        predicted, reference: (T, H, W) bool, same shape.
        spacing: (row, column) size of a pixel; by default pixels.
    Returns:
        hd95, masd: (T,) float32; infinite where either mask is empty.
    """
    frames = len(predicted)
    hd95 = np.full(frames, np.inf, dtype=np.float32)
    masd = np.full(frames, np.inf, dtype=np.float32)
    predicted_points = _points_by_frame(surfaces(predicted))
    reference_points = _points_by_frame(surfaces(reference))
    for t, (ours, truth) in enumerate(zip(predicted_points, reference_points, strict=True)):
        if len(ours) == 0 or len(truth) == 0:
            continue
        to_truth, to_ours = _nearest(ours, truth, spacing)
        hd95[t] = max(np.quantile(to_truth, 0.95), np.quantile(to_ours, 0.95))
        masd[t] = to_truth.mean()
    return hd95, masd


def _points_by_frame(masks: np.ndarray) -> list[np.ndarray]:
    """The set pixels of each frame, a list of (N, 2) (row, column) in row-major order."""
    frames, rows, columns = np.nonzero(masks)
    ends = np.searchsorted(frames, np.arange(len(masks) + 1))
    points = np.stack([rows, columns], axis=1)
    return [points[start:end] for start, end in zip(ends[:-1], ends[1:], strict=True)]


def _nearest(first: np.ndarray, second: np.ndarray, spacing: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each of `first` to the nearest of `second`, and the reverse; float32 as the challenge keeps them."""
    if len(first) * len(second) > MOST_PAIRS:
        return _nearest_by_transform(first, second, spacing), _nearest_by_transform(second, first, spacing)
    squared = cdist(first * spacing, second * spacing, "sqeuclidean")
    return (
        np.sqrt(squared.min(axis=1)).astype(np.float32),
        np.sqrt(squared.min(axis=0)).astype(np.float32),
    )


def _nearest_by_transform(points: np.ndarray, targets: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    background = np.ones(np.maximum(points.max(axis=0), targets.max(axis=0)) + 1, dtype=bool)
    background[tuple(targets.T)] = False
    return distance_transform_edt(background, sampling=spacing)[tuple(points.T)].astype(np.float32)
