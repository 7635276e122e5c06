"""Series and masks on disk, where time is the last array axis.

This is the one place that turns the files' (row, column, time) arrays into the library's (T, H, W) and back.
`image_formats` decides which files are read, and what they hold.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cinetrack.errors import InputError
from cinetrack.sequence.atomic_write import atomic_path
from cinetrack.sequence.image_formats import IMAGE_SUFFIXES, ImageFile, images_among, is_read, open_image
from cinetrack.sequence.image_geometry import ImageGeometry
from cinetrack.sequence.intensity import finite_frame
from cinetrack.sequence.native_messages import native_messages
from cinetrack.sequence.reading import input_errors
from cinetrack.sequence.whole_file import not_whole

__all__ = [
    "IMAGE_SUFFIXES", "ImageGeometry", "check_first_frame", "image_facts", "only_series_in", "open_series",
    "read_first_mask", "read_index_masks", "read_masks", "read_series", "write_masks", "write_series",
]  # fmt: skip

logger = logging.getLogger(__name__)

SERIES = "a cine-MR series"


def only_series_in(folder: Path) -> Path:
    """The one image in `folder`, of those that are read. Raises InputError where there is none or several."""
    with input_errors(folder, "a folder with one series"):
        if not folder.is_dir():
            raise InputError(f"{folder}: expected a folder with one series, found none")
        files = [path for path in folder.iterdir() if not path.name.startswith(".") and not path.is_dir()]
    images = images_among(files)
    found = [path for path in images if is_read(path)] or images
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise InputError(f"{folder}: expected exactly one series ({', '.join(IMAGE_SUFFIXES)}), found {names}")
    return found[0]


def read_series(path: Path) -> tuple[np.ndarray, ImageGeometry]:
    """Read a cine-MR series.

    NaN and infinite pixels become the frame's smallest finite value, with a warning.

    Returns:
        frames: (T, H, W), of the file's own number type.
        geometry: the file's spacing, origin and direction.
    Raises:
        InputError: missing, empty, truncated, no image, not three-dimensional, several channels, no finite pixel.
    """
    image = open_series(path)
    frames = image.frames()
    check_first_frame(path, frames[0])
    return _with_finite_frames(path, frames), image.geometry


def open_series(path: Path) -> ImageFile:
    """A cine-MR series that can be read a few rows at a time; NaN and infinities as in the file.

    Raises:
        InputError: missing, empty, cut off, no image, not three-dimensional, several channels.
    """
    return open_image(path, SERIES)


def check_first_frame(path: Path, frame: np.ndarray) -> None:
    """Raise InputError where a series' first frame, (H, W), has no finite pixel: there is nothing to track."""
    if frame.dtype.kind == "f" and not np.isfinite(frame).any():
        raise InputError(f"{path}: expected a first frame with finite pixels, found only NaN or infinity")


def image_facts(path: Path, wanted: str) -> tuple[tuple[int, int, int], np.dtype]:
    """Shape, (T, H, W), and number type of an image, from its header alone. Raises InputError as `read_series`."""
    image = open_image(path, wanted)
    return image.shape, image.dtype


def read_masks(path: Path, shape: tuple[int, ...] | None = None) -> tuple[np.ndarray, ImageGeometry]:
    """Read a series of binary masks.

    Args:
        shape: (T, H, W) that they must have, compared before the file's data are touched.
    Returns:
        masks: (T, H, W) bool.
        geometry: the file's spacing, origin and direction.
    Raises:
        InputError: as `read_series`, and where the values are not 0 and 1.
    """
    image = open_image(path, "a mask")
    _check_shape(image, shape)
    return _binary(image), image.geometry


