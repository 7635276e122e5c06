"""Dense registration to the prompted frame: what clinics track with today, and the baseline of every table.

The outline's signed distance is warped along the optical flow to the frame on which the target was outlined.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from cinetrack.tracking.optical_flow import FlowSearch, FlowSettings, sampled
from cinetrack.tracking.protocol import Prompt, StepResult, as_prompts, check_frame, check_target, mask_of
from cinetrack.tracking.signed_distance import signed_distance


class RegistrationTracker:
    """Warps each target's outline from the frame on which it was prompted."""

    name = "registration"
    precision = "float32"

    def __init__(self, settings: FlowSettings | None = None) -> None:
        self.settings = settings or FlowSettings()

    def start(
        self, frame: np.ndarray, prompt: np.ndarray | Prompt | Sequence[Prompt], num_frames: int | None = None
    ) -> RegistrationSession:
        """Begin a sequence; takes mask prompts only."""
        return RegistrationSession(frame, as_prompts(prompt), self.settings)


@dataclass(eq=False)
class _Reference:
    """A prompted frame, and the flow that leads from the latest frame to it."""

    image: np.ndarray  # as `FlowSearch` prepared it
    flow: np.ndarray | None = None


@dataclass(eq=False)
class _Target:
    reference: _Reference
    distance: np.ndarray  # (H, W) float32, signed distance on the reference


class RegistrationSession:
    """Implements `TrackingSession`. Targets that were prompted on the same frame share one flow."""

    def __init__(self, frame: np.ndarray, prompts: Sequence[Prompt], settings: FlowSettings) -> None:
        check_frame(frame)
        self._shape = frame.shape
        self._flow = FlowSearch(frame, settings)
        self._latest = self._flow.prepared(frame)
        self._targets: list[_Target] = []
        self.results: list[StepResult] = []
        for prompt in prompts:
            self.add_target(prompt)

    def step(self, frame: np.ndarray) -> StepResult:
        """Find the flow from `frame` to each reference and warp the outlines along it."""
        check_frame(frame, self._shape)
        self._latest = self._flow.prepared(frame)
        references = {id(target.reference): target.reference for target in self._targets}
        for reference in references.values():
            reference.flow = self._flow.search(self._latest, reference.image, reference.flow)
        self.results = [self._warped(target) for target in self._targets]
        return self.results[0]

    def correct(self, prompt: Prompt, target: int = 0) -> StepResult:
        """Make the latest frame the target's reference."""
        check_target(target, len(self.results))
        self._targets[target], self.results[target] = self._prompted(prompt)
        return self.results[target]

    def add_target(self, prompt: Prompt) -> StepResult:
        """One more target with the latest frame as its reference."""
        target, result = self._prompted(prompt)
        self._targets.append(target)
        self.results.append(result)
        return result

    def copy(self) -> RegistrationSession:
        """A session with the same references and flows."""
        twin = copy(self)
        twins = {id(target.reference): copy(target.reference) for target in self._targets}
        twin._targets = [_Target(twins[id(target.reference)], target.distance) for target in self._targets]
        twin.results = list(self.results)
        return twin

    def _prompted(self, prompt: Prompt) -> tuple[_Target, StepResult]:
        mask = mask_of(prompt, self._shape, RegistrationTracker.name)
        shared = [t.reference for t in self._targets if t.reference.image is self._latest]
        target = _Target(shared[0] if shared else _Reference(self._latest), signed_distance(mask))
        return target, StepResult(mask.copy(), target.distance.copy())

    def _warped(self, target: _Target) -> StepResult:
        # At the border the nearest edge value holds, so that a target cut by it stays cut there.
        logits = sampled(target.distance, self._flow.on_reference(target.reference.flow))
        return StepResult(logits > 0, logits)
