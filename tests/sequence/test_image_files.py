"""Series and masks on disk."""

from __future__ import annotations

import os

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cinetrack.errors import InputError
from cinetrack.sequence.image_files import (
    ImageGeometry,
    only_series_in,
    read_first_mask,
    read_masks,
    read_series,
    write_masks,
    write_series,
)


def write_as_the_challenge(path, array, **options):
    """`array` is (row, column, time), as the challenge's template sees it."""
    image = sitk.GetImageFromArray(array, **options)
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


@pytest.fixture
def volume():
    return np.random.default_rng(0).integers(0, 1000, (12, 9, 5)).astype(np.uint16)  # (row, column, time)


@pytest.mark.parametrize("suffix", [".mha", ".tif", ".tiff"])
def test_time_is_the_files_last_axis_and_the_sequences_first(tmp_path, volume, suffix):
    frames, _ = read_series(write_as_the_challenge(tmp_path / f"a{suffix}", volume))
    assert frames.shape == (5, 12, 9)
    for t in range(5):
        np.testing.assert_array_equal(frames[t], volume[:, :, t])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_every_element_type_keeps_its_values(tmp_path, kind):
    volume = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(kind)
    frames, _ = read_series(write_as_the_challenge(tmp_path / "a.mha", volume))
    assert frames.dtype == kind
    np.testing.assert_array_equal(frames, np.moveaxis(volume, -1, 0))


def test_a_series_of_one_frame_outlives_the_reader(tmp_path):
    volume = np.full((40, 30, 1), 7.5, np.float32)
    frames, _ = read_series(write_as_the_challenge(tmp_path / "a.mha", volume))
    junk = [np.full((40, 30), np.nan, np.float32) for _ in range(200)]  # would land where freed memory was
    assert (frames == 7.5).all() and len(junk) == 200


def test_in_plane_spacing_is_row_then_column(tmp_path):
    image = sitk.Image((4, 6, 8), sitk.sitkUInt16)  # ITK's order: time, column, row
    image.SetSpacing((5.0, 1.25, 2.5))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    frames, geometry = read_series(tmp_path / "a.mha")
    assert frames.shape == (4, 8, 6) and geometry.spacing_mm == (2.5, 1.25)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    seed=st.integers(0, 99),
    spacing=st.tuples(*[st.floats(0.25, 8)] * 3),
    origin=st.tuples(*[st.floats(-50, 50)] * 3),
)
def test_masks_written_are_the_masks_read_with_their_geometry(tmp_path, shape, seed, spacing, origin):
    masks = np.random.default_rng(seed).random(shape) < 0.5
    geometry = ImageGeometry(spacing, origin, (0, 1, 0, 1, 0, 0, 0, 0, -1))
    write_masks(tmp_path / "a.mha", masks, geometry)
    read, found = read_masks(tmp_path / "a.mha")
    np.testing.assert_array_equal(read, masks)
    np.testing.assert_allclose(found.spacing + found.origin, spacing + origin, rtol=1e-6, atol=1e-9)
    assert found.direction == geometry.direction


def test_masks_are_compressed_uint8(tmp_path):
    write_masks(tmp_path / "a.mha", np.ones((3, 50, 40), bool), ImageGeometry.in_plane((1.0, 1.0)))
    assert sitk.ReadImage(str(tmp_path / "a.mha")).GetPixelID() == sitk.sitkUInt8
    assert b"CompressedData = True" in (tmp_path / "a.mha").read_bytes()[:500]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.mha"
    write_masks(path, np.ones((1, 4, 4), bool), ImageGeometry.in_plane((1.0, 1.0)))
    before = path.read_bytes()
    monkeypatch.setattr(sitk, "WriteImage", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_masks(path, np.zeros((1, 4, 4), bool), ImageGeometry.in_plane((1.0, 1.0)))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_non_finite_pixels_become_the_frames_smallest_value(tmp_path, caplog):
    volume = np.random.default_rng(0).uniform(5, 9, (6, 7, 3)).astype(np.float32)
    volume[2, 3, 1], volume[0, 0, 1] = np.nan, np.inf
    volume[:, :, 2] = np.nan
    frames, _ = read_series(write_as_the_challenge(tmp_path / "a.mha", volume))
    assert np.isfinite(frames).all()
    assert frames[1, 2, 3] == frames[1, 0, 0] == frames[1].min()
    assert (frames[2] == 0).all()
    np.testing.assert_array_equal(frames[0], volume[:, :, 0])
    assert "NaN or infinite" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "an empty file"),
        (b"not an image\n" * 9, "MetaImage header"),
        (bytes(range(256)) * 4, "MetaImage header"),
        (b"ObjectType = Image\nNDims = 3\n", "MetaImage header"),
    ],
)
def test_a_file_that_is_no_image_is_named(tmp_path, content, message):
    path = tmp_path / "a.mha"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f"a.mha.*{message}"):
        read_series(path)


