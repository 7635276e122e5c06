"""What every source of frames is, and which source a word on the command line names.

No medical device: research and simulation.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cinetrack.errors import InputError
from cinetrack.live.frame import ONE_PLANE, LiveFrame
from cinetrack.live.planes import PLANE_AXES
from cinetrack.live.result import LiveResult

IGTL_CLIENT, IGTL_SERVER, SESSION, STANDARD_INPUT = "openigtlink", "openigtlink-listen", "session", "-"
FORMS = f"a folder, {STANDARD_INPUT}, {IGTL_CLIENT}://HOST:PORT, {IGTL_SERVER}://HOST:PORT or {SESSION}:FOLDER"


@dataclass(frozen=True)
class SourceEvent:
    """Something that happened to the stream itself: connected, disconnected, unreadable, slow."""

    kind: str
    detail: str = ""
    line: dict[str, Any] | None = field(default=None, hash=False)  # of a recorded frame that was not tracked


class FrameSource(Protocol):
    """Where frames come from and where the answers go."""

    paced: bool  # frames come as they are acquired, so that latency has a meaning

    def items(self) -> AsyncGenerator[LiveFrame | SourceEvent, None]:
        """The frames and what happens between them, until the source ends.

        Raises InputError where what comes is no frame and nothing after it can be trusted.
        """

    async def send(self, result: LiveResult) -> None:
        """Give an answer back, as far as this source takes answers."""

    async def close(self) -> None:
        """Let go of files and connections."""


class Numbering:
    """Numbers frames so that they always grow: by what the source says, and on from there where it starts again.

    A gap in the source's numbers stays one, up to `LARGEST_GAP` frames; a scanner that jumps further counts anew.
    """

    LARGEST_GAP = 10_000

    def __init__(self) -> None:
        self._latest, self._offset = -1, 0

    def next(self, said: int | None = None) -> int:
        """The next frame's number, from 0 on.

        Args:
            said: by the source; None where it says nothing.
        """
        wanted = self._latest + 1 if said is None else said + self._offset
        if not self._latest < wanted <= self._latest + self.LARGEST_GAP:
            wanted = self._latest + 1
            self._offset = wanted - (0 if said is None else said)
        self._latest = wanted
        return wanted


def plane_in(name: str, usual: str = ONE_PLANE) -> str:
    """The plane that a file's or device's name mentions, else `usual`."""
    match = re.search("|".join(PLANE_AXES), name.lower())
    return match.group() if match else usual


def open_source(text: str, usual_plane: str, answers: Path) -> FrameSource:
    """The source that a word names.

    Args:
        usual_plane: of frames that do not say theirs.
        answers: folder for the masks that answer the frames of a folder.
    Raises:
        InputError: no source is of that form, or the folder is missing.
    """
    scheme, separator, rest = text.partition("://")
    if separator and scheme in (IGTL_CLIENT, IGTL_SERVER):
        from cinetrack.live.sources.openigtlink import IgtlClientSource, IgtlServerSource

        host, port = _address(text, rest)
        return (IgtlClientSource if scheme == IGTL_CLIENT else IgtlServerSource)(host, port, usual_plane)
    if text == STANDARD_INPUT:
        from cinetrack.live.sources.raw_stream import RawStreamSource

        return RawStreamSource.of_process(usual_plane)
    if text.startswith(f"{SESSION}:"):
        from cinetrack.live.sources.recorded import RecordedSource

        return RecordedSource(Path(text.removeprefix(f"{SESSION}:")))
    if separator:
        raise InputError(f"source: expected {FORMS}, found {text}")
    from cinetrack.live.sources.folder import FolderSource

    return FolderSource(Path(text), answers, usual_plane)


def _address(text: str, rest: str) -> tuple[str, int]:
    host, _, port = rest.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) < 65536:
        raise InputError(f"source: expected HOST:PORT after ://, found {text}")
    return host.strip("[]"), int(port)
