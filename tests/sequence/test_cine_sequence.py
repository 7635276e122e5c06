"""The invariants of the domain types, the json files and the 8-bit scaling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cinetrack.errors import EmptyMaskError, InputError
from cinetrack.sequence import CineSequence, TrackingCase
from cinetrack.sequence.intensity import min_max_8bit
from cinetrack.sequence.json_files import read_positive_number, read_word

FRAMES = np.zeros((2, 4, 3), np.uint16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": np.zeros((4, 3))}, r"\(T, H, W\)"),
        ({"frames": np.zeros((0, 4, 3))}, "non-empty"),
        ({"frames": np.zeros((2, 4, 3), complex)}, "real numbers"),
        ({"frames": np.full((2, 4, 3), np.inf)}, "finite"),
        ({"spacing_mm": (0.0, 1.0)}, "row spacing"),
        ({"spacing_mm": (1.0, -1.0)}, "column spacing"),
        ({"frame_rate_hz": 0.0}, "frame rate"),
        ({"frame_rate_hz": float("nan")}, "frame rate"),
        ({"field_strength_t": -1.5}, "field strength"),
        ({"region": " "}, "region"),
    ],
)
def test_a_sequence_that_no_scanner_makes_is_refused(change, message):
    good = {"frames": FRAMES, "spacing_mm": (1.0, 1.0), "frame_rate_hz": 4.0, "field_strength_t": 0.35, "region": "x"}
    CineSequence(**good)
    with pytest.raises(InputError, match=message):
        CineSequence(**{**good, **change})


def test_a_case_needs_a_mask_of_the_frames_shape_with_a_target_in_it():
    sequence = CineSequence(FRAMES, (1.0, 1.0), 4.0, 0.35, "abdomen")
    with pytest.raises(EmptyMaskError):
        TrackingCase("a", sequence, np.zeros((4, 3), bool))
    with pytest.raises(InputError, match=r"\(4, 3\)"):
        TrackingCase("a", sequence, np.ones((3, 4), bool))
    with pytest.raises(InputError, match="bool"):
        TrackingCase("a", sequence, np.ones((4, 3), np.uint8))


@pytest.mark.parametrize("text", ["-1", "0", '"8"', "true", "null", "[8]", "NaN", "Infinity", "{", "", "9" * 400])
def test_a_frame_rate_must_be_a_positive_number(tmp_path, text):
    (tmp_path / "frame-rate.json").write_text(text)
    with pytest.raises(InputError, match="frame-rate.json"):
        read_positive_number(tmp_path / "frame-rate.json", "Hz")


@pytest.mark.parametrize("text", ['""', "5", "null", "{"])
def test_a_region_must_be_a_word(tmp_path, text):
    (tmp_path / "scanned-region.json").write_text(text)
    with pytest.raises(InputError, match="scanned-region.json"):
        read_word(tmp_path / "scanned-region.json", "scanned region")


def test_a_missing_json_file_is_named(tmp_path):
    with pytest.raises(InputError, match="frame-rate.json.*found none"):
        read_positive_number(tmp_path / "frame-rate.json", "Hz")


finite_frames = arrays(
    st.sampled_from([np.float32, np.float64, np.uint16, np.int16, np.uint8]), array_shapes(min_dims=2, max_dims=2)
)


@given(finite_frames)
def test_eight_bit_frames_span_the_whole_range_unless_constant(frame):
    finite = frame[np.isfinite(frame)] if frame.dtype.kind == "f" else frame
    scaled = min_max_8bit(frame)
    assert scaled.dtype == np.uint8
    varied = finite.size and finite.max().astype(float) * 0.5 > finite.min().astype(float) * 0.5
    assert (scaled.min(), scaled.max()) == ((0, 255) if varied else (0, 0))


@given(finite_frames)
def test_scaling_a_scaled_frame_changes_nothing(frame):
    once = min_max_8bit(frame)
    np.testing.assert_array_equal(min_max_8bit(once), once)


@given(arrays(np.uint16, (5, 4)), st.integers(2, 100), st.integers(0, 1000))
def test_scanner_gain_and_offset_do_not_matter(frame, gain, offset):
    np.testing.assert_array_equal(min_max_8bit(frame.astype(np.int64) * gain + offset), min_max_8bit(frame))
