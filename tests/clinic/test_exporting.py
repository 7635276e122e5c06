"""`cinetrack export`: read back with other libraries than the writer's, exact to the pixel and the micrometre."""

from __future__ import annotations

import base64
import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

pydicom = pytest.importorskip("pydicom")
highdicom = pytest.importorskip("highdicom")

from dicom_files import CORONAL, Cine, datasets, interleaved, random_frames, uid, write  # noqa: E402
from matplotlib.path import Path as Polygon  # noqa: E402
from skimage.draw import polygon2mask  # noqa: E402

from cinetrack.cli.main import main  # noqa: E402
from cinetrack.clinic.exporting.coco import run_lengths  # noqa: E402
from cinetrack.clinic.exporting.formats import FORMATS  # noqa: E402
from cinetrack.clinic.exporting.rtstruct import outlines  # noqa: E402
from cinetrack.sequence.grand_challenge import OUTPUT_FILE  # noqa: E402
from cinetrack.sequence.image_files import ImageGeometry, read_index_masks, write_series  # noqa: E402
from cinetrack.sequence.trackrad_dataset import find_cases  # noqa: E402

TILTED = ((0.0, 0.6, 0.8), (0.6, 0.64, -0.48))  # an oblique plane, rows and columns exchanged by the import


def make_case(root: Path, cine: Cine, targets=1, *options) -> np.ndarray:
    """Import a cine and predict random masks of it; returns them as the source's frames lie, (T, rows, columns)."""
    write(cine, root / "in")
    assert main(["import", str(root / "in"), "-o", str(root / "data"), *options]) == 0
    labels = np.random.default_rng(8).integers(0, targets + 1, cine.frames.shape).astype(np.uint8)
    labels[2] = 0  # a frame without the target
    write_prediction(root, labels)
    return labels


def write_prediction(root: Path, labels: np.ndarray) -> None:
    from cinetrack.clinic.source_record import read_source_record

    (case,) = find_cases(root / "data")
    turned = np.ascontiguousarray(read_source_record(case.folder / "source.json").turn.apply(labels))
    folder = root / "pred" / case.case_id
    write_series(folder / OUTPUT_FILE, turned, ImageGeometry.in_plane(case.read_sequence()[0].spacing_mm))
    scores = {"case_id": case.case_id, "frames": {"object_score": [0.5 + index for index in range(len(labels))]}}
    (folder / "prediction.json").write_text(json.dumps(scores))


def export(root: Path, name: str, *options, to="export") -> Path:
    folder = root / to
    command = ["export", str(root / "pred"), "--dataset", str(root / "data"), "-o", str(folder), "--format", name]
    assert main([*command, *options]) == 0
    (found,) = [path for path in folder.iterdir() if "_frames" not in path.name and not path.name.startswith(".")]
    return found


