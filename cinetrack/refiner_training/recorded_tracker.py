"""A tracker's masks kept, and played back as a tracker: refiners are tried out on them without tracking again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cinetrack.errors import InputError
from cinetrack.pipeline.track_case import track
from cinetrack.sequence import TrackingCase
from cinetrack.tracking import StepResult, Tracker, TrackingSession
from cinetrack.tracking.prompts import Prompt, check_frame


def tracker_masks(case: TrackingCase, tracker: Tracker) -> tuple[np.ndarray, float]:
    """What a refiner is given when it runs: the prompt, then the tracker's masks, holes and all.

    Returns:
        masks: (T, H, W) bool.
        seconds spent tracking.
    """
    masks, seconds = np.zeros(case.sequence.frames.shape, dtype=bool), 0.0
    for index, frame in enumerate(track(case, tracker)):
        seconds += frame.tracking_s
        masks[index] = frame.result.mask if index else case.first_mask
    return masks, seconds


class RecordingTracker:
    """Passes a tracker on for one sequence of one target, and keeps its masks."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self.name, self.precision = tracker.name, tracker.precision
        self.masks: list[np.ndarray] = []  # (H, W) bool, one a frame

    def start(
        self, frame: np.ndarray, prompt: np.ndarray | Prompt | Sequence[Prompt], num_frames: int | None = None
    ) -> RecordingSession:
        """Begin the sequence."""
        session = self._tracker.start(frame, prompt, num_frames)
        self.masks.append(session.results[0].mask)
        return RecordingSession(session, self.masks)


class RecordingSession:
    """The part of `TrackingSession` that the pipeline uses."""

    def __init__(self, session: TrackingSession, masks: list[np.ndarray]) -> None:
        self._session, self._masks = session, masks

    @property
    def results(self) -> list[StepResult]:
        """The tracker's own."""
        return self._session.results

    def step(self, frame: np.ndarray) -> StepResult:
        """The tracker's own step."""
        result = self._session.step(frame)
        self._masks.append(result.mask)
        return result


class RecordedTracker:
    """Gives a sequence's recorded masks, whatever the frames. Implements `Tracker` for that one sequence."""

    precision = "recorded"

    def __init__(self, name: str, masks: np.ndarray) -> None:
        """
        Args:
            name: of the tracker that made them.
            masks: (T, H, W) bool.
        """
        self.name = name
        self._masks = masks

    def start(
        self, frame: np.ndarray, prompt: np.ndarray | Prompt | Sequence[Prompt], num_frames: int | None = None
    ) -> RecordedSession:
        """Begin the sequence; the prompt is the recorded first mask."""
        check_frame(frame, self._masks.shape[1:])
        return RecordedSession(self._masks)


class RecordedSession:
    """The part of `TrackingSession` that the pipeline uses."""

    def __init__(self, masks: np.ndarray) -> None:
        self._masks, self._index = masks, 0
        self.results = [_result(masks[0])]

    def step(self, frame: np.ndarray) -> StepResult:
        """The next recorded mask. Raises InputError past the last."""
        check_frame(frame, self._masks.shape[1:])
        self._index += 1
        if self._index == len(self._masks):
            raise InputError(f"recorded masks: expected at most {len(self._masks)} frames, found another")
        self.results = [_result(self._masks[self._index])]
        return self.results[0]


def _result(mask: np.ndarray) -> StepResult:
    return StepResult(mask, np.where(mask, 1.0, -1.0).astype(np.float32))
