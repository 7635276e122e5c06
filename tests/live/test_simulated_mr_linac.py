"""The simulated MR-linac and `cinetrack stream`: two processes that speak OpenIGTLink, from a frame to its score."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cinetrack.cli.main import main
from cinetrack.evaluation.prediction_folder import read_prediction
from cinetrack.live.recorded_session import RecordedSession
from cinetrack.phantom.draws import PhantomRequest
from cinetrack.phantom.interleaved import write_interleaved_cases
from cinetrack.pipeline.model import load_model
from cinetrack.pipeline.track_case import track_whole
from cinetrack.sequence import find_cases

ROOT = Path(__file__).resolve().parents[2]
CASE = ROOT / "examples" / "data" / "P977_0001"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


FIRST_MASK = ["--mask", str(CASE / "targets" / "P977_0001_first_label.mha")]


def play(folder: Path, scheme: str, scanner: list[str], stream: list[str], masks: list[str] = FIRST_MASK) -> dict:
    """Run scanner and stream side by side; the scanner's summary."""
    pytest.importorskip("pyigtl")
    port = free_port()
    command = [sys.executable, str(ROOT / "examples" / "simulated_mr_linac.py"), "--port", str(port), *scanner]
    tracking = [sys.executable, "-m", "cinetrack", "stream", f"{scheme}://127.0.0.1:{port}", "--stop-after", "1"]
    tracking += [*masks, "-o", str(folder), *stream]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as linac:
        done = subprocess.run(tracking, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
        summary = json.loads(linac.communicate(timeout=30)[0])
    assert done.returncode == 0, done.stderr
    assert linac.returncode == 0
    return summary


def test_a_case_played_through_openigtlink_is_tracked_answered_logged_and_scored(tmp_path, capsys):
    model = [
        "--model",
        str(ROOT / "resources" / "registration"),
        "--late",
        "all",
        "--look-ahead",
        "300",
        "--margin",
        "5",
    ]
    summary = play(tmp_path / "live" / "P977_0001", "openigtlink", ["--rate", "40"], model)
    assert summary["frames_sent"] == summary["results"] == summary["masks"] == 60
    assert 0 < summary["beam_on_share"] < 1
    masks, _ = read_prediction(tmp_path / "live" / "P977_0001")
    loaded = find_cases(CASE)[0].read_case().case
    assert np.array_equal(masks, track_whole(loaded, load_model("registration").chain).masks)
    arguments = ["evaluate", str(tmp_path / "live"), "--truth", str(CASE.parent), "-o", str(tmp_path / "metrics.json")]
    assert main(arguments) == 0
    assert main(["gate", str(tmp_path / "live"), "--truth", str(CASE.parent)]) == 0
    capsys.readouterr()
    (row,) = json.loads((tmp_path / "metrics.json").read_text())["results"]
    assert row["dice_similarity_coefficient"] > 0.75


def test_the_scanner_may_connect_to_a_listening_stream_at_8_hz(tmp_path):
    scanner = ["--rate", "8", "--frames", "10", "--connect"]
    summary = play(
        tmp_path / "s",
        "openigtlink-listen",
        scanner,
        ["--model", str(ROOT / "resources" / "static"), "--frame-rate", "8"],
    )
    assert summary["results"] == 10
    latency = json.loads((tmp_path / "s" / "summary.json").read_text())
    assert latency["frames"]["received"] == 10 and latency["frames"]["missing"] == 0
    assert latency["deadline_ms"] == 125
    assert latency["acquisition_to_decision_ms"]["p99"] > 0


def test_planes_in_turns_give_one_position_in_three_axes(tmp_path, capsys):
    request = PhantomRequest(frames=16, shape=(150, 160), region="thorax", difficulty="easy", frame_rate_hz=8.0)
    cases = {case.folder.name: case.folder for case in write_interleaved_cases(tmp_path / "data", 3, 1, request)}
    planes = {name.rpartition("_")[2]: folder for name, folder in cases.items()}
    masks = [
        word
        for plane, folder in planes.items()
        for word in ("--mask", f"{plane}={folder / 'targets' / f'{folder.name}_first_label.mha'}")
    ]
    model = ["--model", str(ROOT / "resources" / "registration"), "--late", "all", "--frame-rate", "4"]
    scanner = ["--rate", "30", *map(str, planes.values())]
    session = tmp_path / "live" / "P3_0001"
    assert play(session, "openigtlink", scanner, model, masks)["masks"] == 32
    lines = list(RecordedSession.open(session).lines())
    last = lines[-1]
    assert [line["plane"] for line in lines[:4]] == ["sagittal", "coronal"] * 2
    assert last["joined_mm"][:2] == [last["moved_mm"][0], lines[-2]["moved_mm"][1]]
    assert last["joined_mm"][2] == last["moved_mm"][1]
    assert last["joined_age_s"][1] > last["joined_age_s"][0] == last["joined_age_s"][2]
    arguments = ["evaluate", str(session), "--truth", str(tmp_path / "data"), "-o", str(tmp_path / "metrics.json")]
    assert main(arguments) == 0
    results = json.loads((tmp_path / "metrics.json").read_text())["results"]
    assert [row["case_id"] for row in results] == ["P3_0001_coronal", "P3_0001_sagittal"]
    assert all(row["dice_similarity_coefficient"] > 0.6 for row in results)
    capsys.readouterr()
