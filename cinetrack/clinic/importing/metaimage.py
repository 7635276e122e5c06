"""MetaImage (.mha, .mhd): lists of one file a frame, or one file with time as its last axis. Read with SimpleITK.

A TrackRAD2025 series has time as its first axis; it is a case's own file and needs no import.
"""

from __future__ import annotations

import functools
import glob
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cinetrack.clinic.grid import Grid
from cinetrack.clinic.importing.affine import grid_of_affine
from cinetrack.clinic.importing.found_series import FoundSeries
from cinetrack.clinic.importing.pixel_values import check_frame_size, natural_order
from cinetrack.errors import InputError
from cinetrack.sequence.native_messages import native_messages

NAME = "MetaImage"
HEADER_LIMIT = 1 << 16  # bytes
TEXT_LIMIT = 250  # bytes; MetaIO copies words into buffers of 255
NUMBERS = (
    b"TransformMatrix",
    b"Rotation",
    b"Orientation",
    b"Offset",
    b"Position",
    b"Origin",
    b"ElementSpacing",
    b"DimSize",
)
MOST_COMPRESSED = 1032  # zlib's limit: how many bytes one byte can stand for


@dataclass(frozen=True)
class _Header:
    sizes: tuple[int, ...]  # columns, rows, ...
    grid: Grid


def recognises(path: Path) -> bool:
    """By the ending."""
    return path.suffix.lower() in (".mha", ".mhd")


def find(files: Sequence[Path]) -> list[FoundSeries]:
    """One series for each file with a time axis, and one for each folder of files of a single frame."""
    found, lists = [], defaultdict(list)
    for path in sorted(files, key=lambda path: (path.parent, natural_order(path))):
        header = _header(path)
        if all(size == 1 for size in header.sizes[2:]):
            lists[path.parent].append((path, header))
        else:
            found.append(_one_file(path, header))
    return found + [_list_of_files(frames) for frames in lists.values()]


def _notes(header: _Header) -> tuple[str, ...]:
    placement = header.grid.placement
    if placement is None or (placement.along_row, placement.along_column) != ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)):
        return ()
    return ("the direction is the identity: an axial plane, or a writer that knew none; --top goes before it",)


def _one_file(path: Path, header: _Header) -> FoundSeries:
    if len(header.sizes) == 4 and header.sizes[2] != 1:
        raise InputError(f"{path}: expected one slice over time, found {header.sizes[2]} slices")
    notes = () if len(header.sizes) == 4 else ("three axes: the last one is taken as time",)
    return FoundSeries(
        path,
        NAME,
        header.sizes[-1],
        header.grid,
        functools.partial(_read, (path,), header.grid),
        str(path),
        notes=notes + _notes(header),
    )


def _list_of_files(frames: list[tuple[Path, _Header]]) -> FoundSeries:
    (first, header), paths = frames[0], tuple(path for path, _ in frames)
    for path, other in frames[1:]:
        same = (other.grid.rows, other.grid.columns) == (header.grid.rows, header.grid.columns)
        if not same or (header.grid.placement and not header.grid.same_place(other.grid)):
            raise InputError(
                f"{path}: expected a frame as in {first.name}, "
                f"{header.grid.rows} x {header.grid.columns} px in one place, "
                f"found {other.grid.rows} x {other.grid.columns} px{' elsewhere' if same else ''}"
            )
    path = first.parent if len(paths) > 1 else first
    return FoundSeries(
        path,
        NAME,
        len(paths),
        header.grid,
        functools.partial(_read, paths, header.grid),
        str(path),
        notes=_notes(header),
    )


def _header(path: Path) -> _Header:
    reader = _reader(path)
    try:
        reader.ReadImageInformation()
        _check_length(path, reader)
    except RuntimeError as error:
        raise _unreadable(path, error) from None
    sizes = tuple(int(size) for size in reader.GetSize())
    if reader.GetNumberOfComponents() != 1 or not 2 <= len(sizes) <= 4:
        raise InputError(
            f"{path}: expected one channel and two to four axes, "
            f"found {reader.GetNumberOfComponents()} channels and {len(sizes)} axes"
        )
    check_frame_size(path, sizes[1], sizes[0])
    spacing, origin = np.array(reader.GetSpacing()), np.array(reader.GetOrigin())
    if len(sizes) == 2:
        return _Header(sizes, Grid(sizes[1], sizes[0], (float(spacing[1]), float(spacing[0]))))
    direction = np.array(reader.GetDirection()).reshape(len(sizes), len(sizes))[:3, :3]
    try:
        grid = grid_of_affine(
            sizes[1],
            sizes[0],
            origin[:3],
            direction[:, 0] * spacing[0],
            direction[:, 1] * spacing[1],
            direction[:, 2] * spacing[2] if len(sizes) == 4 or sizes[2] == 1 else None,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return _Header(sizes, grid)


def _read(paths: tuple[Path, ...], grid: Grid) -> np.ndarray:
    frames = []
    for path in paths:
        reader = _reader(path)
        with native_messages() as messages:  # MetaIO fills what it cannot read with zeros, and says so there alone
            try:
                image = reader.Execute()
            except RuntimeError as error:
                raise _unreadable(path, error) from None
        if complaints := [line for line in messages if "warning" not in line.lower()]:
            raise InputError(f"{path}: expected a MetaImage, found a damaged or cut off file ({complaints[0]})")
        array = sitk.GetArrayFromImage(image)
        if array.dtype.kind not in "uif":
            raise InputError(f"{path}: expected real numbers, found {array.dtype}")
        frames.append(array.reshape(-1, grid.rows, grid.columns))
    return np.concatenate(frames)


def _reader(path: Path) -> sitk.ImageFileReader:
    _check_header(path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("MetaImageIO")
    reader.SetFileName(str(path))
    return reader


def _check_header(path: Path) -> None:
    """Refuse headers that MetaIO does not survive."""
    with path.open("rb") as file:
        while file.tell() < HEADER_LIMIT:
            line = file.readline(HEADER_LIMIT)
            key, _, value = (part.strip() for part in line.partition(b"="))
            if b"=" not in line or (key not in NUMBERS and len(value) > TEXT_LIMIT):
                break
            if key == b"ElementDataFile":
                return
    shown = line[:60].decode("ascii", "backslashreplace").strip()
    raise InputError(f"{path}: expected a MetaImage header of short lines, found {shown or 'none'}")


def _check_length(path: Path, reader: sitk.ImageFileReader) -> None:
    """Refuse headers that promise more than the data can hold, before memory is asked for."""
    files = [path]
    if path.suffix.lower() == ".mhd":
        files += [other for other in path.parent.glob(f"{glob.escape(path.stem)}.*") if other.is_file()]
    promised = math.prod([int(size) for size in reader.GetSize()])
    if promised > MOST_COMPRESSED * sum(file.stat().st_size for file in files):
        raise InputError(f"{path}: expected a MetaImage, found a file too short for the {promised} pixels it promises")


def _unreadable(path: Path, error: RuntimeError) -> InputError:
    reason = str(error).strip().splitlines()[-1:] or ["no reason given"]
    return InputError(f"{path}: expected a MetaImage, found a file that cannot be read ({reason[0]})")
