"""A source that is shown the target's surroundings: what it sees, and that what it finds lands where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stub_sources import StubSource, brighter_than_100

from cinetrack.errors import InputError
from cinetrack.tracking import BoxPrompt, Chain, MaskPrompt, PointPrompt
from cinetrack.tracking.evidence.outline import OutlineSource
from cinetrack.tracking.region import OUTSIDE_LOGIT, Region

SHAPE = (200, 150)


def disc(row: float, column: float, radius: float, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(rows - row, columns - column) < radius


def threshold(region_px: int | None = 64, **options) -> tuple[StubSource, Chain]:
    """A source to which the target is what is brighter than 100, and the chain of it alone."""
    source = StubSource(brighter_than_100, region_px=region_px, **options)
    return source, Chain("threshold", (source,))


class OutlineInRegion(OutlineSource):
    region_px = 64


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
    source, chain = threshold()
    frame = np.where(disc(60, 100, 8), 250, 10).astype(np.int16)
    session = chain.start(frame, disc(60, 100, 8))
    moved = np.where(disc(70, 95, 8) | disc(180, 20, 8), 250, 10).astype(np.int16)
    result = session.step(moved)
    np.testing.assert_array_equal(result.mask, disc(70, 95, 8))  # not the look-alike far away
    assert source.shown[-1].shape == (64, 64)
    assert result.logits[70, 95] == 150 and result.logits[180, 20] == OUTSIDE_LOGIT
    assert (result.object_score, result.predicted_iou) == (3.0, 0.9)


def test_a_region_larger_than_the_frame_is_the_frame():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 500, (4, *SHAPE)).astype(np.int16)
    (seen_whole, whole), (seen, region) = threshold(None), threshold(400)
    whole, region = (chain.start(frames[0], disc(100, 70, 20)) for chain in (whole, region))
    for frame in frames[1:]:
        expected, found = whole.step(frame), region.step(frame)
        np.testing.assert_array_equal(found.mask, expected.mask)
        np.testing.assert_array_equal(found.logits, expected.logits)
    np.testing.assert_array_equal(seen.shown, seen_whole.shown)


def test_every_kind_of_prompt_is_given_in_the_regions_coordinates():
    source, chain = threshold()
    session = chain.start(np.zeros(SHAPE, np.int16), BoxPrompt(90.5, 60, 110, 80))
    assert source.prompts.pop() == BoxPrompt(90.5 - 68, 60 - 38, 110 - 68, 80 - 38)
    session.correct(PointPrompt(((100.0, 70.0), (75.0, 90.0)), (True, False)))
    assert source.prompts.pop() == PointPrompt(((32.0, 32.0), (7.0, 52.0)), (True, False))
    session.correct(MaskPrompt(disc(100, 70, 5)))
    np.testing.assert_array_equal(source.prompts.pop().mask, disc(100 - 68, 70 - 38, 5, (64, 64)))


@pytest.mark.parametrize("remembers", [True, False])
def test_a_correction_outside_the_region_starts_the_target_over_there(remembers):
    source, chain = threshold(remembers=remembers)
    session = chain.start(np.zeros(SHAPE, np.int16), [disc(30, 30, 8), disc(30, 100, 8)])
    session.correct(MaskPrompt(disc(170, 120, 9)), 1)
    np.testing.assert_array_equal(source.prompts[-1].mask.sum(), disc(170, 120, 9).sum())
    session.step(np.where(disc(30, 30, 8) | disc(30, 100, 8) | disc(170, 120, 9), 250, 10).astype(np.int16))
    np.testing.assert_array_equal(session.results[0].mask, disc(30, 30, 8))
    np.testing.assert_array_equal(session.results[1].mask, disc(170, 120, 9))


def test_a_click_beside_the_target_and_outside_the_region_does_not_start_the_target_over():
    source, chain = threshold()
    session = chain.start(np.zeros(SHAPE, np.int16), disc(30, 30, 8))
    session.step(np.where(disc(30, 30, 8), 250, 10).astype(np.int16))
    found = session.correct(PointPrompt(((170.0, 20.0),), (False,)))
    np.testing.assert_array_equal(found.mask, disc(30, 30, 8))
    assert source.prompts[-1] == PointPrompt(((64.0, 20.0),), (False,))
    session.correct(PointPrompt(((30.0, 30.0), (30.0, 140.0)), (True, False)))
    assert source.prompts[-1] == PointPrompt(((30.0, 30.0), (30.0, 64.0)), (True, False))
    session.correct(PointPrompt(((30.0, 30.0), (170.0, 30.0)), (False, True)))  # the target is to be there
    assert source.shown[-1].shape == (172, 150)


def test_a_corrected_outline_that_remembers_nothing_moves_its_region_along():
    chain = Chain("outline", (OutlineInRegion(),))
    frame = np.zeros(SHAPE, np.int16)
    session = chain.start(frame, disc(30, 30, 8))
    for place in ((60, 60), (170, 120), (30, 30)):
        session.correct(MaskPrompt(disc(*place, 9)))
        np.testing.assert_array_equal(session.step(frame).mask, disc(*place, 9))


def test_a_copy_goes_on_by_itself():
    frame = np.zeros(SHAPE, np.int16)
    session = Chain("outline", (OutlineInRegion(),)).start(frame, disc(30, 30, 8))
    twin = session.copy()
    session.correct(MaskPrompt(disc(34, 30, 8)))
    twin.add_target(MaskPrompt(disc(150, 90, 8)))
    np.testing.assert_array_equal(session.step(frame).mask, disc(34, 30, 8))
    np.testing.assert_array_equal(twin.step(frame).mask, disc(30, 30, 8))
    assert (len(session.results), len(twin.results)) == (1, 2)


def test_targets_with_the_same_surroundings_share_what_is_worked_out_of_them():
    computed = []

    class Sharing(StubSource):
        def target(self):
            outer = self

            class Target:
                def prompt(self, view, prompt):
                    return self.log_odds(view)

                def log_odds(self, view):
                    return view.derived(outer, lambda pixels: computed.append(view.index) or brighter_than_100(pixels))

            return Target()

    frame = np.zeros(SHAPE, np.int16)
    source = Sharing(brighter_than_100, region_px=64)
    session = Chain("sharing", (source,)).start(frame, [disc(50, 50, 8), disc(50, 50, 9), disc(140, 100, 8)])
    session.step(frame)
    assert computed == [0, 0, 1, 1]


def test_what_lies_outside_the_frame_is_refused():
    frame = np.zeros(SHAPE, np.int16)
    _, chain = threshold()
    with pytest.raises(InputError, match="expected it within the frame's"):
        chain.start(frame, BoxPrompt(190, 10, 210, 20))
    session = chain.start(frame, disc(30, 30, 8))
    with pytest.raises(InputError, match="target: expected a number from 0 to 0, found 1"):
        session.correct(MaskPrompt(disc(30, 30, 8)), 1)
    with pytest.raises(InputError, match="expected the first frame's"):
        session.step(frame[:-1])
