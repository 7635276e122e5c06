"""The body's outline and wall in a sagittal slice: skin, fat, muscle, spine or ribs, and the cavity.

Rows grow towards the head and columns towards the back; distances are px = mm. Sizes are rough adult ranges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cinetrack.phantom.anatomy import Painter
from cinetrack.phantom.shapes import Shape, blob, polygon
from cinetrack.phantom.smooth_fields import smooth_curve

CANAL_MM = 14.0
DISC_SHARE = 0.26  # of a vertebral level's height


@dataclass(frozen=True, eq=False)
class Outline:
    """Columns of the wall's surfaces on every canvas row, (H,) float32 each.

    Attributes:
        front, back: the skin.
        cavity_front, cavity_back: the cavity's ends.
        spine_depth_mm: front-to-back size of the vertebral bodies; None where the slice misses the spine.
    """

    front: np.ndarray
    back: np.ndarray
    cavity_front: np.ndarray
    cavity_back: np.ndarray
    spine_depth_mm: np.ndarray | None

    def column(self, row: float, fraction: float) -> float:
        """Column at `fraction` of the cavity (0 front, 1 back) on a row; rows beyond the canvas take its edge."""
        at = int(np.clip(round(row), 0, self.front.size - 1))
        return float(self.cavity_front[at] + fraction * (self.cavity_back[at] - self.cavity_front[at]))


def torso_outline(
    rng: np.random.Generator, canvas_shape: tuple[int, int], dome_row: float, midline: bool, pelvis: bool
) -> Outline:
    """Draw the surfaces of a torso whose diaphragm's dome is at `dome_row`."""
    height, width = canvas_shape
    rows = np.arange(height, dtype=np.float32)
    thickness = rng.uniform(200, 285) if midline else rng.uniform(185, 260)
    middle = width / 2 + rng.normal(0, 10)
    belly = rng.uniform(-6, 26) * np.exp(-(((rows - dome_row + 150) / rng.uniform(80, 130)) ** 2))
    chest = rng.uniform(20, 50) * np.clip((rows - dome_row - 60) / 170, 0, 1.6) ** 1.7
    front = middle - thickness / 2 - belly + chest + 2.5 * smooth_curve(rng, height, 70)
    lordosis = rng.uniform(4, 14) * np.sin((rows - dome_row + 40) / rng.uniform(95, 130))
    back = middle + thickness / 2 + lordosis + 2.0 * smooth_curve(rng, height, 80)
    if pelvis:
        back = back + rng.uniform(10, 30) * np.exp(-(((rows - 0.25 * height) / 90) ** 2))  # the buttocks

    fat_front = rng.uniform(7, 34) * (1 - 0.6 / (1 + np.exp(-(rows - dome_row + 20) / 35)))
    fat_front = fat_front * (1 + 0.15 * smooth_curve(rng, height, 60))
    fat_back = rng.uniform(6, 26) * (1 + 0.2 * smooth_curve(rng, height, 60))
    muscle_front = rng.uniform(7, 13)
    cavity_front = front + fat_front + muscle_front
    if midline:
        spine_depth = np.full(height, rng.uniform(29, 36), dtype=np.float32)
        behind = rng.uniform(32, 46) + CANAL_MM + spine_depth
        cavity_back = back - 0.5 * fat_back - behind + 0.5 * lordosis
        if pelvis:  # the sacrum bends back and tapers to the tailbone, which bends forward again
            above_floor = rows - (dome_row - 330)
            cavity_back = cavity_back + rng.uniform(20, 38) * np.exp(-(((above_floor - 85) / 48) ** 2))
            spine_depth = spine_depth * np.clip((above_floor - 5) / 125, 0.12, 1)
        return Outline(front, back, cavity_front, cavity_back, spine_depth)
    cavity_back = back - fat_back - rng.uniform(18, 38) * (1 - 0.35 * np.clip((rows - dome_row) / 120, 0, 1))
    return Outline(front, back, cavity_front, cavity_back, None)


