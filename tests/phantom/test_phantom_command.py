"""The whole command: dataset layout, the same bytes whatever the workers, refusals, and the shipped example."""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cinetrack.phantom.dataset import case_generator, case_id, write_phantom_cases
from cinetrack.phantom.draws import PhantomRequest
from cinetrack.sequence.trackrad_dataset import find_cases

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def command(*arguments) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "cinetrack", "phantom", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, env=environment)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantom")
    result = command(folder, "--cases", 3, "--seed", 5, "--frames", 5, "--size", 130, 150, "--workers", 1)
    assert result.returncode == 0, result.stderr
    assert [json.loads(line)["frames"] for line in result.stdout.splitlines()] == [5, 5, 5]
    return folder


def test_cases_are_a_dataset_whose_first_label_is_frame_0_of_the_labels(written):
    cases = find_cases(written)
    assert [case.case_id for case in cases] == ["P5_0001", "P5_0002", "P5_0003"]
    for case in cases:
        loaded, labels = case.read_case().case, case.read_labels()
        assert loaded.sequence.frames.shape == labels.shape == (5, 130, 150)
        assert loaded.sequence.frames.dtype == np.uint16
        assert loaded.sequence.spacing_mm == (1.0, 1.0)
        assert loaded.sequence.field_strength_t in (0.35, 1.5)
        np.testing.assert_array_equal(loaded.first_mask, labels[0])


def test_parameters_and_known_displacement_lie_beside_each_case(written):
    for case in find_cases(written):
        described = json.loads((case.folder / "phantom.json").read_text())
        labels = case.read_labels()
        assert described["difficulty"] in ("easy", "middle", "hard")
        assert described["region"] == case.region()
        assert described["frame_rate_hz"] == case.frame_rate_hz()
        assert described["target_visible"] == labels.any(axis=(1, 2)).tolist()
        assert np.shape(described["displacement_mm"]) == (5, 2)
        assert described["motion"]["peak_displacement_mm"] <= 40


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(written, tmp_path):
    result = command(tmp_path / "again", "--cases", 3, "--seed", 5, "--frames", 5, "--size", 130, 150, "--workers", 2)
    assert result.returncode == 0, result.stderr
    assert digests(tmp_path / "again") == digests(written)
    assert len(digests(written)) == 3 * 7


def test_fewer_cases_of_a_seed_are_its_first_ones_and_another_seed_differs(written, tmp_path):
    request = PhantomRequest(frames=5, shape=(130, 150))
    list(write_phantom_cases(tmp_path / "one", 5, 1, request))
    list(write_phantom_cases(tmp_path / "other", 6, 1, request))
    expected = {name: digest for name, digest in digests(written).items() if name.startswith("P5_0001")}
    assert digests(tmp_path / "one") == expected
    assert not set(digests(tmp_path / "other").values()) & {expected["P5_0001/images/P5_0001_frames.mha"]}


def test_unlabelled_cases_have_the_same_frames_and_no_targets(written, tmp_path):
    result = command(tmp_path, "--cases", 1, "--seed", 5, "--frames", 5, "--size", 130, 150, "--unlabelled")
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "P5_0001" / "targets").exists()
    name = "P5_0001/images/P5_0001_frames.mha"
    assert digests(tmp_path)[name] == digests(written)[name]


def test_cases_of_a_seed_do_not_share_a_random_stream():
    assert case_id(5, 12) == "P5_0012"
    first, second = (case_generator(5, number).integers(0, 2**62, 4).tolist() for number in (1, 2))
    assert first != second


def test_a_fixed_field_region_and_difficulty_are_kept(tmp_path):
    request = PhantomRequest(
        frames=3, shape=(126, 140), field_strength_t=1.5, region="pelvis", difficulty="easy", frame_rate_hz=3.0
    )
    list(write_phantom_cases(tmp_path, 1, 1, request))
    described = json.loads((tmp_path / "P1_0001" / "phantom.json").read_text())
    assert (described["field_strength_t"], described["region"]) == (1.5, "pelvis")
    assert (described["difficulty"], described["frame_rate_hz"]) == ("easy", 3.0)


