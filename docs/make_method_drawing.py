"""Draw the stages of the method: `python docs/make_method_drawing.py [--out docs/images/method.svg]`."""

from __future__ import annotations

import argparse
from pathlib import Path

WIDTH, HEIGHT = 980, 330
BLUE, GREEN, GREY, INK = "#d7e8f7", "#dcefdc", "#eeeeee", "#222222"


def box(x: int, y: int, width: int, height: int, title: str, lines: list[str], fill: str, dashed: bool = False) -> str:
    """A rounded box with a bold title and lines below it."""
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    parts = [
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{fill}" stroke="{INK}"{dashes}/>',
        f'<text x="{x + width / 2}" y="{y + 24}" text-anchor="middle" font-weight="bold">{title}</text>',
    ]
    for number, line in enumerate(lines):
        middle, down = x + width / 2, y + 44 + 17 * number
        parts.append(f'<text x="{middle}" y="{down}" text-anchor="middle" font-size="13">{line}</text>')
    return "\n".join(parts)


def arrow(*points: tuple[int, int]) -> str:
    """A line through `points` with a head at its end."""
    path = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{INK}" stroke-width="1.6" marker-end="url(#head)"/>'


def drawing() -> str:
    """The picture as SVG text."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="15" fill="{INK}">',
        '<defs><marker id="head" markerWidth="9" markerHeight="9" refX="8" refY="4.5" orient="auto">'
        f'<path d="M0,0 L9,4.5 L0,9 z" fill="{INK}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        box(8, 130, 118, 84, "Frame", ["cine-MR,", "1 to 8 Hz"], GREY),
        box(160, 115, 150, 96, "Stabilise", ["warp back onto", "the outlined frame", "(may be left out)"], BLUE, True),
        box(365, 20, 160, 70, "Outline", ["signed distance to", "the given outline"], GREEN),
        box(365, 125, 160, 76, "SAM2", ["memory of earlier", "frames and masks"], GREEN),
        box(365, 236, 160, 76, "nnU-Net", ["a window of frames", "and masks"], GREEN),
        box(585, 120, 130, 86, "Weighted sum", ["of log-odds,", "a pixel at a time"], BLUE),
        box(750, 120, 112, 86, "Carry back", ["along the", "same flow"], BLUE, True),
        box(755, 236, 205, 76, "Post-process", ["nnU-Net redraws (paper),", "then holes are filled"], BLUE),
        box(880, 124, 92, 76, "Mask", ["of this", "frame"], GREY),
        arrow((126, 163), (158, 163)),
        arrow((310, 163), (338, 163), (338, 55), (363, 55)),
        arrow((310, 163), (363, 163)),
        arrow((310, 163), (338, 163), (338, 274), (363, 274)),
        arrow((525, 55), (555, 55), (555, 150), (583, 150)),
        arrow((525, 163), (583, 163)),
        arrow((525, 274), (555, 274), (555, 178), (583, 178)),
        arrow((715, 163), (748, 163)),
        arrow((806, 206), (806, 234)),
        arrow((926, 236), (926, 202)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description="Draw the stages of the method.")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "images/method.svg")
    parser.parse_args().out.write_text(drawing(), encoding="utf-8")


if __name__ == "__main__":
    main()
