"""Frames on standard input and answers on standard output: a line of JSON, then the pixels.

A frame is a header on one line, `{"shape": [rows, columns], "type": "uint16"}`, and the pixels by rows, little-endian.
The header may say `number`, `acquired_s` (seconds since 1970), `spacing_mm` [row, column] and `plane`. An answer is
the frame's line of the log, with `"mask": {"shape": ..., "type": "uint8"}` and the mask's bytes after it where the
frame was tracked.

No medical device: research and simulation.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import sys
import threading
from collections.abc import AsyncGenerator
from typing import Any, BinaryIO

import numpy as np

from cinetrack.errors import InputError
from cinetrack.live.frame import LiveFrame, now_s
from cinetrack.live.result import LiveResult
from cinetrack.live.sources.source import Numbering, SourceEvent

TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
_LONGEST_HEADER = 65536
_LARGEST_SIDE_PX = 8192
_AHEAD = 4  # frames read before they are asked for


class RawStreamSource:
    """Implements `FrameSource` for two binary streams."""

    paced = True

    def __init__(self, source: BinaryIO, answers: BinaryIO, usual_plane: str) -> None:
        self._source, self._answers, self._usual_plane = source, answers, usual_plane
        self._number = 0  # of the frame on the stream, for errors
        self._numbering = Numbering()

    @classmethod
    def of_process(cls, usual_plane: str) -> RawStreamSource:
        """The process's own standard input and output."""
        return cls(sys.stdin.buffer, sys.stdout.buffer, usual_plane)

    async def items(self) -> AsyncGenerator[LiveFrame | SourceEvent, None]:
        """See `FrameSource`; ends where the input does."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[LiveFrame | Exception | None] = asyncio.Queue()
        room = threading.Semaphore(_AHEAD)

        def read() -> None:
            item: LiveFrame | Exception | None
            try:
                while (item := self._read()) is not None:
                    room.acquire()
                    loop.call_soon_threadsafe(queue.put_nowait, item)
            except Exception as error:
                item = error
            with contextlib.suppress(RuntimeError):  # the loop has gone: nobody asks any more
                loop.call_soon_threadsafe(queue.put_nowait, item)

        # A daemon: a read that waits for ever must not keep the process alive.
        threading.Thread(target=read, daemon=True, name="cinetrack-input").start()
        while (item := await queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            room.release()
            yield item

    async def send(self, result: LiveResult) -> None:
        """Write the answer."""
        line = result.as_json()
        pixels = b""
        if result.mask is not None:
            line["mask"] = {"shape": list(result.mask.shape), "type": "uint8"}
            pixels = result.mask.astype(np.uint8).tobytes()
        await asyncio.to_thread(self._write, json.dumps(line).encode() + b"\n" + pixels)

    async def close(self) -> None:
        """Nothing to let go of: the streams are the process's."""

    def _write(self, content: bytes) -> None:
        self._answers.write(content)
        self._answers.flush()

    def _read(self) -> LiveFrame | None:
        text = self._source.readline(_LONGEST_HEADER)
        if not text.strip():
            return None
        number, self._number = self._number, self._number + 1
        header = _header(text, number)
        shape, kind = tuple(header["shape"]), np.dtype(header["type"]).newbyteorder("<")
        expected = shape[0] * shape[1] * kind.itemsize
        pixels = self._source.read(expected)
        received = now_s()
        if len(pixels) < expected:
            raise InputError(
                f"standard input: frame {number}: expected {expected} bytes of pixels, found {len(pixels)}"
            )
        image = np.frombuffer(pixels, kind).reshape(shape).astype(kind.newbyteorder("="))
        spacing = header.get("spacing_mm")
        return LiveFrame(
            image,
            self._numbering.next(int(header["number"]) if "number" in header else None),
            float(header.get("acquired_s", received)),
            received,
            str(header.get("plane", self._usual_plane)),
            None if spacing is None else (float(spacing[0]), float(spacing[1])),
        )


def frame_bytes(image: np.ndarray, **header: Any) -> bytes:
    """A frame as this source reads it; `header` as the module's text says."""
    entries = {"shape": list(image.shape), "type": image.dtype.name, **header}
    return json.dumps(entries).encode() + b"\n" + np.ascontiguousarray(image, image.dtype.newbyteorder("<")).tobytes()


def _header(text: bytes, number: int) -> dict[str, Any]:
    where = f"standard input: header of frame {number}"
    try:
        header = json.loads(text)
    except ValueError:
        raise InputError(f"{where}: expected a line of json, found {text[:60]!r}") from None
    if not isinstance(header, dict):
        raise InputError(f"{where}: expected a json object, found {type(header).__name__}")
    shape = header.get("shape")
    sides = (
        isinstance(shape, list)
        and len(shape) == 2
        and all(type(side) is int and 0 < side <= _LARGEST_SIDE_PX for side in shape)
    )
    if not sides:
        raise InputError(f"{where}: expected shape to be [rows, columns], found {shape!r}")
    if header.get("type") not in TYPES:
        raise InputError(f"{where}: expected type to be one of {', '.join(TYPES)}, found {header.get('type')!r}")
    spacing = header.get("spacing_mm")
    if spacing is not None and not (
        isinstance(spacing, list) and len(spacing) == 2 and all(_positive(one) for one in spacing)
    ):
        raise InputError(f"{where}: expected spacing_mm to be [row, column] in mm, found {spacing!r}")
    for key in ("number", "acquired_s"):
        value = header.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
            raise InputError(f"{where}: expected {key} to be a number of 0 or more, found {value!r}")
    return header


def _positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
