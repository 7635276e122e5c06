"""A refining session: causal, the same as building each window by hand, constant in memory, robust to odd frames."""

from __future__ import annotations

import numpy as np
import psutil
import pytest
import torch
from nnunet_model_folder import drifting_disc
from stock_nnunet import stock_labels, stock_predictor

from cinetrack.errors import InputError
from cinetrack.refinement.refiner import Refiner
from cinetrack.sequence.intensity import min_max_8bit

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def refiner(model_folder) -> Refiner:
    return Refiner.load(model_folder, tile_step_size=0.5, device=CPU)


def test_streaming_gives_what_nnunet_gives_on_windows_built_from_the_whole_sequence(refiner, model_folder):
    frames, tracked = drifting_disc(8, (72, 56))
    images = np.stack([min_max_8bit(frame) for frame in frames]).astype(np.float32)
    predictor = stock_predictor(model_folder)
    session = refiner.start(frames[0], tracked[0])
    for t in range(1, 8):
        refined = session.step(frames[t], tracked[t])
        shown = [max(0, i) for i in range(t - 4, t + 1)]
        channels = np.stack([c for i in shown for c in (images[i], tracked[i].astype(np.float32))])
        assert refined.dtype == np.bool_
        np.testing.assert_array_equal(refined, stock_labels(predictor, channels) > 0)


def test_a_later_frame_changes_nothing_before_it(refiner):
    frames, tracked = drifting_disc(6, (50, 70))
    changed = frames.copy()
    changed[4:] = changed[4:, ::-1]
    results = []
    for series in (frames, changed):
        session = refiner.start(series[0], tracked[0])
        results.append([session.step(series[t], tracked[t]) for t in range(1, 6)])
    for t in range(3):
        np.testing.assert_array_equal(results[0][t], results[1][t])
    assert (results[0][3] != results[1][3]).any()


def test_sessions_of_one_refiner_do_not_disturb_each_other(refiner):
    first, second = drifting_disc(3, (50, 70), seed=1), drifting_disc(3, (64, 64), seed=2)
    alone = refiner.start(first[0][0], first[1][0])
    expected = [alone.step(first[0][t], first[1][t]) for t in (1, 2)]
    a, b = refiner.start(first[0][0], first[1][0]), refiner.start(second[0][0], second[1][0])
    for t in (1, 2):
        b.step(second[0][t], second[1][t])
        np.testing.assert_array_equal(a.step(first[0][t], first[1][t]), expected[t - 1])


def test_an_empty_mask_and_a_constant_frame_are_refined_like_any_other(refiner, model_folder):
    frames, tracked = drifting_disc(3, (50, 70))
    session = refiner.start(frames[0], tracked[0])
    assert session.step(frames[1], np.zeros((50, 70), bool)).shape == (50, 70)
    assert session.step(np.full((50, 70), 7.0), tracked[2]).shape == (50, 70)


def test_a_stream_of_nothing_but_black_does_not_stop_it(refiner):
    black, empty = np.zeros((50, 70), np.uint16), np.zeros((50, 70), bool)
    assert refiner.start(black, empty).step(black, empty).dtype == np.bool_


def test_raw_intensity_of_any_scale_and_type_gives_the_same_mask(refiner):
    frames, tracked = drifting_disc(2, (50, 70))
    expected = refiner.start(frames[0], tracked[0]).step(frames[1], tracked[1])
    scaled = frames.astype(np.float64) * 4 - 1000
    np.testing.assert_array_equal(refiner.start(scaled[0], tracked[0]).step(scaled[1], tracked[1]), expected)


def test_a_frame_of_another_size_is_refused(refiner):
    frames, tracked = drifting_disc(1, (50, 70))
    session = refiner.start(frames[0], tracked[0])
    with pytest.raises(InputError, match=r"frame to refine: expected \(50, 70\) pixels, found \(70, 50\)"):
        session.step(frames[0].T, tracked[0].T)


def test_memory_does_not_grow_with_the_stream(refiner):
    frames, tracked = drifting_disc(10, (64, 64))
    session = refiner.start(frames[0], tracked[0])
    process = psutil.Process()
    for t in range(30):
        session.step(frames[t % 10], tracked[t % 10])
    before = process.memory_info().rss
    for t in range(150):
        session.step(frames[t % 10], tracked[t % 10])
    grown_mb = (process.memory_info().rss - before) / 1e6
    assert grown_mb < 3, "150 kept windows would be 25 MB"
