"""The cine-MR sequence as every stage of the method sees it: time first, masks bool, invariants checked once.

The files' time-last order ends at `image_files`; nothing after it transposes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cinetrack.errors import EmptyMaskError, InputError

Spacing = tuple[float, float]


@dataclass(frozen=True, eq=False)  # eq=False: arrays have no single truth value
class CineSequence:
    """One cine-MR series in acquisition order. Time is the first axis.

    Attributes:
        frames: (T, H, W) finite numbers, raw MR intensity (arbitrary unit).
        spacing_mm: in-plane pixel spacing (row, column), mm.
        frame_rate_hz, field_strength_t: Hz and tesla.
        region: the scanned region as the file says it ("thorax", "abdomen", "pelvis", ...).
    Raises:
        InputError: a shape, type or value that no cine-MR series has.

    Examples:
        >>> frames = np.zeros((8, 64, 48), dtype=np.uint16)
        >>> sequence = CineSequence(frames, (1.5, 1.5), frame_rate_hz=4.0, field_strength_t=0.35, region="thorax")
        >>> len(sequence), sequence.frame_shape
        (8, (64, 48))
    """

    frames: np.ndarray
    spacing_mm: Spacing
    frame_rate_hz: float
    field_strength_t: float
    region: str

    def __post_init__(self) -> None:
        frames = self.frames
        if frames.ndim != 3 or frames.size == 0:
            raise InputError(f"cine-MR frames: expected a non-empty (T, H, W) array, found shape {frames.shape}")
        if frames.dtype.kind not in "buif":
            raise InputError(f"cine-MR frames: expected real numbers, found {frames.dtype}")
        if frames.dtype.kind == "f" and not np.isfinite(frames).all():
            raise InputError("cine-MR frames: expected finite numbers, found NaN or infinity")
        for name, value, unit in (
            ("row spacing", self.spacing_mm[0], "mm"),
            ("column spacing", self.spacing_mm[1], "mm"),
            ("frame rate", self.frame_rate_hz, "Hz"),
            ("field strength", self.field_strength_t, "T"),
        ):
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name}: expected a positive number of {unit}, found {value}")
        if not self.region.strip():
            raise InputError("scanned region: expected a word, found an empty string")

    def __len__(self) -> int:
        return self.frames.shape[0]

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.frames.shape[1:]


@dataclass(frozen=True, eq=False)
class TrackingCase:
    """What a tracker is given: a sequence and the target outlined on its first frame.

    Attributes:
        case_id: a name fit for a folder.
        sequence: the series, (T, H, W).
        first_mask: (H, W) bool, at least one pixel.
    Raises:
        EmptyMaskError, InputError: the mask is empty, not bool or not of the frames' shape.

    Examples:
        >>> sequence = CineSequence(np.zeros((8, 64, 48)), (1.0, 1.0), 4.0, 0.35, "thorax")
        >>> mask = np.zeros((64, 48), dtype=bool)
        >>> mask[20:30, 10:25] = True
        >>> TrackingCase("A_001", sequence, mask).case_id
        'A_001'
    """

    case_id: str
    sequence: CineSequence
    first_mask: np.ndarray

    def __post_init__(self) -> None:
        mask = self.first_mask
        if mask.dtype != np.bool_:
            raise InputError(f"{self.case_id}: first-frame mask: expected bool, found {mask.dtype}")
        if mask.shape != self.sequence.frame_shape:
            raise InputError(
                f"{self.case_id}: first-frame mask: expected the frames' {self.sequence.frame_shape} pixels, "
                f"found {mask.shape}"
            )
        if not mask.any():
            raise EmptyMaskError(f"{self.case_id}: first-frame mask: expected an outlined target, found no pixel set")
