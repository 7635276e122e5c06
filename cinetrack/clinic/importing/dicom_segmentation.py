"""Targets in DICOM segmentations: each frame's mask, by the source frame that it refers to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cinetrack.clinic.dicom_header import Header
from cinetrack.clinic.grid import Grid
from cinetrack.clinic.importing.dicom_decoding import stored_frames
from cinetrack.clinic.importing.dicom_frames import frames_of
from cinetrack.clinic.importing.found_series import FoundSeries
from cinetrack.errors import InputError

CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")

FrameKey = tuple[str, int | None]  # SOP Instance UID, and the number in a multi-frame instance


def target_names(header: Header) -> dict[str, int]:
    """Segment numbers by label."""
    names: dict[str, int] = {}
    for segment in header.items("SegmentSequence"):
        number = segment.whole("SegmentNumber", 0, 65535)
        if number > 0:  # 0 is a label map's background
            label = segment.text("SegmentLabel") or f"segment {number}"
            names[label if label not in names else f"{label} ({number})"] = number
    return names


def referenced_instances(header: Header) -> set[str]:
    """SOP Instance UIDs of the frames that the segmentation refers to."""
    per_frame = header.items("PerFrameFunctionalGroupsSequence")
    found = {source[0] for frame in per_frame if (source := _source_of(frame)) is not None}
    for series in header.items("ReferencedSeriesSequence"):
        found |= {item.text("ReferencedSOPInstanceUID") for item in series.items("ReferencedInstanceSequence")}
    return found


def read_target(header: Header, number: int, series: FoundSeries) -> dict[int, np.ndarray]:
    """Masks (rows, columns) bool of a segment by the series' frame.

    Raises:
        InputError: another place than the series', a frame that refers to no source, or pixels that cannot be read.
    """
    assert series.dicom is not None
    frame_of = {
        key: index for index, key in enumerate(zip(series.dicom.instance_uids, series.dicom.frame_numbers, strict=True))
    }
    per_frame = header.items("PerFrameFunctionalGroupsSequence")
    shared = header.item("SharedFunctionalGroupsSequence")
    kind = header.text("SegmentationType").upper()
    frames = frames_of(header)
    masks: dict[int, np.ndarray] = {}
    for position, pixels in enumerate(_pixels(header, kind)):
        if kind != "LABELMAP" and _segment_of(per_frame[position], shared) != number:
            continue
        index = _series_frame(per_frame[position], frame_of)
        if index is None:
            continue  # of another series or plane
        frame = frames[position]
        _check_place(header, Grid(frame.rows, frame.columns, frame.spacing_mm, frame.placement), series.grid)
        mask = pixels == number if kind == "LABELMAP" else pixels > 0
        masks[index] = masks[index] | mask if index in masks else mask
    return masks


def _pixels(header: Header, kind: str) -> list[np.ndarray]:
    ((_, frames),) = stored_frames([(header.path, None)])
    if kind == "FRACTIONAL":
        half = header.whole("MaximumFractionalValue", 1, 65535) / 2
        return [frame >= half for frame in frames]
    if kind not in ("BINARY", "LABELMAP"):
        raise header.unusable("SegmentationType", "BINARY, FRACTIONAL or LABELMAP", kind)
    return frames


def _segment_of(frame: Header, shared: Header | None) -> int:
    item = frame.item("SegmentIdentificationSequence")
    if item is None and shared is not None:
        item = shared.item("SegmentIdentificationSequence")
    return (item or frame).whole("ReferencedSegmentNumber", 1, 65535)


def _source_of(frame: Header) -> FrameKey | None:
    derivation = frame.item("DerivationImageSequence")
    source = derivation.item("SourceImageSequence") if derivation is not None else None
    if source is None:
        return None
    number = source.number("ReferencedFrameNumber")
    return source.text("ReferencedSOPInstanceUID"), None if number is None else int(number)


def _series_frame(frame: Header, frame_of: Mapping[FrameKey, int]) -> int | None:
    source = _source_of(frame)
    if source is None:
        raise frame.unusable("DerivationImageSequence", "the source frame of each mask", None)
    if source in frame_of:
        return frame_of[source]
    return frame_of.get((source[0], 1)) if source[1] is None else None  # a multi-frame instance of one frame


def _check_place(header: Header, found: Grid, wanted: Grid) -> None:
    if (found.rows, found.columns) != (wanted.rows, wanted.columns):
        raise header.unusable("Rows", f"{wanted.rows} x {wanted.columns} px", f"{found.rows} x {found.columns}")
    placed = all(grid.placement is not None and grid.spacing_mm is not None for grid in (found, wanted))
    if placed and not found.same_place(wanted, tolerance_mm=0.1):
        raise InputError(
            f"{header.path}: (0020,0032) ImagePositionPatient, (0020,0037) ImageOrientationPatient: expected masks at "
            "the place of their source frames, found others"
        )
