"""Whole commands on small real files: inference.py, cinetrack predict, cinetrack bundle."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cinetrack.cli.main import COMMANDS, main
from cinetrack.sequence.image_files import read_masks

ROOT = Path(__file__).resolve().parents[2]
REGISTRATION = str(ROOT / "resources/registration")


def infer(folder: Path, output: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "inference.py"), "--input", str(folder), "--output", str(output), *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("bundle", ["default", "registration", "static"])
def test_inference_writes_the_platforms_output_and_says_what_ran(bundle, platform_input, moving_disc, tmp_path):
    done = infer(platform_input, tmp_path / "output", "--model", str(ROOT / "resources" / bundle))
    assert done.returncode == 0, done.stderr
    for word in ("case:", "bundle:", "device:", "precision:", "loading:", "outline:", "fusion:", "writing:"):
        assert word in done.stdout
    assert "peak memory:" in done.stdout and "per frame:" in done.stdout
    path = tmp_path / "output/images/mri-linac-series-targets/output.mha"
    assert [p for p in (tmp_path / "output").rglob("*") if p.is_file()] == [path]
    image = sitk.ReadImage(str(path))
    series = sitk.ReadImage(str(platform_input / "images/mri-linacs/series.mha"))
    assert image.GetPixelID() == sitk.sitkUInt8 and image.GetSize() == series.GetSize()
    assert (image.GetSpacing(), image.GetOrigin(), image.GetDirection()) == (
        series.GetSpacing(),
        series.GetOrigin(),
        series.GetDirection(),
    )
    masks, _ = read_masks(path)  # refuses values other than 0 and 1
    np.testing.assert_array_equal(masks[0], moving_disc[1][0])
    assert masks.any(axis=(1, 2)).all()


def test_the_default_bundles_log_says_how_to_supply_ones_own(platform_input, tmp_path):
    done = infer(platform_input, tmp_path / "output", "--device", "cpu")
    assert "fetch_sam2.sh" in done.stdout and "cinetrack bundle create" in done.stdout


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def header(old: bytes, new: bytes):
    def damage(folder: Path) -> None:
        path = folder / "images/mri-linacs/series.mha"
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new, 1))

    return damage


def series(array: np.ndarray, name: str = "series.mha"):
    def replace(folder: Path) -> None:
        (folder / "images/mri-linacs/series.mha").unlink()
        sitk.WriteImage(sitk.GetImageFromArray(array), str(folder / "images/mri-linacs" / name))

    return replace


def mask(array: np.ndarray):
    return lambda f: sitk.WriteImage(sitk.GetImageFromArray(array), str(f / "images/mri-linac-target/target.mha"))


def cut_tif(folder: Path) -> None:
    series(np.random.default_rng(0).random((72, 56, 8)).astype(np.float32), "series.tif")(folder)
    truncate(folder / "images/mri-linacs/series.tif")


def one_nan_and_an_empty_mask(folder: Path) -> None:
    array = np.ones((72, 56, 8), np.float32)
    array[0, 0, 0] = np.nan
    series(array)(folder)
    mask(np.zeros((72, 56, 1), np.uint8))(folder)


def rgb(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((8, 72, 56, 3), np.uint8), isVector=True), str(path))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda f: shutil.rmtree(f), "input"),
        (lambda f: shutil.rmtree(f / "images/mri-linacs"), "mri-linacs"),
        (lambda f: (f / "images/mri-linacs/series.mha").unlink(), "mri-linacs"),
        (lambda f: (f / "images/mri-linacs/series.mha").write_bytes(b""), "series.mha"),
        (lambda f: (f / "images/mri-linacs/series.mha").write_text("text"), "series.mha"),
        (lambda f: truncate(f / "images/mri-linacs/series.mha"), "series.mha"),
        (lambda f: rgb(f / "images/mri-linacs/series.mha"), "series.mha"),
        (lambda f: shutil.copy(f / "images/mri-linacs/series.mha", f / "images/mri-linacs/b.mha"), "mri-linacs"),
        (
            lambda f: shutil.copy(f / "images/mri-linacs/series.mha", f / "images/mri-linac-target/target.mha"),
            "target.mha",
        ),
        (lambda f: (f / "frame-rate.json").unlink(), "frame-rate.json"),
        (lambda f: (f / "frame-rate.json").write_text("0"), "frame-rate.json"),
        (lambda f: (f / "b-field-strength.json").write_text('"0.35"'), "b-field-strength.json"),
        (lambda f: (f / "scanned-region.json").write_text("[]"), "scanned-region.json"),
        (lambda f: (f / "scanned-region.json").write_text('"\\ud800"'), "scanned-region.json"),
        (lambda f: (f / "frame-rate.json").write_text("9" * 5000), "frame-rate.json"),
        (header(b"NDims = 3", b"NDims = 99"), "series.mha"),
        (header(b"NDims = 3", b"NDims = -3"), "series.mha"),
        (header(b"DimSize = 8", b"DimSize = 0"), "DimSize"),
        (header(b"DimSize = 8 ", b"DimSize = "), "DimSize"),
        (header(b"MET_USHORT", b"MET_STRING"), "series.mha"),
        (header(b"BinaryData = True", b"BinaryData = False"), "series.mha"),
        (header(b"CompressedDataSize = ", b"CompressedDataSize = 1"), "series.mha"),
        (header(b"CompressedDataSize = ", b"Comment = "), "CompressedDataSize"),
        (series(np.zeros((72, 56), np.uint8)), "series.mha"),
        (series(np.full((72, 56, 8), np.nan, np.float32)), "series.mha"),
        (cut_tif, "series.tif"),
        (mask(np.zeros((72, 56, 1), np.uint8)), "target.mha"),
        (mask(np.ones((56, 72, 1), np.uint8)), "target.mha"),
        (one_nan_and_an_empty_mask, "target.mha"),
    ],
)
def test_bad_input_is_one_line_exit_code_2_and_no_output(damage, named, platform_input, tmp_path):
    damage(platform_input)
    done = infer(platform_input, tmp_path / "output", "--model", REGISTRATION)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and len(done.stderr.strip().splitlines()) == 1
    for word in (named, "expected", "found"):
        assert word in done.stderr
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    "replacement",
    [
        series(np.full((72, 56, 8), 7, np.uint8)),  # nothing to see
        series(np.random.default_rng(0).random((72, 56, 8)).astype(np.float32), "series.tif"),
        series(np.random.default_rng(0).random((72, 56, 1)).astype(np.float32)),  # nothing to track
        series(np.random.default_rng(0).random((72, 56, 8)).astype(np.float32), "SERIES.mha"),
        lambda f: (f / "images/mri-linacs/series.mha").rename(f / "images/mri-linacs/SERIES.MHA"),
        lambda f: (f / "images/mri-linacs/folder.mha").mkdir(),
    ],
)
def test_unusual_but_usable_series_are_tracked(replacement, platform_input, tmp_path):
    replacement(platform_input)
    done = infer(platform_input, tmp_path / "output", "--model", REGISTRATION)
    assert done.returncode == 0 and done.stderr == "", done.stderr


@pytest.mark.parametrize("output", ["file", "file/below"])
def test_an_output_that_cannot_be_written_is_bad_input(output, platform_input, tmp_path):
    (tmp_path / "file").touch()
    done = infer(platform_input, tmp_path / output, "--model", REGISTRATION)
    assert done.returncode == 2 and "writable output folder" in done.stderr and len(done.stderr.splitlines()) == 1


def test_an_earlier_output_does_not_pass_for_a_bad_cases(platform_input, tmp_path):
    assert infer(platform_input, tmp_path / "output", "--model", REGISTRATION).returncode == 0
    truncate(platform_input / "images/mri-linacs/series.mha")
    assert infer(platform_input, tmp_path / "output", "--model", REGISTRATION).returncode == 2
    assert not list((tmp_path / "output").rglob("*.mha"))


def test_an_absent_device_or_bundle_is_bad_input(platform_input, tmp_path):
    done = infer(platform_input, tmp_path / "output", "--device", "cuda:99")
    assert done.returncode == 2 and "cuda:99" in done.stderr
    done = infer(platform_input, tmp_path / "output", "--model", str(tmp_path / "nowhere"))
    assert done.returncode == 2 and "nowhere/bundle.json" in done.stderr


def test_predict_tracks_a_dataset_and_records_what_it_did(dataset, tmp_path):
    assert main(["predict", str(dataset), "-o", str(tmp_path / "out"), "--model", REGISTRATION]) == 0
    for case in ("A_001", "B_002"):
        folder = tmp_path / "out" / case
        masks, _ = read_masks(folder / "images/mri-linac-series-targets/output.mha")
        record = json.loads((folder / "prediction.json").read_text())
        assert record["case_id"] == case and record["tracker"] == "registration"
        assert record["frame_count"] == len(masks) == len(record["frames"]["object_score"]) == 8
        seconds = record["seconds"]
        assert list(seconds["stages"]) == ["stabilisation", "outline", "fusion", "hole filling"]
        parts = [seconds["loading"], *seconds["stages"].values(), seconds["writing"]]
        assert sum(parts) == pytest.approx(seconds["total"]) and min(parts) >= 0


def test_predict_passes_over_finished_cases_and_takes_up_the_others(dataset, tmp_path, capsys):
    arguments = ["predict", str(dataset), "-o", str(tmp_path / "out"), "--model", REGISTRATION]
    assert main(arguments) == 0
    outputs = {
        case: tmp_path / "out" / case / "images/mri-linac-series-targets/output.mha" for case in ("A_001", "B_002")
    }
    kept = outputs["A_001"].stat().st_mtime_ns
    (tmp_path / "out/B_002/prediction.json").unlink()  # as if stopped between the masks and the record
    written = outputs["B_002"].stat().st_mtime_ns
    assert main(arguments) == 0
    assert outputs["A_001"].stat().st_mtime_ns == kept
    assert outputs["B_002"].stat().st_mtime_ns > written


def test_predictions_of_two_bundles_do_not_mix(dataset, tmp_path, capsys):
    arguments = ["predict", str(dataset), "-o", str(tmp_path / "out"), "--model"]
    assert main([*arguments, REGISTRATION]) == 0
    assert main([*arguments, str(ROOT / "resources/static")]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*arguments, str(ROOT / "resources/static"), "--overwrite"]) == 0


def test_one_bad_case_does_not_stop_the_others(dataset, tmp_path, capsys):
    (dataset / "A_001/frame-rate.json").write_text("-4")
    assert main(["predict", str(dataset), "-o", str(tmp_path / "out"), "--model", REGISTRATION]) == 2
    assert "error: A_001" in capsys.readouterr().err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["B_002"]


@pytest.mark.parametrize("names", [("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")])
def test_processes_share_the_cases_without_overlap(dataset, tmp_path, monkeypatch, names):
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    found = []
    for rank in ("0", "1", "2"):
        monkeypatch.setenv(names[0], rank)
        monkeypatch.setenv(names[1], "3")
        out = tmp_path / rank
        assert main(["predict", str(dataset), "-o", str(out), "--model", REGISTRATION]) == 0
        found += [p.name for p in out.iterdir()] if out.exists() else []
    assert sorted(found) == ["A_001", "B_002"]


def test_a_batch_script_without_srun_does_all_the_cases(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    assert main(["predict", str(dataset), "-o", str(tmp_path / "out"), "--model", REGISTRATION]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["A_001", "B_002"]


@pytest.mark.parametrize(
    "values", [{"WORLD_SIZE": "2"}, {"RANK": "x", "WORLD_SIZE": "2"}, {"RANK": "2", "WORLD_SIZE": "2"}]
)
def test_a_shard_that_cannot_be_is_bad_input(values, dataset, tmp_path, monkeypatch):
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert main(["predict", str(dataset), "-o", str(tmp_path / "out"), "--model", REGISTRATION]) == 2


def test_a_record_without_its_masks_is_not_done(dataset, tmp_path):
    arguments = ["predict", str(dataset), "-o", str(tmp_path / "out"), "--model", REGISTRATION]
    assert main(arguments) == 0
    shutil.rmtree(tmp_path / "out/A_001/images")
    assert main(arguments) == 0
    assert (tmp_path / "out/A_001/images/mri-linac-series-targets/output.mha").exists()


def test_predict_takes_a_platform_input_folder(platform_input, tmp_path):
    assert main(["predict", str(platform_input), "-o", str(tmp_path / "out"), "--model", REGISTRATION]) == 0
    assert (tmp_path / "out/input/prediction.json").exists()


def test_bundle_create_and_check(tmp_path, capsys):
    default = ROOT / "resources/default"
    create = ["bundle", "create", "--tracker", str(default / "tracker.pt"), "-o", str(tmp_path / "b")]
    assert main(create) == 2  # the name does not tell the configuration
    assert main([*create, "--tracker-config", str(default / "tracker.yaml")]) == 0
    assert main(["bundle", "check", str(tmp_path / "b")]) == 0
    assert "(frames as they are, sam2, then fill_holes)" in capsys.readouterr().out
    assert main(["bundle", "check", str(tmp_path)]) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit, match="^0$"):
        main([command, "--help"])
    assert f"usage: cinetrack {command}" in capsys.readouterr().out
