"""The viscera of a pelvis in a middle sagittal slice: bladder, prostate or uterus, rectum, bowel above."""

from __future__ import annotations

import numpy as np

from cinetrack.phantom.abdomen import paint_bowel, paint_mesentery
from cinetrack.phantom.anatomy import MotionCentres, Painter
from cinetrack.phantom.body_wall import Outline
from cinetrack.phantom.shapes import Shape, blob


def paint_pelvis(painter: Painter, outline: Outline, floor_row: float) -> MotionCentres:
    """Paint a pelvis whose floor is at `floor_row`; returns the movers. Nothing here breathes by itself."""
    rng = painter.rng
    motion = MotionCentres(diaphragm_row=floor_row + 330)
    paint_mesentery(painter)
    paint_bowel(painter, outline, floor_row + 320, floor_row + 120, motion, 0.05, 0.9)

    male = rng.random() < 0.75
    prostate_row = floor_row + rng.uniform(28, 40)
    prostate_axes = (rng.uniform(17, 27), rng.uniform(14, 22))
    prostate_at = (prostate_row, outline.column(prostate_row, rng.uniform(0.4, 0.52)))
    bladder_axes = (rng.uniform(24, 45), rng.uniform(18, 38))
    bladder_row = prostate_row + prostate_axes[1] * 0.8 + bladder_axes[1] * rng.uniform(0.85, 1.0)
    bladder_at = (bladder_row, prostate_at[1] - rng.uniform(0, 12))
    _rectum(painter, outline, floor_row, motion)
    if not male:
        row = bladder_row + rng.uniform(5, 20)
        at = (row, bladder_at[1] + bladder_axes[0] + rng.uniform(2, 14))
        uterus = blob(
            rng, painter.canvas_shape, at, (rng.uniform(28, 42), rng.uniform(17, 26)), rng.uniform(1.6, 2.6), 0.08
        )
        painter.organ("uterus", uterus, painter.signals["prostate"] * rng.uniform(0.7, 1.0), 1.2, 0.06)
        lining = blob(rng, painter.canvas_shape, at, (16, 4), rng.uniform(1.6, 2.6), 0.1)
        painter.detail(lining, painter.signals["fluid"] * 0.8, 1.5)
    bladder = blob(rng, painter.canvas_shape, bladder_at, bladder_axes, rng.uniform(-0.5, 0.3), 0.1)
    painter.organ("bladder", bladder, "bowel_wall", 1.0)
    urine = Shape(bladder.rows, bladder.columns, bladder.distance_px - rng.uniform(2, 4.5))
    painter.detail(urine, painter.signals["fluid"] * rng.uniform(0.75, 1.05), 1.2, 0.03)
    motion.bladder = (*bladder_at, max(bladder_axes))
    if male:
        vesicle_at = (prostate_row + prostate_axes[1] + 8, prostate_at[1] + prostate_axes[0] * 0.9)
        vesicle = blob(rng, painter.canvas_shape, vesicle_at, (rng.uniform(10, 16), rng.uniform(4, 7)), 0.9, 0.2)
        painter.organ("seminal_vesicle", vesicle, painter.signals["fluid"] * rng.uniform(0.4, 0.8), 1.4, 0.15)
        prostate = blob(rng, painter.canvas_shape, prostate_at, prostate_axes, rng.uniform(0.2, 1.0), 0.06)
        painter.organ("prostate", prostate, painter.signals["prostate"] * rng.uniform(0.7, 1.0), 1.3, 0.1)
        gland = Shape(prostate.rows, prostate.columns, prostate.distance_px - 0.35 * min(prostate_axes))
        painter.detail(gland, painter.signals["prostate"] * rng.uniform(0.55, 0.85), 2.5, 0.2)
    return motion


def paint_pelvic_wall(painter: Painter, outline: Outline, floor_row: float, cavity_px: np.ndarray) -> np.ndarray:
    """The pelvic floor and the pubic symphysis, in the wall layer.

    Returns:
        The cavity's signed distance, (H, W) float32, less both.
    """
    rng = painter.rng
    height, width = painter.canvas_shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None]
    sag = rng.uniform(0.05, 0.2) * (columns - outline.column(floor_row, 0.5))
    floor = (rows - floor_row + sag).astype(np.float32)
    below = Shape(
        slice(0, height), slice(0, width), np.minimum(-floor - rng.uniform(6, 10), painter.shapes["muscle"].distance_px)
    )
    painter.detail(below, painter.signals["fat"] * rng.uniform(0.5, 0.8), 4.0, 0.15)
    for _ in range(int(rng.integers(2, 6))):
        at = (floor_row - rng.uniform(15, 80), outline.column(floor_row, rng.uniform(0.0, 1.0)))
        muscle = blob(rng, (height, width), at, (rng.uniform(14, 40), rng.uniform(8, 18)), rng.uniform(0, np.pi), 0.2)
        painter.detail(muscle, "muscle", 2.0, 0.12)
    row = floor_row + rng.uniform(30, 50)
    at = (row, outline.column(row, 0.0) + rng.uniform(-4, 7))
    bone = blob(
        rng,
        painter.canvas_shape,
        at,
        (rng.uniform(19, 26), rng.uniform(9, 13)),
        np.pi / 2 - rng.uniform(0.3, 0.9),
        0.06,
    )
    painter.detail(Shape(bone.rows, bone.columns, bone.distance_px + 2.2), "cortical_bone", 1.0)
    painter.detail(bone, painter.signals["marrow"] * rng.uniform(0.6, 1.0), 1.3, 0.1)
    return np.minimum(np.minimum(cavity_px, floor), -2 - bone.on_canvas((height, width)))


def _rectum(painter: Painter, outline: Outline, floor_row: float, motion: MotionCentres) -> None:
    """A chain of overlapping pieces along the sacrum, with stool or gas."""
    rng = painter.rng
    radius = rng.uniform(9, 17)
    fraction = rng.uniform(0.72, 0.82)
    pieces = []
    for k in range(6):
        row = floor_row + 8 + 20 * k
        column = outline.column(row, fraction + 0.1 * np.sin(k / 5 * np.pi) - 0.1 * (k == 0))
        pieces.append(
            blob(rng, painter.canvas_shape, (row, column), (15, radius * rng.uniform(0.8, 1.15)), np.pi / 2, 0.1)
        )
    for piece in pieces:
        painter.organ("rectum", piece, "bowel_wall", 1.2)
    gas = rng.random() < 0.5
    for k, piece in enumerate(pieces):
        content = Shape(piece.rows, piece.columns, piece.distance_px - 3.5)
        filled = (
            painter.signals["gas"] if gas and k in (2, 3) else painter.signals["bowel_content"] * rng.uniform(0.4, 1.0)
        )
        painter.detail(content, filled, 1.5)
    motion.rectum = (*pieces[2].centroid(), radius) if pieces[2].area_px else None
