"""Sources on frames that registration holds still: what they see, and where their masks land."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from stub_sources import StubSource, brighter_than_100, registration, saying, static

from cinetrack.errors import InputError
from cinetrack.evaluation.dice import dice_coefficients
from cinetrack.tracking import BoxPrompt, Chain, MaskPrompt, PointPrompt
from cinetrack.tracking.evidence.outline import OutlineSource
from cinetrack.tracking.stabilisation import Stabiliser
from cinetrack.tracking.stabilisation.optical_flow import FLOWS, FlowSearch, sampled
from cinetrack.tracking.stabilisation.stabiliser import stabilised_clip


def recording(**options) -> tuple[StubSource, Chain]:
    """A source that keeps what it is shown, and the chain of it alone on stabilised frames."""
    source = StubSource(saying(0.0), **options)
    return source, Chain("recorder", (source,), Stabiliser())


def beside_outline(weight: float, say, limit: float | None = 8.0) -> Chain:
    """The outline and a source of limited word, as SAM2's is, along the flow of registration."""
    source = StubSource(say, limit=limit)
    return Chain("both", (OutlineSource(weight), source), Stabiliser(("flexible",)), postprocessing=())


def smooth_field(seed: int, shape: tuple[int, int], greatest_px: float, smoothness_px: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(*shape, 2))
    field = ndimage.gaussian_filter(noise, (smoothness_px, smoothness_px, 0))
    return (field / np.abs(field).max() * greatest_px).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 12), st.tuples(st.integers(96, 140), st.integers(96, 140)))
def test_the_way_to_the_reference_and_the_way_back_are_inverse(seed, greatest_px, shape):
    search = FlowSearch(np.zeros(shape, np.uint8), FLOWS["flexible"])
    flow = smooth_field(seed, shape, greatest_px, 20)
    back = sampled(search.on_reference(flow), search.on_latest(flow))
    inner = np.s_[16:-16, 16:-16]  # at the border the flow leads off the frame
    assert np.abs(back - search.grid)[inner].max() < 0.1


@pytest.mark.parametrize("flow", FLOWS)
def test_the_outline_on_stabilised_frames_is_carried_along_the_flow(flow, drifting_series):
    frames, masks = drifting_series
    session = registration(flow).start(frames[0], masks[0])
    distance = session.results[0].logits
    search = FlowSearch(frames[0], FLOWS[flow])
    reference, found = search.prepared(frames[0]), None
    for frame in frames[1:]:
        found = search.search(search.prepared(frame), reference, found)
        np.testing.assert_array_equal(session.step(frame).logits, sampled(distance, search.on_reference(found)))


def test_sources_see_the_anatomy_held_still(drifting_series):
    frames, masks = drifting_series
    source, chain = recording()
    session = chain.start(frames[0], masks[0])
    for frame in frames[1:]:
        session.step(frame)
    around = ndimage.binary_dilation(masks[0], iterations=4)
    moved = [np.abs(frame.astype(float) - frames[0])[around].mean() for frame in frames[1:]]
    stabilised = [np.abs(frame.astype(float) - frames[0])[around].mean() for frame in source.shown[1:]]
    assert max(stabilised) < 0.5 * max(moved)
    assert all(frame.min() >= 0 and frame.max() <= 255 for frame in source.shown)  # cubic overshoot is cut off


def test_training_clips_show_what_sources_are_shown(drifting_series):
    frames, masks = drifting_series
    source, chain = recording()
    session = chain.start(frames[0], masks[0])
    for frame in frames[1:8]:
        session.step(frame)
    clip, clip_masks = stabilised_clip(frames[:8], masks[:8, None])
    np.testing.assert_array_equal(clip, np.stack(source.shown).astype(np.float32))
    assert clip_masks.shape == masks[:8, None].shape
    assert dice_coefficients(clip_masks[:, 0], np.repeat(masks[:1], 8, axis=0)).min() > 0.93


def test_a_region_of_a_stabilised_frame_is_that_part_of_it(drifting_series):
    frames, masks = drifting_series
    whole, region = (StubSource(saying(0.0), region_px=side) for side in (None, 64))
    session = Chain("two", (whole, region), Stabiliser()).start(frames[0], masks[0])
    for frame in frames[1:4]:
        session.step(frame)
    share = session._tracked[0].target._shares[1].region
    for seen, cut in zip(whole.shown, region.shown, strict=True):
        np.testing.assert_allclose(cut, share.cut(seen), atol=1e-3)


