"""The frames of a DICOM file by its header: one of a single-frame file, many of a multi-frame one.

An enhanced multi-frame file says of each frame in functional groups (DICOM PS3.3 C.7.6.16) what single-frame files say
at their top level; here both become the same list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cinetrack.clinic.dicom_header import Header
from cinetrack.clinic.grid import Placement, Vector
from cinetrack.clinic.importing.pixel_values import check_frame_size
from cinetrack.errors import InputError

LEAST_FRAME_BYTES = 8  # of a file; a compressed frame has an item's head at least


@dataclass(frozen=True)
class DicomFrame:
    """One frame's header.

    Attributes:
        index: the frame's place in its file, from 0.
        number: its number in a multi-frame instance, from 1; None in a single-frame one.
        kind: what has to be equal of frames of one series beside their place: image type, echo, size.
        times: seconds by the attribute that states them, the best first.
        order: instance number, temporal position and place in the file, where no times tell the order.
        slope, intercept: from stored to real values.
    """

    path: Path
    index: int
    number: int | None
    class_uid: str
    instance_uid: str
    series_uid: str
    rows: int
    columns: int
    spacing_mm: tuple[float, float] | None
    placement: Placement | None
    thickness_mm: float | None
    kind: tuple[str, ...]
    order: tuple[int, int, int]
    slope: float
    intercept: float
    times: dict[str, float] = field(default_factory=dict, hash=False)


def frames_of(header: Header) -> list[DicomFrame]:
    """The frames of an image file. Raises InputError naming the file and tag."""
    rows, columns = header.whole("Rows", 1, 65535), header.whole("Columns", 1, 65535)
    check_frame_size(header.path, rows, columns)
    most = max(1, header.path.stat().st_size // LEAST_FRAME_BYTES)
    count = header.whole("NumberOfFrames", 1, most, default=1)
    per_frame = header.items("PerFrameFunctionalGroupsSequence")
    shared = header.item("SharedFunctionalGroupsSequence")
    if per_frame and len(per_frame) != count:
        raise header.unusable("PerFrameFunctionalGroupsSequence", f"{count} items, one a frame", len(per_frame))
    multi_frame = bool(per_frame) or header.number("NumberOfFrames") is not None
    classic_times = {} if per_frame or count == 1 else _frame_time_vector(header, count)
    class_uid, instance_uid, series_uid = (
        header.uid(keyword) for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID")
    )
    frames = []
    for index in range(count):
        groups = _Groups(header, per_frame[index] if per_frame else None, shared)
        times = _enhanced_times(groups) if per_frame else _classic_times(header) if count == 1 else {}
        times |= {name: values[index] for name, values in classic_times.items()}
        content = groups.item("FrameContentSequence")
        transformation = groups.item("PixelValueTransformationSequence")
        slope, intercept = transformation.number("RescaleSlope"), transformation.number("RescaleIntercept")
        frames.append(
            DicomFrame(
                path=header.path,
                index=index,
                number=index + 1 if multi_frame else None,
                class_uid=class_uid,
                instance_uid=instance_uid,
                series_uid=series_uid,
                rows=rows,
                columns=columns,
                spacing_mm=_spacing(groups.item("PixelMeasuresSequence")),
                placement=_placement(groups),
                thickness_mm=_positive(groups.item("PixelMeasuresSequence").number("SliceThickness")),
                kind=_kind(header, groups, rows, columns),
                order=(
                    header.whole("InstanceNumber", -(2**31), 2**31, default=0),
                    content.whole("TemporalPositionIndex", 0, 2**32, default=0) if per_frame else 0,
                    index,
                ),
                slope=1.0 if slope is None else slope,
                intercept=0.0 if intercept is None else intercept,
                times=times,
            )
        )
    return frames


@dataclass(frozen=True)
class _Groups:
    """A frame's functional groups: its own, else the shared ones, else the file's top level."""

    header: Header
    own: Header | None
    shared: Header | None

    def item(self, keyword: str) -> Header:
        for groups in (self.own, self.shared):
            item = groups.item(keyword) if groups is not None else None
            if item is not None:
                return item
        return self.header


def _spacing(measures: Header) -> tuple[float, float] | None:
    values = measures.numbers("PixelSpacing", 2)
    if values is not None and min(values) <= 0:
        raise measures.unusable("PixelSpacing", "two positive numbers (mm)", values)
    return None if values is None else (values[0], values[1])


def _placement(groups: _Groups) -> Placement | None:
    orientation_item, position_item = groups.item("PlaneOrientationSequence"), groups.item("PlanePositionSequence")
    cosines = orientation_item.numbers("ImageOrientationPatient", 6)
    position = position_item.numbers("ImagePositionPatient", 3)
    if cosines is None or position is None:
        return None
    # Written with few digits, cosines are not quite of length 1; the directions are what is meant.
    along_row, along_column = np.array(cosines[:3]), np.array(cosines[3:])
    lengths = np.linalg.norm(along_row), np.linalg.norm(along_column)
    if max(abs(length - 1) for length in lengths) > 0.01:
        raise orientation_item.unusable("ImageOrientationPatient", "two unit vectors at right angles", cosines)
    try:
        return Placement(
            _vector(np.array(position)), _vector(along_row / lengths[0]), _vector(along_column / lengths[1])
        )
    except InputError:
        raise orientation_item.unusable(
            "ImageOrientationPatient", "two unit vectors at right angles", cosines
        ) from None


def _kind(header: Header, groups: _Groups, rows: int, columns: int) -> tuple[str, ...]:
    frame_type = groups.item("MRImageFrameTypeSequence").text("FrameType") or header.text("ImageType")
    echo = groups.item("MREchoSequence").text("EffectiveEchoTime") or header.text("EchoTime")
    return frame_type, echo, f"{rows} x {columns}"


def _classic_times(header: Header) -> dict[str, float]:
    times: dict[str, float] = {}
    stated = header.seconds_of_date_time("AcquisitionDateTime")
    if stated is not None:
        times["AcquisitionDateTime"] = stated
    for name, day in (("AcquisitionTime", "AcquisitionDate"), ("ContentTime", "ContentDate")):
        seconds = header.seconds_of_day(name)
        if seconds is not None:
            times[name] = header.days(day) * 86400 + seconds
    for name in ("TriggerTime", "FrameReferenceTime"):  # ms
        milliseconds = header.number(name)
        if milliseconds is not None:
            times[name] = milliseconds / 1000
    return times


def _enhanced_times(groups: _Groups) -> dict[str, float]:
    times: dict[str, float] = {}
    content = groups.item("FrameContentSequence")
    for name in ("FrameAcquisitionDateTime", "FrameReferenceDateTime"):
        stated = content.seconds_of_date_time(name)
        if stated is not None:
            times[name] = stated
    offset = groups.item("TemporalPositionSequence").number("TemporalPositionTimeOffset")
    if offset is not None:
        times["TemporalPositionTimeOffset"] = offset
    return times


def _frame_time_vector(header: Header, count: int) -> dict[str, list[float]]:
    vector = header.numbers("FrameTimeVector", None)  # ms from the frame before, the first one's 0
    if vector is not None:
        if len(vector) != count:
            raise header.unusable("FrameTimeVector", f"{count} numbers, one a frame", f"{len(vector)}")
        return {"FrameTimeVector": list(np.cumsum(vector) / 1000)}
    step = header.number("FrameTime")
    return {} if step is None else {"FrameTime": [index * step / 1000 for index in range(count)]}


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
