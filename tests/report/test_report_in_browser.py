"""The report and the film in a real Chromium, from disk."""

from __future__ import annotations

import base64
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from prediction_writing import shifted, write_prediction

from cinetrack.cli.main import main
from cinetrack.report.write_report import write_report
from cinetrack.sequence import CineSequence
from cinetrack.sequence.image_files import ImageGeometry, write_masks
from cinetrack.sequence.trackrad_dataset import write_case

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on the PATH")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page that fails the test on a console error, a script's exception or a request beyond the disk."""
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:")) else problems.append(request.url),
    )
    yield page
    page.close()
    assert problems == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory, moving_disc) -> Path:
    """Three cases: one good, one shifted far, one with a missed frame and two further observers."""
    root = tmp_path_factory.mktemp("report")
    frames, masks = moving_disc
    missed = shifted(masks, 1, 0)
    missed[5] = False
    for name, predicted in (("A_good", shifted(masks, 0, 1)), ("B_far", shifted(masks, 9, 4)), ("C_missed", missed)):
        write_case(root / "data", name, CineSequence(frames, (1.5, 1.0), 4.0, 0.35, "thorax"), masks)
        write_prediction(root / "predictions", name, predicted, seconds=3.0)
    for observer, columns in (("2", 1), ("3", 3)):
        path = root / "data" / "C_missed" / "targets" / f"C_missed_labels_{observer}.mha"
        write_masks(path, shifted(masks, 0, columns), ImageGeometry.in_plane((1.5, 1.0)))
    write_report(root / "predictions", root / "data", root / "with_truth", workers=1)
    write_report(root / "predictions", None, root / "alone", workers=1)
    return root


def first_column(page: Page) -> list[str]:
    return page.locator("#cases tbody tr td:first-child").all_inner_texts()


def open_case(page: Page, folder: Path, name: str) -> None:
    page.goto(f"{(folder / 'index.html').as_uri()}#case={name}")
    page.wait_for_function(f"document.getElementById('casename').textContent === '{name}'")
    page.wait_for_function("player.sheets.every((sheet) => sheet.complete)")
    page.evaluate("player.draw()")


def canvas(page: Page) -> np.ndarray:
    """(height, width, 3) of what the player shows."""
    address = page.evaluate("document.getElementById('view').toDataURL('image/png')")
    return np.array(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("RGB"))


