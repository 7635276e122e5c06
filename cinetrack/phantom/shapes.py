"""Shapes as signed distances (positive inside, in px = mm) on a window of the canvas, and painting with them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import scipy.ndimage

FAR_OUTSIDE_PX = -60.0


@dataclass(frozen=True, eq=False)
class Shape:
    """A closed region: its signed distance on a window of the canvas; outside the window counts as far outside.

    Attributes:
        rows, columns: the window.
        distance_px: (h, w) float32, positive inside.
    """

    rows: slice
    columns: slice
    distance_px: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        """For indexing a canvas-sized array."""
        return self.rows, self.columns

    @property
    def area_px(self) -> int:
        """Number of pixels inside."""
        return int((self.distance_px > 0).sum())

    def on_canvas(self, shape: tuple[int, int]) -> np.ndarray:
        """Signed distance over the whole canvas, (H, W) float32."""
        canvas = np.full(shape, FAR_OUTSIDE_PX, dtype=np.float32)
        canvas[self.window] = self.distance_px
        return canvas

    def centroid(self) -> tuple[float, float]:
        """(row, column) of the inside's centre of mass, in canvas pixels. The shape must not be empty."""
        rows, columns = np.nonzero(self.distance_px > 0)
        return float(rows.mean() + self.rows.start), float(columns.mean() + self.columns.start)

    def largest_part(self) -> Shape:
        """The largest connected part; the others fall outside."""
        parts, count = scipy.ndimage.label(self.distance_px > 0)
        if count <= 1:
            return self
        largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
        others = (parts > 0) & (parts != largest)
        return Shape(self.rows, self.columns, np.where(others, -np.abs(self.distance_px), self.distance_px))

    def without(self, other: Shape) -> Shape:
        """This shape less `other`, which lies in front of it."""
        rows = slice(max(self.rows.start, other.rows.start), min(self.rows.stop, other.rows.stop))
        columns = slice(max(self.columns.start, other.columns.start), min(self.columns.stop, other.columns.stop))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return self
        distance = self.distance_px.copy()
        own = (_shifted(rows, -self.rows.start), _shifted(columns, -self.columns.start))
        theirs = (_shifted(rows, -other.rows.start), _shifted(columns, -other.columns.start))
        distance[own] = np.minimum(distance[own], -other.distance_px[theirs])
        return Shape(self.rows, self.columns, distance)


def blob(
    rng: np.random.Generator,
    canvas_shape: tuple[int, int],
    centre: tuple[float, float],
    semi_axes_px: tuple[float, float],
    angle_rad: float = 0.0,
    irregularity: float = 0.0,
    lowest_harmonic: int = 2,
) -> Shape:
    """An ellipse with a wavy outline.

    Args:
        centre: (row, column); may lie outside the canvas.
        semi_axes_px: along and across the direction `angle_rad`, which is 0 along the columns and pi/2 along the rows.
        irregularity: relative deviation of the radius, spread over harmonics that fall off as 1/k.
    """
    reach = max(semi_axes_px) * (1.0 + 2.5 * irregularity) + 14.0
    rows, columns = (
        slice(int(np.clip(c - reach, 0, side - 1)), int(np.clip(c + reach + 1, 1, side)))
        for c, side in zip(centre, canvas_shape, strict=True)
    )
    dy = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(centre[0])
    dx = np.arange(columns.start, columns.stop, dtype=np.float32)[None] - np.float32(centre[1])
    c, s = np.float32(np.cos(angle_rad)), np.float32(np.sin(angle_rad))
    u = (dx * c + dy * s) / np.float32(semi_axes_px[0])
    v = (dy * c - dx * s) / np.float32(semi_axes_px[1])
    rho = np.sqrt(u * u + v * v) + np.float32(1e-3)
    slope = np.sqrt((u / np.float32(semi_axes_px[0])) ** 2 + (v / np.float32(semi_axes_px[1])) ** 2) / rho
    if irregularity > 0:
        wave = np.zeros_like(rho)
        theta = np.arctan2(v, u)
        for k in range(lowest_harmonic, lowest_harmonic + 4):
            wave += np.float32(irregularity * rng.normal() / k) * np.cos(k * theta + np.float32(rng.uniform(0, 6.3)))
        stretch = np.clip(1.0 + wave, 0.6, 1.5)
        rho, slope = rho / stretch, slope / stretch
    # First-order distance to the level set rho = 1; exact for circles.
    distance = (1.0 - rho) / np.maximum(slope, 1.0 / max(semi_axes_px) / 1.5)
    return Shape(rows, columns, np.minimum(distance, min(semi_axes_px)).astype(np.float32))


def polygon(canvas_shape: tuple[int, int], outline: np.ndarray) -> Shape:
    """A filled polygon from its (N, 2) corners (row, column), which may lie outside the canvas."""
    low = np.floor(outline.min(axis=0)).astype(int) - 12
    high = np.ceil(outline.max(axis=0)).astype(int) + 12
    low, high = np.maximum(low, 0), np.minimum(high, canvas_shape)
    low = np.minimum(low, np.asarray(canvas_shape) - 2)
    high = np.maximum(high, low + 2)
    mask = np.zeros(tuple(high - low), dtype=np.uint8)
    corners = np.round((outline - low)[:, ::-1] * 16).astype(np.int32)
    cv2.fillPoly(mask, [corners], 1, shift=4)
    return Shape(slice(low[0], high[0]), slice(low[1], high[1]), signed_distance(mask))


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Signed distance of an (H, W) uint8 mask, px, positive inside, smoothed to undo the pixel steps; float32."""
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3)
    # A mask that fills or misses its window has no border to measure from.
    inside, outside = np.minimum(inside, -FAR_OUTSIDE_PX), np.minimum(outside, -FAR_OUTSIDE_PX)
    return cv2.GaussianBlur(inside - outside, (0, 0), 1.0)


def coverage(distance_px: np.ndarray, softness_px: float) -> np.ndarray:
    """How much of a pixel a shape covers, 0 to 1: a ramp of `softness_px` to either side of its border."""
    return np.clip(0.5 + distance_px * (0.5 / softness_px), 0.0, 1.0)


def paint(image: np.ndarray, shape: Shape, value: np.ndarray | float, softness_px: float = 0.8) -> None:
    """Blend `value` (a number or a canvas-sized array) into `image`, in place, where `shape` covers it."""
    window = image[shape.window]
    colour = value[shape.window] if isinstance(value, np.ndarray) else value
    window += coverage(shape.distance_px, softness_px) * (colour - window)


def _shifted(interval: slice, offset: int) -> slice:
    return slice(interval.start + offset, interval.stop + offset)
