"""Warp the still anatomy to a moment: viscera through the wall's cavity, lesions drawn on top, and the exact masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cinetrack.phantom.anatomy import Anatomy, Structure
from cinetrack.phantom.motion import full_field
from cinetrack.phantom.shapes import FAR_OUTSIDE_PX, Shape, coverage
from cinetrack.phantom.targets import Lesion, View

SLICE_BLEND_MM = 12.0  # through-plane distance at which the neighbouring slice has taken over


@dataclass(frozen=True)
class Deformation:
    """A structure's own change of shape: x' = x + matrix (x - centre) exp(-d^2 / (2 reach^2)), at rest."""

    centre: tuple[float, float]  # (row, column), canvas px
    reach_px: float
    matrix: tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Moment:
    """What one instant needs: both layers' grids, the through-plane distance, the deformation's strength."""

    viscera_grid: np.ndarray
    wall_grid: np.ndarray
    through_plane_mm: float
    deformation: float


@dataclass(frozen=True, eq=False)
class Scene:
    """An anatomy in view with its lesions; `structures` are masked, in this order.

    A structure is either a lesion's own (then later lesions hide it) or an organ's, which counts the lesions in it as
    its own.
    """

    anatomy: Anatomy
    view: View
    lesions: tuple[Lesion, ...]  # drawn in this order
    structures: tuple[Structure, ...]
    deformation: Deformation | None

    def image(self, moment: Moment) -> np.ndarray:
        """Signal in the field of view, (H, W) float32, fat = 1."""
        maps = self._visceral_maps(moment)
        slices = _sample(self.anatomy.viscera, maps)
        blend = np.float32(min(1.0, abs(moment.through_plane_mm) / SLICE_BLEND_MM) * 0.8)
        image = slices[..., 0] + blend * (slices[..., 1] - slices[..., 0])
        for lesion in self.lesions:
            _draw(image, lesion, maps, moment)
        wall_maps = self._maps(moment.wall_grid)
        wall = _sample(self.anatomy.wall, wall_maps)
        opening = coverage(_sample(self.anatomy.cavity_px, wall_maps), 1.0)
        return wall + opening * (image - wall)

    def masks(self, moment: Moment) -> np.ndarray:
        """Where each structure shows, (K, H, W) bool."""
        maps = self._visceral_maps(moment)
        cavity = _sample(self.anatomy.cavity_px, self._maps(moment.wall_grid)) > 0
        masks = np.zeros((len(self.structures), *self.view.shape), dtype=bool)
        lesion_masks = [_section(lesion, maps, moment) > 0 for lesion in self.lesions]
        for k, structure in enumerate(self.structures):
            own = next((n for n, lesion in enumerate(self.lesions) if lesion.structure is structure), None)
            if own is None:
                masks[k] = _warped(structure, maps) > 0
            else:
                masks[k] = lesion_masks[own]
                for later in lesion_masks[own + 1 :]:
                    masks[k] &= ~later
            masks[k] &= cavity
        return masks

    def _maps(self, grid: np.ndarray) -> np.ndarray:
        """Canvas position (row, column) that each pixel of the view shows, (H, W, 2) float32."""
        height, width = self.view.shape
        maps = -full_field(grid, self.view.shape)
        maps[..., 0] += np.arange(self.view.row, self.view.row + height, dtype=np.float32)[:, None]
        maps[..., 1] += np.arange(self.view.column, self.view.column + width, dtype=np.float32)[None]
        return maps

    def _visceral_maps(self, moment: Moment) -> np.ndarray:
        maps = self._maps(moment.viscera_grid)
        if self.deformation is not None and moment.deformation:
            _deform(maps, self.deformation, moment.deformation)
        return maps


def shrinkage(radius_px: float, through_plane_mm: float) -> float:
    """By how much a ball's section is smaller than its largest one, px; infinite beyond the ball."""
    distance = abs(through_plane_mm)
    return radius_px - float(np.sqrt(radius_px**2 - distance**2)) if distance < radius_px else np.inf


def _sample(image: np.ndarray, maps: np.ndarray) -> np.ndarray:
    return cv2.remap(image, maps[..., 1], maps[..., 0], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _deform(maps: np.ndarray, deformation: Deformation, strength: float) -> None:
    """Apply the inverse deformation, in place, to the positions that the pixels show."""
    dy, dx = (maps[..., axis] - np.float32(deformation.centre[axis]) for axis in (0, 1))
    near = np.exp((dy * dy + dx * dx) * np.float32(-0.5 / deformation.reach_px**2)) * np.float32(strength)
    (a, b), (c, d) = deformation.matrix
    maps[..., 0] -= near * (np.float32(a) * dy + np.float32(b) * dx)
    maps[..., 1] -= near * (np.float32(c) * dy + np.float32(d) * dx)


def _warped(structure: Structure, maps: np.ndarray) -> np.ndarray:
    """Signed distance of a structure as a moment shows it, (H, W) float32."""
    return _from_window(structure.shape.distance_px, structure.shape, maps, FAR_OUTSIDE_PX)


def _from_window(image: np.ndarray, shape: Shape, maps: np.ndarray, outside: float) -> np.ndarray:
    return cv2.remap(
        image,
        maps[..., 1] - np.float32(shape.columns.start),
        maps[..., 0] - np.float32(shape.rows.start),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=outside,
    )


def _section(lesion: Lesion, maps: np.ndarray, moment: Moment) -> np.ndarray:
    return _warped(lesion.structure, maps) - np.float32(shrinkage(lesion.radius_px, moment.through_plane_mm))


def _draw(image: np.ndarray, lesion: Lesion, maps: np.ndarray, moment: Moment) -> None:
    distance = _section(lesion, maps, moment)
    near = np.flatnonzero((distance > -2 * lesion.softness_px - 1).any(axis=1))
    if near.size == 0:
        return
    rows = slice(near[0], near[-1] + 1)
    distance = distance[rows]
    signal = lesion.signal * (
        1
        + np.float32(lesion.rim) * np.exp(-(((distance - 2.5) / 2) ** 2))
        + np.float32(lesion.core) * np.clip(distance / max(lesion.radius_px, 1.0) - 0.35, 0, 0.5) * 2
    )
    signal *= _from_window(lesion.texture, lesion.structure.shape, maps[rows], 1.0)
    image[rows] += coverage(distance, lesion.softness_px) * (signal - image[rows])
