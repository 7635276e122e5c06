"""Frames as a person sees them, and positions on that picture as the frame's.

Row 0 of the data is the patient's feet; people look at patients head up, so rows are flipped. Frames are small (270 to
450 px), so they are enlarged, and non-square pixels made square. Display positions are continuous, (x, y) from the
picture's top left corner, in displayed pixels; frame positions are pixel edges, (row, column), as in `BoxPrompt`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cinetrack.errors import InputError
from cinetrack.labelling.index_masks import colour_of
from cinetrack.sequence.intensity import NumberRange, gain_8bit
from cinetrack.tracking import BoxPrompt

LONGEST_SIDE_PX = 560  # of the displayed picture: it and the controls fit a laptop's screen
WINDOW_PERCENTILE = 99.0


@dataclass(frozen=True)
class Window:
    """Intensities shown as black and as white, `low` < `high`."""

    low: float
    high: float
    numbers: NumberRange = NumberRange()

    @classmethod
    def of(cls, frame: np.ndarray) -> Window:
        """From the frame's minimum to its 99th percentile, so that a few bright vessels do not darken the rest."""
        numbers = NumberRange.of(frame)
        values = numbers.values(frame)
        low = float(values.min())
        return cls(low, gain_8bit(low, float(np.percentile(values, WINDOW_PERCENTILE)))[1], numbers)

    def adjusted(self, level: float, width: float) -> Window:
        """Another window.

        Args:
            level: its centre, as a fraction of this window (0.5 is this one's own).
            width: as a fraction of this one's, above 0.
        """
        span = self.high - self.low
        centre, half = self.low + level * span, max(width, 1e-3) * span / 2
        return Window(centre - half, centre + half, self.numbers)

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """(H, W) of any real type to uint8."""
        with np.errstate(over="ignore"):  # far beyond the window is white
            values = (self.numbers.values(frame) - self.low) * gain_8bit(self.low, self.high)[0]
        return np.clip(values, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Display:
    """How frames of one sequence are shown.

    Attributes:
        frame_shape: (H, W) of the data.
        shape: (H, W) of the picture shown.
    """

    frame_shape: tuple[int, int]
    shape: tuple[int, int]

    @classmethod
    def of(cls, frame_shape: tuple[int, int], spacing_mm: tuple[float, float]) -> Display:
        """The largest picture of square pixels within LONGEST_SIDE_PX."""
        size_mm = [pixels * spacing for pixels, spacing in zip(frame_shape, spacing_mm, strict=True)]
        scale = LONGEST_SIDE_PX / max(size_mm)
        return cls(frame_shape, (max(1, round(size_mm[0] * scale)), max(1, round(size_mm[1] * scale))))

    def picture(self, frame: np.ndarray, window: Window) -> np.ndarray:
        """A (H, W) frame as a (h, w, 3) uint8 picture, head up."""
        grey = cv2.resize(window.apply(frame)[::-1], self.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return np.repeat(grey[..., None], 3, axis=2)

    def overlay(self, picture: np.ndarray, objects: np.ndarray, fill: float = 0.25) -> np.ndarray:
        """Objects drawn onto a picture: an outline each, and a tint of opacity `fill`.

        Args:
            picture: (h, w, 3) uint8, of `self.shape`.
            objects: (H, W) uint8 indices on the frame.
        """
        shown = self.enlarged(objects)
        drawn = picture.copy()
        for number in np.unique(objects[objects > 0]):
            inside = (shown == number).astype(np.uint8)
            colour = np.array(colour_of(int(number)), np.float32)
            region = inside.astype(bool)
            drawn[region] = (drawn[region] * (1 - fill) + colour * fill).astype(np.uint8)
            outlines, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(drawn, outlines, -1, tuple(int(part) for part in colour), 2, cv2.LINE_AA)
        return drawn

    def enlarged(self, objects: np.ndarray) -> np.ndarray:
        """(H, W) uint8 indices at the picture's size, head up: a displayed pixel has the index of its frame pixel."""
        rows, columns = (
            ((np.arange(shown) + 0.5) * (pixels / shown)).astype(int)
            for shown, pixels in zip(self.shape, self.frame_shape, strict=True)
        )
        return objects[::-1][np.ix_(rows, columns)]

    def to_frame(self, x: float, y: float) -> tuple[float, float]:
        """The frame's (row, column) of a displayed position, in pixel edges."""
        row = self.frame_shape[0] - y * self.frame_shape[0] / self.shape[0]
        return row, x * self.frame_shape[1] / self.shape[1]

    def to_display(self, row: float, column: float) -> tuple[float, float]:
        """The displayed (x, y) of a frame's position: the inverse of `to_frame`."""
        y = (self.frame_shape[0] - row) * self.shape[0] / self.frame_shape[0]
        return column * self.shape[1] / self.frame_shape[1], y

    def box_to_frame(self, x_min: float, y_min: float, x_max: float, y_max: float) -> BoxPrompt:
        """A box drawn on the picture, cut to the frame. Raises InputError where nothing of it lies on the frame."""
        bottom, left = self.to_frame(x_min, y_min)  # the picture's top is the frame's last row
        top, right = self.to_frame(x_max, y_max)
        height, width = self.frame_shape
        edges = [max(top, 0.0), max(left, 0.0), min(bottom, float(height)), min(right, float(width))]
        if not (edges[0] < edges[2] and edges[1] < edges[3]):
            raise InputError("box: expected some of it on the image, found none; draw it again")
        return BoxPrompt(*edges)

    def box_to_display(self, box: BoxPrompt) -> tuple[float, float, float, float]:
        """(x_min, y_min, x_max, y_max) of a frame's box: the inverse of `box_to_frame` on the picture."""
        x_min, y_min = self.to_display(box.bottom, box.left)
        x_max, y_max = self.to_display(box.top, box.right)
        return x_min, y_min, x_max, y_max
