"""The bSSFP signal against its textbook form, and the contrasts it gives."""

import numpy as np
import pytest

from cinetrack.phantom.tissue import (
    TISSUES,
    PulseSequence,
    banding_profile,
    bssfp_signal,
    t1_at_field,
    tissue_signals,
)

SEQUENCE = PulseSequence(repetition_ms=3.0, echo_ms=1.4, flip_deg=50)


@pytest.mark.parametrize("name", sorted(TISSUES))
def test_on_resonance_signal_is_the_textbook_steady_state(name):
    """Scheffler and Lehnhardt, Eur Radiol 2003;13:2409, equation for alternating phase on resonance."""
    tissue = TISSUES[name]
    e1, e2 = np.exp(-3.0 / tissue.t1_ms), np.exp(-3.0 / tissue.t2_ms)
    flip = np.deg2rad(50)
    expected = np.sin(flip) * (1 - e1) / (1 - (e1 - e2) * np.cos(flip) - e1 * e2) * np.exp(-1.4 / tissue.t2_ms)
    found = bssfp_signal(tissue.t1_ms, tissue.t2_ms, tissue.proton_density, SEQUENCE)
    assert found == pytest.approx(tissue.proton_density * expected, rel=1e-9)


def test_signal_repeats_with_every_turn_of_precession_and_is_dark_half_a_turn_off():
    angles = np.linspace(-np.pi, np.pi, 101)
    profile = banding_profile(angles, 1.5, SEQUENCE)
    np.testing.assert_allclose(banding_profile(angles + 2 * np.pi, 1.5, SEQUENCE), profile, rtol=1e-9)
    np.testing.assert_allclose(profile[::-1], profile, rtol=1e-9)
    assert profile[50] == pytest.approx(1.0)
    assert profile[0] == profile.min() < 0.15


def test_t1_is_shorter_at_the_lower_field():
    for tissue in TISSUES.values():
        assert t1_at_field(tissue, 1.5) == tissue.t1_ms
        assert t1_at_field(tissue, 0.35) <= tissue.t1_ms


@pytest.mark.parametrize("field_strength_t", [0.35, 1.5])
def test_fluid_and_fat_are_bright_muscle_is_darker_than_liver_and_lung_and_bone_are_dark(field_strength_t):
    signals = tissue_signals(field_strength_t, SEQUENCE)
    assert signals["fat"] == 1.0
    assert signals["fluid"] > signals["blood"] > signals["liver"] > signals["muscle"] > signals["lung"] > signals["gas"]
    assert signals["cortical_bone"] < 0.02
