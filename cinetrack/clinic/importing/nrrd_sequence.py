"""NRRD (.nrrd, .nhdr), also 3D Slicer's sequences (.seq.nrrd), read with pynrrd.

The time axis is the one of kind `list` or `time`; of three axes without such a kind it is the last. Of the other axes
the first runs along rows, the second along columns, and each position on a third is a series.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cinetrack.clinic.frame_times import FrameTimes, frame_times
from cinetrack.clinic.grid import Grid
from cinetrack.clinic.importing.affine import grid_of_affine
from cinetrack.clinic.importing.found_series import FoundSeries
from cinetrack.clinic.importing.pixel_values import check_frame_size
from cinetrack.clinic.importing.unfolding import check_promise, in_one_line
from cinetrack.clinic.packages import clinic_package
from cinetrack.errors import InputError

NAME = "NRRD"
SPACES = {  # -> what turns its axes into left, posterior, superior
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
SECONDS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6}


def recognises(path: Path) -> bool:
    """By the ending."""
    return path.suffix.lower() in (".nrrd", ".nhdr")


def find(files: Sequence[Path]) -> list[FoundSeries]:
    """One series a slice of each file."""
    return [series for path in files for series in _series_of(path)]


def _series_of(path: Path) -> list[FoundSeries]:
    header = _header(path)
    sizes = [int(size) for size in header["sizes"]]
    time_axis, notes = _time_axis(path, header, len(sizes))
    space_axes = [axis for axis in range(len(sizes)) if axis != time_axis]
    columns, rows = (sizes[axis] for axis in space_axes[:2])
    check_frame_size(path, rows, columns)
    _check_data(path, header)
    count = sizes[time_axis]
    times = _times(header, time_axis, count)
    slices = sizes[space_axes[2]] if len(space_axes) == 3 else 1
    return [
        FoundSeries(
            path=path,
            format=NAME,
            frame_count=count,
            grid=_grid(path, header, space_axes, rows, columns, index),
            read=functools.partial(_read, path, time_axis, index),
            patient=str(path),
            description=f"slice {index + 1} of {slices}" if slices > 1 else "",
            times=times,
            notes=notes,
        )
        for index in range(slices)
    ]


def _check_data(path: Path, header: dict[str, Any]) -> None:
    """Raise InputError where the data are shorter than promised, or would unfold to far more than they hold."""
    beside = path.parent / str(header.get("data file", header.get("datafile", "")))
    data = beside if beside.is_file() else path
    encoding = str(header.get("encoding", "raw")).lower()
    each = 1 if encoding in ("ascii", "text", "txt") else _bytes_each(str(header.get("type", "")))
    promised = each * math.prod(int(size) for size in header["sizes"])
    check_promise(data, promised, encoding in ("gz", "gzip", "bz2", "bzip2"))


def _bytes_each(number_type: str) -> int:
    """Of NRRD's many names for number types."""
    for size, names in ((8, ("long", "double", "64")), (4, ("float", "32")), (2, ("short", "16")), (1, ("char", "8"))):
        if any(name in number_type for name in names):
            return size
    return 4  # int, by any name


def _time_axis(path: Path, header: dict[str, Any], dimensions: int) -> tuple[int, tuple[str, ...]]:
    kinds = [str(kind) for kind in header.get("kinds", ["domain"] * dimensions)]
    times = [axis for axis, kind in enumerate(kinds) if kind in ("list", "time")]
    others = [kind for axis, kind in enumerate(kinds) if axis not in times and kind not in ("domain", "space", "???")]
    if others or len(times) > 1 or dimensions not in (3, 4) or (dimensions == 4 and not times):
        raise InputError(
            f"{path}: expected two or three axes of kind domain and one of kind list or time, found {' '.join(kinds)}"
        )
    if times:
        return times[0], ()
    return 2, () if int(header["sizes"][2]) == 1 else ("three axes: the last one is taken as time",)


def _times(header: dict[str, Any], time_axis: int, count: int) -> FrameTimes | None:
    unit = SECONDS.get(str(header.get(f"axis {time_axis} index unit", _label_unit(header, time_axis))).lower())
    if unit is not None and f"axis {time_axis} index values" in header:
        try:
            values = [float(value) * unit for value in str(header[f"axis {time_axis} index values"]).split()]
        except ValueError:
            return None
        return frame_times(values, f"axis {time_axis} index values") if len(values) == count else None
    return None


def _label_unit(header: dict[str, Any], time_axis: int) -> str:
    # "units" are per axis; Slicer puts the index's unit there.
    units = header.get("units")
    return str(units[time_axis]) if units is not None and len(units) > time_axis else ""


def _grid(path: Path, header: dict[str, Any], space_axes: list[int], rows: int, columns: int, index: int) -> Grid:
    directions, space = header.get("space directions"), str(header.get("space", "")).lower()
    if directions is None:
        spacings = header.get("spacings")
        steps = None if spacings is None else [float(spacings[axis]) for axis in space_axes]
        usable = steps is not None and all(np.isfinite(step) and step > 0 for step in steps[:2])
        return Grid(rows, columns, (steps[1], steps[0]) if steps is not None and usable else None)
    vectors = np.array([np.full(3, np.nan) if vector is None else vector for vector in directions], dtype=float)
    vectors = vectors[space_axes]
    if space not in SPACES or vectors.shape[1] != 3:
        raise InputError(f"{path}: expected a space of {', '.join(SPACES)}, found {space or 'none'}")
    signs = np.array(SPACES[space], dtype=float)
    origin = np.asarray(header.get("space origin", np.zeros(3)), dtype=float) * signs
    vectors = vectors * signs
    slice_step = vectors[2] if len(vectors) == 3 else None
    try:
        return grid_of_affine(
            rows,
            columns,
            origin if slice_step is None else origin + index * slice_step,
            vectors[0],
            vectors[1],
            slice_step,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _read(path: Path, time_axis: int, index: int) -> np.ndarray:
    nrrd = clinic_package("nrrd", f"{path}: to read NRRD")
    try:
        values, _ = nrrd.read(str(path))
    except Exception as error:  # zlib's, the operating system's and pynrrd's own
        raise InputError(
            f"{path}: expected a NRRD image, found a damaged or cut off file ({in_one_line(error)})"
        ) from None
    values = np.moveaxis(values, time_axis, 0)  # (time, column, row[, slice])
    if values.ndim == 4:
        values = values[..., index]
    if values.dtype.kind not in "uif":
        raise InputError(f"{path}: expected real numbers, found {values.dtype}")
    frames = values.swapaxes(1, 2)
    native = frames.astype(frames.dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(native.astype(np.float32) if native.dtype == np.float64 else native)


def _header(path: Path) -> dict[str, Any]:
    nrrd = clinic_package("nrrd", f"{path}: to read NRRD")
    try:
        header = dict(nrrd.read_header(str(path)))
        if len(header["sizes"]) != int(header["dimension"]):
            raise ValueError(f"{header['dimension']} axes, but {len(header['sizes'])} sizes")
    except Exception as error:  # of many kinds, by what is wrong
        raise InputError(
            f"{path}: expected a NRRD image, found a header that cannot be read ({in_one_line(error)})"
        ) from None
    return header
