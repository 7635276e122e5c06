"""Films and animations (mp4, avi, mov, mkv, gif), read with PyAV."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cinetrack.clinic.frame_times import FrameTimes, frame_times
from cinetrack.clinic.grid import Grid
from cinetrack.clinic.importing.found_series import FoundSeries
from cinetrack.clinic.importing.pixel_values import check_frame_size, grey
from cinetrack.clinic.packages import clinic_package
from cinetrack.errors import InputError

NAME = "film"
ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".gif")
NOTES = (
    "the times are those at which the film plays; the acquisition's may differ",
    "films may have names or dates drawn into them; look at the frames before you pass them on",
)


def recognises(path: Path) -> bool:
    """By the ending."""
    return path.suffix.lower() in ENDINGS


def find(files: Sequence[Path]) -> list[FoundSeries]:
    """One series a film."""
    return [_series(path) for path in files]


def _series(path: Path) -> FoundSeries:
    with _opened(path) as (container, stream):
        rows, columns = stream.codec_context.height, stream.codec_context.width
        check_frame_size(path, rows, columns)
        packets = [packet for packet in container.demux(stream) if packet.size > 0]
        if not packets:
            raise InputError(f"{path}: expected a film with pictures, found none")
        times = _times(packets, stream)
    return FoundSeries(
        path,
        NAME,
        len(packets),
        Grid(rows, columns),
        functools.partial(_read, path, len(packets), (rows, columns)),
        patient=str(path),
        times=times,
        notes=NOTES,
    )


def _times(packets: list[Any], stream: Any) -> FrameTimes | None:
    if any(packet.pts is None for packet in packets) or stream.time_base is None:
        return None
    return frame_times([float(pts * stream.time_base) for pts in sorted(packet.pts for packet in packets)], "the film")


def _read(path: Path, count: int, shape: tuple[int, int]) -> np.ndarray:
    frames = np.empty((count, *shape), dtype=np.uint8)
    done = 0
    with _opened(path) as (container, stream):
        for picture in container.decode(stream):
            pixels = grey(picture.to_ndarray(format="rgb24"))[0]
            if done == count or pixels.shape != shape:
                raise InputError(
                    f"{path}: expected {count} pictures of {shape[0]} x {shape[1]} px, "
                    f"found picture {done + 1} of {pixels.shape[0]} x {pixels.shape[1]}"
                )
            frames[done] = pixels
            done += 1
    if done != count:
        raise InputError(f"{path}: expected {count} pictures, found {done} that can be read")
    return frames


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    av = clinic_package("av", f"{path}: to read films")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video or container.streams.video[0].codec_context is None:
                raise InputError(f"{path}: expected a film with pictures, found none that can be decoded")
            yield container, container.streams.video[0]
    except (av.FFmpegError, ValueError, EOFError) as error:
        raise InputError(f"{path}: expected a film, found a file that cannot be read ({error})") from None
