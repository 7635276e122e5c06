"""A frame as it arrives from a scanner, and the clock by which latency is counted.

No medical device: research and simulation.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cinetrack.errors import InputError

ONE_PLANE = "sagittal"  # what a stream of a single plane is taken for
_STARTED_S = time.time() - time.monotonic()


def now_s() -> float:
    """Seconds since 1970, the epoch of frames' time stamps, by a clock that is never set back in this process."""
    return _STARTED_S + time.monotonic()


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """One frame from a source.

    Attributes:
        image: (H, W), any real number type.
        number: of the acquisition, from 0 on; a gap in the numbers is a frame that never came.
        acquired_s: when the scanner had the frame, seconds since 1970 by the source's clock.
        received_s: when it was here, by `now_s`.
        plane: "sagittal", "coronal", ...: which series of an interleaved stream it belongs to.
        spacing_mm: (row, column) where the source says it.
        origin: what the source needs to answer: the file's path, or the matrix of an OpenIGTLink image.
    """

    image: np.ndarray
    number: int
    acquired_s: float
    received_s: float
    plane: str = ONE_PLANE
    spacing_mm: tuple[float, float] | None = None
    origin: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        image = self.image
        if image.ndim != 2 or image.size == 0 or image.dtype.kind not in "buif":
            raise InputError(
                f"frame {self.number}: expected a non-empty (H, W) array of real numbers, "
                f"found {image.shape} {image.dtype}"
            )
        if self.number < 0:
            raise InputError(f"frame: expected a number of 0 or more, found {self.number}")


@dataclass(frozen=True, eq=False)
class FirstMask:
    """The outlined target of one plane.

    Attributes:
        mask: (H, W) bool, at least one pixel.
        spacing_mm: (row, column).
        path: of the file it was read from, where there is one.
    """

    mask: np.ndarray
    spacing_mm: tuple[float, float]
    path: Path | None = None

    def __post_init__(self) -> None:
        if self.mask.ndim != 2 or self.mask.dtype != np.bool_ or not self.mask.any():
            raise InputError(
                f"first mask: expected an (H, W) bool array with an outlined target, found {self.mask.shape} "
                f"{self.mask.dtype} with {int(np.count_nonzero(self.mask))} pixels set"
            )
