"""The app in a real browser: everything a labeller does, with the mouse and the keyboard."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

playwright = pytest.importorskip("playwright.sync_api")
from browser import CHROMIUM, CHROMIUM_OPTIONS, DISC, SPACING_MM, Labeller, serving  # noqa: E402

from cinetrack.labelling.label_book import Flag, LabelBook  # noqa: E402
from cinetrack.labelling.segmenters import ClassicalSegmenter, grabcut  # noqa: E402
from cinetrack.labelling.store import open_files  # noqa: E402
from cinetrack.labelling.users import add_user  # noqa: E402
from cinetrack.sequence import CineSequence  # noqa: E402
from cinetrack.sequence.image_files import read_series  # noqa: E402
from cinetrack.sequence.trackrad_dataset import write_case  # noqa: E402

pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no browser at {CHROMIUM}")


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def app(tmp_path_factory, moving_disc):
    """A server with thirty patients, of which every test takes some; its address, dataset and labels."""
    root = tmp_path_factory.mktemp("labelling")
    for number in range(30):
        series = CineSequence(moving_disc[0], SPACING_MM, 4.0, 0.35, "abdomen")
        write_case(root / "data", f"P_{number:03d}", series, None)
    with serving(root / "data", root / "store") as url:
        yield url, root / "data", LabelBook(open_files(str(root / "store")))


@pytest.fixture
def new_labeller(chromium):
    contexts = []

    def make(**options) -> Labeller:
        contexts.append(chromium.new_context(viewport={"width": 1280, "height": 900}, **options))
        return Labeller(contexts[-1].new_page())

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def labeller(new_labeller, app) -> Labeller:
    return new_labeller().arrive(app[0])


def assert_same_box(found, drawn=DISC, tolerance_px=0.35):
    """To half a displayed pixel and the mouse's whole pixels."""
    assert (found.top, found.left, found.bottom, found.right) == pytest.approx(drawn, abs=tolerance_px)


def test_a_drawn_box_becomes_the_stored_label_right_to_the_pixel(labeller, app, moving_disc):
    _, dataset, book = app
    case_id = labeller.case_id
    labeller.draw_box(*DISC)
    labeller.says("1 box")
    labeller.press("masks")
    labeller.says("Are the masks right")
    labeller.press("propagate")
    labeller.says("Look through the frames")
    labeller.press("accept")
    labeller.says(f"{case_id} is stored")
    label = book.read(book.current(case_id))
    box = label.prompts[0].drawn[0]
    assert_same_box(box)
    expected = ClassicalSegmenter("grabcut", grabcut).begin(moving_disc[0][0]).segment(box).mask
    np.testing.assert_array_equal(label.masks == 1, expected)
    truth = moving_disc[1][0]  # upside down, it would miss: the disc lies below the middle
    assert 2 * (expected & truth).sum() / (expected.sum() + truth.sum()) > 0.9
    assert label.meta.propagated and label.meta.bundle == "registration" and label.meta.user.startswith("guest-")
    path = dataset.parent / "propagated.mha"
    path.write_bytes(label.propagated[0])
    propagated, geometry = read_series(path)
    np.testing.assert_array_equal(propagated[0], label.masks)
    assert (
        propagated.shape == (8, 72, 56)
        and geometry == read_series(dataset / case_id / "images" / f"{case_id}_frames.mha")[1]
    )
    assert (propagated[7] == 1)[moving_disc[1][7]].mean() > 0.8
    labeller.ready()
    assert labeller.case_id != case_id  # the next one, without a reload
    assert "1 sequences" in labeller.page.locator("#title").inner_text()


def test_points_and_brush_mend_a_mask_and_keys_do_what_buttons_do(labeller, app):
    _, _, book = app
    case_id = labeller.case_id
    labeller.draw_box(*DISC)
    labeller.says("1 box")
    labeller.page.keyboard.press("m")
    labeller.says("Are the masks right")
    labeller.choose("Brush")
    labeller.drag((50, 15), (50, 35))
    labeller.page.wait_for_timeout(1000)
    labeller.choose("Eraser")
    labeller.drag((28, 24))
    labeller.page.wait_for_timeout(1000)
    labeller.page.keyboard.press("u")
    labeller.says("Taken back")
    labeller.page.keyboard.press("a")
    labeller.says(f"{case_id} is stored")
    masks = book.read(book.current(case_id)).masks
    assert masks[50, 15:35].all() and masks[28, 24] == 1  # painted; erased and taken back
    assert not masks[56:, :].any() and not masks[50, :9].any()  # and nowhere else: brush radius 4


