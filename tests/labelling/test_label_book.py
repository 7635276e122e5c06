"""Labels keep every version and every value, and no one's is replaced unseen."""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from cinetrack.errors import InputError
from cinetrack.labelling.given_prompts import GivenPrompt, prompt_from_json, prompt_to_json, prompts_from_json
from cinetrack.labelling.index_masks import from_png, indexed, to_png
from cinetrack.labelling.label import Label, LabelMeta, meta_from_json
from cinetrack.labelling.label_book import Flag, LabelBook, LabelConflict
from cinetrack.labelling.store import open_files
from cinetrack.tracking import BoxPrompt, MaskPrompt, PointPrompt

META = LabelMeta(
    "A 1/ü", "A", "label", "anna", "2026-01-01T10:00:00+00:00", "0.1.0", 80, "default", "f" * 64, "grabcut"
)


def label(user: str = "anna", propagated: tuple[bytes, bytes] | None = None) -> Label:
    masks = np.zeros((7, 5), np.uint8)
    masks[1:4, 2:4] = 1
    masks[5, 1:] = 2
    prompts = [
        GivenPrompt(0, 1, MaskPrompt(masks == 1), (BoxPrompt(0.5, 2, 4, 4.25), PointPrompt(((1, 2),), (True,)))),
        GivenPrompt(0, 2, MaskPrompt(masks == 2)),
        GivenPrompt(12, 2, PointPrompt(((1.5, 2.0), (3.0, 3.5)), (True, False))),
    ]
    meta = dataclasses.replace(META, user=user, propagated=propagated is not None)
    return Label(meta, masks, prompts, [0.93, None], propagated)


def without(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    return {other: content for other, content in files.items() if other != name}


def test_a_label_comes_back_to_the_pixel_from_every_store(store_address):
    submitted = label(propagated=(b"mha" * 1000, b"{}"))
    LabelBook(open_files(store_address)).submit(submitted)
    book = LabelBook(open_files(store_address))
    version = book.current("A 1/ü")
    found = book.read(version)
    assert version.number == 1 and found.meta == submitted.meta and found.scores == [0.93, None]
    np.testing.assert_array_equal(found.masks, submitted.masks)
    assert found.propagated == submitted.propagated
    for ours, theirs in zip(found.prompts, submitted.prompts, strict=True):
        assert (ours.frame, ours.object_number, ours.drawn) == (theirs.frame, theirs.object_number, theirs.drawn)
        assert prompt_to_json(ours.prompt) == prompt_to_json(theirs.prompt)
    names = {name.rpartition("/")[2] for name in book.files.names(version.folder)}
    assert {"masks.png", "prompts.json", "scores.json", "meta.json"} < names


def test_no_one_replaces_a_label_that_they_have_not_seen(store_address):
    book = LabelBook(open_files(store_address))
    first = book.submit(label("anna"))
    with pytest.raises(LabelConflict, match="labelled by anna"):
        book.submit(label("ben"))
    second = book.submit(label("ben"), after=first.number)
    assert book.current("A 1/ü") == second and second.number == 2
    assert [version.meta.user for version in book.history("A 1/ü")] == ["anna", "ben"]
    assert book.read(first).meta.user == "anna"


def test_a_bad_image_is_a_version_with_a_comment_and_no_masks(tmp_path):
    book = LabelBook(open_files(str(tmp_path)))
    book.submit(Label(dataclasses.replace(META, kind="bad_image", comment="<b>motion & noise</b>")))
    found = book.read(book.current("A 1/ü"))
    assert found.masks is None and found.meta.comment == "<b>motion & noise</b>"


def test_a_version_whose_writing_was_cut_off_does_not_count(tmp_path):
    files = open_files(str(tmp_path))
    files.create("labels/X/0001-aa/masks.png", {"labels/X/0001-aa/masks.png": b"half"})
    book = LabelBook(files)
    assert book.current("X") is None and book.all_current() == {}


def test_a_flag_is_open_until_the_label_is_revised(tmp_path):
    book = LabelBook(open_files(str(tmp_path)))
    book.submit(label())
    book.flag("A 1/ü", Flag(1, (7, 9), "vanished"))
    book.flag("A 1/ü", Flag(1, (20,), "jumped"))
    assert book.open_flags() == {"A 1/ü": [Flag(1, (7, 9), "vanished"), Flag(1, (20,), "jumped")]}
    book.submit(label(), after=1)
    assert book.open_flags() == {}


@pytest.mark.parametrize("damage", [b"", b"[]", b"\xff", b'{"folder": "x", "meta": {"case_id": 3}}'])
def test_a_damaged_entry_or_flag_stops_nothing_but_itself_and_is_logged_once(tmp_path, caplog, damage):
    files = open_files(str(tmp_path))
    book = LabelBook(files)
    book.submit(label())
    book.flag("A 1/ü", Flag(1, (7,), "vanished"))
    for name in ("labels/B/0001.json", "labels/C/note.json", "flags/B/0001.json"):
        files.create(name, {name: damage})
    for _ in range(2):
        assert list(book.all_current()) == ["A 1/ü"] and book.open_flags() == {"A 1/ü": [Flag(1, (7,), "vanished")]}
    assert caplog.text.count("labels/B/0001.json is damaged") == caplog.text.count("flags/B/0001.json is damaged") == 1
    with pytest.raises(InputError, match=r"labels/B/0001.json"):
        book.current("B")


def test_meta_data_of_other_types_are_refused():
    with pytest.raises(InputError, match="where texts belong"):
        meta_from_json({**dataclasses.asdict(META), "user": 3}, "m")


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))).filter(lambda mask: mask.any()))
def test_a_mask_prompt_survives_json(mask):
    np.testing.assert_array_equal(prompt_from_json(prompt_to_json(MaskPrompt(mask)), mask.shape).mask, mask)


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_indices_survive_the_png(picture):
    np.testing.assert_array_equal(from_png(to_png(picture), "x"), picture)


