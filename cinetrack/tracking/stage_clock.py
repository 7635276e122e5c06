"""Where the seconds of a session go: each stage of the method has a count of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


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
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what is done within as the stage's."""
        self._charge()
        self._running.append(name)
        self.seconds.setdefault(name, 0.0)
        try:
            yield
        finally:
            self._charge()
            self._running.pop()

    def _charge(self) -> None:
        now = perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now
