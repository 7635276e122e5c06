"""What the report's pages are made of: outlines, image sheets, case data, and the files."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from PIL import Image
from prediction_writing import shifted, write_prediction

from cinetrack.cli.main import main
from cinetrack.evaluation.metric_names import ACCURACY
from cinetrack.report.case_page import PageRequest, case_page
from cinetrack.report.frame_sheets import TILES_A_SIDE, frame_sheets, windowed_8bit
from cinetrack.report.outlines import outlines
from cinetrack.sequence import CineSequence, find_cases
from cinetrack.sequence.image_files import ImageGeometry, write_masks
from cinetrack.sequence.trackrad_dataset import write_case

REPOSITORY = Path(__file__).resolve().parents[2]


def filled(lines: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose centre lies inside an odd number of lines."""
    canvas = np.zeros((2 * shape[0] + 1, 2 * shape[1] + 1), dtype=np.uint8)
    if lines:
        cv2.fillPoly(canvas, [np.ascontiguousarray(line[:, ::-1] + 1, dtype=np.int32) for line in lines], 1)
        # fillPoly also sets the line itself, which no pixel's centre lies on.
    return canvas[1::2, 1::2].astype(bool)


@settings(deadline=None)
@given(arrays(np.bool_, (9, 12)))
def test_filling_a_masks_outlines_gives_the_mask_back(mask):
    assert (filled(outlines(mask), mask.shape) == mask).all()


def test_an_outline_has_no_points_on_straight_stretches():
    mask = np.zeros((30, 40), dtype=bool)
    mask[5:25, 10:30] = True
    [line] = outlines(mask)
    assert len(line) == 8  # four corners, each cut


def test_an_empty_mask_has_no_outline():
    assert outlines(np.zeros((5, 5), dtype=bool)) == []


