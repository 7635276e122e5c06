"""Latency as users quote it: from a frame's acquisition to the decision on it.

No medical device: research and simulation.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

from cinetrack.live.result import TRACKED, LiveResult

PERCENTILES = (50, 95, 99)


class LatencyRecord:
    """Collects the times of a stream's frames, a few numbers a frame (an hour at 8 Hz takes 1 MB)."""

    def __init__(self) -> None:
        self.counts = {"tracked": 0, "skipped": 0, "rejected": 0}
        self._first_number: int | None = None
        self._last_number = -1
        self._acquired = array("d")
        self._to_decision = array("d")
        self._from_receipt = array("d")
        self._step = array("d")

    def add(self, result: LiveResult) -> None:
        """Take one frame's result, in any order."""
        self.counts[result.status] += 1
        number = result.frame.number
        self._first_number = number if self._first_number is None else min(self._first_number, number)
        self._last_number = max(self._last_number, number)
        if result.status != TRACKED:
            return
        self._acquired.append(result.frame.acquired_s)
        self._to_decision.append(result.latency_s * 1e3)
        self._from_receipt.append((result.decided_s - result.frame.received_s) * 1e3)
        self._step.append(result.step_s * 1e3)

    def summary(self, frame_rate_hz: float | None, paced: bool = True) -> dict[str, Any]:
        """Counts and, in ms, percentiles.

        Args:
            frame_rate_hz: of the stream; None takes the median interval of the acquisitions. The deadline is one
                interval after the acquisition.
            paced: the frames came as they were acquired; a replay gives the model's own times alone.
        Returns:
            `frames`: received by status, `missing` by gaps in the numbers; `step_ms`, `acquisition_to_decision_ms` and
            `receipt_to_decision_ms` with p50, p95, p99, max and `jitter` (mean change from one frame to the next);
            `deadline_ms` and `deadline_misses`.
        """
        received = sum(self.counts.values())
        span = 0 if self._first_number is None else self._last_number - self._first_number + 1
        found: dict[str, Any] = {"frames": {"received": received, **self.counts, "missing": max(0, span - received)}}
        if not self._step:
            return found
        found["step_ms"] = _distribution(self._step)
        if not paced:
            return found
        found["acquisition_to_decision_ms"] = _distribution(self._to_decision)
        found["receipt_to_decision_ms"] = _distribution(self._from_receipt)
        if frame_rate_hz is None and len(self._acquired) > 2:
            interval = float(np.median(np.diff(np.sort(np.asarray(self._acquired)))))
            frame_rate_hz = 1 / interval if interval > 0 else None
        if frame_rate_hz is not None:
            deadline = 1e3 / frame_rate_hz
            found["frame_rate_hz"] = round(frame_rate_hz, 3)
            found["deadline_ms"] = round(deadline, 3)
            found["deadline_misses"] = int(np.count_nonzero(np.asarray(self._to_decision) > deadline))
        return found


def _distribution(values: array[float]) -> dict[str, float]:
    found = np.asarray(values)
    percentiles = np.percentile(found, PERCENTILES)
    shown = {f"p{p}": round(float(value), 3) for p, value in zip(PERCENTILES, percentiles, strict=True)}
    shown["max"] = round(float(found.max()), 3)
    shown["jitter"] = round(float(np.abs(np.diff(found)).mean()), 3) if len(found) > 1 else 0.0
    return shown
