"""The breathing curve: breaths of changing size and length, a drifting exhale level, breath holds and their release."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cinetrack.phantom.parameters import MotionParameters

_STEP_S = 0.05


@dataclass(frozen=True, eq=False)
class BreathingCurve:
    """Lung filling over time: 0 at the first end of exhalation, about 1 at the end of a usual breath in."""

    times_s: np.ndarray
    filling: np.ndarray

    def __call__(self, times_s: np.ndarray) -> np.ndarray:
        """Filling at any times within the curve; of the times' shape."""
        return np.interp(times_s, self.times_s, self.filling)


def draw_breathing(rng: np.random.Generator, parameters: MotionParameters, duration_s: float) -> BreathingCurve:
    """Draw a curve from 2 s before to 1 s after a sequence of `duration_s`, so that lagging motion can look back."""
    times = np.arange(-2.0, duration_s + 1.0, _STEP_S)
    clock, hold = _breathing_clock(rng, parameters, times)
    spread = parameters.irregularity
    breath_count = int(np.ceil(clock[-1] / parameters.breathing_period_s * 2)) + 4
    periods = parameters.breathing_period_s * np.exp(np.clip(rng.normal(0, 0.7 * spread, breath_count), -0.6, 0.6))
    amplitudes = np.exp(np.clip(rng.normal(0, spread, breath_count), -0.9, 0.6))
    exhale_levels = np.cumsum(rng.normal(0, 0.25 * spread, breath_count)) * 0.5
    starts = np.concatenate([[0.0], np.cumsum(periods)])
    breath = np.clip(np.searchsorted(starts, clock, side="right") - 1, 0, breath_count - 1)
    phase = (clock - starts[breath]) / periods[breath]
    if hold is not None:  # the breath after a hold is deeper
        amplitudes[np.minimum(breath[hold] + 1, breath_count - 1)] *= rng.uniform(1.1, 1.5)
    # Breathing in takes less of the cycle than breathing out.
    skew = rng.uniform(0.75, 1.0)
    wave = np.sin(np.pi * phase**skew) ** (2 * parameters.dwell)
    next_level = np.append(exhale_levels[1:], exhale_levels[-1])
    level = exhale_levels[breath] + phase * (next_level - exhale_levels)[breath]
    filling = amplitudes[breath] * wave + level + parameters.drift_per_minute * times / 60
    if hold is not None:  # a held breath leaks
        end = times[hold] + parameters.breath_hold_s
        held = np.clip(times - times[hold], 0, parameters.breath_hold_s)
        filling = filling - 0.012 * held * filling[hold] * np.exp(-np.clip(times - end, 0, None) / 0.5)
    return BreathingCurve(times, filling)


def _breathing_clock(
    rng: np.random.Generator, parameters: MotionParameters, times: np.ndarray
) -> tuple[np.ndarray, int | None]:
    """Time as breathing counts it, which stands still while the breath is held, and the index of the hold's start."""
    clock = times - times[0] + rng.uniform(0, parameters.breathing_period_s)
    if parameters.breath_hold_s == 0:
        return clock, None
    start = rng.uniform(0.5, max(1.0, times[-1] - 0.7 * parameters.breath_hold_s))
    hold = int(np.searchsorted(times, start))
    clock = clock - np.clip(times - times[hold], 0, parameters.breath_hold_s)
    return clock, hold
