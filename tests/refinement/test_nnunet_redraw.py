"""nnU-Net as the paper's second stage: it redraws each mask from the last frames and the tracker's masks of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nnunet_model_folder import drifting_disc

from cinetrack.refinement.refiner import Refiner
from cinetrack.tracking import Chain, MaskPrompt
from cinetrack.tracking.evidence.outline import OutlineSource
from cinetrack.tracking.postprocessing.fill_holes import FillHoles, fill_holes
from cinetrack.tracking.postprocessing.nnunet_redraw import NnunetRedraw
from cinetrack.tracking.stabilisation.stabiliser import Stabiliser

SPACING_MM = (2.0, 1.4)


@pytest.fixture(scope="module")
def refiner(mha_model) -> Refiner:
    """Of a model that was taught on a format with spacing."""
    return Refiner.load(mha_model, tile_step_size=0.5, mirroring=False, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def series() -> tuple[np.ndarray, np.ndarray]:
    return drifting_disc(6, (90, 83))


def registration(*steps) -> Chain:
    return Chain("registration", (OutlineSource(),), Stabiliser(("flexible",)), steps)


def test_each_target_is_redrawn_from_its_own_last_masks_before_they_were_redrawn(refiner, series):
    frames, masks = series
    targets = [masks[0], np.roll(masks[0], 12, axis=1)]
    session = registration(NnunetRedraw(refiner), FillHoles()).start(frames[0], targets, SPACING_MM)
    tracking = registration().start(frames[0], targets)
    by_hand = [refiner.start(frames[0], target, SPACING_MM) for target in targets]
    for frame in frames[1:]:
        session.step(frame)
        tracking.step(frame)
        for found, tracked, redrawing in zip(session.results, tracking.results, by_hand, strict=True):
            expected = fill_holes(redrawing.step(frame, tracked.mask))
            np.testing.assert_array_equal(found.mask, expected)
            # Those before post-processing; OpenCV rounds the last digit by where an array begins in memory.
            np.testing.assert_allclose(found.logits, tracked.logits, rtol=1e-5, atol=1e-5)
            assert (found.mask != tracked.mask).any()
    assert session.seconds["nnunet redraw"] > 0


def test_the_spacing_is_handed_on(refiner, series):
    frames, masks = series
    near, far = (
        registration(NnunetRedraw(refiner)).start(frames[0], masks[0], spacing).step(frames[1]).mask
        for spacing in ((1.0, 1.0), SPACING_MM)
    )
    assert (near != far).any()


def test_a_given_mask_is_not_redrawn_and_a_correction_fills_the_window_anew(refiner, series):
    frames, masks = series
    session = registration(NnunetRedraw(refiner)).start(frames[0], masks[0])
    np.testing.assert_array_equal(session.results[0].mask, masks[0])
    session.step(frames[1])
    np.testing.assert_array_equal(session.correct(MaskPrompt(masks[1])).mask, masks[1])
    tracked = registration().start(frames[0], masks[0])
    tracked.step(frames[1])
    tracked.correct(MaskPrompt(masks[1]))
    by_hand = refiner.start(frames[1], masks[1])
    for frame in frames[2:4]:
        expected = by_hand.step(frame, tracked.step(frame).mask)
        np.testing.assert_array_equal(session.step(frame).mask, expected)


def test_a_copied_session_goes_on_by_itself(refiner, series):
    frames, masks = series
    session, straight = (registration(NnunetRedraw(refiner)).start(frames[0], masks[0]) for _ in range(2))
    session.step(frames[1])
    twin = session.copy()
    twin.step(frames[5])
    twin.correct(MaskPrompt(masks[5]))
    twin.step(frames[4])
    for frame in frames[1:4]:
        straight.step(frame)
    session.step(frames[2])
    np.testing.assert_array_equal(session.step(frames[3]).mask, straight.results[0].mask)
