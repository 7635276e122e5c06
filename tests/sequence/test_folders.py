"""Grand-Challenge and TrackRAD2025 folders."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from cinetrack.errors import InputError
from cinetrack.runs.record import read_record
from cinetrack.sequence import CineSequence, find_cases, read_input_folder
from cinetrack.sequence.grand_challenge import write_output
from cinetrack.sequence.image_files import ImageGeometry, read_masks, read_series, write_masks, write_series
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


@pytest.mark.parametrize("ending", [".MHA", ".Mha", ".tif", ".TIFF"])
def test_labels_are_found_by_any_ending_that_a_series_may_have(dataset, moving_disc, ending):
    folder = dataset / "A_001"
    for path in list(folder.rglob("*.mha")):
        frames, geometry = read_series(path)
        path.unlink()
        written = path.with_suffix(ending.lower())
        write_series(written, frames, geometry)
        written.rename(path.with_suffix(ending))
    case = find_cases(folder)[0]
    np.testing.assert_array_equal(case.read_case().case.first_mask, moving_disc[1][0])
    np.testing.assert_array_equal(case.read_labels(), moving_disc[1])


def test_labels_that_are_there_twice_are_reported_when_they_are_read(dataset):
    targets = dataset / "A_001/targets"
    for name in ("first_label", "labels"):
        shutil.copy(targets / f"A_001_{name}.mha", targets / f"A_001_{name}.MHA")
    case = find_cases(dataset)[0]
    case.read_sequence()
    with pytest.raises(InputError, match=r"targets: expected one file .*A_001_labels.MHA and A_001_labels.mha"):
        case.read_labels()
    with pytest.raises(InputError, match=r"A_001_first_label.MHA and A_001_first_label.mha"):
        case.read_case()


def test_a_series_that_is_there_twice_costs_that_case_alone(dataset):
    images = dataset / "A_001/images"
    shutil.copy(images / "A_001_frames.mha", images / "frames1.MHA")
    bad, good = find_cases(dataset)
    good.read_case()
    for read in (bad.read_case, bad.read_sequence, bad.read_labels):
        with pytest.raises(InputError, match="expected one file of each series.*A_001_frames.mha and frames1.MHA"):
            read()


def test_a_folder_that_cannot_be_read_costs_that_case_alone(dataset, monkeypatch):
    listed = Path.iterdir

    def iterdir(path):
        if path.parent.name == "A_001":  # as of a folder without permission; the tests may run as root
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    bad, good = find_cases(dataset)
    good.read_case()
    with pytest.raises(InputError, match=r"A_001: expected a patient's folder, found it unreadable \(Permission"):
        bad.read_case()


def test_numbered_labels_are_those_of_the_series_of_that_number(dataset, moving_disc):
    folder, geometry = dataset / "A_001", ImageGeometry.in_plane((1.5, 1.0))
    other = np.roll(moving_disc[1], 2, axis=1)
    shutil.copy(folder / "images/A_001_frames.mha", folder / "images/A_001_frames2.mha")
    for name in ("labels2", "labels2_resident", "labels3", "labels_resident"):
        write_masks(folder / f"targets/A_001_{name}.mha", other, geometry)
    write_masks(folder / "targets/A_001_first_label2.mha", other[:1], geometry)
    first, second, _ = find_cases(dataset)
    assert sorted(first.observer_labels) == ["3", "resident"]
    np.testing.assert_array_equal(first.read_labels(), moving_disc[1])
    assert second.case_id == "A_001_scan2" and sorted(second.observer_labels) == ["resident"]
    np.testing.assert_array_equal(second.read_labels(), other)
    np.testing.assert_array_equal(second.read_case().case.first_mask, other[0])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_json_with_a_byte_order_mark_is_read(dataset, platform_input, encoding):
    for path in [*dataset.rglob("*.json"), *platform_input.rglob("*.json")]:
        path.write_bytes(path.read_text().encode(encoding))
    for sequence in (find_cases(dataset)[0].read_sequence()[0], read_input_folder(platform_input).case.sequence):
        assert (sequence.frame_rate_hz, sequence.field_strength_t, sequence.region) == (4.0, 0.35, "abdomen")


@pytest.mark.parametrize("ending", [".nrrd", ".nii", ".nii.gz", ".NII.GZ"])
def test_series_and_labels_of_a_kind_that_is_not_read_are_named(dataset, ending):
    folder = dataset / "A_001"
    copy = folder / f"targets/A_001_labels{ending}"
    copy.write_bytes(b"another program's")
    find_cases(dataset)[0].read_labels()  # the one that is read is there
    (folder / "targets/A_001_labels.mha").unlink()
    with pytest.raises(InputError, match=f"A_001_labels{ending}: expected a mask in one of .mha, .*found"):
        find_cases(dataset)[0].read_labels()
    (folder / "images/A_001_frames.mha").rename(folder / f"images/A_001_frames{ending}")
    with pytest.raises(InputError, match=f"A_001_frames{ending}: expected a cine-MR series in one of .mha"):
        find_cases(dataset)[0].read_case()


def test_a_pipe_in_a_files_place_is_not_waited_for(dataset):
    rate = dataset / "A_001" / "frame-rate.json"
    rate.unlink()
    os.mkfifo(rate)
    with pytest.raises(InputError, match=r"frame-rate.json: expected a json file, found something else than a file"):
        find_cases(dataset)[0].frame_rate_hz()


def test_labels_that_lead_nowhere_are_reported_not_passed_over(dataset):
    targets = dataset / "A_001" / "targets"
    (targets / "A_001_labels_2.mha").symlink_to("nowhere.mha")
    os.mkfifo(targets / "A_001_labels_3.mha")
    (targets / "A_001_labels_4.mha").mkdir()  # a folder is no file that anybody meant
    case = find_cases(dataset)[0]
    assert sorted(case.observer_labels) == ["2", "3"]
    for observer in "23":
        with pytest.raises(InputError, match=rf"A_001_labels_{observer}.mha: expected a mask, found no such file"):
            case.read_labels(observer)
    (targets / "A_001_labels.mha").unlink()
    (targets / "A_001_labels.mha").symlink_to("nowhere.mha")
    with pytest.raises(InputError, match=r"A_001_labels.mha: expected a mask, found no such file"):
        find_cases(dataset)[0].read_labels()


@pytest.mark.parametrize("digits", [301, 4000, 5000])
def test_whole_numbers_without_end_are_refused_wherever_json_is_read(tmp_path, digits):
    path = tmp_path / "prediction.json"
    path.write_text('{"seconds": {"total": ' + "9" * digits + "}}")
    with pytest.raises(InputError, match=rf"prediction.json: expected json.*whole number of {digits} digits"):
        read_record(tmp_path)
