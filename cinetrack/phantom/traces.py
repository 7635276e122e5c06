"""The path of a target over minutes without any image: the phantom's motion, followed at one point.

What predicts motion or gates a beam needs positions, not pictures; a trace of minutes is made in a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cinetrack.errors import InputError
from cinetrack.phantom.anatomy import MotionCentres
from cinetrack.phantom.motion import LARGEST_DIAPHRAGM_MM, Motion, scaled_to_peak
from cinetrack.phantom.movers import draw_motion
from cinetrack.phantom.parameters import MotionParameters

VIEW_SHAPE = (320, 320)  # px of 1 mm
MOTION_CLASSES = ("regular", "irregular", "pelvis")
_FRAMES_AT_ONCE = 256  # displacement grids held in memory


@dataclass(frozen=True, eq=False)
class TargetTrace:
    """Where a target is over time.

    Attributes:
        times_s: (T,), evenly spaced.
        position_mm: (T, 2), SI (towards the head) and AP, relative to the first frame.
    """

    times_s: np.ndarray
    position_mm: np.ndarray


def draw_trace(rng: np.random.Generator, motion_class: str, duration_s: float, rate_hz: float) -> TargetTrace:
    """Draw the path of one target.

    Args:
        motion_class: "regular" (breaths that differ by up to 10 % in size, no holds), "irregular" (breaths that differ
            by 20 to 37 %, a drifting exhale level, at times a breath hold or a sudden shift of the patient), or
            "pelvis" (little breathing; filling organs and gas, in part suddenly).
    Raises:
        InputError: there is no such class.
    """
    if motion_class not in MOTION_CLASSES:
        raise InputError(f"motion class: expected one of {', '.join(MOTION_CLASSES)}, found {motion_class}")
    rows, columns = VIEW_SHAPE
    dome = float(rng.uniform(0.35, 0.75)) * rows
    heart = (dome + 45.0, 0.4 * columns, 40.0)
    bowel = [(dome - float(rng.uniform(90, 160)), float(rng.uniform(0.2, 0.6)) * columns, 20.0) for _ in range(6)]
    pelvic = motion_class == "pelvis"
    centres = MotionCentres(dome, None if pelvic else heart, bowel, (40.0, 0.4 * columns, 30.0) if pelvic else None)
    parameters = _parameters(rng, motion_class)
    motion, _ = draw_motion(rng, parameters, centres, VIEW_SHAPE, duration_s)
    point = (dome - float(rng.uniform(10, 70)), float(rng.uniform(0.3, 0.7)) * columns)
    if pelvic:
        point = (float(rng.uniform(60, 100)), float(rng.uniform(0.4, 0.6)) * columns)
    times = np.arange(0.0, duration_s, 1 / rate_hz)
    # Every second is enough to find the scale: breaths last longer, and the peak is a wish, not a promise.
    scaled = scaled_to_peak(
        motion, point, times[:: max(1, round(rate_hz))], parameters.peak_displacement_mm, LARGEST_DIAPHRAGM_MM
    )
    path = _followed(scaled, point, times)
    return TargetTrace(times, path - path[0])


def _followed(motion: Motion, point: tuple[float, float], times: np.ndarray) -> np.ndarray:
    parts = range(0, len(times), _FRAMES_AT_ONCE)
    return np.concatenate([motion.follow(point, times[start : start + _FRAMES_AT_ONCE]) for start in parts])


def _parameters(rng: np.random.Generator, motion_class: str) -> MotionParameters:
    regular, pelvic = motion_class == "regular", motion_class == "pelvis"
    irregular = motion_class == "irregular"
    peak = float(rng.uniform(4, 12) if pelvic else rng.uniform(8, 25))
    return MotionParameters(
        peak_displacement_mm=peak,
        breathing_period_s=float(rng.uniform(2.8, 6.0)),
        irregularity=float(rng.uniform(0.02, 0.1) if not irregular else rng.uniform(0.2, 0.37)),
        drift_per_minute=float(rng.uniform(-0.4, 0.4)) if irregular else 0.0,
        dwell=float(rng.uniform(1, 3)),
        ap_share=float(rng.uniform(0.05, 0.45)),
        hysteresis_s=float(rng.uniform(0, 0.2 if regular else 0.5)),
        breath_hold_s=float(rng.uniform(5, 15)) if irregular and rng.random() < 0.3 else 0.0,
        cardiac_mm=0.0 if pelvic else float(rng.uniform(0, 3)),
        heart_rate_hz=float(rng.uniform(0.9, 1.5)),
        peristalsis_mm=float(rng.uniform(0, 1 if regular else 3)),
        elastic_mm=float(rng.uniform(0, 0.5)),
        bulk_drift_mm=0.0 if regular else float(rng.uniform(0, 3)),
        sudden_shift_mm=float(rng.uniform(1, 5)) if irregular and rng.random() < 0.3 else 0.0,
        organ_shift_share=float(rng.uniform(0.5, 0.9)) if pelvic else 0.0,
        target_deformation=0.0,
    )
