"""The record of a live session, written frame by frame, so that a killed process loses nothing that was decided.

    <session>/session.json             what was run: model, options, planes; written first <session>/first-<plane>.mha
    the outlined target <session>/frames.jsonl             one line a frame or event, in the order of the decisions;
    written last for each frame <session>/images-<plane>.bin       the frames, zlib, one after another; a line says
    where its frame lies <session>/masks-<plane>.bin        the masks of tracked frames, one bit a pixel, each row to
    whole bytes

Every line is handed to the system before the next frame is taken. What was written survives the process; a power cut
may take the last seconds.

No medical device: research and simulation.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cinetrack.errors import InputError
from cinetrack.live.frame import FirstMask, now_s
from cinetrack.live.result import TRACKED, LiveResult
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.image_files import ImageGeometry, write_masks

FORMAT_VERSION = 1
SESSION_FILE, LINES_FILE = "session.json", "frames.jsonl"
_FASTEST = 1  # of zlib: a frame of 256 x 256 must not take a tenth of its time


class SessionLog:
    """Writes one session. Use it as a context.

    Args:
        folder: made; must not hold a session yet.
        about: what session.json says beside the planes: model, options.
    Raises:
        InputError: the folder holds a session already, or is a file.
    """

    def __init__(self, folder: Path, first_masks: Mapping[str, FirstMask], about: Mapping[str, Any]) -> None:
        if (folder / SESSION_FILE).exists():
            raise InputError(f"{folder}: expected no session yet, found one; choose another folder")
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: expected a folder for the session, found a file")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        planes = {}
        for plane, first in first_masks.items():
            write_masks(first_mask_path(folder, plane), first.mask[None], ImageGeometry.in_plane(first.spacing_mm))
            planes[plane] = {"shape": list(first.mask.shape), "spacing_mm": list(first.spacing_mm)}
        description = {"format": FORMAT_VERSION, "started_s": round(now_s(), 3), "planes": planes, **about}
        write_text_atomically(folder / SESSION_FILE, json.dumps(description, indent=1) + "\n")
        self._lines = open(folder / LINES_FILE, "ab")  # noqa: SIM115  open as long as the session
        self._files: dict[str, BinaryIO] = {}
        self._records = dict.fromkeys(first_masks, 0)

    def __enter__(self) -> SessionLog:
        return self

    def __exit__(self, *_error: object) -> None:
        for file in (self._lines, *self._files.values()):
            file.close()

    def add(self, result: LiveResult) -> None:
        """Write a frame, its mask where it has one, and its line."""
        frame = result.frame
        line = result.as_json() | self._stored(frame.plane, frame.image)
        if result.status == TRACKED and result.mask is not None:
            file = self._file(f"masks-{frame.plane}.bin")
            file.write(np.packbits(result.mask, axis=1).tobytes())
            file.flush()
            line["mask_record"] = self._records[frame.plane]
            self._records[frame.plane] += 1
        self.line(line)

    def event(self, kind: str, detail: str = "") -> None:
        """Note what happened to the stream: connected, disconnected, pause, resumed, unreadable."""
        self.line({"event": kind, "detail": detail, "at_s": round(now_s(), 3)})

    def line(self, content: Mapping[str, Any]) -> None:
        """Write one line."""
        self._lines.write(json.dumps(content).encode() + b"\n")
        self._lines.flush()

    def _stored(self, plane: str, image: np.ndarray) -> dict[str, Any]:
        name = f"images-{plane if plane in self._records else 'other'}.bin"
        file = self._file(name)
        packed = zlib.compress(np.ascontiguousarray(image).tobytes(), _FASTEST)
        start = file.tell()
        file.write(packed)
        file.flush()
        stored = {
            "file": name,
            "start": start,
            "bytes": len(packed),
            "shape": list(image.shape),
            "type": image.dtype.str,
        }
        return {"image": stored}

    def _file(self, name: str) -> BinaryIO:
        if name not in self._files:
            self._files[name] = open(self.folder / name, "ab")  # noqa: SIM115  likewise
        return self._files[name]


def first_mask_path(folder: Path, plane: str) -> Path:
    """Where a session keeps the outlined target of a plane."""
    return folder / f"first-{plane}.mha"