@pytest.mark.parametrize("compressed", [True, False])
def test_a_truncated_series_is_not_read_as_one_that_goes_black(tmp_path, volume, compressed):
    whole = tmp_path / "whole.mha"
    sitk.WriteImage(sitk.GetImageFromArray(volume), str(whole), useCompression=compressed)
    content = whole.read_bytes()
    (tmp_path / "cut.mha").write_bytes(content[:-100])
    with pytest.raises(InputError, match="cut.mha.*cut off"):
        read_series(tmp_path / "cut.mha")


def test_a_tiff_cut_off_is_noticed(tmp_path, volume):
    path = write_as_the_challenge(tmp_path / "whole.tif", volume)
    (tmp_path / "cut.tif").write_bytes(path.read_bytes()[:-60])
    with pytest.raises(InputError, match="cut.tif"):
        read_series(tmp_path / "cut.tif")


def test_what_another_thread_writes_to_stderr_is_no_damage_and_not_lost(tmp_path, volume, monkeypatch, capfd):
    path = write_as_the_challenge(tmp_path / "a.tif", volume)  # read by libtiff, which reports damage there
    execute, bars = sitk.ImageFileReader.Execute, ["36%|### 458/1260"]

    def interrupted(reader):
        while bars:  # a progress bar, refreshed while the file is being read
            os.write(2, b"\r " + bars.pop().encode())
        return execute(reader)

    monkeypatch.setattr(sitk.ImageFileReader, "Execute", interrupted)
    frames, _ = read_series(path)
    np.testing.assert_array_equal(frames, np.moveaxis(volume, -1, 0))
    assert "36%|### 458/1260" in capfd.readouterr().err


def test_damaged_compressed_data_is_noticed(tmp_path, volume):
    path = write_as_the_challenge(tmp_path / "a.mha", volume)
    content = bytearray(path.read_bytes())
    content[-60:-50] = bytes(10)
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_series(path)


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((5, 6), np.uint8), {}, "three dimensions"),
        (np.zeros((2, 5, 6, 3), np.uint8), {"isVector": True}, "3 channels"),
        (np.zeros((2, 5, 6, 3), np.float32), {"isVector": False}, "three dimensions"),
        (np.full((5, 6, 2), np.nan, np.float32), {}, "only NaN"),
    ],
)
def test_an_image_that_is_no_series_is_refused(tmp_path, array, options, message):
    with pytest.raises(InputError, match=message):
        read_series(write_as_the_challenge(tmp_path / "a.mha", array, **options))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((12, 9, 1), np.uint8), "empty mask"),
        (np.ones((9, 12, 1), np.uint8), "12 x 9 pixels.*found 9 x 12"),
        (np.ones((12, 9, 2), np.uint8), "found 2 frames"),
        (np.full((12, 9, 1), 255, np.uint8), "found 255"),
        (np.arange(108, dtype=np.uint8).reshape(12, 9, 1), r"found 0, 1, 2, 3, 4, \.\.\."),
        (np.full((12, 9, 1), np.nan, np.float32), "found nan"),
    ],
)
def test_an_unusable_first_mask_is_refused(tmp_path, array, message):
    with pytest.raises(InputError, match=f"m.mha.*{message}"):
        read_first_mask(write_as_the_challenge(tmp_path / "m.mha", array), (12, 9))


def test_exactly_one_series_is_expected_in_a_folder(tmp_path, volume):
    with pytest.raises(InputError, match="found none"):
        only_series_in(tmp_path / "absent")
    with pytest.raises(InputError, match="exactly one series.*found none"):
        only_series_in(tmp_path)
    write_series(tmp_path / "a.mha", volume, ImageGeometry.in_plane((1.0, 1.0)))
    assert only_series_in(tmp_path) == tmp_path / "a.mha"
    (tmp_path / "a.nii.gz").touch()  # of another program; the one that is read counts
    assert only_series_in(tmp_path) == tmp_path / "a.mha"
    (tmp_path / "b.tif").touch()
    with pytest.raises(InputError, match="found a.mha, b.tif"):
        only_series_in(tmp_path)


@pytest.mark.parametrize("ending", [".nrrd", ".NII.gz", ".nii", ".dcm", ".png"])
def test_images_that_are_not_read_are_named(tmp_path, ending):
    (tmp_path / f"a{ending}").write_bytes(b"x" * 99)
    with pytest.raises(InputError, match=rf"a{ending}: expected .*\.mha, .* found .*{ending}"):
        read_series(tmp_path / f"a{ending}")
    if ending != ".png":
        assert only_series_in(tmp_path).name == f"a{ending}"
