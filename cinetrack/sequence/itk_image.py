"""Images read whole by SimpleITK, and what its readers report on stderr alone."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cinetrack.errors import InputError
from cinetrack.sequence.image_geometry import ImageGeometry
from cinetrack.sequence.native_messages import native_messages

# Of a description that libtiff cannot read and leaves out; the pixels are complete.
HARMLESS = ("warning", "tifffetchnormaltag", "_tiffvsetfield")


@dataclass(frozen=True)
class ItkInformation:
    """What SimpleITK says of a file without reading its voxels; `shape` is (T, H, W)."""

    shape: tuple[int, int, int]
    dtype: np.dtype
    geometry: ImageGeometry


def itk_information(path: Path, wanted: str, image_io: str) -> ItkInformation:
    """Read a file's header. Raises InputError where it is unreadable or no scalar image of three dimensions."""
    with native_messages():
        reader = _reader(path, wanted, image_io)
    time, columns, rows = reader.GetSize()
    number_type = sitk.GetArrayViewFromImage(sitk.Image(1, 1, reader.GetPixelID())).dtype
    geometry = ImageGeometry(reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection())
    return ItkInformation((time, rows, columns), number_type, geometry)


def itk_frames(path: Path, wanted: str, image_io: str) -> np.ndarray:
    """A file's voxels, (T, H, W). Raises InputError where the reader complains."""
    image, complaints = _read_listening(path, wanted, image_io)
    if complaints:
        # Other threads' lines, a progress bar's say, are caught as well; a reader complains again.
        image, again = _read_listening(path, wanted, image_io)
        others = [line for line in complaints if line not in again]
        sys.stderr.write("".join(f"{line}\n" for line in others))
        complaints = [line for line in complaints if line in again]
    if complaints:
        raise InputError(f"{path}: expected {wanted}, found a damaged or cut off file ({complaints[0]})")
    # A copy in every case: a view of one frame is contiguous already, and would outlive the image's memory.
    return np.moveaxis(sitk.GetArrayViewFromImage(image), -1, 0).copy(order="C")


def _reader(path: Path, wanted: str, image_io: str) -> sitk.ImageFileReader:
    """A reader that has read the header."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO(image_io)  # SimpleITK itself does not know all endings in capitals
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, wanted, error) from None
    channels = reader.GetNumberOfComponents()
    if channels != 1:
        raise InputError(f"{path}: expected {wanted} with one channel, found {channels} channels (RGB or vector)")
    if reader.GetDimension() != 3:
        raise InputError(
            f"{path}: expected {wanted} of three dimensions (row, column, time), found {reader.GetDimension()}"
        )
    pixel_type = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    if "integer" not in pixel_type and "float" not in pixel_type or "complex" in pixel_type:
        raise InputError(f"{path}: expected {wanted} of real numbers, found {pixel_type}")
    return reader


def _read_listening(path: Path, wanted: str, image_io: str) -> tuple[sitk.Image, list[str]]:
    """The image, and what was written to stderr meanwhile but for warnings.

    libtiff gives what it could read of a damaged file, and says so there alone.
    """
    with native_messages() as messages:
        reader = _reader(path, wanted, image_io)
        try:
            image = reader.Execute()
        except RuntimeError as error:
            raise _unreadable(path, wanted, error) from None
    return image, [line for line in messages if not any(word in line.lower() for word in HARMLESS)]


def _unreadable(path: Path, wanted: str, error: RuntimeError) -> InputError:
    lines = str(error).strip().splitlines()
    reason = re.sub(r"\(0x[0-9a-f]+\)", "", lines[-1]) if lines else "no reason given"
    return InputError(f"{path}: expected {wanted}, found a file that cannot be read ({reason})")
