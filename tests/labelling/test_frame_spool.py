"""Frames through the disk are the frames that the ordinary reader and writer see, in memory that does not grow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cinetrack.errors import InputError
from cinetrack.labelling import frame_spool
from cinetrack.labelling.frame_spool import FrameSpool, Spool, write_indexed_series
from cinetrack.sequence.image_files import ImageGeometry, read_series, write_series

REPOSITORY = Path(__file__).resolve().parents[2]
TURNED = ImageGeometry((5.0, 1.5, 2.0), (-3.0, 10.5, 7.25), (0, 1, 0, 0, 0, 1, 1, 0, 0))


@pytest.mark.parametrize(
    ("suffix", "dtype"), [*((".mha", dtype) for dtype in ("u1", "i2", "u2", "f4", "f8")), (".tif", "u2")]
)
@pytest.mark.parametrize("block_bytes", [1, 4000, 8 << 20])
def test_a_spooled_series_is_what_the_ordinary_reader_reads(tmp_path, monkeypatch, dtype, suffix, block_bytes):
    monkeypatch.setattr(frame_spool, "BLOCK_BYTES", block_bytes)
    frames = np.random.default_rng(0).integers(0, 120, (9, 17, 13)).astype(dtype)
    write_series(tmp_path / f"x{suffix}", frames, TURNED)
    expected, geometry = read_series(tmp_path / f"x{suffix}")
    spool = FrameSpool(tmp_path / f"x{suffix}", tmp_path)
    assert spool.geometry == geometry and len(spool) == 9
    np.testing.assert_array_equal(np.stack(list(spool)), expected)
    with pytest.raises(IndexError):
        spool[9]


def test_an_uncompressed_series_is_read_too(tmp_path):
    frames = np.arange(3 * 5 * 4, dtype=np.uint16).reshape(3, 5, 4)
    sitk.WriteImage(sitk.GetImageFromArray(np.moveaxis(frames, 0, -1)), str(tmp_path / "x.mha"), useCompression=False)
    np.testing.assert_array_equal(np.stack(list(FrameSpool(tmp_path / "x.mha"))), frames)


def test_pixels_that_are_no_numbers_become_the_frames_minimum(tmp_path):
    frames = np.ones((2, 4, 4), np.float32) * 5
    frames[1, 0, 0] = np.nan
    write_series(tmp_path / "x.mha", frames, TURNED)
    assert FrameSpool(tmp_path / "x.mha")[1][0, 0] == 5


def test_an_indexed_series_reads_back_with_its_geometry(tmp_path):
    masks = np.random.default_rng(1).integers(0, 4, (9, 17, 13)).astype(np.uint8)
    spool = Spool(masks.shape, np.uint8)
    for index, mask in enumerate(masks):
        spool[index] = mask
    write_indexed_series(tmp_path / "masks.mha", spool, TURNED)
    found, geometry = read_series(tmp_path / "masks.mha")
    np.testing.assert_array_equal(found, masks)
    assert found.dtype == np.uint8 and geometry == TURNED
    assert [path.name for path in tmp_path.iterdir()] == ["masks.mha"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "an empty file"), (b"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\n", "MetaImage header")],
)
def test_a_damaged_series_is_refused(tmp_path, content, message):
    (tmp_path / "x.mha").write_bytes(content)
    with pytest.raises(InputError, match=f"x.mha.*{message}"):
        FrameSpool(tmp_path / "x.mha")
    with pytest.raises(InputError, match="no such file"):
        FrameSpool(tmp_path / "y.mha")


MEASURE = """
import sys
from pathlib import Path
import numpy as np
from cinetrack.labelling.frame_spool import FrameSpool, Spool, write_indexed_series
from cinetrack.sequence.image_files import ImageGeometry
def peak():  # not getrusage, whose peak a process inherits from the one that started it
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak()
frames = FrameSpool(Path(sys.argv[1]))
masks = Spool(frames.shape, np.uint8)
for index in range(len(frames)):
    masks[index] = frames[index] > 100
write_indexed_series(Path(sys.argv[2]), masks, frames.geometry)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_the_spool_holds_far_less_than_the_series(tmp_path):
    frames = np.tile(np.arange(256, dtype=np.uint16), (3000, 200, 1))[:, :, :200]  # 240 MB
    write_series(tmp_path / "long.mha", frames, TURNED)
    del frames
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "long.mha"), str(tmp_path / "masks.mha")]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY).stdout)
    assert grown < 80e6
