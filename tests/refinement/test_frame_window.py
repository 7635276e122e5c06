"""What the refiner is shown: the right frames, in the right order, in the right scale, and no more of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinetrack.errors import InputError
from cinetrack.refinement.window import FrameWindow
from cinetrack.sequence.intensity import min_max_8bit


def stream(frames: int, seed: int = 0, shape=(6, 9)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 4000, (frames, *shape)).astype(np.uint16), rng.random((frames, *shape)) > 0.6


def test_channels_are_image_and_mask_in_turns_with_the_oldest_frame_first():
    frames, masks = stream(8)
    window = FrameWindow(5, frames[0], masks[0])
    for t in range(1, 8):
        window.append(frames[t], masks[t])
    channels = window.channels()
    assert channels.shape == (10, 6, 9)
    assert channels.dtype == np.float32
    for place, t in enumerate(range(3, 8)):
        np.testing.assert_array_equal(channels[2 * place], min_max_8bit(frames[t]))
        np.testing.assert_array_equal(channels[2 * place + 1], masks[t])


def test_the_first_frame_and_the_prompt_fill_the_places_before_frame_four():
    frames, masks = stream(3)
    window = FrameWindow(5, frames[0], masks[0])
    window.append(frames[1], masks[1])
    window.append(frames[2], masks[2])
    shown = window.channels()
    for place, t in enumerate((0, 0, 0, 1, 2)):
        np.testing.assert_array_equal(shown[2 * place], min_max_8bit(frames[t]))
        np.testing.assert_array_equal(shown[2 * place + 1], masks[t])


@given(length=st.integers(1, 15), steps=st.integers(0, 20), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_any_window_is_the_last_frames_of_the_stream_padded_with_its_first(length, steps, seed):
    frames, masks = stream(steps + 1, seed)
    window = FrameWindow(length, frames[0], masks[0])
    for t in range(1, steps + 1):
        window.append(frames[t], masks[t])
    order = [max(0, t) for t in range(steps - length + 1, steps + 1)]
    expected = [channel for t in order for channel in (min_max_8bit(frames[t]), masks[t])]
    np.testing.assert_array_equal(window.channels(), np.array(expected, dtype=np.float32))


@given(length=st.integers(2, 15), steps=st.integers(0, 20), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_a_window_that_keeps_the_first_frame_shows_it_before_the_latest(length, steps, seed):
    frames, masks = stream(steps + 1, seed)
    window = FrameWindow(length, frames[0], masks[0], keep_first=True)
    for t in range(1, steps + 1):
        window.append(frames[t], masks[t])
    order = [0, *(max(0, t) for t in range(steps - length + 2, steps + 1))]
    expected = [channel for t in order for channel in (min_max_8bit(frames[t]), masks[t])]
    np.testing.assert_array_equal(window.channels(), np.array(expected, dtype=np.float32))


def test_a_copied_window_goes_on_by_itself():
    frames, masks = stream(3)
    window = FrameWindow(2, frames[0], masks[0])
    twin = window.copy()
    twin.append(frames[1], masks[1])
    np.testing.assert_array_equal(window.channels()[2], min_max_8bit(frames[0]))
    np.testing.assert_array_equal(twin.channels()[2], min_max_8bit(frames[1]))


def test_a_frame_overwritten_by_the_caller_after_it_was_given_stays_as_it_was():
    frames, masks = stream(2)
    window = FrameWindow(2, frames[0], masks[0])
    buffer, mask_buffer = frames[1].copy(), masks[1].copy()
    window.append(buffer, mask_buffer)
    before = window.channels()
    buffer[:], mask_buffer[:] = 0, False
    np.testing.assert_array_equal(window.channels(), before)


@pytest.mark.parametrize(
    ("frame", "mask", "message"),
    [
        (np.zeros((9, 6)), np.zeros((9, 6), bool), r"frame to refine: expected \(6, 9\) pixels, found \(9, 6\)"),
        (np.zeros((6, 9, 3)), np.zeros((6, 9), bool), r"frame to refine: expected \(6, 9\)"),
        (np.zeros((6, 9)), np.zeros((9, 6), bool), r"mask to refine: expected bool of the frame's \(6, 9\)"),
        (np.zeros((6, 9)), np.zeros((6, 9), np.uint8), r"mask to refine: expected bool .* found uint8"),
    ],
)
def test_frames_and_masks_of_another_shape_or_type_are_named(frame, mask, message):
    frames, masks = stream(1)
    window = FrameWindow(5, frames[0], masks[0])
    with pytest.raises(InputError, match=message):
        window.append(frame, mask)


def test_a_first_frame_that_is_no_image_is_refused():
    with pytest.raises(InputError, match=r"expected \(H, W\) pixels, found \(3, 4, 5\)"):
        FrameWindow(5, np.zeros((3, 4, 5)), np.zeros((3, 4, 5), bool))
