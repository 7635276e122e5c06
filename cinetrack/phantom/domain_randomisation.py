"""Scenes that leave anatomy behind, so that a tracker learns to match tissue and not to recognise organs."""

from __future__ import annotations

import numpy as np

from cinetrack.phantom.anatomy import Anatomy, MotionCentres, Painter, Structure
from cinetrack.phantom.shapes import Shape, blob
from cinetrack.phantom.smooth_fields import smooth_field, texture
from cinetrack.phantom.targets import View
from cinetrack.phantom.vessels import vessel_dots, vessel_tree

HOST = "shape"


def random_anatomy(rng: np.random.Generator, canvas_shape: tuple[int, int], view: View) -> Anatomy:
    """Draw a scene of level sets, blobs, lines and dots; any place may hold a lesion (host "shape")."""
    height, width = canvas_shape
    everywhere = Shape(slice(0, height), slice(0, width), np.full(canvas_shape, 50, np.float32))
    painter = Painter(rng, canvas_shape, {}, 2)
    for image in painter.images:
        image[:] = _level_sets(rng, canvas_shape)
        if rng.random() < 0.85:  # most often the neighbouring slice is much the same
            painter.images[1][:] = painter.images[0]
            break
    organs: list[str] = []
    for _ in range(int(rng.integers(2, 12))):
        radius = float(np.exp(rng.uniform(np.log(6), np.log(60))))
        centre = (view.row + rng.uniform(0, view.shape[0]), view.column + rng.uniform(0, view.shape[1]))
        stretch = rng.uniform(0.6, 1.6)
        shape = blob(
            rng, canvas_shape, centre, (radius * stretch, radius / stretch), rng.uniform(0, np.pi), rng.uniform(0, 0.35)
        )
        painter.organ(f"{HOST}{len(organs)}", shape, rng.uniform(0, 1.2), rng.uniform(0.6, 4.0), rng.uniform(0, 0.3))
        organs.append(f"{HOST}{len(organs)}")
    _lines_and_dots(painter, everywhere)
    structures = tuple(
        Structure(name, painter.shapes[name].largest_part()) for name in organs if painter.shapes[name].area_px > 60
    )

    wall = _level_sets(rng, canvas_shape)
    if rng.random() < 0.5:
        cavity = np.full(canvas_shape, 60, np.float32)
    else:
        centre = (view.row + view.shape[0] / 2, view.column + view.shape[1] / 2)
        axes = (rng.uniform(0.4, 0.75) * view.shape[1], rng.uniform(0.4, 0.75) * view.shape[0])
        cavity = blob(rng, canvas_shape, centre, axes, rng.uniform(-0.3, 0.3), 0.15).on_canvas(canvas_shape)
    motion = MotionCentres(rng.uniform(-0.2, 1.2) * view.shape[0])
    for _ in range(int(rng.integers(0, 5))):
        motion.bowel.append((*(rng.uniform(0, 1, 2) * view.shape), rng.uniform(15, 50)))
    return Anatomy(wall, np.stack(painter.images, axis=-1), cavity, structures, {HOST: everywhere}, motion)


def _level_sets(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Areas of constant grey between thresholds of a smooth field, textured; (H, W) float32."""
    relief = texture(rng, shape, (rng.uniform(8, 20), rng.uniform(25, 60), rng.uniform(60, 140)))
    thresholds = np.sort(rng.normal(0, 1, int(rng.integers(2, 9)))).astype(np.float32)
    greys = rng.uniform(0.0, 1.2, thresholds.size + 1).astype(np.float32)
    image = greys[np.digitize(relief, thresholds)]
    return (
        image * (1 + rng.uniform(0, 0.2) * texture(rng, shape, (3.0, 9.0)))
        + 0.1 * rng.random() * smooth_field(rng, shape, 50)
    ).clip(0)


def _lines_and_dots(painter: Painter, everywhere: Shape) -> None:
    rng = painter.rng
    for _ in range(int(rng.integers(0, 4))):
        root_row, root_column = rng.uniform(0, painter.canvas_shape)
        tree = vessel_tree(
            rng,
            painter.canvas_shape,
            (root_row, root_column),
            rng.uniform(-np.pi, np.pi),
            rng.uniform(20, 60),
            rng.uniform(1, 5),
        )
        painter.inside(everywhere, [tree] * 2, rng.uniform(0, 1.2), rng.uniform(0.3, 1))
    if rng.random() < 0.6:
        dots = vessel_dots(rng, painter.canvas_shape, int(rng.integers(10, 200)), rng.uniform(1, 6))
        painter.inside(everywhere, [dots] * 2, rng.uniform(0, 1.2), rng.uniform(0.3, 1))
