"""Predictors are causal, beat holding still where motion repeats, and know how wrong they are."""

from __future__ import annotations

import numpy as np
import pytest

from cinetrack.errors import InputError
from cinetrack.motion_prediction import PREDICTORS, make_predictor
from cinetrack.phantom.traces import MOTION_CLASSES, draw_trace

RATE_HZ = 8.0


def breathing(seconds: float, noise_mm: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    times = np.arange(0, seconds, 1 / RATE_HZ)
    wave = 12 * np.sin(np.pi * times / 4.1) ** 2
    path = np.stack([wave, 0.3 * np.roll(wave, 2)], axis=-1)
    return times, path + np.random.default_rng(0).normal(0, noise_mm, path.shape)


def predictions(name: str, horizon_s: float, times: np.ndarray, path: np.ndarray):
    predictor = make_predictor(name, horizon_s, RATE_HZ)
    steps = [predictor.step(float(time), position) for time, position in zip(times, path, strict=True)]
    return np.stack([step.position_mm for step in steps]), np.stack([step.deviation_mm for step in steps])


def rms_error(name: str, horizon_s: float, times: np.ndarray, path: np.ndarray, noisy: np.ndarray) -> float:
    predicted, _ = predictions(name, horizon_s, times, noisy)
    late = (times > 15) & (times + horizon_s <= times[-1])
    truth = np.stack([np.interp(times + horizon_s, times, column) for column in path.T], axis=-1)
    return float(np.sqrt(np.mean(np.sum((predicted - truth)[late] ** 2, axis=1))))


@pytest.mark.parametrize("horizon_s", [0.1, 0.3, 0.6])
def test_regression_and_kalman_beat_holding_still_on_breathing(horizon_s):
    times, path = breathing(60)
    _, noisy = breathing(60, noise_mm=0.2)
    hold = rms_error("hold", horizon_s, times, path, noisy)
    assert rms_error("regression", horizon_s, times, path, noisy) < 0.4 * hold
    assert rms_error("kalman", horizon_s, times, path, noisy) < hold


@pytest.mark.parametrize("name", PREDICTORS)
def test_no_prediction_changes_with_what_comes_after_it(name):
    times, path = breathing(20, noise_mm=0.3)
    other = path.copy()
    other[100:] += 30.0
    before, _ = predictions(name, 0.3, times, path)
    after, _ = predictions(name, 0.3, times, other)
    assert np.array_equal(before[:100], after[:100])
    assert not np.array_equal(before[100:], after[100:])


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_target_at_rest_is_predicted_at_rest(name):
    times = np.arange(0, 30, 1 / RATE_HZ)
    predicted, _ = predictions(name, 0.4, times, np.full((len(times), 2), 3.0))
    assert predicted == pytest.approx(np.full_like(predicted, 3.0), abs=1e-6)


@pytest.mark.parametrize("name", ["regression", "hold"])
def test_the_stated_deviation_is_the_size_of_the_errors(name):
    times, path = breathing(90, noise_mm=0.3)
    predicted, deviation = predictions(name, 0.3, times, path)
    truth = np.stack([np.interp(times + 0.3, times, column) for column in path.T], axis=-1)
    late = (times > 30) & (times < times[-1] - 1)
    inside = np.abs(predicted - truth)[late] <= 2 * deviation[late]
    assert 0.9 < inside.mean() <= 1.0


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_lost_target_has_no_prediction_and_leaves_the_state_usable(name):
    times, path = breathing(30)
    path = path.copy()
    path[120:124] = np.nan
    predicted, _ = predictions(name, 0.3, times, path)
    assert np.isnan(predicted[120:124]).all()
    assert np.isfinite(predicted[124:]).all()


def test_after_a_pause_the_regression_holds_still_until_it_has_a_past_again():
    times, path = breathing(60)
    times = np.where(times > 30, times + 10, times)
    predicted, _ = predictions("regression", 0.3, times, path)
    first = int(np.argmax(times > 35))
    assert predicted[first : first + 8] == pytest.approx(path[first : first + 8])
    assert not np.allclose(predicted[-8:], path[-8:])


def test_kalman_follows_a_constant_speed():
    times = np.arange(0, 10, 1 / RATE_HZ)
    path = np.stack([4 * times, -2 * times], axis=-1)
    predicted, _ = predictions("kalman", 0.3, times, path)
    assert predicted[-1] == pytest.approx(path[-1] + 0.3 * np.array([4, -2]), abs=0.05)


def test_the_kalman_models_covariance_is_the_integral_of_its_noise():
    from cinetrack.motion_prediction.kalman import KalmanPredictor

    filter_ = KalmanPredictor(0.3, acceleration=10.0, fading_s=0.5)
    transition, added = filter_._model(1.0)
    twice, added_twice = filter_._model(2.0)
    assert transition @ transition == pytest.approx(twice)
    assert transition @ added @ transition.T + added == pytest.approx(added_twice)
    assert added[2, 2] == pytest.approx(100 * (1 - np.exp(-2 * 1.0 / 0.5)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("crystal ball", 0.3, 8.0), "expected one of regression, kalman, hold"),
        (("hold", -0.1, 8.0), "expected 0 to 2 s"),
        (("hold", 0.1, 0.0), "expected a positive number of Hz"),
    ],
)
def test_unusable_settings_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        make_predictor(*arguments)


@pytest.mark.parametrize("name", PREDICTORS)
def test_time_that_goes_backwards_is_refused(name):
    predictor = make_predictor(name, 0.2, 8.0)
    predictor.step(1.0, np.zeros(2))
    with pytest.raises(InputError, match="times that go forward"):
        predictor.step(1.0, np.zeros(2))


@pytest.mark.parametrize("motion_class", MOTION_CLASSES)
def test_a_phantom_trace_moves_and_is_the_same_for_the_same_seed(motion_class):
    first, second = (draw_trace(np.random.default_rng(3), motion_class, 30.0, 8.0) for _ in range(2))
    assert np.array_equal(first.position_mm, second.position_mm)
    assert first.position_mm.shape == (240, 2) and np.array_equal(first.position_mm[0], [0, 0])
    assert 0.5 < np.abs(first.position_mm).max() < 60


def test_an_unknown_motion_class_is_named():
    with pytest.raises(InputError, match="expected one of regular, irregular, pelvis, found jumping"):
        draw_trace(np.random.default_rng(0), "jumping", 10.0, 8.0)
