"""What is drawn on the screen is what is stored, to the pixel, though the picture is flipped and enlarged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cinetrack.errors import InputError
from cinetrack.labelling.display import Display, Window
from cinetrack.tracking import BoxPrompt

displays = st.builds(
    Display.of,
    st.tuples(st.integers(20, 500), st.integers(20, 500)),
    st.tuples(st.floats(0.5, 4), st.floats(0.5, 4)),
)


def test_a_box_around_one_pixel_on_screen_is_that_pixel_of_the_frame():
    display = Display((72, 56), (720, 560))
    # Frame pixel (10, 20): its row is the 62nd from the top of the flipped picture (72 - 1 - 10 = 61 rows above it).
    assert display.box_to_frame(200, 610, 210, 620) == BoxPrompt(10, 20, 11, 21)
    assert display.box_to_display(BoxPrompt(10, 20, 11, 21)) == (200, 610, 210, 620)


def test_the_picture_shows_the_head_side_on_top():
    frame = np.zeros((72, 56), np.uint16)
    frame[10, 20] = 1000
    display = Display((72, 56), (720, 560))
    bright = np.argwhere(display.picture(frame, Window(0, 1000))[..., 0] > 200)
    np.testing.assert_allclose(bright.mean(axis=0), (614.5, 204.5), atol=0.5)


@given(displays, st.data())
def test_boxes_survive_the_way_to_the_screen_and_back(display, data):
    height, width = display.frame_shape
    top, bottom = sorted(
        data.draw(st.tuples(st.integers(0, height), st.integers(0, height)).filter(lambda e: e[0] != e[1]))
    )
    left, right = sorted(
        data.draw(st.tuples(st.integers(0, width), st.integers(0, width)).filter(lambda e: e[0] != e[1]))
    )
    box = display.box_to_frame(*display.box_to_display(BoxPrompt(top, left, bottom, right)))
    assert (box.top, box.left, box.bottom, box.right) == pytest.approx((top, left, bottom, right), abs=1e-9)


@given(displays, st.floats(0, 1), st.floats(0, 1))
def test_points_survive_the_way_to_the_frame_and_back(display, x, y):
    x, y = x * display.shape[1], y * display.shape[0]
    assert display.to_display(*display.to_frame(x, y)) == pytest.approx((x, y), abs=1e-9)


@given(arrays(bool, (13, 17)))
def test_every_pixel_of_the_frame_is_a_block_of_the_picture(mask):
    shown = Display((13, 17), (130, 170)).enlarged(mask.astype(np.uint8))
    np.testing.assert_array_equal(shown[::-1], np.kron(mask, np.ones((10, 10))))


def test_the_overlay_lies_on_its_object_and_nowhere_else():
    display = Display((72, 56), (720, 560))
    objects = np.zeros((72, 56), np.uint8)
    objects[10:14, 20:26] = 3
    changed = (display.overlay(np.zeros((720, 560, 3), np.uint8), objects) > 0).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    # Rows 10..14 exclusive are 580..620 on the flipped picture; the outline's line is 2 px wide.
    assert abs(rows[0] - 580) <= 2 and abs(rows[-1] - 619) <= 2
    assert abs(columns[0] - 200) <= 2 and abs(columns[-1] - 259) <= 2


def test_unequal_spacing_is_shown_with_square_pixels():
    assert Display.of((100, 100), (2.0, 1.0)).shape == (560, 280)


def test_a_box_beside_the_image_is_refused_and_one_across_its_edge_is_cut():
    display = Display((72, 56), (720, 560))
    with pytest.raises(InputError, match="draw it again"):
        display.box_to_frame(-50, 10, 0, 60)
    assert display.box_to_frame(-50, -20, 100, 100) == BoxPrompt(62, 0, 72, 10)


def test_the_window_reaches_the_99th_percentile_and_can_be_adjusted():
    frame = np.arange(1000.0).reshape(40, 25)
    window = Window.of(frame)
    assert (window.low, window.high) == (0.0, pytest.approx(989.01))
    same = window.adjusted(0.5, 1.0)
    assert (same.low, same.high) == pytest.approx((window.low, window.high))
    darker = window.adjusted(0.8, 1.0)
    assert darker.apply(frame).mean() < window.apply(frame).mean()
    assert Window.of(np.full((4, 4), 7)).apply(np.full((4, 4), 7)).max() == 0
