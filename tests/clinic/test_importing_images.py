"""`cinetrack import` of NIfTI, NRRD, MetaImage, pictures and films."""

from __future__ import annotations

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from cinetrack.cli.main import main
from cinetrack.clinic.importing.tree import read_tree
from cinetrack.clinic.source_record import read_source_record
from cinetrack.errors import InputError
from cinetrack.sequence.trackrad_dataset import find_cases

ROWS, COLUMNS, FRAMES = 12, 9, 5
OPTIONS = ["--field-strength", "0.35", "--region", "thorax"]
PICTURE_OPTIONS = [*OPTIONS, "--frame-rate", "4", "--pixel-spacing", "1.5,2", "--top", "head"]


@pytest.fixture
def frames() -> np.ndarray:
    """(T, rows, columns) uint16 with the patient's head at row 0 and front at column 0, as scanners show them."""
    return np.random.default_rng(5).integers(0, 4000, (FRAMES, ROWS, COLUMNS)).astype(np.uint16)


def imported(source, output, *options):
    assert main(["import", str(source), "-o", str(output), *options]) == 0
    return find_cases(output)


def head_up_sagittal(frames, path, spacing=(2.0, 1.5), origin=(5.0, -20.0, 30.0), seconds=0.25):
    """Written by ITK: rows run to the feet, columns to the back."""
    volume = sitk.GetImageFromArray(frames[:, None], isVector=False)  # (t, slice, row, column)
    volume.SetSpacing((spacing[1], spacing[0], 5.0, seconds))
    direction = np.eye(4)
    direction[:3, :3] = np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]])
    volume.SetDirection(direction.ravel().tolist())
    volume.SetOrigin((*origin, 0.0))
    sitk.WriteImage(volume, str(path))


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mha", ".mhd"])
def test_files_that_itk_wrote_come_in_with_the_feet_at_row_0(tmp_path, frames, ending):
    path = tmp_path / f"a{ending}"
    head_up_sagittal(frames, path)
    (case,) = imported(path, tmp_path / "out", *OPTIONS, "--frame-rate", "4")
    sequence, geometry = case.read_sequence()
    np.testing.assert_array_equal(sequence.frames, frames[:, ::-1])
    assert sequence.spacing_mm == pytest.approx((2.0, 1.5))
    assert (sequence.frame_rate_hz, sequence.field_strength_t, sequence.region) == (4.0, 0.35, "thorax")
    record = read_source_record(case.folder / "source.json")
    assert record.grid.placement.origin_mm == pytest.approx((5.0, -20.0, 30.0), abs=1e-4)
    assert record.turn.rows_flipped and not record.turn.columns_flipped


def test_nifti_states_its_frame_rate_only_with_a_unit_of_time(tmp_path, frames, capsys):
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(frames.transpose(2, 1, 0)[:, :, None], np.diag([1.5, 2.0, 5.0, 1.0]))
    image.header.set_zooms((1.5, 2.0, 5.0, 125.0))
    image.header.set_xyzt_units("mm", "msec")
    nibabel.save(image, tmp_path / "timed.nii")
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "untimed.nii")
    assert imported(tmp_path / "timed.nii", tmp_path / "out", *OPTIONS)[0].frame_rate_hz() == pytest.approx(8)
    assert main(["import", str(tmp_path / "untimed.nii"), "-o", str(tmp_path / "no"), *OPTIONS]) == 2
    assert (
        "untimed.nii: expected the frame rate in the file, found none; give --frame-rate HZ" in capsys.readouterr().err
    )
    assert not (tmp_path / "no").exists()


def test_nifti_without_a_place_in_the_patient_asks_what_its_first_row_shows(tmp_path, frames, capsys):
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(frames.transpose(2, 1, 0)[:, :, None], None)
    image.header.set_zooms((1.5, 2.0, 5.0, 0.25))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, tmp_path / "a.nii")
    command = ["import", str(tmp_path / "a.nii"), "-o", str(tmp_path / "out"), *OPTIONS]
    assert main(command) == 2
    assert "expected the orientation in the file, found none; give --top head|feet" in capsys.readouterr().err
    assert main([*command, "--top", "head"]) == 0
    sequence, _ = find_cases(tmp_path / "out")[0].read_sequence()
    np.testing.assert_array_equal(sequence.frames, frames[:, ::-1])
    assert sequence.spacing_mm == (2.0, 1.5)


