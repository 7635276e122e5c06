"""Data that cannot be trained on is refused in one line, with exit code 2, before any training."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny import disc_case, write_disc_dataset, write_objects

from cinetrack.sequence import CineSequence
from cinetrack.sequence.trackrad_dataset import write_case


def test_no_source_of_clips(refused):
    assert "expected --data with a dataset, or --phantom-clips, found neither" in refused()


def test_a_folder_that_is_no_dataset(refused, tmp_path):
    assert "nowhere: expected a TrackRAD2025 dataset" in refused(data=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "empty: expected patient folders" in refused(data=tmp_path / "empty")


def test_no_labelled_case(refused, tmp_path):
    series = CineSequence(disc_case(0)[0], (1, 1), 4.0, 0.35, "thorax")
    write_case(tmp_path / "data", "U", series, None)
    assert "data: expected a case with labels of every frame, or pseudo-labels, found none" in refused(
        data=tmp_path / "data"
    )


@pytest.mark.parametrize("shape", [(6, 56, 72), (5, 72, 56)])
def test_labels_of_another_shape(shape, refused, discs):
    write_objects(discs / "D_000/targets/D_000_labels.mha", np.ones(shape))
    line = refused("--val-share", "0", data=discs)
    assert f"D_000_labels.mha: expected masks of the (6, 72, 56) frames of D_000_frames.mha, found {shape}" in line


def test_labels_of_another_shape_in_a_case_to_validate_with(refused, discs, tmp_path):
    held = write_disc_dataset(tmp_path / "held", 1, first=5)
    write_objects(held / "D_005/targets/D_005_labels.mha", np.ones((5, 72, 56)))
    line = refused("--val-data", held, data=discs)
    assert "D_005_labels.mha: expected masks of the (6, 72, 56) frames of D_005_frames.mha, found (5, 72, 56)" in line


def test_a_case_to_validate_with_that_cannot_be_scored(refused, discs, tmp_path):
    held = write_disc_dataset(tmp_path / "held", 1, first=5)
    objects = np.zeros((6, 72, 56))
    objects[0, 20:30, 20:30] = 1
    write_objects(held / "D_005/targets/D_005_labels.mha", objects)
    assert "D_005_labels.mha: expected a true mask on two frames or more" in refused("--val-data", held, data=discs)
    (held / "D_005/frame-rate.json").unlink()
    assert "frame-rate.json" in refused("--val-data", held, data=discs)


def test_a_case_to_validate_with_twice(refused, discs, tmp_path):
    held = write_disc_dataset(tmp_path / "held", 1, first=5)
    line = refused("--val-data", held, "--val-data", held, data=discs)
    assert "expected each case once, found D_005" in line


def test_validation_that_leaves_nobody_to_train_on(refused, discs):
    assert "expected patients to train on that are not for validation" in refused("--val-data", discs, data=discs)


def test_a_clip_longer_than_every_case(refused, discs):
    line = refused("--clip-frames", "7", data=discs)
    assert "expected a case with a clip of 7 accepted frames that begins with an object to train on" in line
    assert "scratch" not in line
    line = refused("--set", "scratch.num_frames=7", data=discs)
    assert "expected a case with a clip of 7 accepted frames" in line


def test_labels_without_any_object_are_left_out_and_refused_where_there_are_no_others(refused, discs, capsys):
    for patient in ("D_000", "D_001"):
        write_objects(discs / patient / f"targets/{patient}_labels.mha", np.zeros((6, 72, 56)))
    assert "found none in 2 cases" in refused("--val-share", "0", data=discs)


def test_a_clip_whose_frames_are_all_prompted_teaches_nothing(refused, discs):
    line = refused("--clip-frames", "2", data=discs)
    assert "--clip-frames: expected more than the 2 frames of a clip that may be prompted" in line


def test_a_batch_larger_than_an_epoch(refused, discs):
    line = refused("--batch-clips", "3", data=discs)
    assert "--batch-clips: expected at most the 2 clips of a process an epoch, found 3" in line


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"case_id": "X", "accepted_frames": [0]}, "meta.json: expected the series X in one of the datasets"),
        ({"case_id": "U", "accepted_frames": [99]}, "masks.mha: expected accepted frames among 6, found 99"),
        ({"case_id": "U", "accepted_frames": [-1]}, "meta.json: expected case_id and accepted_frames"),
        ({"case_id": "U", "accepted_frames": [True]}, "meta.json: expected case_id and accepted_frames"),
        ({"case_id": "U"}, "meta.json: expected case_id and accepted_frames"),
        ([], "meta.json: expected case_id and accepted_frames"),
    ],
)
def test_pseudo_labels_that_are_none(meta, message, refused, discs, tmp_path):
    series = CineSequence(disc_case(0)[0], (1, 1), 4.0, 0.35, "thorax")
    write_case(discs, "U", series, None)
    write_objects(tmp_path / "pseudo/U/masks.mha", np.ones((6, 72, 56)))
    (tmp_path / "pseudo/U/meta.json").write_text(json.dumps(meta))
    assert message in refused("--pseudo-labels", tmp_path / "pseudo", "--val-share", "0", data=discs)


def test_pseudo_labels_without_their_series(refused, tmp_path):
    line = refused("--pseudo-labels", tmp_path, "--phantom-clips", "1")
    assert "--pseudo-labels: expected --data with the series that they are of" in line


def test_a_run_that_is_a_file(refused, discs, tmp_path):
    (tmp_path / "run").write_text("mine")
    assert "run: expected a folder for the run, found a file" in refused(data=discs)
    assert (tmp_path / "run").read_text() == "mine"
