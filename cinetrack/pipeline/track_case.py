"""One case through the method, frame by frame: what the container, the commands and the API share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from cinetrack.sequence import TrackingCase
from cinetrack.tracking import Chain, StepResult


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """A frame of a tracked case.

    Attributes:
        result: the target on it; on the first frame its mask is the given one.
        seconds: spent on this frame, by stage.
    """

    result: StepResult
    seconds: dict[str, float]

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool, the final mask."""
        return self.result.mask


def track(case: TrackingCase, chain: Chain) -> Iterator[TrackedFrame]:
    """Track a case causally, one frame at a time; yields as many frames as the sequence has."""
    frames = case.sequence.frames
    session = chain.start(frames[0], case.first_mask, case.sequence.spacing_mm)
    spent = session.seconds
    yield TrackedFrame(session.results[0], spent)
    for frame in frames[1:]:
        result, before = session.step(frame), spent
        spent = session.seconds
        yield TrackedFrame(result, {stage: seconds - before.get(stage, 0.0) for stage, seconds in spent.items()})


@dataclass(eq=False)
class TrackedCase:
    """A whole case's masks with what a report needs of every frame.

    Attributes:
        masks: (T, H, W) bool.
        object_scores, predicted_ious: one number a frame; NaN where no source estimates one.
        stage_seconds: in total, by stage of the method.
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
        for stage, seconds in frame.seconds.items():
            self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + seconds


def track_whole(
    case: TrackingCase,
    chain: Chain,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> TrackedCase:
    """Track a case and keep every frame's mask; `on_frame` is told the frames done and the frames in total."""
    tracked = TrackedCase(np.zeros(case.sequence.frames.shape, dtype=bool))
    for done, frame in enumerate(track(case, chain), 1):
        tracked.add(frame)
        on_frame(done, len(tracked.masks))
    return tracked
