"""NIfTI (.nii, .nii.gz), read with nibabel.

Axes are (column, row, slice, time), or (column, row, time) where there are three. Each slice of a 4D file is a series.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cinetrack.clinic.frame_times import FrameTimes
from cinetrack.clinic.grid import Grid
from cinetrack.clinic.importing.affine import grid_of_affine
from cinetrack.clinic.importing.found_series import FoundSeries
from cinetrack.clinic.importing.pixel_values import check_frame_size
from cinetrack.clinic.importing.unfolding import check_promise, in_one_line
from cinetrack.clinic.packages import clinic_package
from cinetrack.errors import InputError

NAME = "NIfTI"
SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}


def recognises(path: Path) -> bool:
    """By the ending."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def find(files: Sequence[Path]) -> list[FoundSeries]:
    """One series a slice of each file."""
    return [series for path in files for series in _series_of(path)]


def _series_of(path: Path) -> list[FoundSeries]:
    image = _open(path)
    shape = tuple(int(size) for size in image.shape)
    if len(shape) not in (3, 4):
        raise InputError(f"{path}: expected an image of three or four axes, the last one time, found {len(shape)}")
    if image.get_data_dtype().kind not in "uif":
        raise InputError(f"{path}: expected real numbers, found {image.get_data_dtype()}")
    columns, rows, count = shape[0], shape[1], shape[-1]
    check_frame_size(path, rows, columns)
    check_promise(path, math.prod(shape) * image.get_data_dtype().itemsize, path.name.lower().endswith(".gz"))
    slices = shape[2] if len(shape) == 4 else 1
    times = _times(image, count) if len(shape) == 4 else None
    notes = () if len(shape) == 4 or count == 1 else ("three axes: the last one is taken as time",)
    return [
        FoundSeries(
            path=path,
            format=NAME,
            frame_count=count,
            grid=_grid(path, image, index),
            read=functools.partial(_read, path, index if len(shape) == 4 else None),
            patient=str(path),
            description=f"slice {index + 1} of {slices}" if slices > 1 else "",
            times=times,
            notes=notes,
        )
        for index in range(slices)
    ]


def _grid(path: Path, image: Any, index: int) -> Grid:
    columns, rows, has_slices = int(image.shape[0]), int(image.shape[1]), len(image.shape) == 4
    if int(image.header["qform_code"]) == 0 and int(image.header["sform_code"]) == 0:  # the affine is made up
        spacing = float(image.header.get_zooms()[1]), float(image.header.get_zooms()[0])
        return Grid(rows, columns, spacing if min(spacing) > 0 else None)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine  # NIfTI's x grows to the right, y to the front
    origin = affine[:3, 3] + index * affine[:3, 2]
    try:
        return grid_of_affine(
            rows, columns, origin, affine[:3, 0], affine[:3, 1], affine[:3, 2] if has_slices else None
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _times(image: Any, count: int) -> FrameTimes | None:
    step = float(image.header.get_zooms()[3])
    try:
        unit = SECONDS.get(image.header.get_xyzt_units()[1])
    except KeyError:  # a code that the format does not have
        return None
    if unit is None or not np.isfinite(step) or step <= 0 or count < 2:
        return None  # a bare 1 is what writers put where they know no time
    seconds = tuple(float(value) for value in np.round(np.arange(count) * step * unit, 6))
    return FrameTimes(seconds, "pixdim[4]") if seconds[1] > 0 else None


def _read(path: Path, index: int | None) -> np.ndarray:
    image = _open(path)
    try:
        values = np.asanyarray(image.dataobj if index is None else image.dataobj[:, :, index, :])
    except Exception as error:  # zlib's, the operating system's and nibabel's own
        raise InputError(
            f"{path}: expected a NIfTI image, found a damaged or cut off file ({in_one_line(error)})"
        ) from None
    frames = np.ascontiguousarray(values.transpose(2, 1, 0))
    return frames.astype(np.float32) if frames.dtype == np.float64 else frames


def _open(path: Path) -> Any:
    nibabel = clinic_package("nibabel", f"{path}: to read NIfTI")
    try:
        return nibabel.load(path)
    except Exception as error:  # of many kinds, by what is wrong
        raise InputError(
            f"{path}: expected a NIfTI image, found a file that cannot be read ({in_one_line(error)})"
        ) from None
