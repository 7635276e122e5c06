"""What every method owes: causality, constant memory, several targets, corrections, clear refusals."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from cinetrack import load_model
from cinetrack.errors import InputError
from cinetrack.tracking import BoxPrompt, MaskPrompt, PointPrompt
from cinetrack.tracking.evidence.sam2.image_transform import mask_to_tensor
from cinetrack.tracking.postprocessing.fill_holes import fill_holes

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
BUNDLES = ["default", "registration", "static"]


@pytest.fixture(scope="module", params=BUNDLES)
def model(request):
    return load_model(RESOURCES / request.param, "cpu")


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def run(model, frames, prompt) -> list[np.ndarray]:
    session = model.start(frames[0], prompt)
    return [session.results[0].mask] + [session.step(frame).mask for frame in frames[1:]]


def test_the_prompted_frames_mask_is_the_given_one(model, drifting_series):
    frames, masks = drifting_series
    np.testing.assert_array_equal(model.start(frames[0], masks[0]).results[0].mask, masks[0])


def test_results_have_the_frames_shape_and_type(model, drifting_series):
    frames, masks = drifting_series
    result = model.start(frames[0], masks[0]).step(frames[1])
    assert result.mask.shape == result.logits.shape == (96, 80)
    assert result.mask.dtype == bool and result.logits.dtype == np.float32
    np.testing.assert_array_equal(result.mask, fill_holes(result.logits > 0))
    assert isinstance(result.object_score, float) and isinstance(result.predicted_iou, float)


def test_a_mask_does_not_depend_on_later_frames(model, drifting_series):
    frames, masks = drifting_series
    other_future = np.concatenate([frames[:6], frames[5:0:-1]])
    for ours, theirs in zip(run(model, frames[:6], masks[0]), run(model, other_future, masks[0])[:6], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_frames_gain_and_offset_do_not_matter(model, drifting_series):
    frames, masks = drifting_series
    scaled = frames.astype(np.float64) * 37.0 + 1000.0
    for ours, theirs in zip(run(model, frames[:5], masks[0]), run(model, scaled[:5], masks[0]), strict=True):
        assert dice(ours, theirs) > 0.999


def test_two_sessions_of_one_model_do_not_disturb_each_other(model, drifting_series):
    frames, masks = drifting_series
    alone = run(model, frames[:5], masks[0])
    first, second = model.start(frames[0], masks[0]), model.start(frames[9], masks[9])
    for t in range(1, 5):
        second.step(frames[9 + t])
        np.testing.assert_array_equal(first.step(frames[t]).mask, alone[t])


def test_sessions_of_one_model_run_side_by_side_in_threads(model, drifting_series):
    frames, masks = drifting_series
    shown = [(frames[:6], masks[0]), (frames[5::-1], masks[5])]

    def tracked(number: int) -> list[tuple[np.ndarray, float]]:
        session = model.start(shown[number][0][0], shown[number][1])
        results = [session.step(frame) for frame in shown[number][0][1:]]
        return [(result.logits, result.predicted_iou) for result in results]

    alone = [tracked(0), tracked(1)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(tracked, (0, 1)))
    for expected, found in zip(alone, together, strict=True):
        for (logits, iou), (other_logits, other_iou) in zip(expected, found, strict=True):
            # To rounding: another thread's arrays lie elsewhere in memory.
            np.testing.assert_allclose(other_logits, logits, rtol=0, atol=1e-3)
            np.testing.assert_allclose(other_iou, iou, rtol=0, atol=1e-4)


def test_copies_of_a_session_go_on_in_threads(model, drifting_series):
    frames, masks = drifting_series
    session = model.start(frames[0], masks[0])
    session.step(frames[1])

    def tracked(twin) -> list[np.ndarray]:
        return [twin.step(frame).logits for frame in frames[2:6]]

    expected = tracked(session.copy())
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(tracked, [session.copy() for _ in range(4)]):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_a_copied_session_goes_on_exactly_as_the_original_whatever_happens_to_the_other(model, drifting_series):
    frames, masks = drifting_series
    original = model.start(frames[0], [MaskPrompt(masks[0]), MaskPrompt(np.roll(masks[0], (-22, 14), axis=(0, 1)))])
    for frame in frames[1:4]:
        original.step(frame)
    twin = original.copy()
    expected = [[r.logits for r in original.results] for frame in frames[4:8] if original.step(frame) is not None]
    original.correct(MaskPrompt(np.roll(masks[7], 9, axis=0)))
    for frame, logits in zip(frames[4:8], expected, strict=True):
        twin.step(frame)
        for result, wanted in zip(twin.results, logits, strict=True):
            np.testing.assert_array_equal(result.logits, wanted)


def test_several_targets_are_tracked_as_each_would_be_alone(model, drifting_series):
    frames, masks = drifting_series
    second = np.roll(masks[0], (-22, 14), axis=(0, 1))
    session = model.start(frames[0], [MaskPrompt(masks[0]), MaskPrompt(second)])
    alone = [run(model, frames[:4], mask) for mask in (masks[0], second)]
    for t in range(1, 4):
        session.step(frames[t])
        for target in (0, 1):
            np.testing.assert_array_equal(session.results[target].mask, alone[target][t])


def test_a_correction_holds_from_its_frame_on(model, drifting_series):
    frames, masks = drifting_series
    session = model.start(frames[0], np.roll(masks[0], (-25, 12), axis=(0, 1)))  # outlined in the wrong place
    for frame in frames[1:5]:
        session.step(frame)
    np.testing.assert_array_equal(session.correct(MaskPrompt(masks[4])).mask, masks[4])
    # SAM2 weighs the correction against the wrong first outline, which it was told to trust as well.
    assert dice(session.step(frames[5]).mask, masks[5]) > 0.5


def test_arrays_are_masks_for_corrections_and_later_targets_too(model, drifting_series):
    frames, masks = drifting_series
    session = model.start(frames[0], masks[0])
    session.step(frames[1])
    np.testing.assert_array_equal(session.correct(masks[1].astype(np.uint8)).mask, masks[1])
    np.testing.assert_array_equal(session.add_target(masks[1]).mask, masks[1])
    for call in (session.correct, session.add_target):
        for wrong, message in ((masks[1][1:], "pixels"), (np.zeros_like(masks[1]), "no pixel"), ("box", "found str")):
            with pytest.raises(InputError, match=message):
                call(wrong)
    assert len(session.results) == 2


def test_a_target_added_later_joins_the_results(model, drifting_series):
    frames, masks = drifting_series
    session = model.start(frames[0], np.roll(masks[0], (-25, 12), axis=(0, 1)))
    session.step(frames[1])
    session.add_target(MaskPrompt(masks[1]))
    session.step(frames[2])
    assert len(session.results) == 2
    assert dice(session.results[1].mask, masks[2]) > 0.75


def test_a_frame_that_is_constant_or_not_finite_does_not_stop_the_stream(model, drifting_series):
    frames, masks = drifting_series
    session = model.start(frames[0].astype(np.float32), masks[0])
    blank = np.zeros_like(frames[0])
    broken = frames[2].astype(np.float32)
    broken[10:20] = np.nan
    for frame in (blank, broken, np.full(broken.shape, np.inf, np.float32)):
        assert np.isfinite(session.step(frame).logits).all()


@pytest.mark.parametrize(
    ("frame", "prompt", "message"),
    [
        (np.zeros((96, 80, 3)), np.ones((96, 80), bool), r"\(H, W\)"),
        (np.zeros((96, 80)), np.ones((80, 96), bool), r"\(96, 80\)"),
        (np.zeros((96, 80)), np.zeros((96, 80), bool), "no pixel set"),
        (np.zeros((96, 80)), np.full((96, 80), 3), "binary"),
        (np.zeros((96, 80)), [], "at least one target"),
        (np.zeros((96, 80)), None, "found NoneType"),
        (np.zeros((96, 80)), [[1, 2]], "found list"),
        ([[0, 1], [1, 0]], np.ones((2, 2), bool), "found list"),
    ],
)
def test_an_unusable_start_is_refused(model, frame, prompt, message):
    with pytest.raises(InputError, match=message):
        model.start(frame, prompt)


@pytest.mark.parametrize("target", [1, -1])
def test_a_correction_of_no_target_is_refused(model, target, drifting_series):
    session = model.start(drifting_series[0][0], drifting_series[1][0])
    with pytest.raises(InputError, match="from 0 to 0"):
        session.correct(MaskPrompt(drifting_series[1][0]), target)


def test_results_are_the_callers_to_change(model, drifting_series):
    frames, masks = drifting_series
    expected = run(model, frames[:4], masks[0])
    given = masks[0].copy()
    session = model.start(frames[0], given)
    given[:] = False
    for result in session.results:
        result.mask[:], result.logits[:] = False, -9
    for t in range(1, 4):
        result = session.step(frames[t])
        np.testing.assert_array_equal(result.mask, expected[t])
        result.mask[:], result.logits[:] = True, 9


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (7, 5), (15, 200), (97, 16)])
def test_frames_of_any_size_are_tracked(model, shape):
    rng = np.random.default_rng(1)
    frames, mask = rng.integers(0, 999, (4, *shape)).astype(np.uint16), np.zeros(shape, bool)
    mask[: shape[0] // 2 + 1, : shape[1] // 2 + 1] = True
    for result in run(model, frames, mask):
        assert result.shape == shape


def test_a_target_of_one_pixel_still_prompts_a_model_of_a_smaller_input():
    mask = np.zeros((450, 450), bool)
    mask[200, 220] = True
    prompt = mask_to_tensor(mask, 256, torch.device("cpu"))
    assert 1 <= prompt.sum() <= 4


def test_a_frame_of_another_shape_is_refused(model, drifting_series):
    session = model.start(drifting_series[0][0], drifting_series[1][0])
    with pytest.raises(InputError, match=r"\(96, 80\)"):
        session.step(np.zeros((80, 96)))


@pytest.mark.parametrize("prompt", [BoxPrompt(1, 2, 30, 40), PointPrompt(((5, 5),), (True,))])
@pytest.mark.parametrize("bundle", ["registration", "static"])
def test_methods_without_a_decoder_refuse_boxes_and_points(bundle, prompt, drifting_series):
    with pytest.raises(InputError, match=f"{bundle}.*expected a mask prompt"):
        load_model(RESOURCES / bundle, "cpu").start(drifting_series[0][0], prompt)


def test_a_box_outside_the_frame_is_refused(default_bundle, drifting_series):
    with pytest.raises(InputError, match="within the frame"):
        load_model(default_bundle, "cpu").start(drifting_series[0][0], BoxPrompt(10, 10, 200, 20))


def test_registration_follows_a_rigid_shift_to_a_fraction_of_a_pixel(drifting_series):
    frames, masks = drifting_series
    session = load_model(RESOURCES / "registration", "cpu").start(frames[0], masks[0])
    for frame, truth in zip(frames[1:], masks[1:], strict=True):
        assert dice(session.step(frame).mask, truth) > 0.93


def test_the_memory_bank_forgets_what_no_later_frame_reads(default_bundle, drifting_series):
    frames, masks = drifting_series
    session = load_model(default_bundle, "cpu").start(frames[0], masks[0])
    for frame in np.tile(frames, (2, 1, 1))[1:40]:
        session.step(frame)
    remembered = session._tracked[0].target._shares[0].memory._bank.output_dict
    assert list(remembered["cond_frame_outputs"]) == [0]
    assert list(remembered["non_cond_frame_outputs"]) == list(range(24, 40))  # 16 object pointers


@pytest.mark.slow
@pytest.mark.parametrize("bundle", BUNDLES)
def test_a_thousand_frames_grow_the_process_by_less_than_20_mb(bundle, drifting_series):
    frames, masks = drifting_series
    session = load_model(RESOURCES / bundle, "cpu").start(frames[0], masks[0])
    process = psutil.Process()
    for t in range(1, 1000):
        session.step(frames[t % 24])
        if t == 50:
            gc.collect()
            settled = process.memory_info().rss
    gc.collect()
    assert process.memory_info().rss - settled < 20e6
