"""What a predictor may know: the positions so far, and how wrong its earlier predictions turned out to be.

No medical device: research and simulation.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from cinetrack.errors import InputError

LONGEST_GAP_S = 1.5  # after a longer pause the motion before it says nothing of the speed now


class PastPositions:
    """The latest positions, read at any time between them by linear interpolation."""

    def __init__(self, length_s: float) -> None:
        self._length_s = length_s
        self._samples: deque[tuple[float, np.ndarray]] = deque()

    def add(self, time_s: float, position: np.ndarray) -> bool:
        """Take a position; False where it starts anew after a gap, and what came before is forgotten."""
        last = self._samples[-1][0] if self._samples else None
        if last is not None and time_s <= last:
            raise InputError(f"prediction: expected times that go forward, found {time_s} s after {last} s")
        joined = last is None or time_s - last <= LONGEST_GAP_S
        if not joined:
            self._samples.clear()
        self._samples.append((time_s, position))
        while self._samples[0][0] < time_s - self._length_s:
            self._samples.popleft()
        return joined

    def clear(self) -> None:
        """Forget all."""
        self._samples.clear()

    @property
    def first_s(self) -> float:
        """Time of the oldest position held."""
        return self._samples[0][0]

    def at(self, times_s: np.ndarray) -> np.ndarray:
        """Positions at (N,) times within what is held: (N, D)."""
        known = np.array([time for time, _ in self._samples])
        values = np.stack([position for _, position in self._samples])
        return np.stack([np.interp(times_s, known, column) for column in values.T], axis=-1)


class PastErrors:
    """Predictions that wait for what became true, and the mean square of their errors, recent ones weighing more."""

    def __init__(self, horizon_s: float, memory_s: float = 20.0) -> None:
        self._horizon_s, self._memory_s = horizon_s, memory_s
        self._waiting: deque[tuple[float, np.ndarray]] = deque()
        self._sum: np.ndarray | float = 0.0
        self._weight = 0.0
        self._settled_s: float | None = None

    def promise(self, time_s: float, predicted: np.ndarray) -> None:
        """Note a prediction made at `time_s`."""
        self._waiting.append((time_s, predicted))

    def settle(self, now_s: float, past: PastPositions) -> None:
        """Compare all predictions for times up to now with the positions measured."""
        while self._waiting and self._waiting[0][0] + self._horizon_s <= now_s + 1e-9:
            made_s, predicted = self._waiting.popleft()
            due_s = made_s + self._horizon_s
            if due_s < past.first_s:  # before a gap
                continue
            fade = 1.0 if self._settled_s is None else np.exp(-(due_s - self._settled_s) / self._memory_s)
            error = past.at(np.array([due_s]))[0] - predicted
            self._sum, self._weight, self._settled_s = fade * self._sum + error**2, fade * self._weight + 1, due_s

    def deviation(self, dimensions: int) -> np.ndarray:
        """Root mean square error of each component, (D,); NaN before the first error is known."""
        if self._weight == 0:
            return np.full(dimensions, np.nan)
        return np.sqrt(self._sum / self._weight)
