"""Motion-compensated tracking: the anatomy is held still by registration, and the tracker sees what is left.

Breathing moves a target by centimetres, and most of that is what dense registration is good at. Every frame is warped
back onto the frame on which the target was outlined, along the optical flow between the two; the inner tracker works
on this stilled sequence, where only the registration's errors, through-plane motion and changes of appearance are left
to follow; its masks are carried back along the same flow. The warp and the way back are exact inverses of each other,
so what the flow gets wrong is there for the inner tracker to see and to mend.

On the stilled sequence the prompted outline is itself a good guess of every frame's, the one that registration alone
would make. With an outline's weight the two are put together as independent evidence is, by adding log-odds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import cv2
import numpy as np

from cinetrack.errors import InputError
from cinetrack.sequence.intensity import finite_frame
from cinetrack.tracking.flow_choice import ChosenFlow
from cinetrack.tracking.optical_flow import SMOOTH_FLOW, FlowSearch, FlowSettings, sampled
from cinetrack.tracking.protocol import (
    BoxPrompt,
    MaskPrompt,
    PointPrompt,
    Prompt,
    StepResult,
    Tracker,
    TrackingSession,
    as_prompts,
    check_frame,
    check_prompt,
    check_target,
)
from cinetrack.tracking.registration import RegistrationTracker
from cinetrack.tracking.signed_distance import signed_distance
from cinetrack.tracking.static import StaticTracker


# How sure the inner tracker may be, at most, beside the outline; with the outline's weight, how far it may move that.
GREATEST_EVIDENCE = 8.0
# The flows of which each frame's is chosen (`flow_choice`).
FLOWS = (SMOOTH_FLOW, FlowSettings())


@dataclass(frozen=True)
class MotionCompensation:
    """Settings.

    Attributes:
        outline_weight: log-odds that the prompted outline adds for each pixel of distance from it; the tracker can move
            the outline by `GREATEST_EVIDENCE / outline_weight` px. None for the tracker's word alone.
    """

    outline_weight: float | None = None

    def __post_init__(self) -> None:
        check_weight("outline weight", self.outline_weight)


def check_weight(name: str, weight: float | None) -> None:
    """Raise InputError unless a weight is None or a positive number."""
    if weight is not None and (type(weight) not in (int, float) or not 0 < weight < math.inf):
        raise InputError(f"{name}: expected a positive number, found {weight!r}")


class MotionCompensatedTracker:
    """A tracker that is shown the sequence as if the anatomy held still."""

    def __init__(
        self, tracker: Tracker, settings: MotionCompensation | None = None, flows: Sequence[FlowSettings] = FLOWS
    ) -> None:
        """`tracker` works on the stilled frames; `flows` say how they are registered, the best one on each frame."""
        self.inner = tracker
        self.name, self.precision = tracker.name, tracker.precision
        self.settings, self.flows = settings or MotionCompensation(), tuple(flows)

    def start(
        self, frame: np.ndarray, prompt: np.ndarray | Prompt | Sequence[Prompt], num_frames: int | None = None
    ) -> MotionCompensatedSession:
        """Begin a sequence with one prompt a target, of the kinds that the inner tracker takes."""
        return MotionCompensatedSession(self.inner, self.settings, self.flows, frame, as_prompts(prompt), num_frames)


@dataclass(eq=False)
class _Group:
    """Targets that were outlined on one frame, the reference: they share its flow and a session.

    Attributes:
        session: of the inner tracker; starts on the reference.
        choice: of the flow from the latest frame to the reference.
    """

    session: TrackingSession
    choice: ChosenFlow

    @property
    def flow(self) -> np.ndarray | None:
        """None while the latest frame is the reference."""
        return self.choice.flow


@dataclass(eq=False)
class _Target:
    """A target's group, its number there, and the signed distance to its outline, in px on the reference, or None."""

    group: _Group
    number: int
    outline: np.ndarray | None


