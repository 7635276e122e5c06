"""Series of thousands of frames in constant memory, though their files store time fastest.

In a TrackRAD2025 file all time points of a pixel lie side by side, so no frame can be read without reading everything.
`FrameSpool` turns a file over once, a few rows at a time, into frames on disk; `write_indexed_series` turns frames back
into such a file. Both hold a few megabytes whatever the length.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cinetrack.sequence import CaseFiles
from cinetrack.sequence.atomic_write import atomic_path
from cinetrack.sequence.image_files import ImageGeometry, check_first_frame, open_series
from cinetrack.sequence.intensity import finite_frame

BLOCK_BYTES = 8 << 20


class Spool:
    """Frames of one shape and type on disk, unlinked from the start so that nothing remains of a killed process."""

    def __init__(self, shape: tuple[int, int, int], dtype: np.dtype, folder: Path | None = None) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 -- closed by close()
        self._frame_bytes = shape[1] * shape[2] * self.dtype.itemsize
        os.ftruncate(self._file.fileno(), shape[0] * self._frame_bytes)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        """Frame `index`, (H, W). Safe from several threads."""
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        data = os.pread(self._file.fileno(), self._frame_bytes, index * self._frame_bytes)
        return np.frombuffer(data, self.dtype).reshape(self.shape[1:])

    def __setitem__(self, index: int, frame: np.ndarray) -> None:
        """Put a whole frame, (H, W)."""
        self.put_rows(index, 0, frame)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def put_rows(self, index: int, first_row: int, rows: np.ndarray) -> None:
        """Put some rows of a frame, (n, W), from `first_row` on."""
        offset = index * self._frame_bytes + first_row * self.shape[2] * self.dtype.itemsize
        data = memoryview(np.ascontiguousarray(rows, self.dtype).tobytes())
        written = 0
        while written < len(data):  # a disk that fills up takes a part without an error, and refuses the next
            written += os.pwrite(self._file.fileno(), data[written:], offset + written)

    def rows(self, index: int, first_row: int, count: int) -> np.ndarray:
        """Some rows of a frame, (count, W)."""
        row_bytes = self.shape[2] * self.dtype.itemsize
        offset = index * self._frame_bytes + first_row * row_bytes
        return np.frombuffer(os.pread(self._file.fileno(), count * row_bytes, offset), self.dtype).reshape(count, -1)

    def close(self) -> None:
        """Free the disk."""
        self._file.close()


class FrameSpool(Spool):
    """A series' frames, read once. NaN and infinities become the frame's smallest finite value, as in `read_series`."""

    def __init__(self, path: Path, folder: Path | None = None) -> None:
        """Read `path`; the spool lies in `folder`, by default the system's temporary one. Raises InputError."""
        image = open_series(path)
        self.geometry = image.geometry
        super().__init__(image.shape, image.dtype, folder)
        try:
            for first_row, block in image.blocks(BLOCK_BYTES):
                for index, rows in enumerate(block):
                    self.put_rows(index, first_row, rows)
            check_first_frame(path, super().__getitem__(0))
        except BaseException:
            self.close()
            raise

    def __getitem__(self, index: int) -> np.ndarray:
        return finite_frame(super().__getitem__(index))[0]


def open_frames(case: CaseFiles, folder: Path | None = None) -> FrameSpool:
    """A case's series as a spool. Raises InputError naming the bad file."""
    case.check()
    return FrameSpool(case.series_path, folder)


def write_indexed_series(path: Path, spool: Spool, geometry: ImageGeometry) -> None:
    """Write a spool of (H, W) uint8 frames as one compressed .mha with time as the last array axis, atomically.

    The file is what `write_series` would write of the whole array.
    """
    time, height, width = spool.shape
    data_bytes = 0
    with atomic_path(path) as temporary, tempfile.TemporaryFile(dir=path.parent) as packed:
        deflate = zlib.compressobj()
        step = max(1, BLOCK_BYTES // (width * time))
        for first_row in range(0, height, step):
            count = min(step, height - first_row)
            block = np.stack([spool.rows(index, first_row, count) for index in range(time)], axis=-1)
            data_bytes += packed.write(deflate.compress(block.tobytes()))
        data_bytes += packed.write(deflate.flush())
        packed.seek(0)
        with temporary.open("wb") as file:
            file.write(_header(geometry, (time, width, height), data_bytes))
            while chunk := packed.read(1 << 20):
                file.write(chunk)


def _header(geometry: ImageGeometry, size: tuple[int, int, int], data_bytes: int) -> bytes:
    def numbers(values: Iterable[float]) -> str:
        return " ".join(f"{value:.17g}" for value in values)

    # ITK's direction matrix holds axes in columns, MetaImage's in rows.
    matrix = np.reshape(geometry.direction, (3, 3)).T.ravel()
    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True",
        "CompressedDataSize": str(data_bytes),
        "TransformMatrix": numbers(matrix),
        "Offset": numbers(geometry.origin),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "RAI",
        "ElementSpacing": numbers(geometry.spacing),
        "DimSize": numbers(size),
        "ElementType": "MET_UCHAR",
        "ElementDataFile": "LOCAL",  # last: the data follow
    }
    return "".join(f"{key} = {value}\n" for key, value in fields.items()).encode()
