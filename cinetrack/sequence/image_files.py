"""Series and masks on disk: MetaImage and TIFF, where time is the last array axis.

This is the one place that turns the files' (row, column, time) arrays into the library's (T, H, W) and back.
As in the TrackRAD2025 template, files are read with SimpleITK: the array's last axis is the image's first,
so a series' spacing is (time, column, row) and the in-plane spacing is entries 2 and 1.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cinetrack.errors import InputError
from cinetrack.sequence.atomic_write import atomic_path
from cinetrack.sequence.intensity import finite_frame
from cinetrack.sequence.metaimage_check import check_metaimage
from cinetrack.sequence.native_messages import native_messages

logger = logging.getLogger(__name__)

SERIES_SUFFIXES = (".mha", ".tif", ".tiff")


@dataclass(frozen=True)
class ImageGeometry:
    """Where a file's voxels lie, in ITK's axis order (time, column, row); carried from input to output."""

    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]  # 3 x 3, row-major

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """In-plane (row, column) spacing, mm."""
        return self.spacing[2], self.spacing[1]

    @classmethod
    def in_plane(cls, spacing_mm: tuple[float, float], frame_spacing: float = 5.0) -> ImageGeometry:
        """A geometry at the origin for (row, column) spacing in mm; `frame_spacing` is the slice thickness in mm."""
        return cls((frame_spacing, spacing_mm[1], spacing_mm[0]), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def only_series_in(folder: Path) -> Path:
    """The one .mha, .tif or .tiff file in `folder`. Raises InputError where there is none or several."""
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder with one series, found none")
    found = sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in SERIES_SUFFIXES and not path.name.startswith(".") and not path.is_dir()
    )
    if len(found) != 1:
        raise InputError(
            f"{folder}: expected exactly one series ({', '.join(SERIES_SUFFIXES)}), found {', '.join(found) or 'none'}"
        )
    return folder / found[0]


def read_series(path: Path) -> tuple[np.ndarray, ImageGeometry]:
    """Read a cine-MR series.

    NaN and infinite pixels become the frame's smallest finite value, with a warning.

    Returns:
        frames: (T, H, W), of the file's own number type.
        geometry: the file's spacing, origin and direction.
    Raises:
        InputError: missing, empty, truncated, no image, not three-dimensional, several channels, no finite pixel.
    """
    image = _read_image(path, "a cine-MR series")
    frames = _time_first(image)
    return _with_finite_frames(path, frames), _geometry(image)


def read_masks(path: Path) -> tuple[np.ndarray, ImageGeometry]:
    """Read a series of binary masks.

    Returns:
        masks: (T, H, W) bool.
        geometry: the file's spacing, origin and direction.
    Raises:
        InputError: as `read_series`, and where the values are not 0 and 1.
    """
    image = _read_image(path, "a mask")
    masks = _time_first(image)
    # The dataset's and the platform's masks are {0, 1}; other values are a label map or an image given by mistake.
    if not ((masks == 0) | (masks == 1)).all():
        values = np.unique(masks)
        shown = ", ".join(f"{value:g}" for value in values[:5]) + (", ..." if values.size > 5 else "")
        raise InputError(f"{path}: expected a binary mask with values 0 and 1, found {shown}")
    return masks.astype(bool), _geometry(image)


def read_index_masks(path: Path) -> tuple[np.ndarray, ImageGeometry]:
    """Read a series of pictures of object indices: 0 is background, 1, 2, ... the objects.

    Returns:
        indices: (T, H, W) uint8.
        geometry: the file's spacing, origin and direction.
    Raises:
        InputError: as `read_series`, and where the values are not whole numbers of 0 to 255.
    """
    image = _read_image(path, "masks of objects")
    indices = _time_first(image)
    whole = indices.astype(np.uint8)
    if not (whole == indices).all():
        raise InputError(
            f"{path}: expected object indices, whole numbers of 0 to 255, found {indices[whole != indices].flat[0]:g}"
        )
    return whole, _geometry(image)


def read_first_mask(path: Path, frame_shape: tuple[int, int]) -> np.ndarray:
    """Read the mask of one frame.

    Args:
        frame_shape: (H, W) of the series it belongs to.
    Returns:
        (H, W) bool with at least one pixel set.
    Raises:
        InputError: as `read_masks`; of another shape, of several frames, or empty.
    """
    masks, _ = read_masks(path)
    if masks.shape[1:] != tuple(frame_shape):
        raise InputError(
            f"{path}: expected a mask of the series' {frame_shape[0]} x {frame_shape[1]} pixels (rows x columns), "
            f"found {masks.shape[1]} x {masks.shape[2]}"
        )
    if masks.shape[0] != 1:
        raise InputError(f"{path}: expected the mask of one frame, found {masks.shape[0]} frames")
    if not masks.any():
        raise InputError(f"{path}: expected an outlined target on the first frame, found an empty mask")
    return masks[0]


def write_masks(path: Path, masks: np.ndarray, geometry: ImageGeometry) -> None:
    """Write (T, H, W) bool masks as a compressed uint8 {0, 1} image, atomically."""
    if masks.ndim != 3 or masks.dtype != np.bool_:
        raise ValueError(f"masks: expected (T, H, W) bool, found {masks.shape} {masks.dtype}")
    write_series(path, masks.view(np.uint8), geometry)


def write_series(path: Path, frames: np.ndarray, geometry: ImageGeometry) -> None:
    """Write (T, H, W) frames in their own number type, compressed and atomically."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(np.moveaxis(frames, 0, -1)))
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    with atomic_path(path) as temporary:
        sitk.WriteImage(image, str(temporary), useCompression=True)


