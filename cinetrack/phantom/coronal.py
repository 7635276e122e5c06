"""A coronal slice through chest and upper abdomen: both lungs, the heart, the liver under the right dome.

Rows grow towards the head and columns towards the patient's left. It is simpler than the sagittal bodies: it is there
so that a stream of alternating planes has a second plane whose target moves as the first one's.
"""

from __future__ import annotations

import numpy as np

from cinetrack.phantom.abdomen import paint_bowel, paint_liver, paint_mesentery
from cinetrack.phantom.anatomy import Anatomy, MotionCentres, Painter, Structure
from cinetrack.phantom.body import in_view
from cinetrack.phantom.body_wall import Outline, paint_wall
from cinetrack.phantom.chest import paint_lung
from cinetrack.phantom.shapes import Shape, blob
from cinetrack.phantom.smooth_fields import smooth_curve
from cinetrack.phantom.targets import View


def build_coronal(
    rng: np.random.Generator,
    canvas_shape: tuple[int, int],
    view: View,
    dome_row: float,
    signals: dict[str, float],
) -> Anatomy:
    """Draw and paint the anatomy.

    Args:
        dome_row: the diaphragm's, in canvas pixels.
        signals: of every tissue, fat = 1, see `tissue.tissue_signals`; each case varies them a little.
    """
    varied = {name: value * float(np.exp(rng.normal(0, 0.1))) for name, value in signals.items()}
    outline = _outline(rng, canvas_shape, dome_row)
    wall, viscera = Painter(rng, canvas_shape, varied, 1), Painter(rng, canvas_shape, varied, 2)
    cavity = paint_wall(wall, outline, dome_row)
    below = _below_domes(rng, canvas_shape, outline, dome_row)
    motion = MotionCentres(dome_row)
    paint_mesentery(viscera)
    paint_bowel(viscera, outline, dome_row - 90, -10, motion)
    paint_liver(viscera, outline, dome_row, below, reach_mm=rng.uniform(110, 150))
    row = dome_row - rng.uniform(45, 65)
    stomach = blob(rng, canvas_shape, (row, outline.column(row, rng.uniform(0.7, 0.8))), (48, 32), 1.2, 0.12)
    stomach = Shape(stomach.rows, stomach.columns, np.minimum(stomach.distance_px, below[stomach.window] - 2))
    viscera.organ("stomach", stomach, varied["bowel_wall"], 1.2, 0.08)
    paint_lung(viscera, outline, dome_row, below, "coronal")
    _paint_middle(viscera, outline, dome_row, below, motion)
    organs = tuple(
        Structure(name, viscera.shapes[name].largest_part()) for name in ("heart", "stomach") if name in viscera.shapes
    )
    return Anatomy(
        wall.images[0], np.stack(viscera.images, axis=-1), cavity, organs, dict(viscera.shapes), in_view(motion, view)
    )


def _outline(rng: np.random.Generator, canvas_shape: tuple[int, int], dome_row: float) -> Outline:
    height, width = canvas_shape
    rows = np.arange(height, dtype=np.float32)
    half = min(rng.uniform(135, 170), 0.42 * width) - 14 * np.clip((rows - dome_row) / 150, 0, 1.5) ** 2
    fat, muscle = rng.uniform(6, 24), rng.uniform(8, 14)
    right = width / 2 - half + 2.0 * smooth_curve(rng, height, 70)
    left = width / 2 + half + 2.0 * smooth_curve(rng, height, 70)
    return Outline(
        right.astype(np.float32),
        left.astype(np.float32),
        (right + fat + muscle).astype(np.float32),
        (left - fat - muscle).astype(np.float32),
        None,
    )


def _below_domes(
    rng: np.random.Generator, canvas_shape: tuple[int, int], outline: Outline, dome_row: float
) -> np.ndarray:
    """Signed distance to the diaphragm, (H, W) float32, positive below it: two domes, the right one higher."""
    height, width = canvas_shape
    at = int(np.clip(dome_row, 0, height - 1))
    right, left = outline.cavity_front[at], outline.cavity_back[at]
    across = np.clip((np.arange(width, dtype=np.float32) - right) / max(left - right, 40.0), -0.2, 1.2)
    drop = np.minimum(
        rng.uniform(60, 90) * (np.abs(across - 0.25) / 0.3) ** 2.2,
        rng.uniform(8, 18) + rng.uniform(60, 90) * (np.abs(across - 0.76) / 0.3) ** 2.2,
    )
    edge = dome_row - np.minimum(drop, 30 + 60 * (np.abs(across - 0.5) > 0.3)) + 1.5 * smooth_curve(rng, width, 50)
    rows = np.arange(height, dtype=np.float32)[:, None]
    return np.asarray((edge[None] - rows) / np.sqrt(1 + np.gradient(edge)[None] ** 2), dtype=np.float32)


def _paint_middle(
    painter: Painter, outline: Outline, dome_row: float, below: np.ndarray, motion: MotionCentres
) -> None:
    """Between the lungs: fat with the great vessels, and the heart on the diaphragm, more to the left."""
    rng = painter.rng
    shape = painter.canvas_shape
    row = dome_row + 110
    fat = blob(rng, shape, (row, outline.column(row, 0.5)), (120, rng.uniform(24, 34)), np.pi / 2, 0.08)
    fat = Shape(fat.rows, fat.columns, np.minimum(fat.distance_px, -below[fat.window]))
    painter.organ("mediastinum", fat, painter.signals["fat"] * rng.uniform(0.5, 0.8), 2.0, 0.12)
    flow = painter.signals["blood"] * rng.uniform(0.4, 1.0)
    vessel = blob(rng, shape, (row + 30, outline.column(row, 0.53)), (70, rng.uniform(9, 13)), np.pi / 2, 0.05)
    painter.detail(vessel, flow, 1.2, 0.05)
    centre = (dome_row + rng.uniform(18, 34), outline.column(dome_row, rng.uniform(0.54, 0.62)))
    axes = (rng.uniform(50, 62), rng.uniform(36, 46))
    heart = blob(rng, shape, centre, axes, rng.uniform(-0.6, -0.2), 0.05)
    heart = Shape(heart.rows, heart.columns, np.minimum(heart.distance_px, -below[heart.window] - 2))
    painter.organ("heart", heart, "myocardium", 1.2, 0.06)
    chamber = blob(rng, shape, centre, (0.6 * axes[0], 0.55 * axes[1]), rng.uniform(-0.6, -0.2), 0.1)
    inner = heart.on_canvas(shape)[chamber.window] - 6
    painter.detail(Shape(chamber.rows, chamber.columns, np.minimum(chamber.distance_px, inner)), flow, 1.5, 0.08)
    motion.heart = (*centre, axes[1])
