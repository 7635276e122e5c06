"""Frames of every plane, mirroring and tilt come to lie as the challenge's, and masks find the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cinetrack.clinic.grid import PLANES, Grid, Placement, Turn, turn_by_placement, turn_by_top
from cinetrack.errors import InputError

AXES = [tuple(float(sign * (axis == k)) for k in range(3)) for axis in range(3) for sign in (1, -1)]
STRAIGHT = [(row, column) for row in AXES for column in AXES if abs(np.dot(row, column)) < 0.5]  # all 24
ROWS, COLUMNS, SPACING = 7, 5, (2.0, 0.75)


def grid_along(along_row, along_column) -> Grid:
    placement = Placement((11.0, -23.0, 31.0), tuple(map(float, along_row)), tuple(map(float, along_column)))
    return Grid(ROWS, COLUMNS, SPACING, placement, 5.0)


turns = st.builds(Turn, st.booleans(), st.booleans(), st.booleans())
straight_grids = st.sampled_from(STRAIGHT).map(lambda pair: grid_along(*pair))
# Rotated by less than 35 degrees, a plane keeps its name.
tilts = st.tuples(*[st.floats(-1, 1)] * 3).map(
    lambda axis: Rotation.from_rotvec(np.radians(35) * np.array(axis) / max(1.0, float(np.linalg.norm(axis))))
)
tilted_grids = st.tuples(st.sampled_from(STRAIGHT), tilts).map(
    lambda drawn: grid_along(*(drawn[1].apply(vector) for vector in drawn[0]))
)
any_grids = st.builds(
    lambda turn: grid_along(*turn.as_matrix()[:2]),
    st.tuples(*[st.floats(-1, 1)] * 4)
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(lambda q: Rotation.from_quat(np.array(q))),
)


@pytest.mark.parametrize(("along_row", "along_column"), STRAIGHT)
def test_every_straight_plane_ends_with_rows_and_columns_as_the_table_says(along_row, along_column):
    grid = grid_along(along_row, along_column)
    turned = grid.turned(turn_by_placement(grid.placement)).placement
    _, rows_grow, columns_grow = PLANES[grid.placement.plane_axis]
    assert turned.along_column == rows_grow
    assert turned.along_row == columns_grow


@given(straight_grids, tilts)
def test_a_tilted_plane_is_turned_as_the_straight_one(grid, tilt):
    small = Rotation.from_rotvec(tilt.as_rotvec() * 0.4)  # under 14 degrees
    tilted = grid_along(small.apply(grid.placement.along_row), small.apply(grid.placement.along_column))
    assert tilted.placement.plane == grid.placement.plane
    assert turn_by_placement(tilted.placement) == turn_by_placement(grid.placement)


@given(tilted_grids)
def test_feet_are_at_row_0_of_tilted_sagittal_and_coronal_planes(grid):
    turned = grid.turned(turn_by_placement(grid.placement))
    if grid.placement.plane != "axial":
        assert turned.position_mm(turned.rows - 1, 0)[2] > turned.position_mm(0, 0)[2]


@given(any_grids)
def test_turned_frames_need_no_further_turn(grid):
    turned = grid.turned(turn_by_placement(grid.placement))
    again = turn_by_placement(turned.placement)
    assert again == Turn()


@given(any_grids, turns)
def test_a_pixel_keeps_its_place_in_the_patient_to_a_nanometre(grid, turn):
    rows, columns = np.indices((ROWS, COLUMNS))
    places = np.moveaxis(grid.position_mm(rows, columns), -1, 0)  # (3, rows, columns)
    turned = grid.turned(turn)
    rows, columns = np.indices((turned.rows, turned.columns))
    np.testing.assert_allclose(np.moveaxis(turned.position_mm(rows, columns), -1, 0), turn.apply(places), atol=1e-6)


@given(any_grids, st.floats(-3, 9), st.floats(-3, 9))
def test_patient_coordinates_lead_back_to_the_pixel(grid, row, column):
    found = grid.pixel_coordinates(grid.position_mm(row, column))
    np.testing.assert_allclose(found, (row, column, 0), atol=1e-9)


@given(turns)
def test_undoing_a_turn_gives_the_frames_back(turn):
    frames = np.arange(2 * ROWS * COLUMNS).reshape(2, ROWS, COLUMNS)
    np.testing.assert_array_equal(turn.undo(turn.apply(frames)), frames)
    assert turn.apply(frames).shape[1:] == (
        grid_along(*STRAIGHT[0]).turned(turn).rows,
        grid_along(*STRAIGHT[0]).turned(turn).columns,
    )


def test_pictures_with_the_head_on_top_are_turned_upside_down():
    frames = np.arange(12).reshape(1, 4, 3)
    np.testing.assert_array_equal(turn_by_top("head").apply(frames), frames[:, ::-1])
    np.testing.assert_array_equal(turn_by_top("feet").apply(frames), frames)


@pytest.mark.parametrize(
    ("along_row", "along_column"),
    [
        ((1.0, 0, 0), (1.0, 0, 0)),
        ((2.0, 0, 0), (0, 1.0, 0)),
        ((0.0, 0, 0), (0, 1.0, 0)),
        ((float("nan"), 0, 0), (0, 1.0, 0)),
    ],
)
def test_directions_that_span_no_plane_are_refused(along_row, along_column):
    with pytest.raises(InputError, match="two unit vectors at right angles"):
        Placement((0.0, 0.0, 0.0), along_row, along_column)
