"""The pipeline as a library: tracker, refiner and hole fill in turn."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import binary_fill_holes

from cinetrack.pipeline.hole_fill import fill_holes
from cinetrack.pipeline.track_case import track, track_whole
from cinetrack.tracking.registration import RegistrationTracker
from cinetrack.tracking.static import StaticTracker


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_holes_are_filled_as_scipy_fills_the_whole_frame(mask):
    np.testing.assert_array_equal(fill_holes(mask), binary_fill_holes(mask))


class HoleMakingRefiner:
    """Punches a hole into each mask, to show what comes after it."""

    def start(self, frame, mask, spacing_mm):
        return self

    def step(self, frame, mask):
        holed = mask.copy()
        rows, columns = np.nonzero(mask)
        holed[int(rows.mean()), int(columns.mean())] = False
        return holed


def test_the_refiner_sees_the_trackers_mask_and_its_holes_are_filled(tracking_case):
    plain = track_whole(tracking_case, StaticTracker())
    refined = track_whole(tracking_case, StaticTracker(), HoleMakingRefiner())
    np.testing.assert_array_equal(refined.masks, plain.masks)


def test_frame_0_is_the_given_mask_even_with_a_hole_in_it(tracking_case):
    holed = tracking_case.first_mask.copy()
    holed[28, 24] = False
    case = type(tracking_case)(tracking_case.case_id, tracking_case.sequence, holed)
    masks = track_whole(case, StaticTracker()).masks
    np.testing.assert_array_equal(masks[0], holed)
    assert masks[1][28, 24]


def test_streaming_gives_what_the_whole_case_gives(tracking_case):
    whole = track_whole(tracking_case, RegistrationTracker())
    for index, frame in enumerate(track(tracking_case, RegistrationTracker())):
        np.testing.assert_array_equal(frame.mask, whole.masks[index])
    assert len(whole.object_scores) == len(whole.masks) == 8
