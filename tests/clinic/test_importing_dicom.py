"""`cinetrack import` of DICOM: single-frame and multi-frame, whatever the order, the planes and the encoding."""

from __future__ import annotations

import logging
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from dicom_files import CORONAL, Cine, datasets, interleaved, random_frames, uid, write  # noqa: E402
from pydicom.data import get_testdata_file  # noqa: E402

from cinetrack.cli.main import main  # noqa: E402
from cinetrack.clinic.importing.dicom_series import find  # noqa: E402
from cinetrack.clinic.source_record import read_source_record  # noqa: E402
from cinetrack.errors import InputError  # noqa: E402
from cinetrack.sequence.trackrad_dataset import find_cases  # noqa: E402

OPTIONS = ["--frame-rate", "4", "--field-strength", "0.35", "--region", "thorax"]


def test_file(name: str) -> Path:
    """A file that pydicom's package brings; nothing is downloaded."""
    path = get_testdata_file(name, download=False)
    assert path is not None, name
    return Path(path)


test_file.__test__ = False


def imported(source, output, *options):
    assert main(["import", str(source), "-o", str(output), *options]) == 0
    return find_cases(output)


def frames_of(case) -> np.ndarray:
    return case.read_sequence()[0].frames


def test_frames_come_in_the_order_of_their_acquisition_times(tmp_path):
    cine = Cine(random_frames(count=12))
    write(cine, tmp_path / "in")  # names and instance numbers tell other orders
    (case,) = imported(tmp_path / "in", tmp_path / "out")
    sequence, _ = case.read_sequence()
    np.testing.assert_array_equal(sequence.frames, cine.frames[:, ::-1])  # the feet at row 0
    assert sequence.frames.dtype == np.uint16
    assert (sequence.frame_rate_hz, sequence.field_strength_t, sequence.region) == (4.0, 0.35, "thorax")
    assert sequence.spacing_mm == cine.spacing_mm
    record = read_source_record(case.folder / "source.json")
    assert record.dicom.instance_uids == tuple(dataset.SOPInstanceUID for dataset in datasets(cine))
    assert record.grid.placement.origin_mm == cine.origin_mm
    assert record.frame_times_s == tuple(index / 4 for index in range(12))


def test_interleaved_planes_are_two_series_with_half_the_rate(tmp_path, capsys):
    sagittal, coronal = interleaved(Cine(random_frames()), Cine(random_frames(seed=4), directions=CORONAL))
    write(sagittal, tmp_path / "in")
    write(coronal, tmp_path / "in", names=[f"other{index}" for index in range(6)])
    first, second = imported(tmp_path / "in", tmp_path / "out")
    assert (first.case_id, second.case_id) == ("case_001", "case_001_scan2")
    by_plane = {
        read_source_record(path).grid.placement.plane: scan
        for path, scan in ((first.folder / "source.json", first), (first.folder / "source2.json", second))
    }
    np.testing.assert_array_equal(frames_of(by_plane["sagittal"]), sagittal.frames[:, ::-1])
    np.testing.assert_array_equal(frames_of(by_plane["coronal"]), coronal.frames[:, ::-1])
    assert first.frame_rate_hz() == second.frame_rate_hz() == 4.0
    assert "plane 2 of 2" in capsys.readouterr().out


def test_parallel_planes_are_told_apart_by_their_position(tmp_path):
    one = Cine(random_frames())
    _, other = interleaved(one, Cine(random_frames(seed=4), origin_mm=(19.5, -130.25, 88.125)))
    write(one, tmp_path / "in")
    write(other, tmp_path / "in", names=[f"other{index}" for index in range(6)])
    cases = imported(tmp_path / "in", tmp_path / "out")
    assert sorted(frames_of(case)[0, 0, 0] for case in cases) == sorted(cine.frames[0, -1, 0] for cine in (one, other))


