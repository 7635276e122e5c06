"""Masks of DICOM series in segmentations and RT structure sets, found in the tree or given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cinetrack.clinic.dicom_header import Header, is_dicom, read_header
from cinetrack.clinic.importing import dicom_segmentation, structure_set
from cinetrack.clinic.importing.case_writer import CaseMasks
from cinetrack.clinic.importing.found_series import FoundSeries
from cinetrack.errors import InputError


@dataclass(frozen=True, eq=False)
class MaskFile:
    """A segmentation or structure set and the instances that it refers to."""

    header: Header
    instances: frozenset[str]

    @property
    def is_segmentation(self) -> bool:
        """A segmentation, else a structure set."""
        return self.header.text("SOPClassUID") in dicom_segmentation.CLASSES


def find_mask_files(files: Sequence[Path]) -> list[MaskFile]:
    """The segmentations and structure sets among files."""
    found = []
    for path in files:
        if not is_dicom(path):
            continue
        header = read_header(path)
        kind = header.text("SOPClassUID")
        if kind in dicom_segmentation.CLASSES:
            found.append(MaskFile(header, frozenset(dicom_segmentation.referenced_instances(header))))
        elif kind == structure_set.CLASS:
            found.append(MaskFile(header, frozenset(structure_set.referenced_instances(header))))
    return found


def read_dicom_masks(masks: Sequence[MaskFile], series: FoundSeries, target: str | None) -> CaseMasks | None:
    """The target's masks of a series; None where no file refers to it.

    Args:
        target: label of the segment or name of the ROI, where there are several.
    Raises:
        InputError: several files or targets and none named, or none that outlines the first frame.
    """
    if series.dicom is None:
        return None
    own = [mask for mask in masks if mask.instances & set(series.dicom.instance_uids)]
    if target is not None:
        own = [mask for mask in own if target in _names(mask)] or own
    if not own:
        return None
    if len(own) > 1:
        names = ", ".join(str(mask.header.path) for mask in own)
        raise InputError(
            f"{series.path}: expected the masks of a series in one file, found {names}; choose with --masks"
        )
    name, number = _chosen(own[0], target)
    by_frame = _read(own[0], number, series)
    if not by_frame:
        return None  # a file for another plane of the same instances
    return _case_masks(own[0], name, by_frame, series)


def target_choice(masks: Sequence[MaskFile], series: FoundSeries) -> str:
    """The targets that the files have for a series, where a person has to choose one; else ""."""
    if series.dicom is None:
        return ""
    own = [mask for mask in masks if mask.instances & set(series.dicom.instance_uids)]
    names = [name for mask in own for name in _names(mask)]
    return f"choose with --target: {', '.join(names)}" if len(names) > 1 else ""


def _case_masks(mask: MaskFile, name: str, by_frame: dict[int, np.ndarray], series: FoundSeries) -> CaseMasks:
    path = mask.header.path
    if 0 not in by_frame or not by_frame[0].any():
        found = "an empty mask there" if 0 in by_frame else f"it on {len(by_frame)} others only"
        raise InputError(f"{path}: expected {name} outlined on the series' first frame, found {found}")
    kind = "DICOM-SEG" if mask.is_segmentation else "RTSTRUCT"
    if len(by_frame) == series.frame_count:
        stack = np.stack([by_frame[index] for index in range(series.frame_count)])
        return CaseMasks(stack, f"{kind}: {name}, every frame")
    # Frames without a mask need not be frames without the target: some may just not have been outlined.
    rest = f" (of {len(by_frame)} outlined)" if len(by_frame) > 1 else ""
    return CaseMasks(by_frame[0][None], f"{kind}: {name}, first frame{rest}")


def _chosen(mask: MaskFile, target: str | None) -> tuple[str, int]:
    names = _names(mask)
    shown = ", ".join(names) or "none"
    if target is None:
        if len(names) != 1:
            raise InputError(f"{mask.header.path}: expected one target, found {shown}; choose one with --target NAME")
        return next(iter(names.items()))
    if target not in names:
        raise InputError(f"{mask.header.path}: expected the target {target}, found {shown}")
    return target, names[target]


def _names(mask: MaskFile) -> dict[str, int]:
    return (dicom_segmentation if mask.is_segmentation else structure_set).target_names(mask.header)


def _read(mask: MaskFile, number: int, series: FoundSeries) -> dict[int, np.ndarray]:
    if mask.is_segmentation:
        return dicom_segmentation.read_target(mask.header, number, series)
    return structure_set.read_target(mask.header, number, series)
