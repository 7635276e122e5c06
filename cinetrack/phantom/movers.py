"""What moves in a body: breathing, heart, bowel, filling organs, and the patient as a whole, as `Mover`s."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from cinetrack.phantom.anatomy import MotionCentres
from cinetrack.phantom.breathing import BreathingCurve, draw_breathing
from cinetrack.phantom.motion import Curve, Motion, Mover, grid_positions, grid_shape
from cinetrack.phantom.parameters import MotionParameters
from cinetrack.phantom.smooth_fields import smooth_field

PERISTALSIS_GROUPS = 3


def draw_motion(
    rng: np.random.Generator,
    parameters: MotionParameters,
    centres: MotionCentres,
    view_shape: tuple[int, int],
    duration_s: float,
) -> tuple[Motion, BreathingCurve]:
    """Draw a case's motion, with breathing of 1 mm at the dome; see `motion.scaled_to_peak`.

    Args:
        centres: in pixels of the field of view.
        duration_s: until the end of the last frame.
    """
    breathing = draw_breathing(rng, parameters, duration_s)
    movers = [
        *_breathing_movers(rng, parameters, centres, view_shape, breathing),
        *_body_movers(rng, parameters, view_shape, duration_s),
        *_organ_movers(rng, parameters, centres, view_shape, duration_s),
    ]
    return Motion(tuple(movers), view_shape), breathing


def breathing_profile(rng: np.random.Generator, rows: np.ndarray, diaphragm_row: float) -> np.ndarray:
    """Share of the diaphragm's excursion by row: 1 at the dome, falling off towards the apex and the pelvis."""
    above = np.exp(-((np.clip(rows - diaphragm_row, 0, None) / rng.uniform(95, 170)) ** 1.6))
    below = 1 / (1 + (np.clip(diaphragm_row - rows, 0, None) / rng.uniform(150, 300)) ** 2)
    return above * below


def _breathing_movers(
    rng: np.random.Generator,
    parameters: MotionParameters,
    centres: MotionCentres,
    view_shape: tuple[int, int],
    breathing: BreathingCurve,
) -> list[Mover]:
    rows, columns = grid_positions(view_shape)
    share = 1.0 - parameters.organ_shift_share
    profile = share * breathing_profile(rng, rows, centres.diaphragm_row) * (0.85 + 0.3 * columns / view_shape[1])
    lag = parameters.hysteresis_s
    front = np.exp(-((columns / (0.45 * view_shape[1])) ** 2))
    belly = np.exp(-(((rows - centres.diaphragm_row + 90) / 130) ** 2)) * front
    push = rng.uniform(0.15, 0.4)
    elastic = _vector(smooth_field(rng, grid_shape(view_shape), 7), smooth_field(rng, grid_shape(view_shape), 7))
    wander = _vector(smooth_field(rng, grid_shape(view_shape), 8), smooth_field(rng, grid_shape(view_shape), 8))
    return [
        Mover(_vector(-profile, 0 * profile), None, breathing, scalable=True),
        Mover(_vector(0 * profile, -parameters.ap_share * profile), None, lambda t: breathing(t - lag), scalable=True),
        # The belly's wall rises and the viscera behind it follow it part of the way.
        Mover(
            _vector(0 * belly, -0.5 * push * share * belly),
            _vector(0 * belly, -push * share * belly),
            breathing,
            scalable=True,
        ),
        Mover(parameters.elastic_mm * elastic, None, breathing),
        Mover(0.5 * parameters.elastic_mm * wander, None, _slow_curve(rng, breathing.times_s[-1])),
    ]


def _body_movers(
    rng: np.random.Generator, parameters: MotionParameters, view_shape: tuple[int, int], duration_s: float
) -> list[Mover]:
    ones = np.ones(grid_shape(view_shape), dtype=np.float32)
    movers = []
    if parameters.bulk_drift_mm:
        angle = rng.uniform(0, 2 * np.pi)
        drift = parameters.bulk_drift_mm * _vector(np.sin(angle) * ones, np.cos(angle) * ones)
        movers.append(Mover(drift, drift, _slow_curve(rng, duration_s)))
    if parameters.sudden_shift_mm:
        rows, columns = grid_positions(view_shape)
        angle, tilt = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.015)
        shift = parameters.sudden_shift_mm * _vector(np.sin(angle) * ones, np.cos(angle) * ones)
        shift = shift + tilt * _vector(columns - view_shape[1] / 2 + 0 * rows, view_shape[0] / 2 - rows + 0 * columns)
        movers.append(Mover(shift, shift, _step(rng.uniform(0.25, 0.85) * duration_s, rng.uniform(0.15, 0.6))))
    return movers


