"""From decisions to a beam: it switches some time after the frame that asked for it.

No medical device: research and simulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cinetrack.errors import InputError

LONGEST_LATENCY_S = 2.0


@dataclass(frozen=True)
class BeamLatency:
    """Seconds from a frame's acquisition to the beam that it switches: imaging, tracking and the linac together."""

    on_s: float
    off_s: float

    def __post_init__(self) -> None:
        for name, value in (("on", self.on_s), ("off", self.off_s)):
            if not 0 <= value <= LONGEST_LATENCY_S:
                raise InputError(
                    f"beam latency {name}: expected 0 to {LONGEST_LATENCY_S * 1000:g} ms, found {value * 1000:g}"
                )


def wanted_states(to_turn_on: np.ndarray, to_stay_on: np.ndarray) -> np.ndarray:
    """What each frame asks of the beam.

    Args:
        to_turn_on: (T,) bool, whether the target will be inside once a beam that is off now could be on.
        to_stay_on: (T,) bool, likewise once a beam that is on now could be off.
    Returns:
        (T,) bool.
    """
    wanted = np.zeros(len(to_turn_on), dtype=bool)
    state = False
    for index, (turn_on, stay_on) in enumerate(zip(to_turn_on, to_stay_on, strict=True)):
        state = bool(stay_on if state else turn_on)
        wanted[index] = state
    return wanted


def beam_intervals(
    times_s: np.ndarray, wanted: np.ndarray, latency: BeamLatency, end_s: float
) -> list[tuple[float, float]]:
    """When the beam is on, as (from, to) in seconds, in order and apart.

    Args:
        times_s: (T,) acquisition of each frame.
        wanted: (T,) bool, see `wanted_states`.
        end_s: where counting ends; the beam may be on until then.
    """
    found: list[tuple[float, float]] = []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(int)))
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        start = times_s[first] + latency.on_s
        stop = times_s[after] + latency.off_s if after < len(times_s) else end_s
        stop = min(stop, end_s)
        if found and start <= found[-1][1]:  # switched on again before the switch off took effect
            found[-1] = (found[-1][0], max(stop, found[-1][1]))
        elif stop > start:
            found.append((float(start), float(stop)))
    return found


def is_on(intervals: Sequence[tuple[float, float]], times_s: np.ndarray) -> np.ndarray:
    """Whether the beam is on at each of (N,) times: (N,) bool."""
    edges = np.array([edge for interval in intervals for edge in interval])
    return np.asarray(np.searchsorted(edges, times_s, side="right") % 2 == 1)
