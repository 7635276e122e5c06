"""A refiner within motion compensation, from `prepare --region` to a bundle: taught on what it sees in use."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from disc_dataset import FRAMES, PATIENTS, RESOURCES, plan, train
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from cinetrack.bundle import open_bundle
from cinetrack.bundle.loading import load_tracker
from cinetrack.cli.main import main
from cinetrack.evaluation.case_metrics import case_metrics
from cinetrack.evaluation.truth import read_truth
from cinetrack.pipeline.model import load_model
from cinetrack.pipeline.track_case import track_whole
from cinetrack.refinement import RefinedTracker
from cinetrack.refinement.window import FrameWindow
from cinetrack.refiner_training.dataset_folders import DatasetFolders, dataset_folders
from cinetrack.refiner_training.patient_folds import read_folds
from cinetrack.refiner_training.recorded_tracker import tracker_masks
from cinetrack.sequence import find_cases
from cinetrack.sequence.image_files import read_masks

REGISTRATION = ["--tracker", str(RESOURCES / "registration")]
OUTPUT = "images/mri-linac-series-targets/output.mha"


def prepare(discs: Path, output: Path, *options: str) -> int:
    return main(["refiner", "prepare", "--data", str(discs), "-o", str(output), *options])


@pytest.fixture(scope="module")
def in_place(discs, tmp_path_factory) -> DatasetFolders:
    """Fold 0 trained for a moment on registration's outlines, held still."""
    raw = tmp_path_factory.mktemp("in_place") / "nnUNet_raw"
    assert prepare(discs, raw, *REGISTRATION, "--region", "64") == 0
    plan(raw)
    train(raw, "--folds", "0", "--epochs", "1")
    return dataset_folders(raw)


