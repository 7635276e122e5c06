"""The abdomen's viscera: liver, kidney, spleen, pancreas, stomach, bowel and the great vessels.

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


def paint_liver(painter: Painter, outline: Outline, dome_row: float, below: np.ndarray, reach_mm: float) -> None:
    """The liver fills the space under the diaphragm down to a margin `reach_mm` below the dome in front."""
    rng = painter.rng
    height, width = painter.canvas_shape
    at = int(np.clip(dome_row - 60, 0, height - 1))
    front, back = outline.cavity_front[at], outline.cavity_back[at]
    fraction = (np.arange(width, dtype=np.float32) - front) / max(back - front, 40.0)
    # The lower margin hangs lowest in front and rises towards the kidney at the back.
    lower = (
        dome_row
        - reach_mm * (1 - rng.uniform(0.15, 0.4) * np.clip(fraction, -0.2, 1.2))
        + 5 * smooth_curve(rng, width, 45)
    )
    rows = np.arange(height, dtype=np.float32)[:, None]
    distance = np.minimum(below - 2.5, (rows - lower[None]) / np.sqrt(1 + np.gradient(lower)[None] ** 2))
    if rng.random() < 0.5 and reach_mm < 120:  # the left lobe does not reach the back
        end = front + (back - front) * rng.uniform(0.45, 0.75)
        distance = np.minimum(distance, end - np.arange(width)[None] + 0.25 * (rows - dome_row))
    liver = Shape(slice(0, height), slice(0, width), distance.astype(np.float32))
    level = painter.signals["liver"] * rng.uniform(0.75, 1.2)
    painter.organ("liver", liver, level, 1.0, rng.uniform(0.03, 0.08))
    porta = (dome_row - rng.uniform(60, 100), outline.column(dome_row - 80, rng.uniform(0.4, 0.7)))
    drawings = []
    for _ in painter.images:
        drawing = vessel_dots(rng, painter.canvas_shape, int(rng.integers(15, 50)), rng.uniform(1.8, 4.0))
        for _ in range(4):
            tree = vessel_tree(
                rng,
                painter.canvas_shape,
                porta,
                rng.uniform(-np.pi, np.pi),
                rng.uniform(24, 42),
                rng.uniform(1.8, 4.0),
                0.7,
            )
            drawing = np.maximum(drawing, tree)
        drawings.append(drawing)
    # Slow blood is bright in bSSFP, fast or out-of-phase blood dark.
    vessel_signal = level * (rng.uniform(1.15, 1.7) if rng.random() < 0.65 else rng.uniform(0.45, 0.85))
    painter.inside(liver, drawings, vessel_signal, opacity=rng.uniform(0.4, 0.9))


def paint_gallbladder(painter: Painter, outline: Outline, dome_row: float) -> None:
    """A pear of bile under the liver's front."""
    rng = painter.rng
    row = dome_row - rng.uniform(95, 130)
    shape = blob(
        rng,
        painter.canvas_shape,
        (row, outline.column(row, rng.uniform(0.2, 0.45))),
        (rng.uniform(18, 30), rng.uniform(9, 15)),
        rng.uniform(0.4, 1.3),
        0.08,
    )
    painter.organ("gallbladder", shape, painter.signals["fluid"] * rng.uniform(0.7, 1.0), 1.0, 0.03)


