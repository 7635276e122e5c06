"""How far a command is: a bar on a terminal, and in a log a line now and then."""

from __future__ import annotations

import sys
from time import monotonic
from typing import Any, TextIO

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Told of every step, it shows as much as its stream is good for. A context manager: the bar is closed at the end.

    Args:
        unit: what is counted, in the singular.
        stream: by default stderr; stdout holds results.
    """

    def __init__(self, unit: str = "case", stream: TextIO | None = None) -> None:
        self._unit = unit
        self._stream = stream or sys.stderr
        self._bar: tqdm[Any] | None = None
        self._last_line = monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, done: int, total: int, now: str = "") -> None:
        """Show that `done` of `total` are done, and what is being done now."""
        if self._stream.isatty():
            if self._bar is None:
                self._bar = tqdm(total=total, unit=self._unit, file=self._stream)
            self._bar.set_postfix_str(now, refresh=False)
            self._bar.update(done - self._bar.n)
        elif monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = monotonic()
            print(f"{done} of {total} {self._unit}s done{now and f', now {now}'}", file=self._stream, flush=True)