@pytest.fixture(scope="module")
def in_place_bundle(in_place, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "in_place"
    options = ["--folds", "0", "--tile-step-size", "0.5", "--mirroring", "off", "--refiner-outline-weight", "2"]
    raw = str(in_place.raw_root)
    assert main(["refiner", "bundle", raw, *REGISTRATION, *options, "-o", str(folder)]) == 0
    return folder


def test_samples_are_what_the_refiner_is_fed_in_use(in_place, in_place_bundle, discs, monkeypatch):
    fed: list[np.ndarray] = []
    channels = FrameWindow.channels

    def record(window: FrameWindow) -> np.ndarray:
        fed.append(channels(window))
        return fed[-1]

    monkeypatch.setattr(FrameWindow, "channels", record)
    dataset = get_filenames_of_train_images_and_targets(str(in_place.raw))
    model = load_model(open_bundle(in_place_bundle), "cpu")
    assert isinstance(model.tracker.inner, RefinedTracker)
    compared = 0
    for files in find_cases(discs):
        fed.clear()
        track_whole(files.read_case().case, model.tracker, model.refiner)
        for index, shown in enumerate(fed, 1):
            stored, _ = NaturalImage2DIO().read_images(dataset[f"{files.case_id}__registration__{index:04d}"]["images"])
            np.testing.assert_array_equal(stored[:, 0], shown)
            compared += 1
    assert compared == len(dataset) == len(PATIENTS) * (FRAMES - 1)


def test_labels_are_held_still_with_the_frames(in_place, discs):
    for files in find_cases(discs):
        folder = in_place.raw / "labels" / files.case_id
        labels = np.stack([NaturalImage2DIO().read_seg(str(path))[0][0, 0] for path in sorted(folder.iterdir())]) > 0
        first, moving = labels[0], files.read_labels()
        overlaps = (labels & first).sum((1, 2)) / first.sum()
        drifting = (moving & moving[0]).sum((1, 2)) / moving[0].sum()
        assert labels.shape == (FRAMES, 64, 56) and overlaps[-1] > drifting[-1] + 0.1


def test_the_trackers_own_masks_are_kept_as_they_are_on_the_moving_frames(in_place, discs):
    tracker = load_tracker(RESOURCES / "registration")
    for files in find_cases(discs):
        path = in_place.raw / "tracked/registration" / f"{files.case_id}.mha"
        case = files.read_case().case
        np.testing.assert_array_equal(read_masks(path)[0], tracker_masks(case, tracker)[0])


def test_the_region_goes_from_the_dataset_to_the_bundle(in_place_bundle):
    spec = open_bundle(in_place_bundle).refiner
    assert (spec.region_px, spec.outline_weight, spec.window) == (64, 2.0, 5)


@pytest.mark.parametrize("region", [[], ["--refiner-region", "80"]])
def test_it_cannot_be_bundled_for_what_it_was_not_taught(in_place_bundle, tmp_path, capsys, region):
    model = str(in_place_bundle / "refiner")
    create = ["bundle", "create", *REGISTRATION, "--refiner", model, *region, "-o", str(tmp_path / "b")]
    assert main(create) == 2
    assert "expected a refiner region of 64 px, as it was taught" in capsys.readouterr().err


def test_cross_validation_runs_it_in_place(in_place, in_place_bundle, discs, tmp_path):
    raw = str(in_place.raw_root)
    options = ["--folds", "0", "--tile-step-size", "0.5", "--mirroring", "off", "--outline-weight", "none", "2"]
    command = ["refiner", "crossvalidate", raw, "--data", str(discs), "--device", "cpu", *options]
    assert main([*command, "--workers", "1", "-o", str(tmp_path)]) == 0
    ranking = json.loads((tmp_path / "crossvalidation.json").read_text())
    assert {candidate["outline_weight"] for candidate in ranking["candidates"]} == {None, 2.0}
    model, alone = load_model(open_bundle(in_place_bundle), "cpu"), load_tracker(RESOURCES / "registration")
    held_out = read_folds(in_place.raw / "folds.json", set(PATIENTS))[0]
    for files in find_cases(discs):
        if files.case_id in held_out:
            case = files.read_case().case
            for name, tracker in (("final_step_0.5_no_mirroring_outline_weight_2", model.tracker), ("tracker", alone)):
                written, _ = read_masks(tmp_path / "registration/fold_0" / name / files.case_id / OUTPUT)
                np.testing.assert_array_equal(written, track_whole(case, tracker).masks)


def test_a_bundles_own_refiner_in_place_is_left_out(in_place, in_place_bundle, discs, tmp_path):
    assert prepare(discs, tmp_path, "--tracker", str(in_place_bundle), "--region", "64") == 0
    for files in find_cases(discs):
        name = f"{files.case_id}.mha"
        found, _ = read_masks(tmp_path / "Dataset501_Refiner/tracked/in_place" / name)
        np.testing.assert_array_equal(found, read_masks(in_place.raw / "tracked/registration" / name)[0])


def test_moving_and_stilled_masks_do_not_mix(in_place, discs, tmp_path, capsys):
    raw = Path(shutil.copytree(in_place.raw_root, tmp_path / "nnUNet_raw"))
    assert prepare(discs, raw, *REGISTRATION) == 2
    assert "expected masks made with region_px None, found 64" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([*REGISTRATION, "--region", "64", "--window", "1"], "--window: expected 2 or more with --region, found 1"),
        ([*REGISTRATION, "--region", "9"], "region: expected a side of 64 px or more, found 9"),
        (
            ["--tracker", str(RESOURCES / "static"), "--region", "64"],
            "tracker: expected registration, or SAM2 with motion compensation, found static",
        ),
    ],
)
def test_what_cannot_be_held_still_is_refused(discs, tmp_path, capsys, options, message):
    assert prepare(discs, tmp_path, *options) == 2
    assert message in capsys.readouterr().err


def test_the_benchmark_of_settings_plays_the_stilled_masks(in_place_bundle, discs, tmp_path):
    output = tmp_path / "settings.json"
    options = ["--cases", "2", "--tile-step-sizes", "0.5", "--mirroring", "off", "--device", "cpu", "-o", str(output)]
    command = [sys.executable, "benchmarks/refiner_settings.py", "--model", str(in_place_bundle), "--data", str(discs)]
    subprocess.run([*command, *options], cwd=RESOURCES.parent, check=True, capture_output=True)
    alone, refined = json.loads(output.read_text())["rows"]
    model = load_model(open_bundle(in_place_bundle), "cpu")
    dice = []
    for files in list(find_cases(discs))[:2]:
        truth = read_truth(files)
        masks = track_whole(files.read_case().case, model.tracker).masks
        scores = case_metrics(masks, truth.masks, truth.region, truth.spacing_mm, truth.number_type).scores
        dice.append(scores["dice_similarity_coefficient"])
    assert refined["dice_similarity_coefficient"] == pytest.approx(np.mean(dice))
    assert refined["dice_similarity_coefficient"] != alone["dice_similarity_coefficient"]
    assert alone["tracking_s_per_frame"] > 0 and refined["refining_s_per_frame"] > 0
