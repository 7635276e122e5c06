"""A case frame by frame: what streaming, the whole case and its record of seconds owe each other."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import binary_fill_holes

from cinetrack.pipeline.track_case import TrackedCase, track, track_whole
from cinetrack.tracking import Chain
from cinetrack.tracking.evidence.outline import OutlineSource
from cinetrack.tracking.postprocessing.fill_holes import FillHoles, fill_holes
from cinetrack.tracking.stabilisation import Stabiliser

STATIC = Chain("static", (OutlineSource(),))
REGISTRATION = Chain("registration", (OutlineSource(),), Stabiliser(("flexible",)))


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_holes_are_filled_as_scipy_fills_the_whole_frame(mask):
    np.testing.assert_array_equal(fill_holes(mask), binary_fill_holes(mask))


class HoleMaking:
    """Punches a hole into each mask, to show what comes after it."""

    name = "hole making"

    def __init__(self) -> None:
        self.given = []

    def start(self, frame, mask, spacing_mm):
        self.given.append((mask, spacing_mm))
        return self

    def step(self, frame, mask):
        self.given.append(mask)
        holed = mask.copy()
        rows, columns = np.nonzero(mask)
        holed[int(rows.mean()), int(columns.mean())] = False
        return holed


def test_post_processing_sees_the_sources_mask_and_the_cases_spacing_and_its_holes_are_filled(tracking_case):
    making = HoleMaking()
    plain = track_whole(tracking_case, STATIC)
    processed = track_whole(tracking_case, Chain("holed", STATIC.sources, postprocessing=(making, FillHoles())))
    np.testing.assert_array_equal(processed.masks, plain.masks)
    (first, spacing_mm), *others = making.given
    assert spacing_mm == (1.5, 1.0) and len(others) == 7
    np.testing.assert_array_equal([first, *others], plain.masks)


def test_frame_0_is_the_given_mask_even_with_a_hole_in_it(tracking_case):
    holed = tracking_case.first_mask.copy()
    holed[28, 24] = False
    case = type(tracking_case)(tracking_case.case_id, tracking_case.sequence, holed)
    masks = track_whole(case, STATIC).masks
    np.testing.assert_array_equal(masks[0], holed)
    assert masks[1][28, 24]


def test_streaming_gives_what_the_whole_case_gives(tracking_case):
    told = []
    whole = track_whole(tracking_case, REGISTRATION, lambda done, total: told.append((done, total)))
    for index, frame in enumerate(track(tracking_case, REGISTRATION)):
        np.testing.assert_array_equal(frame.mask, whole.masks[index])
    assert len(whole.object_scores) == len(whole.predicted_ious) == len(whole.masks) == 8
    assert np.isnan(whole.object_scores).all() and told == [(done, 8) for done in range(1, 9)]


def test_every_frame_has_its_own_seconds_and_the_case_their_sum(tracking_case):
    frames = list(track(tracking_case, REGISTRATION))
    tracked = TrackedCase(np.zeros(tracking_case.sequence.frames.shape, bool))
    for frame in frames:
        tracked.add(frame)
    assert list(tracked.stage_seconds) == ["stabilisation", "outline", "fusion", "hole filling"]
    for stage, seconds in tracked.stage_seconds.items():
        np.testing.assert_allclose(seconds, sum(frame.seconds.get(stage, 0.0) for frame in frames))
    for frame in frames:
        assert all(seconds >= 0 for seconds in frame.seconds.values())
    # The flow is searched for on every frame but the first, so each later frame has its share of it.
    assert all(frame.seconds["stabilisation"] > 0 for frame in frames[1:])
