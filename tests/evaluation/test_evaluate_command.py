"""`cinetrack evaluate` on small real files: the keys, the timings, the breakdowns, the errors."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from direct_evaluation import direct_case, direct_relative_d98
from prediction_writing import shifted, write_prediction

from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.evaluation.metric_names import (
    ACCURACY,
    DISTANCES,
    GEOMETRIC,
    RUNTIME_AGGREGATES,
    SPREADS,
    millimetre_key,
)
from cinetrack.evaluation.prediction_folder import find_predictions
from cinetrack.sequence import CineSequence, find_cases
from cinetrack.sequence.grand_challenge import OUTPUT_FILE
from cinetrack.sequence.image_files import ImageGeometry, write_masks, write_series
from cinetrack.sequence.trackrad_dataset import write_case

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def predictions(tmp_path, moving_disc) -> Path:
    root = tmp_path / "predictions"
    write_prediction(root, "A_001", shifted(moving_disc[1], 1, 2), seconds=2.5)
    write_prediction(root, "B_002", shifted(moving_disc[1], -3, 0), seconds=2.75)
    return root


def evaluate(predictions: Path, truth: Path, *more: str) -> tuple[int, dict]:
    output = predictions.parent / "metrics.json"
    code = main(["evaluate", str(predictions), "--truth", str(truth), "--output", str(output), *more])
    return code, json.loads(output.read_text()) if output.exists() else {}


def test_the_whole_command_writes_the_challenges_keys_and_numbers(predictions, dataset, moving_disc, tmp_path):
    output = tmp_path / "out" / "metrics.json"
    finished = subprocess.run(
        [sys.executable, "-m", "cinetrack", "evaluate", predictions, "--truth", dataset, "--output", output],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    document = json.loads(output.read_text())
    assert json.loads(finished.stdout) == document["aggregates"]
    expected = {"case_id", "total_runtime", "frame_count", *(metric.key for metric in ACCURACY)}
    expected |= {f"{spread}_{metric.key}" for spread in SPREADS for metric in GEOMETRIC}
    assert [row["case_id"] for row in document["results"]] == ["A_001", "B_002"]
    for row, move in zip(document["results"], [(1, 2), (-3, 0)], strict=True):
        assert row.keys() == expected
        masks = shifted(moving_disc[1], *move)
        for key, value in direct_case(masks.view(np.uint8), moving_disc[1].view(np.uint8), "abdomen").items():
            assert row[key] == pytest.approx(value, abs=1e-5), key
    aggregates = document["aggregates"]
    assert aggregates.keys() == {*(metric.key for metric in ACCURACY), *RUNTIME_AGGREGATES}
    for metric in ACCURACY:
        assert aggregates[metric.key] == pytest.approx(np.mean([row[metric.key] for row in document["results"]]))


def test_time_per_frame_and_loading_time_are_a_fitted_lines_slope_and_intercept(tmp_path, moving_disc):
    frames, masks = moving_disc
    for name, length in (("A", 4), ("B", 6), ("C", 8)):
        write_case(
            tmp_path / "truth", name, CineSequence(frames[:length], (1.5, 1.0), 4.0, 0.35, "thorax"), masks[:length]
        )
        write_prediction(tmp_path / "predictions", name, masks[:length], seconds=3 + 0.25 * length)
    _, document = evaluate(tmp_path / "predictions", tmp_path / "truth")
    aggregates = document["aggregates"]
    assert aggregates["time_per_frame"] == pytest.approx(0.25)
    assert aggregates["loading_time"] == pytest.approx(3)
    assert aggregates["runtime"] == pytest.approx(0.25 * 6)
    assert aggregates["total_time"] == pytest.approx(9 + 0.25 * 18)


def test_predictions_without_timings_are_scored_with_the_runtime_left_open(predictions, dataset):
    (predictions / "A_001" / "prediction.json").unlink()
    code, document = evaluate(predictions, dataset)
    assert code == 0
    assert [row["total_runtime"] for row in document["results"]] == [None, 2.75]
    assert all(document["aggregates"][key] is None for key in RUNTIME_AGGREGATES)
    assert document["aggregates"]["center_distance"] > 0


def test_a_single_container_output_is_scored_against_the_only_labelled_case(predictions, dataset):
    code, document = evaluate(predictions / "A_001", dataset / "A_001")
    assert code == 0 and document["results"][0]["case_id"] == "A_001"


def test_one_process_and_several_give_the_same_file(predictions, dataset):
    assert evaluate(predictions, dataset, "--workers", "1") == evaluate(predictions, dataset, "--workers", "2")


def test_millimetres_and_breakdowns_are_extra_entries(predictions, dataset):
    _, document = evaluate(predictions, dataset)
    extra = document["cinetrack"]
    case = extra["cases"]["B_002"]  # moved by 3 rows of 1.5 mm
    assert case[millimetre_key(DISTANCES[2])] == pytest.approx(4.5)
    assert document["results"][1]["center_distance"] == pytest.approx(3)
    assert case["tracker"] == "sam2.1-small"
    assert extra["by_region"]["abdomen"]["cases"] == 2
    assert list(extra["by_field_strength"]) == ["0.35 T", "1.5 T"]
    assert extra["by_field_strength"]["1.5 T"]["center_distance"] == pytest.approx(3)


def test_the_frame_table_has_a_row_for_every_labelled_frame(predictions, dataset, tmp_path):
    evaluate(predictions, dataset, "--frames-csv", str(tmp_path / "frames.csv"))
    rows = list(csv.DictReader((tmp_path / "frames.csv").open()))
    assert len(rows) == 16
    last = rows[-1]
    assert (last["case_id"], last["frame"], float(last["time_s"])) == ("B_002", "7", 1.75)
    assert float(last["displacement_si_mm"]) == pytest.approx(-4.5)
    assert float(rows[0]["dice_similarity_coefficient"]) == 1


def test_labels_stored_as_floating_point_leave_the_dose_unrounded(predictions, dataset, moving_disc):
    path = dataset / "A_001" / "targets" / "A_001_labels.mha"
    image = sitk.ReadImage(str(path))
    sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32), str(path))
    predicted = moving_disc[1].copy()
    predicted[1:, 20:28] = False  # moves the centroid by a fraction of a pixel
    write_prediction(predictions, "A_001", predicted)
    _, document = evaluate(predictions, dataset)
    expected = direct_relative_d98(predicted.view(np.uint8), moving_disc[1].astype(np.float32), "abdomen")
    assert document["results"][0]["relative_d98_dose"] == pytest.approx(expected, abs=1e-5)


def test_a_consensus_of_observers_is_the_truth_and_the_labels_become_an_observer(predictions, dataset, moving_disc):
    targets = dataset / "A_001" / "targets"
    consensus = shifted(moving_disc[1], 1, 2)
    write_masks(targets / "A_001_staple_labels.mha", consensus, ImageGeometry.in_plane((1.5, 1.0)))
    write_masks(targets / "A_001_labels_bob.mha", shifted(consensus, 0, 1), ImageGeometry.in_plane((1.5, 1.0)))
    _, document = evaluate(predictions, dataset)
    assert document["results"][0]["dice_similarity_coefficient"] == 1
    observers = document["cinetrack"]["cases"]["A_001"]["observers"]
    assert observers["bob"]["center_distance"] == pytest.approx(1)
    assert observers["first"]["center_distance"] == pytest.approx(np.hypot(1, 2))
    ceiling = document["cinetrack"]["human_ceiling"]
    assert ceiling["cases"] == 1 and ceiling["model"]["center_distance"] == 0
    assert ceiling["observers"]["center_distance"] == pytest.approx((1 + np.hypot(1, 2)) / 2)


def test_a_broken_file_of_an_observer_costs_that_observer_alone(predictions, dataset, moving_disc, capfd):
    clean = evaluate(predictions, dataset)[1]
    targets, geometry = dataset / "A_001/targets", ImageGeometry.in_plane((1.5, 1.0))
    (targets / "A_001_labels copy.mha").write_bytes(b"junk")  # half-copied by a file manager
    write_series(targets / "A_001_labels_255.mha", moving_disc[1].astype(np.uint8) * 255, geometry)  # an export
    write_masks(targets / "A_001_labels_short.mha", moving_disc[1][:5], geometry)
    write_masks(targets / "A_001_labels_bob.mha", shifted(moving_disc[1], 1, 0), geometry)
    code, document = evaluate(predictions, dataset)
    errors = capfd.readouterr().err
    assert code == 2 and document["results"] == clean["results"]
    assert list(document["cinetrack"]["cases"]["A_001"]["observers"]) == ["bob"]
    for name, found in (("copy.mha", "no complete one"), ("255.mha", "found 0, 255"), ("short.mha", "found 5 frames")):
        assert re.search(rf"error: A_001: observer .* is left out: .*{name}: expected .*{found}", errors), errors
    assert len(document["cinetrack"]["failures"]) == 3


def test_labels_of_a_second_series_are_no_observer_of_the_first(predictions, dataset, moving_disc):
    folder, second = dataset / "A_001", shifted(moving_disc[1], 4, 0)
    shutil.copy(folder / "images/A_001_frames.mha", folder / "images/A_001_frames2.mha")
    write_masks(folder / "targets/A_001_labels2.mha", second, ImageGeometry.in_plane((1.5, 1.0)))
    write_prediction(predictions, "A_001_scan2", second, seconds=1)
    code, document = evaluate(predictions, dataset)
    assert code == 0 and document["cinetrack"]["human_ceiling"] is None
    assert [row["case_id"] for row in document["results"]] == ["A_001", "A_001_scan2", "B_002"]
    assert document["results"][1]["dice_similarity_coefficient"] == 1


def test_what_does_not_belong_together_is_not_inflated(predictions, dataset, moving_disc):
    path = dataset / "A_001/targets/A_001_labels.mha"
    header, data = path.read_bytes().split(b"LOCAL\n", 1)
    side = 50  # claimed; nothing of the kind follows, and to inflate it would end in another error
    path.write_bytes(re.sub(rb"DimSize = .*", b"DimSize = %d %d %d" % (side, side, side), header) + b"LOCAL\n" + data)
    code, document = evaluate(predictions, dataset)
    assert code == 2 and "truth's 50 x 50 x 50" in document["cinetrack"]["failures"][0]["error"]


def break_shape(predictions, dataset, masks):
    write_prediction(predictions, "A_001", masks[:5])


def break_prediction_missing(predictions, dataset, masks):
    (predictions / "A_001").rename(predictions / "Z_999")


def break_truth_missing(predictions, dataset, masks):
    (dataset / "A_001" / "targets" / "A_001_labels.mha").unlink()


def break_values(predictions, dataset, masks):
    path = predictions / "A_001/images/mri-linac-series-targets/output.mha"
    sitk.WriteImage(sitk.ReadImage(str(path)) * 3, str(path))


def break_file(predictions, dataset, masks):
    path = predictions / "A_001/images/mri-linac-series-targets/output.mha"
    path.write_bytes(path.read_bytes()[:-20])


def break_log(predictions, dataset, masks):
    (predictions / "A_001" / "prediction.json").write_text('{"seconds": {"total": "fast"}}')


def break_region(predictions, dataset, masks):
    (dataset / "A_001" / "scanned-region.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_shape, "A_001.*truth's 8 x 72 x 56 .*found 5 x 72 x 56"),
        (break_prediction_missing, "A_001.*expected a prediction for the labelled case A_001, found none"),
        (break_prediction_missing, "Z_999.*expected labels of case Z_999"),
        (break_truth_missing, "A_001.*expected labels of case A_001"),
        (break_values, "output.mha: expected a binary mask with values 0 and 1, found 0, 3"),
        (break_file, "output.mha: .*cut off"),
        (break_log, "prediction.json: expected seconds.total to be a positive number, found 'fast'"),
        (break_region, "scanned-region.json: expected a json file, found none"),
    ],
)
def test_a_bad_case_is_named_and_the_others_are_scored(predictions, dataset, moving_disc, capfd, damage, message):
    damage(predictions, dataset, moving_disc[1])
    code, document = evaluate(predictions, dataset)
    assert code == 2
    assert [row["case_id"] for row in document["results"]] == ["B_002"]
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert any(re.search(message, line) for line in errors), errors
    assert len(document["cinetrack"]["failures"]) == len(errors)


def test_when_no_case_can_be_scored_nothing_is_written(predictions, dataset, moving_disc, capfd):
    for case in find_cases(dataset):
        write_prediction(predictions, case.case_id, moving_disc[1][:5])
    code, document = evaluate(predictions, dataset)
    assert (code, document) == (2, {})
    assert "expected at least one case that can be scored" in capfd.readouterr().err


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_a_folder_without_predictions_is_reported(tmp_path, dataset, capfd, folder):
    (tmp_path / "empty").mkdir()
    assert evaluate(tmp_path / folder, dataset)[0] == 2
    assert f"{tmp_path / folder}: expected" in capfd.readouterr().err


@pytest.mark.parametrize("case_id", ["../../escaped", "/tmp/escaped", "..", "a/b"])
def test_a_record_cannot_name_a_case_outside_the_output(case_id, tmp_path):
    output = tmp_path / "output"
    (output / "images/mri-linac-series-targets").mkdir(parents=True)
    (output / "prediction.json").write_text(json.dumps({"case_id": case_id}))
    with pytest.raises(InputError, match="name of a folder"):
        find_predictions(output)


@pytest.mark.parametrize("command", ["overlay", "gate"])
@pytest.mark.parametrize("where", ["truth", "prediction"])
def test_masks_of_another_size_are_refused_before_they_are_inflated(dataset, tmp_path, command, where, capfd):
    predictions = tmp_path / "predictions"
    assert main(["predict", str(dataset), "-o", str(predictions), "--model", str(REPOSITORY / "resources/static")]) == 0
    packed = zlib.compressobj(9)
    data = b"".join(packed.compress(bytes(1 << 20)) for _ in range(200)) + packed.flush()
    folder = {"truth": dataset / "A_001/targets/A_001_labels.mha", "prediction": predictions / "A_001" / OUTPUT_FILE}
    folder[where].write_bytes(
        b"ObjectType = Image\nNDims = 3\nCompressedData = True\n"
        + f"CompressedDataSize = {len(data)}\nDimSize = 200 1024 1024\nElementType = MET_UCHAR\n".encode()
        + b"ElementDataFile = LOCAL\n"
        + data
    )
    arguments = {
        "overlay": [dataset / "A_001", "--prediction", predictions, "-o", tmp_path / "a.png"],
        "gate": [predictions, "--truth", dataset],
    }
    capfd.readouterr()
    tracemalloc.start()
    code = main([command, *map(str, arguments[command])])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    line = capfd.readouterr().err.splitlines()[-1]
    assert code == 2 and peak < 50e6 and "expected masks of" in line and "1024 x 1024 px" in line, line
