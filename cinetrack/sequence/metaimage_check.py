"""Whether a MetaImage file is whole and of a kind that a series can have, before a reader is let near it.

MetaIO, which SimpleITK reads with, fills data that it cannot read with zeros and carries on, reports on stderr by
itself, and some headers crash it. A series that goes black half way must not be tracked as if it were one.
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import BinaryIO

from cinetrack.errors import InputError

HEADER_LIMIT = 1 << 16  # bytes; with DICOM tags carried over a few thousand
LINE_LIMIT = 1 << 12  # bytes; MetaIO reads a line into a buffer of a fixed size
TRUE_INITIALS = (b"t", b"1")  # MetaIO takes the first letter

BYTES_A_VALUE = {
    b"MET_CHAR": 1,
    b"MET_UCHAR": 1,
    b"MET_SHORT": 2,
    b"MET_USHORT": 2,
    b"MET_INT": 4,
    b"MET_UINT": 4,
    b"MET_LONG": 4,
    b"MET_ULONG": 4,
    b"MET_LONG_LONG": 8,
    b"MET_ULONG_LONG": 8,
    b"MET_FLOAT": 4,
    b"MET_DOUBLE": 8,
}


def check_metaimage(path: Path, wanted: str) -> None:
    """Raise InputError where a .mha file is incomplete, damaged, or no scalar image of three dimensions.

    Args:
        wanted: what the file should hold, for the error's sake ("a mask").
    """
    with path.open("rb") as file:
        fields = _read_header(file)
        if b"ElementDataFile" not in fields or b"DimSize" not in fields:
            raise InputError(f"{path}: expected {wanted} with a MetaImage header, found no complete one")
        expected = _bytes_of_data(path, wanted, fields)
        available = path.stat().st_size - file.tell()
        if not _is_true(fields.get(b"CompressedData", b"False")):
            if available < expected:
                raise _cut_off(path, wanted, expected, available)
            return
        stored = _whole_number(fields.get(b"CompressedDataSize", b""))
        if stored is None or stored <= 0:
            found = _shown(fields, b"CompressedDataSize")
            raise InputError(f"{path}: expected {wanted} with its CompressedDataSize, found {found}")
        if stored > available:
            raise _cut_off(path, wanted, stored, available)
        if _inflated_bytes(file, stored) != expected:
            raise InputError(f"{path}: expected {wanted} with {expected} bytes of data, found damaged data")


def _bytes_of_data(path: Path, wanted: str, fields: dict[bytes, bytes]) -> int:
    """Length of the uncompressed data. Raises InputError for a header that no series or mask has."""
    sizes = [_whole_number(word) for word in fields[b"DimSize"].split()]
    dimensions = _whole_number(fields.get(b"NDims", b""))
    spacing = fields.get(b"ElementSpacing", b"1 1 1").split()
    channels = _whole_number(fields.get(b"ElementNumberOfChannels", b"1"))
    if dimensions != 3:
        raise InputError(
            f"{path}: expected {wanted} of three dimensions (row, column, time), found {_shown(fields, b'NDims')}"
        )
    if channels != 1:
        found = _shown(fields, b"ElementNumberOfChannels")
        raise InputError(f"{path}: expected {wanted} with one channel, found {found} channels (RGB or vector)")
    for key, good in (
        (b"DimSize", len(sizes) == 3 and all(size is not None and size > 0 for size in sizes)),
        (b"ElementType", fields.get(b"ElementType") in BYTES_A_VALUE),
        (b"ElementSpacing", len(spacing) == 3 and all(_is_length(word) for word in spacing)),
        (b"ElementDataFile", fields[b"ElementDataFile"].upper() == b"LOCAL"),  # the data in the same file
        (b"BinaryData", _is_true(fields.get(b"BinaryData", b"True"))),
        (b"HeaderSize", b"HeaderSize" not in fields),
    ):
        if not good:
            name = key.decode()
            raise InputError(
                f"{path}: expected {wanted} with a usable {name} in its header, found {_shown(fields, key)}"
            )
    return math.prod(sizes) * BYTES_A_VALUE[fields[b"ElementType"]]


def _read_header(file: BinaryIO) -> dict[bytes, bytes]:
    """The header's fields; leaves `file` at the first byte of the data."""
    fields: dict[bytes, bytes] = {}
    while b"ElementDataFile" not in fields:
        line = file.readline(LINE_LIMIT)
        if not line.endswith(b"\n") or b"=" not in line or file.tell() > HEADER_LIMIT:
            return {}
        key, _, value = line.partition(b"=")
        fields[key.strip()] = value.strip()
    return fields


def _inflated_bytes(file: BinaryIO, stored: int) -> int | None:
    """Length of `stored` bytes of zlib data when inflated; None where they are damaged or end early."""
    inflate, total = zlib.decompressobj(), 0
    try:
        # Bounded both ways: a megabyte of well compressed background inflates to a gigabyte.
        while inflate.unconsumed_tail or stored > 0:
            block = inflate.unconsumed_tail
            if not block:
                block = file.read(min(stored, 1 << 20))
                stored -= len(block)
            total += len(inflate.decompress(block, 1 << 24))
    except zlib.error:
        return None
    return total if inflate.eof else None


def _cut_off(path: Path, wanted: str, expected: int, found: int) -> InputError:
    return InputError(f"{path}: expected {wanted} with {expected} bytes of data, found a file cut off after {found}")


def _whole_number(text: bytes) -> int | None:
    return int(text) if text.lstrip(b"-").isdigit() and len(text) < 16 else None


def _is_length(text: bytes) -> bool:
    try:
        return math.isfinite(float(text)) and float(text) != 0
    except ValueError:
        return False


def _is_true(text: bytes) -> bool:
    return text[:1].lower() in TRUE_INITIALS


def _shown(fields: dict[bytes, bytes], key: bytes) -> str:
    return fields[key][:60].decode("ascii", "backslashreplace") or "nothing" if key in fields else "none"
