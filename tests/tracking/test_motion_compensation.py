"""Tracking on frames that registration has stilled: what the inner tracker sees, and where its masks land."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cinetrack.errors import InputError
from cinetrack.evaluation.dice import dice_coefficients
from cinetrack.tracking import BoxPrompt, MaskPrompt, PointPrompt, StepResult
from cinetrack.tracking.motion_compensation import FLOWS, MotionCompensatedTracker, MotionCompensation, stilled_clip
from cinetrack.tracking.optical_flow import FlowSearch, FlowSettings, sampled
from cinetrack.tracking.region import RegionTracker
from cinetrack.tracking.registration import RegistrationTracker
from cinetrack.tracking.static import StaticTracker


class Recorder:
    """The static tracker, which keeps what it is shown."""

    name, precision = "recorder", "exact"

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []
        self.prompts: list = []

    def start(self, frame, prompt, num_frames=None):
        self.shown.append(frame)
        self.prompts.append(prompt)
        return _RecorderSession(self, StaticTracker().start(frame, np.ones(frame.shape, bool)))


class _RecorderSession:
    def __init__(self, recorder: Recorder, session) -> None:
        self._recorder, self._session = recorder, session
        self.results = session.results

    def step(self, frame):
        self._recorder.shown.append(frame)
        return self._session.step(frame)

    def correct(self, prompt, target=0):
        self._recorder.prompts.append(prompt)
        return self.results[target]


def smooth_field(seed: int, shape: tuple[int, int], greatest_px: float, smoothness_px: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(*shape, 2))
    field = ndimage.gaussian_filter(noise, (smoothness_px, smoothness_px, 0))
    return (field / np.abs(field).max() * greatest_px).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 12), st.tuples(st.integers(96, 140), st.integers(96, 140)))
def test_the_way_to_the_reference_and_the_way_back_are_inverse(seed, greatest_px, shape):
    search = FlowSearch(np.zeros(shape, np.uint8), FlowSettings())
    flow = smooth_field(seed, shape, greatest_px, 20)
    back = sampled(search.on_reference(flow), search.on_latest(flow))
    inner = np.s_[16:-16, 16:-16]  # at the border the flow leads off the frame
    assert np.abs(back - search.grid)[inner].max() < 0.1


@pytest.mark.parametrize("flow", FLOWS)
def test_a_static_tracker_on_stilled_frames_is_registration(flow, drifting_series):
    frames, masks = drifting_series
    compensated = MotionCompensatedTracker(StaticTracker(), flows=[flow]).start(frames[0], masks[0])
    registered = RegistrationTracker(flow).start(frames[0], masks[0])
    for frame in frames[1:]:
        np.testing.assert_allclose(compensated.step(frame).logits, registered.step(frame).logits, atol=1e-4)


def test_the_inner_tracker_sees_the_anatomy_held_still(drifting_series):
    frames, masks = drifting_series
    recorder = Recorder()
    session = MotionCompensatedTracker(recorder).start(frames[0], masks[0])
    for frame in frames[1:]:
        session.step(frame)
    around = ndimage.binary_dilation(masks[0], iterations=4)
    moved = [np.abs(frame.astype(float) - frames[0])[around].mean() for frame in frames[1:]]
    stilled = [np.abs(frame.astype(float) - frames[0])[around].mean() for frame in recorder.shown[1:]]
    assert max(stilled) < 0.5 * max(moved)
    assert all(frame.min() >= 0 and frame.max() <= 255 for frame in recorder.shown)  # cubic overshoot is cut off


def test_training_clips_show_what_the_tracker_is_shown(drifting_series):
    frames, masks = drifting_series
    recorder = Recorder()
    session = MotionCompensatedTracker(recorder).start(frames[0], masks[0])
    for frame in frames[1:8]:
        session.step(frame)
    clip, clip_masks = stilled_clip(frames[:8], masks[:8, None])
    np.testing.assert_array_equal(clip, np.stack(recorder.shown).astype(np.float32))
    assert clip_masks.shape == masks[:8, None].shape
    assert dice_coefficients(clip_masks[:, 0], np.repeat(masks[:1], 8, axis=0)).min() > 0.93


def test_sam2_on_stilled_frames_keeps_a_drifting_target(drifting_series, default_bundle):
    from cinetrack import load_tracker

    frames, masks = drifting_series
    session = MotionCompensatedTracker(load_tracker(default_bundle)).start(frames[0], masks[0])
    tracked = np.stack([session.step(frame).mask for frame in frames[1:]])
    assert dice_coefficients(tracked, masks[1:]).min() > 0.9


def test_corrections_reach_the_inner_tracker_in_the_references_place(drifting_series):
    frames, masks = drifting_series
    recorder = Recorder()
    session = MotionCompensatedTracker(recorder).start(frames[0], masks[0])
    for frame in frames[1:6]:
        session.step(frame)
    at, home = ndimage.center_of_mass(masks[5]), ndimage.center_of_mass(masks[0])
    assert np.hypot(*np.subtract(at, home)) > 5  # the target is elsewhere by now

    session.correct(PointPrompt((at,), (True,)))
    assert np.hypot(*np.subtract(recorder.prompts[-1].points[0], home)) < 1.5

    rows, columns = np.nonzero(masks[5])
    session.correct(BoxPrompt(rows.min(), columns.min(), rows.max() + 1, columns.max() + 1))
    box = recorder.prompts[-1]
    assert np.hypot((box.top + box.bottom) / 2 - home[0] - 0.5, (box.left + box.right) / 2 - home[1] - 0.5) < 2

    corrected = session.correct(MaskPrompt(masks[5]))
    assert dice_coefficients(recorder.prompts[-1].mask[None], masks[:1])[0] > 0.93
    np.testing.assert_array_equal(corrected.mask, masks[5])


def test_prompts_at_the_frames_border_stay_on_the_frame(drifting_series):
    frames, masks = drifting_series
    recorder = Recorder()
    session = MotionCompensatedTracker(recorder).start(frames[0], masks[0])
    for frame in frames[1:6]:
        session.step(frame)
    height, width = frames.shape[1:]
    session.correct(BoxPrompt(0, 0, height, width))
    session.correct(PointPrompt(((0.0, 0.0), (float(height), float(width))), (True, False)))
    box, points = recorder.prompts[-2:]
    assert 0 <= box.top < box.bottom <= height and 0 <= box.left < box.right <= width
    assert all(0 <= row <= height and 0 <= column <= width for row, column in points.points)


def test_a_target_added_later_has_its_own_reference(drifting_series):
    frames, masks = drifting_series
    session = MotionCompensatedTracker(StaticTracker()).start(frames[0], [masks[0], np.roll(masks[0], 9, axis=1)])
    for frame in frames[1:6]:
        session.step(frame)
    session.add_target(MaskPrompt(masks[5]))
    for frame in frames[6:12]:
        session.step(frame)
    found = np.stack([session.results[0].mask, session.results[2].mask])
    assert len(session.results) == 3
    assert dice_coefficients(found, np.stack([masks[11]] * 2)).min() > 0.93


def test_a_copy_goes_on_by_itself(drifting_series):
    frames, masks = drifting_series
    session = MotionCompensatedTracker(RegionTracker(StaticTracker(), 64)).start(frames[0], masks[0])
    session.step(frames[1])
    twin = session.copy()
    for frame in frames[2:8]:
        session.step(frame)
    twin.correct(MaskPrompt(np.roll(masks[1], 6, axis=0)))
    assert dice_coefficients(session.results[0].mask[None], masks[7:8])[0] > 0.9
    expected = twin.step(frames[2]).mask
    assert dice_coefficients(expected[None], np.roll(masks[2], 6, axis=0)[None])[0] > 0.85


def test_whatever_it_is_given_a_bad_frame_or_prompt_is_refused(drifting_series):
    frames, masks = drifting_series
    session = MotionCompensatedTracker(StaticTracker()).start(frames[0], masks[0])
    with pytest.raises(InputError, match="expected the first frame's"):
        session.step(frames[0][:-1])
    with pytest.raises(InputError, match="target: expected a number from 0 to 0, found 1"):
        session.correct(MaskPrompt(masks[0]), 1)
    with pytest.raises(InputError, match="mask prompt: expected the frame's"):
        session.add_target(MaskPrompt(masks[0][:-1]))


def test_frames_with_missing_pixels_are_tracked(drifting_series):
    frames, masks = drifting_series
    damaged = frames.astype(np.float32)
    damaged[3, 10:12] = np.nan
    session = MotionCompensatedTracker(StaticTracker()).start(damaged[0], masks[0])
    tracked = np.stack([session.step(frame).mask for frame in damaged[1:6]])
    assert dice_coefficients(tracked, masks[1:6]).min() > 0.9


def test_logits_keep_what_the_inner_tracker_says_of_the_target(drifting_series):
    class Sure(Recorder):
        def start(self, frame, prompt, num_frames=None):
            session = super().start(frame, prompt, num_frames)
            session.step = lambda shown: session.results.__setitem__(
                0, StepResult(shown > 100, shown.astype(np.float32) - 100, 3.0, 0.9)
            )
            return session

    frames, masks = drifting_series
    session = MotionCompensatedTracker(Sure()).start(frames[0], masks[0])
    result = session.step(frames[4])
    assert (result.object_score, result.predicted_iou) == (3.0, 0.9)
    agreement = (result.mask == (frames[4] > 100))[8:-8, 8:-8].mean()
    assert agreement > 0.95  # there and back again: what it finds on the stilled frame lies on the frame it came from


class Fixed(Recorder):
    """Says the same of every frame."""

    def __init__(self, logits: np.ndarray, object_score: float = 3.0) -> None:
        super().__init__()
        self._result = StepResult(logits > 0, logits, object_score, 0.9)

    def start(self, frame, prompt, num_frames=None):
        session = super().start(frame, prompt, num_frames)
        session.results = [StepResult(prompt.mask.copy(), self._result.logits, 3.0, 1.0)]
        session.step = lambda shown: session.results.__setitem__(0, self._result)
        return session


def test_the_outline_wins_where_the_tracker_is_unsure(drifting_series):
    frames, masks = drifting_series
    unsure = Fixed(np.full(masks[0].shape, 0.1, np.float32))
    session = MotionCompensatedTracker(unsure, MotionCompensation(4.0)).start(frames[0], masks[0])
    registered = RegistrationTracker().start(frames[0], masks[0])
    for frame in frames[1:6]:
        found, expected = session.step(frame).mask, registered.step(frame).mask
    assert dice_coefficients(found[None], expected[None])[0] > 0.98


@pytest.mark.parametrize("weight", [2.0, 4.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_sure_tracker_moves_the_outline_by_its_reach_and_no_further(weight, sign, drifting_series):
    frames, masks = drifting_series
    sure = Fixed(np.full(masks[0].shape, sign * 1000, np.float32))
    session = MotionCompensatedTracker(sure, MotionCompensation(weight)).start(frames[0], masks[0])
    found = session.step(frames[0]).mask
    reach_px = 8.0 / weight
    distance = ndimage.distance_transform_edt(~masks[0] if sign > 0 else masks[0]) - 0.5
    expected = masks[0] | (distance < reach_px) if sign > 0 else masks[0] & (distance > reach_px)
    assert (found != expected).mean() < 0.005


def test_where_the_tracker_sees_no_target_the_outline_stands_alone_and_the_score_says_so(drifting_series):
    frames, masks = drifting_series
    gone = Fixed(np.full(masks[0].shape, -1024, np.float32), object_score=-2.0)
    session = MotionCompensatedTracker(gone, MotionCompensation(4.0)).start(frames[0], masks[0])
    registered = RegistrationTracker().start(frames[0], masks[0])
    for frame in frames[1:6]:
        result, expected = session.step(frame), registered.step(frame)
        np.testing.assert_array_equal(result.mask, expected.mask)
        assert result.object_score == -2.0


def test_without_an_outlines_weight_an_absent_target_has_no_mask(drifting_series):
    frames, masks = drifting_series
    gone = Fixed(np.full(masks[0].shape, -1024, np.float32), object_score=-2.0)
    session = MotionCompensatedTracker(gone).start(frames[0], masks[0])
    assert not session.step(frames[1]).mask.any()


@pytest.mark.parametrize("weight", [0, -1.0, float("nan"), float("inf"), True])
def test_a_weight_that_is_no_weight_is_refused(weight):
    with pytest.raises(InputError, match="outline weight: expected a positive number"):
        MotionCompensation(weight)
