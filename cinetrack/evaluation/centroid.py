"""Centres of mass of masks, and the distance between two."""

from __future__ import annotations

import numpy as np


def centroids(masks: np.ndarray) -> np.ndarray:
    """Centre of mass of every frame's mask.

    Args:
        masks: (T, H, W) bool.
    Returns:
        (T, 2) float64 (row, column), pixels; NaN where the mask is empty.
    """
    by_row = np.count_nonzero(masks, axis=2)
    by_column = np.count_nonzero(masks, axis=1)
    sums = np.stack(
        [by_row @ np.arange(masks.shape[1]), by_column @ np.arange(masks.shape[2])], axis=1
    )  # whole numbers, so the quotient below is the nearest float64
    with np.errstate(invalid="ignore"):
        return sums / by_row.sum(axis=1, keepdims=True)


def centroid_distances(
    predicted: np.ndarray, reference: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0)
) -> np.ndarray:
    """Euclidean distance between two series of centroids, in the unit of `spacing`.

    Args:
        predicted, reference: (T, 2) (row, column), pixels.
        spacing: (row, column) size of a pixel; by default pixels.
    Returns:
        (T,) float64, NaN where either is NaN.
    """
    return np.linalg.norm((predicted - reference) * spacing, axis=1)