def test_a_metaimage_with_the_identity_as_direction_is_remarked_on(tmp_path, frames, capsys):
    image = sitk.GetImageFromArray(frames)
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    assert main(["import", str(tmp_path / "a.mha"), "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert "axial" in out and "--top goes before it" in err


@pytest.mark.parametrize(("space", "sign"), [("left-posterior-superior", 1), ("right-anterior-superior", -1)])
@pytest.mark.parametrize("list_axis", [0, 3])
def test_slicer_sequences_keep_their_own_frame_times(tmp_path, frames, space, sign, list_axis):
    nrrd = pytest.importorskip("nrrd")
    values = frames.transpose(2, 1, 0)[:, :, None, :]  # column, row, slice, time
    directions = [[0, sign * 1.5, 0], [0, 0, -2.0], [sign * 5.0, 0, 0]]
    none = [np.nan] * 3
    header = {
        "space": space,
        "space directions": np.array([none, *directions] if list_axis == 0 else [*directions, none]),
        "space origin": np.array([sign * 5.0, sign * -20.0, 30.0]),
        "kinds": ["list", *["domain"] * 3] if list_axis == 0 else [*["domain"] * 3, "list"],
        "labels": ["time", "", "", ""] if list_axis == 0 else ["", "", "", "time"],
        "units": ["s", "", "", ""] if list_axis == 0 else ["", "", "", "s"],
        f"axis {list_axis} index type": "numeric",
        f"axis {list_axis} index values": "0 0.25 0.5 0.75 2",
    }
    nrrd.write(str(tmp_path / "a.seq.nrrd"), np.moveaxis(values, 3, list_axis), header)
    (case,) = imported(tmp_path / "a.seq.nrrd", tmp_path / "out", *OPTIONS)
    np.testing.assert_array_equal(case.read_sequence()[0].frames, frames[:, ::-1])
    assert case.frame_rate_hz() == pytest.approx(4)
    record = read_source_record(case.folder / "source.json")
    assert record.frame_times_s == (0, 0.25, 0.5, 0.75, 2)
    assert record.grid.placement.origin_mm == (5.0, -20.0, 30.0)


def test_a_list_of_metaimages_is_one_series_in_the_order_of_its_numbers(tmp_path, frames):
    (tmp_path / "list").mkdir()
    for index, frame in enumerate(np.concatenate([frames] * 3)[:12]):
        image = sitk.GetImageFromArray(frame + np.uint16(index))
        image.SetSpacing((1.5, 2.0))
        sitk.WriteImage(image, str(tmp_path / "list" / f"f{index}.mha"), useCompression=index % 2 == 0)
    (case,) = imported(tmp_path / "list", tmp_path / "out", *OPTIONS, "--frame-rate", "4", "--top", "feet")
    sequence, _ = case.read_sequence()
    assert sequence.spacing_mm == (2.0, 1.5)
    for index in (2, 10, 11):
        np.testing.assert_array_equal(sequence.frames[index], frames[index % FRAMES] + index)


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_a_folder_of_16_bit_pictures_keeps_every_value(tmp_path, frames, ending):
    (tmp_path / "p").mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "p" / f"{index}{ending}")
    (case,) = imported(tmp_path / "p", tmp_path / "out", *PICTURE_OPTIONS)
    sequence, _ = case.read_sequence()
    np.testing.assert_array_equal(sequence.frames, frames[:, ::-1])
    assert sequence.spacing_mm == (1.5, 2.0)


def test_a_tiff_of_several_pages_is_one_series(tmp_path, frames):
    pages = [Image.fromarray(frame) for frame in frames]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    (case,) = imported(tmp_path / "a.tiff", tmp_path / "out", *PICTURE_OPTIONS)
    np.testing.assert_array_equal(case.read_sequence()[0].frames, frames[:, ::-1])


def test_the_pixels_of_a_gif_and_its_rate_are_its_own(tmp_path, frames):
    pytest.importorskip("av")
    pages = [Image.fromarray((frame >> 4).astype(np.uint8)) for frame in frames]
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:], duration=200)
    (case,) = imported(tmp_path / "a.gif", tmp_path / "out", *OPTIONS, "--pixel-spacing", "2", "--top", "head")
    sequence, _ = case.read_sequence()
    np.testing.assert_array_equal(sequence.frames, (frames[:, ::-1] >> 4).astype(np.uint8))
    assert sequence.frame_rate_hz == pytest.approx(5)


