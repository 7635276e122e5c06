"""Write masks of one bit a pixel as a compressed MetaImage without ever holding all of them.

An hour at 8 Hz is 2 GB as bytes. In the challenge's files time runs fastest, so a few rows of all frames are read,
turned and compressed at a time.

No medical device: research and simulation.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from cinetrack.errors import InputError
from cinetrack.sequence.atomic_write import atomic_path
from cinetrack.sequence.image_files import ImageGeometry

_BLOCK_BYTES = 32_000_000
_SIZE_DIGITS = 20


def write_packed_masks(
    path: Path, packed: Path, records: np.ndarray, frame_shape: tuple[int, int], geometry: ImageGeometry
) -> None:
    """Write a (rows, columns, time) uint8 {0, 1} image, atomically.

    Args:
        packed: file of masks, each (H, ceil(W / 8)) bytes as `np.packbits(mask, axis=1)` makes them.
        records: (T,) which of its masks each frame shows.
        frame_shape: (H, W).
    Raises:
        InputError: the file holds fewer masks than `records` names.
    """
    height, width = frame_shape
    row_bytes = -(-width // 8)
    size = packed.stat().st_size if packed.exists() else 0
    held = size // (height * row_bytes)
    if held <= records.max():
        raise InputError(f"{packed}: expected {records.max() + 1} masks of {height} x {width} pixels, found {held}")
    masks = np.memmap(packed, np.uint8, "r", shape=(held, height, row_bytes))
    rows_at_once = max(1, _BLOCK_BYTES // (len(records) * width))
    header = _header(frame_shape, len(records), geometry)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(header)
        compressor = zlib.compressobj(6)
        written = 0
        for start in range(0, height, rows_at_once):
            block = np.unpackbits(masks[records, start : start + rows_at_once], axis=-1, count=width)
            written += file.write(compressor.compress(np.ascontiguousarray(np.moveaxis(block, 0, -1)).tobytes()))
        written += file.write(compressor.flush())
        place = header.index(b"CompressedDataSize = ") + len(b"CompressedDataSize = ")
        file.seek(place)
        file.write(str(written).ljust(_SIZE_DIGITS).encode())


def _header(frame_shape: tuple[int, int], frames: int, geometry: ImageGeometry) -> bytes:
    def listed(values: tuple[float, ...]) -> str:
        return " ".join(f"{value:.17g}" for value in values)

    # MetaImage writes the direction by columns, ITK's is by rows.
    direction = tuple(np.reshape(geometry.direction, (3, 3)).T.ravel())
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        "CompressedDataSize = " + " " * _SIZE_DIGITS,
        f"TransformMatrix = {listed(direction)}",
        f"Offset = {listed(geometry.origin)}",
        "CenterOfRotation = 0 0 0",
        "AnatomicalOrientation = RAI",
        f"ElementSpacing = {listed(geometry.spacing)}",
        f"DimSize = {frames} {frame_shape[1]} {frame_shape[0]}",
        "ElementType = MET_UCHAR",
        "ElementDataFile = LOCAL",
    ]
    return ("\n".join(lines) + "\n").encode()