def test_an_object_inside_another_stays_visible():
    outer = np.ones((6, 6), bool)
    inner = np.zeros((6, 6), bool)
    inner[2:4, 2:4] = True
    for masks, number in (([outer, inner], 2), ([inner, outer], 1)):
        assert (indexed(masks)[2:4, 2:4] == number).all()


@pytest.mark.parametrize(
    "document",
    [
        None,
        [{}],
        [{"frame": -1, "object": 1, "prompt": {"kind": "box", "box": [0, 0, 1, 1]}, "drawn": []}],
        [{"frame": 0, "object": 1, "prompt": {"kind": "box", "box": [0, 0, 1]}, "drawn": []}],
        [{"frame": 0, "object": 1, "prompt": {"kind": "spell"}, "drawn": []}],
        [{"frame": 0, "object": 1, "prompt": {"kind": "mask", "shape": [2, 2], "runs": [[0, 9]]}, "drawn": []}],
        [{"frame": 0, "object": 1, "prompt": {"kind": "mask", "shape": [10**9, 10**9], "runs": []}, "drawn": []}],
    ],
)
def test_unusable_prompts_are_refused(document):
    with pytest.raises(InputError, match="p.json: expected labelling prompts"):
        prompts_from_json(document, "p.json", (2, 2))


def test_prompts_of_other_frames_or_without_end_are_refused_before_they_take_memory():
    side = 1 << 14
    mask = {"kind": "mask", "shape": [side, side], "runs": [[0, side * side]]}
    box = {"kind": "box", "box": [0, 0, 1, 1]}
    tracemalloc.start()
    for document in (
        [{"frame": 0, "object": 1, "prompt": mask, "drawn": []}] * 3,
        [{"frame": 0, "object": 1, "prompt": box, "drawn": [mask]}],
        [{"frame": 0, "object": 1, "prompt": box, "drawn": []}] * 501,
    ):
        with pytest.raises(InputError, match=r"p.json: expected (at most 500 )?labelling prompts"):
            prompts_from_json(document, "p.json", (270, 270))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "w/meta.json"),
        ({"meta.json": b"{"}, "w/meta.json: expected json"),
        ({"meta.json": b'{"surprise": 1}'}, "w/meta.json: expected a label's meta data"),
        ({**label().to_files(), "masks.png": b"\x89PNG"}, "w/masks.png: expected an indexed PNG"),
        ({**label().to_files(), "scores.json": b"[]"}, "w/scores.json"),
        (without(label(propagated=(b"m", b"{}")).to_files(), "propagated.mha"), "w/propagated.mha: expected a file"),
        (without(label(propagated=(b"m", b"{}")).to_files(), "propagated_scores.json"), "w/propagated_scores.json"),
    ],
)
def test_a_damaged_label_is_refused_with_the_files_name(files, message):
    with pytest.raises(InputError, match=message):
        Label.from_files(files, "w")


