"""The stream against stock sam2's video predictor: same 8-bit frames, same weights, float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from stock_sam2 import stock_from_yaml, stock_propagate, stock_published, stock_state, write_frames

from cinetrack.tracking import BoxPrompt, Chain, MaskPrompt, PointPrompt
from cinetrack.tracking.evidence.sam2.architecture import build_network
from cinetrack.tracking.evidence.sam2.source import Sam2Source

TOLERANCE = 1e-3  # logits, float32
CPU = torch.device("cpu")


def sam2_from(folder: Path, config: str = "tracker.yaml", weights: Path | None = None, **options) -> Chain:
    """SAM2 alone, on whole frames as they are; `num_frames` of the sequence may be given."""
    return Chain("sam2", (Sam2Source.load(config, weights or folder / "tracker.pt", folder, CPU, **options),))


def streamed(chain: Chain, frames, prompt) -> list[np.ndarray]:
    session = chain.start(frames[0], prompt)
    logits = [np.stack([result.logits for result in session.results])]
    for frame in frames[1:]:
        session.step(frame)
        logits.append(np.stack([result.logits for result in session.results]))
    return logits


def assert_same(ours: list[np.ndarray], stock: dict[int, np.ndarray]) -> None:
    assert len(ours) == len(stock)
    for index, logits in enumerate(ours):
        np.testing.assert_allclose(logits, stock[index], atol=TOLERANCE, rtol=0, err_msg=f"frame {index}")
        assert ((logits > 0) == (stock[index] > 0)).all(), f"masks differ on frame {index}"


@pytest.mark.parametrize("bundle", ["default_bundle", "multimask_bundle"])
def test_logits_equal_stock_sam2_over_24_frames(bundle, request, drifting_series, tmp_path):
    folder = request.getfixturevalue(bundle)
    frames, masks = drifting_series
    stock = stock_from_yaml(folder / "tracker.yaml", folder / "tracker.pt")
    state = stock_state(stock, write_frames(tmp_path / "frames", frames))
    stock.add_new_mask(state, 0, 1, masks[0])
    expected = stock_propagate(stock, state)
    assert (expected[20] > 0).any()  # both tracking nothing would agree too
    assert_same(streamed(sam2_from(folder), frames, masks[0]), expected)


def test_a_sequence_shorter_than_the_pointer_memory_equals_stock_when_its_length_is_given(
    default_bundle, drifting_series, tmp_path
):
    frames, masks = drifting_series[0][:6], drifting_series[1]
    stock = stock_from_yaml(default_bundle / "tracker.yaml", default_bundle / "tracker.pt")
    state = stock_state(stock, write_frames(tmp_path / "frames", frames))
    stock.add_new_mask(state, 0, 1, masks[0])
    expected = stock_propagate(stock, state)
    assert_same(streamed(sam2_from(default_bundle, num_frames=6), frames, masks[0]), expected)


def test_several_targets_equal_stock(default_bundle, drifting_series, tmp_path):
    frames, masks = drifting_series[0][:8], drifting_series[1]
    second = np.roll(masks[0], (-20, 15), axis=(0, 1))
    stock = stock_from_yaml(default_bundle / "tracker.yaml", default_bundle / "tracker.pt")
    state = stock_state(stock, write_frames(tmp_path / "frames", frames))
    stock.add_new_mask(state, 0, 1, masks[0])
    stock.add_new_mask(state, 0, 2, second)
    expected = stock_propagate(stock, state)
    prompts = [MaskPrompt(masks[0]), MaskPrompt(second)]
    assert_same(streamed(sam2_from(default_bundle, num_frames=8), frames, prompts), expected)


@pytest.mark.parametrize("bundle", ["default_bundle", "multimask_bundle"])
@pytest.mark.parametrize("kind", ["box", "point"])
def test_box_and_point_prompts_equal_stock(bundle, kind, request, drifting_series, tmp_path):
    folder = request.getfixturevalue(bundle)
    frames = drifting_series[0][:4]
    stock = stock_from_yaml(folder / "tracker.yaml", folder / "tracker.pt")
    state = stock_state(stock, write_frames(tmp_path / "frames", frames))
    if kind == "box":
        stock.add_new_points_or_box(state, 0, 1, box=[20, 30, 55, 66])  # x, y
        prompt = BoxPrompt(top=30, left=20, bottom=66, right=55)
    else:
        stock.add_new_points_or_box(state, 0, 1, points=[[38.0, 48.0]], labels=[1])
        prompt = PointPrompt(points=((48.0, 38.0),), positive=(True,))
    expected = stock_propagate(stock, state)
    assert_same(streamed(sam2_from(folder, num_frames=4), frames, prompt), expected)


@pytest.mark.parametrize("kind", ["mask", "box", "points"])
def test_a_later_prompt_equals_stock_that_keeps_corrected_frames_as_prompted_ones(
    kind, multimask_bundle, drifting_series, tmp_path
):
    frames, masks = drifting_series[0][:9], drifting_series[1]
    stock = stock_from_yaml(
        multimask_bundle / "tracker.yaml", multimask_bundle / "tracker.pt", add_all_frames_to_correct_as_cond=True
    )
    state = stock_state(stock, write_frames(tmp_path / "frames", frames))
    stock.add_new_mask(state, 0, 1, masks[0])
    stock_propagate(stock, state, 0, 4)
    if kind == "mask":
        stock.add_new_mask(state, 4, 1, masks[4])
        prompt = MaskPrompt(masks[4])
    elif kind == "box":
        stock.add_new_points_or_box(state, 4, 1, box=[22, 28, 54, 68])
        prompt = BoxPrompt(top=28, left=22, bottom=68, right=54)
    else:
        stock.add_new_points_or_box(state, 4, 1, points=[[38.0, 48.0], [5.0, 5.0]], labels=[1, 0])
        prompt = PointPrompt(points=((48.0, 38.0), (5.0, 5.0)), positive=(True, False))
    expected = stock_propagate(stock, state, 4, 4)

    session = sam2_from(multimask_bundle, num_frames=9).start(frames[0], masks[0])
    for frame in frames[1:5]:
        session.step(frame)
    corrected = session.correct(prompt)
    np.testing.assert_allclose(corrected.logits, expected[4][0], atol=TOLERANCE, rtol=0)
    for index in range(5, 9):
        np.testing.assert_allclose(session.step(frames[index]).logits, expected[index][0], atol=TOLERANCE, rtol=0)


def test_two_clicks_in_turn_on_a_later_frame_equal_stock(multimask_bundle, drifting_series, tmp_path):
    frames, masks = drifting_series[0][:7], drifting_series[1]
    stock = stock_from_yaml(
        multimask_bundle / "tracker.yaml", multimask_bundle / "tracker.pt", add_all_frames_to_correct_as_cond=True
    )
    state = stock_state(stock, write_frames(tmp_path / "frames", frames))
    stock.add_new_mask(state, 0, 1, masks[0])
    stock_propagate(stock, state, 0, 4)
    stock.add_new_points_or_box(state, 4, 1, points=[[38.0, 48.0]], labels=[1])
    stock.add_new_points_or_box(state, 4, 1, points=[[12.0, 70.0]], labels=[0], clear_old_points=False)
    expected = stock_propagate(stock, state, 4, 2)

    session = sam2_from(multimask_bundle, num_frames=7).start(frames[0], masks[0])
    for frame in frames[1:5]:
        session.step(frame)
    session.correct(PointPrompt(points=((48.0, 38.0),), positive=(True,)))
    both = PointPrompt(points=((48.0, 38.0), (70.0, 12.0)), positive=(True, False))
    np.testing.assert_allclose(session.correct(both).logits, expected[4][0], atol=TOLERANCE, rtol=0)
    for index in (5, 6):
        np.testing.assert_allclose(session.step(frames[index]).logits, expected[index][0], atol=TOLERANCE, rtol=0)


@pytest.mark.slow
def test_a_published_configuration_with_metas_checkpoint_format_equals_stock(drifting_series, tmp_path):
    # Meta's files hold {"model": state_dict}; the weights here are random, the architecture is SAM2.1-Small's.
    torch.manual_seed(0)
    checkpoint = tmp_path / "sam2.1_hiera_small.pt"
    network = build_network("sam2.1_hiera_s.yaml", tmp_path)
    network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.data.fill_(3.0)  # else "absent" hides every mask
    torch.save({"model": network.state_dict()}, checkpoint)
    frames, masks = drifting_series[0][:3], drifting_series[1]
    stock = stock_published("sam2.1_hiera_s.yaml", checkpoint)
    state = stock_state(stock, write_frames(tmp_path / "frames", frames))
    stock.add_new_mask(state, 0, 1, masks[0])
    expected = stock_propagate(stock, state)
    assert np.ptp(expected[2]) > 0
    chain = sam2_from(tmp_path, "sam2.1_hiera_s.yaml", checkpoint, num_frames=3)
    assert_same(streamed(chain, frames, masks[0]), expected)