def test_sam2_on_stabilised_frames_keeps_a_drifting_target(drifting_series, default_bundle):
    from cinetrack import load_model

    frames, masks = drifting_series
    sam2 = load_model(default_bundle, "cpu").chain.sources
    session = Chain("sam2", sam2, Stabiliser()).start(frames[0], masks[0])
    tracked = np.stack([session.step(frame).mask for frame in frames[1:]])
    assert dice_coefficients(tracked, masks[1:]).min() > 0.9


def test_corrections_reach_a_source_that_remembers_in_the_references_place(drifting_series):
    frames, masks = drifting_series
    source, chain = recording()
    session = chain.start(frames[0], masks[0])
    for frame in frames[1:6]:
        session.step(frame)
    at, home = ndimage.center_of_mass(masks[5]), ndimage.center_of_mass(masks[0])
    assert np.hypot(*np.subtract(at, home)) > 5  # the target is elsewhere by now

    session.correct(PointPrompt((at,), (True,)))
    assert np.hypot(*np.subtract(source.prompts[-1].points[0], home)) < 1.5

    rows, columns = np.nonzero(masks[5])
    session.correct(BoxPrompt(rows.min(), columns.min(), rows.max() + 1, columns.max() + 1))
    box = source.prompts[-1]
    assert np.hypot((box.top + box.bottom) / 2 - home[0] - 0.5, (box.left + box.right) / 2 - home[1] - 0.5) < 2

    corrected = session.correct(MaskPrompt(masks[5]))
    assert dice_coefficients(source.prompts[-1].mask[None], masks[:1])[0] > 0.93
    np.testing.assert_array_equal(corrected.mask, masks[5])


def test_where_no_source_remembers_the_corrected_frame_is_the_new_reference(drifting_series):
    frames, masks = drifting_series
    source, chain = recording(remembers=False)
    session = chain.start(frames[0], masks[0])
    for frame in frames[1:6]:
        session.step(frame)
    session.correct(MaskPrompt(masks[5]))
    np.testing.assert_array_equal(source.prompts[-1].mask, masks[5])
    np.testing.assert_array_equal(source.shown[-1], frames[5])
    fresh = chain.start(frames[5], masks[5])
    session.step(frames[6]), fresh.step(frames[6])
    np.testing.assert_allclose(*source.shown[-2:], atol=2)  # the intensity window is still frame 0's


def test_prompts_at_the_frames_border_stay_on_the_frame(drifting_series):
    frames, masks = drifting_series
    source, chain = recording()
    session = chain.start(frames[0], masks[0])
    for frame in frames[1:6]:
        session.step(frame)
    height, width = frames.shape[1:]
    session.correct(BoxPrompt(0, 0, height, width))
    session.correct(PointPrompt(((0.0, 0.0), (float(height), float(width))), (True, False)))
    box, points = source.prompts[-2:]
    assert 0 <= box.top < box.bottom <= height and 0 <= box.left < box.right <= width
    assert all(0 <= row <= height and 0 <= column <= width for row, column in points.points)


def test_a_target_added_later_has_its_own_reference(drifting_series):
    frames, masks = drifting_series
    session = registration("smooth", "flexible").start(frames[0], [masks[0], np.roll(masks[0], 9, axis=1)])
    for frame in frames[1:6]:
        session.step(frame)
    session.add_target(MaskPrompt(masks[5]))
    for frame in frames[6:12]:
        session.step(frame)
    found = np.stack([session.results[0].mask, session.results[2].mask])
    assert len(session.results) == 3
    assert dice_coefficients(found, np.stack([masks[11]] * 2)).min() > 0.93


def test_targets_outlined_on_one_frame_share_its_reference(drifting_series):
    frames, masks = drifting_series
    session = registration().start(frames[0], [masks[0], np.roll(masks[0], 9, axis=1)])
    session.step(frames[1])
    session.add_target(MaskPrompt(masks[1]))
    session.add_target(MaskPrompt(np.roll(masks[1], 9, axis=1)))
    assert len(session._references()) == 2