def read_index_masks(path: Path) -> tuple[np.ndarray, ImageGeometry]:
    """Read a series of pictures of object indices: 0 is background, 1, 2, ... the objects.

    Returns:
        indices: (T, H, W) uint8.
        geometry: the file's spacing, origin and direction.
    Raises:
        InputError: as `read_series`, and where the values are not whole numbers of 0 to 255.
    """
    image = open_image(path, "masks of objects")
    indices = image.frames()
    with np.errstate(invalid="ignore"):
        whole = indices.astype(np.uint8)
    if not (whole == indices).all():
        raise InputError(
            f"{path}: expected object indices, whole numbers of 0 to 255, found {indices[whole != indices].flat[0]:g}"
        )
    return whole, image.geometry


def read_first_mask(path: Path, frame_shape: tuple[int, int]) -> np.ndarray:
    """Read the mask of one frame.

    Args:
        frame_shape: (H, W) of the series it belongs to.
    Returns:
        (H, W) bool with at least one pixel set.
    Raises:
        InputError: as `read_masks`; of another shape, of several frames, or empty.
    """
    image = open_image(path, "a mask")
    frames, rows, columns = image.shape
    if (rows, columns) != tuple(frame_shape):  # before anything is inflated
        raise InputError(
            f"{path}: expected a mask of the series' {frame_shape[0]} x {frame_shape[1]} pixels (rows x columns), "
            f"found {rows} x {columns}"
        )
    if frames != 1:
        raise InputError(f"{path}: expected the mask of one frame, found {frames} frames")
    masks = _binary(image)
    if not masks.any():
        raise InputError(f"{path}: expected an outlined target on the first frame, found an empty mask")
    return masks[0]


def write_masks(path: Path, masks: np.ndarray, geometry: ImageGeometry) -> None:
    """Write (T, H, W) bool masks as a compressed uint8 {0, 1} image, atomically."""
    if masks.ndim != 3 or masks.dtype != np.bool_:
        raise ValueError(f"masks: expected (T, H, W) bool, found {masks.shape} {masks.dtype}")
    write_series(path, masks.view(np.uint8), geometry)


def write_series(path: Path, frames: np.ndarray, geometry: ImageGeometry) -> None:
    """Write (T, H, W) frames in their own number type, compressed and atomically.

    Raises:
        OSError: the file did not come out as it should, the disk being full for instance.
    """
    image = sitk.GetImageFromArray(np.ascontiguousarray(np.moveaxis(frames, 0, -1)))
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    with atomic_path(path) as temporary:
        try:
            with native_messages() as messages:
                sitk.WriteImage(image, str(temporary), useCompression=True)
            written = open_image(temporary, "the written image").frames()
        except (RuntimeError, InputError) as error:
            raise not_whole(temporary, f"damaged ({str(error).strip().splitlines()[-1]})") from None
        sys.stderr.write("".join(f"{line}\n" for line in messages))  # of other threads: nothing went wrong here
        if not np.array_equal(written, frames, equal_nan=frames.dtype.kind == "f"):
            raise not_whole(temporary, "with other values")


def _binary(image: ImageFile) -> np.ndarray:
    masks = image.frames()
    # The dataset's and the platform's masks are {0, 1}; other values are a label map or an image given by mistake.
    if not ((masks == 0) | (masks == 1)).all():
        values = np.unique(masks)
        shown = ", ".join(f"{value:g}" for value in values[:5]) + (", ..." if values.size > 5 else "")
        raise InputError(f"{image.path}: expected a binary mask with values 0 and 1, found {shown}")
    return masks.astype(bool)


def _check_shape(image: ImageFile, shape: tuple[int, ...] | None) -> None:
    if shape is not None and image.shape != tuple(shape):
        raise InputError(f"{image.path}: expected masks of {_sizes(shape)}, found {_sizes(image.shape)}")


def _sizes(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} frames of {shape[1]} x {shape[2]} px"


def _with_finite_frames(path: Path, frames: np.ndarray) -> np.ndarray:
    if frames.dtype.kind != "f" or np.isfinite(frames).all():
        return frames
    replaced = 0
    for index, frame in enumerate(frames):
        frames[index], bad = finite_frame(frame)
        replaced += bad
    logger.warning(
        "%s: %d pixels were NaN or infinite; each counts as its frame's smallest finite value", path, replaced
    )
    return frames
