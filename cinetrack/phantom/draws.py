"""Draw a case's parameters: what was asked for is kept, the rest follows field strength, region and difficulty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cinetrack.errors import InputError
from cinetrack.phantom.body import PLANES
from cinetrack.phantom.parameters import (
    DIFFICULTIES,
    FIELD_STRENGTHS_T,
    REGIONS,
    AcquisitionParameters,
    CaseParameters,
    MotionParameters,
    TargetParameters,
)

# Largest displacement of the target by difficulty, mm: torso and pelvis.
PEAK_DISPLACEMENT_MM = {"easy": (2.0, 12.0), "middle": (5.0, 22.0), "hard": (10.0, 40.0)}
PELVIC_SHARE = 0.45
# What `largest_target_mm` may be: easy targets are drawn from 12 mm on, and none is larger than 90 mm.
LARGEST_TARGET_RANGE_MM = (15.0, 90.0)


@dataclass(frozen=True)
class PhantomRequest:
    """What the caller fixes; None is drawn. `randomised_share` of cases leave anatomy behind.

    Attributes:
        shape: (H, W) px.
        largest_target_mm: no target is larger, by the diameter of the circle of the same area.
    Raises:
        InputError: names the value that no case may have.
    """

    frames: int | None = None
    field_strength_t: float | None = None
    region: str | None = None
    difficulty: str | None = None
    shape: tuple[int, int] | None = None
    frame_rate_hz: float | None = None
    peak_displacement_mm: float | None = None
    largest_target_mm: float = LARGEST_TARGET_RANGE_MM[1]
    randomised_share: float = 0.0

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("field strength", self.field_strength_t, FIELD_STRENGTHS_T),
            ("region", self.region, REGIONS),
            ("difficulty", self.difficulty, DIFFICULTIES),
        ):
            if value is not None and value not in allowed:
                raise InputError(f"phantom {name}: expected one of {', '.join(map(str, allowed))}, found {value}")
        height, width = self.shape or (None, None)
        for name, value in (
            ("frames", self.frames),
            ("frame_rate_hz", self.frame_rate_hz),
            ("height_px", height),
            ("width_px", width),
        ):
            if value is not None:
                CaseParameters.check(name, value)
        if self.peak_displacement_mm is not None:
            MotionParameters.check("peak_displacement_mm", self.peak_displacement_mm)
        low, high = LARGEST_TARGET_RANGE_MM
        if not low <= self.largest_target_mm <= high:
            raise InputError(f"phantom largest target: expected {low} to {high} mm, found {self.largest_target_mm}")
        if not 0 <= self.randomised_share <= 1:
            raise InputError(f"phantom randomised share: expected 0 to 1, found {self.randomised_share}")


def draw_parameters(rng: np.random.Generator, request: PhantomRequest) -> CaseParameters:
    """Draw one case's parameters; the target's kind is still open ("") and its diameter a wish."""
    difficulty = request.difficulty or str(rng.choice(DIFFICULTIES))
    field = request.field_strength_t or float(rng.choice(FIELD_STRENGTHS_T, p=[0.6, 0.4]))
    region = request.region or str(rng.choice(REGIONS, p=[0.4, 0.45, 0.15]))
    low_field = field < 1
    rate = request.frame_rate_hz
    if rate is None:
        rate = float(rng.choice([4.0, 8.0], p=[0.75, 0.25]) if low_field else round(rng.uniform(1.3, 5), 2))
    shape = request.shape or _draw_shape(rng)
    frames = int(rng.integers(44, 249)) if request.frames is None else request.frames
    randomised = rng.random() < request.randomised_share
    plane = "random" if randomised else str(rng.choice(PLANES[region]))
    pelvic = region == "pelvis" and not randomised
    peak = request.peak_displacement_mm
    if peak is None:
        peak = float(rng.uniform(*PEAK_DISPLACEMENT_MM[difficulty])) * (PELVIC_SHARE if pelvic else 1.0)
    level = DIFFICULTIES.index(difficulty) / (len(DIFFICULTIES) - 1)
    return CaseParameters(
        difficulty=difficulty,
        region=region,
        plane=plane,
        mirrored=bool(rng.random() < 0.25),
        field_strength_t=field,
        frame_rate_hz=rate,
        frames=frames,
        height_px=shape[0],
        width_px=shape[1],
        target=_draw_target(rng, level, min(shape), request.largest_target_mm),
        motion=_draw_motion(rng, peak, level, pelvic, frames / rate),
        acquisition=_draw_acquisition(rng, level, low_field),
    )


def _draw_shape(rng: np.random.Generator) -> tuple[int, int]:
    if rng.random() < 0.6:
        side = int(rng.choice([270, 270, 350, 350, 320, 400, 240]))
        return side, side
    return int(rng.integers(125, 401)), int(rng.integers(125, 401))


def _draw_target(rng: np.random.Generator, level: float, shortest_side_px: int, largest_mm: float) -> TargetParameters:
    largest = min(80, 0.4 * shortest_side_px, largest_mm)
    diameter = float(np.exp(rng.uniform(np.log(8 + 4 * (1 - level)), np.log(largest))))
    sign = -1 if rng.random() < 0.6 else 1
    return TargetParameters(
        kind="",
        diameter_mm=diameter,
        contrast=sign * float(rng.uniform(0.22 - 0.14 * level, 0.38 - 0.2 * level)),
        border_softness_px=float(rng.uniform(0.6, 1.2 + 3.5 * level)),
        look_alikes=int(rng.integers(0, 1 + round(4 * level))),
        through_plane_mm=float(rng.uniform(0, 2 + 8 * level) if rng.random() < 0.3 + 0.5 * level else 0),
        hidden_s=float(rng.uniform(0.4, 2.5) if rng.random() < 0.3 * level else 0),
        cut_by_border=bool(rng.random() < 0.02 + 0.1 * level),
    )


def _draw_motion(
    rng: np.random.Generator, peak: float, level: float, pelvic: bool, duration_s: float
) -> MotionParameters:
    hold = rng.random() < 0.15 + 0.1 * level
    return MotionParameters(
        peak_displacement_mm=peak,
        breathing_period_s=float(rng.uniform(2.5, 6.5)),
        irregularity=float(rng.uniform(0.02, 0.12 + 0.25 * level)),
        drift_per_minute=float(np.clip(rng.normal(0, 0.05 + 0.2 * level), -0.8, 0.8)),
        dwell=float(rng.uniform(1, 3.2)),
        ap_share=float(rng.uniform(0.02, 0.45)),
        hysteresis_s=float(rng.uniform(0, 0.2 + 0.4 * level)),
        breath_hold_s=float(rng.uniform(3, 15)) if hold and duration_s > 6 else 0.0,
        cardiac_mm=float(rng.uniform(2, 6)),
        heart_rate_hz=float(rng.uniform(0.8, 1.9)),
        peristalsis_mm=float(rng.uniform(0, 1.5 + 3 * level)),
        elastic_mm=float(rng.uniform(0, min(0.4 + 1.2 * level, 0.15 * peak))),
        bulk_drift_mm=float(rng.uniform(0, 0.15) * peak),
        sudden_shift_mm=float(rng.uniform(0.1, 0.3) * peak) if rng.random() < 0.25 * level else 0.0,
        organ_shift_share=float(rng.uniform(0.4, 0.95))
        if pelvic
        else float(rng.uniform(0, 0.15) * (rng.random() < 0.3)),
        target_deformation=float(rng.uniform(0, 0.03 + 0.08 * level)),
    )


def _draw_acquisition(rng: np.random.Generator, level: float, low_field: bool) -> AcquisitionParameters:
    repetition = float(rng.uniform(2.0, 3.2) if low_field else rng.uniform(2.6, 4.2))
    return AcquisitionParameters(
        repetition_ms=repetition,
        echo_ms=repetition * 0.45,
        flip_deg=float(rng.uniform(50, 70) if low_field else rng.uniform(32, 55)),
        resolution_mm=float(rng.choice([3.5, 3.5, 2.4]) if low_field else rng.uniform(1.0, 1.7)),
        phase_encode_rows=bool(rng.random() < 0.3),
        partial_fourier=float(rng.choice([1.0, rng.uniform(0.62, 0.95)])),
        apodisation=float(rng.uniform(0, 0.9)),
        acquisition_share=float(rng.uniform(0.55, 1.0)),
        snr=float(rng.uniform(30 - 16 * level, 55 - 28 * level) * (0.75 if low_field else 1.0)),
        coil_bias=float(rng.uniform(0.1, 0.5) if low_field else rng.uniform(0.1, 0.75)),
        banding=float(rng.uniform(0.1, 0.75) if low_field else rng.uniform(0.2, 1.3)),
        intensity_drift=float(rng.uniform(-0.1, 0.1)),
        flicker=float(rng.uniform(0, 0.01 + 0.03 * level)),
        degraded_share=float(rng.uniform(0, 0.12 * level)) if rng.random() < 0.5 * level else 0.0,
        peak_intensity=float(np.exp(rng.uniform(np.log(120), np.log(3000)))),
    )
