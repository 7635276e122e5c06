"""Prompts on any frames are carried through; resuming gives what starting over would."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from cinetrack import load_tracker
from cinetrack.errors import InputError
from cinetrack.labelling.given_prompts import GivenPrompt
from cinetrack.labelling.propagation import CHECKPOINTS, Checkpoints, propagate
from cinetrack.labelling.segmenters import ClassicalSegmenter, Sam2Segmenter, grabcut
from cinetrack.tracking import BoxPrompt, MaskPrompt, PointPrompt

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
GRABCUT = ClassicalSegmenter("grabcut", grabcut)


@pytest.fixture(scope="module", params=["default", "registration", "static"])
def tracker(request):
    return load_tracker(RESOURCES / request.param)


@pytest.fixture(scope="module")
def prompts(moving_disc):
    other = np.zeros((72, 56), bool)
    other[5:14, 40:50] = True
    return [GivenPrompt(0, 1, MaskPrompt(moving_disc[1][0])), GivenPrompt(0, 2, MaskPrompt(other))]


def run(tracker, frames, prompts, **options):
    return list(propagate(tracker, GRABCUT, frames, prompts, **options))


def assert_same(ours, theirs):
    assert [frame.index for frame in ours] == [frame.index for frame in theirs]
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.objects, other.objects)
        np.testing.assert_array_equal(one.object_scores, other.object_scores)


def test_every_frame_gets_all_objects_and_the_first_the_given_masks(tracker, moving_disc, prompts):
    found = run(tracker, moving_disc[0], prompts)
    assert [frame.index for frame in found] == list(range(8))
    for number, given in enumerate(prompts, 1):
        np.testing.assert_array_equal(found[0].objects == number, given.prompt.mask)
    assert all(set(np.unique(frame.objects)) == {0, 1, 2} for frame in found)


def test_an_object_is_tracked_as_without_the_other(tracker, moving_disc, prompts):
    both, alone = run(tracker, moving_disc[0], prompts), run(tracker, moving_disc[0], prompts[:1])
    for one, other in zip(both, alone, strict=True):
        assert ((one.objects == 1) != (other.objects == 1)).sum() == 0


@pytest.mark.parametrize(
    "correction",
    [BoxPrompt(22, 18, 44, 40), PointPrompt(((33.0, 28.0),), (True,)), "mask"],
    ids=["box", "points", "mask"],
)
def test_resuming_at_a_correction_gives_what_starting_over_gives(tracker, moving_disc, prompts, correction):
    frames, masks = moving_disc
    checkpoints = Checkpoints()
    before = run(tracker, frames, prompts, checkpoints=checkpoints)
    prompt = MaskPrompt(masks[4]) if correction == "mask" else correction
    corrected = [*prompts, GivenPrompt(4, 1, prompt)]
    over = run(tracker, frames, corrected)
    resumed = run(tracker, frames, corrected, checkpoints=checkpoints, resume_before=4)
    assert 0 < resumed[0].index <= 4
    assert_same(resumed, over[resumed[0].index :])
    assert_same(over[:4], before[:4])  # the past stays
    # A second correction, later, starts from the first one's checkpoints.
    twice = [*corrected, GivenPrompt(6, 2, MaskPrompt(np.roll(prompts[1].prompt.mask, 3, axis=0)))]
    again = run(tracker, frames, twice, checkpoints=checkpoints, resume_before=6)
    assert_same(again, run(tracker, frames, twice)[again[0].index :])


def test_a_mask_given_on_a_later_frame_is_that_frames_mask(tracker, moving_disc, prompts):
    ring = moving_disc[1][4].copy()
    ring[33:35, 27:29] = False  # a hole that someone left on purpose
    found = run(tracker, moving_disc[0], [*prompts, GivenPrompt(4, 1, MaskPrompt(ring))])
    np.testing.assert_array_equal(found[4].objects == 1, ring)


def test_a_correction_draws_a_lost_target_back(tracker, moving_disc, prompts):
    frames, masks = moving_disc
    wrong = [GivenPrompt(0, 1, MaskPrompt(np.roll(masks[0], 20, axis=1)))]
    found = run(tracker, frames, [*wrong, GivenPrompt(4, 1, BoxPrompt(24, 18, 44, 38))])
    assert (found[4].objects == 1)[masks[4]].mean() > 0.8


def test_a_new_object_may_start_on_a_later_frame(tracker, moving_disc, prompts):
    frames, masks = moving_disc
    found = run(tracker, frames, [prompts[0], GivenPrompt(3, 2, BoxPrompt(4, 38, 16, 52))])
    assert all((frame.objects == 2).any() == (frame.index >= 3) for frame in found)
    assert all(math.isnan(frame.object_scores[1]) for frame in found[:3])


def test_sam2_that_knows_boxes_is_given_them_as_they_are(moving_disc, prompts, monkeypatch):
    tracker = load_tracker(RESOURCES / "default").inner.inner  # SAM2 on whole frames as they are
    received = []
    from cinetrack.tracking.evidence.sam2.tracker import Sam2Session

    correct = Sam2Session.correct
    monkeypatch.setattr(
        Sam2Session, "correct", lambda s, prompt, target: received.append(prompt) or correct(s, prompt, target)
    )
    given = [BoxPrompt(20, 16, 40, 36), PointPrompt(((30.0, 26.0), (2.0, 2.0)), (True, False))]
    later = [GivenPrompt(3, 1, prompt) for prompt in given]
    list(propagate(tracker, Sam2Segmenter(tracker), moving_disc[0], [prompts[0], *later]))
    assert received == given


def test_checkpoints_are_few_and_spread_over_a_long_sequence(moving_disc):
    tracker = load_tracker(RESOURCES / "static")
    session = tracker.start(moving_disc[0][0], moving_disc[1][0])
    checkpoints = Checkpoints()
    for index in range(1, 1000):
        checkpoints.offer(index, session, [1])
    kept = [checkpoint.index for checkpoint in checkpoints._kept]
    assert CHECKPOINTS // 2 <= len(kept) <= CHECKPOINTS and set(np.diff(kept)) == {128}
    assert checkpoints.before(500).index == 384 and len(checkpoints._kept) == 3


@pytest.mark.parametrize(
    ("frame", "number", "message"), [(1, 1, "at least one object on the first frame"), (8, 2, "prompt on frame 8")]
)
def test_prompts_that_do_not_fit_the_sequence_are_refused(tracker, moving_disc, prompts, frame, number, message):
    given = GivenPrompt(frame, number, prompts[0].prompt)
    with pytest.raises(InputError, match=message):
        run(tracker, moving_disc[0], [given] if frame == 1 else [prompts[0], given])
