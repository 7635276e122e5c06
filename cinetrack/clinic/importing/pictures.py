"""Folders of PNG or TIFF pictures, a frame each in the order of the numbers in their names; TIFFs of several pages."""

from __future__ import annotations

import functools
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cinetrack.clinic.grid import Grid
from cinetrack.clinic.importing.found_series import FoundSeries
from cinetrack.clinic.importing.pixel_values import check_frame_size, grey, natural_order
from cinetrack.errors import InputError

NAME = "pictures"
ANNOTATION_NOTE = "pictures may have names or dates drawn into them; look at the frames before you pass them on"


@dataclass(frozen=True)
class _Header:
    rows: int
    columns: int
    pages: int


def recognises(path: Path) -> bool:
    """By the ending."""
    return path.suffix.lower() in (".png", ".tif", ".tiff")


def find(files: Sequence[Path]) -> list[FoundSeries]:
    """One series a folder and ending, and one for each TIFF of several pages."""
    found, folders = [], defaultdict(list)
    for path in sorted(files, key=lambda path: (path.parent, natural_order(path))):
        header = _header(path)
        if header.pages > 1:
            found.append(_series(path, (path,), header, header.pages))
        else:
            folders[path.parent, path.suffix.lower()].append((path, header))
    for (folder, _), frames in folders.items():
        (first, header), paths = frames[0], tuple(path for path, _ in frames)
        for path, other in frames[1:]:
            if other != header:
                raise InputError(
                    f"{path}: expected a picture of {header.rows} x {header.columns} px (rows x columns) "
                    f"like {first.name}, found {other.rows} x {other.columns}"
                )
        found.append(_series(folder if len(paths) > 1 else first, paths, header, len(paths)))
    return found


def _series(path: Path, paths: tuple[Path, ...], header: _Header, count: int) -> FoundSeries:
    return FoundSeries(
        path,
        NAME,
        count,
        Grid(header.rows, header.columns),
        functools.partial(_read, paths, header),
        patient=str(path),
        notes=(ANNOTATION_NOTE,),
    )


def _header(path: Path) -> _Header:
    with _opened(path) as picture:
        check_frame_size(path, picture.height, picture.width)
        try:
            pages = getattr(picture, "n_frames", 1)
        except Exception as error:  # a TIFF's pages are looked through only now
            raise _damaged(path, error) from None
        return _Header(picture.height, picture.width, pages)


def _read(paths: tuple[Path, ...], header: _Header) -> np.ndarray:
    frames = []
    for path in paths:
        with _opened(path) as picture:
            for page in range(header.pages):
                frames.append(_page(path, picture, page))
                if frames[-1].shape != (header.rows, header.columns):
                    raise InputError(f"{path}: expected pages of one size, found {frames[-1].shape} on page {page + 1}")
    return np.stack(frames)


def _page(path: Path, picture: Image.Image, page: int) -> np.ndarray:
    try:
        picture.seek(page)
        if picture.mode in ("L", "I", "F", "1") or picture.mode.startswith("I;16"):
            pixels = np.asarray(picture)
            return pixels.astype(np.uint8 if pixels.dtype == np.bool_ else pixels.dtype.newbyteorder("="))
        return grey(np.asarray(picture.convert("RGB")))[0]
    except Exception as error:  # Pillow's decoders raise many kinds
        raise _damaged(path, error) from None


def _opened(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is checked on its own
            return Image.open(path, formats=("PNG", "TIFF"))
    except Exception as error:  # no picture, no permission, a bomb
        raise InputError(
            f"{path}: expected a PNG or TIFF picture, found a file that cannot be read ({error})"
        ) from None


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: expected a picture, found a damaged or cut off file ({error})")