def _organ_movers(
    rng: np.random.Generator,
    parameters: MotionParameters,
    centres: MotionCentres,
    view_shape: tuple[int, int],
    duration_s: float,
) -> list[Mover]:
    movers = []
    if centres.heart is not None and parameters.cardiac_mm:
        rate, phase = parameters.heart_rate_hz, rng.uniform(0, 2 * np.pi)
        squeeze = parameters.cardiac_mm * _away_from(centres.heart, view_shape)
        movers.append(Mover(squeeze, None, lambda t: np.cos(2 * np.pi * rate * t + phase) * 0.5))
    if centres.bowel and parameters.peristalsis_mm:
        for group in range(PERISTALSIS_GROUPS):
            loops = centres.bowel[group::PERISTALSIS_GROUPS]
            field = sum((_push(loop, rng.uniform(0, 2 * np.pi), view_shape) for loop in loops), np.zeros(1, np.float32))
            if loops:
                movers.append(Mover(0.4 * parameters.peristalsis_mm * field, None, _wave(rng, 0.03, 0.12)))
    if parameters.organ_shift_share:
        share = parameters.organ_shift_share
        if centres.bladder is not None:
            movers.append(
                Mover(0.3 * share * _away_from(centres.bladder, view_shape), None, lambda t: t / duration_s, True)
            )
        mover = centres.rectum or (centres.diaphragm_row - 150.0, view_shape[1] / 2, 30.0)
        wide = (mover[0], mover[1], max(55.0, 2 * mover[2]))
        push = share * _push(wide, rng.normal(np.pi, 0.6), view_shape)
        movers.append(Mover(push, None, _step(rng.uniform(0.15, 0.8) * duration_s, rng.uniform(0.5, 6.0)), True))
        movers.append(Mover(0.5 * push, None, _wave(rng, 0.02, 0.1), True))
    return movers


def _vector(row: np.ndarray, column: np.ndarray) -> np.ndarray:
    return np.stack(np.broadcast_arrays(row, column), axis=-1).astype(np.float32)


def _bump(centre: tuple[float, float, float], view_shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A Gaussian hill of the centre's radius, and the offsets from it as shares of the radius."""
    rows, columns = grid_positions(view_shape)
    radius = max(centre[2], 1.5 * (rows[1, 0] - rows[0, 0]))  # the grid cannot hold anything narrower
    dy, dx = (rows - centre[0]) / radius, (columns - centre[1]) / radius
    return np.exp(-(dy**2 + dx**2) / 2), dy, dx


def _away_from(centre: tuple[float, float, float], view_shape: tuple[int, int]) -> np.ndarray:
    hill, dy, dx = _bump(centre, view_shape)
    return _vector(hill * dy, hill * dx)


def _push(centre: tuple[float, float, float], angle: float, view_shape: tuple[int, int]) -> np.ndarray:
    hill, _, _ = _bump(centre, view_shape)
    return _vector(hill * np.sin(angle), hill * np.cos(angle))


def _step(at_s: float, duration_s: float) -> Curve:
    def curve(times: np.ndarray) -> np.ndarray:
        x = np.clip((times - at_s) / duration_s, 0, 1)
        return x * x * (3 - 2 * x)

    return curve


def _wave(rng: np.random.Generator, slowest_hz: float, fastest_hz: float) -> Curve:
    rates, phases = rng.uniform(slowest_hz, fastest_hz, 2), rng.uniform(0, 2 * np.pi, 2)
    return lambda times: 0.5 * sum(np.sin(2 * np.pi * r * times + p) for r, p in zip(rates, phases, strict=True))


def _slow_curve(rng: np.random.Generator, duration_s: float) -> Curve:
    """A random drift that starts at 0 and reaches about 1."""
    nodes = np.linspace(0, max(duration_s, 1.0), 5)
    values = np.concatenate([[0.0], np.cumsum(rng.normal(0, 1, 4))])
    values = values / max(1.0, np.abs(values).max())
    smooth = PchipInterpolator(nodes, values)  # it does not overshoot
    return lambda times: smooth(np.clip(times, 0, nodes[-1]))
