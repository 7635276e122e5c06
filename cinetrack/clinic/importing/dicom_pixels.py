"""Pixels of DICOM frames as real values: decompressed, grey, dark to bright, rescaled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cinetrack.clinic.dicom_header import Header
from cinetrack.clinic.importing.dicom_decoding import stored_frames
from cinetrack.clinic.importing.dicom_frames import DicomFrame
from cinetrack.clinic.importing.pixel_values import grey


def read_pixels(frames: Sequence[DicomFrame]) -> np.ndarray:
    """The frames in their order, (T, rows, columns); float32 where a rescale changes values, else as stored.

    Raises:
        InputError: names the file and tag of pixels that cannot be read.
    """
    rescaled = any((frame.slope, frame.intercept) != (1.0, 0.0) for frame in frames)
    by_file: dict[Path, list[int]] = {}
    for position, frame in enumerate(frames):
        by_file.setdefault(frame.path, []).append(position)
    found: dict[int, np.ndarray] = {}
    requests = [(path, [frames[position].index for position in positions]) for path, positions in by_file.items()]
    for (header, decoded), positions in zip(stored_frames(requests), by_file.values(), strict=True):
        for position, pixels in zip(positions, decoded, strict=True):
            frame, values = frames[position], _grey_values(header, pixels)
            if values.shape != (frame.rows, frame.columns):
                raise header.unusable("PixelData", f"{frame.rows} x {frame.columns} px", values.shape)
            if rescaled:
                values = (values.astype(np.float64) * frame.slope + frame.intercept).astype(np.float32)
            found[position] = values
    return np.stack([found[position] for position in range(len(frames))])


def _grey_values(header: Header, pixels: np.ndarray) -> np.ndarray:
    photometric = header.text("PhotometricInterpretation")
    if pixels.ndim == 3:
        return grey(pixels[..., :3])[0]
    if pixels.dtype.kind not in "ui":
        raise header.unusable("PixelData", "whole numbers", pixels.dtype)
    bits = header.whole("BitsStored", 1, pixels.dtype.itemsize * 8)
    unused = pixels.dtype.itemsize * 8 - bits
    values = (pixels << unused) >> unused if unused else pixels  # retired overlays lie in unused bits; keeps the sign
    if photometric == "MONOCHROME1":  # the least value is the brightest
        signed = pixels.dtype.kind == "i"
        values = (-1 - values) if signed else ((1 << bits) - 1 - values.astype(np.int64)).astype(values.dtype)
    elif photometric != "MONOCHROME2":
        raise header.unusable(
            "PhotometricInterpretation", "MONOCHROME1, MONOCHROME2, a palette or colours", photometric
        )
    return values
