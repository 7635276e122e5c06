"""The folders in which Grand-Challenge hands a container its case and takes its answer (TrackRAD2025 interface)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cinetrack.errors import InputError
from cinetrack.sequence.cine_sequence import CineSequence, TrackingCase
from cinetrack.sequence.image_files import ImageGeometry, only_series_in, read_first_mask, read_series, write_masks
from cinetrack.sequence.json_files import read_positive_number, read_word
from cinetrack.sequence.reading import input_errors

SERIES_FOLDER = Path("images/mri-linacs")
TARGET_FOLDER = Path("images/mri-linac-target")
OUTPUT_FILE = Path("images/mri-linac-series-targets/output.mha")


@dataclass(frozen=True, eq=False)
class LoadedCase:
    """A case and the geometry its output is written with."""

    case: TrackingCase
    geometry: ImageGeometry


def is_input_folder(folder: Path) -> bool:
    """Whether `folder` is laid out as the platform's /input."""
    return (folder / SERIES_FOLDER).is_dir()


def read_input_folder(folder: Path) -> LoadedCase:
    """Read a case laid out as the platform's /input.

    Raises:
        InputError: names the file or folder that is missing or unusable.
    """
    with input_errors(folder, "the input folder"):
        if not folder.is_dir():
            raise InputError(f"{folder}: expected the input folder, found none")
        series_path = only_series_in(folder / SERIES_FOLDER)
        target_path = only_series_in(folder / TARGET_FOLDER)
    frame_rate_hz = read_positive_number(folder / "frame-rate.json", "Hz")
    field_strength_t = read_positive_number(folder / "b-field-strength.json", "T")
    region = read_word(folder / "scanned-region.json", "scanned region")
    return load_case(series_path.stem, series_path, target_path, frame_rate_hz, field_strength_t, region)


def load_case(
    case_id: str, series_path: Path, first_mask_path: Path, frame_rate_hz: float, field_strength_t: float, region: str
) -> LoadedCase:
    """Read a series and its first-frame mask into a case. Raises InputError as their readers do."""
    frames, geometry = read_series(series_path)
    first_mask = read_first_mask(first_mask_path, frames.shape[1:])
    try:
        sequence = CineSequence(frames, geometry.spacing_mm, frame_rate_hz, field_strength_t, region)
    except InputError as error:  # of arrays, which do not know their file
        raise InputError(f"{series_path}: {error}") from None
    return LoadedCase(TrackingCase(case_id, sequence, first_mask), geometry)


def write_output(folder: Path, masks: np.ndarray, geometry: ImageGeometry) -> Path:
    """Write (T, H, W) bool masks where the platform looks for them under its /output; returns the file's path."""
    path = folder / OUTPUT_FILE
    write_masks(path, masks, geometry)
    return path
