"""A sequence as a short looping film for the browser: VP8 in WebM, which every browser plays."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from cinetrack.labelling.display import Display, Window
from cinetrack.sequence.atomic_write import atomic_path
from cinetrack.sequence.native_messages import native_messages
from cinetrack.sequence.whole_file import check_film

LONGEST_FILM_FRAMES = 240  # half a minute at 8 Hz; longer sequences are shown from their start
LONGEST_SIDE_PX = 400


class Frames(Protocol):
    """(H, W) images that are asked for one at a time: a list, an array or a spool."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...


def write_film(
    path: Path,
    frames: Frames,
    display: Display,
    window: Window,
    frame_rate_hz: float,
    objects: Frames | None = None,
) -> None:
    """Write the first frames as a WebM film, head up, with the objects drawn where they are given.

    Args:
        frames, objects: (H, W) each.
    """
    count = min(len(frames), LONGEST_FILM_FRAMES)
    scale = LONGEST_SIDE_PX / max(display.shape)
    height, width = (max(2, 2 * round(side * scale / 2)) for side in display.shape)  # VP8 wants even sides
    small = Display(display.frame_shape, (height, width))
    with atomic_path(path) as temporary:
        with native_messages():  # FFmpeg inside OpenCV prints a harmless line about WebM's codec tag
            film = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"VP80"), frame_rate_hz, (width, height))
        if not film.isOpened():
            raise RuntimeError("OpenCV cannot write VP8 films here")
        for index in range(count):
            picture = small.picture(frames[index], window)
            if objects is not None:
                picture = small.overlay(picture, objects[index], fill=0.15)
            film.write(picture[..., ::-1])
        film.release()
        check_film(temporary, count)
