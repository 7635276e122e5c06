"""Pixels of DICOM frames as real values: decompressed, grey, dark to bright, rescaled."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cinetrack.clinic.dicom_header import Header, read_header, tag_name
from cinetrack.clinic.importing.dicom_frames import DicomFrame
from cinetrack.clinic.importing.pixel_values import grey
from cinetrack.clinic.packages import clinic_package
from cinetrack.errors import InputError


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
    for path, positions in by_file.items():
        header = read_header(path, pixels=True)
        for position, stored in zip(
            positions, _stored_values(header, [frames[position].index for position in positions]), strict=True
        ):
            frame = frames[position]
            if stored.shape != (frame.rows, frame.columns):
                raise header.unusable("PixelData", f"{frame.rows} x {frame.columns} px", stored.shape)
            if rescaled:
                stored = (stored.astype(np.float64) * frame.slope + frame.intercept).astype(np.float32)
            found[position] = stored
    return np.stack([found[position] for position in range(len(frames))])


def _stored_values(header: Header, indices: list[int]) -> list[np.ndarray]:
    pixels_module = clinic_package("pydicom.pixels", f"{header.path}: to read DICOM")
    photometric = header.text("PhotometricInterpretation")
    if "PixelData" not in header.dataset:
        raise header.unusable("PixelData", "pixels", None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            decoded = list(pixels_module.iter_pixels(header.dataset, indices=indices))  # colours as RGB
            if photometric == "PALETTE COLOR":
                decoded = [pixels_module.apply_color_lut(pixels, header.dataset) for pixels in decoded]
    except Exception as error:  # decoders raise many kinds
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(
            f"{header.path}: {tag_name('PixelData')}: expected pixels that can be decoded, found others ({reason})"
        ) from None
    return [_grey_values(header, pixels, photometric) for pixels in decoded]


def _grey_values(header: Header, pixels: np.ndarray, photometric: str) -> np.ndarray:
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
