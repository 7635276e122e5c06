"""What DICOM-SEG and RTSTRUCT have in common: the source that they refer to, patient details, and their own UIDs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cinetrack import __version__
from cinetrack.clinic.exporting.predicted_case import ExportOptions, PredictedCase
from cinetrack.clinic.packages import clinic_package
from cinetrack.clinic.source_record import DicomSeries, SourceRecord
from cinetrack.errors import InputError
from cinetrack.sequence.atomic_write import atomic_path

MANUFACTURER, MODEL = "CineTrack", "cinetrack"
# What a person's and a study's modules have places for; the rest of a record's identifiers describe its own series.
PATIENT_KEYWORDS = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
STUDY_KEYWORDS = ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName", "StudyDescription")


@dataclass(frozen=True, eq=False)
class DicomSource:
    """A case's record and the DICOM series in it, which an object has to refer to."""

    record: SourceRecord
    series: DicomSeries


def dicom_source(case: PredictedCase, wanted: str) -> DicomSource:
    """The series that a case came from. Raises InputError where it did not come from DICOM."""
    record = case.record
    if record is None or record.dicom is None:
        found = "no source record beside the case" if record is None else f"a case that came from {record.format}"
        raise InputError(
            f"{case.case_id}: {wanted} refers to DICOM images: expected a case imported from DICOM, found {found}"
        )
    return DicomSource(record, record.dicom)


def identifiers(record: SourceRecord, options: ExportOptions) -> dict[str, str]:
    """Patient and study details by keyword, "" for those that are not known or not wanted."""
    kept = record.identifiers if options.with_patient else {}
    return {keyword: kept.get(keyword, "") for keyword in PATIENT_KEYWORDS + STUDY_KEYWORDS}


def new_uid(case: PredictedCase, purpose: str, options: ExportOptions) -> str:
    """A UID that the same masks, source and choices give again, and others do not.

    Args:
        purpose: what it is for, as "DICOM-SEG instance"; each gets its own.
    """
    uid = clinic_package("pydicom.uid", "to write DICOM")
    source = dicom_source(case, purpose)
    content = [
        f"cinetrack {__version__}",
        purpose,
        source.series.series_uid,
        *source.series.instance_uids,
        *case.target_names,
        case.made_at.isoformat(),
        repr(sorted(identifiers(source.record, options).items())),
        hashlib.sha256(np.ascontiguousarray(case.labels).tobytes()).hexdigest(),
    ]
    return str(uid.generate_uid(entropy_srcs=content))


def image_reference(series: DicomSeries, frame: int) -> Any:
    """An item that refers to a frame of the series: its class, instance and, in multi-frame instances, number."""
    dataset = clinic_package("pydicom.dataset", "to write DICOM")
    item = dataset.Dataset()
    item.ReferencedSOPClassUID = series.class_uids[frame]
    item.ReferencedSOPInstanceUID = series.instance_uids[frame]
    if series.frame_numbers[frame] is not None:
        item.ReferencedFrameNumber = series.frame_numbers[frame]
    return item


def instance_references(series: DicomSeries) -> list[Any]:
    """An item for each instance of the series, once, without frame numbers."""
    dataset = clinic_package("pydicom.dataset", "to write DICOM")
    items = []
    for instance_uid, class_uid in dict(zip(series.instance_uids, series.class_uids, strict=True)).items():
        item = dataset.Dataset()
        item.ReferencedSOPClassUID = class_uid
        item.ReferencedSOPInstanceUID = instance_uid
        items.append(item)
    return items


def save(dataset: Any, path: Path) -> Path:
    """Write a dataset as a DICOM file, atomically; returns its path."""
    with atomic_path(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)
    return path
