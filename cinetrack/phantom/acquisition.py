"""From the moving anatomy to a scanner's frame: native k-space sampling, noise, shading, bands, spoilt frames.

A frame's phase-encoding lines are acquired one after another, so each third of them sees the anatomy at its own time.
The magnitude image of the native matrix (Rician noise, ringing, zero-filled partial Fourier) is then interpolated to
the 1 mm pixels of the dataset.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import scipy.fft

from cinetrack.phantom.parameters import AcquisitionParameters
from cinetrack.phantom.smooth_fields import smooth_field
from cinetrack.phantom.tissue import PulseSequence, banding_profile

SEGMENTS = 3


@dataclass(frozen=True)
class Spoiling:
    """How one frame is spoilt: noise multiplied, share of ghost lines' signal lost, signal loss."""

    noise: float = 1.0
    ghost: float = 0.0
    loss: float = 0.0


@dataclass(frozen=True, eq=False)
class Scanner:
    """The fixed part of a case's imaging.

    Attributes:
        shading: (H, W) complex64, coil sensitivity and slowly varying phase.
        precession: (H, W) float32 off-resonance precession per repetition, rad; drifts with the gantry.
        weights: (n_rows, n_columns) complex64, what k-space is multiplied with: lines left out, taper, half-pixel
            shift.
        segment_of_line: (n_phase_encodes,) which third of the frame's time a line belongs to.
    """

    parameters: AcquisitionParameters
    field_strength_t: float
    shading: np.ndarray
    precession: np.ndarray
    weights: np.ndarray
    segment_of_line: np.ndarray
    cubic: bool

    def frame(
        self, moments: list[np.ndarray], time_share: float, gain: float, spoiling: Spoiling, rng: np.random.Generator
    ) -> np.ndarray:
        """Acquire one frame.

        Args:
            moments: one image (H, W) float32, signal with fat = 1, for a still anatomy, or SEGMENTS of them over the
                acquisition's time.
            time_share: how much of the sequence has passed, 0 to 1; moves the dark bands.
        Returns:
            (H, W) float32 magnitude, fat about 1 times `gain`.
        """
        field = self.shading * self._bands(time_share)
        rows, columns = self.weights.shape
        spaces = [_low_frequencies(scipy.fft.fft2(image * field, workers=1), rows, columns) for image in moments]
        space = spaces[0]
        if len(spaces) > 1:
            line = self.segment_of_line[:, None] if self.parameters.phase_encode_rows else self.segment_of_line[None]
            space = np.choose(np.broadcast_to(line, space.shape), spaces)
        scale = np.float32(rows * columns / moments[0].size)
        deviation = spoiling.noise / self.parameters.snr * np.sqrt(rows * columns)
        noise = rng.standard_normal((2, rows, columns), dtype=np.float32)
        space = space * scale * np.float32(gain * (1 - spoiling.loss)) + np.float32(deviation) * (
            noise[0] + 1j * noise[1]
        )
        if spoiling.ghost:
            axis_lines = space if self.parameters.phase_encode_rows else space.T
            axis_lines[::2] *= np.float32(1 - spoiling.ghost)
        image = np.abs(scipy.fft.ifft2(space * self.weights, workers=1)).astype(np.float32)
        method = cv2.INTER_CUBIC if self.cubic else cv2.INTER_LINEAR
        height, width = moments[0].shape
        return np.maximum(cv2.resize(image, (width, height), interpolation=method), 0)

    def _bands(self, time_share: float) -> np.ndarray:
        sequence = pulse_sequence(self.parameters)
        phases = np.linspace(-4 * np.pi, 4 * np.pi, 512)
        profile = banding_profile(phases, self.field_strength_t, sequence)
        moved = self.precession[::4, ::4] * (1 + 0.1 * time_share)
        coarse = np.interp(moved, phases, profile).astype(np.float32)
        return cv2.resize(coarse, self.precession.shape[::-1], interpolation=cv2.INTER_LINEAR)