def paint_kidney(painter: Painter, outline: Outline, row: float) -> None:
    """A kidney in its fat, centred on `row`, with pyramids and a fatty sinus."""
    rng = painter.rng
    centre = (row, outline.column(row, rng.uniform(0.72, 0.86)))
    angle = np.pi / 2 + rng.uniform(-0.1, 0.4)
    axes = (rng.uniform(44, 58), rng.uniform(22, 29))
    capsule = blob(
        rng, painter.canvas_shape, centre, (axes[0] + rng.uniform(5, 12), axes[1] + rng.uniform(4, 9)), angle, 0.08
    )
    painter.organ("perirenal_fat", capsule, "fat", 1.5, 0.05)
    painter.organ("kidney", blob(rng, painter.canvas_shape, centre, axes, angle, 0.06), "kidney_cortex", 1.0, 0.04)
    for k in range(8):
        theta = 2 * np.pi * (k + rng.uniform(-0.2, 0.2)) / 8
        along, across = 0.66 * axes[0] * np.cos(theta), 0.6 * axes[1] * np.sin(theta)
        at = (
            centre[0] + along * np.sin(angle) + across * np.cos(angle),
            centre[1] + along * np.cos(angle) - across * np.sin(angle),
        )
        pyramid = blob(rng, painter.canvas_shape, at, (rng.uniform(5, 8), rng.uniform(4, 6)), rng.uniform(0, 3.1), 0.1)
        painter.detail(pyramid, painter.signals["kidney_medulla"] * rng.uniform(0.85, 1.2), 1.5)
    sinus = blob(
        rng, painter.canvas_shape, (centre[0], centre[1] - 0.2 * axes[1]), (0.48 * axes[0], 0.3 * axes[1]), angle, 0.2
    )
    painter.detail(sinus, "fat", 1.5, 0.1)


def paint_spleen(painter: Painter, outline: Outline, dome_row: float) -> None:
    """The spleen, under the back of the left dome."""
    rng = painter.rng
    row = dome_row - rng.uniform(55, 85)
    centre = (row, outline.column(row, rng.uniform(0.78, 0.9)))
    shape = blob(
        rng,
        painter.canvas_shape,
        centre,
        (rng.uniform(40, 60), rng.uniform(20, 32)),
        np.pi / 2 + rng.uniform(-0.1, 0.5),
        0.08,
    )
    painter.organ("spleen", shape, painter.signals["spleen"] * rng.uniform(0.8, 1.15), 1.0, 0.05)


def paint_pancreas(painter: Painter, outline: Outline, dome_row: float) -> None:
    """The pancreas in cross-section, lobulated and set in fat, with a vessel beside it."""
    rng = painter.rng
    row = dome_row - rng.uniform(85, 125)
    centre = (row, outline.column(row, rng.uniform(0.5, 0.68)))
    shape = blob(
        rng,
        painter.canvas_shape,
        centre,
        (rng.uniform(15, 28), rng.uniform(9, 15)),
        rng.uniform(0.3, 1.4),
        0.2,
        lowest_harmonic=3,
    )
    painter.organ("pancreas", shape, painter.signals["pancreas"] * rng.uniform(0.75, 1.1), 1.4, 0.12)
    beside = (centre[0] + rng.uniform(-12, 12), centre[1] + rng.uniform(12, 20))
    vessel = blob(rng, painter.canvas_shape, beside, (rng.uniform(5, 9), rng.uniform(4, 6)), rng.uniform(0, 3.1))
    painter.detail(vessel, painter.signals["blood"] * rng.uniform(0.5, 1.0), 1.2)


def paint_stomach(painter: Painter, outline: Outline, dome_row: float, size: float) -> None:
    """The stomach under the front of the dome: wall, mixed content, and often gas, which rises to the front."""
    rng = painter.rng
    row = dome_row - rng.uniform(48, 75)
    centre = (row, outline.column(row, rng.uniform(0.28, 0.45)))
    axes = (size * rng.uniform(34, 55), size * rng.uniform(24, 36))
    angle = np.pi / 2 + rng.uniform(-0.5, 0.5)
    stomach = blob(rng, painter.canvas_shape, centre, axes, angle, 0.12)
    painter.organ("stomach", stomach, "bowel_wall", 1.2, 0.05)
    lumen = Shape(stomach.rows, stomach.columns, stomach.distance_px - rng.uniform(3, 6))
    painter.detail(lumen, painter.signals["bowel_content"] * rng.uniform(0.35, 1.5), 1.5, rng.uniform(0.05, 0.35))
    if rng.random() < 0.6:
        columns = np.arange(stomach.columns.start, stomach.columns.stop)[None]
        level = centre[1] - rng.uniform(0.0, 0.7) * axes[1]
        gas = Shape(lumen.rows, lumen.columns, np.minimum(lumen.distance_px, level - columns).astype(np.float32))
        painter.detail(gas, "gas", 1.2)


