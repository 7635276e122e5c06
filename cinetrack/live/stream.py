"""Run a stream: frames from a source through a live session to the log and back.

No medical device: research and simulation.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from cinetrack.live.frame import LiveFrame, now_s
from cinetrack.live.latency import LatencyRecord
from cinetrack.live.result import LiveResult
from cinetrack.live.session import LiveSession
from cinetrack.live.session_log import SessionLog
from cinetrack.live.sources.source import FrameSource

logger = logging.getLogger(__name__)

PAUSE_S = 2.0  # without a frame for so long, the stream counts as paused
_WATCH_S = 0.1


@dataclass(eq=False)
class Stream:
    """One stream under way.

    Attributes:
        on_result: called with every result once it has been sent and logged.
        stop_after_s: end where no frame follows the latest one for so long; None goes on until `stop` is set or the
            source ends.
        stop: set it to end the stream; what has been received is still tracked.
    """

    source: FrameSource
    session: LiveSession
    log: SessionLog
    on_result: Callable[[LiveResult], None] = lambda result: None
    stop_after_s: float | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    latency: LatencyRecord = field(default_factory=LatencyRecord)
    _latest_s: float | None = None
    _paused: bool = False

    async def run(self) -> None:
        """Until the source ends, `stop` is set or nothing comes for `stop_after_s`. Raises what a part of it raised."""
        try:
            async with self.session:
                giving = asyncio.create_task(self._give())
                answering = asyncio.create_task(self._answer())
                watching = asyncio.create_task(self._watch())
                stopping = asyncio.create_task(self.stop.wait())
                tasks = (giving, answering, watching, stopping)
                try:
                    await asyncio.wait((giving, answering, stopping), return_when=asyncio.FIRST_COMPLETED)
                    if not giving.done():
                        giving.cancel()
                        await asyncio.wait((giving,))
                    if not answering.done():
                        await self.session.end()
                        await answering
                    answering.result()
                    if not giving.cancelled():
                        giving.result()
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await self.source.close()

    async def _give(self) -> None:
        async with contextlib.aclosing(self.source.items()) as items:
            async for item in items:
                if isinstance(item, LiveFrame):
                    self._arrived()
                    await self.session.put(item)
                elif item.line is not None:
                    self.log.line(item.line)
                else:
                    self._note(item.kind, item.detail)
                    if item.kind == "unreadable" and self._latest_s is None:
                        self._latest_s = now_s()  # it has started: --stop-after counts from here

    async def _answer(self) -> None:
        async for result in self.session:
            await self.source.send(result)
            self.log.add(result)
            self.latency.add(result)
            self.on_result(result)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_S)
            if self._latest_s is None:  # a scanner may take its time to start
                continue
            waited = now_s() - self._latest_s
            if waited > PAUSE_S and not self._paused:
                self._paused = True
                self._note("pause", f"no frame for {PAUSE_S:g} s")
            if self.stop_after_s is not None and waited > self.stop_after_s:
                self.stop.set()

    def _arrived(self) -> None:
        if self._paused and self._latest_s is not None:
            self._note("resumed", f"after {now_s() - self._latest_s:.1f} s")
        self._paused = False
        self._latest_s = now_s()

    def _note(self, kind: str, detail: str) -> None:
        logger.log(logging.WARNING if kind == "unreadable" else logging.INFO, "%s: %s", kind, detail)
        self.log.event(kind, detail)