def pulse_sequence(parameters: AcquisitionParameters) -> PulseSequence:
    """The pulse sequence's timing alone."""
    return PulseSequence(parameters.repetition_ms, parameters.echo_ms, parameters.flip_deg)


def draw_scanner(
    rng: np.random.Generator, parameters: AcquisitionParameters, field_strength_t: float, view_shape: tuple[int, int]
) -> Scanner:
    """Draw shading, off-resonance and sampling for images of `view_shape` (H, W) px of 1 mm."""
    rows, columns = (max(16, round(side / parameters.resolution_mm)) for side in view_shape)
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in view_shape)
    # Array coils lie in front of and behind the patient: bright surfaces, a darker middle.
    tilt = rng.uniform(-0.5, 0.5)
    across = (
        np.abs(x[None] + 0.3 * tilt) ** 2 * rng.uniform(0.2, 1.2)
        + 0.5 * tilt * x[None]
        - rng.uniform(0.1, 0.8) * y[:, None] ** 2
    )
    shading = np.exp(parameters.coil_bias * (across + 0.4 * smooth_field(rng, view_shape, 0.6 * max(view_shape))))
    phase = (
        0.6 * smooth_field(rng, view_shape, 0.5 * max(view_shape))
        + rng.uniform(-1, 1) * y[:, None]
        + rng.uniform(-1, 1) * x[None]
    )
    centre = rng.uniform(-0.3, 0.3, 2)
    radius = (y[:, None] - centre[0]) ** 2 + 0.6 * (x[None] - centre[1]) ** 2
    precession = (
        np.pi * parameters.banding * (0.75 * radius + 0.25 * smooth_field(rng, view_shape, 0.35 * max(view_shape)))
    )

    lines = rows if parameters.phase_encode_rows else columns
    frequency = np.arange(lines) - lines // 2
    acquired = frequency >= -lines // 2 + round((1 - parameters.partial_fourier) * lines)
    # Lines are acquired from one edge of k-space to the other, its centre in the middle of the frame's time.
    segment = np.clip((frequency + lines // 2) * SEGMENTS // lines, 0, SEGMENTS - 1)
    weights = np.outer(_edge_taper(rows, parameters.apodisation), _edge_taper(columns, parameters.apodisation))
    weights = weights * (acquired[:, None] if parameters.phase_encode_rows else acquired[None])
    weights = (
        weights * _half_pixel_shift(rows, view_shape[0])[:, None] * _half_pixel_shift(columns, view_shape[1])[None]
    )
    return Scanner(
        parameters,
        field_strength_t,
        (shading * np.exp(1j * phase)).astype(np.complex64),
        precession.astype(np.float32),
        np.fft.ifftshift(weights).astype(np.complex64),
        np.fft.ifftshift(segment),
        bool(rng.random() < 0.5),
    )


def _low_frequencies(space: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The (rows, columns) lowest frequencies of a k-space in FFT order, in FFT order."""
    rows, columns = min(rows, space.shape[0]), min(columns, space.shape[1])
    r = np.fft.ifftshift(np.arange(rows) - rows // 2)
    c = np.fft.ifftshift(np.arange(columns) - columns // 2)
    return space[np.ix_(r, c)].astype(np.complex64)


def _edge_taper(lines: int, apodisation: float) -> np.ndarray:
    """1 in the middle of k-space, falling as a cosine to 1 - apodisation at its edges; (lines,)."""
    distance = np.abs(np.arange(lines) - lines // 2) / (lines / 2)
    return 1 - apodisation * 0.5 * (1 - np.cos(np.pi * np.clip(distance, 0, 1)))


def _half_pixel_shift(lines: int, pixels: int) -> np.ndarray:
    """Phase that puts the native pixels' centres where interpolation between pixel areas expects them.

    The FFT's first native and first fine pixel share a centre; areas share an edge. The difference is (pixels / lines -
    1) / 2 fine pixels.
    """
    shift = (pixels / lines - 1) / 2
    return np.exp(2j * np.pi * (np.arange(lines) - lines // 2) * shift / pixels)
