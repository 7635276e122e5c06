"""DICOM-SEG: a segment a target, a frame for each source frame, indexed by segment and temporal position.

Written with highdicom's parts. Its `Segmentation` indexes frames by position in the patient, which all frames of a cine
share, so the functional groups are made here: the temporal index lets a viewer show each frame its own mask.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cinetrack import __version__
from cinetrack.clinic.exporting.dicom_object import (
    MANUFACTURER,
    MODEL,
    dicom_source,
    identifiers,
    image_reference,
    instance_references,
    new_uid,
    save,
)
from cinetrack.clinic.exporting.predicted_case import ExportOptions, PredictedCase
from cinetrack.clinic.packages import clinic_package

HELP = "DICOM-SEG: a segment a target, each frame its own mask (cases that came from DICOM)"
CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def write(case: PredictedCase, folder: Path, options: ExportOptions) -> Path:
    """Write <case>.seg.dcm."""
    return save(segmentation(case, options), folder / f"{case.case_id}.seg.dcm")


def segmentation(case: PredictedCase, options: ExportOptions) -> Any:
    """The dataset of a case's DICOM-SEG. Raises InputError where the case did not come from DICOM."""
    highdicom = clinic_package("highdicom", "to write DICOM-SEG")
    source = dicom_source(case, "DICOM-SEG")
    grid, series = source.record.grid, source.series
    details = identifiers(source.record, options)
    made = case.made_at.replace(microsecond=0)
    dataset = highdicom.base.SOPClass(
        study_instance_uid=series.study_uid,
        series_instance_uid=new_uid(case, "DICOM-SEG series", options),
        series_number=1,
        sop_instance_uid=new_uid(case, "DICOM-SEG instance", options),
        sop_class_uid=CLASS,
        instance_number=1,
        modality="SEG",
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        device_serial_number="none",
        software_versions=__version__,
        transfer_syntax_uid=EXPLICIT_LITTLE_ENDIAN,
        series_description="CineTrack targets",
        content_date=made.date(),
        content_time=made.time(),
        specific_character_set="ISO_IR 192",
    )
    for keyword, value in details.items():
        if value or keyword in dataset:
            setattr(dataset, keyword, value)
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = dataset.ContentDate, dataset.ContentTime
    if series.frame_of_reference_uid:
        dataset.FrameOfReferenceUID = series.frame_of_reference_uid
        dataset.PositionReferenceIndicator = None
    referenced = _item(SeriesInstanceUID=series.series_uid, ReferencedInstanceSequence=instance_references(series))
    dataset.ReferencedSeriesSequence = [referenced]
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = grid.rows, grid.columns
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 1, 1, 0, 0
    dataset.LossyImageCompression = "00"
    dataset.SegmentationType, dataset.SegmentsOverlap = "BINARY", "NO"
    dataset.ContentLabel, dataset.ContentDescription = "TARGETS", "Targets tracked through a cine-MR series"
    dataset.ContentCreatorName = None
    dataset.SegmentSequence = [
        _segment(highdicom, number, name, new_uid(case, f"tracking of segment {number}", options))
        for number, name in enumerate(case.target_names, start=1)
    ]
    _add_frames(dataset, highdicom, case, new_uid(case, "DICOM-SEG dimensions", options))
    return dataset


def _segment(highdicom: Any, number: int, name: str, tracking_uid: str) -> Any:
    codes = clinic_package("pydicom.sr.codedict", "to write DICOM-SEG").codes
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=MODEL, family=codes.DCM.ArtificialIntelligence, version=__version__
        ),
        tracking_uid=tracking_uid,
        tracking_id=name,
    )


def _add_frames(dataset: Any, highdicom: Any, case: PredictedCase, organisation_uid: str) -> None:
    """Dimensions, functional groups and pixels: frames by segment, then time."""
    source = dicom_source(case, "DICOM-SEG")
    grid = source.record.grid
    dataset.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organisation_uid)]
    dataset.DimensionIndexSequence = [
        _item(
            DimensionOrganizationUID=organisation_uid,
            DimensionIndexPointer=pointer,
            FunctionalGroupPointer=group,
            DimensionDescriptionLabel=label,
        )
        for pointer, group, label in (
            (0x0062000B, 0x0062000A, "Segment Number"),
            (0x00209128, 0x00209111, "Temporal Position Index"),
        )
    ]
    shared = _item()
    if grid.spacing_mm is not None:
        shared.PixelMeasuresSequence = highdicom.PixelMeasuresSequence(
            pixel_spacing=grid.spacing_mm, slice_thickness=grid.thickness_mm
        )
    if grid.placement is not None:
        shared.PlaneOrientationSequence = highdicom.PlaneOrientationSequence(
            "PATIENT", [*grid.placement.along_row, *grid.placement.along_column]
        )
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups, masks = [], []
    for number in range(1, len(case.target_names) + 1):
        masks.append(source.record.turn.undo(case.target(number)))
        groups += [_frame_groups(highdicom, case, number, frame) for frame in range(len(case.labels))]
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.NumberOfFrames = len(groups)
    dataset.PixelData = clinic_package("pydicom.pixels", "to write DICOM-SEG").pack_bits(np.concatenate(masks).ravel())


def _frame_groups(highdicom: Any, case: PredictedCase, number: int, frame: int) -> Any:
    codes = clinic_package("pydicom.sr.codedict", "to write DICOM-SEG").codes
    source = dicom_source(case, "DICOM-SEG")
    image = image_reference(source.series, frame)
    image.PurposeOfReferenceCodeSequence = [
        highdicom.sr.CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    ]
    image.SpatialLocationsPreserved = "YES"
    group = _item(
        FrameContentSequence=[_item(DimensionIndexValues=[number, frame + 1], TemporalPositionIndex=frame + 1)],
        SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=number)],
        DerivationImageSequence=[
            _item(
                SourceImageSequence=[image],
                DerivationCodeSequence=[highdicom.sr.CodedConcept.from_code(codes.DCM.Segmentation)],
            )
        ],
    )
    placement = source.record.grid.placement
    if placement is not None:
        group.PlanePositionSequence = highdicom.PlanePositionSequence("PATIENT", placement.origin_mm)
    return group


def _item(**values: Any) -> Any:
    item = clinic_package("pydicom.dataset", "to write DICOM").Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