def by_dcmtk(path: Path) -> dict:
    """A DICOM file as dcmtk reads it, pixels included."""
    if shutil.which("dcm2json") is None:
        pytest.skip("dcm2json is not installed (Debian: dcmtk)")
    done = subprocess.run(["dcm2json", path], check=True, capture_output=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("directions", [Cine.directions, CORONAL, TILTED])
def test_a_segmentation_read_by_dcmtk_has_every_pixel_on_its_source_frame(tmp_path, directions):
    cine = Cine(random_frames(), directions=directions)
    labels = make_case(tmp_path, cine, 2)
    found = by_dcmtk(export(tmp_path, "dicom-seg", "--target-names", "GTV", "node"))
    bits = np.unpackbits(
        np.frombuffer(base64.b64decode(found["7FE00010"]["InlineBinary"]), np.uint8), bitorder="little"
    )
    frames = bits[: 12 * 10 * 14].reshape(12, 10, 14)
    sources = [dataset.SOPInstanceUID for dataset in datasets(cine)]
    assert [item["00620005"]["Value"][0] for item in found["00620002"]["Value"]] == ["GTV", "node"]
    for groups, pixels in zip(found["52009230"]["Value"], frames, strict=True):
        number = groups["0062000A"]["Value"][0]["0062000B"]["Value"][0]
        image = groups["00089124"]["Value"][0]["00082112"]["Value"][0]
        frame = sources.index(image["00081155"]["Value"][0])
        np.testing.assert_array_equal(pixels, labels[frame] == number)
        content = groups["00209111"]["Value"][0]
        assert content["00209157"]["Value"] == [number, frame + 1] and content["00209128"]["Value"] == [frame + 1]
        assert groups["00209113"]["Value"][0]["00200032"]["Value"] == pytest.approx(cine.origin_mm, abs=1e-3)
    shared = found["52009229"]["Value"][0]
    cosines = [value for direction in directions for value in direction]
    assert shared["00209116"]["Value"][0]["00200037"]["Value"] == pytest.approx(cosines, abs=1e-6)
    assert shared["00289110"]["Value"][0]["00280030"]["Value"] == list(cine.spacing_mm)
    pointers = [item["00209165"]["Value"][0] for item in found["00209222"]["Value"]]
    assert pointers == ["0062000B", "00209128"]  # segment, temporal position


def test_highdicom_takes_the_segmentation_and_finds_each_frames_mask(tmp_path):
    cine = Cine(random_frames())
    labels = make_case(tmp_path, cine, 2)
    seg = highdicom.seg.segread(export(tmp_path, "dicom-seg"))
    uids = [dataset.SOPInstanceUID for dataset in datasets(cine)]
    pixels = seg.get_pixels_by_source_instance(uids, combine_segments=False)  # (T, rows, columns, segments)
    np.testing.assert_array_equal(pixels, np.stack([labels == 1, labels == 2], axis=-1))


@pytest.mark.parametrize("name", ["dicom-seg", "rtstruct"])
@pytest.mark.parametrize("options", [[], ["--keep-identifiers"]])
def test_dciodvfy_finds_nothing_wrong_and_dcentvfy_no_contradiction_to_the_source(tmp_path, name, options):
    if shutil.which("dciodvfy") is None or shutil.which("dcentvfy") is None:
        pytest.skip("dciodvfy and dcentvfy are not installed (Debian: dicom3tools)")
    make_case(tmp_path, Cine(random_frames()), 2, *options)
    path = export(tmp_path, name)
    done = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True)
    remarks = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("Error", "Warning"))]
    if not options:  # it remarks that the patient is left out
        remarks = [line for line in remarks if "needed to build DICOMDIR" not in line]
    assert done.returncode == 0 and remarks == []
    if options:  # else the patient differs, as is meant
        done = subprocess.run(["dcentvfy", path, *(tmp_path / "in").iterdir()], capture_output=True, text=True)
        assert "Error" not in done.stdout + done.stderr, done.stderr


@pytest.mark.parametrize("name", ["dicom-seg", "rtstruct"])
def test_masks_that_went_out_come_back_exactly(tmp_path, name):
    cine = Cine(random_frames(), directions=TILTED)
    labels = make_case(tmp_path, cine)
    labels[2] = labels[1]  # RTSTRUCT cannot say that a frame is without the target
    write_prediction(tmp_path, labels)
    path = export(tmp_path, name)
    command = ["import", str(tmp_path / "in"), "-o", str(tmp_path / "again"), "--masks", str(path)]
    assert main(command) == 0
    (case,) = find_cases(tmp_path / "again")
    predicted, _ = read_index_masks(tmp_path / "pred" / "case_001" / OUTPUT_FILE)
    np.testing.assert_array_equal(case.read_labels(), predicted == 1)


