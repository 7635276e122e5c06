"""The chest's viscera: diaphragm, lung with its vessels, heart, and what lies between the lungs in the middle.

Heights are relative to the diaphragm's dome (mm, negative towards the feet), depths a fraction of the cavity (0 front,
1 back).
"""

from __future__ import annotations

import numpy as np

from cinetrack.phantom.anatomy import MotionCentres, Painter
from cinetrack.phantom.body_wall import Outline
from cinetrack.phantom.shapes import Shape, blob
from cinetrack.phantom.smooth_fields import smooth_curve
from cinetrack.phantom.vessels import vessel_dots, vessel_tree


def below_diaphragm(painter: Painter, outline: Outline, dome_row: float) -> np.ndarray:
    """Signed distance to the diaphragm, (H, W) float32, positive below it."""
    rng = painter.rng
    height, width = painter.canvas_shape
    at = int(np.clip(dome_row, 0, height - 1))
    front, back = outline.cavity_front[at], outline.cavity_back[at]
    fraction = np.clip((np.arange(width, dtype=np.float32) - front) / max(back - front, 40.0), -0.3, 1.3)
    peak = rng.uniform(0.3, 0.52)
    drop_front = rng.uniform(18, 42) * np.clip((peak - fraction) / peak, 0, 2) ** 2
    drop_back = rng.uniform(55, 105) * np.clip((fraction - peak) / (1 - peak), 0, 2) ** 2.4
    edge = dome_row - drop_front - drop_back + 1.5 * smooth_curve(rng, width, 50)
    slope = np.gradient(edge)
    rows = np.arange(height, dtype=np.float32)[:, None]
    return ((edge[None] - rows) / np.sqrt(1 + slope[None] ** 2)).astype(np.float32)


def paint_lung(painter: Painter, outline: Outline, dome_row: float, below: np.ndarray, plane: str) -> None:
    """Everything above the diaphragm becomes lung; vessels fan out from the hilum, some shared by both slices."""
    rng = painter.rng
    whole = (slice(0, below.shape[0]), slice(0, below.shape[1]))
    diaphragm = Shape(*whole, 3.0 - np.abs(below + 1.0))
    painter.detail(diaphragm, 0.8 * painter.signals["muscle"], 1.0)
    lung = painter.organ("lung", Shape(*whole, -below), painter.signals["lung"] * rng.uniform(0.6, 2.0), 1.0, 0.25)
    hilum = (dome_row + rng.uniform(55, 95), outline.column(dome_row + 70, rng.uniform(0.45, 0.6)))
    drawings = []
    shared = _lung_trees(rng, painter.canvas_shape, hilum, stems=4)
    for _ in painter.images:
        own = _lung_trees(rng, painter.canvas_shape, hilum, stems=3)
        dots = vessel_dots(rng, painter.canvas_shape, int(rng.integers(80, 220)), rng.uniform(1.4, 3.0))
        drawings.append(np.maximum(np.maximum(shared, own), dots))
    if plane != "middle":
        painter.inside(
            lung, drawings, painter.signals["blood"] * rng.uniform(0.3, 0.75), opacity=rng.uniform(0.55, 0.95)
        )


