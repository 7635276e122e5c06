"""A refiner that is a source, from `prepare --region` to a bundle: taught on what it is shown in use."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from disc_dataset import FRAMES, PATIENTS, RESOURCES, plan, train
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from cinetrack.bundle import open_bundle
from cinetrack.cli.main import main
from cinetrack.pipeline.model import load_model
from cinetrack.pipeline.track_case import track_whole
from cinetrack.refinement.window import FrameWindow
from cinetrack.refiner_training.dataset_folders import DatasetFolders, dataset_folders
from cinetrack.refiner_training.patient_folds import read_folds
from cinetrack.sequence import find_cases
from cinetrack.sequence.image_files import read_masks
from cinetrack.tracking.evidence.nnunet import NnunetSourceSettings
from cinetrack.tracking.evidence.outline import OutlineSettings
from cinetrack.tracking.prompts import MaskPrompt
from cinetrack.tracking.region import Region

REGISTRATION = ["--tracker", str(RESOURCES / "registration")]
STATIC = ["--tracker", str(RESOURCES / "static")]
OUTPUT = "images/mri-linac-series-targets/output.mha"


def prepare(discs: Path, output: Path, *options: str) -> int:
    return main(["refiner", "prepare", "--data", str(discs), "-o", str(output), *options])


def pngs(folder: Path) -> np.ndarray:
    return np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(folder.iterdir())])


@pytest.fixture(scope="module")
def in_region(discs, tmp_path_factory) -> DatasetFolders:
    """Fold 0 trained for a moment on stabilised frames and outlines."""
    raw = tmp_path_factory.mktemp("in_region") / "nnUNet_raw"
    assert prepare(discs, raw, *REGISTRATION, "--region", "64") == 0
    plan(raw)
    train(raw, "--folds", "0", "--epochs", "1")
    return dataset_folders(raw)


@pytest.fixture(scope="module")
def source_bundle(in_region, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "with_source"
    options = ["--folds", "0", "--tile-step-size", "0.5", "--mirroring", "off", "--outline-weight", "2"]
    raw = str(in_region.raw_root)
    assert main(["refiner", "bundle", raw, *REGISTRATION, *options, "-o", str(folder)]) == 0
    return folder


def test_samples_are_what_the_source_is_fed_in_use(in_region, source_bundle, discs, monkeypatch):
    fed: list[np.ndarray] = []
    channels = FrameWindow.channels

    def record(window: FrameWindow) -> np.ndarray:
        fed.append(channels(window))
        return fed[-1]

    monkeypatch.setattr(FrameWindow, "channels", record)
    dataset = get_filenames_of_train_images_and_targets(str(in_region.raw))
    model = load_model(open_bundle(source_bundle), "cpu")
    compared = 0
    for files in find_cases(discs):
        fed.clear()
        track_whole(files.read_case().case, model.chain)
        for index, shown in enumerate(fed, 1):
            stored, _ = NaturalImage2DIO().read_images(dataset[f"{files.case_id}__registration__{index:04d}"]["images"])
            np.testing.assert_array_equal(stored[:, 0], shown)
            compared += 1
    assert compared == len(dataset) == len(PATIENTS) * (FRAMES - 1)


def test_every_mask_is_the_outline_in_the_targets_surroundings(in_region, discs):
    for files in find_cases(discs):
        outline = files.read_case().case.first_mask
        region = Region.around(MaskPrompt(outline), 64, outline.shape)
        masks = pngs(in_region.raw / "masks/registration" / files.case_id)
        assert masks.shape == (FRAMES, 64, 56)
        np.testing.assert_array_equal(masks, np.repeat(region.cut(outline)[None], FRAMES, axis=0))


def test_labels_are_stabilised_with_the_frames(in_region, discs):
    for files in find_cases(discs):
        labels = pngs(in_region.raw / "labels" / files.case_id) > 0
        first, moving = labels[0], files.read_labels()
        overlaps = (labels & first).sum((1, 2)) / first.sum()
        drifting = (moving & moving[0]).sum((1, 2)) / moving[0].sum()
        assert labels.shape == (FRAMES, 64, 56) and overlaps[-1] > drifting[-1] + 0.1


def test_the_region_goes_from_the_dataset_to_the_bundle(source_bundle):
    method = open_bundle(source_bundle).method
    nnunet = NnunetSourceSettings(window=5, tile_step_size=0.5, mirroring=False, region_px=64)
    assert method.sources == (OutlineSettings(2.0), nnunet)


@pytest.mark.parametrize("region", [[], ["--refiner-region", "80"]])
def test_it_cannot_be_bundled_for_what_it_was_not_taught(source_bundle, tmp_path, capsys, region):
    model = str(source_bundle / "refiner")
    create = ["bundle", "create", *REGISTRATION, "--refiner", model, *region, "-o", str(tmp_path / "b")]
    assert main(create) == 2
    assert "expected a refiner region of 64 px, as it was taught" in capsys.readouterr().err


def test_it_cannot_be_bundled_with_frames_as_they_are(in_region, tmp_path, capsys):
    command = ["refiner", "bundle", str(in_region.raw_root), *STATIC, "--folds", "0", "-o", str(tmp_path / "b")]
    assert main(command) == 2
    assert "expected nnunet with stabilisation only" in capsys.readouterr().err and not (tmp_path / "b").exists()


def test_cross_validation_runs_it_as_a_source(in_region, source_bundle, discs, tmp_path):
    raw = str(in_region.raw_root)
    options = ["--folds", "0", "--tile-step-size", "0.5", "--mirroring", "off", "--outline-weight", "none", "2"]
    command = ["refiner", "crossvalidate", raw, "--data", str(discs), "--device", "cpu", *options]
    assert main([*command, "--workers", "1", "-o", str(tmp_path)]) == 0
    ranking = json.loads((tmp_path / "crossvalidation.json").read_text())
    assert {candidate["outline_weight"] for candidate in ranking["candidates"]} == {None, 2.0}
    bundle, alone = open_bundle(source_bundle), open_bundle(RESOURCES / "registration")
    # None is the tracker's own outline, of weight 1, beside the refiner.
    sources = (OutlineSettings(1.0), *bundle.method.sources[1:])
    models = {
        "tracker": load_model(alone, "cpu"),
        "final_step_0.5_no_mirroring_outline_weight_2": load_model(bundle, "cpu"),
        "final_step_0.5_no_mirroring": load_model(bundle, "cpu", dataclasses.replace(bundle.method, sources=sources)),
    }
    held_out = read_folds(in_region.raw / "folds.json", set(PATIENTS))[0]
    for files in find_cases(discs):
        if files.case_id in held_out:
            case = files.read_case().case
            for name, model in models.items():
                written, _ = read_masks(tmp_path / "registration/fold_0" / name / files.case_id / OUTPUT)
                np.testing.assert_array_equal(written, track_whole(case, model.chain).masks)


def test_an_outline_weight_needs_a_refiner_with_a_region(trained, discs, tmp_path, capsys):
    raw = str(trained.raw_root)
    wanted = "outline weight: expected none for a refiner without a region, found 2"
    command = ["refiner", "crossvalidate", raw, "--data", str(discs), "-o", str(tmp_path / "cv")]
    assert main([*command, "--outline-weight", "2"]) == 2
    assert wanted in capsys.readouterr().err
    bundle = ["refiner", "bundle", raw, *REGISTRATION, "--folds", "0", "--outline-weight", "2"]
    assert main([*bundle, "-o", str(tmp_path / "b")]) == 2
    assert wanted in capsys.readouterr().err


def test_a_bundles_own_refiner_makes_no_difference_to_what_another_is_taught(in_region, source_bundle, discs, tmp_path):
    assert prepare(discs, tmp_path, "--tracker", str(source_bundle), "--region", "64") == 0
    for case in PATIENTS:
        found = pngs(tmp_path / "Dataset501_Refiner/masks/with_source" / case)
        np.testing.assert_array_equal(found, pngs(in_region.raw / "masks/registration" / case))


def test_whole_and_stabilised_frames_do_not_mix(in_region, discs, tmp_path, capsys):
    raw = Path(shutil.copytree(in_region.raw_root, tmp_path / "nnUNet_raw"))
    assert prepare(discs, raw, *REGISTRATION) == 2
    assert "expected masks made with region_px None, found 64" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([*REGISTRATION, "--region", "64", "--window", "1"], "--window: expected 2 or more with --region, found 1"),
        (
            [*REGISTRATION, *STATIC, "--region", "64"],
            f"--region: expected trackers that stabilise frames, found {RESOURCES / 'static'}, which does not",
        ),
    ],
)
def test_what_cannot_be_stabilised_is_refused(discs, tmp_path, capsys, options, message):
    assert prepare(discs, tmp_path / "raw", *options) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "raw").exists()


def test_of_the_folds_trackers_each_must_stabilise(discs, tmp_path, capsys):
    folds = tmp_path / "folds.json"
    assert main(["refiner", "split", "--data", str(discs), "-o", str(folds)]) == 0
    trackers = [str(RESOURCES / name) for name in ("registration",) * 4 + ("static",)]
    chosen = [word for folder in trackers for word in ("--fold-model", folder)]
    assert prepare(discs, tmp_path / "raw", *chosen, "--folds", str(folds), "--region", "64") == 2
    assert "expected trackers that stabilise frames, found" in capsys.readouterr().err
