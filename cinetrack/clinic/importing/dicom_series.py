"""DICOM: cine series of single-frame and multi-frame files, sorted by acquisition time and split by plane."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cinetrack.clinic.dicom_header import Header, is_dicom, read_header
from cinetrack.clinic.frame_times import FrameTimes, frame_times
from cinetrack.clinic.grid import Grid
from cinetrack.clinic.importing.dicom_frames import DicomFrame, frames_of
from cinetrack.clinic.importing.dicom_pixels import read_pixels
from cinetrack.clinic.importing.found_series import FoundSeries
from cinetrack.clinic.source_record import DicomSeries
from cinetrack.errors import InputError

NAME = "DICOM"
SAME_PLACE_MM, SAME_DIRECTION, SAME_SPACING_MM = 0.1, 1e-3, 1e-4  # within these, frames are of one plane
NO_IMAGES = {  # SOP classes that are not images of the patient, though some have rows and columns
    "1.2.840.10008.5.1.4.1.1.66.4",  # segmentation
    "1.2.840.10008.5.1.4.1.1.66.7",  # label map segmentation
    "1.2.840.10008.5.1.4.1.1.481.2",  # dose
    "1.2.840.10008.5.1.4.1.1.30",  # parametric map
}
REGIONS = {"CHEST": "thorax", "THORAX": "thorax"}  # DICOM's word -> the challenge's; others are taken in lower case
IDENTIFIERS = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyDescription",
    "SeriesDescription",
    "SeriesNumber",
)
DAY_S = 86400


def recognises(path: Path) -> bool:
    """By DICOM's mark at byte 128, or the ending."""
    return is_dicom(path)


def find(files: Sequence[Path]) -> list[FoundSeries]:
    """One series for each series, plane and image type in the files, whatever folders they lie in."""
    headers: dict[Path, Header] = {}
    groups: dict[tuple[object, ...], list[DicomFrame]] = {}
    for path in files:
        header = read_header(path)
        if header.text("SOPClassUID") in NO_IMAGES or "Rows" not in header.dataset:
            continue
        headers[path] = header
        for frame in frames_of(header):
            groups.setdefault((frame.series_uid, frame.kind), []).append(frame)
    found = []
    for frames in groups.values():
        unique, repeated = _without_repetitions(frames)
        planes = _planes(unique)
        for number, plane in enumerate(planes, start=1):
            notes = [f"{repeated} frames are in the files twice; each is taken once"] if repeated else []
            found.append(_series(plane, headers, f"plane {number} of {len(planes)}" if len(planes) > 1 else "", notes))
    return found


def _without_repetitions(frames: list[DicomFrame]) -> tuple[list[DicomFrame], int]:
    unique = {(frame.instance_uid, frame.number): frame for frame in reversed(frames)}
    return list(reversed(unique.values())), len(frames) - len(unique)


def _planes(frames: list[DicomFrame]) -> list[list[DicomFrame]]:
    """The frames by plane, planes in the order in which they first come."""
    planes: list[list[DicomFrame]] = []
    places = np.array([_place(frame) for frame in frames])
    firsts = np.empty_like(places)  # of each plane's first frame; compared at once, for a volume has many planes
    for frame, place in zip(frames, places, strict=True):
        same = np.isclose(firsts[: len(planes)], place, rtol=0, atol=1, equal_nan=True).all(axis=1)
        if same.any():
            planes[int(same.argmax())].append(frame)
        else:
            firsts[len(planes)] = place
            planes.append([frame])
    return planes


def _place(frame: DicomFrame) -> np.ndarray:
    """Position, direction cosines and spacing in units of their tolerances; NaN where the source does not say."""
    place = np.full(11, np.nan)
    if frame.placement is not None:
        place[:3] = np.array(frame.placement.origin_mm) / SAME_PLACE_MM
        place[3:9] = np.array(frame.placement.along_row + frame.placement.along_column) / SAME_DIRECTION
    if frame.spacing_mm is not None:
        place[9:] = np.array(frame.spacing_mm) / SAME_SPACING_MM
    return place


