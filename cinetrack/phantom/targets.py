"""Targets: an organ as it is, or a lesion placed in tissue that may hold one, with look-alikes beside it.

Lesions are kept apart from the anatomy and drawn on every frame, because through-plane motion changes their section: a
ball of radius R cut at a distance z from its middle shows a disc smaller by R - sqrt(R^2 - z^2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cinetrack.phantom.anatomy import Anatomy, Structure
from cinetrack.phantom.parameters import TargetParameters
from cinetrack.phantom.shapes import Shape, blob
from cinetrack.phantom.smooth_fields import texture

SMALLEST_DIAMETER_MM = 8.0
PLACE_STEP_PX = 4  # coarse, so that another processor's rounding hardly ever changes the choice
DARK_HOST = 0.2  # signal, fat = 1
LESION = "_lesion"


@dataclass(frozen=True, eq=False)
class Lesion:
    """A structure that is drawn on the frames.

    Attributes:
        signal, contrast: fat = 1; the contrast is to what lay there.
        texture: (h, w) float32 on the shape's window, what the signal is multiplied with.
        rim, core: relative brightening of the border and of the middle.
    """

    structure: Structure
    signal: float
    contrast: float
    texture: np.ndarray
    softness_px: float
    rim: float
    core: float

    @property
    def radius_px(self) -> float:
        """Of the circle of the same area."""
        return float(np.sqrt(max(self.structure.shape.area_px, 1) / np.pi))


@dataclass(frozen=True, eq=False)
class View:
    """The field of view on the canvas: its first row and column, and its (H, W)."""

    row: int
    column: int
    shape: tuple[int, int]

    def border_distance(self, canvas_shape: tuple[int, int]) -> np.ndarray:
        """Distance to the view's border, positive inside, (H, W) of the canvas, float32."""
        rows = np.arange(canvas_shape[0], dtype=np.float32)[:, None]
        columns = np.arange(canvas_shape[1], dtype=np.float32)[None]
        vertical = np.minimum(rows - self.row, self.row + self.shape[0] - 1 - rows)
        return np.minimum(vertical, np.minimum(columns - self.column, self.column + self.shape[1] - 1 - columns))


def organ_in_view(anatomy: Anatomy, name: str, view: View, largest_mm: float = 90.0) -> Structure | None:
    """The organ if the view shows enough of it to be a target; otherwise None."""
    found = next((organ for organ in anatomy.organs if organ.name == name), None)
    if found is None:
        return None
    shape = found.shape
    distance = np.minimum(shape.distance_px, anatomy.cavity_px[shape.window])
    shape = Shape(shape.rows, shape.columns, distance)
    visible = (shape.distance_px > 0) & (view.border_distance(anatomy.canvas_shape)[shape.window] > 4)
    diameter = 2 * np.sqrt(max(shape.area_px, 1) / np.pi)
    enough = visible.sum() > 0.5 * max(shape.area_px, 1) and SMALLEST_DIAMETER_MM <= diameter <= largest_mm
    return found if enough else None


def place_lesion(
    rng: np.random.Generator, anatomy: Anatomy, host: str, view: View, parameters: TargetParameters
) -> Lesion | None:
    """Place a lesion of the wanted diameter, or a smaller one where there is less room; None where there is none."""
    if host not in anatomy.hosts:
        return None
    inside = anatomy.hosts[host].on_canvas(anatomy.canvas_shape)
    border = view.border_distance(anatomy.canvas_shape)
    radius = parameters.diameter_mm / 2
    while 2 * radius >= SMALLEST_DIAMETER_MM:
        room = np.minimum(inside - 0.45 * radius, anatomy.cavity_px - 0.95 * radius - 2)
        if parameters.cut_by_border:
            allowed = (room > 0) & (border > -0.2 * radius) & (border < 0.55 * radius)
        else:
            allowed = (room > 0) & (border > radius + 8)
        places = np.argwhere(allowed[::PLACE_STEP_PX, ::PLACE_STEP_PX])
        if len(places) > 2:
            row, column = PLACE_STEP_PX * places[int(rng.random() * len(places))]
            centre = (int(row), int(column))
            return _draw_lesion(rng, anatomy, host, centre, radius, parameters)
        radius *= 0.8
    return None


def place_look_alikes(
    rng: np.random.Generator, anatomy: Anatomy, host: str, lesion: Lesion, parameters: TargetParameters
) -> list[Lesion]:
    """Lesions of much the same signal and size near `lesion`, as many as its host has room for."""
    inside = np.minimum(anatomy.hosts[host].on_canvas(anatomy.canvas_shape), anatomy.cavity_px)
    row, column = lesion.structure.shape.centroid()
    placed: list[Lesion] = []
    for _ in range(parameters.look_alikes):
        for _attempt in range(12):
            radius = max(SMALLEST_DIAMETER_MM / 2, lesion.radius_px * rng.uniform(0.6, 1.2))
            angle, gap = rng.uniform(0, 2 * np.pi), rng.uniform(1, 18)
            reach = lesion.radius_px + radius + gap
            centre = (round(row + reach * np.sin(angle)), round(column + reach * np.cos(angle)))
            if not all(0 <= c < side for c, side in zip(centre, anatomy.canvas_shape, strict=True)):
                continue
            if inside[centre] > 0.4 * radius:
                other = _draw_lesion(rng, anatomy, host, centre, radius, parameters)
                placed.append(
                    replace(other, signal=lesion.signal * rng.uniform(0.9, 1.1), softness_px=lesion.softness_px)
                )
                break
    return placed


def _draw_lesion(
    rng: np.random.Generator,
    anatomy: Anatomy,
    host: str,
    centre: tuple[int, int],
    radius_px: float,
    parameters: TargetParameters,
) -> Lesion:
    stretch = rng.uniform(1.0, 1.45) ** 0.5
    axes = (radius_px * stretch, radius_px / stretch)
    shape = blob(rng, anatomy.canvas_shape, centre, axes, rng.uniform(0, np.pi), rng.uniform(0.03, 0.2))
    inside = shape.distance_px > 0
    around = float(anatomy.viscera[shape.window][..., 0][inside].mean()) if inside.any() else 0.5
    contrast = parameters.contrast
    if around < DARK_HOST:  # in lung and gas a lesion can only be brighter, and is by a lot
        contrast = abs(contrast) + DARK_HOST
    # No solid tumour is as dark as gas, however dark its host.
    signal = float(np.clip(around + contrast, 0.55 * around, 1.4))
    return Lesion(
        Structure(host + LESION, shape),
        signal,
        signal - around,
        1 + np.float32(rng.uniform(0.02, 0.15)) * texture(rng, shape.distance_px.shape, (2.5, 7.0)),
        parameters.border_softness_px,
        rim=float(rng.choice([0.0, rng.uniform(-0.25, 0.35)])),
        core=float(rng.choice([0.0, rng.uniform(-0.35, 0.3)])),
    )
