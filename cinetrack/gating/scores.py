"""How right a gate was: the beam's state against where the target truly was, at every instant.

No medical device: research and simulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cinetrack.gating.beam import is_on
from cinetrack.gating.window import Window

STEP_S = 0.005  # the truth is interpolated between its frames to this step
LARGEST_EDGE_ERROR_S = 1.0  # a switch further from a true crossing does not belong to it


@dataclass(frozen=True)
class GatingScores:
    """Shares are of the time from the first frame to the last.

    Attributes:
        duty_cycle: share with the beam on.
        true_duty_cycle: share with the target inside the window, what a gate without error would reach.
        target_coverage: share of the beam-on time with the target inside; NaN where the beam was never on.
        false_on, false_off: share with the beam on and the target outside; off and inside.
        accuracy: share in which the beam was as it should be.
        edge_error_ms: mean distance in time from a crossing of the window's edge to the switch that belongs to it; NaN
            without one.
        edges, missed_edges: true crossings, and those without a switch of the same kind within 1 s.
    """

    duty_cycle: float
    true_duty_cycle: float
    target_coverage: float
    false_on: float
    false_off: float
    accuracy: float
    edge_error_ms: float
    edges: int
    missed_edges: int


def gating_scores(
    intervals: Sequence[tuple[float, float]], times_s: np.ndarray, true_moved_mm: np.ndarray, window: Window
) -> GatingScores:
    """Compare a beam with the truth.

    Args:
        intervals: when the beam was on, see `beam.beam_intervals`.
        times_s: (T,) of the true positions, T at least 2.
        true_moved_mm: (T, 2); a frame whose target does not show counts as outside the window.
    """
    grid = np.arange(times_s[0], times_s[-1], STEP_S)
    moved = np.stack([np.interp(grid, times_s, column) for column in true_moved_mm.T], axis=-1)
    truth, beam = window.inside(moved), is_on(intervals, grid)
    crossings, switches = _edges(grid, truth), _edges(grid, beam)
    errors, missed = [], 0
    for kind in (True, False):
        of_beam = switches[kind]
        for crossing in crossings[kind]:
            nearest = np.abs(of_beam - crossing).min() if len(of_beam) else np.inf
            if nearest <= LARGEST_EDGE_ERROR_S:
                errors.append(nearest)
            else:
                missed += 1
    return GatingScores(
        duty_cycle=float(beam.mean()),
        true_duty_cycle=float(truth.mean()),
        target_coverage=float(truth[beam].mean()) if beam.any() else float("nan"),
        false_on=float((beam & ~truth).mean()),
        false_off=float((~beam & truth).mean()),
        accuracy=float((beam == truth).mean()),
        edge_error_ms=float(np.mean(errors) * 1e3) if errors else float("nan"),
        edges=len(errors) + missed,
        missed_edges=missed,
    )


def _edges(grid: np.ndarray, states: np.ndarray) -> dict[bool, np.ndarray]:
    """Times at which the state turns to True and to False. The state at the start is no edge."""
    change = np.diff(states.astype(int))
    return {True: grid[1:][change == 1], False: grid[1:][change == -1]}