class MotionCompensatedSession:
    """Implements `TrackingSession`."""

    def __init__(
        self,
        tracker: Tracker,
        settings: MotionCompensation,
        flows: Sequence[FlowSettings],
        frame: np.ndarray,
        prompts: Sequence[Prompt],
        num_frames: int | None,
    ) -> None:
        check_frame(frame)
        self._tracker, self._outline_weight, self._num_frames = tracker, settings.outline_weight, num_frames
        self._frame = frame.copy()
        self._searches = [FlowSearch(frame, flow) for flow in flows]
        self._flow = self._searches[0]
        self._latest = self._flow.prepared(frame)
        self._groups: list[_Group] = []
        self._targets: list[_Target] = []
        self.results: list[StepResult] = []
        for prompt in prompts:
            self.add_target(prompt)

    def step(self, frame: np.ndarray) -> StepResult:
        """Still the frame, track every target on it, and carry the masks back."""
        check_frame(frame, self._frame.shape)
        self._frame = frame.copy()  # for targets to come; the caller may change what it gave
        self._latest = self._flow.prepared(frame)
        for group in self._groups:
            group.choice.step(self._latest)
            group.session.step(stilled(frame, self._flow.on_latest(group.flow)))
        self.results = [self._found(target) for target in self._targets]
        return self.results[0]

    def correct(self, prompt: Prompt, target: int = 0) -> StepResult:
        """Prompt a target anew on the latest frame. It is carried to the reference; what is remembered holds."""
        check_target(target, len(self.results))
        check_prompt(prompt, self._frame.shape)
        known = self._targets[target]
        on_reference = self._to_reference(known.group, prompt)
        inner = known.group.session.correct(on_reference, known.number)
        known.group.choice.watch(_prompted_mask(on_reference, inner))
        known.outline = self._outline_of(inner)
        result = self._carried(known.group, inner)
        if isinstance(prompt, MaskPrompt):  # warping it there and back would alter the given outline
            result = StepResult(prompt.mask.copy(), result.logits, result.object_score, result.predicted_iou)
        self.results[target] = result
        return result

    def add_target(self, prompt: Prompt) -> StepResult:
        """One more target, with the latest frame as its reference."""
        check_prompt(prompt, self._frame.shape)
        shared = [group for group in self._groups if group.choice.reference is self._latest]
        if shared:
            group = shared[0]
            result = group.session.add_target(prompt)
        else:
            session = self._tracker.start(self._frame, prompt, self._num_frames)
            group = _Group(session, ChosenFlow(self._searches, self._latest))
            self._groups.append(group)
            result = session.results[0]
        group.choice.watch(_prompted_mask(prompt, result))
        self._targets.append(_Target(group, len(group.session.results) - 1, self._outline_of(result)))
        self.results.append(result)
        return result

    def copy(self) -> MotionCompensatedSession:
        """A session with the same flows, and copies of the inner sessions."""
        twin = copy(self)
        twins = {id(group): _Group(group.session.copy(), group.choice.copy()) for group in self._groups}
        twin._groups = list(twins.values())
        twin._targets = [_Target(twins[id(t.group)], t.number, t.outline) for t in self._targets]
        twin.results = list(self.results)
        return twin

    def _found(self, target: _Target) -> StepResult:
        """The target on the latest frame, which is not its reference."""
        result = target.group.session.results[target.number]
        if target.outline is not None:
            logits = evidence_of(result) + self._outline_weight * target.outline
            result = StepResult(logits > 0, logits, result.object_score, result.predicted_iou)
        return self._carried(target.group, result)

    def _outline_of(self, result: StepResult) -> np.ndarray | None:
        return signed_distance(result.mask) if self._outline_weight is not None and result.mask.any() else None

    def _carried(self, group: _Group, result: StepResult) -> StepResult:
        if group.flow is None:
            return result
        logits = sampled(result.logits, self._flow.on_reference(group.flow))
        return StepResult(logits > 0, logits, result.object_score, result.predicted_iou)

    def _to_reference(self, group: _Group, prompt: Prompt) -> Prompt:
        if group.flow is None:
            return prompt
        if isinstance(prompt, MaskPrompt):
            moved = stilled_mask(prompt.mask, self._flow.on_latest(group.flow))
            return MaskPrompt(moved if moved.any() else prompt.mask)  # a pixel or two may fall between the samples
        where = self._flow.on_reference(group.flow)
        if isinstance(prompt, PointPrompt):
            return PointPrompt(tuple(self._point(where, *point) for point in prompt.points), prompt.positive)
        inside = where[int(prompt.top) : int(np.ceil(prompt.bottom)), int(prompt.left) : int(np.ceil(prompt.right))]
        (left, top), (right, bottom) = inside.min(axis=(0, 1)), inside.max(axis=(0, 1)) + 1
        height, width = self._frame.shape
        top, left = min(max(float(top), 0.0), height - 1.0), min(max(float(left), 0.0), width - 1.0)
        return BoxPrompt(top, left, max(min(float(bottom), height), top + 1), max(min(float(right), width), left + 1))

    def _point(self, where: np.ndarray, row: float, column: float) -> tuple[float, float]:
        height, width = self._frame.shape
        at = min(int(row), height - 1), min(int(column), width - 1)
        found_column, found_row = where[at]
        return (
            min(max(float(found_row) + row - at[0], 0.0), float(height)),
            min(max(float(found_column) + column - at[1], 0.0), float(width)),
        )


