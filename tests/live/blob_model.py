"""A model for tests of what surrounds a model: the target is what is bright. It may be slow, or fail."""

from __future__ import annotations

import time

import numpy as np

from cinetrack.live import FirstMask, LiveFrame, LiveMask
from cinetrack.live.frame import now_s

SHAPE = (40, 30)
SPACING_MM = (1.5, 1.0)


class BlobModel:
    """Implements `LiveModel`."""

    name, fingerprint, device = "blob", "0", "cpu"

    def __init__(self, step_s: float = 0.0, fails_at: int | None = None) -> None:
        self.step_s, self.fails_at = step_s, fails_at
        self.started = 0

    def start(self, frame: np.ndarray, mask: np.ndarray, spacing_mm: tuple[float, float]) -> BlobSteps:
        self.started += 1
        return BlobSteps(self)


class BlobSteps:
    """Implements `LiveSteps`."""

    def __init__(self, model: BlobModel) -> None:
        self.model, self.steps = model, 0

    def step(self, frame: np.ndarray) -> LiveMask:
        self.steps += 1
        if self.steps == self.model.fails_at:
            raise ZeroDivisionError("the model broke")
        time.sleep(self.model.step_s)
        return LiveMask(frame == 5000, 3.0)


def blob(row: int = 20, column: int = 15) -> np.ndarray:
    """An (40, 30) uint16 frame with a bright 7 x 5 blob about a point; row -1 leaves it out."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    frame = (100 + 10 * rows + columns).astype(np.uint16)
    if row >= 0:
        frame[row - 3 : row + 4, column - 2 : column + 3] = 5000
    return frame


def first_mask() -> FirstMask:
    return FirstMask(blob() == 5000, SPACING_MM)


def live_frame(number: int, image: np.ndarray | None = None, plane: str = "sagittal") -> LiveFrame:
    now = now_s()
    return LiveFrame(blob(20 + number % 5) if image is None else image, number, now - 0.01, now, plane, SPACING_MM)
