"""Where the seconds of a session go: each stage of the method has a count of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from time import perf_counter


class _Running(local):
    """The stages that are under way, the innermost last, and since when that counts: of each thread its own."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.since = 0.0


class StageClock:
    """Counts seconds by stage. A stage that begins within another one stops the outer one's count meanwhile.

    Examples:
        >>> clock = StageClock()
        >>> with clock.stage("sam2"):
        ...     with clock.stage("stabilisation"):
        ...         pass
        >>> sorted(clock.seconds)
        ['sam2', 'stabilisation']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running = _Running()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what is done within as the stage's."""
        self._charge()
        self._running.stages.append(name)
        self.seconds.setdefault(name, 0.0)
        try:
            yield
        finally:
            self._charge()
            self._running.stages.pop()

    def _charge(self) -> None:
        now = perf_counter()
        if self._running.stages:
            self.seconds[self._running.stages[-1]] += now - self._running.since
        self._running.since = now
