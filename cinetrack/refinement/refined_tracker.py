"""A tracker whose masks a refiner redraws before anything else is done with them.

It is for motion-compensated frames, where the target keeps its place: each target is refined in a region of its own,
fixed where it was outlined, and beside the frame on which it was.

One after the other, the refiner is shown the tracker's masks and has the last word. Side by side, it is shown the
prompted outline, which stays where it is, and what the two say of a pixel is put together as independent evidence is,
by adding log-odds.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from cinetrack.refinement.refiner import Refiner, RefinerSession
from cinetrack.tracking.motion_compensation import (
    MotionCompensatedTracker,
    MotionCompensation,
    as_motion_compensated,
    check_weight,
    evidence_of,
)
from cinetrack.tracking.protocol import MaskPrompt, Prompt, StepResult, Tracker, TrackingSession, as_prompts
from cinetrack.tracking.region import Region, check_region


class RefinedTracker:
    """A tracker followed by a refiner."""

    def __init__(self, tracker: Tracker, refiner: Refiner, region_px: int, tracker_weight: float | None = None) -> None:
        """
        Args:
            tracker: whose masks are refined.
            refiner: its window keeps the first frame; its confidence is not used.
            region_px: side of the target's surroundings that the refiner is shown, as for `RegionTracker`.
            tracker_weight: what the tracker's log-odds are multiplied with beside the refiner's; None for one after
                the other.
        Raises:
            InputError: a region too small, or a weight that is no positive number.
        """
        check_region(region_px)
        check_weight("tracker weight", tracker_weight)
        self.inner = tracker
        self.name, self.precision = tracker.name, tracker.precision
        self._refiner, self._region_px, self._tracker_weight = refiner, region_px, tracker_weight

    def start(
        self, frame: np.ndarray, prompt: np.ndarray | Prompt | Sequence[Prompt], num_frames: int | None = None
    ) -> RefinedSession:
        """Begin a sequence with one prompt a target, of the kinds that the inner tracker takes."""
        session = self.inner.start(frame, as_prompts(prompt), num_frames)
        return RefinedSession(session, self._refiner, self._region_px, self._tracker_weight, frame)


@dataclass(frozen=True, eq=False)
class _Target:
    """A target's region, its refining, and the (H, W) bool outline that it was prompted with."""

    region: Region
    refining: RefinerSession
    outline: np.ndarray


class RefinedSession:
    """Implements `TrackingSession`. A prompted frame's mask is the inner tracker's."""

    def __init__(
        self,
        session: TrackingSession,
        refiner: Refiner,
        region_px: int,
        tracker_weight: float | None,
        frame: np.ndarray,
    ) -> None:
        self._session, self._refiner, self._region_px = session, refiner, region_px
        self._tracker_weight = tracker_weight
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
        twin._targets = [target and replace(target, refining=target.refining.copy()) for target in self._targets]
        twin.results = list(self.results)
        return twin

    def _started(self, result: StepResult) -> _Target | None:
        """None where a prompt led to no mask, or to one that the frame's border cuts: beyond it, stilled frames show
        nothing but the border's own values, and where the target ends is not to be seen."""
        if not result.mask.any() or _is_cut(result.mask):
            return None
        region = Region.around(MaskPrompt(result.mask), self._region_px, self._frame.shape)
        first = region.cut(self._frame), region.cut(result.mask)
        return _Target(region, self._refiner.start(*first, keep_first=True), result.mask.copy())

    def _refined(self, target: _Target | None, result: StepResult) -> StepResult:
        if target is None:
            return result
        region, weight = target.region, self._tracker_weight
        shown = result.mask if weight is None else target.outline
        logits = target.refining.log_odds(region.cut(self._frame), region.cut(shown))
        if not (logits > 0).any():  # a refiner redraws an outline; whether there is a target is the tracker's to say
            return result
        if weight is not None:
            logits = logits + weight * region.cut(evidence_of(result))
        return region.back(StepResult(logits > 0, logits, result.object_score, result.predicted_iou))


def _is_cut(mask: np.ndarray) -> bool:
    return bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())


def refined_in_place(
    tracker: Tracker,
    refiner: Refiner,
    region_px: int,
    outline_weight: float | None,
    tracker_weight: float | None = None,
) -> MotionCompensatedTracker:
    """A motion-compensated tracker, its masks refined before they are carried back.

    Args:
        tracker: registration, or one with motion compensation.
        refiner, region_px, tracker_weight: as for `RefinedTracker`.
        outline_weight: of `MotionCompensation`, in place of the tracker's own: the refiner has seen its masks.
    Raises:
        InputError: a tracker of another kind, or a setting out of its range.
    """
    compensated = as_motion_compensated(tracker)
    refined = MotionCompensatedTracker(
        RefinedTracker(compensated.inner, refiner, region_px, tracker_weight),
        MotionCompensation(outline_weight),
        compensated.flows,
    )
    refined.name = compensated.name
    return refined
