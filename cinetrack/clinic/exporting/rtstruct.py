"""RTSTRUCT: each target's outline as closed polygons in the patient, by the source frame that they were found on.

The outline runs half way between the centres of pixels inside and outside. A planning system that fills polygons by
pixel centres gets the very mask back. Holes are joined to the outline around them by a channel without width (DICOM
PS3.3 C.8.8.6.3, "keyhole").
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import label
from skimage.measure import find_contours

from cinetrack import __version__
from cinetrack.clinic.exporting.dicom_object import (
    MANUFACTURER,
    MODEL,
    DicomSource,
    dicom_source,
    identifiers,
    image_reference,
    instance_references,
    new_uid,
    save,
)
from cinetrack.clinic.exporting.predicted_case import ExportOptions, PredictedCase
from cinetrack.clinic.packages import clinic_package
from cinetrack.errors import InputError

HELP = "RTSTRUCT: contours by referenced frame, for planning systems (cases that came from DICOM)"
CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"  # explicit VR has no room for contours of more than 64 KiB
COLOURS = ((255, 0, 0), (0, 200, 0), (0, 120, 255), (255, 200, 0), (255, 0, 255), (0, 220, 220))


def write(case: PredictedCase, folder: Path, options: ExportOptions) -> Path:
    """Write <case>.rtstruct.dcm."""
    return save(structure_set(case, options), folder / f"{case.case_id}.rtstruct.dcm")


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """One closed polygon, (N, 2) of row and column, for each connected part of a (rows, columns) bool mask."""
    parts, count = label(np.pad(mask, 1))  # parts that touch at corners only are two
    polygons = []
    for part in range(1, count + 1):
        lines = [
            line[:-1] - 1 for line in find_contours((parts == part).astype(np.float32), 0.5)
        ]  # the last repeats the first
        lines.sort(key=lambda line: np.ptp(line, axis=0).prod(), reverse=True)  # the outer one spans most
        polygons.append(_joined(lines[0], lines[1:]))
    return polygons


def _joined(outline: np.ndarray, holes: list[np.ndarray]) -> np.ndarray:
    """The outline with its holes, the nearest first, so that no channel crosses another hole."""
    while holes:
        distances = [np.linalg.norm(outline[:, None] - hole[None], axis=2) for hole in holes]
        nearest = int(np.argmin([distance.min() for distance in distances]))
        at, start = np.unravel_index(int(distances[nearest].argmin()), distances[nearest].shape)
        hole = np.roll(holes.pop(nearest), -int(start), axis=0)
        outline = np.concatenate([outline[: at + 1], hole, hole[:1], outline[at:]])
    return outline


def structure_set(case: PredictedCase, options: ExportOptions) -> Any:
    """The dataset of a case's RTSTRUCT.

    Raises:
        InputError: the case did not come from DICOM, or its source does not say where in the patient it lies.
    """
    pydicom = clinic_package("pydicom", "to write RTSTRUCT")
    source = dicom_source(case, "RTSTRUCT")
    series, frame_of_reference = source.series, source.series.frame_of_reference_uid
    if source.record.grid.placement is None or not frame_of_reference:
        raise InputError(
            f"{case.case_id}: RTSTRUCT has contours in the patient: expected a source with direction cosines and "
            "(0020,0052) FrameOfReferenceUID, found them not both"
        )
    made = case.made_at
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = IMPLICIT_LITTLE_ENDIAN
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = CLASS, new_uid(case, "RTSTRUCT instance", options)
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = made.strftime("%Y%m%d"), made.strftime("%H%M%S")
    for keyword, value in identifiers(source.record, options).items():
        if value or keyword not in ("IssuerOfPatientID", "StudyDescription"):  # the others may be empty, not absent
            setattr(dataset, keyword, value)
    dataset.StudyInstanceUID = series.study_uid
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "RTSTRUCT", 1, 1
    dataset.SeriesInstanceUID = new_uid(case, "RTSTRUCT series", options)
    dataset.SeriesDescription, dataset.OperatorsName = "CineTrack targets", ""
    dataset.Manufacturer, dataset.ManufacturerModelName, dataset.SoftwareVersions = MANUFACTURER, MODEL, __version__
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = frame_of_reference, ""
    dataset.StructureSetLabel = "CineTrack"
    dataset.StructureSetDate, dataset.StructureSetTime = dataset.InstanceCreationDate, dataset.InstanceCreationTime
    dataset.ReferencedFrameOfReferenceSequence = [_referenced_frame_of_reference(pydicom, source)]
    _add_targets(dataset, pydicom, case, source)
    dataset.ApprovalStatus = "UNAPPROVED"
    return dataset


def _referenced_frame_of_reference(pydicom: Any, source: DicomSource) -> Any:
    series, study, item = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    series.SeriesInstanceUID = source.series.series_uid
    series.ContourImageSequence = instance_references(source.series)
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = STUDY_CLASS, source.series.study_uid
    study.RTReferencedSeriesSequence = [series]
    item.FrameOfReferenceUID = source.series.frame_of_reference_uid
    item.RTReferencedStudySequence = [study]
    return item


def _add_targets(dataset: Any, pydicom: Any, case: PredictedCase, source: DicomSource) -> None:
    rois, contours, observations = [], [], []
    for number, name in enumerate(case.target_names, start=1):
        roi, contour, observation = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        roi.ROINumber, roi.ROIName = number, name
        roi.ReferencedFrameOfReferenceUID = source.series.frame_of_reference_uid
        roi.ROIGenerationAlgorithm, roi.ROIGenerationDescription = "AUTOMATIC", f"{MODEL} {__version__}"
        contour.ROIDisplayColor = list(COLOURS[(number - 1) % len(COLOURS)])
        contour.ReferencedROINumber = number
        contour.ContourSequence = _contours(pydicom, source, source.record.turn.undo(case.target(number)))
        observation.ObservationNumber, observation.ReferencedROINumber = number, number
        observation.RTROIInterpretedType, observation.ROIInterpreter = "GTV", ""
        rois.append(roi)
        contours.append(contour)
        observations.append(observation)
    dataset.StructureSetROISequence = rois
    dataset.ROIContourSequence = contours
    dataset.RTROIObservationsSequence = observations


def _contours(pydicom: Any, source: DicomSource, masks: np.ndarray) -> list[Any]:
    """The contours of (T, rows, columns) bool masks as the source's frames lie."""
    items = []
    for frame, mask in enumerate(masks):
        for line in outlines(mask):
            item = pydicom.Dataset()
            item.ContourImageSequence = [image_reference(source.series, frame)]
            item.ContourGeometricType = "CLOSED_PLANAR"
            item.NumberOfContourPoints = len(line)
            places = source.record.grid.position_mm(line[:, 0], line[:, 1])
            item.ContourData = [f"{value:.6f}".rstrip("0").rstrip(".") for value in places.ravel()]
            items.append(item)
    return items
