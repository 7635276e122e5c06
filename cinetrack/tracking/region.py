"""The target's surroundings: a part of the frame, fixed where the target is outlined.

A target moves a few centimetres; what lies further off tells nothing of it. Cut out, its surroundings fill a network's
square at about one magnification and one cost, whatever the size of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cinetrack.errors import InputError
from cinetrack.tracking.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompt

SMALLEST_REGION_PX = 64
# What must be left around a target on each side, as a share of the region: large targets have a larger region.
MARGIN_SHARE = 0.25
# Logit of what was not looked at; SAM2's own for "no object".
OUTSIDE_LOGIT = -1024.0


@dataclass(frozen=True)
class Region:
    """Rows and columns of a frame of `frame_shape`, (H, W) px."""

    rows: slice
    columns: slice
    frame_shape: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """The region's own height and width, px."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @classmethod
    def around(cls, prompt: Prompt, side_px: int, shape: tuple[int, int]) -> Region:
        """A square of `side_px` centred on the prompt, shifted onto the frame, and no larger than the frame.

        It is larger than `side_px` where less than `MARGIN_SHARE` of that would be left on a side of the target.
        """
        edges = _edges(prompt)
        extent = max(high - low for low, high in edges)
        side = max(side_px, int(np.ceil(extent)) + 2 * round(MARGIN_SHARE * side_px))
        middles = [(low + high) / 2 for low, high in edges]
        rows, columns = (_span(middle, side, pixels) for middle, pixels in zip(middles, shape, strict=True))
        return cls(rows, columns, shape)

    def holds(self, prompt: Prompt) -> bool:
        """Whether the target that the prompt points out lies within.

        Clicks beside the target may lie anywhere: what is not looked at does not count as the target anyway.
        """
        if isinstance(prompt, PointPrompt):
            inside = [point for point, positive in zip(prompt.points, prompt.positive, strict=True) if positive]
            if not inside:
                return True
            prompt = PointPrompt(tuple(inside), (True,) * len(inside))
        spans = zip(_edges(prompt), (self.rows, self.columns), strict=True)
        return all(span.start <= low and high <= span.stop for (low, high), span in spans)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The region of an (H, W) image, a copy."""
        return image[self.rows, self.columns].copy()

    def into(self, prompt: Prompt) -> Prompt:
        """The prompt in the region's own coordinates; clicks outside of it come to its nearest edge."""
        top, left = self.rows.start, self.columns.start
        if isinstance(prompt, MaskPrompt):
            return MaskPrompt(self.cut(prompt.mask))
        if isinstance(prompt, BoxPrompt):
            return BoxPrompt(prompt.top - top, prompt.left - left, prompt.bottom - top, prompt.right - left)
        height, width = self.shape
        points = [
            (min(max(row - top, 0.0), float(height)), min(max(column - left, 0.0), float(width)))
            for row, column in prompt.points
        ]
        return PointPrompt(tuple(points), prompt.positive)

    def back(self, logits: np.ndarray) -> np.ndarray:
        """A region's (h, w) float32 logits on the whole frame; `OUTSIDE_LOGIT` beyond it."""
        whole = np.full(self.frame_shape, OUTSIDE_LOGIT, np.float32)
        whole[self.rows, self.columns] = logits
        return whole


def check_region(region_px: int) -> None:
    """Raise InputError unless `region_px` is a whole number from `SMALLEST_REGION_PX` on."""
    if type(region_px) is not int or region_px < SMALLEST_REGION_PX:
        raise InputError(f"region: expected a side of {SMALLEST_REGION_PX} px or more, found {region_px!r}")


def _edges(prompt: Prompt) -> tuple[tuple[float, float], tuple[float, float]]:
    """First and last row edge, then column edge, of a prompt."""
    if isinstance(prompt, BoxPrompt):
        return (prompt.top, prompt.bottom), (prompt.left, prompt.right)
    if isinstance(prompt, PointPrompt):
        clicked = [[point[axis] for point in prompt.points] for axis in (0, 1)]
        return (min(clicked[0]), max(clicked[0])), (min(clicked[1]), max(clicked[1]))
    rows, columns = np.nonzero(prompt.mask)
    return (int(rows.min()), int(rows.max()) + 1), (int(columns.min()), int(columns.max()) + 1)


def _span(centre: float, side: int, pixels: int) -> slice:
    side = min(side, pixels)
    start = min(max(round(centre - side / 2), 0), pixels - side)
    return slice(start, start + side)
