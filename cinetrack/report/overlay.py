"""Frames with outlines as a film, an animation or a contact sheet, head up.

mp4 is VP9, which OpenCV's wheels can write and browsers play; H.264 needs an encoder they do not have. Encoding is
slow for that, some tenths of a second a frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from cinetrack.errors import InputError
from cinetrack.report.frame_sheets import windowed_8bit
from cinetrack.report.outlines import outlines
from cinetrack.sequence import CineSequence
from cinetrack.sequence.atomic_write import atomic_path
from cinetrack.sequence.whole_file import check_film

COLORS = {"truth": (47, 224, 176), "prediction": (255, 138, 61)}  # RGB
SHORTER_SIDE_PX = 480  # small frames are enlarged to about this
GIF_SIDE_PX = 300  # noise makes large animations very large files
SHEET_FRAMES, SHEET_COLUMNS = 12, 4
_SUBPIXEL_BITS = 4


def draw_frames(
    sequence: CineSequence,
    masks: Mapping[str, np.ndarray],
    indices: Iterable[int],
    shorter_side_px: int = SHORTER_SIDE_PX,
) -> Iterator[np.ndarray]:
    """Draw frames with the outlines of their masks.

    Args:
        masks: (T, H, W) bool by a name of COLORS.
        indices: the frames to draw.
        shorter_side_px: about how long the pictures' shorter side becomes; frames are never made smaller.
    Yields:
        (height, width, 3) uint8 RGB, even sides, pixels as high and wide as in the patient.
    """
    height, width = sequence.frame_shape
    enlarged = max(1, round(shorter_side_px / min(height, width)))
    scale = np.array([enlarged * sequence.spacing_mm[0] / sequence.spacing_mm[1], enlarged])
    size = [2 * math.ceil(length / 2) for length in np.array([height, width]) * scale]
    grey = windowed_8bit(sequence.frames)
    for index in indices:
        frame = cv2.resize(np.flipud(grey[index]), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
        picture = cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB)
        for name, series in masks.items():
            for line in outlines(np.flipud(series[index])):
                corners = (line / 2 + 0.5) * scale * 2**_SUBPIXEL_BITS
                points = np.rint(corners[:, ::-1]).astype(np.int32)
                cv2.polylines(picture, [points], True, COLORS[name], 2, cv2.LINE_AA, _SUBPIXEL_BITS)
        caption = f"{index / sequence.frame_rate_hz:.1f} s"
        for grey_level, thickness in ((0, 3), (255, 1)):
            place, font, color = (8, size[0] - 10), cv2.FONT_HERSHEY_SIMPLEX, (grey_level,) * 3
            cv2.putText(picture, caption, place, font, 0.5, color, thickness, cv2.LINE_AA)
        yield picture


def write_overlay(path: Path, sequence: CineSequence, masks: Mapping[str, np.ndarray]) -> None:
    """Write a film (.mp4), an animation (.gif) or a contact sheet (.png), by the file's ending.

    Args:
        masks: (T, H, W) bool by a name of COLORS.
    Raises:
        InputError: another ending, or a series of masks of another shape than the frames.
    """
    check_ending(path)
    for name, series in masks.items():
        if series.shape != sequence.frames.shape:
            raise InputError(
                f"{name}: expected masks of the frames' {sequence.frames.shape} (frames, rows, columns), "
                f"found {series.shape}"
            )
    with atomic_path(path) as temporary:
        WRITERS[path.suffix.lower()](temporary, sequence, masks)


def check_ending(path: Path) -> None:
    """Raise InputError where a name's ending tells none of the formats."""
    if path.suffix.lower() not in WRITERS:
        endings = ", ".join(WRITERS)
        raise InputError(f"{path}: expected a file name that ends in {endings}, found {path.suffix or 'none'}")


def _write_mp4(path: Path, sequence: CineSequence, masks: Mapping[str, np.ndarray]) -> None:
    writer = None
    for picture in draw_frames(sequence, masks, range(len(sequence))):
        if writer is None:
            code = cv2.VideoWriter.fourcc(*"vp09")
            writer = cv2.VideoWriter(str(path), code, sequence.frame_rate_hz, (picture.shape[1], picture.shape[0]))
            if not writer.isOpened():
                raise InputError("this OpenCV cannot write VP9 films; .gif and .png need no encoder")
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert writer is not None  # a sequence has at least one frame
    writer.release()
    check_film(path, len(sequence))


def _write_gif(path: Path, sequence: CineSequence, masks: Mapping[str, np.ndarray]) -> None:
    frames = range(len(sequence))
    pictures = [Image.fromarray(picture) for picture in draw_frames(sequence, masks, frames, GIF_SIDE_PX)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(_gif_palette().ravel().tolist())
    first, *rest = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    first.save(path, save_all=True, append_images=rest, duration=round(1000 / sequence.frame_rate_hz), loop=0)


def _gif_palette() -> np.ndarray:
    """128 greys, and each outline's colour mixed with greys as its smooth edges are; (256, 3) uint8."""
    greys = np.repeat(np.linspace(0, 255, 128)[:, None], 3, axis=1)
    shares, background = np.linspace(0.25, 1, 4), np.linspace(0, 255, 16)
    mixes = [
        share * np.array(color) + (1 - share) * grey
        for color in COLORS.values()
        for share in shares
        for grey in background
    ]
    return np.rint(np.vstack([greys, mixes])).astype(np.uint8)


def _write_png(path: Path, sequence: CineSequence, masks: Mapping[str, np.ndarray]) -> None:
    count = min(SHEET_FRAMES, len(sequence))
    chosen = np.linspace(0, len(sequence) - 1, count).round().astype(int)
    pictures = [np.pad(picture, ((1, 1), (1, 1), (0, 0))) for picture in draw_frames(sequence, masks, chosen)]
    columns = min(SHEET_COLUMNS, count)
    pictures += [np.zeros_like(pictures[0])] * (-count % columns)
    rows = [np.hstack(pictures[start : start + columns]) for start in range(0, len(pictures), columns)]
    Image.fromarray(np.vstack(rows)).save(path)


# The one list of endings.
WRITERS: dict[str, Callable[[Path, CineSequence, Mapping[str, np.ndarray]], None]] = {
    ".mp4": _write_mp4,
    ".gif": _write_gif,
    ".png": _write_png,
}
