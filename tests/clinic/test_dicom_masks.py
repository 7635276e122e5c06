"""Targets in DICOM-SEG and RTSTRUCT come in with their series, on the frames that they refer to."""

from __future__ import annotations

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")
highdicom = pytest.importorskip("highdicom")

from dicom_files import Cine, datasets, random_frames, uid, write  # noqa: E402
from pydicom.sr.codedict import codes  # noqa: E402

from cinetrack.cli.main import main  # noqa: E402
from cinetrack.sequence.trackrad_dataset import find_cases  # noqa: E402

ROWS, COLUMNS = 10, 14


def random_mask(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((ROWS, COLUMNS)) > 0.6


def write_segmentation(path, sources, masks, names=("GTV",), kind="BINARY"):
    """highdicom's own writer, on one frame: its segments have to differ in position else."""
    pixels = np.stack(masks, axis=-1)[None]
    seg = highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=pixels
        if kind != "LABELMAP"
        else np.argmax(np.insert(pixels.astype(float), 0, 0.5, axis=-1), axis=-1).astype("u1"),
        segmentation_type=kind,
        segment_descriptions=[
            highdicom.seg.SegmentDescription(
                number, name, codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.Neoplasm, "MANUAL"
            )
            for number, name in enumerate(names, start=1)
        ],
        series_instance_uid=uid("seg series", path),
        series_number=9,
        sop_instance_uid=uid("seg", path),
        instance_number=1,
        manufacturer="m",
        manufacturer_model_name="m",
        software_versions="1",
        device_serial_number="1",
    )
    seg.save_as(path)


def write_structures(path, cine, contours, names=("GTV",), reference=True):
    """As a planning system would: contours by ROI, {name: [(frame, [(row, column), ...])]}."""
    sources, item = datasets(cine), pydicom.Dataset
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.3", uid("rt", path)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, name in enumerate(names, start=1):
        roi, roi_contours = item(), item()
        roi.ROINumber, roi.ROIName = number, name
        roi_contours.ReferencedROINumber, roi_contours.ContourSequence = number, []
        for frame, points in contours[name]:
            contour, image = item(), item()
            image.ReferencedSOPClassUID = sources[frame].SOPClassUID
            image.ReferencedSOPInstanceUID = sources[frame].SOPInstanceUID
            contour.ContourImageSequence = [image] if reference else []
            contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
            origin, (along_row, along_column) = np.array(cine.origin_mm), np.array(cine.directions)
            places = [
                origin + column * cine.spacing_mm[1] * along_row + row * cine.spacing_mm[0] * along_column
                for row, column in points
            ]
            contour.ContourData = [f"{value:.4f}" for place in places for value in place]
            roi_contours.ContourSequence.append(contour)
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(roi_contours)
    dataset.save_as(path, enforce_file_format=True)


