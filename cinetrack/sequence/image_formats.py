"""The one place that decides which image files are read, and what they hold: every command sees the same values.

As in the TrackRAD2025 template, the array's last axis is time, which is the image's first in ITK's order, so a series'
spacing is (time, column, row). MetaImage is read here, a few rows at a time where the caller wants so; TIFF by
SimpleITK, once its structure has been found sound. What SimpleITK reads of either is read, with equal values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cinetrack.errors import InputError
from cinetrack.sequence.image_geometry import ImageGeometry
from cinetrack.sequence.itk_image import itk_frames, itk_information
from cinetrack.sequence.metaimage import read_header, row_blocks
from cinetrack.sequence.reading import input_errors
from cinetrack.sequence.tiff_check import check_tiff

# The one list: which endings, in any case, a series, labels and masks may have.
METAIMAGE_SUFFIXES = (".mha", ".mhd")
TIFF_SUFFIXES = (".tif", ".tiff")
IMAGE_SUFFIXES = METAIMAGE_SUFFIXES + TIFF_SUFFIXES
# Images all the same: they are named as not read where nothing else is there.
OTHER_SUFFIXES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".hdr", ".img", ".mnc", ".dcm")
BLOCK_BYTES = 8 << 20


def image_suffix(path: Path) -> str:
    """The ending that makes a file an image, as it is written; "" where there is none."""
    name = path.name.lower()
    length = max((len(suffix) for suffix in IMAGE_SUFFIXES + OTHER_SUFFIXES if name.endswith(suffix)), default=0)
    return path.name[len(name) - length :] if length else ""


def images_among(paths: Iterable[Path]) -> list[Path]:
    """The images among files, sorted; one that is not read counts where none of its name is read."""
    images = sorted(path for path in paths if image_suffix(path))
    read = {image_stem(path) for path in images if is_read(path)}
    return [path for path in images if is_read(path) or image_stem(path) not in read]


def image_stem(path: Path) -> str:
    """An image's name without its ending, for comparisons: in small letters."""
    return path.name[: len(path.name) - len(image_suffix(path))].casefold()


def is_read(path: Path) -> bool:
    """Whether images of this ending are read."""
    return path.suffix.lower() in IMAGE_SUFFIXES


@dataclass(frozen=True)
class ImageFile:
    """An image whose header has been read and found sound; its voxels are read when they are asked for.

    Attributes:
        wanted: what the file should hold, for errors ("a mask").
        shape: (T, H, W).
        dtype: number type in memory.
        data_path: the file with the voxels, which may lie beside `path`.
        row_blocks: takes a number of bytes to hold at a time; gives the first row of each block and its voxels,
            (T, n, W), from the first row to the last.
    """

    path: Path
    wanted: str
    shape: tuple[int, int, int]
    dtype: np.dtype
    geometry: ImageGeometry
    data_path: Path
    row_blocks: Callable[[int], Iterator[tuple[int, np.ndarray]]]

    def blocks(self, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[int, np.ndarray]]:
        """As `row_blocks`. Raises InputError naming the file where the voxels are unusable or cannot be read."""
        with input_errors(self.path, self.wanted):
            yield from self.row_blocks(block_bytes)

    def frames(self) -> np.ndarray:
        """All frames, (T, H, W). Raises InputError as `blocks`."""
        with input_errors(self.path, self.wanted):
            # Untouched memory costs nothing: a file that ends early has taken no more than it held.
            frames = np.empty(self.shape, self.dtype)
            for row, block in self.row_blocks(BLOCK_BYTES):
                frames[:, row : row + block.shape[1]] = block
        return frames


def open_image(path: Path, wanted: str) -> ImageFile:
    """Read what an image file says of itself, and check that it can be read.

    Args:
        wanted: what the file should hold, for the error's sake ("a cine-MR series").
    Raises:
        InputError: missing, empty, unreadable, cut off, not three-dimensional, several channels, or no image we read.
    """
    with input_errors(path, wanted):
        if not path.is_file():
            raise InputError(f"{path}: expected {wanted}, found no such file")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: expected {wanted}, found an empty file")
        if path.suffix.lower() in METAIMAGE_SUFFIXES:
            return _open_metaimage(path, wanted)
        if path.suffix.lower() in TIFF_SUFFIXES:
            return _open_tiff(path, wanted)
        found = image_suffix(path) or path.suffix
        raise InputError(f"{path}: expected {wanted} in one of {', '.join(IMAGE_SUFFIXES)}, found {found!r}")


def _open_metaimage(path: Path, wanted: str) -> ImageFile:
    header = read_header(path, wanted)
    time, columns, rows = header.size
    shape, dtype = (time, rows, columns), header.dtype.newbyteorder("=")
    return ImageFile(path, wanted, shape, dtype, header.geometry, header.data_path, partial(row_blocks, header))


def _open_tiff(path: Path, wanted: str) -> ImageFile:
    pages, length, width = check_tiff(path, wanted)
    image = _open_with_itk(path, wanted, "TIFFImageIO")
    # In the file's words a page is a row of the frames, and its width is time.
    if image.shape != (width, pages, length):
        raise InputError(
            f"{path}: expected {wanted} of {pages} pages of {length} x {width} px, found that it is read as others"
        )
    return image


def _open_with_itk(path: Path, wanted: str, image_io: str) -> ImageFile:
    information = itk_information(path, wanted, image_io)

    def whole(_: int) -> Iterator[tuple[int, np.ndarray]]:
        yield 0, itk_frames(path, wanted, image_io)

    return ImageFile(path, wanted, information.shape, information.dtype, information.geometry, path, whole)
