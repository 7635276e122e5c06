"""What a session wrote survives its process, and plays again with the same result."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from blob_model import SPACING_MM, BlobModel, blob, first_mask, live_frame

from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.evaluation.prediction_folder import read_prediction
from cinetrack.live import LiveSession
from cinetrack.live.mask_series import write_packed_masks
from cinetrack.live.recorded_session import RecordedSession, finish
from cinetrack.live.session_log import SessionLog
from cinetrack.runs.record import read_record
from cinetrack.sequence.image_files import ImageGeometry, read_masks, write_masks, write_series

ROOT = Path(__file__).resolve().parents[2]


def record(folder: Path, frames, masks=None, late: str = "all") -> None:
    """Log a session of the blob model over `frames`."""
    masks = masks or {"sagittal": first_mask()}

    async def run() -> None:
        with SessionLog(folder, masks, {"model": "blob", "frame_rate_hz": 8.0}) as log:
            async with LiveSession(BlobModel(), masks, late=late) as session:
                for frame in frames:
                    await session.put(frame)
                await session.end()
                async for result in session:
                    log.add(result)

    asyncio.run(run())


def test_a_session_becomes_a_prediction_with_the_masks_it_gave(tmp_path):
    record(tmp_path / "s", [live_frame(number) for number in range(5)])
    (path,) = finish(tmp_path / "s")
    masks, geometry = read_masks(path)
    assert np.array_equal(masks, np.stack([blob(20 + n) == 5000 for n in range(5)]))
    assert geometry.spacing_mm == SPACING_MM
    assert read_record(tmp_path / "s").object_score[1:] == [3.0] * 4


def test_a_frame_that_was_rejected_or_never_came_holds_the_mask_before_it(tmp_path):
    small = live_frame(2, np.zeros((8, 8), np.uint16))
    record(tmp_path / "s", [live_frame(0), live_frame(1), small, live_frame(4)])
    finish(tmp_path / "s")
    masks, _ = read_prediction(tmp_path / "s")
    rows = [int(np.flatnonzero(mask.any(axis=1))[0]) for mask in masks]
    assert rows == [17, 18, 18, 18, 21]


def test_the_frames_are_kept_as_they_came_also_those_that_were_rejected(tmp_path):
    odd = np.arange(12, dtype=np.float32).reshape(3, 4)
    frames = [live_frame(0), live_frame(1, odd)]
    record(tmp_path / "s", frames)
    session = RecordedSession.open(tmp_path / "s")
    images = {line["number"]: session.image(line) for line in session.lines()}
    assert np.array_equal(images[0], frames[0].image) and images[0].dtype == np.uint16
    assert np.array_equal(images[1], odd) and images[1].dtype == np.float32


def test_interleaved_planes_become_a_prediction_each(tmp_path):
    frames = [live_frame(n, plane=("sagittal", "coronal")[n % 2]) for n in range(6)]
    record(tmp_path / "s", frames, {"sagittal": first_mask(), "coronal": first_mask()})
    assert [path.parents[2].name for path in finish(tmp_path / "s")] == ["s_sagittal", "s_coronal"]
    masks, _ = read_prediction(tmp_path / "s" / "s_coronal")
    assert len(masks) == 3 and np.array_equal(masks[1], blob(23) == 5000)


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    record(tmp_path / "s", [live_frame(number) for number in range(4)])
    path = tmp_path / "s" / "frames.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    finish(tmp_path / "s")
    assert len(read_prediction(tmp_path / "s")[0]) == 3


def test_a_damaged_line_is_named(tmp_path):
    record(tmp_path / "s", [live_frame(number) for number in range(4)])
    path = tmp_path / "s" / "frames.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{oops\n" + lines[2])
    with pytest.raises(InputError, match="expected json on line 2"):
        finish(tmp_path / "s")


def test_masks_that_are_missing_are_named(tmp_path):
    record(tmp_path / "s", [live_frame(number) for number in range(4)])
    (tmp_path / "s" / "masks-sagittal.bin").write_bytes(b"")
    with pytest.raises(InputError, match="expected 4 masks of 40 x 30 pixels, found 0"):
        finish(tmp_path / "s")


def test_a_folder_without_a_session_is_named(tmp_path, capsys):
    assert main(["stream", "--finish", str(tmp_path)]) == 2
    assert "session.json: expected a json file, found none" in capsys.readouterr().err


def test_the_series_written_row_by_row_is_the_one_that_write_masks_writes(tmp_path, monkeypatch):
    import cinetrack.live.mask_series as mask_series

    masks = np.random.default_rng(0).random((7, 13, 21)) > 0.5
    geometry = ImageGeometry((5.0, 1.25, 1.5), (1.0, -2.0, 3.0), (0, 1, 0, 1, 0, 0, 0, 0, -1))
    (tmp_path / "packed.bin").write_bytes(np.packbits(masks, axis=2).tobytes())
    monkeypatch.setattr(mask_series, "_BLOCK_BYTES", 7 * 21 * 4)
    records = np.array([0, 1, 1, 6, 3])
    write_packed_masks(tmp_path / "a.mha", tmp_path / "packed.bin", records, (13, 21), geometry)
    write_masks(tmp_path / "b.mha", masks[records], geometry)
    (ours, our_geometry), (theirs, their_geometry) = (read_masks(tmp_path / f"{name}.mha") for name in "ab")
    assert np.array_equal(ours, theirs)
    assert our_geometry == their_geometry


@pytest.fixture
def fed_folder(tmp_path, moving_disc) -> Path:
    """A folder with the frames of a moving disc, one file each, beside the first mask."""
    frames, masks = moving_disc
    geometry = ImageGeometry.in_plane((1.5, 1.0))
    for number, frame in enumerate(frames):
        write_series(tmp_path / "in" / f"{number:03d}.mha", frame[None], geometry)
    write_masks(tmp_path / "first.mha", masks[:1], geometry)
    return tmp_path


def stream_arguments(folder: Path, source: str, output: str) -> list[str]:
    return [
        *("stream", source, "-o", str(folder / output), "--model", str(ROOT / "resources" / "registration")),
        *("--look-ahead", "300", "--margin", "4", "--late", "all"),
    ]


def decisions(folder: Path) -> list[dict]:
    """The lines of a session but for what a clock says."""
    kept = ("number", "status", "moved_mm", "area_px", "predicted_mm", "predicted_deviation_mm", "beam_on")
    return [{key: line.get(key) for key in kept} for line in RecordedSession.open(folder).lines()]


def test_a_session_replayed_offline_gives_the_same_masks_predictions_and_beam(fed_folder, capsys):
    live = [*stream_arguments(fed_folder, str(fed_folder / "in"), "live"), "--mask", str(fed_folder / "first.mha")]
    assert main([*live, "--stop-after", "0.5"]) == 0
    assert main(stream_arguments(fed_folder, f"session:{fed_folder / 'live'}", "again")) == 0
    assert decisions(fed_folder / "live") == decisions(fed_folder / "again")
    first, second = (read_prediction(fed_folder / name)[0] for name in ("live", "again"))
    assert len(first) == 8 and np.array_equal(first, second)
    summary = json.loads((fed_folder / "again" / "summary.json").read_text())
    assert "acquisition_to_decision_ms" not in summary
    assert "No medical device" in capsys.readouterr().err


def test_masks_streamed_are_the_masks_predicted_offline(fed_folder, tracking_case):
    from cinetrack.pipeline.model import load_model
    from cinetrack.pipeline.track_case import track_whole

    arguments = stream_arguments(fed_folder, str(fed_folder / "in"), "live")
    assert main([*arguments, "--mask", str(fed_folder / "first.mha"), "--stop-after", "0.5"]) == 0
    offline = track_whole(tracking_case, load_model("registration").chain).masks
    assert np.array_equal(read_prediction(fed_folder / "live")[0], offline)
    answers = [read_masks(fed_folder / "live" / "masks" / f"{n:03d}.mha")[0][0] for n in range(8)]
    assert np.array_equal(np.stack(answers), offline)


def test_a_killed_process_leaves_a_session_that_can_be_finished(fed_folder):
    arguments = stream_arguments(fed_folder, str(fed_folder / "in"), "live")
    command = [sys.executable, "-m", "cinetrack", *arguments, "--mask", str(fed_folder / "first.mha")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for _ in range(5):
        assert process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert main(["stream", "--finish", str(fed_folder / "live")]) == 0
    assert len(read_prediction(fed_folder / "live")[0]) >= 5


def test_ctrl_c_ends_a_stream_with_its_masks_and_summary_written(fed_folder):
    arguments = stream_arguments(fed_folder, str(fed_folder / "in"), "live")
    command = [sys.executable, "-m", "cinetrack", *arguments, "--mask", str(fed_folder / "first.mha")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for _ in range(8):
        assert process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert len(read_prediction(fed_folder / "live")[0]) == 8
    summary = json.loads((fed_folder / "live" / "summary.json").read_text())
    assert summary["frames"]["tracked"] == 8


def test_a_folder_that_holds_a_session_is_not_written_over(fed_folder, capsys):
    record(fed_folder / "live", [live_frame(0)])
    arguments = stream_arguments(fed_folder, str(fed_folder / "in"), "live")
    assert main([*arguments, "--mask", str(fed_folder / "first.mha")]) == 2
    assert "expected no session yet, found one" in capsys.readouterr().err
