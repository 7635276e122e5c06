"""What does not fit on the disk is an error, and never a shorter answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.image_files import ImageGeometry, write_masks

REPOSITORY = Path(__file__).resolve().parents[2]

# A limit on the size of files fails in the middle of a write, as a full disk does.
WRITE = """
import resource, sys
from pathlib import Path
import numpy as np
from cinetrack.labelling.cine_video import Display, Window, write_film
from cinetrack.labelling.frame_spool import Spool, write_indexed_series
from cinetrack.report.overlay import write_overlay
from cinetrack.sequence import CineSequence
from cinetrack.sequence.image_files import ImageGeometry, write_series
kind, path, limit = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
frames = np.random.default_rng(0).integers(0, 255, (12, 64, 64)).astype(np.uint8)
geometry = ImageGeometry.in_plane((1.0, 1.0))
spool = Spool(frames.shape, np.uint8)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    if kind == "series":
        write_series(path, frames, geometry)
    elif kind == "spool":
        for index, frame in enumerate(frames):
            spool[index] = frame
        write_indexed_series(path, spool, geometry)
    elif kind == "film":
        write_film(path, frames, Display((64, 64), (64, 64)), Window(0, 255), 4.0)
    else:
        write_overlay(path, CineSequence(frames, (1.0, 1.0), 4.0, 0.35, "abdomen"), {})
except OSError as error:
    sys.exit(f"OSError: {error}")
"""


@pytest.mark.parametrize(
    ("kind", "name"),
    [("series", "a.mha"), ("series", "a.tif"), ("spool", "a.mha"), ("film", "a.webm"), ("overlay", "a.png")],
)
def test_a_disk_that_fills_up_ends_with_an_error_and_leaves_nothing(tmp_path, kind, name):
    command = [sys.executable, "-c", WRITE, kind, str(tmp_path / name)]
    failed = subprocess.run([*command, "9000"], cwd=REPOSITORY, capture_output=True, text=True)
    assert failed.returncode == 1 and "OSError: [Errno" in failed.stderr, failed.stderr
    assert list(tmp_path.iterdir()) == []
    worked = subprocess.run([*command, "0"], cwd=REPOSITORY, capture_output=True, text=True)
    assert worked.returncode == 0, worked.stderr
    assert (tmp_path / name).stat().st_size > 9000


def test_a_writer_that_leaves_an_empty_or_another_image_is_noticed(tmp_path, monkeypatch):
    masks = np.ones((2, 4, 5), bool)
    path = tmp_path / "a.mha"
    monkeypatch.setattr(sitk, "WriteImage", lambda *_, **__: None)
    with pytest.raises(OSError, match="came out"):
        write_masks(path, masks, ImageGeometry.in_plane((1.0, 1.0)))
    written = sitk.GetImageFromArray(np.zeros((4, 5, 2), np.uint8))
    monkeypatch.undo()
    write = sitk.WriteImage
    monkeypatch.setattr(sitk, "WriteImage", lambda _, name, **__: write(written, name))
    with pytest.raises(OSError, match="with other values"):
        write_masks(path, masks, ImageGeometry.in_plane((1.0, 1.0)))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_takes_no_other_files_place(tmp_path):
    write_text_atomically(tmp_path / "a.json", "1")
    with pytest.raises(OSError, match="empty"):
        write_text_atomically(tmp_path / "a.json", "")
    assert (tmp_path / "a.json").read_text() == "1"
