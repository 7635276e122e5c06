"""A tracker whose masks a refiner redraws before anything else is done with them.

It is for motion-compensated frames, where the target keeps its place: each target is refined in a region of its own,
fixed where it was outlined, and beside the frame on which it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from cinetrack.refinement.refiner import Refiner, RefinerSession
from cinetrack.tracking.motion_compensation import (
    MotionCompensatedTracker,
    MotionCompensation,
    as_motion_compensated,
)
from cinetrack.tracking.protocol import MaskPrompt, Prompt, StepResult, Tracker, TrackingSession, as_prompts
from cinetrack.tracking.region import Region, check_region


class RefinedTracker:
    """A tracker followed by a refiner."""

    def __init__(self, tracker: Tracker, refiner: Refiner, region_px: int) -> None:
        """
        Args:
            tracker: whose masks are refined.
            refiner: its window keeps the first frame; its confidence is not used.
            region_px: side of the target's surroundings that the refiner is shown, as for `RegionTracker`.
        Raises:
            InputError: a region too small.
        """
        check_region(region_px)
        self.inner = tracker
        self.name, self.precision = tracker.name, tracker.precision
        self._refiner, self._region_px = refiner, region_px

    def start(
        self, frame: np.ndarray, prompt: np.ndarray | Prompt | Sequence[Prompt], num_frames: int | None = None
    ) -> RefinedSession:
        """Begin a sequence with one prompt a target, of the kinds that the inner tracker takes."""
        session = self.inner.start(frame, as_prompts(prompt), num_frames)
        return RefinedSession(session, self._refiner, self._region_px, frame)


@dataclass(frozen=True, eq=False)
class _Target:
    region: Region
    refining: RefinerSession


class RefinedSession:
    """Implements `TrackingSession`. A prompted frame's mask is the inner tracker's."""

    def __init__(self, session: TrackingSession, refiner: Refiner, region_px: int, frame: np.ndarray) -> None:
        self._session, self._refiner, self._region_px = session, refiner, region_px
        self._frame = frame.copy()
        self.results: list[StepResult] = list(session.results)
        self._targets = [self._started(result) for result in self.results]

    def step(self, frame: np.ndarray) -> StepResult:
        """Track every target, and refine its mask."""
        self._session.step(frame)
        self._frame = frame.copy()  # for targets and corrections to come; the caller may change what it gave
        self.results = [self._refined(*pair) for pair in zip(self._targets, self._session.results)]
        return self.results[0]

    def correct(self, prompt: Prompt, target: int = 0) -> StepResult:
        """Prompt a target anew on the latest frame, which is from now on the first that the refiner is shown."""
        self.results[target] = self._session.correct(prompt, target)
        self._targets[target] = self._started(self.results[target])
        return self.results[target]

    def add_target(self, prompt: Prompt) -> StepResult:
        """One more target on the latest frame."""
        self.results.append(self._session.add_target(prompt))
        self._targets.append(self._started(self.results[-1]))
        return self.results[-1]

    def copy(self) -> RefinedSession:
        """A session in the same state, with a copy of the inner session."""
        twin = copy(self)
        twin._session = self._session.copy()
        twin._targets = [target and _Target(target.region, target.refining.copy()) for target in self._targets]
        twin.results = list(self.results)
        return twin

    def _started(self, result: StepResult) -> _Target | None:
        """None where a prompt led to no mask: there is nothing to refine."""
        if not result.mask.any():
            return None
        region = Region.around(MaskPrompt(result.mask), self._region_px, self._frame.shape)
        first = region.cut(self._frame), region.cut(result.mask)
        return _Target(region, self._refiner.start(*first, keep_first=True))

    def _refined(self, target: _Target | None, result: StepResult) -> StepResult:
        if target is None:
            return result
        region = target.region
        logits = target.refining.log_odds(region.cut(self._frame), region.cut(result.mask))
        if not (logits > 0).any():  # a refiner redraws an outline; whether there is a target is the tracker's to say
            return result
        return region.back(StepResult(logits > 0, logits, result.object_score, result.predicted_iou))


def refined_in_place(
    tracker: Tracker, refiner: Refiner, region_px: int, outline_weight: float | None
) -> MotionCompensatedTracker:
    """A motion-compensated tracker, its masks refined before they are carried back.

    Args:
        tracker: registration, or one with motion compensation.
        refiner, region_px: as for `RefinedTracker`.
        outline_weight: of `MotionCompensation`, in place of the tracker's own: the refiner has seen its masks.
    Raises:
        InputError: a tracker of another kind, or a setting out of its range.
    """
    compensated = as_motion_compensated(tracker)
    refined = MotionCompensatedTracker(
        RefinedTracker(compensated.inner, refiner, region_px), MotionCompensation(outline_weight), compensated.flow
    )
    refined.name = compensated.name
    return refined
