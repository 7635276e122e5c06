"""The app in a process of its own, and Chromium to use it with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect

REPOSITORY = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
CHROMIUM_OPTIONS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
SHAPE = (72, 56)  # of moving_disc's frames
SPACING_MM = (1.5, 1.0)
PATIENCE_MS = 30_000

DISC = (18, 14, 38, 34)  # top, left, bottom, right on the frame: around the disc


@contextmanager
def serving(dataset: Path, store: Path | str, *arguments: str, bundle: str = "registration"):
    """`cinetrack label` on a free port; yields its address."""
    command = [sys.executable, "-m", "cinetrack", "label", str(dataset), "--store", str(store)]
    command += ["--model", str(REPOSITORY / "resources" / bundle), "--device", "cpu", *arguments]
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), f"the app did not start: {url!r}"
        yield url
    finally:
        process.kill()
        process.wait()


class Labeller:
    """A person at the app: knows where frame positions are on the screen, and where the buttons are."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.set_default_timeout(PATIENCE_MS)

    def arrive(self, url: str) -> Labeller:
        self.page.goto(url)
        self.ready()
        return self

    def ready(self) -> None:
        self.says("Draw a box|unsent drawing")
        self.page.wait_for_selector("#boxes canvas")
        self.page.wait_for_timeout(400)  # the box view draws its picture some moments after it has it

    def says(self, pattern: str) -> str:
        expect(self.page.locator("#message")).to_have_text(re.compile(pattern), timeout=PATIENCE_MS)
        return self.page.locator("#message").inner_text()

    @property
    def case_id(self) -> str:
        return self.page.locator("#facts td").nth(3).inner_text()

    def on_screen(self, row: float, column: float, view: str = "#boxes canvas") -> tuple[float, float]:
        """Where the frame's position is: the picture is flipped, has square pixels, and is centred in its view."""
        box = self.page.locator(view).first.bounding_box()
        height, width = SHAPE[0] * SPACING_MM[0], SHAPE[1] * SPACING_MM[1]
        scale = min(box["width"] / width, box["height"] / height)
        left = box["x"] + (box["width"] - scale * width) / 2
        top = box["y"] + (box["height"] - scale * height) / 2
        return left + column * SPACING_MM[1] * scale, top + (SHAPE[0] - row) * SPACING_MM[0] * scale

    def draw_box(self, top: float, left: float, bottom: float, right: float) -> None:
        start, end = self.on_screen(bottom, left), self.on_screen(top, right)
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        mouse.move(*end)
        mouse.up()

    def choose(self, tool: str) -> None:
        self.page.locator("#tool").get_by_text(tool, exact=True).click()
        if tool != "Box":
            self.page.wait_for_selector("#canvas img", state="visible")
            self.page.wait_for_timeout(200)

    def drag(self, *positions: tuple[float, float]) -> None:
        """With the brush, or a click where there is one position."""
        points = [self.on_screen(row, column, "#canvas img") for row, column in positions]
        self.page.mouse.move(*points[0])
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*point)
        self.page.mouse.up()

    def press(self, button: str) -> None:
        self.page.click(f"#{button}")

    def go_to_frame(self, index: int) -> None:
        number = self.page.locator("#frame input[type=number]")
        number.fill(str(index))
        number.press("Tab")
        self.page.wait_for_timeout(700)  # the new picture is on its way

    def open_section(self, name: str) -> None:
        self.page.get_by_role("button", name=name).first.click()
