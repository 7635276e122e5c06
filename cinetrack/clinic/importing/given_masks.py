"""Masks in image files (NIfTI, NRRD, MetaImage, PNG, TIFF) for a series: of its first frame, or of every frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cinetrack.clinic.importing.case_writer import CaseMasks
from cinetrack.clinic.importing.found_series import FoundSeries
from cinetrack.clinic.importing.tree import read_tree
from cinetrack.errors import InputError


def read_image_masks(path: Path, series: FoundSeries, target: str | None) -> CaseMasks:
    """The masks in `path`, a file or a folder of pictures, as the series' frames lie.

    Args:
        target: the value of the target's pixels, where there are several.
    Raises:
        InputError: other frames than the series', several targets and none named, no pixel set on the first frame.
    """
    tree = read_tree(path)
    found = tree.series + tree.single_frames
    if len(found) != 1:
        raise InputError(f"{path}: expected masks of one series, found {len(found)}")
    given, grid = found[0], series.grid
    if (given.grid.rows, given.grid.columns) != (grid.rows, grid.columns):
        raise InputError(
            f"{path}: expected masks of {grid.rows} x {grid.columns} px (rows x columns) like {series.path}, "
            f"found {given.grid.rows} x {given.grid.columns}"
        )
    if given.grid.placement and grid.placement and grid.spacing_mm and not grid.same_place(given.grid):
        raise InputError(
            f"{path}: expected masks at the place of {series.path}, found other direction cosines or positions"
        )
    if given.frame_count not in (1, series.frame_count):
        raise InputError(f"{path}: expected masks of 1 or {series.frame_count} frames, found {given.frame_count}")
    masks = _of_target(path, given.read(), target)
    if not masks[0].any():
        raise InputError(f"{path}: expected an outlined target on the first frame, found an empty mask")
    return CaseMasks(masks, str(path))


def _of_target(path: Path, values: np.ndarray, target: str | None) -> np.ndarray:
    present = np.unique(values)
    present = present[present != 0]
    shown = ", ".join(f"{value:g}" for value in present[:10]) or "none"
    if target is None:
        if len(present) > 1:
            raise InputError(f"{path}: expected one target, found the values {shown}; choose one with --target VALUE")
        return np.not_equal(values, 0)
    try:
        wanted = float(target)
    except ValueError:
        raise InputError(f"{path}: expected --target to be one of the masks' values {shown}, found {target}") from None
    if wanted not in present:
        raise InputError(f"{path}: expected the target {target}, found the values {shown}")
    return np.equal(values, wanted)
