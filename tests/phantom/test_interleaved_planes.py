"""Cases of two planes imaged in turns: one target, one head-to-feet motion, exact labels in both."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.evaluation.centroid import centroids
from cinetrack.phantom.draws import PhantomRequest
from cinetrack.phantom.interleaved import draw_interleaved
from cinetrack.sequence import find_cases

REQUEST = PhantomRequest(frames=24, shape=(200, 220), difficulty="easy", frame_rate_hz=8.0, peak_displacement_mm=12.0)


@pytest.fixture(scope="module")
def case():
    return draw_interleaved(np.random.default_rng(2), REQUEST)


def test_the_planes_take_turns_at_half_the_streams_rate(case):
    assert list(case.series) == ["sagittal", "coronal"] and case.start_s == {"sagittal": 0.0, "coronal": 0.125}
    for plane, rendered in case.series.items():
        assert rendered.frames.shape == (24, 200, 220) and rendered.parameters.frame_rate_hz == 4.0
        assert rendered.parameters.acquisition.acquisition_share < 0.5, plane


def test_the_target_moves_head_to_feet_alike_in_both_planes(case):
    sagittal, coronal = (case.series[plane] for plane in ("sagittal", "coronal"))
    times = np.arange(24) / 4.0
    expected = np.interp(times[:-1] + 0.125, times, sagittal.displacement_px[:, 0])
    expected = expected - expected[0]
    assert np.ptp(sagittal.displacement_px[:, 0]) > 5
    # The coronal frames lie between the sagittal ones, where linear interpolation is off by a little.
    assert np.abs(coronal.displacement_px[:-1, 0] - expected).max() < 0.8


@pytest.mark.parametrize("plane", ["sagittal", "coronal"])
def test_the_masks_move_as_the_known_displacement_says(case, plane):
    rendered = case.series[plane]
    found = centroids(rendered.masks[:, 0])
    assert np.abs((found - found[0]) - rendered.displacement_px).max() < 1.5


def test_equal_seeds_give_equal_frames():
    small = PhantomRequest(frames=2, shape=(130, 150), region="thorax", difficulty="easy")
    first, second = (draw_interleaved(np.random.default_rng(1), small) for _ in range(2))
    for plane in first.series:
        assert np.array_equal(first.series[plane].frames, second.series[plane].frames)


def test_the_command_writes_a_case_for_each_plane(tmp_path, capsys):
    arguments = ["phantom", str(tmp_path), "--cases", "1", "--seed", "4", "--frames", "3", "--interleaved"]
    assert main([*arguments, "--size", "130", "150", "--frame-rate", "6", "--region", "thorax"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    cases = find_cases(tmp_path)
    assert [one.case_id for one in cases] == ["P4_0001_coronal", "P4_0001_sagittal"]
    assert all(one.frame_rate_hz() == 3.0 and one.read_labels().shape == (3, 130, 150) for one in cases)
    about = json.loads((cases[0].folder / "phantom.json").read_text())
    assert (about["plane"], about["stream_rate_hz"]) == ("coronal", 6.0)
    assert about["start_s"] == pytest.approx(1 / 6)
    assert main(arguments) == 2
    assert "found one of others" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (PhantomRequest(region="pelvis"), "expected the thorax or the abdomen"),
        (PhantomRequest(frame_rate_hz=1.5), "phantom frame_rate_hz: expected 1 to 8, found 0.75"),
    ],
)
def test_what_cannot_be_interleaved_is_named(request_, message):
    with pytest.raises(InputError, match=message):
        draw_interleaved(np.random.default_rng(0), request_)