def pixels_of(picture: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((np.abs(picture.astype(int) - color).max(axis=-1) < 30).sum())


def test_the_overview_starts_with_the_worst_case_and_sorts_by_any_column(page, folder):
    page.goto((folder / "with_truth" / "index.html").as_uri())
    assert first_column(page) == ["B_far", "C_missed", "A_good"]
    page.click("button[data-column=hausdorff_distance_95]")
    assert first_column(page) == ["C_missed", "B_far", "A_good"]
    page.click("button[data-column=hausdorff_distance_95]")
    assert first_column(page) == ["A_good", "B_far", "C_missed"]
    page.click("button[data-column=id]")
    assert first_column(page) == ["A_good", "B_far", "C_missed"]
    page.click("button[data-column=empty]")
    assert first_column(page)[0] == "C_missed"


def test_a_row_opens_its_case_and_the_title_leads_back(page, folder):
    page.goto((folder / "with_truth" / "index.html").as_uri())
    page.click("#cases tbody tr:nth-child(2)")
    page.wait_for_selector("#casename:text('C_missed')")
    page.click("#home")
    page.wait_for_selector("#overview:visible")
    assert not page.is_visible("#case")


def test_scrubbing_changes_the_frame_the_readout_and_every_cursor(page, folder):
    open_case(page, folder / "with_truth", "C_missed")
    before = canvas(page)
    cursors = page.locator("#plots .cursor")
    at_start = [cursors.nth(i).get_attribute("x1") for i in range(cursors.count())]
    page.locator("#scrub").fill("5")
    assert "frame 5 of 7 · 1.25 s · DSC 0.000" in page.inner_text("#readout")
    assert "prediction empty" in page.inner_text("#readout")
    assert (canvas(page) != before).any()
    assert cursors.count() == 8
    assert all(cursors.nth(i).get_attribute("x1") != start for i, start in enumerate(at_start))


def test_the_head_is_up(page, folder):
    open_case(page, folder / "with_truth", "A_good")
    for name in ("prediction", "truth"):
        page.locator("#layers label", has_text=name).locator("input").uncheck()
    shown = canvas(page)[..., 0]
    bright = np.argwhere(shown > 215)
    # Row 28 of 72 counted from the feet, column 24 of 56; rows are half as high again as columns.
    assert bright[:, 0].mean() / shown.shape[0] == pytest.approx(1 - 28.5 / 72, abs=0.04)
    assert bright[:, 1].mean() / shown.shape[1] == pytest.approx(24.5 / 56, abs=0.04)
    assert shown.shape[0] / shown.shape[1] == pytest.approx(72 * 1.5 / 56, abs=0.01)


def test_each_outline_can_be_hidden(page, folder):
    open_case(page, folder / "with_truth", "B_far")
    page.locator("#scrub").fill("3")
    for name, color in (("prediction", (255, 138, 61)), ("truth", (47, 224, 176))):
        assert pixels_of(canvas(page), color) > 50, name
        page.locator("#layers label", has_text=name).locator("input").uncheck()
        assert pixels_of(canvas(page), color) == 0, name


def test_playing_runs_to_the_last_frame_and_stops(page, folder):
    open_case(page, folder / "with_truth", "A_good")
    page.click("#play")
    assert page.inner_text("#play") == "Pause"
    page.wait_for_function("document.getElementById('readout').textContent.startsWith('frame 7 of 7')")
    assert page.inner_text("#play") == "Play"


def test_arrow_keys_step_and_a_click_in_a_plot_seeks(page, folder):
    open_case(page, folder / "with_truth", "A_good")
    page.focus("#view")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#readout").startswith("frame 1 of 7")
    plot = page.locator("#plots svg").first
    box = plot.bounding_box()
    plot.click(position={"x": box["width"] - 12, "y": 40})
    assert page.inner_text("#readout").startswith("frame 7 of 7")


def test_plots_show_truth_prediction_and_the_observers_band(page, folder):
    open_case(page, folder / "with_truth", "C_missed")
    drawn = page.locator("#plots svg").first.locator("path").evaluate_all("all => all.map((p) => p.dataset.series)")
    assert sorted(drawn) == ["observer 2", "observer 3", "prediction", "truth"]
    assert page.locator("#plots path.band").count() == 3
    assert page.locator("#plots rect.gap").count() == 8  # the missed frame, in every plot
    assert "people" in page.inner_text("#casescores")
    assert page.is_visible("#planned") and page.is_visible("#dvh svg")


def test_without_truth_the_same_without_the_parts_that_need_it(page, folder):
    page.goto((folder / "alone" / "index.html").as_uri())
    assert first_column(page)[0] == "C_missed"  # most empty frames
    assert page.locator("button[data-column=dice_similarity_coefficient]").count() == 0
    open_case(page, folder / "alone", "A_good")
    assert not page.is_visible("#dose")
    assert "DSC" not in page.inner_text("#case")
    assert page.locator("#plots svg").count() == 4  # two positions, area, score
    page.locator("#scrub").fill("4")
    assert page.inner_text("#readout").startswith("frame 4 of 7")


def test_on_a_telephone_nothing_is_wider_than_the_screen(page, folder):
    page.set_viewport_size({"width": 400, "height": 800})
    for address in ("", "#case=C_missed"):
        page.goto((folder / "with_truth" / "index.html").as_uri() + address)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_a_name_with_markup_is_only_text(page, folder, tmp_path, moving_disc):
    name = "<img src=x onerror=document.title=1> & 50%"
    write_prediction(tmp_path / "predictions", name, moving_disc[1])
    write_report(tmp_path / "predictions", None, tmp_path / "report", workers=1)
    page.goto((tmp_path / "report" / "index.html").as_uri())
    assert first_column(page) == [name]
    page.click("#cases tbody a")
    page.wait_for_function("!document.getElementById('case').hidden")
    assert page.inner_text("#casename") == name
    assert page.locator("img").count() == 0


def test_a_missing_data_file_is_explained(browser, folder, tmp_path):
    page = browser.new_page()  # the browser itself logs the missing file, so not the strict fixture
    page.goto((folder / "with_truth" / "index.html").as_uri() + "#case=nobody")
    page.wait_for_selector("#problem:visible")
    assert "case nobody" in page.inner_text("#problem")
    page.close()


def test_the_film_plays(page, folder, tmp_path):
    assert main(["overlay", str(folder / "data" / "A_good"), "-o", str(tmp_path / "x.mp4")]) == 0
    (tmp_path / "film.html").write_text("<link rel=icon href=data:,><video src=x.mp4 muted></video>")
    page.goto((tmp_path / "film.html").as_uri())
    page.evaluate("document.querySelector('video').play()")
    page.wait_for_function("document.querySelector('video').ended")
    assert page.evaluate("document.querySelector('video').videoWidth") == 9 * 56


def test_a_gated_beam_is_drawn_with_its_trade_off(page, folder):
    open_case(page, folder / "with_truth", "A_good")
    assert "No medical device: research and simulation" in page.inner_text("#plots")
    assert page.locator("#plots .beam").count() >= 1
    duty = page.locator("#plots svg[aria-label='Duty cycle by margin'] path")
    names = [duty.nth(i).get_attribute("data-series") for i in range(duty.count())]
    assert names == ["duty cycle, predicted", "duty cycle, measured", "duty cycle, truth"]
    assert all(len(duty.nth(i).get_attribute("d")) > 20 for i in range(duty.count()))