def test_targets_are_no_larger_than_asked_for(tmp_path):
    sized = ("--cases", 3, "--seed", 5, "--frames", 3, "--size", 130, 150)
    assert command(tmp_path / "small", *sized, "--largest-target", 16).returncode == 0
    described = [json.loads(path.read_text()) for path in sorted((tmp_path / "small").glob("*/phantom.json"))]
    assert len(described) == 3 and max(case["target"]["diameter_mm"] for case in described) <= 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cases", 0, "--seed", 1), "--cases: expected 1 or more, found 0"),
        (("--cases", 1, "--seed", -1), "--seed: expected 0 or more, found -1"),
        (("--cases", 1, "--seed", 1, "--frames", 1), "--frames: expected 2 or more, found 1"),
        (("--cases", 1, "--seed", 1, "--workers", 0), "--workers: expected 1 or more, found 0"),
        (("--cases", 1, "--seed", 1, "--size", 64, 64), "height_px: expected 125 to 400, found 64"),
        (("--cases", 1, "--seed", 1, "--frame-rate", 0), "frame_rate_hz: expected 1 to 8, found 0"),
        (("--cases", 1, "--seed", 1, "--randomised", 2), "randomised share: expected 0 to 1, found 2"),
        (("--cases", 1, "--seed", 1, "--field", 3), "argument --field"),
        (("--cases", 1, "--seed", 1, "--largest-target", 8), "largest target: expected 15.0 to 90.0 mm, found 8.0"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(tmp_path, arguments, message):
    result = command(tmp_path / "out", *arguments)
    assert result.returncode == 2 and message in result.stderr
    assert "Traceback" not in result.stderr and not list(tmp_path.rglob("*.mha"))


def test_a_run_goes_on_where_it_was_stopped(written, tmp_path):
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "P5_0002")
    kept = (tmp_path / "P5_0003/phantom.json").stat().st_mtime_ns
    for name in (".P5_0002.01234567.cinetrack-draft", ".P5_0003.89abcdef.cinetrack-draft"):  # of killed processes
        (tmp_path / name / "images").mkdir(parents=True)
    result = command(tmp_path, "--cases", 3, "--seed", 5, "--frames", 5, "--size", 130, 150, "--workers", 2)
    assert result.returncode == 0, result.stderr
    assert [Path(json.loads(line)["case"]).name for line in result.stdout.splitlines()] == [
        "P5_0001",
        "P5_0002",
        "P5_0003",
    ]
    assert digests(tmp_path) == digests(written) and len(list(tmp_path.iterdir())) == 3
    assert (tmp_path / "P5_0003/phantom.json").stat().st_mtime_ns == kept


@pytest.mark.parametrize("other", [("--frames", 6), ("--unlabelled",), ("--largest-target", 40), ("--field", 1.5)])
def test_cases_of_other_settings_are_neither_taken_nor_overwritten(written, other):
    before = digests(written)
    result = command(written, "--cases", 1, "--seed", 5, "--frames", 5, "--size", 130, 150, *other)
    assert result.returncode == 2 and "P5_0001: expected no such case yet, or one that was made" in result.stderr
    assert digests(written) == before


def test_an_existing_case_is_not_overwritten(written):
    before = digests(written)
    result = command(written, "--cases", 1, "--seed", 5, "--frames", 5)
    assert result.returncode == 2 and "P5_0001: expected no such case yet" in result.stderr
    assert digests(written) == before


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    result = command(tmp_path / "file", "--cases", 1, "--seed", 5)
    assert result.returncode == 2 and "expected a writable output folder" in result.stderr


def test_the_example_case_is_what_its_command_makes(tmp_path):
    lines = (EXAMPLES / "README.md").read_text().splitlines()
    words = shlex.split(next(line for line in lines if line.startswith("python -m cinetrack phantom")))
    assert words[4] == "examples/data"
    result = command(tmp_path, *words[5:])
    assert result.returncode == 0, result.stderr
    (shipped,), (made,) = find_cases(EXAMPLES / "data"), find_cases(tmp_path)
    assert shipped.case_id == made.case_id
    shipped_frames, made_frames = (case.read_sequence()[0].frames.astype(float) for case in (shipped, made))
    # Other versions of numpy, OpenCV or SciPy may round otherwise; bytes are compared only between equal versions,
    # above.
    assert np.abs(shipped_frames - made_frames).max() <= 2
    assert (shipped.read_labels() != made.read_labels()).mean() < 1e-4


def test_copying_the_first_mask_of_the_example_scores_clearly_worse_than_tracking():
    (example,) = find_cases(EXAMPLES / "data")
    labels = example.read_labels()
    overlap = (labels & labels[0]).sum(axis=(1, 2))
    dice = 2 * overlap / (labels.sum(axis=(1, 2)) + labels[0].sum())
    assert dice[1:].mean() < 0.75
    assert sum(path.stat().st_size for path in EXAMPLES.rglob("*") if path.is_file()) < 2.5e6