def _prompted_mask(prompt: Prompt, result: StepResult) -> np.ndarray:
    """Where the target is on its reference, as given or as found from a box or points."""
    return prompt.mask if isinstance(prompt, MaskPrompt) else result.mask


def evidence_of(result: StepResult) -> np.ndarray:
    """What a tracker says of each pixel beside others: (H, W) log-odds within `GREATEST_EVIDENCE` of 0.

    The logits of an absent target are a constant, which says nothing of an outline.
    """
    sure = 0.0 if result.object_score < 0 else GREATEST_EVIDENCE
    return np.clip(result.logits, -sure, sure)


def as_motion_compensated(tracker: Tracker) -> MotionCompensatedTracker:
    """The tracker as one that works on stilled frames.

    Registration is one whose outline stays where it was; the flows are then motion compensation's, not its own.

    Raises:
        InputError: a tracker of another kind.
    """
    if isinstance(tracker, MotionCompensatedTracker):
        return tracker
    if isinstance(tracker, RegistrationTracker):
        compensated = MotionCompensatedTracker(StaticTracker())
        compensated.name = tracker.name
        return compensated
    raise InputError(f"tracker: expected registration, or SAM2 with motion compensation, found {tracker.name}")


def stilled(frame: np.ndarray, on_latest: np.ndarray) -> np.ndarray:
    """A frame warped onto the reference.

    Args:
        frame: (H, W), any real type.
        on_latest: `FlowSearch.on_latest`.
    Returns:
        (H, W) float32, within the frame's own range of intensities, by which the models scale it.
    """
    values = finite_frame(frame)[0].astype(np.float32)
    return np.clip(sampled(values, on_latest, cv2.INTER_CUBIC), values.min(), values.max())


def stilled_mask(mask: np.ndarray, on_latest: np.ndarray) -> np.ndarray:
    """An (H, W) bool mask warped onto the reference, as `stilled`."""
    return sampled(mask.astype(np.float32), on_latest) > 0.5


def stilled_clip(
    frames: np.ndarray, masks: np.ndarray, flows: Sequence[FlowSettings] = FLOWS, outlined: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What the inner tracker is shown of a sequence that is prompted on its first frame: for training it.

    Args:
        frames: (T, H, W), any real type.
        masks: (T, K, H, W) bool.
        flows: how the frames are registered.
        outlined: (H, W) bool, the targets on frame 0; those of `masks` by default.
    Returns:
        frames (T, H, W) float32 and masks (T, K, H, W) bool, both warped onto frame 0.
    """
    searches = [FlowSearch(frames[0], flow) for flow in flows]
    search = searches[0]
    choice = ChosenFlow(searches, search.prepared(frames[0]))
    choice.watch(masks[0].any(axis=0) if outlined is None else outlined)
    still_frames, still_masks = [frames[0].astype(np.float32)], [masks[0]]
    for frame, shown in zip(frames[1:], masks[1:]):
        choice.step(search.prepared(frame))
        where = search.on_latest(choice.flow)
        still_frames.append(stilled(frame, where))
        still_masks.append(np.stack([stilled_mask(mask, where) for mask in shown]))
    return np.stack(still_frames), np.stack(still_masks)
