"""Whether a TIFF file's pages are sound, before a reader is let near it: found by following its list of pages alone.

A damaged file can name itself as its own next page, thousands of pages of other sizes, or pages that unfold to
gigabytes; libtiff and ITK follow for minutes, and fill up what is missing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cinetrack.errors import InputError

WIDTH, LENGTH, BITS, COMPRESSION, SAMPLES, TILE_WIDTH, TILE_LENGTH = 256, 257, 258, 259, 277, 322, 323
NOT_COMPRESSED = 1

WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # by their type; others are not needed here
MOST_ENTRIES = 1000  # of a page; a usual one has a dozen
MOST_BITS = 64  # of a pixel
# Real series pack to a half or a third, masks of background to a three-hundredth.
ALWAYS_ALLOWED_BYTES = 128 << 20
MOST_UNFOLDING = 200


@dataclass(frozen=True)
class _Page:
    width: int
    length: int
    bits: int
    samples: int
    compression: int

    @property
    def kind(self) -> tuple[int, int, int, int]:
        """What all pages must have in common."""
        return self.width, self.length, self.bits, self.samples

    @property
    def unfolded_bytes(self) -> int:
        return self.length * ((self.width * self.bits * self.samples + 7) // 8)


def check_tiff(path: Path, wanted: str) -> tuple[int, int, int]:
    """Follow a TIFF's list of pages.

    Args:
        wanted: what the file should hold, for the error's sake ("a mask").
    Returns:
        Its pages, and their length and width in px.
    Raises:
        InputError: it is damaged, its pages differ, or it unfolds to far more than it holds.
    """
    with path.open("rb") as file:
        return _Walk(path, wanted, file).follow()


class _Walk:
    """Follows a file's list of pages."""

    def __init__(self, path: Path, wanted: str, file: BinaryIO) -> None:
        self._path = path
        self._wanted = wanted
        self._file = file
        self._size = path.stat().st_size
        start = file.read(16)
        self._order = {b"II": "<", b"MM": ">"}.get(start[:2], "")
        self._is_big = False
        self._next = 0
        if self._order and len(start) >= 8:
            version = struct.unpack(self._order + "H", start[2:4])[0]
            if version == 42:
                self._next = struct.unpack(self._order + "I", start[4:8])[0]
            elif version == 43 and len(start) == 16 and struct.unpack(self._order + "HH", start[4:8]) == (8, 0):
                self._is_big = True
                self._next = struct.unpack(self._order + "Q", start[8:])[0]
        if not self._next:
            raise self._error("found no TIFF file")

    def follow(self) -> tuple[int, int, int]:
        visited: set[int] = set()
        pages = unfolded = 0
        first: _Page | None = None
        while self._next:
            if self._next in visited:
                raise self._error("found a TIFF whose list of pages goes round in circles")
            visited.add(self._next)
            page = self._read_page()
            first = first or page
            if page.kind != first.kind:
                raise self._error(f"found a TIFF whose page {pages + 1} is of another kind or size than its first")
            pages += 1
            unfolded += page.unfolded_bytes
            if page.compression == NOT_COMPRESSED and unfolded > self._size:
                raise self._error(f"found a TIFF cut off: {self._size} bytes for pages of {unfolded}")
            if unfolded > max(ALWAYS_ALLOWED_BYTES, MOST_UNFOLDING * self._size):
                raise self._error(f"found a TIFF of {self._size} bytes that unfolds to {unfolded} or more")
        return (pages, first.length, first.width) if first else (0, 0, 0)

    def _read_page(self) -> _Page:
        count_code, entry_code, pointer = ("Q", "HHQ8s", "Q") if self._is_big else ("H", "HHI4s", "I")
        count = struct.unpack(self._order + count_code, self._bytes(self._next, struct.calcsize("=" + count_code)))[0]
        if not 1 <= count <= MOST_ENTRIES:
            raise self._error(f"found a damaged TIFF page of {count} entries")
        entry_size = struct.calcsize("=" + entry_code)
        start = self._next + struct.calcsize("=" + count_code)
        table = self._bytes(start, count * entry_size + struct.calcsize("=" + pointer))
        entries: dict[int, tuple[int, int, bytes]] = {}
        for at in range(0, count * entry_size, entry_size):
            tag, kind, number, value = struct.unpack(self._order + entry_code, table[at : at + entry_size])
            entries.setdefault(tag, (kind, number, value))
        self._next = struct.unpack(self._order + pointer, table[count * entry_size :])[0]
        return self._page(entries)

    def _page(self, entries: dict[int, tuple[int, int, bytes]]) -> _Page:
        def one(tag: int, default: int | None = None) -> int:
            values = self._values(entries[tag]) if tag in entries else []
            if not values and default is None:
                raise self._error(f"found a damaged TIFF page without a usable tag {tag}")
            return values[0] if values else default or 0

        page = _Page(one(WIDTH), one(LENGTH), one(BITS, 1), one(SAMPLES, 1), one(COMPRESSION, 1))
        if page.width < 1 or page.length < 1 or page.samples < 1 or not 1 <= page.bits <= MOST_BITS:
            raise self._error(f"found a damaged TIFF page of {page.length} x {page.width} px of {page.bits} bits")
        if page.samples != 1:
            raise InputError(
                f"{self._path}: expected {self._wanted} with one channel, found {page.samples} channels (RGB or vector)"
            )
        if TILE_WIDTH in entries:  # a tile is unfolded whole, however small the page
            tile = one(TILE_WIDTH) * one(TILE_LENGTH) * page.bits // 8
            if tile > max(ALWAYS_ALLOWED_BYTES, MOST_UNFOLDING * self._size):
                raise self._error(f"found a TIFF of {self._size} bytes whose tiles unfold to {tile}")
        return page

    def _values(self, entry: tuple[int, int, bytes]) -> list[int]:
        kind, number, value = entry
        if kind not in WHOLE_NUMBERS or number < 1:
            return []
        length = struct.calcsize("=" + WHOLE_NUMBERS[kind]) * number
        data = value[:length] if length <= len(value) else self._bytes(self._number(value), length)
        return list(struct.unpack(f"{self._order}{number}{WHOLE_NUMBERS[kind]}", data))

    def _number(self, value: bytes) -> int:
        return int(struct.unpack(self._order + ("Q" if self._is_big else "I"), value)[0])

    def _bytes(self, offset: int, count: int) -> bytes:
        if offset + count > self._size:
            raise self._error("found a damaged or cut off TIFF, whose list of pages leads beyond the end of the file")
        self._file.seek(offset)
        return self._file.read(count)

    def _error(self, found: str) -> InputError:
        return InputError(f"{self._path}: expected {self._wanted}, {found}")
