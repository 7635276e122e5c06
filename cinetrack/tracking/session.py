"""One sequence being tracked: frames come in acquisition order, and of each come the targets' masks.

A session is never handed a later frame, so it cannot look ahead, and it keeps a bounded past, so its memory does not
grow with the sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cinetrack.errors import InputError
from cinetrack.sequence.cine_sequence import Spacing
from cinetrack.tracking.evidence.source import Evidence
from cinetrack.tracking.postprocessing.step import TargetMasks
from cinetrack.tracking.prompts import MaskPrompt, Prompt, as_prompt, check_frame, check_prompt, check_target
from cinetrack.tracking.result import StepResult
from cinetrack.tracking.stabilisation.stabiliser import STAGE, Reference
from cinetrack.tracking.stage_clock import StageClock
from cinetrack.tracking.target import Target

if TYPE_CHECKING:
    from cinetrack.tracking.chain import Chain


@dataclass(frozen=True, eq=False)
class _Tracked:
    """A target, the reference on which it was outlined, and its state in each post-processing step."""

    target: Target
    reference: Reference
    steps: tuple[TargetMasks, ...]


class TrackingSession:
    """A sequence, its targets and where they are on the latest frame. Start one with `Model.start`.

    Attributes:
        results: the targets on the latest frame, in the order in which they were prompted.

    Examples:
        >>> import cinetrack
        >>> case = cinetrack.read_case("examples/data/P977_0001")
        >>> frames = case.sequence.frames
        >>> session = cinetrack.load_model("registration").start(frames[0], case.first_mask)
        >>> result = session.step(frames[1])
        >>> added = session.add_target(case.first_mask)  # one more target, from this frame on
        >>> corrected = session.correct(case.first_mask, target=0)
        >>> later = session.copy()  # goes on by itself
        >>> result = session.step(frames[2])
        >>> len(session.results), len(later.results)
        (2, 2)
    """

    def __init__(self, chain: Chain, frame: np.ndarray, prompts: Sequence[Prompt], spacing_mm: Spacing) -> None:
        check_frame(frame)
        self._chain, self._spacing_mm = chain, spacing_mm
        self._clock = StageClock()
        with self._clock.stage(STAGE):
            self._stabilisation = chain.stabiliser.start(frame, self._clock)
            self._latest = self._stabilisation.take(frame.copy(), 0)
        self._tracked: list[_Tracked] = []
        self.results: list[StepResult] = []
        for prompt in prompts:
            self.add_target(prompt)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds spent so far in each stage, the time of this session's copies included."""
        return dict(self._clock.seconds)

    def step(self, frame: np.ndarray) -> StepResult:
        """Take the next frame.

        Args:
            frame: (H, W), any real number type.
        Returns:
            The first target on it; all of them are in `results`.
        Raises:
            InputError: the frame's shape differs from the first one's.
        """
        check_frame(frame, self._latest.frame.shape)
        with self._clock.stage(STAGE):
            # A copy: targets and corrections may come, and the caller may change what it gave.
            self._latest = self._stabilisation.take(frame.copy(), self._latest.index + 1)
            for reference in self._references():
                reference.step(self._latest)
        self.results = [self._found(tracked) for tracked in self._tracked]
        return self.results[0]

    def correct(self, prompt: np.ndarray | Prompt, target: int = 0) -> StepResult:
        """Prompt a target anew on the latest frame, as in `Chain.start`; tracking goes on from all prompts given.

        Sources that remember keep their reference, and the prompt is carried there; where none does, the latest frame
        is the target's new reference.
        """
        check_target(target, len(self.results))
        prompt = self._checked(prompt)
        known = self._tracked[target]
        if any(source.remembers for source in self._chain.sources):
            self._tracked[target], self.results[target] = self._prompted(known.target, known.reference, prompt)
        else:
            self._tracked[target], self.results[target] = self._started(prompt)
        return self.results[target]

    def add_target(self, prompt: np.ndarray | Prompt) -> StepResult:
        """One more target, whose reference is the latest frame; it is the last of `results`."""
        tracked, result = self._started(self._checked(prompt))
        self._tracked.append(tracked)
        self.results.append(result)
        return result

    def copy(self) -> TrackingSession:
        """A session in the same state that goes on by itself: where to resume from after a correction."""
        twin = copy(self)
        references = {id(reference): reference.copy() for reference in self._references()}
        twin._tracked = [
            _Tracked(known.target.copy(), references[id(known.reference)], tuple(step.copy() for step in known.steps))
            for known in self._tracked
        ]
        twin.results = list(self.results)
        return twin

    def _references(self) -> list[Reference]:
        return list({id(tracked.reference): tracked.reference for tracked in self._tracked}.values())

    def _checked(self, given: np.ndarray | Prompt) -> Prompt:
        prompt = as_prompt(given)
        if not isinstance(prompt, MaskPrompt) and not any(source.decodes for source in self._chain.sources):
            raise InputError(f"{self._chain.name}: expected a mask prompt, found a {type(prompt).__name__}")
        check_prompt(prompt, self._latest.frame.shape)
        return prompt

    def _started(self, prompt: Prompt) -> tuple[_Tracked, StepResult]:
        reference = self._stabilisation.reference(self._latest, self._references())
        return self._prompted(Target(self._chain.sources, self._clock), reference, prompt)

    def _prompted(self, target: Target, reference: Reference, prompt: Prompt) -> tuple[_Tracked, StepResult]:
        mask, evidence = target.prompt(reference.view, reference.brought(prompt))
        reference.watch(mask)
        result = self._carried_back(reference, evidence)
        if isinstance(prompt, MaskPrompt):  # resizing or warping it there and back would alter the given outline
            result = replace(result, mask=prompt.mask.copy())
        else:
            for chosen in self._chain.postprocessing:
                result = replace(result, mask=chosen.found(result.mask))
        steps = tuple(
            step.start(self._latest.frame, result.mask, self._spacing_mm) for step in self._chain.postprocessing
        )
        return _Tracked(target, reference, steps), result

    def _found(self, tracked: _Tracked) -> StepResult:
        result = self._carried_back(tracked.reference, tracked.target.log_odds(tracked.reference.view))
        mask = result.mask
        for chosen, step in zip(self._chain.postprocessing, tracked.steps, strict=True):
            with self._clock.stage(chosen.name):
                mask = step.step(self._latest.frame, mask)
        return replace(result, mask=mask)

    def _carried_back(self, reference: Reference, evidence: Evidence) -> StepResult:
        with self._clock.stage(STAGE):
            logits = reference.carried_back(evidence.logits)
        return StepResult(logits > 0, logits, evidence.object_score, evidence.predicted_iou)
