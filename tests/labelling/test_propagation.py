"""Prompts on any frames are carried through; resuming gives what starting over would."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from cinetrack import load_model
from cinetrack.errors import InputError
from cinetrack.labelling.given_prompts import GivenPrompt
from cinetrack.labelling.propagation import CHECKPOINTS, Checkpoints, propagate
from cinetrack.labelling.segmenters import ClassicalSegmenter, Sam2Segmenter, grabcut
from cinetrack.tracking import BoxPrompt, Chain, MaskPrompt, PointPrompt
from cinetrack.tracking.evidence.outline import OutlineSource
from cinetrack.tracking.evidence.sam2.source import Sam2Target

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
GRABCUT = ClassicalSegmenter("grabcut", grabcut)


@pytest.fixture(scope="module", params=["default", "registration", "static"])
def chain(request):
    return load_model(RESOURCES / request.param, "cpu").chain


@pytest.fixture(scope="module")
def prompts(moving_disc):
    other = np.zeros((72, 56), bool)
    other[5:14, 40:50] = True
    return [GivenPrompt(0, 1, MaskPrompt(moving_disc[1][0])), GivenPrompt(0, 2, MaskPrompt(other))]


def run(chain, frames, prompts, **options):
    return list(propagate(chain, GRABCUT, frames, (1.5, 1.0), prompts, **options))


def assert_same(ours, theirs):
    assert [frame.index for frame in ours] == [frame.index for frame in theirs]
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.objects, other.objects)
        np.testing.assert_array_equal(one.object_scores, other.object_scores)


def test_every_frame_gets_all_objects_and_the_first_the_given_masks(chain, moving_disc, prompts):
    found = run(chain, moving_disc[0], prompts)
    assert [frame.index for frame in found] == list(range(8))
    for number, given in enumerate(prompts, 1):
        np.testing.assert_array_equal(found[0].objects == number, given.prompt.mask)
    assert all(set(np.unique(frame.objects)) == {0, 1, 2} for frame in found)


def test_an_object_is_tracked_as_without_the_other(chain, moving_disc, prompts):
    both, alone = run(chain, moving_disc[0], prompts), run(chain, moving_disc[0], prompts[:1])
    for one, other in zip(both, alone, strict=True):
        assert ((one.objects == 1) != (other.objects == 1)).sum() == 0


@pytest.mark.parametrize(
    "correction",
    [BoxPrompt(22, 18, 44, 40), PointPrompt(((33.0, 28.0),), (True,)), "mask"],
    ids=["box", "points", "mask"],
)
def test_resuming_at_a_correction_gives_what_starting_over_gives(chain, moving_disc, prompts, correction):
    frames, masks = moving_disc
    checkpoints = Checkpoints()
    before = run(chain, frames, prompts, checkpoints=checkpoints)
    prompt = MaskPrompt(masks[4]) if correction == "mask" else correction
    corrected = [*prompts, GivenPrompt(4, 1, prompt)]
    over = run(chain, frames, corrected)
    resumed = run(chain, frames, corrected, checkpoints=checkpoints, resume_before=4)
    assert 0 < resumed[0].index <= 4
    assert_same(resumed, over[resumed[0].index :])
    assert_same(over[:4], before[:4])  # the past stays
    # A second correction, later, starts from the first one's checkpoints.
    twice = [*corrected, GivenPrompt(6, 2, MaskPrompt(np.roll(prompts[1].prompt.mask, 3, axis=0)))]
    again = run(chain, frames, twice, checkpoints=checkpoints, resume_before=6)
    assert_same(again, run(chain, frames, twice)[again[0].index :])


def test_a_mask_given_on_a_later_frame_is_that_frames_mask(chain, moving_disc, prompts):
    ring = moving_disc[1][4].copy()
    ring[33:35, 27:29] = False  # a hole that someone left on purpose
    found = run(chain, moving_disc[0], [*prompts, GivenPrompt(4, 1, MaskPrompt(ring))])
    np.testing.assert_array_equal(found[4].objects == 1, ring)


def test_a_correction_draws_a_lost_target_back(chain, moving_disc, prompts):
    frames, masks = moving_disc
    wrong = [GivenPrompt(0, 1, MaskPrompt(np.roll(masks[0], 20, axis=1)))]
    found = run(chain, frames, [*wrong, GivenPrompt(4, 1, BoxPrompt(24, 18, 44, 38))])
    assert (found[4].objects == 1)[masks[4]].mean() > 0.8


def test_a_new_object_may_start_on_a_later_frame(chain, moving_disc, prompts):
    frames, masks = moving_disc
    found = run(chain, frames, [prompts[0], GivenPrompt(3, 2, BoxPrompt(4, 38, 16, 52))])
    assert all((frame.objects == 2).any() == (frame.index >= 3) for frame in found)
    assert all(math.isnan(frame.object_scores[1]) for frame in found[:3])


def test_sam2_that_knows_boxes_is_given_them_as_they_are(moving_disc, prompts, monkeypatch):
    chain = load_model(RESOURCES / "training/sam2-mini", "cpu").chain  # SAM2 on whole frames as they are
    received = []
    prompt_target = Sam2Target.prompt
    monkeypatch.setattr(
        Sam2Target, "prompt", lambda self, view, prompt: received.append(prompt) or prompt_target(self, view, prompt)
    )
    given = [BoxPrompt(20, 16, 40, 36), PointPrompt(((30.0, 26.0), (2.0, 2.0)), (True, False))]
    later = [GivenPrompt(3, 1, prompt) for prompt in given]
    list(propagate(chain, Sam2Segmenter(chain), moving_disc[0], (1.5, 1.0), [prompts[0], *later]))
    assert received[1:] == given and isinstance(received[0], MaskPrompt)


def test_the_spacing_reaches_post_processing(moving_disc, prompts):
    class Spacings:
        name, given = "spacings", []

        def start(self, frame, mask, spacing_mm):
            self.given.append(spacing_mm)
            return self

        def step(self, frame, mask):
            return mask

        def copy(self):
            return self

    chain = Chain("static", (OutlineSource(),), postprocessing=(Spacings(),))
    later = GivenPrompt(3, 1, MaskPrompt(moving_disc[1][3]))
    run(chain, moving_disc[0], [*prompts, later])
    assert Spacings.given == [(1.5, 1.0)] * 3


def test_checkpoints_are_few_and_spread_over_a_long_sequence(moving_disc):
    session = load_model(RESOURCES / "static").start(moving_disc[0][0], moving_disc[1][0])
    checkpoints = Checkpoints()
    for index in range(1, 1000):
        checkpoints.offer(index, session, [1])
    kept = [checkpoint.index for checkpoint in checkpoints._kept]
    assert CHECKPOINTS // 2 <= len(kept) <= CHECKPOINTS and set(np.diff(kept)) == {128}
    assert checkpoints.before(500).index == 384 and len(checkpoints._kept) == 3


@pytest.mark.parametrize(
    ("frame", "number", "message"), [(1, 1, "at least one object on the first frame"), (8, 2, "prompt on frame 8")]
)
def test_prompts_that_do_not_fit_the_sequence_are_refused(chain, moving_disc, prompts, frame, number, message):
    given = GivenPrompt(frame, number, prompts[0].prompt)
    with pytest.raises(InputError, match=message):
        run(chain, moving_disc[0], [given] if frame == 1 else [prompts[0], given])
