"""Make docs/images/report.jpg: the report of the shipped example, as a browser shows it.

    python docs/make_report_picture.py [--model default] [--out docs/images/report.jpg]

Tracks the example, writes its report and opens a case in Chromium, which has to be on the PATH.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import sync_playwright  # noqa: E402

from cinetrack.cli.main import main as cinetrack  # noqa: E402

WINDOW_PX = (1200, 860)


def photograph(page_file: Path, case_id: str, picture: Path) -> None:
    """Open a case of the report and write what the window shows as a JPEG."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("expected chromium, chromium-browser or google-chrome on the PATH, found none")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WINDOW_PX[0], "height": WINDOW_PX[1]})
        page.goto(f"{page_file.as_uri()}#case={case_id}")
        page.wait_for_timeout(1500)
        page.screenshot(path=picture, type="jpeg", quality=75)
        browser.close()


def main() -> None:
    """Track, report, photograph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default", help="model to track with (default default)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images/report.jpg", help="picture to write")
    args = parser.parse_args()
    data = ROOT / "examples/data"
    with tempfile.TemporaryDirectory() as name:
        predictions, report = f"{name}/predictions", Path(name) / "report"
        for words in (
            ["predict", str(data), "-o", predictions, "--model", args.model],
            ["report", predictions, "--truth", str(data), "-o", str(report)],
        ):
            if (code := cinetrack(words)) != 0:
                raise SystemExit(code)
        photograph(report / "index.html", next(data.iterdir()).name, args.out)


if __name__ == "__main__":
    main()
