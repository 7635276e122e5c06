"""One person's work on one sequence, apart from any web page: boxes, masks, corrections, propagation, undo.

Boxes on frame 0 make the objects: box 1 is object 1. Everything that a person can take back is in `Draft`, a value;
undo puts an earlier one in its place.
"""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cinetrack.errors import InputError
from cinetrack.labelling.display import Display, Window
from cinetrack.labelling.frame_spool import Spool, open_frames
from cinetrack.labelling.given_prompts import MOST_PROMPTS, GivenPrompt
from cinetrack.labelling.index_masks import indexed
from cinetrack.labelling.propagation import Checkpoints, propagate
from cinetrack.labelling.segmenters import FrameSegmenter, Segmenter
from cinetrack.labelling.track_scores import scores_of
from cinetrack.labelling.turns import Turns
from cinetrack.sequence import CaseFiles
from cinetrack.tracking import BoxPrompt, Chain, MaskPrompt, PointPrompt

MOST_OBJECTS = 5
UNDO_STEPS = 100


@dataclass(frozen=True, eq=False)
class Draft:
    """What has been drawn so far.

    Attributes:
        boxes: on frame 0, one an object; the first of what was drawn for each of frame 0's prompts.
        prompts: frame 0's masks, and what was given on later frames; empty until masks were asked for.
        scores: of frame 0's masks, NaN where the segmenter gives none.
    """

    boxes: tuple[BoxPrompt, ...] = ()
    prompts: tuple[GivenPrompt, ...] = ()
    scores: tuple[float, ...] = ()

    @property
    def object_count(self) -> int:
        """Objects that have a prompt, wherever it is."""
        return max((given.object_number for given in self.prompts), default=0)


@dataclass(eq=False)
class Track:
    """Propagated masks so far: frames 0 to `done` - 1 belong to `prompts`."""

    masks: Spool
    scores: list[tuple[tuple[float, ...], tuple[float, ...]]] = field(default_factory=list)
    prompts: tuple[GivenPrompt, ...] = ()
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    done: int = 0


