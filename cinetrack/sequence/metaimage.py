"""MetaImage files (.mha, and .mhd with its data beside it), read a few rows at a time with the values SimpleITK gives.

All checks are made before any memory is taken: a series that goes black half way must not be tracked as if it were
one, and a small file must not unfold to more than it can hold. What SimpleITK reads and is an error here: data that end
early, are damaged or more than the header says where they are compressed (SimpleITK fills up with zeros or cuts off),
compressed data without their size, data that begin inside the header, and data spread over several files.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from cinetrack.errors import InputError
from cinetrack.sequence.image_geometry import ImageGeometry
from cinetrack.sequence.metaimage_fields import HeaderFields, read_fields, shown

# MetaIO takes an ..._ARRAY for its element.
_ELEMENTS = {
    "CHAR": "i1", "UCHAR": "u1", "SHORT": "i2", "USHORT": "u2", "INT": "i4", "UINT": "u4", "LONG": "i4", "ULONG": "u4",
    "LONG_LONG": "i8", "ULONG_LONG": "u8", "FLOAT": "f4", "DOUBLE": "f8",
}  # fmt: skip
ELEMENT_TYPES = {
    **{f"MET_{name}{ending}".encode(): code for name, code in _ELEMENTS.items() for ending in ("", "_ARRAY")},
    b"MET_ASCII_CHAR": "i1",
    b"MET_STRING": "i1",
    b"MET_FLOAT_MATRIX": "f4",
}
SAME_FILE = (b"LOCAL", b"Local", b"local")
ZLIB_OR_GZIP = 47  # zlib's code for either
MOST_INFLATION = 1040  # times; deflate cannot pack more, see zlib's technical notes
LARGEST_SIDE = 2**31 - 1
_DECIMAL = re.compile(rb"[0-9eE+\-.,\s]*")


@dataclass(frozen=True)
class MetaImageHeader:
    """What a header says, checked against the size of the file.

    Attributes:
        size: ITK's order (time, columns, rows).
        dtype: number type as stored, byte order included.
        data_path, data_offset: where the data begin.
        stored_bytes: of compressed data; None where they are not compressed.
        is_text: numbers written out in decimal.
    """

    path: Path
    wanted: str
    size: tuple[int, int, int]
    dtype: np.dtype
    geometry: ImageGeometry
    data_path: Path
    data_offset: int
    stored_bytes: int | None
    is_text: bool

    @property
    def data_bytes(self) -> int:
        """Length of the data, not compressed."""
        return math.prod(self.size) * self.dtype.itemsize


class VoxelStream(Protocol):
    """A file's voxels in its own order: time fastest, then columns, then rows."""

    def read(self, count: int) -> np.ndarray:
        """The next `count` voxels, in the machine's byte order. Raises InputError where the data end or are damaged."""


def read_header(path: Path, wanted: str) -> MetaImageHeader:
    """Read a .mha or .mhd file's header; its data are not touched.

    Args:
        wanted: what the file should hold, for the error's sake ("a mask").
    Raises:
        InputError: the header is unusable, or the file too short for what it says.
        OSError: a file cannot be read.
    """
    fields = read_fields(path, wanted)

    def unusable(key: bytes) -> InputError:
        return InputError(
            f"{path}: expected {wanted} with a usable {key.decode()} in its header, found {fields.shown(key)}"
        )

    for key in (b"DimSize", b"ElementType"):
        if key not in fields.numbers and key not in fields.texts:
            raise InputError(f"{path}: expected {wanted} with a MetaImage header, found none with {key.decode()}")
    channels = int(fields.numbers.get(b"ElementNumberOfChannels", (1.0,))[0])
    if channels != 1:
        raise InputError(f"{path}: expected {wanted} with one channel, found {channels} channels (RGB or vector)")
    sides = fields.numbers[b"DimSize"]
    if not all(1 <= side <= LARGEST_SIDE for side in sides):
        raise unusable(b"DimSize")
    size = (int(sides[0]), int(sides[1]), int(sides[2]))
    if fields.texts[b"ElementType"] not in ELEMENT_TYPES:
        raise unusable(b"ElementType")
    most_significant_first = fields.is_true(b"BinaryDataByteOrderMSB", fields.is_true(b"ElementByteOrderMSB"))
    dtype = np.dtype((">" if most_significant_first else "<") + ELEMENT_TYPES[fields.texts[b"ElementType"]])
    is_text = not fields.is_true(b"BinaryData", True)
    data_path, is_gzip = _data_file(path, wanted, fields)
    header_size = int(fields.numbers.get(b"HeaderSize", (0.0,))[0])
    expected = math.prod(size) * dtype.itemsize
    length = data_path.stat().st_size
    offset = header_size if header_size > 0 else fields.end if data_path == path else 0
    if data_path == path and offset < fields.end:
        raise unusable(b"HeaderSize")
    is_compressed = not is_text and (is_gzip or fields.is_true(b"CompressedData"))
    if header_size == -1:  # the data are the file's last bytes
        if is_compressed or is_text:
            raise unusable(b"HeaderSize")
        offset = max(offset, length - expected)
    available = max(0, length - offset)
    stored = None
    if is_compressed:
        stored = _stored_bytes(path, wanted, fields, available, data_path == path)
        if expected > stored * MOST_INFLATION:
            raise _cut_off(path, wanted, expected, stored)
    elif available < (2 * math.prod(size) - 1 if is_text else expected):  # a digit and a space between two
        raise _cut_off(path, wanted, expected, available)
    return MetaImageHeader(
        path, wanted, size, dtype, _geometry(path, wanted, fields), data_path, offset, stored, is_text
    )


