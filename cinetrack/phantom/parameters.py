"""Everything that is drawn for a case, with the range each number is held to.

Parameters are plain frozen data: they are written beside the case as phantom.json, and evaluation can stratify by any
of them. What comes from a random generator and not from here (outlines, textures, the instants of events) is reproduced
by the seed alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple, get_type_hints

from cinetrack.errors import InputError

DIFFICULTIES = ("easy", "middle", "hard")
REGIONS = ("thorax", "abdomen", "pelvis")
FIELD_STRENGTHS_T = (0.35, 1.5)
SMALLEST_SIDE_PX, LARGEST_SIDE_PX = 125, 400


class Within(NamedTuple):
    """The range of a field's value, in its annotation: `snr: Annotated[float, Within(8, 80)]`."""

    low: float
    high: float


def ranges_of(parameters: type) -> dict[str, Within]:
    """Field -> range, of the fields that have one."""
    hints = get_type_hints(parameters, include_extras=True)
    return {
        name: extra
        for name, hint in hints.items()
        for extra in getattr(hint, "__metadata__", ())
        if isinstance(extra, Within)
    }


class Ranged:
    """A dataclass that holds its fields to the `Within` of their annotations."""

    def __post_init__(self) -> None:
        for name in ranges_of(type(self)):
            self.check(name, getattr(self, name))

    @classmethod
    def check(cls, name: str, value: float) -> None:
        """Raise InputError where `value` is outside the range of the field `name`."""
        low, high = ranges_of(cls)[name]
        if not low <= value <= high:
            raise InputError(f"phantom {name}: expected {low} to {high}, found {value}")


@dataclass(frozen=True)
class TargetParameters(Ranged):
    """What is tracked.

    Attributes:
        kind: an organ's name, "<host>_lesion", or "shape" where anatomy is left behind.
        diameter_mm: of the circle of the same area, at rest and uncut.
        contrast: the lesion's signal less its host's, in units of fat's signal; 0 for an organ.
        border_softness_px: half width of the border's ramp.
        look_alikes: lesions of much the same look nearby.
        through_plane_mm: how far breathing carries a lesion out of the slice.
        hidden_s: how long a lesion leaves the slice altogether, once; 0 for never.
        cut_by_border: placed across the image's border.
    """

    kind: str
    diameter_mm: Annotated[float, Within(8, 90)]
    contrast: Annotated[float, Within(-1.3, 1.3)]
    border_softness_px: Annotated[float, Within(0.5, 5)]
    look_alikes: Annotated[int, Within(0, 4)]
    through_plane_mm: Annotated[float, Within(0, 12)]
    hidden_s: Annotated[float, Within(0, 3)]
    cut_by_border: bool


@dataclass(frozen=True)
class MotionParameters(Ranged):
    """How the anatomy moves.

    Attributes:
        peak_displacement_mm: the target's largest distance from where it is on the first frame. Where that would take
            an unphysical diaphragm, the case's own trace says what was reached.
        irregularity: relative deviation from breath to breath of amplitude and period.
        drift_per_minute: of the end-exhale level, in breath amplitudes.
        dwell: how long exhalation rests; 1 is a sine.
        ap_share, hysteresis_s: front-to-back motion as a share of head-to-feet motion, and its lag.
        breath_hold_s: length of a breath hold; 0 for none.
        elastic_mm: deviation of a smooth random warp that comes and goes with breathing.
        bulk_drift_mm, sudden_shift_mm: of the whole body, over the sequence and at one instant.
        organ_shift_share: of the displacement, what filling and gas bring, in part suddenly, rather than breathing.
        target_deformation: relative change of the target's own axes.
    """

    peak_displacement_mm: Annotated[float, Within(0, 40)]
    breathing_period_s: Annotated[float, Within(2, 8)]
    irregularity: Annotated[float, Within(0, 0.4)]
    drift_per_minute: Annotated[float, Within(-0.8, 0.8)]
    dwell: Annotated[float, Within(1, 4)]
    ap_share: Annotated[float, Within(0, 0.5)]
    hysteresis_s: Annotated[float, Within(0, 0.6)]
    breath_hold_s: Annotated[float, Within(0, 20)]
    cardiac_mm: Annotated[float, Within(0, 6)]
    heart_rate_hz: Annotated[float, Within(0.8, 1.9)]
    peristalsis_mm: Annotated[float, Within(0, 5)]
    elastic_mm: Annotated[float, Within(0, 3)]
    bulk_drift_mm: Annotated[float, Within(0, 6)]
    sudden_shift_mm: Annotated[float, Within(0, 12)]
    organ_shift_share: Annotated[float, Within(0, 1)]
    target_deformation: Annotated[float, Within(0, 0.12)]


@dataclass(frozen=True)
class AcquisitionParameters(Ranged):
    """How the scanner sees it.

    Attributes:
        repetition_ms, echo_ms, flip_deg: of the pulse sequence.
        resolution_mm: native pixel, before the resampling to 1 mm.
        phase_encode_rows: phase encoding runs along the rows' direction, else along the columns'.
        partial_fourier: share of phase-encoding lines acquired.
        apodisation: 0 leaves the k-space edge sharp (ringing), 1 tapers it fully.
        acquisition_share: share of the frame's time in which lines are acquired.
        snr: fat's signal over the noise's deviation, in native pixels.
        coil_bias: depth of the receive coils' shading.
        banding: precession at the image's edge, in units of pi; 1 is the middle of a dark band.
        intensity_drift, flicker: relative, over the sequence and from frame to frame.
        degraded_share: share of frames spoilt as by gantry rotation.
        peak_intensity: stored value of fat.
    """

    repetition_ms: Annotated[float, Within(1.5, 5)]
    echo_ms: Annotated[float, Within(0.7, 2.5)]
    flip_deg: Annotated[float, Within(30, 75)]
    resolution_mm: Annotated[float, Within(1.0, 3.5)]
    phase_encode_rows: bool
    partial_fourier: Annotated[float, Within(0.6, 1)]
    apodisation: Annotated[float, Within(0, 1)]
    acquisition_share: Annotated[float, Within(0.4, 1)]
    snr: Annotated[float, Within(8, 80)]
    coil_bias: Annotated[float, Within(0, 0.8)]
    banding: Annotated[float, Within(0, 1.6)]
    intensity_drift: Annotated[float, Within(-0.15, 0.15)]
    flicker: Annotated[float, Within(0, 0.05)]
    degraded_share: Annotated[float, Within(0, 0.2)]
    peak_intensity: Annotated[float, Within(100, 4000)]


@dataclass(frozen=True)
class CaseParameters(Ranged):
    """One case. `plane` is right, middle or left of the body, or coronal; "random" where anatomy is left behind."""

    difficulty: str
    region: str
    plane: str
    mirrored: bool  # the patient's front at the last column instead of the first
    field_strength_t: Annotated[float, Within(0.35, 1.5)]
    frame_rate_hz: Annotated[float, Within(1, 8)]
    frames: Annotated[int, Within(1, 5000)]
    height_px: Annotated[int, Within(SMALLEST_SIDE_PX, LARGEST_SIDE_PX)]
    width_px: Annotated[int, Within(SMALLEST_SIDE_PX, LARGEST_SIDE_PX)]
    target: TargetParameters
    motion: MotionParameters
    acquisition: AcquisitionParameters