def test_a_copy_goes_on_by_itself(drifting_series):
    frames, masks = drifting_series
    session = registration("smooth", "flexible").start(frames[0], masks[0])
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
    session = registration().start(frames[0], masks[0])
    with pytest.raises(InputError, match="expected the first frame's"):
        session.step(frames[0][:-1])
    with pytest.raises(InputError, match="target: expected a number from 0 to 0, found 1"):
        session.correct(MaskPrompt(masks[0]), 1)
    with pytest.raises(InputError, match="mask prompt: expected the frame's"):
        session.add_target(MaskPrompt(masks[0][:-1]))
    assert len(session.results) == 1 and session.step(frames[1]).mask.any()


def test_frames_with_missing_pixels_are_tracked(drifting_series):
    frames, masks = drifting_series
    damaged = frames.astype(np.float32)
    damaged[3, 10:12] = np.nan
    session = registration("smooth", "flexible").start(damaged[0], masks[0])
    tracked = np.stack([session.step(frame).mask for frame in damaged[1:6]])
    assert dice_coefficients(tracked, masks[1:6]).min() > 0.9


def test_logits_are_carried_back_and_scores_kept(drifting_series):
    frames, masks = drifting_series
    source = StubSource(brighter_than_100)
    session = Chain("sure", (source,), Stabiliser(), postprocessing=()).start(frames[0], masks[0])
    result = session.step(frames[4])
    assert (result.object_score, result.predicted_iou) == (np.float32(3.0), 0.9)
    agreement = (result.mask == (frames[4] > 100))[8:-8, 8:-8].mean()
    assert agreement > 0.95  # there and back again: what it finds on the stabilised frame lies where it came from


def test_the_outline_wins_where_a_source_is_unsure(drifting_series):
    frames, masks = drifting_series
    session = beside_outline(4.0, saying(0.1)).start(frames[0], masks[0])
    registered = registration().start(frames[0], masks[0])
    for frame in frames[1:6]:
        found, expected = session.step(frame).mask, registered.step(frame).mask
    assert dice_coefficients(found[None], expected[None])[0] > 0.98


@pytest.mark.parametrize("weight", [2.0, 4.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_sure_source_moves_the_outline_by_its_limit_and_no_further(weight, sign, drifting_series):
    frames, masks = drifting_series
    session = beside_outline(weight, saying(sign * 1000.0)).start(frames[0], masks[0])
    found = session.step(frames[0]).mask
    furthest_px = 8.0 / weight
    distance = ndimage.distance_transform_edt(~masks[0] if sign > 0 else masks[0]) - 0.5
    expected = masks[0] | (distance < furthest_px) if sign > 0 else masks[0] & (distance > furthest_px)
    assert (found != expected).mean() < 0.005


def test_where_a_source_sees_no_target_the_outline_stands_alone_and_the_score_says_so(drifting_series):
    frames, masks = drifting_series
    session = beside_outline(4.0, saying(-1024.0, object_score=-2.0)).start(frames[0], masks[0])
    registered = registration().start(frames[0], masks[0])
    for frame in frames[1:6]:
        result, expected = session.step(frame), registered.step(frame)
        np.testing.assert_array_equal(result.logits > 0, expected.logits > 0)
        assert result.object_score == -2.0


def test_without_an_outline_an_absent_target_has_no_mask(drifting_series):
    frames, masks = drifting_series
    gone = StubSource(saying(-1024.0, object_score=-2.0))
    session = Chain("gone", (gone,), Stabiliser()).start(frames[0], masks[0])
    assert not session.step(frames[1]).mask.any()


def test_frames_as_they_are_are_shown_as_they_are(drifting_series):
    frames, masks = drifting_series
    source = StubSource(saying(1.0))
    session = Chain("plain", (source,)).start(frames[0], masks[0])
    for frame in frames[1:4]:
        session.step(frame)
    np.testing.assert_array_equal(source.shown, frames[:4])
    session.correct(MaskPrompt(masks[3]))
    np.testing.assert_array_equal(source.prompts[-1].mask, masks[3])
    assert static().start(frames[0], masks[0]).step(frames[5]).mask.tolist() == masks[0].tolist()