def first_mask(folder) -> np.ndarray:
    (case,) = find_cases(folder)
    return case.read_case().case.first_mask[::-1]


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_a_segmentation_in_the_tree_becomes_the_first_frames_mask(tmp_path, kind, capsys):
    cine, mask = Cine(random_frames()), random_mask(1)
    write(cine, tmp_path / "in")
    write_segmentation(tmp_path / "in" / "seg.dcm", datasets(cine)[:1], [mask], kind=kind)
    assert main(["import", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    np.testing.assert_array_equal(first_mask(tmp_path / "out"), mask)
    assert "DICOM-SEG: GTV, first frame" in capsys.readouterr().out


def test_one_of_several_segments_is_chosen_by_its_label(tmp_path, capsys):
    cine, gtv, lung = Cine(random_frames()), random_mask(1), random_mask(2)
    write(cine, tmp_path / "in")
    write_segmentation(tmp_path / "seg.dcm", datasets(cine)[:1], [lung & ~gtv, gtv], names=("lung", "GTV"))
    command = ["import", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--masks", str(tmp_path / "seg.dcm")]
    assert main(command) == 2
    assert "seg.dcm: expected one target, found lung, GTV; choose one with --target NAME" in capsys.readouterr().err
    assert main([*command, "--dry-run"]) == 0
    assert "choose with --target: lung, GTV" in capsys.readouterr().out
    assert main([*command, "--target", "heart"]) == 2
    assert "expected the target heart, found lung, GTV" in capsys.readouterr().err
    assert main([*command, "--target", "GTV"]) == 0
    np.testing.assert_array_equal(first_mask(tmp_path / "out"), gtv)


def test_masks_of_another_series_are_not_taken(tmp_path, capsys):
    write(Cine(random_frames()), tmp_path / "in")
    other = Cine(random_frames(), patient="P2")
    write_segmentation(tmp_path / "seg.dcm", datasets(other)[:1], [random_mask(1)])
    assert main(["import", str(tmp_path / "in"), "--dry-run", "--masks", str(tmp_path / "seg.dcm")]) == 2
    assert "expected masks that refer to the series, found masks of other images" in capsys.readouterr().err


def test_masks_of_a_later_frame_only_are_refused(tmp_path, capsys):
    cine = Cine(random_frames())
    write(cine, tmp_path / "in")
    write_segmentation(tmp_path / "in" / "seg.dcm", datasets(cine)[2:3], [random_mask(1)])
    assert main(["import", str(tmp_path / "in"), "--dry-run"]) == 2
    assert (
        "seg.dcm: expected GTV outlined on the series' first frame, found it on 1 others only"
        in capsys.readouterr().err
    )


def test_a_segmentation_elsewhere_than_its_source_is_refused(tmp_path, capsys):
    cine = Cine(random_frames())
    write(cine, tmp_path / "in")
    path = tmp_path / "in" / "seg.dcm"
    write_segmentation(path, datasets(cine)[:1], [random_mask(1)])
    seg = pydicom.dcmread(path)
    seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient = [0, 0, 0]
    seg.save_as(path)
    assert main(["import", str(tmp_path / "in"), "--dry-run"]) == 2
    assert "(0020,0032) ImagePositionPatient" in capsys.readouterr().err


SQUARE = [(1.5, 2.5), (1.5, 8.5), (6.5, 8.5), (6.5, 2.5)]  # around rows 2 to 6 and columns 3 to 8
HOLE = [(3.5, 4.5), (3.5, 6.5), (5.5, 6.5), (5.5, 4.5)]


def square() -> np.ndarray:
    mask = np.zeros((ROWS, COLUMNS), bool)
    mask[2:7, 3:9] = True
    return mask


@pytest.mark.parametrize("directions", [((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)), ((0.0, 0.6, 0.8), (1.0, 0.0, 0.0))])
def test_contours_fill_the_pixels_whose_centres_they_enclose(tmp_path, directions, capsys):
    cine = Cine(random_frames(), directions=directions)
    write(cine, tmp_path / "in")
    write_structures(tmp_path / "in" / "rt.dcm", cine, {"GTV": [(0, SQUARE)]})
    assert main(["import", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    assert "RTSTRUCT: GTV, first frame" in capsys.readouterr().out
    (case,) = find_cases(tmp_path / "out")
    loaded = case.read_case()
    # Whatever the turn, the mask lies on the same pixels of the frame.
    inside = loaded.case.sequence.frames[0][loaded.case.first_mask]
    assert sorted(inside) == sorted(cine.frames[0][square()])


def test_a_contour_within_another_is_a_hole(tmp_path):
    cine = Cine(random_frames())
    write(cine, tmp_path / "in")
    write_structures(tmp_path / "in" / "rt.dcm", cine, {"GTV": [(0, SQUARE), (0, HOLE)]})
    assert main(["import", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    expected = square()
    expected[4:6, 5:7] = False
    np.testing.assert_array_equal(first_mask(tmp_path / "out"), expected)


@pytest.mark.parametrize(("frames", "every"), [(range(6), True), ([0, 3], False)])
def test_contours_on_every_frame_are_labels_and_on_some_only_the_first_frames_mask(tmp_path, frames, every, capsys):
    cine = Cine(random_frames())
    write(cine, tmp_path / "in")
    moved = [(frame, [(row + 0.5 * frame, column) for row, column in SQUARE]) for frame in frames]
    names = ("PTV", "GTV")
    write_structures(tmp_path / "in" / "rt.dcm", cine, {"PTV": [(0, HOLE)], "GTV": moved}, names=names)
    assert main(["import", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--target", "GTV"]) == 0
    (case,) = find_cases(tmp_path / "out")
    assert (case.labels_path is not None) == every
    assert ("first frame (of 2 outlined)" in capsys.readouterr().out) != every
    if every:
        labels = case.read_labels()[:, ::-1]
        np.testing.assert_array_equal(labels[0], square())
        np.testing.assert_array_equal(labels[4], np.roll(square(), 2, axis=0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": False}, "found masks of other images"),
        ({"contours": {"GTV": [(0, SQUARE[:2])]}}, "(3006,0050) ContourData: expected three points or more"),
    ],
)
def test_contours_that_cannot_be_placed_are_refused(tmp_path, change, message, capsys):
    cine = Cine(random_frames())
    write(cine, tmp_path / "in")
    write_structures(tmp_path / "rt.dcm", cine, **{"contours": {"GTV": [(0, SQUARE)]}, **change})
    assert main(["import", str(tmp_path / "in"), "--dry-run", "--masks", str(tmp_path / "rt.dcm")]) == 2
    assert message in capsys.readouterr().err


def test_contours_beside_their_frames_plane_are_refused(tmp_path, capsys):
    cine = Cine(random_frames())
    write(cine, tmp_path / "in")
    elsewhere = Cine(cine.frames, origin_mm=(20.5, *cine.origin_mm[1:]))
    path = tmp_path / "rt.dcm"
    write_structures(path, elsewhere, {"GTV": [(0, SQUARE)]})
    rt = pydicom.dcmread(path)
    image = rt.ROIContourSequence[0].ContourSequence[0].ContourImageSequence[0]
    image.ReferencedSOPInstanceUID = datasets(cine)[0].SOPInstanceUID
    rt.save_as(path)
    assert main(["import", str(tmp_path / "in"), "--dry-run", "--masks", str(path)]) == 2
    assert "rt.dcm: (3006,0050) ContourData: expected points within 3.5 mm of their frame's plane, found one 8 mm" in (
        capsys.readouterr().err
    )