def test_an_enhanced_images_segmentation_refers_to_frame_numbers(tmp_path):
    one, other = interleaved(Cine(random_frames()), Cine(random_frames(seed=4), directions=CORONAL))
    legacy = [dataset for pair in zip(datasets(one), datasets(other), strict=True) for dataset in pair]
    enhanced = highdicom.legacy.LegacyConvertedEnhancedMRImage(
        legacy, series_instance_uid=uid("e"), series_number=5, sop_instance_uid=uid("e1"), instance_number=1
    )
    (tmp_path / "in").mkdir()
    enhanced.save_as(tmp_path / "in" / "e.dcm")
    assert main(["import", str(tmp_path / "in"), "-o", str(tmp_path / "data"), "--region", "thorax"]) == 0
    for case in find_cases(tmp_path / "data"):
        sequence, geometry = case.read_sequence()
        write_series(
            tmp_path / "pred" / case.case_id / OUTPUT_FILE, (sequence.frames > 2000).astype(np.uint8), geometry
        )
    command = ["export", str(tmp_path / "pred"), "--dataset", str(tmp_path / "data"), "-o", str(tmp_path / "export")]
    assert main([*command, "--format", "dicom-seg", "rtstruct"]) == 0
    for stem in ("case_001", "case_001_scan2"):
        seg = pydicom.dcmread(tmp_path / "export" / f"{stem}.seg.dcm")
        for groups, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
            source = groups.DerivationImageSequence[0].SourceImageSequence[0]
            frame = enhanced.pixel_array[source.ReferencedFrameNumber - 1]
            np.testing.assert_array_equal(pixels == 1, frame > 2000)
        rt = pydicom.dcmread(tmp_path / "export" / f"{stem}.rtstruct.dcm")
        image = rt.ROIContourSequence[0].ContourSequence[0].ContourImageSequence[0]
        assert image.ReferencedSOPInstanceUID == uid("e1") and image.ReferencedFrameNumber >= 1


def test_contours_read_by_dcmtk_enclose_just_the_masks_pixels_in_the_patient(tmp_path):
    cine = Cine(random_frames(), directions=TILTED)
    labels = make_case(tmp_path, cine)
    found = by_dcmtk(export(tmp_path, "rtstruct", "--target-names", "GTV"))
    assert found["30060020"]["Value"][0]["30060026"]["Value"] == ["GTV"]
    sources = [dataset.SOPInstanceUID for dataset in datasets(cine)]
    along_row, along_column = (np.array(direction) for direction in cine.directions)
    rows, columns = np.indices((10, 14)).reshape(2, -1)
    filled = np.zeros(labels.shape, bool)
    for contour in found["30060039"]["Value"][0]["30060040"]["Value"]:
        frame = sources.index(contour["30060016"]["Value"][0]["00081155"]["Value"][0])
        assert contour["30060042"]["Value"] == ["CLOSED_PLANAR"]
        points = np.array(contour["30060050"]["Value"], float).reshape(-1, 3) - cine.origin_mm
        assert len(points) == int(contour["30060046"]["Value"][0])
        assert np.abs(points @ np.cross(along_row, along_column)).max() < 1e-3  # in the plane, to a micrometre
        outline = Polygon(np.stack([points @ along_column, points @ along_row], axis=1))
        centres = np.stack([rows * cine.spacing_mm[0], columns * cine.spacing_mm[1]], axis=1)
        filled[frame] ^= outline.contains_points(centres, radius=1e-6).reshape(10, 14) | (
            outline.contains_points(centres, radius=-1e-6).reshape(10, 14)
        )
    np.testing.assert_array_equal(filled, labels == 1)


@settings(max_examples=60)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)))
def test_an_outline_filled_by_pixel_centres_is_the_mask(mask):
    filled = np.zeros_like(mask)
    for outline in outlines(mask):
        filled ^= polygon2mask(mask.shape, outline)
    np.testing.assert_array_equal(filled, mask)


@pytest.mark.parametrize("directions", [Cine.directions, CORONAL, TILTED])
def test_nifti_and_nrrd_read_by_itk_lie_where_the_source_lies(tmp_path, directions):
    cine = Cine(random_frames(), directions=directions)
    labels = make_case(tmp_path, cine, 2)
    nifti, nrrd = export(tmp_path, "nifti", to="n"), export(tmp_path, "nrrd", to="s")
    origin, (along_row, along_column) = np.array(cine.origin_mm), np.array(directions)
    for path in (nifti, nrrd):
        image = sitk.ReadImage(str(path))
        if image.GetNumberOfComponentsPerPixel() == len(labels):  # ITK takes a list axis for channels
            values = np.moveaxis(sitk.GetArrayFromImage(image)[0], -1, 0)
            place = image.TransformContinuousIndexToPhysicalPoint
        else:
            values = sitk.GetArrayFromImage(image)[:, 0]

            def place(index, image=image):
                return image.TransformContinuousIndexToPhysicalPoint([*index, 0.0])[:3]

        counts = 0
        for row in range(10):  # of the source
            for column in range(14):
                expected = origin + column * cine.spacing_mm[1] * along_row + row * cine.spacing_mm[0] * along_column
                at = index_at(place, values.shape, expected)
                np.testing.assert_array_equal(values[:, at[1], at[0]], labels[:, row, column])
                assert np.abs(np.array(place([float(at[0]), float(at[1]), 0.0])) - expected).max() < 1e-3  # mm
                counts += 1
        assert counts == values[0].size
    assert sitk.ReadImage(str(nifti)).GetSpacing()[3] == pytest.approx(0.25)


