"""Several objects on one frame as one picture: 0 is background, 1, 2, ... the objects.

An object can lie inside another, which a picture of indices cannot say; the smaller one then has the pixel.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from cinetrack.errors import InputError

# Colours of the objects 1, 2, ... on screen and in the PNG's palette: Okabe and Ito's, which colour-blind people tell
# apart.
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167))

MOST_PIXELS = 4096 * 4096  # of a frame; cine-MR has some 400 x 400
# What Pillow raises of a damaged PNG.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error, MemoryError)


def indexed(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Draw objects into one picture, the largest first.

    Args:
        masks: (H, W) bool each, same shape; number n becomes index n + 1. At least one, at most 255.
    Returns:
        (H, W) uint8.
    """
    picture = np.zeros(masks[0].shape, dtype=np.uint8)
    for number in sorted(range(len(masks)), key=lambda n: -int(masks[n].sum())):
        picture[masks[number]] = number + 1
    return picture


def colour_of(object_number: int) -> tuple[int, int, int]:
    """Red, green and blue of object 1, 2, ..."""
    return COLOURS[(object_number - 1) % len(COLOURS)]


def to_png(picture: np.ndarray) -> bytes:
    """A (H, W) uint8 picture of indices as a PNG with a palette; row 0 stays row 0."""
    image = Image.fromarray(picture)
    palette = [0, 0, 0] + [part for number in range(1, 256) for part in colour_of(number)]
    image.putpalette(palette)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def from_png(data: bytes, name: str) -> np.ndarray:
    """The picture that `to_png` wrote. Raises InputError with `name` where it is no such file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is looked at here
            image = Image.open(io.BytesIO(data), formats=["PNG"])
        with image:
            if image.mode != "P":
                raise InputError(f"{name}: expected an indexed PNG, found one of mode {image.mode}")
            if image.width * image.height > MOST_PIXELS:  # before they are inflated
                raise InputError(f"{name}: expected a frame's masks, found {image.height} x {image.width} px")
            return np.array(image)
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise InputError(f"{name}: expected an indexed PNG, found something unreadable ({error})") from None
