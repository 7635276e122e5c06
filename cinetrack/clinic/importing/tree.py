"""The series of all formats in a file or a folder tree."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from cinetrack.clinic.importing import dicom_series, films, metaimage, nifti, nrrd_sequence, pictures
from cinetrack.clinic.importing.found_series import FoundSeries, SeriesFormat
from cinetrack.errors import InputError

# The one list of formats. The first that recognises a file has it.
FORMATS: tuple[SeriesFormat, ...] = (dicom_series, nifti, nrrd_sequence, metaimage, pictures, films)


@dataclass(frozen=True)
class Tree:
    """What a file or folder holds.

    Attributes:
        series: of two frames or more, in the order of their files.
        single_frames: series of one frame, which no cine is.
        files: all files.
    """

    series: list[FoundSeries]
    single_frames: list[FoundSeries]
    files: list[Path]


def read_tree(source: Path) -> Tree:
    """Find the series below `source` by their headers.

    Raises:
        InputError: `source` is missing, or a file of a known format cannot be used.
    """
    by_format: dict[str, list[Path]] = defaultdict(list)
    files = files_below(source)
    for path in files:
        name = next((known.NAME for known in FORMATS if known.recognises(path)), None)
        if name is not None:
            by_format[name].append(path)
    found = [series for known in FORMATS for series in known.find(by_format[known.NAME])]
    return Tree(
        [series for series in found if series.frame_count > 1],
        [series for series in found if series.frame_count == 1],
        files,
    )


def files_below(source: Path) -> list[Path]:
    """A file itself, or a folder tree's without hidden ones, sorted. Raises InputError where there is none."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise InputError(f"{source}: expected a file or folder with cine-MR series, found none")
    paths = []
    for folder, subfolders, names in os.walk(source, followlinks=False):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        paths += [Path(folder) / name for name in names if not name.startswith(".")]
    return sorted(path for path in paths if path.is_file() and path.stat().st_size > 0)
