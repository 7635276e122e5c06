"""The scanner's model: nothing moves, noise is Rician, lines left out blur, spoilt frames differ."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from cinetrack.phantom.acquisition import SEGMENTS, Spoiling, draw_scanner
from cinetrack.phantom.draws import PhantomRequest, draw_parameters

SHAPE = (150, 126)
GOOD = Spoiling()
PLAIN = replace(
    draw_parameters(np.random.default_rng(0), PhantomRequest(field_strength_t=1.5, difficulty="easy")).acquisition,
    partial_fourier=1.0,
    apodisation=0.0,
    snr=80,
    coil_bias=0.0,
    banding=0.0,
)


def acquire(parameters, images, spoiling=GOOD, seed=1):
    scanner = draw_scanner(np.random.default_rng(seed), parameters, 1.5, SHAPE)
    return scanner.frame(images, 0.0, 1.0, spoiling, np.random.default_rng(2))


def hill(row: float, column: float, width: float = 9.0) -> np.ndarray:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2)).astype(np.float32)


@pytest.mark.parametrize("resolution_mm", [1.0, 1.3, 1.7, 2.4, 3.5])
@pytest.mark.parametrize("phase_encode_rows", [False, True])
def test_anatomy_stays_where_it_is_at_every_native_resolution(resolution_mm, phase_encode_rows):
    parameters = replace(PLAIN, resolution_mm=resolution_mm, phase_encode_rows=phase_encode_rows)
    frame = acquire(parameters, [hill(71.0, 58.0)])
    weights = np.where(frame > 0.2, frame, 0)
    assert ndimage.center_of_mass(weights) == pytest.approx((71.0, 58.0), abs=0.12)


def test_signal_is_kept_where_resolution_is_enough():
    image = 0.4 + 0.5 * hill(71, 58)
    frame = acquire(PLAIN, [image])
    assert np.abs(frame - image)[8:-8, 8:-8].mean() < 0.03


@pytest.mark.parametrize("snr", [10.0, 40.0])
def test_noise_is_gaussian_on_signal_and_rayleigh_in_air(snr):
    parameters = replace(PLAIN, snr=snr, resolution_mm=1.0)
    image = np.zeros(SHAPE, np.float32)
    image[:, :63] = 1.0
    frame = acquire(parameters, [image])
    assert frame[10:-10, 10:53].std() == pytest.approx(1 / snr, rel=0.15)
    assert frame[10:-10, 73:-10].mean() == pytest.approx(np.sqrt(np.pi / 2) / snr, rel=0.25)


def test_sharp_edges_ring_unless_the_edge_of_k_space_is_tapered():
    image = np.zeros(SHAPE, np.float32)
    image[40:110, 30:90] = 1.0
    coarse = replace(PLAIN, resolution_mm=3.5)
    ringing, tapered = (acquire(replace(coarse, apodisation=a), [image]).max() for a in (0.0, 1.0))
    assert ringing > 1.1 > tapered


def test_leaving_out_lines_blurs_along_the_phase_encoding_only():
    image = np.zeros(SHAPE, np.float32)
    image[40:110, 30:90] = 1.0
    frame = acquire(replace(PLAIN, partial_fourier=0.62, phase_encode_rows=True), [image])
    full = acquire(PLAIN, [image])
    steepness = [np.abs(np.diff(f, axis=axis)).max() for f in (frame, full) for axis in (0, 1)]
    assert steepness[0] < 0.9 * steepness[2]
    assert steepness[1] == pytest.approx(steepness[3], rel=0.15)


def test_motion_during_the_frame_smears_it_between_where_the_target_was():
    moments = [hill(60.0 + 8 * s, 58.0, 4.0) for s in range(SEGMENTS)]
    frame = acquire(replace(PLAIN, phase_encode_rows=True), moments)
    row, column = ndimage.center_of_mass(np.where(frame > 0.3, frame, 0))
    assert row == pytest.approx(68, abs=1.5) and column == pytest.approx(58, abs=0.5)
    assert frame.max() < acquire(PLAIN, [moments[1]]).max()


@pytest.mark.parametrize("spoiling", [Spoiling(noise=4.0), Spoiling(ghost=0.4), Spoiling(loss=0.4)])
def test_a_spoilt_frame_differs_from_a_good_one_by_more_than_noise(spoiling):
    image = 0.4 + 0.5 * hill(71, 58)
    good, spoilt = acquire(PLAIN, [image]), acquire(PLAIN, [image], spoiling)
    assert np.abs(spoilt - good).mean() > 1.5 / PLAIN.snr


def test_bands_darken_the_edge_of_a_strongly_shimmed_field():
    flat = np.ones(SHAPE, np.float32)
    banded = acquire(replace(PLAIN, banding=1.3), [flat])
    assert banded.min() < 0.4 < 0.9 < acquire(PLAIN, [flat])[5:-5, 5:-5].min()
