"""`cinetrack refiner prepare`: samples are what the refiner will see, stored once, made once, by the right tracker."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from disc_dataset import FRAMES, RESOURCES
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from cinetrack.bundle import open_bundle
from cinetrack.bundle.assembly import create_bundle
from cinetrack.cli.main import main
from cinetrack.pipeline.model import load_model
from cinetrack.pipeline.track_case import track
from cinetrack.refinement.window import FrameWindow
from cinetrack.refiner_training import preparation
from cinetrack.refiner_training.patient_folds import check_splits
from cinetrack.sequence import CineSequence, find_cases
from cinetrack.sequence.trackrad_dataset import write_case

REGISTRATION, STATIC = (str(RESOURCES / name) for name in ("registration", "static"))


def prepare(data: Path, output: Path, *options: str, tracker: str = REGISTRATION) -> int:
    trackers = ["--tracker", tracker] if tracker else []
    return main(["refiner", "prepare", "--data", str(data), *trackers, "-o", str(output), *options])


def samples_as_nnunet_finds_them(raw: Path) -> dict:
    return get_filenames_of_train_images_and_targets(str(raw))


@pytest.mark.parametrize("window", [1, 5, 10, 15])
def test_nnunets_reader_gives_exactly_what_the_refiner_is_fed(discs, tmp_path, window):
    assert prepare(discs, tmp_path, "--window", str(window)) == 0
    dataset = samples_as_nnunet_finds_them(tmp_path / "Dataset501_Refiner")
    bundle = open_bundle(RESOURCES / "registration")
    chain = load_model(bundle, "cpu", replace(bundle.method, postprocessing=())).chain
    seen = 0
    for files in find_cases(discs):
        case, labels = files.read_case().case, files.read_labels()
        for index, frame in enumerate(track(case, chain)):
            image = case.sequence.frames[index]
            if index == 0:
                fed = FrameWindow(window, image, case.first_mask)
                continue
            fed.append(image, frame.result.mask)
            sample = dataset[f"{files.case_id}__registration__{index:04d}"]
            channels, _ = NaturalImage2DIO().read_images(sample["images"])
            np.testing.assert_array_equal(channels[:, 0], fed.channels())
            truth, _ = NaturalImage2DIO().read_seg(sample["label"])
            np.testing.assert_array_equal(truth[0, 0], labels[index])
            seen += 1
    assert seen == len(dataset) == 6 * (FRAMES - 1)


def test_a_frame_is_stored_once_whatever_the_window_and_the_trackers(prepared):
    raw = prepared.raw
    for kind in ("frames", "labels", "masks/registration", "masks/static"):
        assert len(list((raw / kind).rglob("*.png"))) == 6 * FRAMES
    assert len(list(raw.rglob("*.png"))) == 4 * 6 * FRAMES


def test_dataset_json_is_the_papers(prepared):
    dataset = json.loads((prepared.raw / "dataset.json").read_text())
    assert dataset["channel_names"] == {str(i): ("raw_image", "suggested_mask")[i % 2] for i in range(10)}
    assert dataset["labels"] == {"background": 0, "lesion": 1} and dataset["file_ending"] == ".png"
    assert dataset["numTraining"] == len(dataset["dataset"]) == 2 * 6 * 3
    assert all(name.startswith(("A_", "B_", "C_")) for name in dataset["dataset"])


def test_a_patient_is_on_one_side_whatever_the_tracker(prepared):
    samples = json.loads((prepared.raw / "samples.json").read_text())
    patient_of = {name: sample["patient"] for name, sample in samples.items()}
    path = prepared.raw / "splits_final.json"
    splits = json.loads(path.read_text())
    check_splits(path, splits, patient_of)
    assert len(splits) == 5
    for split in splits:
        held_out = {patient_of[name] for name in split["val"]}
        trackers = {(samples[name]["patient"], samples[name]["tracker"]) for name in split["val"]}
        assert trackers == {(patient, tracker) for patient in held_out for tracker in ("registration", "static")}


def test_finished_cases_are_not_tracked_again_and_a_wider_window_costs_nothing(discs, tmp_path, monkeypatch):
    assert prepare(discs, tmp_path) == 0
    monkeypatch.setattr(preparation, "prepare_case", lambda *_: pytest.fail("tracked again"))
    assert prepare(discs, tmp_path, "--window", "3", "--every", "3") == 0
    dataset = json.loads((tmp_path / "Dataset501_Refiner/dataset.json").read_text())
    assert len(dataset["channel_names"]) == 6 and dataset["numTraining"] == 6 * 2


def test_shards_share_the_work_and_the_last_one_writes_the_dataset(discs, tmp_path, capsys):
    raw = tmp_path / "Dataset501_Refiner"
    assert prepare(discs, tmp_path, "--shard", "0/2") == 0
    assert "3 cases are still to be tracked" in capsys.readouterr().err
    assert not (raw / "dataset.json").exists()
    assert prepare(discs, tmp_path, "--shard", "1/2") == 0
    assert json.loads((raw / "dataset.json").read_text())["numTraining"] == 6 * (FRAMES - 1)


def test_one_bad_case_is_named_and_the_others_are_done(discs, tmp_path, capsys):
    data = Path(shutil.copytree(discs, tmp_path / "data"))
    (data / "B_003/targets/B_003_first_label.mha").unlink()
    assert prepare(data, tmp_path / "raw") == 2
    assert "B_003_first_label.mha: expected the first-frame mask" in capsys.readouterr().err
    raw = tmp_path / "raw/Dataset501_Refiner"
    assert len(list((raw / "tracked/registration").glob("*.json"))) == 5 and not (raw / "dataset.json").exists()


def test_labels_of_another_length_are_refused(discs, tmp_path, capsys):
    data = Path(shutil.copytree(discs, tmp_path / "data"))
    shutil.copy(data / "A_001/targets/A_001_first_label.mha", data / "A_001/targets/A_001_labels.mha")
    assert prepare(data, tmp_path / "raw") == 2
    assert "A_001_labels.mha: expected labels of shape (7, 72, 56), found (1, 72, 56)" in capsys.readouterr().err


def test_a_dataset_without_labels_is_refused(discs, tmp_path, capsys):
    frames = np.zeros((3, 20, 20), np.uint8)
    write_case(tmp_path / "bare", "U_001", CineSequence(frames, (1.0, 1.0), 4.0, 0.35, "thorax"), None)
    assert prepare(tmp_path / "bare", tmp_path / "raw") == 2
    assert "bare: expected cases with targets/<patient>_labels.mha, found none" in capsys.readouterr().err


def test_two_datasets_with_cases_of_one_name_are_refused(discs, tmp_path, capsys):
    shutil.copytree(discs / "A_001", tmp_path / "other/A_001")
    assert prepare(discs, tmp_path / "raw", "--data", str(tmp_path / "other")) == 2
    assert "expected each case once, found A_001 in" in capsys.readouterr().err


def test_masks_of_two_bundles_of_one_name_do_not_mix(discs, tmp_path, capsys):
    assert prepare(discs, tmp_path / "raw") == 0
    other = create_bundle(tmp_path / "other", STATIC, name="registration")
    assert prepare(discs, tmp_path / "raw", tracker=str(other.folder)) == 2
    assert "A_001.json: expected masks made with bundle_fingerprint" in capsys.readouterr().err
    assert prepare(discs, tmp_path / "raw", "--perturb", "0.5") == 2
    assert "expected masks made with perturb 0.5, found 0.0" in capsys.readouterr().err
    assert prepare(discs, tmp_path / "raw", "--perturb", "0.5", "--overwrite") == 0


def test_perturbed_masks_are_samples_and_the_order_of_work_does_not_matter(discs, tmp_path):
    raws = [tmp_path / name / "Dataset501_Refiner" for name in ("whole", "parts", "own")]
    assert prepare(discs, raws[2].parent) == 0
    assert prepare(discs, raws[0].parent, "--perturb", "0.5", "--seed", "3") == 0
    for shard in ("1/2", "0/2"):
        assert prepare(discs, raws[1].parent, "--perturb", "0.5", "--seed", "3", "--shard", shard) == 0
    changed = total = 0
    for path in sorted((raws[0] / "masks/registration").rglob("*.png")):
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        twin = cv2.imread(str(raws[1] / path.relative_to(raws[0])), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(mask, twin)
        own = cv2.imread(str(raws[2] / path.relative_to(raws[0])), cv2.IMREAD_UNCHANGED)
        changed += (mask != own).any()
        total += 1
        assert path.stem != "0000" or (mask == own).all()
    assert changed == pytest.approx(0.5 * total * (FRAMES - 1) / FRAMES, abs=0.1 * total)


def test_a_patients_masks_come_from_the_tracker_that_did_not_see_the_patient(discs, tmp_path, capsys):
    folds = tmp_path / "folds.json"
    assert main(["refiner", "split", "--data", str(discs), "-o", str(folds)]) == 0
    # Trackers of two kinds, so that it shows whose mask it is.
    bundles = [create_bundle(tmp_path / f"fold{n}", "registration" if n % 2 else "static").folder for n in range(5)]
    chosen = [word for folder in bundles for word in ("--fold-model", str(folder))]
    assert prepare(discs, tmp_path / "raw", *chosen, tracker="") == 2
    assert "--fold-model: expected --folds-file" in capsys.readouterr().err
    assert prepare(discs, tmp_path / "raw", *chosen[2:], "--folds-file", str(folds), tracker="") == 2
    assert "one bundle for each of 5 folds, found 4" in capsys.readouterr().err
    assert prepare(discs, tmp_path / "raw", *chosen, "--folds-file", str(folds), tracker="") == 0
    raw = tmp_path / "raw/Dataset501_Refiner"
    for number, held_out in enumerate(json.loads(folds.read_text())["held_out"]):
        for patient in held_out:
            record = json.loads((raw / f"tracked/out-of-fold/{patient}.json").read_text())
            assert record["bundle_fingerprint"] == open_bundle(bundles[number]).fingerprint
            paths = sorted((raw / f"masks/out-of-fold/{patient}").iterdir())
            masks = np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths])
            assert (masks == masks[:1]).all() == (number % 2 == 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shard", "2/2"], "--shard: expected I/N"),
        (["--dataset-id", "1000"], "a number from 1 to 999"),
        (["--tracker", REGISTRATION], "different names, found registration twice"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(discs, tmp_path, capsys, options, message):
    assert prepare(discs, tmp_path / "raw", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "raw").exists()
