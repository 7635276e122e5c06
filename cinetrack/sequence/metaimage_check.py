"""Whether a MetaImage file is whole: its data by length, and by zlib's checksum where compressed.

MetaIO, which SimpleITK reads with, fills what it cannot read with zeros and carries on; a series that goes black
half way must not be tracked as if it were one.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cinetrack.errors import InputError

HEADER_LIMIT = 1 << 16  # bytes; a MetaImage header is a few hundred


def check_metaimage(path: Path, wanted: str) -> None:
    """Raise InputError where a .mha file's header or data is incomplete or damaged.

    Args:
        wanted: what the file should hold, for the error's sake ("a mask").
    """
    with path.open("rb") as file:
        header = _header(file.read(HEADER_LIMIT))
        if b"ElementDataFile" not in header.fields or b"DimSize" not in header.fields:
            raise InputError(f"{path}: expected {wanted} with a MetaImage header, found no complete one")
        if header.fields[b"ElementDataFile"].upper() != b"LOCAL":
            raise InputError(f"{path}: expected {wanted} with its data in the same file, found it in another")
        try:
            expected = header.data_bytes()
        except (KeyError, ValueError):
            return  # of a kind that SimpleITK itself refuses
        file.seek(header.length)
        found = _inflated_bytes(file) if header.is_compressed else path.stat().st_size - header.length
    if found is None:
        raise InputError(f"{path}: expected {wanted}, found damaged data")
    if found < expected:
        raise InputError(f"{path}: expected {wanted} with {expected} bytes of data, found a file cut off after {found}")


@dataclass(frozen=True)
class _Header:
    fields: dict[bytes, bytes]
    length: int  # bytes until the data

    @property
    def is_compressed(self) -> bool:
        return self.fields.get(b"CompressedData", b"").lower() == b"true"

    def data_bytes(self) -> int:
        kind = self.fields[b"ElementType"].removeprefix(b"MET_").removeprefix(b"U")
        size = {b"CHAR": 1, b"SHORT": 2, b"INT": 4, b"LONG": 4, b"LONG_LONG": 8, b"FLOAT": 4, b"DOUBLE": 8}[kind]
        count = math.prod(int(n) for n in self.fields[b"DimSize"].split())
        return count * size * int(self.fields.get(b"ElementNumberOfChannels", b"1"))


def _header(start: bytes) -> _Header:
    fields: dict[bytes, bytes] = {}
    offset = 0
    for line in start.split(b"\n"):
        offset += len(line) + 1
        key, _, value = line.partition(b"=")
        fields[key.strip()] = value.strip()
        if key.strip() == b"ElementDataFile":
            break
    return _Header(fields, offset)


def _inflated_bytes(file: BinaryIO) -> int | None:
    """Length of zlib data when inflated; None where it is damaged."""
    inflate, total = zlib.decompressobj(), 0
    try:
        # Bounded both ways: a megabyte of well compressed background inflates to a gigabyte.
        while block := inflate.unconsumed_tail or file.read(1 << 20):
            total += len(inflate.decompress(block, 1 << 24))
    except zlib.error:
        return None
    return total