def index_at(place, shape, expected) -> tuple[int, int]:
    """The (column, row) index at a position, by the steps between the first pixels."""
    origin = np.array(place([0.0, 0.0, 0.0]))
    steps = np.array([np.array(place([1.0, 0.0, 0.0])) - origin, np.array(place([0.0, 1.0, 0.0])) - origin])
    column, row = np.round(np.linalg.lstsq(steps.T, expected - origin, rcond=None)[0]).astype(int)
    assert 0 <= row < shape[1] and 0 <= column < shape[2]
    return int(column), int(row)


def test_a_sequence_for_slicer_has_its_fields_and_the_frames_own_times(tmp_path):
    times = (0.0, 0.25, 0.5, 2.0)
    cine = Cine(random_frames(count=7))
    write(cine, tmp_path / "in")
    ordered = sorted((tmp_path / "in").iterdir(), key=lambda path: pydicom.dcmread(path).AcquisitionTime)
    for path in ordered[3:]:
        path.unlink()
    late = replace(cine, frames=cine.frames[:1], start_s=cine.start_s + 2.0)
    (dataset,) = datasets(late)
    dataset.SOPInstanceUID = uid("late")
    dataset.save_as(tmp_path / "in" / "late.dcm", enforce_file_format=True)
    assert main(["import", str(tmp_path / "in"), "-o", str(tmp_path / "data")]) == 0
    write_prediction(tmp_path, np.ones((4, 10, 14), np.uint8))
    header = export(tmp_path, "nrrd").read_bytes().split(b"\n\n")[0].decode()
    assert "kinds: domain domain domain list" in header
    assert 'labels: "" "" "" "time"' in header and 'units: "" "" "" "s"' in header
    assert "space: left-posterior-superior" in header
    assert "DataNodeClassName:=vtkMRMLLabelMapVolumeNode" in header
    assert "axis 3 index type:=numeric" in header
    assert "axis 3 index values:=" + " ".join(f"{value:g}" for value in times) in header


def test_a_trajectory_in_patient_directions(tmp_path):
    cine = Cine(random_frames(count=4))
    make_case(tmp_path, cine)
    labels = np.zeros((4, 10, 14), np.uint8)
    labels[0, 4:6, 5:8] = 1
    labels[1, 3:5, 5:8] = 1  # a row up: towards the head by 1.75 mm
    labels[3, 4:6, 7:10] = 1  # two columns right: towards the back by 2.5 mm
    write_prediction(tmp_path, labels)
    with export(tmp_path, "trajectory", "--target-names", "GTV").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["time_s"] for row in rows] == ["0.000000", "0.250000", "0.500000", "0.750000"]
    assert [(row["si_mm"], row["ap_mm"], row["lr_mm"]) for row in rows] == [
        ("0.000", "0.000", "0.000"), ("1.750", "0.000", "0.000"), ("", "", ""), ("0.000", "2.500", "0.000"),
    ]  # fmt: skip
    assert [row["area_mm2"] for row in rows] == ["13.12", "13.12", "0.00", "13.12"]
    assert rows[1]["score"] == "1.50000" and rows[0]["target"] == "GTV"