def png_of(width: int, height: int) -> bytes:
    """An indexed PNG of background, a few bytes for each row; of a very high one the first rows only."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    deflate = zlib.compressobj(9)
    rows = (
        b"".join(deflate.compress(bytes(width + 1)) for _ in range(min(height, 5000 * 5000 // width))) + deflate.flush()
    )
    start = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = chunk(b"IHDR", start) + chunk(b"PLTE", bytes(6)) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("size", [(5000, 5000), (15000, 15000), (40000, 200000)])
def test_a_small_png_of_a_huge_picture_is_refused_unseen(size):
    data = png_of(*size)
    tracemalloc.start()
    with pytest.raises(InputError, match="masks.png: expected .*(px|unreadable)"):
        from_png(data, "masks.png")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    np.testing.assert_array_equal(from_png(png_of(7, 5), "x"), np.zeros((5, 7)))


def test_only_png_is_taken_for_masks():
    buffer = io.BytesIO()
    Image.new("P", (5, 7)).save(buffer, format="GIF")
    for data in (buffer.getvalue(), to_png(np.zeros((5, 7), np.uint8))[:-30], b""):
        with pytest.raises(InputError, match="m: expected an indexed PNG"):
            from_png(data, "m")


LONG = "9" * 5000  # more digits than Python reads
LARGE = "9" * 4000  # and as many as no float holds


@pytest.mark.parametrize("digits", [LONG, LARGE, f"-{LARGE}", f"{LARGE}.5", "1e999", "NaN"])
@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("meta.json", '{"frame_count": %s}'),
        ("scores.json", '{"objects": [0.5, %s]}'),
        ("prompts.json", '[{"frame": %s, "object": 1, "prompt": {"kind": "box", "box": [0, 0, 3, 3]}, "drawn": []}]'),
        ("prompts.json", '[{"frame": 0, "object": 1, "prompt": {"kind": "box", "box": [0, 0, 3, %s]}, "drawn": []}]'),
        ("prompts.json", '[{"frame": 0, "object": %s, "prompt": {"kind": "box", "box": [0, 0, 3, 3]}, "drawn": []}]'),
        (
            "prompts.json",
            '[{"frame": 0, "object": 1, "prompt": {"kind": "mask", "shape": [7, 5], "runs": [[1, %s]]}, "drawn": []}]',
        ),
        (
            "prompts.json",
            '[{"frame": 0, "object": 1, "prompt": {"kind": "mask", "shape": [7, %s], "runs": [[1, 1]]}, "drawn": []}]',
        ),
    ],
)
def test_numbers_without_end_are_refused_in_one_line(name, document, digits):
    files = label().to_files()
    meta = files["meta.json"].decode().replace('"frame_count": 80', f'"frame_count": {digits}')
    files[name] = meta.encode() if name == "meta.json" else (document % digits).encode()
    with pytest.raises(InputError, match=f"^x/{name}: expected") as caught:
        Label.from_files(files, "x")
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", ["../../outside", "/etc", "", "labels/B/0001-ab", "x" * 3000])
def test_an_entry_leads_to_its_own_versions_folder_alone(tmp_path, folder):
    files = open_files(str(tmp_path))
    book = LabelBook(files)
    entry = {"folder": folder, "meta": dataclasses.asdict(META)}
    files.create("labels/A/0001.json", {"labels/A/0001.json": json.dumps(entry).encode()})
    assert book.all_current() == {} and list(book.damaged()) == ["A"]
    with pytest.raises(InputError, match=r"labels/A/0001.json: expected a label's entry"):
        book.current("A")


@pytest.mark.parametrize("name", ["._0001.json", ".DS_Store", "note.json", "zzz.json", "00012.json"])
def test_others_files_among_the_versions_are_none(tmp_path, name):
    files = open_files(str(tmp_path))
    book = LabelBook(files)
    version = book.submit(label())
    place = version.folder.rpartition("/")[0]
    files.create(f"{place}/{name}", {f"{place}/{name}": b"x"})
    assert book.current("A 1/ü") == version and book.history("A 1/ü") == [version] and book.damaged() == {}
