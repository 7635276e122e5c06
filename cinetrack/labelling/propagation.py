"""All prompts of a label carried through the sequence, frame by frame.

Frame 0's masks start the targets; a prompt on a later frame corrects its target there, or starts it if it is new, and
tracking goes on from all prompts given. A tracker sees no later frame, so a correction leaves earlier frames as they
are: tracking resumes from a checkpoint before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cinetrack.errors import InputError
from cinetrack.labelling.given_prompts import GivenPrompt
from cinetrack.labelling.index_masks import indexed
from cinetrack.labelling.segmenters import Segmenter
from cinetrack.sequence.cine_sequence import Spacing
from cinetrack.tracking import Chain, MaskPrompt, Prompt, StepResult, TrackingSession

CHECKPOINTS = 8  # at most; their distance doubles when there are more


@dataclass(frozen=True, eq=False)
class PropagatedFrame:
    """The objects on one frame.

    Attributes:
        objects: (H, W) uint8 indices.
        object_scores, predicted_ious: of objects 1, 2, ...; NaN before an object's first prompt, and where the tracker
            estimates none.
    """

    index: int
    objects: np.ndarray
    object_scores: tuple[float, ...]
    predicted_ious: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A session as it was after frame `index`; `order` says which object each of its targets is."""

    index: int
    session: TrackingSession
    order: tuple[int, ...]


class Checkpoints:
    """A bounded number of checkpoints, evenly spread over a sequence whose length need not be known."""

    def __init__(self) -> None:
        self._kept: list[Checkpoint] = []
        self._distance = 1

    def before(self, index: int) -> Checkpoint | None:
        """The latest one before frame `index`; those from `index` on are dropped, being about to change."""
        self._kept = [checkpoint for checkpoint in self._kept if checkpoint.index < index]
        return self._kept[-1] if self._kept else None

    def offer(self, index: int, session: TrackingSession, order: Sequence[int]) -> None:
        """Keep a copy of the session where one is due."""
        if index % self._distance == 0:
            self._kept.append(Checkpoint(index, session.copy(), tuple(order)))
        if len(self._kept) > CHECKPOINTS:
            self._distance *= 2
            self._kept = [checkpoint for checkpoint in self._kept if checkpoint.index % self._distance == 0]


class Frames(Protocol):
    """A sequence's (H, W) frames, read one at a time: an array of them, or a file."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> np.ndarray: ...


def propagate(
    chain: Chain,
    segmenter: Segmenter,
    frames: Frames,
    spacing_mm: Spacing,
    prompts: Sequence[GivenPrompt],
    checkpoints: Checkpoints | None = None,
    resume_before: int = 0,
) -> Iterator[PropagatedFrame]:
    """Track every object that `prompts` name.

    Args:
        frames: (H, W) each, read one at a time.
        spacing_mm: (row, column), as `Chain.start` takes it.
        prompts: at least one on frame 0, in any order; of several of one object on one frame all are given, in turn.
        checkpoints: filled on the way.
        resume_before: first frame whose prompts changed since `checkpoints` were filled; frames from some
            earlier one on are yielded.
    Raises:
        InputError: no prompt on frame 0, one beyond the last frame, or one that the tracker cannot use.
    """
    _check(prompts, len(frames))
    by_frame: dict[int, list[GivenPrompt]] = {}
    for given in prompts:
        by_frame.setdefault(given.frame, []).append(given)
    count = max(given.object_number for given in prompts)
    start = checkpoints.before(resume_before) if checkpoints is not None and resume_before > 0 else None
    if start is None:
        if checkpoints is not None:
            checkpoints.before(0)
        state = _Objects.start(chain, segmenter, frames[0], spacing_mm, by_frame[0])
        yield state.frame(0, count)
        first = 1
    else:
        state = _Objects(segmenter, start.session.copy(), list(start.order))
        first = start.index + 1
    for index in range(first, len(frames)):
        frame = frames[index]
        state.session.step(frame)
        state.given = {}
        for given in by_frame.get(index, []):
            state.take(given, frame)
        if checkpoints is not None:
            checkpoints.offer(index, state.session, state.order)
        yield state.frame(index, count)


def tracker_prompt(
    prompt: Prompt, segmenter: Segmenter, frame: np.ndarray, present: Callable[[], np.ndarray | None]
) -> Prompt:
    """The prompt as the tracker understands it: boxes and clicks become masks where it knows neither.

    Args:
        present: the object's mask on this frame so far, (H, W) bool or None; asked for only where it matters.
    """
    if isinstance(prompt, MaskPrompt) or segmenter.prompts_tracker:
        return prompt
    return MaskPrompt(segmenter.begin(frame).segment(prompt, present()).mask)


class _Objects:
    """A session, which object each of its targets is, and the masks that were given on the latest frame."""

    def __init__(self, segmenter: Segmenter, session: TrackingSession, order: list[int]) -> None:
        self.segmenter = segmenter
        self.session = session
        self.order = order
        self.given: dict[int, np.ndarray] = {}

    @classmethod
    def start(
        cls,
        chain: Chain,
        segmenter: Segmenter,
        frame: np.ndarray,
        spacing_mm: Spacing,
        prompts: list[GivenPrompt],
    ) -> _Objects:
        first, *rest = prompts
        session = chain.start(frame, tracker_prompt(first.prompt, segmenter, frame, lambda: None), spacing_mm)
        objects = cls(segmenter, session, [first.object_number])
        objects._note(first)
        for given in rest:
            objects.take(given, frame)
        return objects

    def take(self, given: GivenPrompt, frame: np.ndarray) -> None:
        number = given.object_number
        prompt = tracker_prompt(given.prompt, self.segmenter, frame, lambda: self._present(number))
        if number in self.order:
            self.session.correct(prompt, self.order.index(number))
        else:
            self.session.add_target(prompt)
            self.order.append(number)
        self._note(given)

    def frame(self, index: int, count: int) -> PropagatedFrame:
        found: dict[int, StepResult] = dict(zip(self.order, self.session.results, strict=True))
        nothing = np.zeros(self.session.results[0].mask.shape, dtype=bool)
        masks = [
            self.given.get(number, found[number].mask) if number in found else nothing for number in range(1, count + 1)
        ]
        scores = [found.get(number) for number in range(1, count + 1)]
        return PropagatedFrame(
            index,
            indexed(masks),
            tuple(math.nan if result is None else result.object_score for result in scores),
            tuple(math.nan if result is None else result.predicted_iou for result in scores),
        )

    def _present(self, number: int) -> np.ndarray | None:
        return self.session.results[self.order.index(number)].mask if number in self.order else None

    def _note(self, given: GivenPrompt) -> None:
        # A mask that was given is shown and stored as it is, holes included.
        self.given.pop(given.object_number, None)
        if isinstance(given.prompt, MaskPrompt):
            self.given[given.object_number] = given.prompt.mask


def _check(prompts: Sequence[GivenPrompt], frame_count: int) -> None:
    if not any(given.frame == 0 for given in prompts):
        raise InputError("prompts: expected at least one object on the first frame, found none")
    last = max(given.frame for given in prompts)
    if last >= frame_count:
        raise InputError(f"prompts: expected frames 0 to {frame_count - 1}, found a prompt on frame {last}")