def test_coco_masks_and_pictures_lie_as_the_case_does(tmp_path):
    make_case(tmp_path, Cine(random_frames()), 2)
    root = export(tmp_path, "coco", "--target-names", "GTV", "node")
    content = json.loads((root / "annotations.json").read_text())
    predicted, _ = read_index_masks(tmp_path / "pred" / "case_001" / OUTPUT_FILE)
    assert content["categories"] == [{"id": 1, "name": "GTV"}, {"id": 2, "name": "node"}]
    assert len(content["images"]) == 6 and len(content["annotations"]) == 10  # no target on one frame
    rebuilt = np.zeros_like(predicted)
    for annotation in content["annotations"]:
        counts, (height, width) = annotation["segmentation"]["counts"], annotation["segmentation"]["size"]
        values = np.repeat(np.arange(len(counts)) % 2, counts).astype(bool)
        mask = values.reshape(width, height).T
        rebuilt[annotation["image_id"] - 1][mask] = annotation["category_id"]
        x, y, w, h = annotation["bbox"]
        assert mask[y : y + h, x : x + w].sum() == annotation["area"] == mask.sum()
    np.testing.assert_array_equal(rebuilt, predicted)
    from PIL import Image

    assert Image.open(root / "images" / content["images"][3]["file_name"]).size == (14, 10)


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6)))
def test_run_lengths_are_pycocotools_own(mask):
    mask_module = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    height, width = mask.shape
    theirs = mask_module.frPyObjects({"counts": run_lengths(mask), "size": [height, width]}, height, width)
    np.testing.assert_array_equal(mask_module.decode(theirs).astype(bool), mask)


@pytest.mark.parametrize("name", ["dicom-seg", "rtstruct"])
def test_the_same_masks_give_the_same_file_and_uids_and_others_do_not(tmp_path, name):
    labels = make_case(tmp_path, Cine(random_frames()))
    first, second = export(tmp_path, name, to="a"), export(tmp_path, name, to="b")
    assert first.read_bytes() == second.read_bytes()
    labels[0, 0, 0] = 1 - labels[0, 0, 0]
    write_prediction(tmp_path, labels)
    third = export(tmp_path, name, to="c")
    one, other = pydicom.dcmread(first), pydicom.dcmread(third)
    assert one.SOPInstanceUID != other.SOPInstanceUID and one.SeriesInstanceUID != other.SeriesInstanceUID
    source = datasets(Cine(random_frames()))[0]
    assert one.StudyInstanceUID == source.StudyInstanceUID and one.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert one.SeriesInstanceUID != source.SeriesInstanceUID


@pytest.mark.parametrize("name", ["dicom-seg", "rtstruct"])
def test_patient_details_go_out_only_where_they_were_kept_and_are_wanted(tmp_path, name, capsys):
    make_case(tmp_path, Cine(random_frames()), 1, "--keep-identifiers")
    kept = pydicom.dcmread(export(tmp_path, name, to="kept"))
    assert (kept.PatientName, kept.PatientID, kept.StudyDate) == ("Doe^P1", "ID-P1", "20240506")
    assert "no patient details" not in capsys.readouterr().err
    path = export(tmp_path, name, "--leave-out-patient", to="left out")
    assert not [text for text in (b"Doe^P1", b"ID-P1", b"19500102", b"20240506") if text in path.read_bytes()]
    assert pydicom.dcmread(path).SOPInstanceUID != kept.SOPInstanceUID


@pytest.mark.parametrize("name", ["dicom-seg", "rtstruct"])
def test_a_case_that_did_not_come_from_dicom_has_nothing_to_refer_to(tmp_path, tracking_case_folder, name, capsys):
    data, predictions = tracking_case_folder
    command = ["export", str(predictions), "--dataset", str(data), "-o", str(tmp_path / "out"), "--format", name]
    assert main(command) == 2
    assert "expected a case imported from DICOM, found no source record" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"dicom-seg", "rtstruct"}))
def test_the_other_formats_take_any_case(tmp_path, tracking_case_folder, name, capsys):
    data, predictions = tracking_case_folder
    command = ["export", str(predictions), "--dataset", str(data), "-o", str(tmp_path / "out"), "--format", name]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert Path(out.strip()).is_file()
    assert ("written as a sagittal plane at the origin" in err) == (name in ("nifti", "nrrd"))


