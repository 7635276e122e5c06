"""One case through tracker, refiner and hole fill, frame by frame: what the container, the CLI and the API share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from cinetrack.pipeline.hole_fill import fill_holes
from cinetrack.sequence import TrackingCase
from cinetrack.tracking import StepResult, Tracker

if TYPE_CHECKING:
    from cinetrack.refinement.refiner import Refiner  # imports nnU-Net: only bundles with a refiner need it


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """The final mask of one frame and what led to it.

    Attributes:
        mask: (H, W) bool, refined and filled; the given mask on frame 0.
        result: the tracker's own, before refinement.
        tracking_s, refining_s: seconds spent on this frame.
    """

    mask: np.ndarray
    result: StepResult
    tracking_s: float
    refining_s: float


def track(case: TrackingCase, tracker: Tracker, refiner: Refiner | None = None) -> Iterator[TrackedFrame]:
    """Track a case causally, one frame at a time; yields as many frames as the sequence has."""
    frames = case.sequence.frames
    began = perf_counter()
    session = tracker.start(frames[0], case.first_mask)
    tracked = perf_counter()
    refining = None if refiner is None else refiner.start(frames[0], case.first_mask, case.sequence.spacing_mm)
    yield TrackedFrame(case.first_mask, session.results[0], tracked - began, perf_counter() - tracked)
    for frame in frames[1:]:
        began = perf_counter()
        result = session.step(frame)
        tracked = perf_counter()
        mask = result.mask if refining is None else refining.step(frame, result.mask)
        mask = fill_holes(mask)
        yield TrackedFrame(mask, result, tracked - began, perf_counter() - tracked)


@dataclass(eq=False)
class TrackedCase:
    """A whole case's masks with what a report needs of every frame.

    Attributes:
        masks: (T, H, W) bool.
        object_scores, predicted_ious: one number a frame; NaN where the tracker estimates none.
        stage_seconds: seconds in total of each of the method's stages, by name.
    """

    masks: np.ndarray
    object_scores: list[float] = field(default_factory=list)
    predicted_ious: list[float] = field(default_factory=list)
    stage_seconds: dict[str, float] = field(default_factory=dict)

    def add(self, frame: TrackedFrame) -> None:
        """Take the next frame in."""
        self.masks[len(self.object_scores)] = frame.mask
        self.object_scores.append(frame.result.object_score)
        self.predicted_ious.append(frame.result.predicted_iou)
        for stage, seconds in (("tracking", frame.tracking_s), ("refining", frame.refining_s)):
            self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + seconds


def track_whole(
    case: TrackingCase,
    tracker: Tracker,
    refiner: Refiner | None = None,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> TrackedCase:
    """Track a case and keep every frame's mask; `on_frame` is told the frames done and the frames in total."""
    tracked = TrackedCase(np.zeros(case.sequence.frames.shape, dtype=bool))
    for done, frame in enumerate(track(case, tracker, refiner), 1):
        tracked.add(frame)
        on_frame(done, len(tracked.masks))
    return tracked