def paint_heart(
    painter: Painter, outline: Outline, dome_row: float, below: np.ndarray, plane: str, motion: MotionCentres
) -> None:
    """The heart on the front of the diaphragm: large in the middle, smaller to the left, rare to the right."""
    rng = painter.rng
    if plane == "right" and rng.random() < 0.85:
        return
    scale = {"middle": 1.0, "left": rng.uniform(0.6, 0.95), "right": rng.uniform(0.4, 0.6)}[plane]
    long_axis, short_axis = scale * rng.uniform(48, 60), scale * rng.uniform(34, 44)
    row = dome_row + rng.uniform(0.55, 0.85) * short_axis
    centre = (row, outline.column(row, rng.uniform(0.3, 0.42)))
    angle = rng.uniform(0.1, 0.9)
    sac = blob(rng, painter.canvas_shape, centre, (long_axis + 5, short_axis + 5), angle, 0.05)
    sac = Shape(sac.rows, sac.columns, np.minimum(sac.distance_px, -below[sac.window]))
    painter.organ("pericardial_fat", sac, painter.signals["fat"] * rng.uniform(0.6, 0.95), 1.5, 0.08)
    muscle = blob(rng, painter.canvas_shape, centre, (long_axis, short_axis), angle, 0.04)
    muscle = Shape(muscle.rows, muscle.columns, np.minimum(muscle.distance_px, -below[muscle.window] - 3))
    painter.organ("heart", muscle, "myocardium", 1.2, 0.06)
    blood = painter.signals["blood"] * rng.uniform(0.75, 1.0)
    offset = 0.3 * long_axis
    for side, size in ((-1, 0.5), (1, 0.42)):
        at = (centre[0] + side * offset * np.sin(angle), centre[1] + side * offset * np.cos(angle))
        chamber = blob(
            rng, painter.canvas_shape, at, (size * long_axis, 0.68 * short_axis), angle + rng.uniform(-0.5, 0.5), 0.1
        )
        distance = np.minimum(
            chamber.distance_px, muscle.on_canvas(painter.canvas_shape)[chamber.window] - rng.uniform(4, 8)
        )
        painter.detail(Shape(chamber.rows, chamber.columns, distance), blood, 1.5, 0.08)
    motion.heart = (*centre, short_axis)


def paint_mediastinum(painter: Painter, outline: Outline, dome_row: float) -> None:
    """What lies behind and above the heart in the middle: fat, the aorta, the airway, the oesophagus."""
    rng = painter.rng
    height, width = painter.canvas_shape
    start = dome_row + rng.uniform(70, 105)
    fat = blob(
        rng, (height, width), (start + 60, outline.column(start + 60, 0.55)), (110, rng.uniform(34, 55)), np.pi / 2, 0.1
    )
    painter.organ("mediastinum", fat, painter.signals["fat"] * rng.uniform(0.5, 0.8), 2.0, 0.12)
    behind = blob(rng, (height, width), (dome_row + 40, outline.column(dome_row + 40, 0.9)), (120, 16), np.pi / 2, 0.05)
    painter.detail(behind, painter.signals["fat"] * rng.uniform(0.45, 0.8), 2.0, 0.12)
    flow = painter.signals["blood"] * (rng.uniform(0.6, 1.0) if rng.random() < 0.7 else 0.25)
    tube = blob(
        rng,
        (height, width),
        (dome_row + 30, outline.column(dome_row + 30, 0.93)),
        (150, rng.uniform(9, 12)),
        np.pi / 2 + rng.normal(0, 0.04),
        0.03,
    )
    painter.detail(tube, flow, 1.2, 0.05)
    for _ in range(int(rng.integers(2, 5))):
        row = start + rng.uniform(-10, 90)
        vessel = blob(
            rng,
            (height, width),
            (row, outline.column(row, rng.uniform(0.3, 0.75))),
            (rng.uniform(8, 22), rng.uniform(6, 11)),
            rng.uniform(0, 3.1),
            0.1,
        )
        painter.detail(vessel, flow, 1.2, 0.05)
    airway = blob(
        rng,
        (height, width),
        (start + 90, outline.column(start + 90, rng.uniform(0.55, 0.7))),
        (75, rng.uniform(6, 9)),
        np.pi / 2 - 0.2,
        0.02,
    )
    painter.detail(Shape(airway.rows, airway.columns, airway.distance_px + 2), "muscle", 1.0)
    painter.detail(airway, "gas", 1.0)


def _lung_trees(rng: np.random.Generator, shape: tuple[int, int], hilum: tuple[float, float], stems: int) -> np.ndarray:
    drawing = np.zeros(shape, dtype=np.float32)
    for direction in rng.uniform(-np.pi, np.pi, stems):
        root = (hilum[0] + rng.normal(0, 10), hilum[1] + rng.normal(0, 10))
        tree = vessel_tree(
            rng, shape, root, direction, rng.uniform(24, 44), rng.uniform(1.2, 2.8), rng.uniform(0.4, 0.8)
        )
        drawing = np.maximum(drawing, tree)
    return drawing
