"""Clips as the tracker will be shown frames: in a target's surroundings, and with the motion taken out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from tiny import disc_case, write_disc_dataset
from training.dataset.transforms import ComposeAPI, ToTensorAPI
from training.dataset.vos_sampler import RandomUniformSampler

from cinetrack.evaluation.dice import dice_coefficients
from cinetrack.finetuning.clip_dataset import case_clips, phantom_clips
from cinetrack.finetuning.clip_view import ClipView
from cinetrack.sequence.intensity import min_max_8bit

PLAIN = [ComposeAPI([ToTensorAPI()])]


def drifting_clip(seed: int, drift_px: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """(5, 150, 130) frames of tissue that drifts to the right, and two targets on it."""
    rng = np.random.default_rng(seed)
    tissue = ndimage.gaussian_filter(rng.normal(size=(150, 170)), 3)
    frames, masks = [], []
    rows, columns = np.mgrid[:150, :170]
    for t in range(5):
        window = np.s_[:, 30 - drift_px * t : 160 - drift_px * t]
        frames.append((1000 * tissue[window]).astype(np.int16))
        discs = [np.hypot(rows - row, columns - column) < 10 for row, column in ((60, 80), (100, 110))]
        masks.append(np.stack([disc[window] for disc in discs]))
    return np.stack(frames), np.stack(masks)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(64, 100))
def test_a_region_is_a_part_of_the_clip_that_holds_a_whole_target(seed, side_px):
    frames, masks = drifting_clip(1, drift_px=0)
    view = ClipView(region_px=(side_px, side_px))
    cut, cut_masks = view.of(frames, masks, np.random.default_rng(seed))
    assert cut.shape == (5, side_px, side_px) and cut_masks.shape == (5, 2, side_px, side_px)
    places = np.lib.stride_tricks.sliding_window_view(frames[0], cut.shape[1:])
    ((row, column),) = np.argwhere((places == cut[0]).all(axis=(2, 3)))
    window = np.s_[..., row : row + side_px, column : column + side_px]
    np.testing.assert_array_equal(cut, frames[window])
    np.testing.assert_array_equal(cut_masks, masks[window])
    assert (cut_masks[0].sum(axis=(1, 2)) == masks[0].sum(axis=(1, 2))).any()


def test_every_target_comes_to_be_the_middle_of_a_region():
    frames, masks = drifting_clip(1)
    view = ClipView(region_px=(64, 64))
    cuts = {view.of(frames, masks, np.random.default_rng(seed))[0].tobytes() for seed in range(20)}
    assert len(cuts) == 2


def test_stabilising_holds_targets_still():
    frames, masks = drifting_clip(2)
    assert dice_coefficients(masks[4], masks[0]).max() < 0.4
    stabilised, stabilised_masks = ClipView(stabilise=True).of(frames, masks, np.random.default_rng(0))
    np.testing.assert_array_equal(stabilised[0], frames[0])
    for t in range(5):
        assert dice_coefficients(stabilised_masks[t], masks[0]).min() > 0.93


def test_phantom_clips_are_cut_and_stabilised_from_the_configuration():
    view = {"stabilise": True, "region_px": [64, 80]}
    sampler = RandomUniformSampler(3, 1)
    clips = phantom_clips(4, [150, 160], {"displacement_px": [8, 16]}, sampler, PLAIN, 3, view)
    for index in range(4):
        picture = clips[index].frames[0].data
        assert picture.shape[0] == 3 and 64 <= min(picture.shape[1:]) <= 160
        assert torch.equal(clips[index].frames[1].data, clips[index].frames[1].data)  # by seed and index alone
    stabilised = [_largest_change(clips[index]) for index in range(4)]
    moving = phantom_clips(4, [150, 160], {"displacement_px": [8, 16]}, sampler, PLAIN, 3)
    assert np.mean(stabilised) < np.mean([_largest_change(moving[index]) for index in range(4)])


def test_cases_on_disk_are_cut_from_the_same_frames(tmp_path):
    write_disc_dataset(tmp_path / "data", 1)
    view = {"stabilise": False, "region_px": [64, 64]}
    patients = [case.name for case in (tmp_path / "data").iterdir()]
    clips = case_clips([str(tmp_path / "data")], [], patients, str(tmp_path / "cache"), 1, RandomUniformSampler(3, 3),
                       PLAIN, 5, view)  # fmt: skip
    series, masks = disc_case(0)
    datapoint = clips[0]
    whole = [min_max_8bit(frame) for frame in series]
    assert datapoint.frames[0].data.shape[1:] == (64, 56)  # of 72 x 56
    shown = (datapoint.frames[0].data[0] * 255).round().numpy().astype(int)
    candidates = [min_max_8bit(frame[top : top + 64]) for frame in whole for top in range(9)]
    assert any((candidate.astype(int) == shown).all() for candidate in candidates)
    assert all(0 < int(frame.objects[0].segment.sum()) <= masks.sum(axis=(1, 2)).max() for frame in datapoint.frames)


@pytest.mark.parametrize("size", [60, 64])
def test_a_clip_smaller_than_the_region_stays_whole(size):
    frames = np.random.default_rng(0).integers(0, 900, (3, size, size)).astype(np.uint16)
    masks = np.zeros((3, 1, size, size), bool)
    masks[:, 0, 20:30, 20:30] = True
    cut, cut_masks = ClipView(region_px=(96, 128)).of(frames, masks, np.random.default_rng(0))
    np.testing.assert_array_equal(cut, frames)
    np.testing.assert_array_equal(cut_masks, masks)


def _largest_change(datapoint) -> float:
    first = datapoint.frames[0].data
    return max(float((frame.data - first).abs().mean()) for frame in datapoint.frames[1:])
