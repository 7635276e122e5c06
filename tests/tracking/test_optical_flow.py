"""The two flows: against OpenCV's own preset, and against a motion that is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage
from stub_sources import registration

from cinetrack.bundle import find_bundle
from cinetrack.evaluation.dice import dice_coefficients
from cinetrack.phantom.case import draw_case
from cinetrack.phantom.dataset import case_generator
from cinetrack.phantom.draws import PhantomRequest
from cinetrack.tracking.stabilisation.optical_flow import FLOWS, FlowSearch, pixel_grid, sampled


@pytest.fixture(scope="module")
def moved_tissue() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two (160, 144) uint8 frames of tissue, the second moved smoothly by up to 6 px, and the flow between them."""
    rng = np.random.default_rng(5)
    tissue = ndimage.gaussian_filter(rng.normal(size=(160, 144)), 2.5).astype(np.float32)
    tissue = 110 + 30 * tissue / tissue.std()
    flow = np.stack([ndimage.gaussian_filter(rng.normal(size=tissue.shape), 25) for _ in range(2)], axis=-1)
    flow = (6 * flow / np.abs(flow).max()).astype(np.float32)
    moved = sampled(tissue, pixel_grid(tissue.shape) + flow, cv2.INTER_CUBIC)
    return tissue, moved, flow


def as_frames(*images: np.ndarray, noise: float, seed: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.clip(image + rng.normal(0, noise, image.shape), 0, 255).astype(np.uint8) for image in images]


def error_px(flow: str, reference: np.ndarray, latest: np.ndarray, truth: np.ndarray) -> float:
    search = FlowSearch(reference, FLOWS[flow])
    found = search.search(search.prepared(latest), search.prepared(reference), None)
    return float(np.hypot(*np.moveaxis(found - truth, -1, 0))[16:-16, 16:-16].mean())


def test_the_baseline_registers_by_opencvs_medium_preset(moved_tissue):
    tissue, moved, _ = moved_tissue
    reference, latest = as_frames(tissue, moved, noise=10)
    [flow] = find_bundle("registration").method.stabilisation.flows
    search = FlowSearch(reference, FLOWS[flow])
    prepared = search.prepared(latest), search.prepared(reference)
    preset = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*prepared, None)
    np.testing.assert_array_equal(search.search(*prepared, None), preset)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_known_motion_is_found_to_a_fraction_of_a_pixel(flow, moved_tissue):
    tissue, moved, truth = moved_tissue
    reference, latest = as_frames(tissue, moved, noise=1)
    assert error_px(flow, reference, latest, truth) < 0.3


def test_outlines_follow_noisy_anatomy_better_by_the_smooth_flow():
    request = PhantomRequest(frames=10, difficulty="middle", frame_rate_hz=2.0)
    gains = []
    for number in (1, 2, 3, 4):
        drawn = draw_case(case_generator(72002, number), request)
        shown = drawn.masks[1:, 0].any(axis=(1, 2))
        dice = []
        for flow in ("smooth", "flexible"):
            session = registration(flow).start(drawn.frames[0], drawn.masks[0, 0])
            masks = np.stack([session.step(frame).mask for frame in drawn.frames[1:]])
            dice.append(dice_coefficients(masks[shown], drawn.masks[1:, 0][shown]).mean())
        gains.append(dice[0] - dice[1])
    assert np.mean(gains) > 0.001


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_does_not_depend_on_what_was_searched_for_before(name, moved_tissue):
    tissue, moved, _ = moved_tissue
    reference, latest, other = as_frames(tissue, moved, moved[:, ::-1], noise=10)
    search = FlowSearch(reference, FLOWS[name])
    reference, latest, other = map(search.prepared, (reference, latest, other))
    first = search.search(latest, reference, None)
    going_on = search.search(other, reference, first)
    np.testing.assert_array_equal(search.search(latest, reference, None), first)
    np.testing.assert_array_equal(search.search(other, reference, first), going_on)
