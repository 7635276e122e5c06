"""A recorded session as a source: the frames that were tracked, in the order in which they were, with their own times.

No medical device: research and simulation.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

from cinetrack.live.frame import LiveFrame, now_s
from cinetrack.live.recorded_session import RecordedSession
from cinetrack.live.result import TRACKED, LiveResult
from cinetrack.live.sources.source import SourceEvent


class RecordedSource:
    """Implements `FrameSource`. Frames that were not tracked are given as events with their line."""

    paced = False

    def __init__(self, folder: Path) -> None:
        self.session = RecordedSession.open(folder)

    async def items(self) -> AsyncGenerator[LiveFrame | SourceEvent, None]:
        """See `FrameSource`."""
        for line in self.session.lines():
            if line["status"] != TRACKED:
                without = {key: value for key, value in line.items() if key != "image"}
                yield SourceEvent("recorded", line=without)
                continue
            yield LiveFrame(self.session.image(line), line["number"], line["acquired_s"], now_s(), line["plane"])

    async def send(self, result: LiveResult) -> None:
        """Nobody waits for an answer."""

    async def close(self) -> None:
        """Nothing to let go of."""
