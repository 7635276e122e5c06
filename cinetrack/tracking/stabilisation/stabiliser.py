"""The first stage: the anatomy is held still by registration, and the sources see what is left.

Breathing moves a target by centimetres, and most of that is what dense registration is good at. Every frame is warped
back onto the frame on which the target was outlined, its reference, along the optical flow between the two; the
sources work on the stabilised frames, where only the registration's errors, through-plane motion and changes of
appearance are left to follow; their log-odds are carried back along the same flow. The warp and the way back are exact
inverses of each other, so what the flow gets wrong is there for a source to see and to mend.

`Unstabilised` is the same stage left out: frames and prompts are what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cinetrack.settings import Settings, setting
from cinetrack.tracking.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompt
from cinetrack.tracking.stabilisation.flow_choice import ChosenFlow
from cinetrack.tracking.stabilisation.optical_flow import FLOWS, FlowSearch, sampled
from cinetrack.tracking.stabilisation.warping import stabilised_frame, stabilised_mask, stabilised_reader
from cinetrack.tracking.stage_clock import StageClock
from cinetrack.tracking.view import Box, View

STAGE = "stabilisation"  # its name among the seconds of a session


@dataclass(frozen=True, eq=False)
class Latest:
    """The latest frame.

    Attributes:
        frame: (H, W), any real type, a copy of the caller's.
        index: its number in the sequence.
        prepared: as the flows' search takes it; the frame itself where nothing is searched for.
    """

    frame: np.ndarray
    index: int
    prepared: np.ndarray


class Reference(Protocol):
    """A frame on which targets were outlined, and how the latest frame is related to it."""

    view: View  # of the latest frame, stabilised onto the reference

    def step(self, latest: Latest) -> None:
        """Follow to the next frame."""

    def watch(self, mask: np.ndarray) -> None:
        """A target lies here, (H, W) bool on the reference."""

    def carried_back(self, logits: np.ndarray) -> np.ndarray:
        """Logits of the reference on the latest frame, (H, W) float32, an array of its own."""

    def brought(self, prompt: Prompt) -> Prompt:
        """A prompt on the latest frame as one on the reference."""

    def copy(self) -> Reference:
        """One in the same state that goes on by itself."""


class Stabilisation(Protocol):
    """The stage at work on one sequence. It keeps no frame, so copies of a session share it."""

    def take(self, frame: np.ndarray, index: int) -> Latest:
        """The sequence's next (H, W) frame; the array is from now on the stage's own."""

    def reference(self, latest: Latest, known: Sequence[Reference]) -> Reference:
        """The latest frame as a reference: one of `known` where that is it, else a new one."""


@dataclass(frozen=True)
class Stabiliser(Settings):
    """Registers every frame to the one on which the target was outlined."""

    flows: tuple[str, ...] = setting(
        ("smooth", "flexible"),
        choices=tuple(FLOWS),
        help="optical flows that are found; each frame is warped along the one by which the target's surroundings look "
        "most as they did when it was outlined",
    )

    def start(self, frame: np.ndarray, clock: StageClock) -> Stabilisation:
        """Begin a sequence with its (H, W) first frame.

        Frames are warped when a source looks at them; `clock` counts that as this stage's time.
        """
        return _Registered([FlowSearch(frame, FLOWS[name]) for name in self.flows], clock)


class Unstabilised:
    """Leaves frames as they are."""

    def start(self, frame: np.ndarray, clock: StageClock) -> Stabilisation:
        """Begin a sequence with its (H, W) first frame."""
        return _AsItIs()


class _AsItIs:
    def take(self, frame: np.ndarray, index: int) -> Latest:
        return Latest(frame, index, frame)

    def reference(self, latest: Latest, known: Sequence[Reference]) -> Reference:
        return known[0] if known else _Itself(latest)


class _Itself:
    """The latest frame is its own reference, always."""

    def __init__(self, latest: Latest) -> None:
        self.view = View.of(latest.frame, latest.index)

    def step(self, latest: Latest) -> None:
        self.view = View.of(latest.frame, latest.index)

    def watch(self, mask: np.ndarray) -> None:
        pass

    def carried_back(self, logits: np.ndarray) -> np.ndarray:
        return logits.copy()

    def brought(self, prompt: Prompt) -> Prompt:
        return prompt

    def copy(self) -> _Itself:
        return copy(self)


class _Registered:
    def __init__(self, searches: Sequence[FlowSearch], clock: StageClock) -> None:
        self._searches, self._clock = searches, clock

    def take(self, frame: np.ndarray, index: int) -> Latest:
        return Latest(frame, index, self._searches[0].prepared(frame))

    def reference(self, latest: Latest, known: Sequence[Reference]) -> Reference:
        for reference in known:
            if isinstance(reference, _Outlined) and reference.is_on(latest):
                return reference
        return _Outlined(self._searches, latest, self._clock)


class _Outlined:
    """A frame on which a target was outlined, and the flow that leads from the latest frame to it."""

    def __init__(self, searches: Sequence[FlowSearch], latest: Latest, clock: StageClock) -> None:
        self._clock = clock
        self._search = searches[0]  # any of them knows the pixel grid
        self._choice = ChosenFlow(searches, latest.prepared)
        self._shape = latest.frame.shape
        self.view = View.of(latest.frame, latest.index)

    def is_on(self, latest: Latest) -> bool:
        """Whether this is the latest frame."""
        return self._choice.reference is latest.prepared

    def step(self, latest: Latest) -> None:
        self._choice.step(latest.prepared)
        flow = self._flow()
        warped = stabilised_reader(latest.frame, lambda box: self._search.on_latest(flow, box))

        def read(box: Box) -> np.ndarray:
            with self._clock.stage(STAGE):
                return warped(box)

        self.view = View(latest.index, self._shape, read)

    def watch(self, mask: np.ndarray) -> None:
        self._choice.watch(mask)

    def carried_back(self, logits: np.ndarray) -> np.ndarray:
        # At the border the nearest edge value holds, so that a target cut by it stays cut there.
        if self._choice.flow is None:
            return logits.copy()
        return sampled(logits, self._search.on_reference(self._choice.flow))

    def brought(self, prompt: Prompt) -> Prompt:
        if self._choice.flow is None:
            return prompt
        if isinstance(prompt, MaskPrompt):
            moved = stabilised_mask(prompt.mask, self._search.on_latest(self._choice.flow))
            return MaskPrompt(moved if moved.any() else prompt.mask)  # a pixel or two may fall between the samples
        where = self._search.on_reference(self._choice.flow)
        if isinstance(prompt, PointPrompt):
            return PointPrompt(tuple(self._point(where, *point) for point in prompt.points), prompt.positive)
        inside = where[int(prompt.top) : int(np.ceil(prompt.bottom)), int(prompt.left) : int(np.ceil(prompt.right))]
        (left, top), (right, bottom) = inside.min(axis=(0, 1)), inside.max(axis=(0, 1)) + 1
        height, width = self._shape
        top, left = min(max(float(top), 0.0), height - 1.0), min(max(float(left), 0.0), width - 1.0)
        return BoxPrompt(top, left, max(min(float(bottom), height), top + 1), max(min(float(right), width), left + 1))

    def copy(self) -> _Outlined:
        twin = copy(self)
        twin._choice = self._choice.copy()
        return twin

    def _flow(self) -> np.ndarray:
        if self._choice.flow is None:
            raise RuntimeError("a flow is asked for before the first step")
        return self._choice.flow

    def _point(self, where: np.ndarray, row: float, column: float) -> tuple[float, float]:
        height, width = self._shape
        at = min(int(row), height - 1), min(int(column), width - 1)
        found_column, found_row = where[at]
        return (
            min(max(float(found_row) + row - at[0], 0.0), float(height)),
            min(max(float(found_column) + column - at[1], 0.0), float(width)),
        )


def stabilised_clip(
    frames: np.ndarray, masks: np.ndarray, outlined: np.ndarray | None = None, stabiliser: Stabiliser | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What the sources are shown of a sequence that is prompted on its first frame: for training them.

    Args:
        frames: (T, H, W), any real type.
        masks: (T, K, H, W) bool.
        outlined: (H, W) bool, the targets on frame 0; those of `masks` by default.
        stabiliser: how the frames are registered; as in use by default.
    Returns:
        frames (T, H, W) float32 and masks (T, K, H, W) bool, both warped onto frame 0.
    """
    searches = [FlowSearch(frames[0], FLOWS[name]) for name in (stabiliser or Stabiliser()).flows]
    search = searches[0]
    choice = ChosenFlow(searches, search.prepared(frames[0]))
    choice.watch(masks[0].any(axis=0) if outlined is None else outlined)
    warped_frames, warped_masks = [frames[0].astype(np.float32)], [masks[0]]
    for frame, shown in zip(frames[1:], masks[1:], strict=True):
        choice.step(search.prepared(frame))
        assert choice.flow is not None
        where = search.on_latest(choice.flow)
        warped_frames.append(stabilised_frame(frame, where))
        warped_masks.append(np.stack([stabilised_mask(mask, where) for mask in shown]))
    return np.stack(warped_frames), np.stack(warped_masks)
