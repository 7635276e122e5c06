"""A tracker in the target's surroundings: what it is shown, and that what it finds lands where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinetrack.errors import InputError
from cinetrack.tracking import BoxPrompt, MaskPrompt, PointPrompt, StepResult
from cinetrack.tracking.region import OUTSIDE_LOGIT, Region, RegionTracker
from cinetrack.tracking.registration import RegistrationTracker
from cinetrack.tracking.static import StaticTracker

SHAPE = (200, 150)


def disc(row: float, column: float, radius: float, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(rows - row, columns - column) < radius


class Threshold:
    """A tracker that keeps what it is shown; the target is what is brighter than 100."""

    name, precision = "threshold", "exact"

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []
        self.prompts: list = []

    def start(self, frame, prompt, num_frames=None):
        self.prompts.append(prompt)
        return _ThresholdSession(self, frame)


class _ThresholdSession:
    def __init__(self, tracker: Threshold, frame: np.ndarray) -> None:
        self._tracker = tracker
        self.results = [self._seen(frame)]

    def step(self, frame):
        self.results = [self._seen(frame)]
        return self.results[0]

    def correct(self, prompt, target=0):
        self._tracker.prompts.append(prompt)
        return self.results[target]

    def copy(self):
        return self

    def _seen(self, frame):
        self._tracker.shown.append(frame)
        return StepResult(frame > 100, (frame - 100.0).astype(np.float32), 3.0, 0.9)


@given(
    st.integers(64, 220),
    st.integers(1, 199),
    st.integers(1, 149),
    st.integers(1, 80),
    st.integers(1, 80),
)
def test_a_region_holds_its_target_with_a_margin_and_lies_on_the_frame(side, bottom, right, height, width):
    box = BoxPrompt(max(bottom - height, 0), max(right - width, 0), bottom, right)
    region = Region.around(box, side, SHAPE)
    spans = (region.rows, box.top, box.bottom, SHAPE[0]), (region.columns, box.left, box.right, SHAPE[1])
    assert region.holds(box)
    for span, low, high, pixels in spans:
        assert 0 <= span.start < span.stop <= pixels
        assert span.stop - span.start >= min(side, pixels)
        assert span.start == 0 or low - span.start >= side // 4 - 1
        assert span.stop == pixels or span.stop - high >= side // 4 - 1


def test_masks_and_logits_come_back_to_their_place_on_the_frame():
    inner = Threshold()
    frame = np.where(disc(60, 100, 8), 250, 10).astype(np.int16)
    session = RegionTracker(inner, 64).start(frame, disc(60, 100, 8))
    moved = np.where(disc(70, 95, 8) | disc(180, 20, 8), 250, 10).astype(np.int16)
    result = session.step(moved)
    np.testing.assert_array_equal(result.mask, disc(70, 95, 8))  # not the look-alike far away
    assert inner.shown[-1].shape == (64, 64)
    assert result.logits[70, 95] == 150 and result.logits[180, 20] == OUTSIDE_LOGIT
    assert (result.object_score, result.predicted_iou) == (3.0, 0.9)


def test_a_region_larger_than_the_frame_is_the_frame():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 500, (4, *SHAPE)).astype(np.int16)
    whole = RegistrationTracker().start(frames[0], disc(100, 70, 20))
    region = RegionTracker(RegistrationTracker(), 400).start(frames[0], disc(100, 70, 20))
    for frame in frames[1:]:
        expected, found = whole.step(frame), region.step(frame)
        np.testing.assert_array_equal(found.mask, expected.mask)
        np.testing.assert_array_equal(found.logits, expected.logits)


def test_every_kind_of_prompt_is_given_in_the_regions_coordinates():
    inner = Threshold()
    frame = np.zeros(SHAPE, np.int16)
    session = RegionTracker(inner, 64).start(frame, BoxPrompt(90.5, 60, 110, 80))
    assert inner.prompts.pop() == BoxPrompt(90.5 - 68, 60 - 38, 110 - 68, 80 - 38)
    session.correct(PointPrompt(((100.0, 70.0), (75.0, 90.0)), (True, False)))
    assert inner.prompts.pop() == PointPrompt(((32.0, 32.0), (7.0, 52.0)), (True, False))
    session.correct(MaskPrompt(disc(100, 70, 5)))
    np.testing.assert_array_equal(inner.prompts.pop().mask, disc(100 - 68, 70 - 38, 5, (64, 64)))


def test_a_correction_outside_the_region_starts_the_target_over_there():
    frame = np.zeros(SHAPE, np.int16)
    session = RegionTracker(StaticTracker(), 64).start(frame, [disc(30, 30, 8), disc(30, 100, 8)])
    session.correct(MaskPrompt(disc(170, 120, 9)), 1)
    session.step(frame)
    np.testing.assert_array_equal(session.results[0].mask, disc(30, 30, 8))
    np.testing.assert_array_equal(session.results[1].mask, disc(170, 120, 9))


def test_a_copy_goes_on_by_itself():
    frame = np.zeros(SHAPE, np.int16)
    session = RegionTracker(StaticTracker(), 64).start(frame, disc(30, 30, 8))
    twin = session.copy()
    session.correct(MaskPrompt(disc(34, 30, 8)))
    twin.add_target(MaskPrompt(disc(150, 90, 8)))
    np.testing.assert_array_equal(session.step(frame).mask, disc(34, 30, 8))
    np.testing.assert_array_equal(twin.step(frame).mask, disc(30, 30, 8))
    assert (len(session.results), len(twin.results)) == (1, 2)


def test_what_lies_outside_the_frame_is_refused():
    frame = np.zeros(SHAPE, np.int16)
    with pytest.raises(InputError, match="region: expected a side of 64 px or more, found 10"):
        RegionTracker(StaticTracker(), 10)
    with pytest.raises(InputError, match="expected it within the frame's"):
        RegionTracker(StaticTracker(), 64).start(frame, BoxPrompt(190, 10, 210, 20))
    session = RegionTracker(StaticTracker(), 64).start(frame, disc(30, 30, 8))
    with pytest.raises(InputError, match="target: expected a number from 0 to 0, found 1"):
        session.correct(MaskPrompt(disc(30, 30, 8)), 1)
    with pytest.raises(InputError, match="expected the first frame's"):
        session.step(frame[:-1])