@contextmanager
def _open_voxels(header: MetaImageHeader) -> Iterator[VoxelStream]:
    """Yield a stream of a file's voxels; at the end of the block, compressed data must have come to theirs."""
    with header.data_path.open("rb") as file:
        file.seek(header.data_offset)
        if header.is_text:
            yield _Decimal(header, file)
        elif header.stored_bytes is None:
            yield _Plain(header, file)
        else:
            compressed = _Compressed(header, file)
            yield compressed
            compressed.check_end()


def row_blocks(header: MetaImageHeader, block_bytes: int) -> Iterator[tuple[int, np.ndarray]]:
    """The first row of a block and its voxels, (T, n, W) in the machine's byte order, from the first row to the last.

    Args:
        block_bytes: about as much is held at a time, and at least one row of all frames.
    Raises:
        InputError: the data end early, are damaged or are of another image.
    """
    time, columns, rows = header.size
    step = max(1, block_bytes // (columns * time * header.dtype.itemsize))
    with _open_voxels(header) as voxels:
        for row in range(0, rows, step):
            count = min(step, rows - row)
            yield row, np.moveaxis(voxels.read(count * columns * time).reshape(count, columns, time), -1, 0)


class _Plain:
    """Voxels as they lie in the file."""

    def __init__(self, header: MetaImageHeader, file: BinaryIO) -> None:
        self._header = header
        self._file = file
        self._passed = 0

    def read(self, count: int) -> np.ndarray:
        wanted = count * self._header.dtype.itemsize
        data = self._bytes(wanted)
        self._passed += len(data)
        if len(data) != wanted:
            raise _cut_off(self._header.path, self._header.wanted, self._header.data_bytes, self._passed)
        return _native(np.frombuffer(data, self._header.dtype))

    def _bytes(self, count: int) -> bytes:
        return self._file.read(count)


class _Compressed(_Plain):
    """Voxels of a zlib or gzip stream."""

    def __init__(self, header: MetaImageHeader, file: BinaryIO) -> None:
        super().__init__(header, file)
        self._left = header.stored_bytes or 0
        self._inflate = zlib.decompressobj(ZLIB_OR_GZIP)

    def _bytes(self, count: int) -> bytes:
        parts: list[bytes] = []
        while count and not self._inflate.eof:
            source = self._inflate.unconsumed_tail
            if not source:
                source = self._file.read(min(self._left, 1 << 20))
                self._left -= len(source)
            try:
                # Bounded both ways: a megabyte of well compressed background inflates to a gigabyte.
                part = self._inflate.decompress(source, count)
            except zlib.error:
                raise self._damaged() from None
            if not part and not source:
                raise self._damaged()
            parts.append(part)
            count -= len(part)
        if count:
            raise self._damaged()
        return b"".join(parts)

    def check_end(self) -> None:
        """Read on to the checksum, where there is one; more data than expected are of another image."""
        while not self._inflate.eof:
            source = self._inflate.unconsumed_tail or self._file.read(min(self._left, 1 << 20))
            self._left = max(0, self._left - len(source))
            try:
                more = self._inflate.decompress(source, 1)
            except zlib.error:
                raise self._damaged() from None
            if more:
                raise self._damaged()
            if not source:  # a size that leaves out the checksum, as SimpleITK allows
                return

    def _damaged(self) -> InputError:
        header = self._header
        return InputError(
            f"{header.path}: expected {header.wanted} with {header.data_bytes} bytes of data, found damaged data"
        )


class _Decimal:
    """Voxels written out as decimal numbers with a character between two of them."""

    def __init__(self, header: MetaImageHeader, file: BinaryIO) -> None:
        self._header = header
        self._values = self._parsed(file.read())
        self._at = 0

    def read(self, count: int) -> np.ndarray:
        self._at += count
        return self._values[self._at - count : self._at]

    def _parsed(self, text: bytes) -> np.ndarray:
        header, count = self._header, math.prod(self._header.size)
        error = InputError(
            f"{header.path}: expected {header.wanted} with {count} decimal numbers as its data, found something else"
        )
        digits = _DECIMAL.match(text)  # what follows the last number does not matter
        try:
            numbers = np.fromstring(digits[0].decode().replace(",", " ") if digits else "", np.float64, sep=" ")[:count]
        except ValueError:
            raise error from None
        if numbers.size != count or not np.isfinite(numbers).all():
            raise error
        native = header.dtype.newbyteorder("=")
        if native.kind != "f":
            limits = np.iinfo(native)
            if numbers.min() < limits.min or numbers.max() > limits.max:
                raise error
        # SimpleITK swaps the bytes of these too, where the header names the other order.
        values = numbers.astype(native)
        return values if header.dtype.isnative else values.byteswap()


def _native(values: np.ndarray) -> np.ndarray:
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _data_file(path: Path, wanted: str, fields: HeaderFields) -> tuple[Path, bool]:
    """The file with the data, and whether its name says that it is compressed."""
    name = fields.texts[b"ElementDataFile"]
    if name in SAME_FILE:
        return path, False
    if name[:4] == b"LIST" or b"%" in name:
        raise InputError(f"{path}: expected {wanted} with its data in one file, found a list of files")
    try:
        beside = path.parent / name.decode()
    except UnicodeDecodeError:
        beside = path.parent / name.decode("latin-1")
    for ending in ("", ".gz", ".Z"):
        candidate = beside.with_name(beside.name + ending) if beside.name else beside
        if candidate.is_file() and not candidate.samefile(path):
            return candidate, bool(ending)
    raise InputError(
        f"{path}: expected {wanted} with a usable ElementDataFile in its header, found {shown(name)} missing"
    )


def _stored_bytes(path: Path, wanted: str, fields: HeaderFields, available: int, is_same_file: bool) -> int:
    stored = int(fields.numbers.get(b"CompressedDataSize", (0.0,))[0])
    if stored == 0 and not is_same_file:
        return available
    if stored <= 0:
        found = fields.shown(b"CompressedDataSize")
        raise InputError(f"{path}: expected {wanted} with its CompressedDataSize, found {found}")
    if stored > available:
        raise _cut_off(path, wanted, stored, available)
    return stored


def _geometry(path: Path, wanted: str, fields: HeaderFields) -> ImageGeometry:
    """As MetaIO and ITK take it: of several fields of one meaning the last in these lists counts."""
    spacing = fields.numbers.get(b"ElementSpacing", fields.numbers.get(b"ElementSize", (1.0,) * 3))
    origin: tuple[float, ...] = (0.0,) * 3
    matrix: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    for key in (b"Offset", b"Position", b"Origin", b"ImagePosition"):
        origin = fields.numbers.get(key, origin)
    for key in (b"Orientation", b"Rotation", b"TransformMatrix"):
        matrix = fields.numbers.get(key, matrix)
    if 0.0 in spacing:
        raise InputError(
            f"{path}: expected {wanted} with a usable ElementSpacing in its header, "
            f"found {' '.join(f'{step:g}' for step in spacing)}"
        )
    # The file holds axes in rows, ITK in columns; a negative spacing turns the axis round.
    axes = [[-part if step < 0 else part for part in matrix[3 * i : 3 * i + 3]] for i, step in enumerate(spacing)]
    with np.errstate(all="ignore"):
        a, b, c = (np.asarray(axis) for axis in axes)
        determinant = float(a @ np.cross(b, c))
    if determinant == 0:
        raise InputError(
            f"{path}: expected {wanted} with a usable TransformMatrix in its header, "
            f"found {' '.join(f'{part:g}' for part in matrix)}"
        )
    return ImageGeometry(
        (abs(spacing[0]), abs(spacing[1]), abs(spacing[2])),
        (origin[0], origin[1], origin[2]),
        tuple(axes[column][row] for row in range(3) for column in range(3)),
    )


def _cut_off(path: Path, wanted: str, expected: int, found: int) -> InputError:
    return InputError(f"{path}: expected {wanted} with {expected} bytes of data, found a file cut off after {found}")