def test_a_correction_on_a_later_frame_is_stored_with_its_frame_and_tracked_from_there(labeller, app):
    _, _, book = app
    case_id = labeller.case_id
    labeller.draw_box(*DISC)
    labeller.says("1 box")
    labeller.press("propagate")
    labeller.says("Look through the frames")
    labeller.go_to_frame(4)
    labeller.draw_box(24, 18, 46, 40)
    labeller.press("masks")
    labeller.says("Press Propagate to track on")
    labeller.choose("Add point")
    labeller.drag((34.0, 28.0))
    labeller.page.wait_for_timeout(3000)
    labeller.page.locator("#target").get_by_text("new").click()
    labeller.choose("Brush")
    labeller.drag((8, 42), (14, 42))
    labeller.page.wait_for_timeout(3000)
    labeller.press("propagate")
    labeller.says("Look through the frames")
    labeller.press("accept")
    labeller.says(f"{case_id} is stored")
    label = book.read(book.current(case_id))
    assert [(given.frame, given.object_number) for given in label.prompts] == [(0, 1), (4, 1), (4, 2)]
    assert label.prompts[2].prompt.mask[8:14, 42].all()
    box, point = label.prompts[1].drawn
    assert_same_box(box, (24, 18, 46, 40))
    assert point.points[0] == pytest.approx((34.0, 28.0), abs=0.35) and point.positive == (True,)
    assert label.meta.propagated


def test_a_box_forgotten_on_a_later_frame_is_asked_for_and_not_stored_as_the_firsts(labeller, app):
    _, _, book = app
    case_id = labeller.case_id
    labeller.draw_box(*DISC)
    labeller.says("1 box")
    labeller.press("masks")
    labeller.says("Are the masks right")
    labeller.go_to_frame(5)
    labeller.draw_box(40, 20, 60, 50)
    labeller.choose("Brush")
    labeller.go_to_frame(0)
    labeller.press("accept")
    labeller.says("frame 5: expected a mask from its box")
    labeller.press("propagate")
    labeller.page.wait_for_timeout(500)
    labeller.says("frame 5: expected a mask from its box")
    assert book.current(case_id) is None
    labeller.go_to_frame(5)
    labeller.choose("Box")
    labeller.page.wait_for_timeout(700)
    labeller.press("masks")  # the box is there again
    labeller.says("Are the masks right|Press Propagate to track on")
    labeller.go_to_frame(0)
    labeller.page.keyboard.press("a")
    labeller.says(f"{case_id} is stored")
    label = book.read(book.current(case_id))
    assert [(given.frame, given.object_number) for given in label.prompts] == [(0, 1), (5, 1)]
    assert_same_box(label.prompts[0].drawn[0])
    assert_same_box(label.prompts[1].drawn[0], (40, 20, 60, 50))


def test_a_scrub_through_later_frames_with_the_brush_keeps_the_first_frames_boxes(labeller, app):
    _, _, book = app
    case_id = labeller.case_id
    labeller.draw_box(*DISC)
    labeller.says("1 box")
    labeller.press("masks")
    labeller.says("Are the masks right")
    labeller.go_to_frame(6)
    labeller.choose("Brush")
    labeller.go_to_frame(0)
    labeller.press("accept")
    labeller.says(f"{case_id} is stored")
    assert_same_box(book.read(book.current(case_id)).prompts[0].drawn[0])


def test_a_very_long_stroke_is_painted_to_its_end(labeller, app):
    _, _, book = app
    case_id = labeller.case_id
    labeller.draw_box(*DISC)
    labeller.says("1 box")
    labeller.press("masks")
    labeller.says("Are the masks right")
    labeller.choose("Brush")
    start, end = (labeller.on_screen(row, column, "#canvas img") for row, column in ((55, 8), (55, 48)))
    labeller.page.locator("#canvas img").evaluate(
        """(image, [[x, y], [x1]]) => {
          const send = (kind, at) => image.dispatchEvent(
            new PointerEvent(kind, { bubbles: true, cancelable: true, clientX: at, clientY: y }));
          send("pointerdown", x);
          for (let step = 1; step <= 5000; step++) send("pointermove", x + (x1 - x) * step / 5000);
          send("pointerup", x1);
        }""",
        [start, end],
    )
    labeller.page.wait_for_timeout(1000)
    labeller.press("accept")
    labeller.says(f"{case_id} is stored")
    assert book.read(book.current(case_id)).masks[55, 9:47].all()


