"""The viscera of chest and abdomen in a right, a middle and a left sagittal slice, put together back to front."""

from __future__ import annotations

from cinetrack.phantom.abdomen import (
    paint_bowel,
    paint_gallbladder,
    paint_kidney,
    paint_liver,
    paint_mesentery,
    paint_pancreas,
    paint_retroperitoneum,
    paint_spleen,
    paint_stomach,
)
from cinetrack.phantom.anatomy import MotionCentres, Painter
from cinetrack.phantom.body_wall import Outline
from cinetrack.phantom.chest import below_diaphragm, paint_heart, paint_lung, paint_mediastinum


def paint_torso(painter: Painter, outline: Outline, dome_row: float, plane: str) -> MotionCentres:
    """Paint the viscera of a plane ("right", "middle" or "left"); returns the movers."""
    rng = painter.rng
    motion = MotionCentres(dome_row)
    below = below_diaphragm(painter, outline, dome_row)
    paint_mesentery(painter)
    paint_retroperitoneum(painter, outline, dome_row, plane)
    paint_bowel(painter, outline, dome_row - 90, -10, motion)
    if plane == "right":
        paint_kidney(painter, outline, dome_row - rng.uniform(105, 140))
        paint_liver(painter, outline, dome_row, below, reach_mm=rng.uniform(125, 190))
        if rng.random() < 0.5:
            paint_gallbladder(painter, outline, dome_row)
    elif plane == "middle":
        paint_pancreas(painter, outline, dome_row)
        paint_stomach(painter, outline, dome_row, size=0.7)
        paint_liver(painter, outline, dome_row, below, reach_mm=rng.uniform(60, 110))
    else:
        paint_kidney(painter, outline, dome_row - rng.uniform(95, 125))
        paint_pancreas(painter, outline, dome_row)
        paint_spleen(painter, outline, dome_row)
        paint_stomach(painter, outline, dome_row, size=1.0)
    paint_lung(painter, outline, dome_row, below, plane)
    if plane == "middle":
        paint_mediastinum(painter, outline, dome_row)
    paint_heart(painter, outline, dome_row, below, plane, motion)
    return motion