@pytest.mark.parametrize(("ending", "codec"), [(".mp4", "mpeg4"), (".avi", "ffv1")])
def test_a_film_comes_in_with_its_playing_rate_and_says_so(tmp_path, ending, codec, capsys):
    av = pytest.importorskip("av")
    levels = np.arange(30, 230, 20, dtype=np.uint8)
    with av.open(str(tmp_path / f"a{ending}"), "w") as container:
        stream = container.add_stream(codec, rate=8)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for level in levels:
            picture = av.VideoFrame.from_ndarray(np.full((32, 48, 3), level), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    (case,) = imported(tmp_path / f"a{ending}", tmp_path / "out", *OPTIONS, "--pixel-spacing", "2", "--top", "head")
    sequence, _ = case.read_sequence()
    assert sequence.frame_rate_hz == pytest.approx(8)
    assert sequence.frames.shape == (10, 32, 48)
    assert np.abs(sequence.frames.mean(axis=(1, 2)) - levels).max() < 6  # a lossy codec and limited-range colours
    assert "the film plays" in capsys.readouterr().err


def test_a_dry_run_lists_what_it_found_and_what_to_give_and_writes_nothing(tmp_path, frames, capsys):
    source = tmp_path / "in"
    (source / "p").mkdir(parents=True)
    head_up_sagittal(frames, source / "a.nii.gz")
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(source / "p" / f"{index}.png")
    Image.fromarray(frames[0]).save(source / "logo.png")
    (source / "notes.txt").write_text("x")
    assert main(["import", str(source), "--dry-run"]) == 0
    out, err = capsys.readouterr()
    first, nifti, pictures = out.splitlines()
    assert first.split()[:3] == ["case", "format", "source"]
    assert nifti.split()[:5] == ["case_001", "NIfTI", "a.nii.gz", "sagittal", "5"]
    assert pictures.split()[:5] == ["case_002", "pictures", "p", "?", "5"] and pictures.endswith("--top head|feet")
    assert f"{source}: images of one frame, no cine: 1; left out" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


@pytest.mark.parametrize("count", [1, FRAMES])
def test_masks_of_the_first_or_of_every_frame_lie_as_the_frames_do(tmp_path, frames, count):
    head_up_sagittal(frames, tmp_path / "a.nii.gz")
    masks = frames > 2500
    (tmp_path / "m").mkdir()
    for index in range(count):
        Image.fromarray(masks[index].astype(np.uint8) * 255).save(tmp_path / "m" / f"{index}.png")
    (case,) = imported(
        tmp_path / "a.nii.gz", tmp_path / "out", *OPTIONS, "--frame-rate", "4", "--masks", str(tmp_path / "m")
    )
    np.testing.assert_array_equal(case.read_case().case.first_mask, masks[0, ::-1])
    assert (case.labels_path is not None) == (count == FRAMES)
    if count == FRAMES:
        np.testing.assert_array_equal(case.read_labels(), masks[:, ::-1])


def test_one_of_several_targets_is_chosen_by_its_value(tmp_path, frames, capsys):
    head_up_sagittal(frames, tmp_path / "a.nii.gz")
    labels = (frames % 3).astype(np.uint8)
    head_up_sagittal(labels, tmp_path / "m.nii.gz")
    command = ["import", str(tmp_path / "a.nii.gz"), "-o", str(tmp_path / "out"), *OPTIONS, "--frame-rate", "4"]
    assert main([*command, "--masks", str(tmp_path / "m.nii.gz")]) == 2
    assert "found the values 1, 2; choose one with --target VALUE" in capsys.readouterr().err
    assert main([*command, "--masks", str(tmp_path / "m.nii.gz"), "--target", "2"]) == 0
    np.testing.assert_array_equal(find_cases(tmp_path / "out")[0].read_labels(), labels[:, ::-1] == 2)


def test_masks_of_another_place_are_refused(tmp_path, frames, capsys):
    head_up_sagittal(frames, tmp_path / "a.nii.gz")
    head_up_sagittal((frames > 2500).astype(np.uint8), tmp_path / "m.nii.gz", origin=(5.0, -19.0, 30.0))
    command = ["import", str(tmp_path / "a.nii.gz"), "--dry-run", "--masks", str(tmp_path / "m.nii.gz")]
    assert main(command) == 2
    assert "m.nii.gz: expected masks at the place of" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.png", "a.tif", "a.mp4", "a.gif"])
@pytest.mark.parametrize("content", [b"x" * 400, b"\x00" * 400])
def test_a_file_that_is_none_of_its_kind_ends_with_one_line_that_names_it(tmp_path, name, content, capsys):
    (tmp_path / name).write_bytes(content)
    assert main(["import", str(tmp_path / name), "--dry-run"]) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert err[-1].startswith("error: ") and name in err[-1]


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mha"])
def test_a_file_that_is_cut_off_is_refused(tmp_path, frames, ending, capsys):
    path = tmp_path / f"a{ending}"
    head_up_sagittal(frames, path)
    path.write_bytes(path.read_bytes()[:-200])
    command = ["import", str(path), "-o", str(tmp_path / "out"), *OPTIONS, "--frame-rate", "4"]
    assert main(command) == 2
    assert f"a{ending}: expected" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*")) and not list((tmp_path / "out").glob(".*"))


def test_a_case_of_that_name_is_not_overwritten(tmp_path, frames, capsys):
    head_up_sagittal(frames, tmp_path / "a.nii.gz")
    imported(tmp_path / "a.nii.gz", tmp_path / "out", *OPTIONS, "--frame-rate", "4")
    command = ["import", str(tmp_path / "a.nii.gz"), "-o", str(tmp_path / "out"), *OPTIONS, "--frame-rate", "4"]
    assert main(command) == 2
    assert "choose another --name" in capsys.readouterr().err
    assert main([*command, "--name", "other"]) == 0
    assert [case.case_id for case in find_cases(tmp_path / "out")] == ["case_001", "other_001"]


@pytest.mark.parametrize(("module", "source"), [("nibabel", "a.nii"), ("nrrd", "a.nrrd"), ("av", "a.mp4")])
def test_a_missing_package_is_named_with_its_extra(tmp_path, module, source, monkeypatch, capsys):
    (tmp_path / source).write_bytes(b"x")
    monkeypatch.setitem(__import__("sys").modules, module, None)
    assert main(["import", str(tmp_path / source), "--dry-run"]) == 2
    assert "pip install 'cinetrack[clinic]'" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".nrrd", ".png", ".tif", ".gif", ".mp4"])
