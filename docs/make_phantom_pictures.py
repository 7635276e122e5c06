"""Make docs/images/phantom-contact-sheet.png (24 cases with their targets outlined) and phantom-clip.gif.

    python docs/make_phantom_pictures.py [--out docs/images]

Frames are shown with the head up, so flipped: row 0 of the arrays is the feet's side.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from cinetrack.phantom.case import RenderedCase, draw_case  # noqa: E402
from cinetrack.phantom.draws import PhantomRequest  # noqa: E402
from cinetrack.phantom.parameters import DIFFICULTIES, FIELD_STRENGTHS_T  # noqa: E402
from cinetrack.sequence.atomic_write import atomic_path  # noqa: E402

SEED = 2025
CELL_PX = 200
CAPTION_PX = 14
COLUMNS = 6
SHEET_REGIONS = ["thorax"] * 8 + ["abdomen"] * 9 + ["pelvis"] * 4 + ["thorax"] * 3
ANATOMICAL = 21  # the last cells show scenes without anatomy
OUTLINE = (255, 200, 0)


def sheet_cases() -> list[RenderedCase]:
    """The sheet's cases, with field strengths and difficulties in turn."""
    cases = []
    for number, region in enumerate(SHEET_REGIONS):
        request = PhantomRequest(
            frames=12,
            region=region,
            field_strength_t=FIELD_STRENGTHS_T[number % 2],
            difficulty=DIFFICULTIES[number % 3],
            randomised_share=float(number >= ANATOMICAL),
        )
        cases.append(draw_case(np.random.default_rng([SEED, number]), request))
    return cases


def outlined(case: RenderedCase, frame: int, scale: float) -> np.ndarray:
    """A frame in RGB with the target's outline, head up, (h, w, 3) uint8."""
    white = np.percentile(case.frames[0], 99.7)
    grey = np.clip(case.frames[frame] / white * 255, 0, 255).astype(np.uint8)[::-1]
    size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
    picture = cv2.cvtColor(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2RGB)
    mask = cv2.resize(
        np.ascontiguousarray(case.masks[frame, 0, ::-1]).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST
    )
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(picture, outlines, -1, OUTLINE, 1)


def paletted(picture: np.ndarray, greys: int) -> Image.Image:
    """An RGB picture as an image of so many greys and the outline's colour; few greys make a small file."""
    is_outline = (picture == OUTLINE).all(axis=-1)
    steps = np.round(picture[..., 1] / 255 * (greys - 1)).astype(np.uint8)
    image = Image.fromarray(np.where(is_outline, greys, steps).astype(np.uint8), mode="P")
    palette = [value for step in range(greys) for value in (round(step / (greys - 1) * 255),) * 3]
    image.putpalette([*palette, *OUTLINE])
    return image


def contact_sheet(cases: list[RenderedCase]) -> np.ndarray:
    """All cases' first frames in a grid, captioned with target, field strength and difficulty."""
    rows = -(-len(cases) // COLUMNS)
    sheet = np.zeros((rows * (CELL_PX + CAPTION_PX), COLUMNS * CELL_PX, 3), dtype=np.uint8)
    for number, case in enumerate(cases):
        top, left = number // COLUMNS * (CELL_PX + CAPTION_PX), number % COLUMNS * CELL_PX
        picture = outlined(case, 0, (CELL_PX - 4) / max(case.frames.shape[1:]))
        h, w = picture.shape[:2]
        y, x = top + (CELL_PX - h) // 2, left + (CELL_PX - w) // 2
        sheet[y : y + h, x : x + w] = picture
        parameters = case.parameters
        caption = f"{parameters.target.kind} {parameters.field_strength_t:g} T {parameters.difficulty}"
        at = (left + 4, top + CELL_PX + CAPTION_PX - 4)
        cv2.putText(sheet, caption, at, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (190, 190, 190), 1, cv2.LINE_AA)
    return sheet


def clip_frames() -> list[np.ndarray]:
    """A liver at 0.35 T and a lung at 1.5 T side by side, 32 frames at 4 Hz."""
    common = {"frames": 32, "frame_rate_hz": 4.0, "shape": (220, 210), "difficulty": "middle"}
    pair = [
        _first_case_of("liver_lesion", PhantomRequest(region="abdomen", field_strength_t=0.35, **common)),
        _first_case_of("lung_lesion", PhantomRequest(region="thorax", field_strength_t=1.5, **common)),
    ]
    return [np.hstack([outlined(case, t, 1.0) for case in pair]) for t in range(common["frames"])]


def _first_case_of(kind: str, request: PhantomRequest) -> RenderedCase:
    for number in range(100):
        case = draw_case(np.random.default_rng([SEED, 7, number]), request)
        spread = np.ptp(np.quantile(case.displacement_px[:, 0], [0.2, 0.8]))  # it keeps moving, not only once
        parameters = case.parameters
        if (
            (parameters.target.kind, parameters.plane) == (kind, "right")
            and spread > 8
            and case.masks[:, 0].any(axis=(1, 2)).all()
        ):
            return case
    raise RuntimeError(f"no case of {kind} in 100 draws")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    args = parser.parse_args()
    with atomic_path(args.out / "phantom-contact-sheet.png") as path:
        paletted(contact_sheet(sheet_cases()), 128).save(path, optimize=True)
    first, *rest = [paletted(frame, 32) for frame in clip_frames()]
    with atomic_path(args.out / "phantom-clip.gif") as path:
        first.save(path, save_all=True, append_images=rest, duration=250, loop=0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
