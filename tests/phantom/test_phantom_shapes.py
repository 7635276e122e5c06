"""Signed-distance shapes: sizes, subtraction, painting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinetrack.phantom.shapes import blob, coverage, paint, polygon

CANVAS = (90, 120)


@given(
    row=st.floats(35, 55),
    column=st.floats(40, 80),
    along=st.floats(6, 28),
    across=st.floats(6, 28),
    angle=st.floats(-3, 3),
)
@settings(max_examples=30, deadline=None)
def test_an_even_blob_is_an_ellipse_of_its_axes(row, column, along, across, angle):
    """Pixel by pixel: where the grid meets it badly, the pixels in an ellipse are over 6 % off its area."""
    shape = blob(np.random.default_rng(0), CANVAS, (row, column), (along, across), angle)
    rows, columns = np.mgrid[: CANVAS[0], : CANVAS[1]]
    down, right = rows - row, columns - column
    radius = np.hypot(
        (right * np.cos(angle) + down * np.sin(angle)) / along, (down * np.cos(angle) - right * np.sin(angle)) / across
    )
    inside = shape.on_canvas(CANVAS) > 0
    assert inside[radius < 0.998].all() and not inside[radius > 1.0001].any()
    assert shape.area_px == inside.sum()
    assert shape.centroid() == pytest.approx(np.argwhere(inside).mean(axis=0))


def test_a_circles_distance_is_exact_near_its_border():
    shape = blob(np.random.default_rng(0), CANVAS, (45, 60), (20, 20))
    rows, columns = np.mgrid[: CANVAS[0], : CANVAS[1]]
    exact = 20 - np.hypot(rows - 45, columns - 60)
    near = np.abs(exact) < 8
    np.testing.assert_allclose(shape.on_canvas(CANVAS)[near], exact[near], atol=0.05)


def test_a_polygon_beyond_the_canvas_is_cut_by_it():
    box = polygon(CANVAS, np.array([[70.0, 100.0], [70.0, 200.0], [200.0, 200.0], [200.0, 100.0]]))
    inside = box.on_canvas(CANVAS) > 0
    assert inside[75:, 105:].all() and not inside[:69].any() and not inside[:, :99].any()


def test_taking_a_shape_off_leaves_what_it_does_not_hide():
    rng = np.random.default_rng(0)
    large, small = blob(rng, CANVAS, (45, 60), (25, 20)), blob(rng, CANVAS, (45, 80), (12, 12))
    left = large.without(small).on_canvas(CANVAS) > 0
    expected = (large.on_canvas(CANVAS) > 0) & ~(small.on_canvas(CANVAS) > 0)
    np.testing.assert_array_equal(left, expected)


def test_largest_part_drops_the_others():
    rng = np.random.default_rng(0)
    bar, cut = blob(rng, CANVAS, (45, 60), (40, 10)), blob(rng, CANVAS, (45, 75), (14, 8), np.pi / 2)
    left = bar.without(cut)
    largest = left.largest_part()
    assert 0 < largest.area_px < left.area_px
    assert largest.centroid()[1] < 70


def test_painting_covers_the_inside_half_the_border_and_nothing_outside():
    image = np.zeros(CANVAS, np.float32)
    shape = blob(np.random.default_rng(0), CANVAS, (45, 60), (20, 20))
    paint(image, shape, 2.0, softness_px=1.0)
    distance = shape.on_canvas(CANVAS)
    assert (image[distance > 1] == 2.0).all() and (image[distance < -1] == 0).all()
    assert coverage(np.float32([0.0]), 1.0)[0] == 0.5
