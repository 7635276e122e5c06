"""The still anatomy that motion deforms: two layers that slide on each other, and the structures one could track.

The body wall (fat, muscle, spine, ribs) and the viscera are separate images. A frame shows the viscera through the
wall's cavity, each layer warped by its own motion; so organs slide along the chest wall and the spine instead of
dragging them along. The viscera come as two neighbouring slices between which through-plane motion blends.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cinetrack.phantom.shapes import Shape, coverage, paint
from cinetrack.phantom.smooth_fields import texture

TEXTURE_SPARE_PX = 96


@dataclass(frozen=True, eq=False)
class Structure:
    """What could be a target: an organ's or lesion's name and its outline at rest, in canvas pixels."""

    name: str
    shape: Shape


@dataclass(eq=False)
class MotionCentres:
    """Where the anatomy's own movers are, (row, column, radius) in canvas pixels."""

    diaphragm_row: float
    heart: tuple[float, float, float] | None = None
    bowel: list[tuple[float, float, float]] = field(default_factory=list)
    bladder: tuple[float, float, float] | None = None
    rectum: tuple[float, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A case's still anatomy on a canvas that surrounds the field of view.

    Attributes:
        wall: (H, W) float32, signal (fat = 1) of the body wall and the air around it.
        viscera: (H, W, 2) float32, signal of two neighbouring slices.
        cavity_px: (H, W) float32, signed distance of the opening in the wall, positive where viscera show.
        organs: the organs that may serve as targets, parts hidden by others taken off.
        hosts: the tissue that may hold a lesion, by name.
        motion: where the movers are.
    """

    wall: np.ndarray
    viscera: np.ndarray
    cavity_px: np.ndarray
    organs: tuple[Structure, ...]
    hosts: dict[str, Shape]
    motion: MotionCentres

    @property
    def canvas_shape(self) -> tuple[int, int]:
        """(H, W) of the canvas."""
        return self.wall.shape


class Painter:
    """Paints organs, back to front, on the two visceral slices or on the wall."""

    def __init__(self, rng: np.random.Generator, canvas_shape: tuple[int, int], signals: dict[str, float], slices: int):
        self.rng = rng
        self.canvas_shape = canvas_shape
        self.signals = signals
        self.images = [np.zeros(canvas_shape, dtype=np.float32) for _ in range(slices)]
        self.shapes: dict[str, Shape] = {}
        larger = (canvas_shape[0] + TEXTURE_SPARE_PX, canvas_shape[1] + TEXTURE_SPARE_PX)
        self._texture = texture(rng, larger, (2.5, 6.0, 16.0))

    def mottled(self, value: float, strength: float) -> np.ndarray:
        """`value` varied by a relative deviation of `strength`, (H, W) float32; every call gives another pattern."""
        row, column = self.rng.integers(0, TEXTURE_SPARE_PX + 1, 2)
        flips = self.rng.choice([-1, 1], 2)
        pattern = self._texture[row : row + self.canvas_shape[0], column : column + self.canvas_shape[1]]
        variation = 1.0 + np.float32(strength) * pattern[:: flips[0], :: flips[1]]
        return np.float32(value) * np.maximum(variation, np.float32(0.1))

    def organ(
        self, name: str, shape: Shape, tissue: str | float, softness_px: float = 0.9, mottling: float = 0.04
    ) -> Shape:
        """Paint `shape` over what is there and remember it under `name`; earlier shapes lose what it hides."""
        value = self.signals[tissue] if isinstance(tissue, str) else tissue
        colour = self.mottled(value, mottling) if mottling else float(value)
        for index, image in enumerate(self.images):
            # The neighbouring slice cuts the same organ a little nearer or farther from its middle.
            offset = 0.0 if index == 0 else float(self.rng.normal(0, 1.5))
            paint(image, Shape(shape.rows, shape.columns, shape.distance_px + np.float32(offset)), colour, softness_px)
        for earlier, old in self.shapes.items():
            self.shapes[earlier] = old.without(shape)
        self.shapes[name] = shape
        return shape

    def detail(self, shape: Shape, tissue: str | float, softness_px: float = 0.9, mottling: float = 0.0) -> None:
        """Paint a part of an organ: nothing is remembered and nothing loses area."""
        value = self.signals[tissue] if isinstance(tissue, str) else tissue
        colour = self.mottled(value, mottling) if mottling else float(value)
        for image in self.images:
            paint(image, shape, colour, softness_px)

    def inside(self, shape: Shape, drawings: list[np.ndarray], tissue: str | float, opacity: float = 1.0) -> None:
        """Blend one drawing (0 to 1) a slice into what `shape` covers."""
        value = np.float32(self.signals[tissue] if isinstance(tissue, str) else tissue)
        cover = coverage(shape.distance_px - 1.0, 1.0) * np.float32(opacity)
        for image, drawing in zip(self.images, drawings, strict=True):
            window = image[shape.window]
            window += cover * drawing[shape.window] * (value - window)
