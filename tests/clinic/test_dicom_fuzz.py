"""Damaged DICOM is read or refused with one line that names the file; nothing else happens.

Seeded, so that a failure can be repeated. Files whose pixels a C library decodes are few: each starts a process.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from dicom_files import Cine, random_frames, write  # noqa: E402
from pydicom.data import get_testdata_file  # noqa: E402

from cinetrack.clinic.dicom_header import is_dicom  # noqa: E402
from cinetrack.clinic.importing import dicom_series  # noqa: E402
from cinetrack.clinic.importing.dicom_masks import find_mask_files, read_dicom_masks  # noqa: E402
from cinetrack.errors import InputError  # noqa: E402

PLAIN = ["MR_small.dcm", "MR_small_implicit.dcm", "MR_small_RLE.dcm", "SC_rgb_rle_2frame.dcm", "image_dfl.dcm"]
COMPRESSED = [
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
]
HEADER_BYTES = 3000


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed in the header or anywhere, a piece replaced by another length, or the end cut off."""
    altered, way = bytearray(content), rng.integers(4)
    end = len(altered) if way == 0 else min(len(altered), HEADER_BYTES)
    if way < 2:
        for _ in range(rng.integers(1, 12)):
            altered[rng.integers(132, end)] = rng.integers(256)
    elif way == 2:
        start = rng.integers(132, end)
        altered[start : start + rng.integers(1, 60)] = rng.bytes(int(rng.integers(60)))
    else:
        altered = altered[: rng.integers(1, len(altered))]
    return bytes(altered)


def refusal(path: Path) -> str:
    """Why the file was refused, "" where it was read; anything but an InputError passes on."""
    try:
        if is_dicom(path):
            for series in dicom_series.find([path]):
                series.read()
            find_mask_files([path])
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("names", "count"), [(PLAIN, 150), (COMPRESSED, 6)])
def test_damaged_images_are_read_or_refused(tmp_path, names, count):
    rng = np.random.default_rng(20)
    contents = [Path(get_testdata_file(name, download=False)).read_bytes() for name in names]
    path, read = tmp_path / "a.dcm", 0
    for index in range(count):
        path.write_bytes(damaged(contents[index % len(contents)], rng))
        reason = refusal(path)
        assert reason == "" or reason.startswith(str(path))
        read += reason == ""
    assert 0 < read < count  # some damage does not matter, some does


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_damaged_compressed_images_are_read_or_refused_at_length(tmp_path):
    test_damaged_images_are_read_or_refused(tmp_path, COMPRESSED, 150)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["dicom-seg", "rtstruct"])
def test_damaged_masks_are_read_or_refused(tmp_path, kind):
    pytest.importorskip("highdicom")
    from test_exporting import export, make_case

    cine = Cine(random_frames(rows=10, columns=14))
    make_case(tmp_path, cine)
    content = export(tmp_path, kind).read_bytes()
    (series,) = dicom_series.find(write(cine, tmp_path / "again"))
    rng, path, reasons = np.random.default_rng(21), tmp_path / "mask.dcm", []
    for _ in range(60):
        path.write_bytes(damaged(content, rng))
        try:
            masks = find_mask_files([path]) if is_dicom(path) else []
            read_dicom_masks(masks, series, None)
        except InputError as error:
            reasons.append(str(error))
    assert 0 < len(reasons) < 60 and all(str(path) in reason for reason in reasons)


# Offset in pydicom's SC_rgb_jpeg_dcmtk.dcm and the byte that found GDCM calling abort, by the run above at length.
ABORTING = {518: 15, 613: 83, 706: 240, 740: 116, 1688: 255, 1899: 2, 1924: 151, 2663: 249, 2691: 53, 2718: 158}


def test_a_file_that_makes_its_decoder_end_the_process_is_refused(tmp_path):
    content = bytearray(Path(get_testdata_file("SC_rgb_jpeg_dcmtk.dcm", download=False)).read_bytes())
    for offset, value in ABORTING.items():
        content[offset] = value
    path = tmp_path / "a.dcm"
    path.write_bytes(content)
    (series,) = dicom_series.find([path])
    with pytest.raises(InputError, match=r"a.dcm: \(7FE0,0010\) PixelData: expected pixels that can be decoded"):
        series.read()
