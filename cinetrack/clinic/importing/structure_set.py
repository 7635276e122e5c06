"""Targets in RT structure sets (RTSTRUCT): contours in the patient, filled on the frame that each refers to.

A pixel belongs to a contour where its centre lies inside. Contours on one frame are combined by exclusive or, so a
contour within another is a hole, as with contours of the type CLOSEDPLANAR_XOR.
"""

from __future__ import annotations

import numpy as np
from skimage.draw import polygon2mask

from cinetrack.clinic.dicom_header import Header
from cinetrack.clinic.importing.found_series import FoundSeries
from cinetrack.errors import InputError

CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
LEAST_TOLERANCE_MM = 0.5  # of a contour's distance from its frame's plane


def target_names(header: Header) -> dict[str, int]:
    """ROI numbers by name."""
    names: dict[str, int] = {}
    for roi in header.items("StructureSetROISequence"):
        number = roi.whole("ROINumber", -(2**31), 2**31)
        name = roi.text("ROIName") or f"ROI {number}"
        names[name if name not in names else f"{name} ({number})"] = number
    return names


def referenced_instances(header: Header) -> set[str]:
    """SOP Instance UIDs of the frames that the contours refer to."""
    return {
        image.text("ReferencedSOPInstanceUID")
        for roi in header.items("ROIContourSequence")
        for contour in roi.items("ContourSequence")
        for image in contour.items("ContourImageSequence")
    }


def read_target(header: Header, number: int, series: FoundSeries) -> dict[int, np.ndarray]:
    """Masks (rows, columns) bool of a ROI by the series' frame.

    Raises:
        InputError: a contour that is no polygon, refers to no frame, or does not lie in its frame's plane.
    """
    assert series.dicom is not None
    keys = zip(series.dicom.instance_uids, series.dicom.frame_numbers, strict=True)
    frame_of = {key: index for index, key in enumerate(keys)}
    masks: dict[int, np.ndarray] = {}
    for roi in header.items("ROIContourSequence"):
        if roi.whole("ReferencedROINumber", -(2**31), 2**31) != number:
            continue
        for contour in roi.items("ContourSequence"):
            for index in _frames_of(contour, frame_of):
                filled = _filled(contour, series)
                masks[index] = masks[index] ^ filled if index in masks else filled
    return masks


def _frames_of(contour: Header, frame_of: dict[tuple[str, int | None], int]) -> list[int]:
    images = contour.items("ContourImageSequence")
    if not images:
        raise contour.unusable("ContourImageSequence", "the frame that the contour was drawn on", None)
    found = []
    for image in images:
        uid, number = image.uid("ReferencedSOPInstanceUID"), image.number("ReferencedFrameNumber")
        key = (uid, None if number is None else int(number))
        if key in frame_of:
            found.append(frame_of[key])
        elif number is None and any(known == uid for known, _ in frame_of):
            raise image.unusable("ReferencedFrameNumber", "a frame's number in the multi-frame image", None)
    return found


def _filled(contour: Header, series: FoundSeries) -> np.ndarray:
    kind = contour.text("ContourGeometricType").upper()
    if kind not in CLOSED:
        raise contour.unusable("ContourGeometricType", " or ".join(CLOSED), kind)
    values = contour.numbers("ContourData", None) or ()
    if len(values) < 9 or len(values) % 3:
        raise contour.unusable("ContourData", "three points or more of three coordinates", f"{len(values)} numbers")
    try:
        rows, columns, distances = series.grid.pixel_coordinates(np.array(values).reshape(-1, 3))
    except InputError as error:
        raise InputError(f"{series.path}: {error}") from None
    tolerance = max(LEAST_TOLERANCE_MM, (series.grid.thickness_mm or 0) / 2)
    if np.abs(distances).max() > tolerance:
        raise contour.unusable(
            "ContourData",
            f"points within {tolerance:g} mm of their frame's plane",
            f"one {np.abs(distances).max():.3g} mm away",
        )
    filled: np.ndarray = polygon2mask((series.grid.rows, series.grid.columns), np.stack([rows, columns], axis=1))
    return filled