def test_a_reload_in_the_middle_offers_the_unsent_boxes_again(labeller, app):
    case_id = labeller.case_id
    labeller.draw_box(*DISC)
    labeller.says("1 box")
    labeller.page.wait_for_timeout(500)  # the browser's memory is written in the background
    labeller.page.reload()
    labeller.says("unsent drawing")
    assert labeller.case_id == case_id
    labeller.ready()
    labeller.press("masks")
    labeller.says("Are the masks right")
    labeller.press("accept")
    labeller.says(f"{case_id} is stored")
    assert_same_box(app[2].read(app[2].current(case_id)).prompts[0].drawn[0])


def test_two_browsers_at_once_get_two_sequences_and_both_labels_are_kept(new_labeller, app):
    url, _, book = app
    first, second = new_labeller().arrive(url), new_labeller().arrive(url)
    cases = first.case_id, second.case_id
    assert cases[0] != cases[1]
    for labeller in (first, second):
        labeller.draw_box(*DISC)
    for labeller in (first, second):
        labeller.says("1 box")
        labeller.press("propagate")
    for labeller, case_id in zip((first, second), cases, strict=True):
        labeller.says("Look through the frames")
        labeller.press("accept")
        labeller.says(f"{case_id} is stored")
    users = {book.current(case_id).meta.user for case_id in cases}
    assert len(users) == 2


def test_a_bad_image_is_set_aside_with_its_comment_which_is_never_run(labeller, app):
    case_id = labeller.case_id
    labeller.open_section("Bad image")
    labeller.press("bad")
    labeller.says("what is wrong with the image")
    labeller.page.fill("#comment textarea", "<img src=x onerror=document.title='hacked'> motion")
    labeller.press("bad")
    labeller.says(f"{case_id} is set aside")
    meta = app[2].current(case_id).meta
    assert meta.kind == "bad_image" and meta.comment.startswith("<img src=x") and meta.comment.endswith("motion")
    labeller.open_section("Other sequences")
    labeller.press("last")
    labeller.says("Your last one")
    assert labeller.case_id == case_id
    assert "hacked" not in labeller.page.title()


def test_a_flagged_label_opens_with_its_masks_and_says_what_is_wrong(new_labeller, labeller, app):
    url, _, book = app
    case_id = labeller.case_id
    labeller.draw_box(*DISC)
    labeller.says("1 box")
    labeller.press("masks")
    labeller.says("Are the masks right")
    labeller.press("accept")
    labeller.says(f"{case_id} is stored")
    book.flag(case_id, Flag(1, (3, 5), "the target <vanished>"))
    other = new_labeller().arrive(url)
    other.open_section("Other sequences")
    other.page.click("#sequence input")
    other.page.get_by_role("option", name=f"{case_id}: flagged").click()
    other.press("open")
    other.says(r"Flagged: frames 3, 5: the target <vanished>")
    assert other.case_id == case_id and "Object 1" in other.page.locator("#objects").inner_text()
    assert other.page.locator("#frame input[type=number]").input_value() == "3"
    assert other.page.locator("#frame input[type=range]").input_value() == "3"


def test_everything_comes_from_this_server(new_labeller, app):
    labeller = new_labeller()
    asked = []
    labeller.page.on("request", lambda request: asked.append(request.url))
    labeller.arrive(app[0])
    foreign = [url for url in asked if not url.startswith((app[0], "data:", "blob:"))]
    assert len(asked) > 10 and foreign == []