def _time_first(image: sitk.Image) -> np.ndarray:
    # A copy in every case: a view of one frame is contiguous already, and would outlive the image's memory.
    return np.moveaxis(sitk.GetArrayViewFromImage(image), -1, 0).copy(order="C")


def _geometry(image: sitk.Image) -> ImageGeometry:
    return ImageGeometry(image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def _read_image(path: Path, wanted: str) -> sitk.Image:
    if not path.is_file():
        raise InputError(f"{path}: expected {wanted}, found no such file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: expected {wanted}, found an empty file")
    image, complaints = _read_listening(path, wanted)
    if complaints:
        # Other threads' lines, a progress bar's say, are caught as well; a reader complains again.
        image, again = _read_listening(path, wanted)
        others = [line for line in complaints if line not in again]
        sys.stderr.write("".join(f"{line}\n" for line in others))
        complaints = [line for line in complaints if line in again]
    if complaints:
        raise InputError(f"{path}: expected {wanted}, found a damaged or cut off file ({complaints[0]})")
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError(f"{path}: expected {wanted} of real numbers, found {image.GetPixelIDTypeAsString()}")
    return image


def _read_listening(path: Path, wanted: str) -> tuple[sitk.Image, list[str]]:
    """The image, and what was written to stderr meanwhile but for warnings.

    libtiff gives what it could read of a damaged file, and says so there alone.
    """
    reader = sitk.ImageFileReader()
    if path.suffix.lower() == ".mha":
        check_metaimage(path, wanted)
        reader.SetImageIO("MetaImageIO")  # SimpleITK itself does not know the ending in capitals
    reader.SetFileName(str(path))
    with native_messages() as messages:
        try:
            reader.ReadImageInformation()
            if reader.GetNumberOfComponents() != 1:
                channels = reader.GetNumberOfComponents()
                raise InputError(
                    f"{path}: expected {wanted} with one channel, found {channels} channels (RGB or vector)"
                )
            if reader.GetDimension() != 3:
                raise InputError(
                    f"{path}: expected {wanted} of three dimensions (row, column, time), found {reader.GetDimension()}"
                )
            image = reader.Execute()
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1] if str(error).strip() else "no reason given"
            raise InputError(f"{path}: expected {wanted}, found a file that cannot be read ({reason})") from None
    return image, [line for line in messages if "warning" not in line.lower()]


def _with_finite_frames(path: Path, frames: np.ndarray) -> np.ndarray:
    if frames.dtype.kind != "f" or np.isfinite(frames).all():
        return frames
    if not np.isfinite(frames[0]).any():
        raise InputError(f"{path}: expected a first frame with finite pixels, found only NaN or infinity")
    replaced = 0
    for index, frame in enumerate(frames):
        frames[index], bad = finite_frame(frame)
        replaced += bad
    logger.warning(
        "%s: %d pixels were NaN or infinite; each counts as its frame's smallest finite value", path, replaced
    )
    return frames
