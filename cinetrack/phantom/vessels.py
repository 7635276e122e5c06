"""Vessels as a sagittal slice shows them: lines that fork and thin out, and dots where one crosses the slice."""

from __future__ import annotations

import math

import cv2
import numpy as np

from cinetrack.phantom.smooth_fields import smooth_field

_SHIFT = 4  # cv2 draws in sixteenths of a pixel
_THINNEST_PX = 0.35


def vessel_tree(
    rng: np.random.Generator,
    canvas_shape: tuple[int, int],
    root: tuple[float, float],
    direction_rad: float,
    length_px: float,
    radius_px: float,
    spread_rad: float = 0.6,
) -> np.ndarray:
    """Draw a tree from `root` (row, column) in `direction_rad` (0 along the columns, pi/2 along growing rows).

    Returns:
        (H, W) float32, 1 in the middle of a vessel of a pixel or more, less in thinner ones, 0 outside.
    """
    drawing = np.zeros(canvas_shape, dtype=np.uint8)
    stems = [(root, direction_rad, length_px, radius_px)]
    while stems:  # thousands of lines a tree: plain numbers, since arrays of two cost more than the drawing
        (row, column), angle, length, radius = stems.pop()
        for _ in range(3):
            angle += rng.normal(0, 0.18)
            start = row, column
            row, column = row + math.sin(angle) * length / 3, column + math.cos(angle) * length / 3
            _draw(drawing, start, (row, column), radius)
        if radius * 0.74 < _THINNEST_PX:
            continue
        for side in (-1, 1):
            turned = angle + side * spread_rad * rng.uniform(0.3, 1.2)
            stems.append(((row, column), turned, length * rng.uniform(0.65, 0.95), radius * rng.uniform(0.62, 0.82)))
    return _in_and_out_of_slice(rng, drawing)


def vessel_dots(rng: np.random.Generator, canvas_shape: tuple[int, int], count: int, largest_px: float) -> np.ndarray:
    """Cross-sections of `count` vessels with radii up to `largest_px`, small ones the most; (H, W) float32, 0 to 1."""
    drawing = np.zeros(canvas_shape, dtype=np.uint8)
    rows, columns = rng.uniform(0, canvas_shape[0], count), rng.uniform(0, canvas_shape[1], count)
    for row, column, radius in zip(rows, columns, 0.5 + (largest_px - 0.5) * rng.random(count) ** 3, strict=True):
        centre = (int(column * 2**_SHIFT), int(row * 2**_SHIFT))
        cv2.circle(drawing, centre, int(radius * 2**_SHIFT), int(255 * min(1.0, radius)), -1, cv2.LINE_AA, _SHIFT)
    return drawing.astype(np.float32) / 255


def _in_and_out_of_slice(rng: np.random.Generator, drawing: np.ndarray) -> np.ndarray:
    """A slice follows no tree: branches fade where they leave it."""
    seen = np.clip(0.55 + 0.6 * smooth_field(rng, drawing.shape, rng.uniform(16, 32)), 0, 1)
    return cv2.GaussianBlur(drawing.astype(np.float32) / 255, (0, 0), 0.7) * seen


def _draw(drawing: np.ndarray, start: tuple[float, float], end: tuple[float, float], radius: float) -> None:
    # cv2's thickness is whole pixels; a thinner vessel is a fainter one-pixel line.
    first = int(start[1] * 2**_SHIFT), int(start[0] * 2**_SHIFT)
    last = int(end[1] * 2**_SHIFT), int(end[0] * 2**_SHIFT)
    brightness = int(255 * min(1.0, 2 * radius))
    cv2.line(drawing, first, last, brightness, max(1, round(2 * radius)), cv2.LINE_AA, _SHIFT)
