"""Intensities that no scanner gives, and files hold: neither overflow nor a division by zero, and the same picture."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from cinetrack.labelling.display import Window
from cinetrack.report.frame_sheets import windowed_8bit
from cinetrack.sequence.intensity import min_max_8bit
from cinetrack.tracking.stabilisation.optical_flow import FLOWS, FlowSearch

ORDINARY = np.random.default_rng(0).integers(0, 1000, (96, 104)).astype(np.int64)

EXTREMES = {
    "float64 near 1e302": ORDINARY * 1e299,
    "float64 up to its largest": (ORDINARY - 500.0) * (np.finfo(np.float64).max / 500),
    "float64 subnormal": ORDINARY * 5e-324,
    "float32 up to its largest": ((ORDINARY - 500.0) * (float(np.finfo(np.float32).max) / 500)).astype(np.float32),
    "uint64 near 2^63": ORDINARY.astype(np.uint64) + np.uint64(2**63),
    "uint64 up to its largest": np.uint64(2**64 - 1) - ORDINARY[::-1, ::-1].astype(np.uint64),
    "int64 near -2^63": ORDINARY + np.int64(-(2**63)),
    "int64 near 2^63": ORDINARY + np.int64(2**63 - 1000),
}

CONSTANTS = [
    np.full((96, 104), value)
    for value in (0.0, 7.0, 1e302, -1e302, np.uint64(2**63), np.int64(-(2**63)), np.float32(3e38), 5e-324)
]


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_intensities_are_scaled_as_ordinary_ones_are(name):
    frame = EXTREMES[name]
    expected = ORDINARY if "up to its largest" not in name or "float" in name else -ORDINARY[::-1, ::-1]

    def close(found, ordinary):
        assert found.dtype == np.uint8 and np.abs(found.astype(int) - ordinary).max() <= 1

    close(min_max_8bit(frame), min_max_8bit(expected))
    close(
        FlowSearch(frame, FLOWS["flexible"]).prepared(frame), FlowSearch(expected, FLOWS["flexible"]).prepared(expected)
    )
    close(Window.of(frame).apply(frame), Window.of(expected).apply(expected))
    close(windowed_8bit(np.stack([frame] * 3)), windowed_8bit(np.stack([expected] * 3)))


@pytest.mark.parametrize("frame", CONSTANTS, ids=lambda frame: f"{frame.dtype} {frame.flat[0]:g}")
def test_a_constant_frame_divides_by_nothing(frame):
    for later in (frame, np.where(np.indices(frame.shape)[0] > 40, frame, 0).astype(frame.dtype)):
        assert FlowSearch(frame, FLOWS["flexible"]).prepared(later).dtype == np.uint8
    assert not min_max_8bit(frame).any() and not windowed_8bit(frame[None]).any()
    assert Window.of(frame).adjusted(0.5, 0.1).apply(frame).dtype == np.uint8


@pytest.mark.parametrize("spike", [1e308, np.inf, np.nan])
def test_later_frames_may_be_larger_than_the_first_or_no_numbers(spike):
    search = FlowSearch(ORDINARY / 1000, FLOWS["flexible"])
    later = ORDINARY / 1000
    later[3, 4] = spike
    prepared = search.prepared(later)
    assert prepared[3, 4] == (255 if spike == 1e308 else 0)
    faint = ORDINARY * 5e-324
    faint[0, 0] = 1.0  # a spike beside a background whose window has next to no width
    assert FlowSearch(faint, FLOWS["flexible"]).prepared(faint)[0, 0] == 255