def paint_wall(painter: Painter, outline: Outline, dome_row: float) -> np.ndarray:
    """Paint the wall layer; returns the cavity's signed distance, (H, W) float32."""
    rng = painter.rng
    height, width = painter.canvas_shape
    whole = (slice(0, height), slice(0, width))
    columns = np.arange(width, dtype=np.float32)[None]
    body = np.minimum(columns - outline.front[:, None], outline.back[:, None] - columns).astype(np.float32)
    painter.organ("body", Shape(*whole, body), "muscle", 0.7, 0)
    painter.organ("fat", Shape(*whole, body - rng.uniform(1.0, 2.0)), "fat", 1.0, 0.06)

    muscle_edge = 0.5 * (outline.cavity_front - outline.front)
    muscle_front = outline.cavity_front - np.minimum(muscle_edge, rng.uniform(7, 13))
    back_fat = np.clip(outline.back - outline.cavity_back, 0, rng.uniform(10, 24)) * 0.6
    muscle = np.minimum(columns - muscle_front[:, None], (outline.back - back_fat)[:, None] - columns)
    painter.organ("muscle", Shape(*whole, muscle.astype(np.float32)), "muscle", 1.2, 0.12)
    _fat_streaks(painter, Shape(*whole, np.minimum(muscle, columns - outline.cavity_back[:, None]).astype(np.float32)))

    cavity = np.minimum(columns - outline.cavity_front[:, None], outline.cavity_back[:, None] - columns)
    if outline.spine_depth_mm is not None:
        _spine(painter, outline, outline.spine_depth_mm, dome_row)
        _sternum(painter, outline, dome_row)
    else:
        _ribs(painter, outline, dome_row)
    return cavity.astype(np.float32)


def _fat_streaks(painter: Painter, region: Shape) -> None:
    """Fat planes between the muscles of the back run roughly along the body."""
    rng = painter.rng
    height, width = painter.canvas_shape
    rows, columns = np.nonzero(region.distance_px[::8, ::8] > 3)
    if rows.size == 0:
        return
    for _ in range(int(rng.integers(6, 16))):
        at = int(rng.integers(rows.size))
        centre = (8.0 * rows[at], 8.0 * columns[at])
        streak = blob(
            rng, (height, width), centre, (rng.uniform(12, 40), rng.uniform(0.8, 2.2)), np.pi / 2 + rng.normal(0, 0.15)
        )
        painter.detail(streak, painter.signals["fat"] * rng.uniform(0.6, 0.95), 1.2)


def _spine(painter: Painter, outline: Outline, depth: np.ndarray, dome_row: float) -> None:
    rng = painter.rng
    height, width = painter.canvas_shape
    front = outline.cavity_back
    columns = np.arange(width, dtype=np.float32)[None]
    whole = (slice(0, height), slice(0, width))

    def band(start: np.ndarray, stop: np.ndarray) -> Shape:
        return Shape(*whole, np.minimum(columns - start[:, None], stop[:, None] - columns).astype(np.float32))

    painter.detail(band(front - 1.5, front + depth + 1.5), 0.5 * painter.signals["muscle"], 1.0)  # ligaments
    painter.detail(band(front + 1, front + depth - 1), "disc", 1.2, 0.1)
    canal = front + depth + 2.5
    canal_width = CANAL_MM * depth / depth.max()  # the sacrum's canal tapers with it
    painter.detail(band(canal, canal + canal_width), painter.signals["fluid"] * rng.uniform(0.65, 0.9), 1.2, 0.06)
    cord_rows = np.arange(height, dtype=np.float32)
    cord_width = (
        np.where(cord_rows > dome_row - rng.uniform(20, 60), 8.0, 4.0) * depth / depth.max()
    )  # below L1: cauda equina
    middle = canal + canal_width / 2
    painter.detail(band(middle - cord_width / 2, middle + cord_width / 2), "bowel_wall", 1.4, 0.05)

    marrow = painter.signals["marrow"] * rng.uniform(0.75, 1.1)
    row = rng.uniform(-20, 5)
    while row < height + 20:
        # Lumbar levels are about 35 mm apart, upper thoracic ones about 24.
        level = np.interp(row - dome_row, [-330, -250, -160, 0, 160], [17, 27, 36, 31, 25]) * rng.uniform(0.97, 1.03)
        at = int(np.clip(row + level / 2, 1, height - 2))
        slope = float(front[at + 1] - front[at - 1]) / 2
        body = _vertebral_body((row, front[at]), level * (1 - DISC_SHARE), depth[at], slope)
        painter.detail(polygon((height, width), body), marrow * rng.uniform(0.92, 1.08), 1.2, 0.08)
        spinous = (row + level * 0.2, front[at] + depth[at] + CANAL_MM + rng.uniform(16, 21))
        process = blob(
            rng, (height, width), spinous, (rng.uniform(10, 15), rng.uniform(4.5, 7)), -rng.uniform(0.35, 0.8), 0.12
        )
        painter.detail(
            Shape(process.rows, process.columns, process.distance_px + 1.2), 0.6 * painter.signals["muscle"], 1.2
        )
        painter.detail(process, marrow, 1.2, 0.06)
        row += level


