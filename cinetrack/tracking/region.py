"""Tracking in the target's surroundings: a part of the frame, fixed where the target is first outlined.

A target moves a few centimetres; what lies further off tells nothing of it. Cut out, its surroundings fill the
network's square at about one magnification and one cost, whatever the size of the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from cinetrack.errors import InputError
from cinetrack.tracking.protocol import (
    BoxPrompt,
    MaskPrompt,
    PointPrompt,
    Prompt,
    StepResult,
    Tracker,
    TrackingSession,
    as_prompts,
    check_frame,
    check_prompt,
    check_target,
)

SMALLEST_REGION_PX = 64
# What must be left around a target on each side, as a share of the region: large targets have a larger region.
MARGIN_SHARE = 0.25
# Logit of what was not looked at; SAM2's own for "no object".
OUTSIDE_LOGIT = -1024.0


@dataclass(frozen=True)
class Region:
    """Rows and columns of a frame of `shape`."""

    rows: slice
    columns: slice
    shape: tuple[int, int]

    @classmethod
    def around(cls, prompt: Prompt, side_px: int, shape: tuple[int, int]) -> Region:
        """A square of `side_px` centred on the prompt, shifted onto the frame, and no larger than the frame.

        It is larger than `side_px` where less than `MARGIN_SHARE` of that would be left on a side of the target.
        """
        edges = _edges(prompt)
        extent = max(high - low for low, high in edges)
        side = max(side_px, int(np.ceil(extent)) + 2 * round(MARGIN_SHARE * side_px))
        rows, columns = (_span((low + high) / 2, side, pixels) for (low, high), pixels in zip(edges, shape))
        return cls(rows, columns, shape)

    def holds(self, prompt: Prompt) -> bool:
        """Whether the whole prompt lies within."""
        spans = zip(_edges(prompt), (self.rows, self.columns))
        return all(span.start <= low and high <= span.stop for (low, high), span in spans)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The region of an (H, W) image, a copy."""
        return image[self.rows, self.columns].copy()

    def into(self, prompt: Prompt) -> Prompt:
        """The prompt in the region's own coordinates."""
        top, left = self.rows.start, self.columns.start
        if isinstance(prompt, MaskPrompt):
            return MaskPrompt(self.cut(prompt.mask))
        if isinstance(prompt, BoxPrompt):
            return BoxPrompt(prompt.top - top, prompt.left - left, prompt.bottom - top, prompt.right - left)
        return PointPrompt(tuple((row - top, column - left) for row, column in prompt.points), prompt.positive)

    def back(self, result: StepResult) -> StepResult:
        """A result of the region on the whole frame."""
        mask = np.zeros(self.shape, bool)
        logits = np.full(self.shape, OUTSIDE_LOGIT, np.float32)
        mask[self.rows, self.columns], logits[self.rows, self.columns] = result.mask, result.logits
        return StepResult(mask, logits, result.object_score, result.predicted_iou)


class RegionTracker:
    """A tracker that is shown the surroundings of each target instead of whole frames."""

    def __init__(self, tracker: Tracker, region_px: int) -> None:
        """
        Args:
            tracker: works on the regions.
            region_px: their side, `SMALLEST_REGION_PX` or more.
        Raises:
            InputError: a smaller one.
        """
        check_region(region_px)
        self.inner = tracker
        self.name, self.precision = tracker.name, tracker.precision
        self._region_px = region_px

    def start(
        self, frame: np.ndarray, prompt: np.ndarray | Prompt | Sequence[Prompt], num_frames: int | None = None
    ) -> RegionSession:
        """Begin a sequence with one prompt a target, of the kinds that the inner tracker takes."""
        return RegionSession(self.inner, self._region_px, frame, as_prompts(prompt), num_frames)


@dataclass(frozen=True, eq=False)
class _Target:
    region: Region
    session: TrackingSession


class RegionSession:
    """Implements `TrackingSession`: every target has a region and a session of the inner tracker of its own."""

    def __init__(
        self,
        tracker: Tracker,
        region_px: int,
        frame: np.ndarray,
        prompts: Sequence[Prompt],
        num_frames: int | None,
    ) -> None:
        check_frame(frame)
        self._tracker, self._region_px, self._num_frames = tracker, region_px, num_frames
        self._frame = frame.copy()
        self._targets: list[_Target] = []
        self.results: list[StepResult] = []
        for prompt in prompts:
            self.add_target(prompt)

    def step(self, frame: np.ndarray) -> StepResult:
        """Track every target in its region of the frame."""
        check_frame(frame, self._frame.shape)
        self._frame = frame.copy()  # for targets and corrections to come; the caller may change what it gave
        self.results = [target.region.back(target.session.step(target.region.cut(frame))) for target in self._targets]
        return self.results[0]

    def correct(self, prompt: Prompt, target: int = 0) -> StepResult:
        """Prompt a target anew on the latest frame. Where its region does not hold the prompt, the target starts over
        in another region: what is remembered of the old one says nothing there."""
        check_target(target, len(self.results))
        check_prompt(prompt, self._frame.shape)
        known = self._targets[target]
        if known.region.holds(prompt):
            self.results[target] = known.region.back(known.session.correct(known.region.into(prompt), 0))
        else:
            self._targets[target], self.results[target] = self._started(prompt)
        return self.results[target]

    def add_target(self, prompt: Prompt) -> StepResult:
        """One more target, in a region of its own."""
        check_prompt(prompt, self._frame.shape)
        target, result = self._started(prompt)
        self._targets.append(target)
        self.results.append(result)
        return result

    def copy(self) -> RegionSession:
        """A session with the same regions, and copies of the inner sessions."""
        twin = copy(self)
        twin._targets = [_Target(target.region, target.session.copy()) for target in self._targets]
        twin.results = list(self.results)
        return twin

    def _started(self, prompt: Prompt) -> tuple[_Target, StepResult]:
        region = Region.around(prompt, self._region_px, self._frame.shape)
        session = self._tracker.start(region.cut(self._frame), region.into(prompt), self._num_frames)
        return _Target(region, session), region.back(session.results[0])


def check_region(region_px: int) -> None:
    """Raise InputError unless `region_px` is a whole number from `SMALLEST_REGION_PX` on."""
    if type(region_px) is not int or region_px < SMALLEST_REGION_PX:
        raise InputError(f"region: expected a side of {SMALLEST_REGION_PX} px or more, found {region_px!r}")


def _edges(prompt: Prompt) -> tuple[tuple[float, float], tuple[float, float]]:
    """First and last row edge, then column edge, of a prompt."""
    if isinstance(prompt, BoxPrompt):
        return (prompt.top, prompt.bottom), (prompt.left, prompt.right)
    if isinstance(prompt, PointPrompt):
        rows, columns = zip(*prompt.points)
        return (min(rows), max(rows)), (min(columns), max(columns))
    rows, columns = np.nonzero(prompt.mask)
    return (int(rows.min()), int(rows.max()) + 1), (int(columns.min()), int(columns.max()) + 1)


def _span(centre: float, side: int, pixels: int) -> slice:
    side = min(side, pixels)
    start = min(max(round(centre - side / 2), 0), pixels - side)
    return slice(start, start + side)