class Workspace:
    """A sequence on someone's desk.

    Args:
        after: number of the label's version that this goes on from, 0 for a fresh one.
        on_frame: called before each frame that is propagated; what it raises ends the propagation.
    Raises:
        InputError: the series cannot be read.
    """

    def __init__(
        self,
        case: CaseFiles,
        chain: Chain,
        segmenter: Segmenter,
        turns: Turns,
        after: int = 0,
        on_frame: Callable[[], None] = lambda: None,
    ) -> None:
        self.case = case
        self.after = after
        self.frames = open_frames(case)
        self.frame_rate_hz, self.field_strength_t = case.frame_rate_hz(), case.field_strength_t()
        self.region = case.region()
        self.display = Display.of(self.frames.shape[1:], self.frames.geometry.spacing_mm)
        self.full_window = self.window = Window.of(self.frames[0])
        self.draft = Draft()
        self.track = Track(Spool(self.frames.shape, np.dtype(np.uint8)))
        self.cancelled = threading.Event()
        self.folder = tempfile.TemporaryDirectory(prefix="cinetrack-")  # for the page's film; goes with the workspace
        self._chain, self._segmenter, self._turns = chain, segmenter, turns
        self._on_frame_begun = on_frame
        self._history: list[Draft] = []
        self._begun: tuple[int, FrameSegmenter] | None = None

    @property
    def masks_are_current(self) -> bool:
        """Whether frame 0's masks belong to the boxes as they are now."""
        on_first = [given for given in self.draft.prompts if given.frame == 0]
        return bool(on_first) and tuple(given.drawn[0] for given in on_first) == self.draft.boxes

    @property
    def track_is_current(self) -> bool:
        """Whether every frame's masks belong to the prompts as they are now."""
        return self.track.done == len(self.frames) and self._valid_frames() == len(self.frames)

    def draw_boxes(self, boxes: list[BoxPrompt]) -> bool:
        """Take frame 0's boxes as they are now; False where nothing changed. Raises InputError above five."""
        if len(boxes) > MOST_OBJECTS:
            raise InputError(f"boxes: expected at most {MOST_OBJECTS}, found {len(boxes)}; delete some")
        if tuple(boxes) == self.draft.boxes:
            return False
        self._change(replace(self.draft, boxes=tuple(boxes)))
        return True

    def make_masks(self) -> None:
        """One mask a box. A box that has a mask keeps it, with what was done to it since.

        Raises:
            InputError: no box, or nothing found in one.
        """
        if not self.draft.boxes:
            raise InputError("boxes: expected 1 to 5 around targets, found none; draw one with the mouse")
        known = {
            given.drawn[0]: (given, score) for given, score in zip(self._on_first(), self.draft.scores, strict=True)
        }
        objects, scores = [], []
        for number, box in enumerate(self.draft.boxes, 1):
            if box in known:
                given, score = known[box]
                objects.append(given if given.object_number == number else replace(given, object_number=number))
            else:
                with self._turns.turn():
                    found = self._on_frame(0).segment(box)
                objects.append(GivenPrompt(0, number, MaskPrompt(found.mask), (box,)))
                score = found.score
            scores.append(score)
        later = self._later_prompts(list(self.draft.boxes))
        self._change(Draft(self.draft.boxes, (*_disjoint(objects), *later), tuple(scores)))

    def correct(self, frame: int, number: int, drawn: BoxPrompt | PointPrompt) -> None:
        """Prompt object `number` on a frame, with a box or one more click; a box may start a new object there.

        Raises:
            InputError: no such object, or nothing found.
        """
        self._expect_object(frame, number, may_be_new=isinstance(drawn, BoxPrompt))
        if frame > 0 and self._segmenter.prompts_tracker:
            self._change(replace(self.draft, prompts=(*self.draft.prompts, GivenPrompt(frame, number, drawn))))
            return
        with self._turns.turn():
            found = self._on_frame(frame).segment(drawn, self.mask_of(frame, number))
        self._set_mask(frame, number, found.mask, (drawn,))

    def paint(self, frame: int, number: int, path: list[tuple[float, float]], radius_px: float, erase: bool) -> None:
        """Brush along `path`, (row, column) positions on the frame, into or out of an object's mask.

        Raises:
            InputError: no such object, or nothing would be left of it on the first frame.
        """
        self._expect_object(frame, number, may_be_new=not erase)
        mask = self.mask_of(frame, number)
        mask = np.zeros(self.display.frame_shape, dtype=bool) if mask is None else mask
        stroke = stroke_mask(path, radius_px, mask.shape)
        painted = mask & ~stroke if erase else mask | stroke
        if not painted.any():
            raise InputError("eraser: expected something left of the object, found nothing; delete its box instead")
        self._set_mask(frame, number, painted, ())

    def mask_of(self, frame: int, number: int) -> np.ndarray | None:
        """(H, W) bool: an object on a frame as far as it is known; None where it is not."""
        objects = self.objects_on(frame)
        if objects is None or not (objects == number).any():
            return None
        return objects == number

    def objects_on(self, frame: int) -> np.ndarray | None:
        """(H, W) uint8 indices on a frame: as propagated, with masks given since drawn over; None where unknown."""
        given = {g.object_number: g.mask for g in self.draft.prompts if g.frame == frame and g.mask is not None}
        tracked = frame > 0 and frame < self._shown_frames()
        if not given and not tracked:
            return None
        known = self.track.masks[frame] if tracked else np.zeros(self.display.frame_shape, np.uint8)
        return indexed([given.get(number, known == number) for number in range(1, self.draft.object_count + 1)])

    def propagate(self) -> Iterator[int]:
        """Track through the sequence, from the first frame whose prompts changed; yields the number of frames done.

        Ends early, keeping what is done, when `cancelled` is set.
        """
        if not self.masks_are_current:
            self.make_masks()
        self.cancelled.clear()
        prompts, track = self.draft.prompts, self.track
        track.done = self._valid_frames()
        track.prompts = prompts
        steps = propagate(
            self._chain,
            self._segmenter,
            self.frames,
            self.frames.geometry.spacing_mm,
            prompts,
            track.checkpoints,
            resume_before=track.done,
        )
        del track.scores[track.done :]
        while not self.cancelled.is_set():
            self._on_frame_begun()
            with self._turns.turn():
                frame = next(steps, None)
            if frame is None:
                return
            track.masks[frame.index] = frame.objects
            track.scores[frame.index :] = [scores_of(frame)]
            track.done = frame.index + 1
            yield track.done

    def undo(self) -> bool:
        """Take back the last change; False where there is none."""
        if not self._history:
            return False
        self.draft = self._history.pop()
        return True

    def clear(self) -> None:
        """Start over on this sequence; can be undone."""
        self._change(Draft())

    def restore(self, draft: Draft) -> None:
        """Take up a draft from before. Raises InputError where it does not fit the sequence."""
        for given in draft.prompts:
            if given.frame >= len(self.frames) or given.object_number > MOST_OBJECTS:
                raise InputError(f"{self.case.case_id}: expected prompts of this sequence, found one on {given.frame}")
            if given.mask is not None and given.mask.shape != self.display.frame_shape:
                raise InputError(f"{self.case.case_id}: expected masks of this sequence, found other shapes")
        on_first = [given for given in draft.prompts if given.frame == 0]
        whole = all(
            given.mask is not None and given.drawn and isinstance(given.drawn[0], BoxPrompt) for given in on_first
        )
        if len(draft.boxes) > MOST_OBJECTS or len(draft.scores) != len(on_first) or not whole:
            raise InputError(f"{self.case.case_id}: expected a draft of this sequence, found another")
        self._change(draft)

    def restore_track(self, masks: Spool, scores: list[tuple[tuple[float, ...], tuple[float, ...]]]) -> None:
        """Take up the whole sequence's masks, which belong to the draft as it is. Raises InputError where none fit."""
        if masks.shape != self.frames.shape or len(scores) != len(self.frames):
            raise InputError(
                f"{self.case.case_id}: expected masks and scores of its {self.frames.shape} frames, "
                f"found {masks.shape} and {len(scores)} scores"
            )
        track = Track(Spool(self.frames.shape, np.dtype(np.uint8)), list(scores), self.draft.prompts)
        for index in range(len(self.frames)):
            track.masks[index] = masks[index]
        track.done = len(self.frames)
        self.track = track

    def close(self) -> None:
        """Stop working. The disk is freed when the last callback that still reads from it has ended."""
        self.cancelled.set()

    def _valid_frames(self) -> int:
        """How many frames of the track belong to the prompts as they are."""
        return min([self.track.done, *self._changed_frames()])

    def _shown_frames(self) -> int:
        """How many frames have masks to show: after a correction the old ones, until the sequence is tracked again."""
        return 0 if 0 in self._changed_frames() else self.track.done

    def _changed_frames(self) -> list[int]:
        ours, theirs = ({id(given) for given in prompts} for prompts in (self.draft.prompts, self.track.prompts))
        return [given.frame for given in (*self.draft.prompts, *self.track.prompts) if id(given) in ours ^ theirs]

    def _later_prompts(self, boxes: Sequence[BoxPrompt | PointPrompt]) -> list[GivenPrompt]:
        """Corrections on later frames, under the objects' new numbers; those of an object whose box is gone go too."""
        numbers = {
            given.object_number: boxes.index(given.drawn[0]) + 1
            for given in self._on_first()
            if given.drawn[0] in boxes
        }
        started_later = {g.object_number for g in self.draft.prompts} - {g.object_number for g in self._on_first()}
        for number, old in enumerate(sorted(started_later), len(boxes) + 1):
            if number <= MOST_OBJECTS:
                numbers[old] = number
        return [
            given
            if numbers[given.object_number] == given.object_number
            else replace(given, object_number=numbers[given.object_number])
            for given in self.draft.prompts
            if given.frame > 0 and given.object_number in numbers
        ]

    def _on_first(self) -> list[GivenPrompt]:
        return [given for given in self.draft.prompts if given.frame == 0]

    def _on_frame(self, index: int) -> FrameSegmenter:
        if self._begun is None or self._begun[0] != index:
            self._begun = (index, self._segmenter.begin(self.frames[index]))
        return self._begun[1]

    def _set_mask(self, frame: int, number: int, mask: np.ndarray, drawn: tuple[BoxPrompt | PointPrompt, ...]) -> None:
        before = [g for g in self.draft.prompts if (g.frame, g.object_number) == (frame, number) and g.mask is not None]
        drawn = (*(before[0].drawn if before else ()), *drawn)
        given = GivenPrompt(frame, number, MaskPrompt(mask), drawn)
        others = [g for g in self.draft.prompts if (g.frame, g.object_number) != (frame, number)]
        same_frame = sorted(
            [given, *(g for g in others if g.frame == frame and g.mask is not None)], key=lambda g: g.object_number
        )
        rest = [g for g in others if not (g.frame == frame and g.mask is not None)]
        prompts = (*(_disjoint(same_frame) if frame == 0 else same_frame), *rest)
        self._change(replace(self.draft, prompts=tuple(sorted(prompts, key=lambda g: g.frame))))

    def _expect_object(self, frame: int, number: int, may_be_new: bool) -> None:
        if not self.draft.object_count:
            raise InputError("objects: expected masks on the first frame, found none; draw boxes and press Masks")
        # On frame 0 objects come from boxes alone; those that start later have nothing there.
        last = len(self._on_first()) if frame == 0 else min(self.draft.object_count + may_be_new, MOST_OBJECTS)
        if not 1 <= number <= last:
            raise InputError(f"object: expected 1 to {last} on this frame, found {number}")

    def _change(self, draft: Draft) -> None:
        if len(draft.prompts) > MOST_PROMPTS:
            raise InputError(f"prompts: expected at most {MOST_PROMPTS} of a sequence, found one more; undo some")
        self._history = [*self._history[-UNDO_STEPS + 1 :], self.draft]
        self.draft = draft