def test_every_frame_is_found_again_on_its_tile():
    rng = np.random.default_rng(0)
    frames = np.repeat(np.repeat(rng.integers(0, 255, (31, 7, 5), dtype=np.uint8), 6, axis=1), 6, axis=2)
    sheets = frame_sheets(frames, 10**7)
    assert len(sheets.sheets) == 2 and sheets.image_size == (42, 30)
    for index, frame in enumerate(frames):
        sheet = np.array(Image.open(io.BytesIO(sheets.sheets[index // TILES_A_SIDE**2])))
        row, column = divmod(index % TILES_A_SIDE**2, TILES_A_SIDE)
        top, left = row * sheets.tile_size[0], column * sheets.tile_size[1]
        tile = sheet[top : top + 42, left : left + 30].astype(int)
        assert np.abs(tile - frame).mean() < 12


@pytest.mark.parametrize("budget", [2_000_000, 500_000])
def test_sheets_keep_to_the_budget_on_pure_noise(budget):
    noise = np.random.default_rng(0).integers(0, 255, (60, 200, 180), dtype=np.uint8)
    total = sum(map(len, frame_sheets(noise, budget).sheets))
    assert budget / 6 < total < 1.1 * budget


def test_the_window_is_one_for_all_frames():
    frames = np.stack([np.full((8, 8), level, dtype=np.uint16) for level in range(0, 1000, 10)])
    scaled = windowed_8bit(frames)
    assert (np.diff(scaled[:, 0, 0].astype(int)) >= 0).all()
    assert scaled.min() == 0 and scaled.max() == 255
    assert (windowed_8bit(np.ones((3, 4, 4))) == 0).all()


@pytest.fixture
def predictions(tmp_path, moving_disc) -> Path:
    root = tmp_path / "predictions"
    write_prediction(root, "A_001", shifted(moving_disc[1], 1, 2), seconds=2.5)
    missed = shifted(moving_disc[1], 3, 0)
    missed[5] = False
    write_prediction(root, "B_002", missed)
    return root


def request(predictions, dataset, name) -> PageRequest:
    case = next(case for case in find_cases(dataset) if case.case_id == name) if dataset else None
    return PageRequest(name, predictions / name, case, 10**6)


def test_a_page_has_the_trace_in_mm_from_the_first_true_centroid(predictions, dataset, moving_disc):
    page = case_page(request(predictions, dataset, "A_001"))
    rows = [np.argwhere(mask)[:, 0].mean() for mask in moving_disc[1]]
    assert page["traces"]["truth"]["si"] == pytest.approx([1.5 * (row - rows[0]) for row in rows], abs=1e-3)
    gap = np.subtract(page["traces"]["prediction"]["ap"][1:], page["traces"]["truth"]["ap"][1:])
    assert gap == pytest.approx(2.0, abs=1e-3)
    assert page["traces"]["truth"]["area"][0] == pytest.approx(moving_disc[1][0].sum() * 1.5 / 100, abs=1e-4)


def test_a_pages_scores_are_those_of_evaluate(predictions, dataset, tmp_path):
    assert main(["evaluate", str(predictions), "--truth", str(dataset), "-o", str(tmp_path / "m.json")]) == 0
    [first, second] = json.loads((tmp_path / "m.json").read_text())["results"]
    for row in (first, second):
        page = case_page(request(predictions, dataset, row["case_id"]))
        assert {metric.key: page["scores"][metric.key] for metric in ACCURACY} == {m.key: row[m.key] for m in ACCURACY}


def test_an_empty_frame_has_no_position_and_no_outline(predictions, dataset):
    page = case_page(request(predictions, dataset, "B_002"))
    assert page["traces"]["prediction"]["si"][5] is None
    assert page["outlines"]["prediction"][5] == []
    assert page["summary"]["empty"] == 1


def test_the_band_runs_from_the_best_to_the_worst_observer_of_each_frame(predictions, dataset, moving_disc):
    targets = dataset / "A_001" / "targets"
    for name, columns in (("2", 1), ("3", 3)):
        labels = shifted(moving_disc[1], 0, columns)
        write_masks(targets / f"A_001_labels_{name}.mha", labels, ImageGeometry.in_plane((1.5, 1.0)))
    page = case_page(request(predictions, dataset, "A_001"))
    low, high = page["band"]["center_distance_mm"]
    assert (low[4], high[4]) == (1, 3)
    assert {"observer 2", "observer 3"} <= page["outlines"].keys()


def test_the_dose_volume_histogram_falls_from_all_of_the_target_to_none_above_the_plan(predictions, dataset):
    dose = case_page(request(predictions, dataset, "B_002"))["dose"]
    assert dose["delivered_volume"][0] == dose["planned_volume"][-1] == 1
    assert (np.diff(dose["delivered_volume"]) <= 0).all()
    assert dose["delivered_volume"][-1] == 0  # one frame of eight had no beam
    assert dose["delivered_d98"] < dose["planned_d98"]


def test_without_a_dataset_a_page_shows_the_prediction_alone(predictions):
    page = case_page(request(predictions, None, "A_001"))
    assert page["sheets"] is None and "scores" not in page
    assert list(page["outlines"]) == ["prediction"]


def test_of_a_long_series_only_some_frames_are_shown(tmp_path):
    masks = np.zeros((1300, 16, 12), dtype=bool)
    masks[:, 4:9, 3:8] = True
    write_prediction(tmp_path, "L_001", masks)
    page = case_page(request(tmp_path, None, "L_001"))
    assert page["shown"] == list(range(0, 1300, 3))
    assert len(page["outlines"]["prediction"]) == len(page["shown"])
    assert len(page["traces"]["prediction"]["si"]) == 1300


def test_the_whole_command_writes_pages_that_need_no_network(predictions, dataset, tmp_path):
    finished = subprocess.run(
        [sys.executable, "-m", "cinetrack", "report", predictions, "--truth", dataset, "-o", tmp_path / "report"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == str(tmp_path / "report" / "index.html")
    index = (tmp_path / "report" / "index.html").read_text()
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", index)
    assert sorted(path.name for path in (tmp_path / "report" / "cases").iterdir()) == ["A_001.js", "B_002.js"]


def test_a_bad_case_is_named_and_the_others_are_shown(predictions, dataset, moving_disc, tmp_path, capfd):
    write_prediction(predictions, "A_001", moving_disc[1][:5])
    write_prediction(predictions, "X_404", moving_disc[1])
    assert main(["report", str(predictions), "--truth", str(dataset), "-o", str(tmp_path / "report")]) == 2
    errors = capfd.readouterr().err
    assert re.search("A_001.*expected a prediction of the truth's 8 x 72 x 56.*found 5 x 72 x 56", errors)
    assert "X_404: expected case X_404" in errors
    assert [path.name for path in (tmp_path / "report" / "cases").iterdir()] == ["B_002.js"]


def test_a_broken_file_of_an_observer_is_named_and_the_case_is_shown(predictions, dataset, tmp_path, capfd):
    (dataset / "A_001/targets/A_001_labels copy.mha").write_bytes(b"junk")
    assert main(["report", str(predictions), "--truth", str(dataset), "-o", str(tmp_path / "report")]) == 2
    assert "error: A_001: observer  copy is left out" in capfd.readouterr().err
    assert sorted(path.name for path in (tmp_path / "report/cases").iterdir()) == ["A_001.js", "B_002.js"]


def test_a_prediction_of_another_shape_than_an_unlabelled_series_is_refused(tmp_path, moving_disc, capfd):
    frames, masks = moving_disc
    write_case(tmp_path / "data", "U_001", CineSequence(frames, (1.5, 1.0), 4.0, 0.35, "thorax"), None)
    write_prediction(tmp_path / "predictions", "U_001", masks[:, :60])
    code = main(["report", str(tmp_path / "predictions"), "--truth", str(tmp_path / "data"), "-o", str(tmp_path / "r")])
    assert code == 2
    assert "expected a prediction of the series' (8, 72, 56)" in capfd.readouterr().err