def paint_bowel(
    painter: Painter,
    outline: Outline,
    top_row: float,
    bottom_row: float,
    motion: MotionCentres,
    front: float = 0.05,
    back: float = 0.75,
) -> None:
    """Loops of bowel between two rows: thin walls around fluid, stool or gas, some of them moving."""
    rng = painter.rng
    area = max(0.0, top_row - bottom_row) * (outline.column(top_row, 1) - outline.column(top_row, 0))
    gas_share = rng.uniform(0.03, 0.25)
    for _ in range(min(int(area / rng.uniform(350, 1300)), 70)):
        row = rng.uniform(bottom_row, top_row)
        centre = (row, outline.column(row, rng.uniform(front, back)))
        axes = (rng.uniform(8, 30), rng.uniform(6, 15))
        loop = blob(rng, painter.canvas_shape, centre, axes, rng.uniform(0, np.pi), 0.18)
        painter.organ("bowel", loop, painter.signals["bowel_wall"] * rng.uniform(0.8, 1.2), 1.2)
        content = Shape(loop.rows, loop.columns, loop.distance_px - rng.uniform(1.8, 3.2))
        gas = rng.random() < gas_share
        signal = painter.signals["gas"] if gas else painter.signals["bowel_content"] * rng.uniform(0.4, 1.4)
        painter.detail(content, signal, 1.6, 0.0 if gas else rng.uniform(0.05, 0.35))
        if rng.random() < 0.35:
            motion.bowel.append((*centre, max(axes)))


def paint_mesentery(painter: Painter) -> None:
    """The fat that fills the abdomen, with the vessels that run through it."""
    rng = painter.rng
    height, width = painter.canvas_shape
    everywhere = Shape(slice(0, height), slice(0, width), np.full((height, width), 50, np.float32))
    fat = painter.signals["fat"] * rng.uniform(0.45, 0.9)
    painter.organ("abdominal_fat", everywhere, fat, mottling=rng.uniform(0.08, 0.25))
    drawings = []
    for _ in painter.images:
        drawing = vessel_dots(rng, painter.canvas_shape, int(rng.integers(40, 120)), 3.0)
        for _ in range(5):
            root_row, root_column = rng.uniform(0, painter.canvas_shape)
            tree = vessel_tree(
                rng,
                painter.canvas_shape,
                (root_row, root_column),
                rng.uniform(-np.pi, np.pi),
                rng.uniform(25, 50),
                rng.uniform(1, 2.5),
            )
            drawing = np.maximum(drawing, tree)
        drawings.append(drawing)
    painter.inside(
        everywhere, drawings, fat * (rng.uniform(0.3, 0.7) if rng.random() < 0.7 else 1.3), rng.uniform(0.3, 0.8)
    )


def paint_retroperitoneum(painter: Painter, outline: Outline, dome_row: float, plane: str) -> None:
    """The psoas muscle beside the spine, or the great vessels in front of it."""
    rng = painter.rng
    if plane == "middle":
        level = painter.signals["blood"]
        for fraction, width in ((0.93, rng.uniform(8, 11)), (0.72, rng.uniform(7, 11))):
            row = dome_row - rng.uniform(90, 130)
            flow = level * (rng.uniform(0.6, 1.0) if rng.random() < 0.6 else rng.uniform(0.15, 0.4))
            vessel = blob(
                rng,
                painter.canvas_shape,
                (row, outline.column(row, fraction)),
                (130, width),
                np.pi / 2 + rng.normal(0, 0.06),
                0.04,
            )
            painter.detail(vessel, flow, 1.2, 0.06)
    else:
        row = dome_row - rng.uniform(190, 230)
        psoas = blob(
            rng,
            painter.canvas_shape,
            (row, outline.column(row, 0.9)),
            (100, rng.uniform(16, 26)),
            np.pi / 2 + rng.uniform(-0.15, 0.05),
            0.05,
        )
        painter.detail(psoas, "muscle", 1.2, 0.12)