def _series(frames: list[DicomFrame], headers: dict[Path, Header], plane: str, notes: list[str]) -> FoundSeries:
    times, frames = _in_order_of_time(frames)
    first = frames[0]
    header = headers[first.path]
    if times is None and len(frames) > 1:
        notes.append("the frames have no acquisition times of their own; they are in the order of instance numbers")
    notes += _notes(header)
    number, description = header.text("SeriesNumber"), header.text("SeriesDescription")
    return FoundSeries(
        path=first.path.parent if len({frame.path for frame in frames}) > 1 else first.path,
        format=NAME,
        frame_count=len(frames),
        grid=Grid(first.rows, first.columns, first.spacing_mm, first.placement, first.thickness_mm),
        read=functools.partial(read_pixels, tuple(frames)),
        patient=_patient(header),
        description=" ".join(part for part in (number and f"series {number}", description, plane) if part),
        times=times,
        field_strength_t=header.number("MagneticFieldStrength"),
        region=_region(header),
        dicom=DicomSeries(
            study_uid=header.uid("StudyInstanceUID"),
            series_uid=first.series_uid,
            frame_of_reference_uid=header.text("FrameOfReferenceUID"),
            class_uids=tuple(frame.class_uid for frame in frames),
            instance_uids=tuple(frame.instance_uid for frame in frames),
            frame_numbers=tuple(frame.number for frame in frames),
        ),
        identifiers={keyword: text for keyword in IDENTIFIERS if (text := header.text(keyword))},
        notes=tuple(notes),
    )


def _in_order_of_time(frames: list[DicomFrame]) -> tuple[FrameTimes | None, list[DicomFrame]]:
    """The frames sorted by the first attribute that states a time of its own for each of them; else by number."""
    for name in frames[0].times:
        if not all(name in frame.times for frame in frames):
            continue
        seconds = np.array([frame.times[name] for frame in frames])
        if seconds.max() < DAY_S and seconds.max() - seconds.min() > DAY_S / 2:  # times without dates, past midnight
            seconds = np.where(seconds < DAY_S / 2, seconds + DAY_S, seconds)
        order = np.argsort(seconds, kind="stable")
        times = frame_times([float(seconds[index]) for index in order], name)
        if times is not None:
            return times, [frames[index] for index in order]
    numbers = [frame.order for frame in frames]
    if len(set(numbers)) < len(numbers):
        raise InputError(
            f"{frames[0].path}: (0008,0032) AcquisitionTime, (0020,0013) InstanceNumber: expected the order of its "
            f"series' frames, found {len(numbers)} frames with {len(set(numbers))} different numbers and no times"
        )
    return None, sorted(frames, key=lambda frame: frame.order)


def _patient(header: Header) -> str:
    number, name = header.text("PatientID"), header.text("PatientName")
    if not number and not name:
        return header.uid("StudyInstanceUID")
    return f"{header.text('IssuerOfPatientID')}\0{number}" if number else f"\0\0{name}"


def _region(header: Header) -> str | None:
    word = header.text("BodyPartExamined")
    shared = header.item("SharedFunctionalGroupsSequence")
    anatomy = shared.item("FrameAnatomySequence") if shared is not None else None
    region = anatomy.item("AnatomicRegionSequence") if anatomy is not None else None
    if not word and region is not None:
        word = region.text("CodeMeaning")
    return REGIONS.get(word.upper(), word.lower()) or None


def _notes(header: Header) -> list[str]:
    notes = []
    burnt_in = header.text("BurnedInAnnotation").upper()
    if burnt_in == "YES":
        notes.append(
            "(0028,0301) BurnedInAnnotation: the source says that the frames have writing burnt into them, "
            "which may name the patient"
        )
    elif burnt_in != "NO" and header.text("Modality") not in ("MR", "CT"):
        notes.append("the source does not say whether writing is burnt into the frames; look at them")
    if header.text("LossyImageCompression") == "01":
        notes.append("the frames were compressed with loss")
    return notes