@pytest.fixture
def tracking_case_folder(tmp_path):
    """A TrackRAD2025 case that was not imported, and a prediction of it."""
    from cinetrack.sequence import CineSequence
    from cinetrack.sequence.trackrad_dataset import write_case

    frames = random_frames(rows=12)
    write_case(tmp_path / "data", "A_001", CineSequence(frames, (1.5, 2.0), 4.0, 0.35, "thorax"), None)
    write_series(
        tmp_path / "pred" / "A_001" / OUTPUT_FILE, (frames > 2000).astype(np.uint8), ImageGeometry.in_plane((1.5, 2.0))
    )
    return tmp_path / "data", tmp_path / "pred"


def without_the_case(data: Path, predictions: Path) -> None:
    (data / "A_001").rename(data / "B_001")


def with_fewer_frames(data: Path, predictions: Path) -> None:
    write_series(predictions / "A_001" / OUTPUT_FILE, np.ones((3, 12, 14), np.uint8), ImageGeometry.in_plane((1, 1)))


def with_a_record_of_nothing(data: Path, predictions: Path) -> None:
    (data / "A_001" / "source.json").write_text("{}")


def with_a_damaged_record(data: Path, predictions: Path) -> None:
    (data / "A_001" / "source.json").write_text('{"version": 1}')


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (without_the_case, "found none called A_001"),
        (with_fewer_frames, "expected masks of (6, 12, 14)"),
        (with_a_record_of_nothing, "expected a source record of version 1"),
        (with_a_damaged_record, "found a damaged one"),
    ],
)
def test_predictions_that_do_not_fit_their_case_are_refused(tmp_path, tracking_case_folder, break_it, message, capsys):
    data, predictions = tracking_case_folder
    break_it(data, predictions)
    command = ["export", str(predictions), "--dataset", str(data), "-o", str(tmp_path / "out"), "--format", "nifti"]
    assert main(command) == 2
    assert message in capsys.readouterr().err


def test_too_few_names_are_refused(tmp_path, capsys):
    make_case(tmp_path, Cine(random_frames()), 2)
    command = ["export", str(tmp_path / "pred"), "--dataset", str(tmp_path / "data"), "-o", str(tmp_path / "out")]
    assert main([*command, "--format", "trajectory", "--target-names", "GTV"]) == 2
    assert "expected a name for each of 2 targets, found 1" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "a\\b", "x" * 65, "a\nb"])
def test_names_that_dicom_has_no_room_for_are_refused(tmp_path, tracking_case_folder, name, capsys):
    data, predictions = tracking_case_folder
    command = [
        "export",
        str(predictions),
        "--dataset",
        str(data),
        "-o",
        str(tmp_path / "out"),
        "--format",
        "trajectory",
    ]
    assert main([*command, "--target-names", name]) == 2
    assert "expected 1 to 64 printable characters" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "module"),
    [("dicom-seg", "highdicom"), ("rtstruct", "pydicom"), ("nifti", "nibabel"), ("nrrd", "nrrd")],
)
def test_a_missing_package_is_named_with_its_extra(tmp_path, name, module, monkeypatch, capsys):
    make_case(tmp_path, Cine(random_frames(count=3)))
    monkeypatch.setitem(sys.modules, module, None)
    command = ["export", str(tmp_path / "pred"), "--dataset", str(tmp_path / "data"), "-o", str(tmp_path / "out")]
    assert main([*command, "--format", name]) == 2
    assert "pip install 'cinetrack[clinic]'" in capsys.readouterr().err


def test_the_predictions_record_names_the_dataset(tmp_path, tracking_case_folder, capsys):
    data, predictions = tracking_case_folder
    command = ["export", str(predictions), "-o", str(tmp_path / "out"), "--format", "trajectory"]
    assert main(command) == 2
    assert "found none; give --dataset" in capsys.readouterr().err
    (predictions / "A_001" / "prediction.json").write_text(json.dumps({"dataset": str(data)}))
    assert main(command) == 0
    data.rename(tmp_path / "moved")
    assert main(command) == 2
    assert f"{data}: expected the tracked cases, found none; give --dataset" in capsys.readouterr().err
