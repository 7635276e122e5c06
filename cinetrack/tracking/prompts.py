"""How a target is pointed out on a frame: by its mask, a box around it, or clicks; and the checks of what is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cinetrack.errors import EmptyMaskError, InputError


@dataclass(frozen=True, eq=False)
class MaskPrompt:
    """A target's outline on one frame.

    Attributes:
        mask: (H, W) bool, at least one pixel.
    Raises:
        EmptyMaskError, InputError: the mask is empty, not bool or not two-dimensional.

    Examples:
        >>> mask = np.zeros((64, 48), dtype=bool)
        >>> mask[20:30, 10:25] = True
        >>> int(MaskPrompt(mask).mask.sum())
        150
    """

    mask: np.ndarray

    def __post_init__(self) -> None:
        if not isinstance(self.mask, np.ndarray) or self.mask.ndim != 2 or self.mask.dtype != np.bool_:
            raise InputError(f"mask prompt: expected an (H, W) bool array, found {_described(self.mask)}")
        if not self.mask.any():
            raise EmptyMaskError("mask prompt: expected an outlined target, found no pixel set")
        object.__setattr__(self, "mask", self.mask.copy())  # later edits of the caller's array are not ours to see


@dataclass(frozen=True)
class BoxPrompt:
    """A box around a target, for models with SAM2.

    Attributes:
        top, left, bottom, right: pixel edges: the box covers the rows from `top` up to `bottom` and the columns from
            `left` up to `right`, these two left out.
    Raises:
        InputError: the box has no area.

    Examples:
        >>> BoxPrompt(top=20, left=10, bottom=30, right=25)
        BoxPrompt(top=20, left=10, bottom=30, right=25)
    """

    top: float
    left: float
    bottom: float
    right: float

    def __post_init__(self) -> None:
        if not (self.top < self.bottom and self.left < self.right):
            raise InputError(f"box prompt: expected top < bottom and left < right, found {self}")


@dataclass(frozen=True)
class PointPrompt:
    """Clicks on a frame, for models with SAM2.

    Attributes:
        points: (row, column) of each click, in pixels.
        positive: for each click, whether it lies inside the target (True) or outside it (False).
    Raises:
        InputError: there are no points, or not one sign for each.

    Examples:
        >>> PointPrompt(points=((25.0, 17.0), (40.0, 17.0)), positive=(True, False)).positive
        (True, False)
    """

    points: tuple[tuple[float, float], ...]
    positive: tuple[bool, ...]

    def __post_init__(self) -> None:
        if not self.points or len(self.points) != len(self.positive):
            raise InputError(f"point prompt: expected one sign a point, found {self}")


Prompt = MaskPrompt | BoxPrompt | PointPrompt


def as_prompts(prompt: np.ndarray | Prompt | Sequence[np.ndarray | Prompt]) -> list[Prompt]:
    """The argument of `Chain.start` as a list with one prompt a target. Raises InputError for anything else."""
    if isinstance(prompt, (np.ndarray, MaskPrompt, BoxPrompt, PointPrompt)) or not isinstance(prompt, Sequence):
        return [as_prompt(prompt)]
    if not prompt:
        raise InputError("prompts: expected at least one target, found none")
    return [as_prompt(one) for one in prompt]


def as_prompt(prompt: np.ndarray | Prompt) -> Prompt:
    """A prompt as it is, or of an (H, W) mask a `MaskPrompt`. Raises InputError for anything else."""
    if isinstance(prompt, (MaskPrompt, BoxPrompt, PointPrompt)):
        return prompt
    if not isinstance(prompt, np.ndarray):
        expected = "an (H, W) mask, a MaskPrompt, a BoxPrompt or a PointPrompt"
        raise InputError(f"prompt: expected {expected}, found {_described(prompt)}")
    if prompt.dtype != np.bool_ and not np.isin(prompt, (0, 1)).all():
        raise InputError("mask prompt: expected a binary mask, found values other than 0 and 1")
    return MaskPrompt(prompt.astype(bool))


def check_frame(frame: np.ndarray, shape: tuple[int, int] | None = None) -> None:
    """Raise InputError unless `frame` is a non-empty (H, W) array of real numbers, of `shape` where one is given."""
    if not isinstance(frame, np.ndarray) or frame.ndim != 2 or frame.size == 0 or frame.dtype.kind not in "buif":
        raise InputError(f"frame: expected a non-empty (H, W) array of real numbers, found {_described(frame)}")
    if shape is not None and frame.shape != shape:
        raise InputError(f"frame: expected the first frame's {shape} pixels, found {frame.shape}")


def check_target(target: int, count: int) -> None:
    """Raise InputError unless `target` numbers one of `count` targets, from 0 on."""
    if not 0 <= target < count:
        raise InputError(f"target: expected a number from 0 to {count - 1}, found {target}")


def check_prompt(prompt: Prompt, shape: tuple[int, int]) -> None:
    """Raise InputError where a prompt lies on a frame of another shape, or outside the frame."""
    if isinstance(prompt, MaskPrompt):
        if prompt.mask.shape != shape:
            raise InputError(f"mask prompt: expected the frame's {shape} pixels, found {prompt.mask.shape}")
        return
    corners: tuple[tuple[float, float], ...]
    if isinstance(prompt, BoxPrompt):
        corners = ((prompt.top, prompt.left), (prompt.bottom, prompt.right))
    else:
        corners = prompt.points
    if any(not (0 <= row <= shape[0] and 0 <= column <= shape[1]) for row, column in corners):
        raise InputError(f"prompt: expected it within the frame's {shape} pixels, found {prompt}")


def _described(value: object) -> str:
    return f"{value.shape} {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
