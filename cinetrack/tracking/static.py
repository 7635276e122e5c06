"""The challenge's minimum: the target stays where it was outlined."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np

from cinetrack.tracking.protocol import Prompt, StepResult, as_prompts, check_frame, mask_of
from cinetrack.tracking.signed_distance import signed_distance


class StaticTracker:
    """Copies each target's latest prompt to every later frame."""

    name = "static"
    precision = "exact"

    def start(
        self, frame: np.ndarray, prompt: np.ndarray | Prompt | Sequence[Prompt], num_frames: int | None = None
    ) -> StaticSession:
        """Begin a sequence; takes mask prompts only."""
        return StaticSession(frame, as_prompts(prompt))


class StaticSession:
    """Implements `TrackingSession`."""

    def __init__(self, frame: np.ndarray, prompts: Sequence[Prompt]) -> None:
        check_frame(frame)
        self._shape = frame.shape
        self.results: list[StepResult] = [self._result(prompt) for prompt in prompts]

    def step(self, frame: np.ndarray) -> StepResult:
        """The first target, where it was."""
        check_frame(frame, self._shape)
        return self.results[0]

    def correct(self, prompt: Prompt, target: int = 0) -> StepResult:
        """Copy a new outline from now on."""
        self.results[target] = self._result(prompt)
        return self.results[target]

    def add_target(self, prompt: Prompt) -> StepResult:
        """Copy one more outline from now on."""
        self.results.append(self._result(prompt))
        return self.results[-1]

    def copy(self) -> StaticSession:
        """A session with the same outlines."""
        twin = copy(self)
        twin.results = list(self.results)
        return twin

    def _result(self, prompt: Prompt) -> StepResult:
        mask = mask_of(prompt, self._shape, StaticTracker.name)
        return StepResult(mask, signed_distance(mask))
