"""A case's still anatomy for a region and plane, and which targets are found there how often."""

from __future__ import annotations

import numpy as np

from cinetrack.phantom.anatomy import Anatomy, MotionCentres, Painter, Structure
from cinetrack.phantom.body_wall import paint_wall, torso_outline
from cinetrack.phantom.pelvis import paint_pelvic_wall, paint_pelvis
from cinetrack.phantom.targets import View
from cinetrack.phantom.torso import paint_torso

# Where the diaphragm's dome (thorax, abdomen) or the pelvic floor lies, as a share of the view's height from its lowest
# row.
LANDMARK_SHARE = {"thorax": (0.2, 0.48), "abdomen": (0.55, 0.95), "pelvis": (0.05, 0.3)}
PLANES = {"thorax": ("right", "left", "middle"), "abdomen": ("right", "left", "middle"), "pelvis": ("middle",)}

# Relative frequency of targets; a name that ends in "_lesion" is placed in that host, any other is an organ.
TARGETS: dict[tuple[str, str], dict[str, float]] = {
    ("thorax", "right"): {"lung_lesion": 6, "liver_lesion": 2, "heart": 0.5},
    ("thorax", "left"): {"lung_lesion": 6, "heart": 0.7, "spleen": 0.5, "stomach": 0.4},
    ("thorax", "middle"): {"mediastinum_lesion": 3, "lung_lesion": 1.5, "heart": 1, "liver_lesion": 0.7},
    ("abdomen", "right"): {
        "liver_lesion": 6,
        "kidney": 1.2,
        "kidney_lesion": 1,
        "perirenal_fat_lesion": 1.2,
        "gallbladder": 0.7,
    },
    ("abdomen", "left"): {
        "pancreas": 2,
        "kidney": 1.2,
        "kidney_lesion": 0.8,
        "spleen": 1,
        "stomach": 0.8,
        "perirenal_fat_lesion": 1.2,
        "abdominal_fat_lesion": 0.7,
    },
    ("abdomen", "middle"): {
        "pancreas": 3,
        "pancreas_lesion": 2,
        "liver_lesion": 2,
        "abdominal_fat_lesion": 1,
        "stomach": 0.8,
    },
    ("pelvis", "middle"): {
        "prostate": 4,
        "prostate_lesion": 0.5,
        "bladder": 1.2,
        "uterus": 1.5,
        "abdominal_fat_lesion": 1,
        "rectum_lesion": 0.7,
    },
}
_NOT_ORGANS = (
    "body",
    "fat",
    "muscle",
    "abdominal_fat",
    "perirenal_fat",
    "pericardial_fat",
    "mediastinum",
    "lung",
    "bowel",
    "rectum",
)


def build_body(
    rng: np.random.Generator,
    canvas_shape: tuple[int, int],
    view: View,
    region: str,
    plane: str,
    signals: dict[str, float],
) -> Anatomy:
    """Draw and paint the anatomy of a region ("thorax", "abdomen", "pelvis") in a plane ("right", "middle", "left").

    Args:
        signals: of every tissue, fat = 1, see `tissue.tissue_signals`; each case varies them a little.
    """
    varied = {name: value * float(np.exp(rng.normal(0, 0.1))) for name, value in signals.items()}
    landmark = view.row + rng.uniform(*LANDMARK_SHARE[region]) * view.shape[0]
    pelvic = region == "pelvis"
    dome_row = landmark + 330 if pelvic else landmark
    outline = torso_outline(rng, canvas_shape, dome_row, plane == "middle", pelvic)
    wall, viscera = Painter(rng, canvas_shape, varied, 1), Painter(rng, canvas_shape, varied, 2)
    cavity = paint_wall(wall, outline, dome_row)
    if pelvic:
        motion = paint_pelvis(viscera, outline, landmark)
        cavity = paint_pelvic_wall(wall, outline, landmark, cavity)
    else:
        motion = paint_torso(viscera, outline, dome_row, plane)
    shapes = viscera.shapes
    organs = tuple(Structure(name, shape.largest_part()) for name, shape in shapes.items() if name not in _NOT_ORGANS)
    return Anatomy(
        wall.images[0], np.stack(viscera.images, axis=-1), cavity, organs, dict(shapes), in_view(motion, view)
    )


def in_view(motion: MotionCentres, view: View) -> MotionCentres:
    """Centres in pixels of the view instead of the canvas."""

    def moved(centre: tuple[float, float, float]) -> tuple[float, float, float]:
        return centre[0] - view.row, centre[1] - view.column, centre[2]

    return MotionCentres(
        motion.diaphragm_row - view.row,
        motion.heart and moved(motion.heart),
        [moved(loop) for loop in motion.bowel],
        motion.bladder and moved(motion.bladder),
        motion.rectum and moved(motion.rectum),
    )
