"""Displacement over time: a few smooth fields ("movers"), each with its own curve, added up.

A frame shows at x what rests at x - u(x, t); u is given in the image's fixed coordinates, rows growing towards the
head, so breathing in (organs move towards the feet) has a negative row component. Fields live on a grid of GRID_PX
pixels over the field of view and are interpolated with cubics, both for warping and for following a point, so the two
agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

GRID_PX = 8
LARGEST_DIAPHRAGM_MM = 45.0

Curve = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Mover:
    """A displacement field and how much of it acts at a time.

    Attributes:
        viscera, wall: (h, w, 2) float32 grids in px, (row, column) components; None where that layer is not moved.
        curve: times (s) -> factors.
        scalable: part of what is scaled to give the target its displacement.
    """

    viscera: np.ndarray | None
    wall: np.ndarray | None
    curve: Curve
    scalable: bool = False


@dataclass(frozen=True, eq=False)
class Motion:
    """All movers of a case over a field of view of (H, W) px."""

    movers: tuple[Mover, ...]
    view_shape: tuple[int, int]
    scale: float = 1.0

    def grids(self, times_s: np.ndarray, layer: str) -> np.ndarray:
        """Displacement of a layer ("viscera" or "wall") at each time, (N, h, w, 2) float32 on the grid, px."""
        movers = [mover for mover in self.movers if getattr(mover, layer) is not None]
        if not movers:
            return np.zeros((len(times_s), *grid_shape(self.view_shape), 2), dtype=np.float32)
        factors = np.stack([m.curve(times_s) * (self.scale if m.scalable else 1.0) for m in movers], axis=1)
        # einsum and not BLAS, whose rounding may depend on the number of threads: equal seeds owe equal bytes.
        return np.einsum("nk,khwc->nhwc", factors.astype(np.float32), np.stack([getattr(m, layer) for m in movers]))

    def follow(self, point: tuple[float, float], times_s: np.ndarray) -> np.ndarray:
        """Where the visceral tissue that rests at `point` is at each time: (N, 2) of (row, column), px of the view.

        Solves x = point + u(x, t) by repeated substitution, which converges as long as u does not fold. Outside the
        view the field of its border counts.
        """
        grids = self.grids(times_s, "viscera")
        position = np.tile(np.asarray(point, dtype=np.float32), (len(times_s), 1))
        for _ in range(25):
            moved = np.asarray(point, dtype=np.float32) + _sample(grids, position)
            if np.abs(moved - position).max() < 1e-3:
                return moved
            position = moved
        return position


def full_field(grid: np.ndarray, view_shape: tuple[int, int]) -> np.ndarray:
    """A grid's displacement on every pixel of the view, (H, W, 2) float32."""
    height, width = grid.shape[0] * GRID_PX, grid.shape[1] * GRID_PX
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)[: view_shape[0], : view_shape[1]]


def grid_shape(view_shape: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of the grid over a view of (H, W) px; its last cells may reach beyond the view."""
    return -(-view_shape[0] // GRID_PX), -(-view_shape[1] // GRID_PX)


def grid_positions(view_shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows (h, 1) and columns (1, w) of the grid's nodes in px of the view, float32."""
    h, w = grid_shape(view_shape)
    rows = (np.arange(h, dtype=np.float32) + 0.5) * GRID_PX - 0.5
    columns = (np.arange(w, dtype=np.float32) + 0.5) * GRID_PX - 0.5
    return rows[:, None], columns[None]


def scaled_to_peak(
    motion: Motion, point: tuple[float, float], times_s: np.ndarray, peak_px: float, largest_scale: float
) -> Motion:
    """The motion scaled so that the tissue resting at `point` gets at most `peak_px` from its first position.

    The factor stays within [0, largest_scale]; it is found by bisection, since the distance grows with it.
    """

    def peak(scale: float) -> float:
        path = replace(motion, scale=scale).follow(point, times_s)
        return float(np.hypot(*(path - path[0]).T).max())

    low, high = 0.0, largest_scale
    if peak(high) <= peak_px:
        return replace(motion, scale=high)
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (middle, high) if peak(middle) <= peak_px else (low, middle)
    return replace(motion, scale=low)


def _sample(grids: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Cubic samples of grid n at position n: (N, h, w, 2) and (N, 2) in px -> (N, 2)."""
    samples = np.empty((len(grids), 2), dtype=np.float32)
    for n, (grid, (row, column)) in enumerate(zip(grids, positions, strict=True)):
        across = np.full((1, 1), (column + 0.5) / GRID_PX - 0.5, dtype=np.float32)
        down = np.full((1, 1), (row + 0.5) / GRID_PX - 0.5, dtype=np.float32)
        samples[n] = cv2.remap(grid, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)[0, 0]
    return samples
