"""How long a labeller waits, and how fast labels become pseudo-labels.

    python benchmarks/labelling.py [--model resources/default] [--frames 120] [--repeats 5]

Starts `cinetrack label` on a synthetic sequence of the usual size (350 x 350) and works it in Chromium, then runs
`cinetrack propagate` on what was stored. Writes benchmarks/results/labelling-<bundle>.json; every figure is the best
of the repeats, being the one that other work on the machine disturbed least.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from machine import cpu_name
from playwright.sync_api import Page, expect, sync_playwright
from scipy import ndimage

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from cinetrack.bundle import open_bundle  # noqa: E402
from cinetrack.sequence import CineSequence  # noqa: E402
from cinetrack.sequence.trackrad_dataset import write_case  # noqa: E402

SIDE_PX = 350
CENTRE, RADIUS = (180.0, 170.0), 20.0  # of the target on frame 0, (row, column) and px


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=REPOSITORY / "resources" / "default")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM", "/usr/bin/chromium"))
    args = parser.parse_args()
    bundle = open_bundle(args.model)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number in range(2 * args.repeats):  # each page keeps the next sequence when it is closed
            write_case(root / "data", f"P_{number}", synthetic(args.frames, number), None)
        waits = in_the_browser(root, args)
        rates = [propagation_rate(root, args, root / f"pseudo{number}") for number in range(min(args.repeats, 3))]
    result = {
        "bundle": bundle.name,
        "bundle_fingerprint": bundle.fingerprint,
        "box_segmenter": bundle.segmenter,
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "frame_px": [SIDE_PX, SIDE_PX],
        "frames": args.frames,
        "repeats": args.repeats,
        "page_load_to_first_frame_s": round(min(wait["first_frame"] for wait in waits), 3),
        "box_to_mask_s": round(min(wait["mask"] for wait in waits), 3),
        "app_propagation_frames_per_s": round(max(args.frames / wait["propagation"] for wait in waits), 2),
        "propagate_command_frames_per_s": max(rates),
    }
    path = REPOSITORY / "benchmarks" / "results" / f"labelling-{bundle.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def synthetic(frames: int, seed: int) -> CineSequence:
    """A bright disc that breathes up and down over textured tissue."""
    rng = np.random.default_rng(seed)
    tissue = 200 + 40 * ndimage.gaussian_filter(rng.normal(size=(SIDE_PX, SIDE_PX)), 4) * 8
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    series = []
    for t in range(frames):
        shift = 8 * np.sin(2 * np.pi * t / 16)
        disc = np.hypot(rows - CENTRE[0] - shift, columns - CENTRE[1]) < RADIUS
        series.append(ndimage.gaussian_filter(np.where(disc, 420, tissue), 1) + rng.normal(0, 6, tissue.shape))
    return CineSequence(np.stack(series).clip(0).astype(np.uint16), (1.0, 1.0), 4.0, 0.35, "abdomen")


def in_the_browser(root: Path, args: argparse.Namespace) -> list[dict[str, float]]:
    """Label every sequence; seconds of each wait."""
    command = [sys.executable, "-m", "cinetrack", "label", str(root / "data"), "--store", str(root / "store")]
    command += ["--model", str(args.model.resolve())]
    server = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        url = server.stdout.readline().strip()
        with sync_playwright() as driver:
            browser = driver.chromium.launch(
                executable_path=args.chromium, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
            )
            return [
                label_one(browser.new_page(viewport={"width": 1360, "height": 1000}), url) for _ in range(args.repeats)
            ]
    finally:
        server.kill()


def label_one(page: Page, url: str) -> dict[str, float]:
    """One sequence from page load to stored label."""
    message = page.locator("#message")
    began = perf_counter()
    page.goto(url)
    expect(message).to_contain_text("Draw a box", timeout=60_000)
    # The frame is there when the view is no longer blank.
    page.wait_for_function(
        "() => { const c = document.querySelector('#boxes canvas'); if (!c || !c.width) return false;"
        " return c.getContext('2d').getImageData(c.width >> 1, c.height >> 1, 1, 1).data[3] > 0; }"
    )
    seconds = {"first_frame": perf_counter() - began}
    page.wait_for_timeout(3000)  # the film, which nobody waits for
    view = page.locator("#boxes canvas").first.bounding_box()
    scale = min(view["width"], view["height"]) / SIDE_PX
    left, top = view["x"] + (view["width"] - scale * SIDE_PX) / 2, view["y"]
    reach = RADIUS + 6
    for number, side in enumerate((-1, 1)):
        x = left + (CENTRE[1] + side * reach) * scale
        y = top + (SIDE_PX - CENTRE[0] + side * reach) * scale
        page.mouse.move(x, y, steps=1 + 3 * number)
        (page.mouse.up if number else page.mouse.down)()
    expect(message).to_contain_text("1 box")
    for step, said in (("masks", "Are the masks right"), ("propagate", "Look through the frames")):
        began = perf_counter()
        page.click(f"#{step}")
        expect(message).to_contain_text(said, timeout=600_000)
        seconds[{"masks": "mask", "propagate": "propagation"}[step]] = perf_counter() - began
    page.click("#accept")
    expect(message).to_contain_text("is stored", timeout=60_000)
    page.close()
    return seconds


def propagation_rate(root: Path, args: argparse.Namespace, output: Path) -> float:
    """Frames a second of `cinetrack propagate` over all the labels, reading and writing included."""
    command = [sys.executable, "-m", "cinetrack", "propagate", str(root / "data"), "--store", str(root / "store")]
    command += ["--model", str(args.model.resolve()), "-o", str(output)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["frames_per_second"]


if __name__ == "__main__":
    main()
