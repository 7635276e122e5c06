"""The challenge's minimum: the target stays where it was outlined."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np

from cinetrack.tracking.protocol import Prompt, StepResult, as_prompts, check_frame, check_target, mask_of
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
        self._outlines: list[StepResult] = []
        self.results: list[StepResult] = []
        for prompt in prompts:
            self.add_target(prompt)

    def step(self, frame: np.ndarray) -> StepResult:
        """The first target, where it was."""
        check_frame(frame, self._shape)
        # Arrays of their own for every frame, as from any tracker: the caller may change what it was given.
        self.results = [StepResult(result.mask.copy(), result.logits.copy()) for result in self._outlines]
        return self.results[0]

    def correct(self, prompt: Prompt, target: int = 0) -> StepResult:
        """Copy a new outline from now on."""
        check_target(target, len(self.results))
        self._outlines[target], self.results[target] = self._prompted(prompt)
        return self.results[target]

    def add_target(self, prompt: Prompt) -> StepResult:
        """Copy one more outline from now on."""
        outline, result = self._prompted(prompt)
        self._outlines.append(outline)
        self.results.append(result)
        return result

    def copy(self) -> StaticSession:
        """A session with the same outlines."""
        twin = copy(self)
        twin._outlines, twin.results = list(self._outlines), list(self.results)
        return twin

    def _prompted(self, prompt: Prompt) -> tuple[StepResult, StepResult]:
        """What is copied from now on, and the copy that the caller gets."""
        mask = mask_of(prompt, self._shape, StaticTracker.name)
        distance = signed_distance(mask)
        return StepResult(mask, distance), StepResult(mask.copy(), distance.copy())