def stroke_mask(path: list[tuple[float, float]], radius_px: float, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres lie within `radius_px` of a line through (row, column) positions: (H, W) bool."""
    if not path or not all(math.isfinite(part) for position in path for part in position):
        raise InputError("brush: expected positions on the image, found none")
    mask = np.zeros(shape, dtype=bool)
    for (row, column), (next_row, next_column) in zip(path, [*path[1:], path[-1]], strict=True):
        # Only the pixels that this piece can reach: a long stroke has thousands of pieces.
        top, bottom = int(min(row, next_row) - radius_px), int(max(row, next_row) + radius_px)
        left, right = int(min(column, next_column) - radius_px), int(max(column, next_column) + radius_px)
        near = np.s_[max(top, 0) : max(bottom + 1, 0), max(left, 0) : max(right + 1, 0)]
        part = mask[near]
        rows = np.arange(part.shape[0])[:, None] + max(top, 0) + 0.5
        columns = np.arange(part.shape[1])[None, :] + max(left, 0) + 0.5
        along_row, along_column = next_row - row, next_column - column
        length2 = along_row**2 + along_column**2
        share = np.clip(((rows - row) * along_row + (columns - column) * along_column) / (length2 or 1.0), 0.0, 1.0)
        part |= np.hypot(rows - row - share * along_row, columns - column - share * along_column) <= radius_px
    return mask


def _disjoint(objects: list[GivenPrompt]) -> list[GivenPrompt]:
    """Masks without overlap, as they will be stored; prompts that stay the same stay the same object."""
    picture = indexed([given.mask for given in objects if given.mask is not None])
    found = []
    for index, given in enumerate(objects, 1):
        mask = picture == index
        if not mask.any():
            raise InputError(f"object {given.object_number}: expected some of it to see, found it wholly under another")
        same = given.mask is not None and np.array_equal(mask, given.mask)
        found.append(given if same else replace(given, prompt=MaskPrompt(mask)))
    return found