def test_several_patients_and_series_of_one_tree_are_told_apart(tmp_path):
    cines = [
        Cine(random_frames(seed=1), patient="A", series=1),
        Cine(random_frames(seed=2), patient="A", series=2, region="ABDOMEN"),
        Cine(random_frames(seed=3, dtype=np.int16), patient="B", field_t=1.5, region="PELVIS"),
    ]
    for number, cine in enumerate(cines):  # files of all in one folder
        write(cine, tmp_path / "in", names=[f"{9 - number}-{index}" for index in range(6)])
    cases = imported(tmp_path / "in", tmp_path / "out", "--name", "P")
    found = {(case.case_id, case.region(), case.field_strength_t()) for case in cases}
    assert found == {("P_001", "pelvis", 1.5), ("P_002", "abdomen", 0.35), ("P_002_scan2", "thorax", 0.35)}
    pelvis = next(case for case in cases if case.region() == "pelvis")
    np.testing.assert_array_equal(frames_of(pelvis), cines[2].frames[:, ::-1])


def test_an_enhanced_multi_frame_file_is_the_same_case_as_its_single_frames(tmp_path):
    highdicom = pytest.importorskip("highdicom")
    one, other = interleaved(Cine(random_frames()), Cine(random_frames(seed=4), directions=CORONAL))
    legacy = [dataset for pair in zip(datasets(one), datasets(other), strict=True) for dataset in pair]
    enhanced = highdicom.legacy.LegacyConvertedEnhancedMRImage(
        legacy, series_instance_uid=uid("e"), series_number=5, sop_instance_uid=uid("e1"), instance_number=1
    )
    (tmp_path / "in").mkdir()
    enhanced.save_as(tmp_path / "in" / "e.dcm")
    first, second = imported(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(frames_of(first), one.frames[:, ::-1])
    np.testing.assert_array_equal(frames_of(second), other.frames[:, ::-1])
    assert (first.frame_rate_hz(), first.field_strength_t(), first.region()) == (4.0, 0.35, "thorax")
    record = read_source_record(first.folder / "source.json")
    assert set(record.dicom.instance_uids) == {uid("e1")}
    times = [
        frame.FrameContentSequence[0].FrameAcquisitionDateTime for frame in enhanced.PerFrameFunctionalGroupsSequence
    ]
    assert [times[number - 1] for number in record.dicom.frame_numbers] == sorted(times)[::2]


TRANSCODERS = {
    "implicit": ["dcmconv", "+ti"],
    "big endian": ["dcmconv", "+tb"],
    "deflated": ["dcmconv", "+td"],
    "RLE by dcmtk": ["dcmcrle"],
    "JPEG lossless by dcmtk": ["dcmcjpeg", "+e1"],
    "JPEG-LS by dcmtk": ["dcmcjpls"],
    "RLE by GDCM": ["gdcmconv", "--rle"],
    "JPEG lossless by GDCM": ["gdcmconv", "--jpeg"],
    "JPEG-LS by GDCM": ["gdcmconv", "--jpegls"],
    "JPEG 2000 by GDCM": ["gdcmconv", "--j2k"],
}


@pytest.mark.parametrize("encoding", TRANSCODERS)
def test_every_lossless_encoding_gives_the_same_pixels(tmp_path, encoding):
    program, *flags = TRANSCODERS[encoding]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (Debian: dcmtk, libgdcm-tools)")
    cine = Cine(random_frames(count=3, dtype=np.int16 if "GDCM" in encoding else np.uint16))
    (tmp_path / "in").mkdir()
    for index, path in enumerate(write(cine, tmp_path / "plain")):
        subprocess.run([program, *flags, path, tmp_path / "in" / f"{index}"], check=True, capture_output=True)
    assert pydicom.dcmread(tmp_path / "in" / "0").file_meta.TransferSyntaxUID != "1.2.840.10008.1.2.1"
    (case,) = imported(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(frames_of(case), cine.frames[:, ::-1])


@pytest.mark.parametrize("encoding", ["RLE by dcmtk", "JPEG lossless by dcmtk", "JPEG-LS by GDCM"])
def test_compressed_frames_of_an_enhanced_multi_frame_file_are_found_by_their_place(tmp_path, encoding):
    highdicom = pytest.importorskip("highdicom")
    program, *flags = TRANSCODERS[encoding]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (Debian: dcmtk, libgdcm-tools)")
    one, other = interleaved(Cine(random_frames()), Cine(random_frames(seed=4), directions=CORONAL))
    enhanced = highdicom.legacy.LegacyConvertedEnhancedMRImage(
        datasets(one) + datasets(other),
        series_instance_uid=uid("e"),
        series_number=5,
        sop_instance_uid=uid("e1"),
        instance_number=1,
    )
    enhanced.save_as(tmp_path / "plain.dcm")
    (tmp_path / "in").mkdir()
    subprocess.run([program, *flags, tmp_path / "plain.dcm", tmp_path / "in" / "e"], check=True, capture_output=True)
    first, second = imported(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(frames_of(first), one.frames[:, ::-1])
    np.testing.assert_array_equal(frames_of(second), other.frames[:, ::-1])


def test_an_enhanced_files_frames_have_their_own_rescale_and_time_offsets(tmp_path):
    cine = Cine(random_frames(count=4))
    (image,) = datasets(Cine(cine.frames[:1]))
    image.SOPClassUID, image.NumberOfFrames = "1.2.840.10008.5.1.4.1.1.4.1", 4
    image.PixelData = cine.frames.tobytes()
    shared, frames = pydicom.Dataset(), []
    shared.PixelMeasuresSequence = [item(PixelSpacing=list(cine.spacing_mm), SliceThickness="7")]
    shared.PlaneOrientationSequence = [item(ImageOrientationPatient=image.ImageOrientationPatient)]
    shared.PlanePositionSequence = [item(ImagePositionPatient=image.ImagePositionPatient)]
    for keyword in (
        "PixelSpacing",
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "AcquisitionTime",
        "ContentTime",
    ):
        delattr(image, keyword)
    for index in range(4):  # the later, the earlier in the file
        offset = item(TemporalPositionTimeOffset=0.2 * (3 - index))
        values = item(RescaleSlope=str(index + 1), RescaleIntercept="-5", RescaleType="US")
        frames.append(item(TemporalPositionSequence=[offset], PixelValueTransformationSequence=[values]))
    image.SharedFunctionalGroupsSequence, image.PerFrameFunctionalGroupsSequence = [shared], frames
    (tmp_path / "in").mkdir()
    image.save_as(tmp_path / "in" / "e.dcm", enforce_file_format=True)
    (case,) = imported(tmp_path / "in", tmp_path / "out")
    expected = [cine.frames[index].astype(float) * (index + 1) - 5 for index in (3, 2, 1, 0)]
    np.testing.assert_allclose(frames_of(case), np.stack(expected)[:, ::-1])
    assert case.frame_rate_hz() == pytest.approx(5)
    assert read_source_record(case.folder / "source.json").dicom.frame_numbers == (4, 3, 2, 1)


def item(**values) -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def test_a_deflated_file_that_would_fill_the_memory_is_refused(monkeypatch):
    path = test_file("image_dfl.dcm")
    assert len(find([path])) == 1
    monkeypatch.setattr("cinetrack.clinic.dicom_header.MOST_INFLATED", 100_000)
    with pytest.raises(InputError, match="image_dfl.dcm: expected a deflated file of at most"):
        find([path])


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE",
        "MR_small_bigendian",
        "MR_small_implicit",
        "MR_small_jp2klossless",
        "MR_small_jpeg_ls_lossless",
        "MR_small_padded",
    ],
)
def test_the_mr_image_of_pydicoms_package_reads_alike_in_every_encoding(name):
    (series,), (plain,) = find([test_file(f"{name}.dcm")]), find([test_file("MR_small.dcm")])
    np.testing.assert_array_equal(series.read(), plain.read())
    assert plain.read().shape == (1, 64, 64) and (plain.read().min(), plain.read().max()) == (127, 2145)
    assert series.grid == plain.grid
    assert series.grid.placement.origin_mm == (-83.9063, -91.2, 6.6406)


def test_a_classic_multi_frame_film_comes_in_with_its_frame_time(tmp_path, capsys):
    options = ["--field-strength", "1.5", "--region", "heart", "--pixel-spacing", "1", "--top", "head"]
    (case,) = imported(test_file("examples_ybr_color.dcm"), tmp_path / "out", *options)
    sequence, _ = case.read_sequence()
    assert sequence.frames.shape == (30, 240, 320) and sequence.frame_rate_hz == pytest.approx(30, rel=1e-3)
    err = capsys.readouterr().err
    assert "does not say whether writing is burnt into the frames" in err and "compressed with loss" in err


def test_pictures_that_dcmtk_turned_into_dicom_come_in(tmp_path):
    if shutil.which("img2dcm") is None:
        pytest.skip("img2dcm is not installed (Debian: dcmtk)")
    from PIL import Image

    frames = (random_frames(count=4, rows=12, columns=16) >> 4).astype(np.uint8)
    (tmp_path / "in").mkdir()
    before = None
    for index, frame in enumerate(frames):
        Image.fromarray(np.repeat(frame[..., None], 3, axis=2)).save(tmp_path / f"{index}.bmp")
        target = tmp_path / "in" / f"{9 - index}.dcm"
        flags = ["-i", "BMP", "-k", f"InstanceNumber={index + 1}", *(["-sef", str(before)] if before else [])]
        subprocess.run(["img2dcm", *flags, tmp_path / f"{index}.bmp", target], check=True, capture_output=True)
        before = target
    (case,) = imported(tmp_path / "in", tmp_path / "out", *OPTIONS, "--pixel-spacing", "2", "--top", "head")
    np.testing.assert_array_equal(frames_of(case), frames[:, ::-1])


def test_each_frames_own_rescale_is_applied(tmp_path):
    cine = Cine(random_frames(count=3))
    (tmp_path / "in").mkdir()
    for index, dataset in enumerate(datasets(cine)):
        dataset.RescaleSlope, dataset.RescaleIntercept = str(1.5 + index), str(-10 * index)
        dataset.save_as(tmp_path / "in" / f"{index}.dcm", enforce_file_format=True)
    (case,) = imported(tmp_path / "in", tmp_path / "out")
    expected = [frame * (1.5 + index) - 10 * index for index, frame in enumerate(cine.frames.astype(np.float64))]
    np.testing.assert_allclose(frames_of(case), np.stack(expected)[:, ::-1], rtol=1e-6)


@pytest.mark.parametrize(("dtype", "highest"), [(np.uint16, 4095), (np.int16, 2047)])
def test_monochrome1_comes_in_dark_to_bright_and_unused_bits_are_ignored(tmp_path, dtype, highest):
    signed = np.dtype(dtype).kind == "i"
    values = (
        random_frames(count=3, dtype=dtype) if not signed else random_frames(count=3, dtype=dtype).clip(-2048, 2047)
    )
    stored = (values.view(np.uint16) & 0x0FFF) | np.uint16(0xA000)  # as a retired overlay in the upper bits
    extra = (
        ("PhotometricInterpretation", "MONOCHROME1"),
        ("BitsStored", 12),
        ("HighBit", 11),
        ("PixelRepresentation", int(signed)),
    )
    cine = Cine(stored, extra=extra)
    write(cine, tmp_path / "in")
    (case,) = imported(tmp_path / "in", tmp_path / "out")
    lowest = -2048 if signed else 0
    np.testing.assert_array_equal(frames_of(case).astype(int), (highest + lowest - values.astype(int))[:, ::-1])


def test_a_gap_between_frames_is_reported(tmp_path, capsys):
    write(Cine(random_frames(count=10)), tmp_path / "in")
    (tmp_path / "in" / sorted_by_time(tmp_path / "in")[4]).unlink()
    (case,) = imported(tmp_path / "in", tmp_path / "out")
    assert case.frame_rate_hz() == 4.0
    assert (
        "AcquisitionTime: 1 of 8 intervals differ by more than 20% from the median of 0.25 s" in capsys.readouterr().err
    )


def sorted_by_time(folder: Path) -> list[str]:
    return sorted(
        (path.name for path in folder.iterdir()), key=lambda name: pydicom.dcmread(folder / name).AcquisitionTime
    )


def test_times_past_midnight_go_on(tmp_path):
    cine = Cine(random_frames(count=8), start_s=86399.0)
    (tmp_path / "in").mkdir()
    for index, dataset in enumerate(datasets(cine)):
        seconds = cine.times_s[index] % 86400
        text = f"{int(seconds // 3600):02d}{int(seconds // 60 % 60):02d}{seconds % 60:09.6f}"
        dataset.AcquisitionTime, dataset.AcquisitionDate, dataset.ContentDate = text, "", ""
        dataset.save_as(tmp_path / "in" / f"{index}.dcm", enforce_file_format=True)
    (case,) = imported(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(frames_of(case), cine.frames[:, ::-1])


@pytest.mark.parametrize("times", [{}, {"AcquisitionTime": "100000", "ContentTime": "100000"}])
def test_frames_without_times_of_their_own_keep_their_numbers_order_and_ask_for_the_rate(tmp_path, times, capsys):
    cine = Cine(random_frames())
    (tmp_path / "in").mkdir()
    for index, dataset in enumerate(datasets(cine)):
        del dataset.AcquisitionTime, dataset.ContentTime
        for keyword, value in times.items():
            setattr(dataset, keyword, value)
        dataset.InstanceNumber = index + 1
        dataset.save_as(tmp_path / "in" / f"{9 - index}.dcm", enforce_file_format=True)
    assert main(["import", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 2
    assert "expected the frame rate in the file, found none; give --frame-rate HZ" in capsys.readouterr().err
    (case,) = imported(tmp_path / "in", tmp_path / "out", "--frame-rate", "3.5")
    np.testing.assert_array_equal(frames_of(case), cine.frames[:, ::-1])
    assert case.frame_rate_hz() == 3.5


def test_content_times_count_where_acquisition_times_are_all_the_same(tmp_path):
    cine = Cine(random_frames(), extra=(("AcquisitionTime", "100000"),))
    write(cine, tmp_path / "in")
    (case,) = imported(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(frames_of(case), cine.frames[:, ::-1])


def test_a_volume_and_other_objects_in_the_tree_are_left_out(tmp_path, capsys):
    write(Cine(random_frames()), tmp_path / "in" / "cine")
    for index in range(5):  # five slices, one frame each
        slice_ = Cine(random_frames(count=1, seed=index), origin_mm=(float(index), 0.0, 0.0), series=7)
        write(slice_, tmp_path / "in" / "volume", names=[f"{index}"])
    shutil.copy(test_file("rtplan.dcm"), tmp_path / "in")
    shutil.copy(test_file("liver_1frame.dcm"), tmp_path / "in")
    assert len(imported(tmp_path / "in", tmp_path / "out")) == 1
    assert f"{tmp_path / 'in' / 'volume'}: images of one frame, no cine: 5; left out" in capsys.readouterr().err


def test_frames_that_are_in_the_tree_twice_are_taken_once(tmp_path, capsys):
    cine = Cine(random_frames())
    write(cine, tmp_path / "in" / "a")
    shutil.copytree(tmp_path / "in" / "a", tmp_path / "in" / "b")
    (case,) = imported(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(frames_of(case), cine.frames[:, ::-1])
    assert "6 frames are in the files twice" in capsys.readouterr().err


def test_what_the_source_lacks_is_asked_for_and_field_strengths_in_gauss_are_not_taken(tmp_path, capsys):
    write(Cine(random_frames(), field_t=None, region=None), tmp_path / "in")
    assert main(["import", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 2
    assert "give --field-strength TESLA, --region WORD" in capsys.readouterr().err
    write(replace(Cine(random_frames()), field_t=3500), tmp_path / "gauss")
    assert main(["import", str(tmp_path / "gauss"), "-o", str(tmp_path / "out")]) == 2
    assert "field strength: expected tesla, found 3500" in capsys.readouterr().err


MALFORMED = {
    "(0028,0010) Rows: expected a whole number": {"Rows": 0},
    "frames of 1 to 4096 px a side": {"Columns": 65000},
    "(0028,0030) PixelSpacing: expected two positive numbers": {"PixelSpacing": [0, 1]},
    "(0020,0037) ImageOrientationPatient: expected two unit vectors": {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
    "(0020,0037) ImageOrientationPatient: expected 6 numbers": {"ImageOrientationPatient": [1, 0, 0]},
    "(0020,0032) ImagePositionPatient: expected 3 numbers": {"ImagePositionPatient": [1, 2]},
    "(0008,0032) AcquisitionTime: expected a time": {"AcquisitionTime": "991234"},
    "(0008,0022) AcquisitionDate: expected a date": {"AcquisitionDate": "20241399"},
    "(0008,0018) SOPInstanceUID: expected a unique identifier": {"SOPInstanceUID": ""},
    "(0028,0008) NumberOfFrames: expected a whole number": {"NumberOfFrames": 10**8},
    "(7FE0,0010) PixelData: expected pixels that can be decoded, found others (A (0028,0101)": {"BitsStored": 40},
    "(7FE0,0010) PixelData: expected pixels": {"PixelData": b"\0" * 40},
    "(7FE0,0010) PixelData: expected pixels that can be decoded, found others (Unknown (0028,0004)": {
        "PhotometricInterpretation": "CYAN"
    },
}


@pytest.mark.parametrize("message", MALFORMED)
@pytest.mark.filterwarnings("ignore")
def test_a_malformed_file_is_refused_with_its_name_and_the_tag(tmp_path, message, capsys):
    paths = write(Cine(random_frames()), tmp_path / "in")
    dataset = pydicom.dcmread(paths[2])
    for keyword, value in MALFORMED[message].items():
        setattr(dataset, keyword, value)
    dataset.save_as(paths[2])
    assert main(["import", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(f"error: {paths[2]}: ") and message in last, last
    assert not list(tmp_path.glob("out/*")) and not list(tmp_path.glob("out/.*"))


def test_where_one_of_several_patients_cannot_be_read_none_is_written(tmp_path):
    write(Cine(random_frames(), patient="A"), tmp_path / "in" / "a")
    paths = write(Cine(random_frames(), patient="B"), tmp_path / "in" / "b")
    paths[3].write_bytes(paths[3].read_bytes()[:-50])
    command = ["import", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    assert main(command) == 2
    assert list((tmp_path / "out").iterdir()) == []
    paths[3].unlink()
    assert main(command) == 0


@pytest.mark.parametrize("name", ["MR_truncated.dcm"])
def test_a_file_of_pydicoms_package_that_is_cut_off_is_refused(tmp_path, name, capsys):
    (series,) = find([test_file(name)])
    with pytest.raises(InputError, match=r"MR_truncated.dcm: \(7FE0,0010\) PixelData: expected pixels"):
        series.read()


def test_a_file_called_dcm_that_is_none_is_refused(tmp_path, capsys):
    write(Cine(random_frames()), tmp_path / "in")
    (tmp_path / "in" / "z.dcm").write_bytes(b"<html>" * 100)
    assert main(["import", str(tmp_path / "in"), "--dry-run"]) == 2
    assert "z.dcm: expected a DICOM file" in capsys.readouterr().err


IDENTIFYING = ("Doe^P1", "ID-P1", "19500102", "20240506", "S1", "Ref^Doc")


def test_identifiers_are_kept_only_where_they_are_asked_for(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    source = tmp_path / "Doe^P1"
    write(Cine(random_frames()), source)
    (case,) = imported(source, tmp_path / "out")
    kept = b"".join(path.read_bytes() + path.name.encode() for path in case.folder.rglob("*") if path.is_file())
    assert not [text for text in IDENTIFYING if text.encode() in kept]
    assert caplog.messages[-1].endswith("UIDs of study, series, frame of reference and instances")
    (case,) = imported(source, tmp_path / "kept", "--keep-identifiers")
    record = read_source_record(case.folder / "source.json")
    assert record.identifiers["PatientName"] == "Doe^P1" and record.identifiers["PatientID"] == "ID-P1"
    assert "PatientBirthDate" in record.kept
    assert "PatientName" in caplog.messages[-1]


def test_burnt_in_annotation_is_warned_of(tmp_path, capsys):
    write(Cine(random_frames(), extra=(("BurnedInAnnotation", "YES"),)), tmp_path / "in")
    imported(tmp_path / "in", tmp_path / "out")
    assert (
        "(0028,0301) BurnedInAnnotation: the source says that the frames have writing burnt" in capsys.readouterr().err
    )


def test_without_pydicom_the_extra_is_named(tmp_path, monkeypatch, capsys):
    write(Cine(random_frames(count=2)), tmp_path / "in")
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    assert main(["import", str(tmp_path / "in"), "--dry-run"]) == 2
    assert "pip install 'cinetrack[clinic]'" in capsys.readouterr().err


def test_importing_the_commands_loads_none_of_the_extras_packages():
    names = ["pydicom", "highdicom", "nibabel", "nrrd", "av"]
    code = (
        "import sys, cinetrack.cli.import_series, cinetrack.cli.export; "
        f"print([n for n in {names!r} if n in sys.modules])"
    )
    done = subprocess.run([__import__("sys").executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
