"""TIFF files of every kind are read as SimpleITK reads them; damaged ones and bombs are refused by their page list."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile
from itk_apart import ItkImage, read_apart

from cinetrack.errors import InputError
from cinetrack.labelling.frame_spool import FrameSpool
from cinetrack.sequence.image_files import read_first_mask, read_series

PAGES = np.random.default_rng(0).integers(0, 250, (7, 6, 40))  # (row, column, time), as the file has them


def ifd(entries: dict[int, tuple[int, int]], following: int) -> bytes:
    """A page's list of entries, tag -> (type, value), and the next one's place."""
    packed = [struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in sorted(entries.items())]
    return struct.pack("<H", len(packed)) + b"".join(packed) + struct.pack("<I", following)


def pages_of_one_strip(pages: int, width: int, length: int, strip: bytes, last_leads_to: int = 0) -> bytes:
    """A TIFF whose pages all show the same compressed strip."""
    start = 8 + len(strip)
    entries = {256: (3, width), 257: (3, length), 258: (3, 8), 259: (3, 8), 262: (3, 1), 273: (4, 8), 277: (3, 1),
               278: (3, length), 279: (4, len(strip))}  # fmt: skip
    size = len(ifd(entries, 0))
    offsets = [start + size * page for page in range(1, pages)] + [last_leads_to]
    lists = b"".join(ifd(entries, following) for following in offsets)
    return b"II*\0" + struct.pack("<I", start) + strip + lists


KINDS = [
    {}, {"compression": "zlib"}, {"compression": "packbits"}, {"bigtiff": True}, {"byteorder": ">"},
    {"rowsperstrip": 2}, {"compression": "zlib", "predictor": True}, {"description": "x" * 9000},
]  # fmt: skip


def test_every_kind_is_read_as_simpleitk_reads_it(tmp_path):
    names = {}
    for dtype in ("u1", "i2", "u2", "f4"):
        for number, options in enumerate(KINDS):
            if dtype == "f4" and "predictor" in options:  # of floats it needs a package more
                continue
            path = tmp_path / f"{dtype}-{number}.TIF"
            names[path] = f"{dtype} {options}"
            tifffile.imwrite(path, PAGES.astype(dtype), photometric="minisblack", metadata=None, **options)
    for (path, name), expected in zip(names.items(), read_apart(list(names), "TIFFImageIO"), strict=True):
        assert isinstance(expected, ItkImage), f"{name}: {expected}"
        frames, geometry = read_series(path)
        assert frames.dtype == expected.frames.dtype, name
        np.testing.assert_array_equal(frames, expected.frames, name)
        np.testing.assert_array_equal(frames, np.moveaxis(PAGES, -1, 0), name)
        assert geometry.spacing == expected.spacing, name
        np.testing.assert_array_equal(np.stack(list(FrameSpool(path))), frames, name)


STRIP = zlib.compress(bytes(40 * 6))
BOMB = zlib.compress(bytes(1000 * 1000), 9)
DAMAGED = {
    "circle": (pages_of_one_strip(5, 40, 6, STRIP, last_leads_to=8 + len(STRIP)), "goes round in circles"),
    "beyond the end": (pages_of_one_strip(5, 40, 6, STRIP, last_leads_to=10**6), "beyond the end"),
    "into the pixels": (pages_of_one_strip(5, 40, 6, STRIP, last_leads_to=8), "damaged|beyond the end"),
    "cut off": (pages_of_one_strip(5, 40, 6, STRIP)[:-30], "beyond the end"),
    "no TIFF": (b"II*\0" + bytes(99), "no TIFF file"),
    "another file": (b"GIF89a" + bytes(99), "no TIFF file"),
    "gigabytes of pages": (pages_of_one_strip(5000, 1000, 1000, BOMB), "unfolds to"),
    "a gigantic page": (pages_of_one_strip(1, 60000, 60000, BOMB), "unfolds to"),
    "no size": (pages_of_one_strip(1, 0, 6, STRIP), "damaged TIFF page of 6 x 0 px"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_tiff_or_a_bomb_is_refused_by_its_pages(tmp_path, name):
    content, message = DAMAGED[name]
    (tmp_path / "a.tif").write_bytes(content)
    tracemalloc.start()
    for read in (read_series, FrameSpool):
        with pytest.raises(InputError, match=f"a.tif: expected a cine-MR series, found .*({message})"):
            read(tmp_path / "a.tif")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_a_page_of_another_size_is_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for width in (40, 40, 30):
            file.write(np.zeros((6, width), np.uint8), photometric="minisblack", contiguous=False, metadata=None)
    with pytest.raises(InputError, match="page 3 is of another kind or size than its first"):
        read_series(tmp_path / "a.tif")


def test_a_tiff_mask_is_refused_by_its_pages(tmp_path):
    (tmp_path / "m.tif").write_bytes(pages_of_one_strip(100, 1000, 1000, BOMB))
    with pytest.raises(InputError, match="the series' 176 x 160 pixels .*found 100 x 1000"):
        read_first_mask(tmp_path / "m.tif", (176, 160))