def test_damaged_files_are_read_or_refused_with_their_name(tmp_path, frames, ending):
    """Seeded, so that a failure can be repeated."""
    source, path = tmp_path / f"whole{ending}", tmp_path / f"a{ending}"
    write_as(ending, source, frames)
    content, rng, refused = source.read_bytes(), np.random.default_rng(6), []
    for _ in range(60):
        altered, start = bytearray(content), int(rng.integers(min(len(content), 400)))
        if rng.random() < 0.5:
            altered[start : start + int(rng.integers(1, 30))] = rng.bytes(int(rng.integers(30)))
        else:
            altered = altered[: rng.integers(1, len(altered))]
        path.write_bytes(altered)
        try:
            tree = read_tree(path)
            for series in tree.series + tree.single_frames:
                series.read()
        except InputError as error:
            refused.append(str(error))
    assert len(refused) > 10 and all(path.name in reason for reason in refused)


def write_as(ending: str, path, frames: np.ndarray) -> None:
    if ending in (".nii", ".nii.gz", ".mha"):
        head_up_sagittal(frames, path)
    elif ending == ".nrrd":
        pytest.importorskip("nrrd").write(str(path), frames.transpose(2, 1, 0), {"kinds": ["domain", "domain", "list"]})
    elif ending == ".mp4":
        av = pytest.importorskip("av")
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=8)
            stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
            for level in range(6):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 48, 3), level, np.uint8), "rgb24")))
            container.mux(stream.encode(None))
    else:
        pages = [Image.fromarray((frame >> 4).astype(np.uint8)) for frame in frames]
        more = {} if ending == ".png" else {"save_all": True, "append_images": pages[1:]}
        pages[0].save(path, **more)


def small_nifti_of(path, shape) -> None:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into("<hh", header, 70, 4, 16)  # int16
    struct.pack_into("<8f", header, 76, *[1.0] * 8)
    struct.pack_into("<f", header, 108, 352.0)
    header[344:348] = b"n+1\0"
    path.write_bytes(gzip.compress(bytes(header) + bytes(100)) if path.suffix == ".gz" else bytes(header) + bytes(100))


def small_nrrd_of(path, sizes, encoding) -> None:
    text = f"NRRD0004\ntype: short\ndimension: {len(sizes)}\nsizes: {' '.join(map(str, sizes))}\nendian: little\n"
    kinds = " ".join(["domain"] * (len(sizes) - 1) + ["list"])
    path.write_bytes(f"{text}kinds: {kinds}\nencoding: {encoding}\n\n".encode() + gzip.compress(bytes(100)))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.nii", lambda path: small_nifti_of(path, (3000, 3000, 300))),
        ("a.nii.gz", lambda path: small_nifti_of(path, (3000, 3000, 300))),
        ("slices.nii", lambda path: small_nifti_of(path, (30, 30, 30000, 30000))),
        ("a.nrrd", lambda path: small_nrrd_of(path, (3000, 3000, 300), "gzip")),
        ("slices.nrrd", lambda path: small_nrrd_of(path, (30, 30, 10**9, 5), "gzip")),
        ("raw.nrrd", lambda path: small_nrrd_of(path, (30, 30, 10**9, 5), "raw")),
    ],
)
def test_a_small_file_that_promises_gigabytes_takes_no_memory(tmp_path, name, write, capsys):
    write(tmp_path / name)
    tracemalloc.start()
    code = main(["import", str(tmp_path / name), "-o", str(tmp_path / "out"), *PICTURE_OPTIONS])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    errors = capsys.readouterr().err.splitlines()
    assert code == 2 and peak < 100e6
    assert len(errors) == 1 and f"{name}: expected an image that fits its file" in errors[0], errors
