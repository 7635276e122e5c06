"""Read a session's record back, also one whose process was killed, and make a prediction folder of it.

No medical device: research and simulation.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cinetrack.errors import InputError
from cinetrack.live.frame import FirstMask
from cinetrack.live.mask_series import write_packed_masks
from cinetrack.live.result import TRACKED
from cinetrack.live.session_log import FORMAT_VERSION, LINES_FILE, SESSION_FILE, first_mask_path
from cinetrack.runs.record import RECORD_NAME
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.grand_challenge import OUTPUT_FILE
from cinetrack.sequence.image_files import ImageGeometry, read_first_mask
from cinetrack.sequence.json_files import read_json


@dataclass(frozen=True, eq=False)
class RecordedSession:
    """A session on disk.

    Attributes:
        about: what session.json holds.
    """

    folder: Path
    about: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> RecordedSession:
        """Raises InputError where `folder` holds no session, or one of another format."""
        path = folder / SESSION_FILE
        about = read_json(path)
        if (
            not isinstance(about, dict)
            or about.get("format") != FORMAT_VERSION
            or not isinstance(about.get("planes"), dict)
        ):
            raise InputError(f"{path}: expected a live session of format {FORMAT_VERSION}, found something else")
        return cls(folder, about)

    @property
    def planes(self) -> list[str]:
        """The planes of the stream."""
        return list(self.about["planes"])

    def first_masks(self) -> dict[str, FirstMask]:
        """The outlined target of each plane."""
        found = {}
        for plane, entry in self.about["planes"].items():
            path = first_mask_path(self.folder, plane)
            mask = read_first_mask(path, tuple(entry["shape"]))
            found[plane] = FirstMask(mask, (float(entry["spacing_mm"][0]), float(entry["spacing_mm"][1])), path)
        return found

    def lines(self) -> Iterator[dict[str, Any]]:
        """The lines on frames, in the order of the decisions. A last line that was cut off is left out.

        Raises:
            InputError: a line before the last one is no json.
        """
        path = self.folder / LINES_FILE
        if not path.is_file():
            raise InputError(f"{path}: expected the lines of a live session, found none")
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if not text.endswith(b"\n"):
                    return  # the process was killed while it wrote
                try:
                    line = json.loads(text)
                except ValueError as error:
                    raise InputError(
                        f"{path}: expected json on line {number}, found something else ({error})"
                    ) from None
                if isinstance(line, dict) and "number" in line:
                    yield line

    def image(self, line: dict[str, Any]) -> np.ndarray:
        """The frame of a line, as it was received."""
        stored = line["image"]
        path = self.folder / str(stored["file"])
        try:
            with open(path, "rb") as file:
                file.seek(stored["start"])
                pixels = zlib.decompress(file.read(stored["bytes"]))
            return np.frombuffer(pixels, np.dtype(stored["type"])).reshape(stored["shape"])
        except (OSError, ValueError, zlib.error) as error:
            raise InputError(
                f"{path}: expected the image of frame {line['number']}, found something else ({error})"
            ) from None


def finish(folder: Path) -> list[Path]:
    """Write the masks of a session as a prediction that `cinetrack evaluate`, `gate` and `report` read.

    A frame that was skipped, rejected or never came holds the mask before it, as a beam that follows would have. Of a
    single plane the prediction is `folder` itself, of several `folder/<name>_<plane>` each.

    Returns:
        The files written.
    Raises:
        InputError: no session, or one in which no frame was tracked.
    """
    session = RecordedSession.open(folder)
    timelines = {plane: _Timeline() for plane in session.planes}
    for line in session.lines():
        if line["plane"] in timelines:
            timelines[line["plane"]].add(line)
    written = []
    for plane, timeline in timelines.items():
        root = folder if len(timelines) == 1 else folder / f"{folder.resolve().name}_{plane}"
        written.append(_write_plane(session, plane, timeline, root, len(timelines)))
    return written


class _Timeline:
    """The mask in force on every frame of a plane."""

    def __init__(self) -> None:
        self.records: dict[int, int] = {}  # number -> record of its mask
        self.scores: dict[int, float | None] = {}
        self.last_number = -1
        self.seconds = 0.0

    def add(self, line: dict[str, Any]) -> None:
        number = int(line["number"])
        self.last_number = max(self.last_number, number)
        if line["status"] == TRACKED:
            self.records[number], self.scores[number] = int(line["mask_record"]), line.get("object_score")
            self.seconds += line["step_ms"] / 1e3

    def held(self, stride: int) -> tuple[np.ndarray, list[float | None]]:
        """Record and score of every frame from the first tracked one to the last, (T,).

        Args:
            stride: planes of the stream: of n planes in turns, every nth number is of one plane.
        """
        numbers = sorted(self.records)
        first = numbers[0]
        wanted = range(first, max(self.last_number, first) + 1, stride)
        places = np.searchsorted(numbers, np.arange(wanted.start, wanted.stop, stride), side="right") - 1
        in_force = [numbers[place] for place in places]
        return np.array([self.records[n] for n in in_force]), [self.scores[n] for n in in_force]


def _write_plane(session: RecordedSession, plane: str, timeline: _Timeline, root: Path, planes: int) -> Path:
    if not timeline.records:
        raise InputError(f"{session.folder / LINES_FILE}: expected at least one tracked {plane} frame, found none")
    entry = session.about["planes"][plane]
    records, scores = timeline.held(planes)
    path = root / OUTPUT_FILE
    write_packed_masks(
        path,
        session.folder / f"masks-{plane}.bin",
        records,
        tuple(entry["shape"]),
        ImageGeometry.in_plane(tuple(entry["spacing_mm"])),
    )
    record = {
        "bundle": session.about.get("model"),
        "bundle_fingerprint": session.about.get("fingerprint"),
        "device": session.about.get("device"),
        "frame_count": len(records),
        "frame_rate_hz": session.about.get("frame_rate_hz"),
        "seconds": {"total": max(timeline.seconds, 1e-9)},
        "frames": {"object_score": scores},
    }
    write_text_atomically(root / RECORD_NAME, json.dumps(record, indent=1))
    return path
