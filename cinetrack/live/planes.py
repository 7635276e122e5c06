"""One 3D position from planes that are imaged in turns.

A sagittal frame shows SI and AP, a coronal one SI and LR, an axial one AP and LR. Each component is the latest that any
plane has shown, with its age: a beam that follows it must know how old the oldest one is.

No medical device: research and simulation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cinetrack.errors import InputError

AXES = ("SI", "AP", "LR")
# Which axes a plane's rows and columns are.
PLANE_AXES = {"sagittal": ("SI", "AP"), "coronal": ("SI", "LR"), "axial": ("AP", "LR")}


@dataclass(frozen=True, eq=False)
class JoinedPosition:
    """A target's displacement from the first outlines.

    Attributes:
        position_mm: (3,) SI, AP, LR; NaN where no plane has shown that axis yet.
        age_s: (3,) how long ago each component was acquired.
    """

    position_mm: np.ndarray
    age_s: np.ndarray


class PlaneJoin:
    """Keeps the latest component of each axis."""

    def __init__(self) -> None:
        self._position = np.full(3, np.nan)
        self._acquired_s = np.full(3, np.nan)

    def add(self, plane: str, acquired_s: float, moved_mm: np.ndarray) -> None:
        """Take a plane's displacement, (2,) along rows and columns; NaN (a lost target) leaves the older components."""
        if np.isnan(moved_mm).any():
            return
        for axis, value in zip(axes_of(plane), moved_mm, strict=True):
            index = AXES.index(axis)
            if not acquired_s < self._acquired_s[index]:
                self._position[index], self._acquired_s[index] = value, acquired_s

    def at(self, time_s: float) -> JoinedPosition:
        """The position as known at `time_s`."""
        return JoinedPosition(self._position.copy(), time_s - self._acquired_s)


def axes_of(plane: str) -> tuple[str, str]:
    """The axes along a plane's rows and columns. Raises InputError for a plane that is not known."""
    if plane not in PLANE_AXES:
        raise InputError(f"plane: expected one of {', '.join(PLANE_AXES)}, found {plane}")
    return PLANE_AXES[plane]