def _vertebral_body(corner: tuple[float, float], height_mm: float, depth_mm: float, slope: float) -> np.ndarray:
    """Outline of a vertebral body: a rounded box with a waist, tilted with the spine; (N, 2) of (row, column)."""
    u = np.linspace(0, 1, 9)
    waist = 1.8 * np.sin(np.pi * u)
    endplate = 1.2 * np.sin(np.pi * u)
    front = np.stack([u * height_mm, waist + 1], 1)
    top = np.stack([height_mm - endplate, u * depth_mm], 1)
    back = np.stack([(1 - u) * height_mm, depth_mm - waist - 1], 1)
    bottom = np.stack([endplate, (1 - u) * depth_mm], 1)
    box = np.concatenate([front, top, back, bottom])
    # A shear is enough for the few degrees a vertebra leans.
    return np.stack(
        [
            corner[0] + box[:, 0] - slope * (box[:, 1] - depth_mm / 2),
            corner[1] + box[:, 1] + slope * (box[:, 0] - height_mm / 2),
        ],
        1,
    )


def _sternum(painter: Painter, outline: Outline, dome_row: float) -> None:
    rng = painter.rng
    start = dome_row + rng.uniform(0, 30)
    for segment in range(5):
        row = start + 32 * segment
        if row >= painter.canvas_shape[0]:
            return
        column = outline.column(row, 0) - 6
        at = int(np.clip(row, 1, outline.front.size - 2))
        angle = np.arctan2(1.0, float(outline.cavity_front[at + 1] - outline.cavity_front[at - 1]) / 2)
        bone = blob(rng, painter.canvas_shape, (row, column), (16, 5.5), angle, 0.05)
        painter.detail(Shape(bone.rows, bone.columns, bone.distance_px + 1.8), 0.35 * painter.signals["muscle"], 1.0)
        painter.detail(bone, painter.signals["marrow"] * 0.9, 1.2, 0.06)


def _ribs(painter: Painter, outline: Outline, dome_row: float) -> None:
    rng = painter.rng
    spacing = rng.uniform(26, 33)
    for fraction, lowest, offset in ((1, dome_row - 110, 7.5), (0, dome_row - 50, -6.0)):
        row = lowest + rng.uniform(0, spacing)
        while row < painter.canvas_shape[0] + 10:
            centre = (row, outline.column(row, fraction) + offset)
            rib = blob(
                rng,
                painter.canvas_shape,
                centre,
                (rng.uniform(6, 9), rng.uniform(3.5, 5)),
                np.pi / 2 + rng.normal(0, 0.2),
                0.06,
            )
            gap = blob(rng, painter.canvas_shape, (row + spacing / 2, centre[1]), (6, 3.5), np.pi / 2, 0.2)
            painter.detail(gap, painter.signals["fat"] * rng.uniform(0.5, 0.9), 2.0, 0.1)
            painter.detail(Shape(rib.rows, rib.columns, rib.distance_px + 1.2), 0.4 * painter.signals["muscle"], 1.2)
            painter.detail(rib, painter.signals["marrow"] * rng.uniform(0.7, 1.1), 1.2)
            row += spacing * rng.uniform(0.9, 1.1)
