from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinetrack.clinic.frame_times import frame_times


@given(st.floats(0.5, 20), st.integers(2, 50), st.floats(0, 86000))
def test_even_times_give_their_rate_and_no_remark(rate_hz, count, start_s):
    times = frame_times(list(start_s + np.arange(count) / rate_hz), "AcquisitionTime")
    assert times.frame_rate_hz == pytest.approx(rate_hz, rel=1e-4)
    assert times.irregularity == ""


def test_a_pause_is_reported_and_does_not_lower_the_rate():
    seconds = [0.25 * n for n in range(10)] + [8 + 0.25 * n for n in range(10)]
    times = frame_times(seconds, "AcquisitionTime")
    assert times.frame_rate_hz == pytest.approx(4)
    assert "1 of 19 intervals" in times.irregularity and "longest 5.75 s" in times.irregularity


@pytest.mark.parametrize("seconds", [[0.0], [0.0, 0.0], [1.0, 0.5], [0.0, float("nan")]])
def test_times_that_do_not_rise_give_no_rate(seconds):
    assert frame_times(seconds, "AcquisitionTime") is None


def test_two_speeds_give_the_mean_where_no_interval_is_near_the_median():
    assert frame_times([0.0, 1.0, 4.0], "here").frame_rate_hz == pytest.approx(0.5)
