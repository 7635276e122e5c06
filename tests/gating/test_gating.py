"""Windows, the beam's latency and the gate's scores."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.gating import DistanceWindow, Gate, ShareWindow
from cinetrack.gating.beam import BeamLatency, beam_intervals, is_on, wanted_states
from cinetrack.gating.scores import gating_scores
from cinetrack.gating.simulation import PredictedTrace, simulated_beam
from cinetrack.sequence import CineSequence
from cinetrack.sequence.trackrad_dataset import write_case
from prediction_writing import write_prediction

RATE_HZ = 8.0
TIMES = np.arange(0, 60, 1 / RATE_HZ)
PATH = np.stack([10 * np.sin(np.pi * TIMES / 4) ** 2, 0 * TIMES], axis=-1)


def test_a_distance_window_ends_at_its_margin_and_a_lost_target_is_outside():
    window = DistanceWindow(5.0)
    moved = np.array([[3.0, 4.0], [3.0, 4.1], [np.nan, 0.0]])
    assert window.inside(moved).tolist() == [True, False, False]


@pytest.mark.parametrize("step_px", [(0, 0), (2, 0), (0, 5), (-4, 3), (12, 0), (0, 40)])
def test_the_share_window_agrees_with_masks_that_are_shifted(step_px):
    from scipy.ndimage import distance_transform_edt

    spacing = (1.5, 1.0)
    planned = np.zeros((90, 90), dtype=bool)
    planned[40:48, 38:52] = True
    planned[48:50, 38:44] = True
    region = distance_transform_edt(~planned, sampling=spacing) <= 4.0
    shifted = np.roll(planned, step_px, axis=(0, 1))
    expected = (shifted & region).sum() / planned.sum()
    window = ShareWindow(planned, spacing, 4.0, 0.9)
    assert window.share(np.multiply(step_px, spacing)[None])[0] == pytest.approx(expected)


def test_the_gate_is_off_where_the_target_is_lost():
    gate = Gate(DistanceWindow(3.0))
    assert gate.decide(np.array([1.0, 1.0]))
    assert not gate.decide(np.array([4.0, 0.0]))
    assert not gate.decide(np.array([np.nan, np.nan]))


def test_beam_switches_after_its_latency():
    times = np.arange(6) * 0.25
    wanted = np.array([False, True, True, False, False, False])
    assert beam_intervals(times, wanted, BeamLatency(0.1, 0.3), 1.25) == [(pytest.approx(0.35), pytest.approx(1.05))]


def test_a_beam_switched_on_again_before_it_went_off_stays_on():
    times = np.arange(6) * 0.25
    wanted = np.array([True, True, False, True, True, False])
    (interval,) = beam_intervals(times, wanted, BeamLatency(0.0, 0.4), 2.0)
    assert interval == (0.0, pytest.approx(1.65))


def test_a_wish_shorter_than_the_latency_gives_no_beam():
    times = np.arange(4) * 0.25
    assert beam_intervals(times, np.array([False, True, False, False]), BeamLatency(0.4, 0.0), 0.75) == []


def test_is_on_matches_the_intervals():
    times = np.array([0.0, 0.5, 0.99, 1.0, 2.5, 3.0])
    assert is_on([(0.5, 1.0), (2.0, 2.75)], times).tolist() == [False, True, True, False, True, False]
    assert not is_on([], times).any()


def test_a_beam_that_is_on_looks_as_far_ahead_as_switching_off_takes():
    turn_on, stay_on = np.array([0, 1, 0, 0], bool), np.array([0, 0, 1, 0], bool)
    assert wanted_states(turn_on, stay_on).tolist() == [False, True, True, False]


def test_a_gate_without_latency_on_the_true_path_is_right_but_for_the_frame_interval():
    window = DistanceWindow(5.0)
    beam = simulated_beam(PredictedTrace(TIMES, PATH, RATE_HZ, "hold"), window, BeamLatency(0.0, 0.0))
    scores = gating_scores(beam, TIMES, PATH, window)
    assert scores.accuracy > 0.93 and scores.missed_edges == 0
    assert scores.edge_error_ms <= 1000 / RATE_HZ
    assert scores.duty_cycle == pytest.approx(scores.true_duty_cycle, abs=0.03)
    assert scores.false_on + scores.false_off == pytest.approx(1 - scores.accuracy)


def test_latency_makes_a_gate_late_and_prediction_makes_up_for_it():
    window, latency = DistanceWindow(5.0), BeamLatency(0.4, 0.4)
    late, ahead = (
        gating_scores(simulated_beam(PredictedTrace(TIMES, PATH, RATE_HZ, name), window, latency), TIMES, PATH, window)
        for name in ("hold", "regression")
    )
    assert late.edge_error_ms == pytest.approx(400, abs=130)
    assert ahead.edge_error_ms < 0.5 * late.edge_error_ms
    assert ahead.target_coverage > late.target_coverage


def test_scores_of_a_beam_that_is_never_on_are_defined():
    scores = gating_scores([], TIMES, PATH, DistanceWindow(5.0))
    assert scores.duty_cycle == scores.false_on == 0 and np.isnan(scores.target_coverage)
    assert scores.missed_edges == scores.edges > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DistanceWindow(-1.0), "expected 0 mm or more"),
        (lambda: ShareWindow(np.ones((4, 4), bool), (1, 1), 2.0, 1.2), "expected above 0 and at most 1"),
        (lambda: ShareWindow(np.zeros((4, 4), bool), (1, 1), 2.0, 0.9), "found an empty mask"),
        (lambda: BeamLatency(-0.1, 0.0), "beam latency on: expected 0 to 2000 ms"),
    ],
)
def test_unusable_settings_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.fixture
def breathing_case(tmp_path):
    """A disc that breathes for 15 s at 4 Hz; the prediction loses it on frames 20 to 23."""
    rows, columns = np.mgrid[:72, :56]
    moved = 8 * np.sin(np.pi * np.arange(60) / 4 / 4) ** 2
    masks = np.stack([np.hypot((rows - 30 - step) * 1.5, columns - 24) < 9 for step in moved / 1.5])
    write_case(tmp_path / "data", "A_001", CineSequence(masks.astype(np.uint8), (1.5, 1.0), 4.0, 0.35, "thorax"), masks)
    predicted = masks.copy()
    predicted[20:24] = False
    write_prediction(tmp_path / "predictions", "A_001", predicted)
    return tmp_path


def test_the_command_judges_predictions_by_margin_latency_and_mode(breathing_case, capsys):
    arguments = ["gate", str(breathing_case / "predictions"), "--truth", str(breathing_case / "data")]
    arguments += ["--margins", "2", "4", "--latencies", "0", "300:150", "-o", str(breathing_case / "gating.json")]
    assert main(arguments) == 0
    out = capsys.readouterr()
    assert "No medical device" in out.err and "edge error" in out.out
    document = json.loads((breathing_case / "gating.json").read_text())
    assert len(document["means"]) == 8 and len(document["cases"]) == 8
    rows = {(row["margin_mm"], row["latency_off_ms"], row["mode"]): row for row in document["cases"]}
    assert rows[4, 0, "measured"]["accuracy"] > rows[4, 150, "measured"]["accuracy"]
    assert rows[4, 0, "measured"]["duty_cycle"] > rows[2, 0, "measured"]["duty_cycle"]


def test_the_beam_is_held_while_the_target_is_lost(breathing_case):
    from cinetrack.gating.dataset_gating import read_gated_cases

    (case,) = read_gated_cases(breathing_case / "predictions", breathing_case / "data", None)
    beam = simulated_beam(
        PredictedTrace(case.times_s, case.moved_mm, 4.0, "hold"), DistanceWindow(100.0), BeamLatency(0.0, 0.0)
    )
    assert beam == [(0.0, 5.0), (6.0, 14.75)]


def test_without_truth_the_command_needs_a_frame_rate_and_gives_the_duty_cycle(breathing_case, capsys):
    predictions = str(breathing_case / "predictions")
    assert main(["gate", predictions]) == 2
    assert "give --truth or --frame-rate" in capsys.readouterr().err
    assert main(["gate", predictions, "--frame-rate", "4"]) == 0
    assert "coverage" not in capsys.readouterr().out


def test_a_latency_that_is_no_number_is_named(breathing_case, capsys):
    assert main(["gate", str(breathing_case / "predictions"), "--frame-rate", "4", "--latencies", "soon"]) == 2
    assert "--latencies: expected milliseconds" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_noticed_before_the_work(tmp_path, capsys):
    (tmp_path / "taken").mkdir()
    assert main(["gate", str(tmp_path / "no predictions"), "-o", str(tmp_path / "taken")]) == 2
    assert "taken: expected the name of a file to write, found a folder" in capsys.readouterr().err
