"""Grand-Challenge and TrackRAD2025 folders."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from cinetrack.errors import InputError
from cinetrack.sequence import CineSequence, find_cases, read_input_folder
from cinetrack.sequence.grand_challenge import write_output
from cinetrack.sequence.image_files import ImageGeometry, read_masks, write_masks
from cinetrack.sequence.trackrad_dataset import write_case


def test_a_platform_input_folder_is_read_whole(platform_input, moving_disc):
    loaded = read_input_folder(platform_input)
    sequence = loaded.case.sequence
    np.testing.assert_array_equal(sequence.frames, moving_disc[0])
    np.testing.assert_array_equal(loaded.case.first_mask, moving_disc[1][0])
    assert sequence.spacing_mm == (1.5, 1.0)
    assert (sequence.frame_rate_hz, sequence.field_strength_t, sequence.region) == (4.0, 0.35, "abdomen")


def test_the_output_lies_where_the_input_lies(platform_input, moving_disc, tmp_path):
    loaded = read_input_folder(platform_input)
    path = write_output(tmp_path / "output", moving_disc[1], loaded.geometry)
    assert path == tmp_path / "output/images/mri-linac-series-targets/output.mha"
    masks, geometry = read_masks(path)
    np.testing.assert_array_equal(masks, moving_disc[1])
    assert geometry == loaded.geometry


@pytest.mark.parametrize("name", ["frame-rate.json", "b-field-strength.json", "scanned-region.json"])
def test_a_missing_platform_json_is_named(platform_input, name):
    (platform_input / name).unlink()
    with pytest.raises(InputError, match=name):
        read_input_folder(platform_input)


def test_a_missing_input_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        read_input_folder(tmp_path / "nowhere")


def test_a_labelled_dataset_is_read_as_it_was_written(dataset, moving_disc):
    cases = find_cases(dataset)
    assert [case.case_id for case in cases] == ["A_001", "B_002"]
    loaded = cases[1].read_case()
    np.testing.assert_array_equal(loaded.case.sequence.frames, moving_disc[0])
    np.testing.assert_array_equal(cases[1].read_labels(), moving_disc[1])
    assert loaded.case.sequence.field_strength_t == 1.5 and loaded.case.sequence.spacing_mm == (1.5, 1.0)


def test_a_single_patient_folder_is_a_dataset_of_one(dataset):
    assert [case.case_id for case in find_cases(dataset / "B_002")] == ["B_002"]


def test_both_spellings_of_the_field_strength_are_read(dataset):
    (dataset / "A_001/b-field-strength.json").rename(dataset / "A_001/field-strength.json")
    assert find_cases(dataset)[0].field_strength_t() == 0.35


def test_further_series_of_an_unlabelled_patient_have_their_own_rate_and_region(tmp_path, moving_disc):
    frames, _ = moving_disc
    folder = write_case(tmp_path, "D_007", CineSequence(frames, (1.0, 1.0), 4.0, 0.35, "thorax"), None)
    for scan in ("2", "10"):
        shutil.copy(folder / "images/D_007_frames.mha", folder / f"images/D_007_frames{scan}.mha")
    (folder / "frame-rate2.json").write_text("8")
    (folder / "scanned-region2.json").write_text('"abdomen"')
    cases = find_cases(tmp_path)
    assert [case.case_id for case in cases] == ["D_007", "D_007_scan2", "D_007_scan10"]
    assert {case.patient_id for case in cases} == {"D_007"}
    rates_and_regions = [(case.frame_rate_hz(), case.region()) for case in cases]
    assert rates_and_regions == [(4.0, "thorax"), (8.0, "abdomen"), (4.0, "thorax")]
    with pytest.raises(InputError, match="first_label"):
        cases[0].read_case()


def test_series_without_the_patients_name_are_found(tmp_path, moving_disc):
    folder = write_case(tmp_path, "D_007", CineSequence(moving_disc[0], (1.0, 1.0), 4.0, 0.35, "thorax"), None)
    shutil.move(folder / "images/D_007_frames.mha", folder / "images/frames2.mha")
    assert [case.scan for case in find_cases(tmp_path)] == ["2"]


def test_extra_observers_are_found_by_name(dataset, moving_disc):
    targets = dataset / "A_001/targets"
    other = np.roll(moving_disc[1], 1, axis=1)
    write_masks(targets / "A_001_labels2.mha", other, ImageGeometry.in_plane((1.5, 1.0)))
    write_masks(targets / "A_001_labels_resident.mha", other, ImageGeometry.in_plane((1.5, 1.0)))
    case = find_cases(dataset)[0]
    assert sorted(case.observer_labels) == ["2", "resident"]
    np.testing.assert_array_equal(case.read_labels("resident"), other)
    np.testing.assert_array_equal(case.read_labels(), moving_disc[1])


def test_staple_labels_are_the_truth_where_there_are_any(dataset, moving_disc):
    consensus = np.roll(moving_disc[1], 2, axis=2)
    write_masks(dataset / "A_001/targets/A_001_staple_labels.mha", consensus, ImageGeometry.in_plane((1.5, 1.0)))
    np.testing.assert_array_equal(find_cases(dataset)[0].read_labels(), consensus)


def test_a_folder_without_patients_is_refused(tmp_path):
    with pytest.raises(InputError, match="patient folders"):
        find_cases(tmp_path)
    with pytest.raises(InputError, match="found none"):
        find_cases(tmp_path / "absent")