def test_propagation_can_be_cancelled_and_goes_on_later(tmp_path, new_labeller, moving_disc):
    frames = np.tile(moving_disc[0], (60, 1, 1))
    write_case(tmp_path / "data", "LONG", CineSequence(frames, SPACING_MM, 8.0, 0.35, "abdomen"), None)
    with serving(tmp_path / "data", tmp_path / "store", bundle="default") as url:
        labeller = new_labeller().arrive(url)
        labeller.draw_box(*DISC)
        labeller.says("1 box")
        labeller.press("propagate")
        labeller.says(r"Frame \d+ of 480, .* left")
        labeller.press("cancel")
        text = labeller.says(r"Stopped after frame \d+")
        assert 0 < int(text.split("frame ")[1].strip(".")) < 479
        maximum = labeller.page.locator("#frame input[type=range]").get_attribute("max")
        assert int(maximum) == 479


def test_accepting_while_it_propagates_leaves_the_next_sequence_alone(tmp_path, new_labeller, moving_disc):
    frames = np.tile(moving_disc[0], (60, 1, 1))
    for number in range(2):
        series = CineSequence(frames, SPACING_MM, 8.0, 0.35, "abdomen")
        write_case(tmp_path / "data", f"LONG_{number}", series, None)
    with serving(tmp_path / "data", tmp_path / "store", bundle="default") as url:
        labeller = new_labeller().arrive(url)
        labeller.draw_box(*DISC)
        labeller.says("1 box")
        labeller.press("propagate")
        labeller.says(r"Frame \d+ of 480, .* left")
        labeller.press("accept")
        labeller.says("is stored. Draw a box")
        labeller.page.wait_for_timeout(2500)
        labeller.says("is stored. Draw a box")
        assert "No masks yet" in labeller.page.locator("#objects").inner_text()
        assert labeller.page.locator("#cancel").is_disabled()
        labeller.page.locator("#frame").wait_for(state="hidden")


def test_the_last_label_is_followed_by_thanks_and_not_by_an_error(tmp_path, dataset, new_labeller):
    with serving(dataset, tmp_path / "store", bundle="static") as url:
        labeller = new_labeller().arrive(url)
        labeller.draw_box(*DISC)
        labeller.says("1 box")
        labeller.press("accept")
        labeller.says("is stored. Draw a box")
        labeller.ready()
        labeller.open_section("Bad image")
        labeller.page.fill("#comment textarea", "motion")
        labeller.press("bad")
        labeller.says("All sequences are labelled")
        labeller.page.wait_for_timeout(1500)  # what the emptied page sends must not replace the message
        labeller.says("All sequences are labelled")
        assert "2 of 2 sequences" in labeller.page.locator("#title").inner_text()


def test_only_those_with_the_password_come_in(tmp_path, dataset, new_labeller):
    add_user(tmp_path / "users.json", "anna", "correct horse")
    with serving(dataset, tmp_path / "store", "--auth", str(tmp_path / "users.json")) as url:
        labeller = new_labeller()
        page = labeller.page
        page.goto(url)
        for password in ("wrong horse", "correct horse"):
            page.locator("input").nth(0).fill("anna")
            page.locator("input[type=password]").fill(password)
            page.get_by_role("button", name="Login").click()
            if password == "wrong horse":
                page.get_by_text("Incorrect Credentials").first.wait_for()
                assert page.locator("#boxes").count() == 0
        labeller.ready()
        assert labeller.page.locator("#title").inner_text().startswith("CineTrack labelling")
        assert "anna:" in labeller.page.locator("#title").inner_text()
        # And nothing is served beside the page either.
        stranger = new_labeller().page
        answer = stranger.request.post(f"{url}gradio_api/queue/join", data=json.dumps({"fn_index": 0, "data": []}))
        assert answer.status == 401


def test_the_page_fits_a_small_screen(new_labeller, app):
    labeller = new_labeller()
    labeller.page.set_viewport_size({"width": 390, "height": 844})
    labeller.arrive(app[0])
    assert labeller.page.evaluate("document.documentElement.scrollWidth") <= 390 + 1
    view = labeller.page.locator("#boxes canvas").first.bounding_box()
    assert view["x"] >= 0 and view["x"] + view["width"] <= 391
    # And what is drawn on the smaller picture is as exact as its pixels allow.
    case_id = labeller.case_id
    labeller.page.locator("#boxes canvas").first.scroll_into_view_if_needed()
    labeller.draw_box(*DISC)
    labeller.says("1 box")
    labeller.press("accept")
    labeller.says(f"{case_id} is stored")
    assert_same_box(app[2].read(app[2].current(case_id)).prompts[0].drawn[0], tolerance_px=0.5)
