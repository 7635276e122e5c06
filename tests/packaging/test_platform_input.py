"""test/make_platform_input.py and test/check_output.py, the two ends of test/run_container.sh."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cinetrack.sequence import find_cases, read_input_folder
from cinetrack.sequence.grand_challenge import OUTPUT_FILE, write_output

REPOSITORY = Path(__file__).resolve().parents[2]


def run_script(name: str, *arguments: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, REPOSITORY / "test" / name, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def platform_input(dataset, tmp_path) -> Path:
    result = run_script("make_platform_input.py", dataset / "B_002", tmp_path / "input")
    assert result.returncode == 0, result.stderr
    return tmp_path / "input"


@pytest.fixture
def output(platform_input, moving_disc, tmp_path) -> Path:
    """The right answer: every frame's true mask."""
    write_output(tmp_path / "output", moving_disc[1], read_input_folder(platform_input).geometry)
    return tmp_path / "output"


def test_the_platform_input_holds_the_case_and_nothing_of_its_later_labels(platform_input, dataset):
    made = read_input_folder(platform_input)
    case = find_cases(dataset / "B_002")[0].read_case()
    assert np.array_equal(made.case.sequence.frames, case.case.sequence.frames)
    assert made.case.sequence.frames.dtype == case.case.sequence.frames.dtype
    assert np.array_equal(made.case.first_mask, case.case.first_mask)
    assert made.geometry == case.geometry
    assert (made.case.sequence.frame_rate_hz, made.case.sequence.field_strength_t) == (4.0, 1.5)
    assert made.case.sequence.region == "abdomen"
    assert len(list(platform_input.rglob("*.mha"))) == 2


def test_inputs_json_lists_every_socket_and_points_at_files_that_exist(platform_input):
    sockets = json.loads((platform_input / "inputs.json").read_text())
    assert {socket["socket"]["slug"] for socket in sockets} == {
        "mri-linac-series",
        "mri-linac-target",
        "frame-rate",
        "magnetic-field-strength",
        "scanned-region",
    }
    for socket in sockets:
        path = platform_input / socket["socket"]["relative_path"]
        if "image" in socket:
            assert (path / socket["image"]["name"]).is_file()
        else:
            assert json.loads(path.read_text()) == socket["value"]


def test_a_case_without_a_first_mask_is_refused(dataset, tmp_path):
    (dataset / "A_001/targets/A_001_first_label.mha").unlink()
    result = run_script("make_platform_input.py", dataset / "A_001", tmp_path / "input")
    assert result.returncode == 2
    assert "A_001_first_label.mha: expected the first-frame mask, found none" in result.stderr


def test_the_right_output_passes_the_check(platform_input, output):
    result = run_script("check_output.py", platform_input, output)
    assert result.returncode == 0, result.stderr


def changed(output: Path, change) -> None:
    """Rewrite the output's image as `change(image)` makes it."""
    path = output / OUTPUT_FILE
    sitk.WriteImage(change(sitk.ReadImage(str(path))), str(path), useCompression=True)


def moved(image: sitk.Image) -> sitk.Image:
    image.SetOrigin((1.0, 2.0, 3.0))
    return image


def stretched(image: sitk.Image) -> sitk.Image:
    image.SetSpacing((1.0, 1.0, 1.0))
    return image


def without_first_frame(image: sitk.Image) -> sitk.Image:
    masks = sitk.GetArrayFromImage(image)
    masks[..., 0] = 0
    blank = sitk.GetImageFromArray(masks)
    blank.CopyInformation(image)
    return blank


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda image: sitk.Cast(image, sitk.sitkInt16), "expected 8-bit unsigned integers"),
        (lambda image: image * 255, "expected values 0 and 1, found"),
        (lambda image: image[:-1], "expected the series' size"),
        (moved, "expected the series' origin"),
        (stretched, "expected the series' spacing"),
        (without_first_frame, "expected the given mask on frame 0"),
    ],
)
def test_a_wrong_output_is_named(platform_input, output, change, complaint):
    changed(output, change)
    result = run_script("check_output.py", platform_input, output)
    assert result.returncode == 1
    assert complaint in result.stderr


def test_a_stray_file_beside_the_output_is_named(platform_input, output):
    (output / "images/.output.half.mha").write_bytes(b"")
    result = run_script("check_output.py", platform_input, output)
    assert result.returncode == 1
    assert ".output.half.mha" in result.stderr


def test_a_missing_or_uncompressed_output_is_named(platform_input, output):
    path = output / OUTPUT_FILE
    sitk.WriteImage(sitk.ReadImage(str(path)), str(path), useCompression=False)
    assert "expected compressed data" in run_script("check_output.py", platform_input, output).stderr
    path.unlink()
    result = run_script("check_output.py", platform_input, output)
    assert result.returncode == 1
    assert "found nothing" in result.stderr
