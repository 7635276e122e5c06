"""What the report shows of a gated beam: when it would have been on, and how the margin trades for the duty cycle.

No medical device: research and simulation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cinetrack.gating.beam import BeamLatency, is_on
from cinetrack.gating.dataset_gating import PREDICTION_MODES, GatedCase
from cinetrack.gating.scores import STEP_S, gating_scores
from cinetrack.gating.simulation import PredictedTrace, simulated_beam
from cinetrack.gating.window import DistanceWindow

SHOWN_MARGIN_MM = 5.0
SHOWN_LATENCY = BeamLatency(0.3, 0.3)
CURVE_POINTS = 12


def gating_section(case: GatedCase) -> dict[str, Any]:
    """The beam of one margin and latency, and the duty cycle and coverage of many margins, as plain data.

    Returns:
        `beam`: [from, to] in seconds with prediction; `curve`: by mode ("predicted", "measured") `duty_cycle` and,
        where there is a truth, `target_coverage` for each of `margins_mm`, and `true_duty_cycle`.
    """
    times = case.times_s
    traces = {
        mode: PredictedTrace(times, case.moved_mm, case.frame_rate_hz, name) for mode, name in PREDICTION_MODES.items()
    }
    beam = simulated_beam(traces["predicted"], DistanceWindow(SHOWN_MARGIN_MM), SHOWN_LATENCY)
    distances = np.linalg.norm(case.moved_mm, axis=1)
    furthest = float(np.nanmax(distances)) if np.isfinite(distances).any() else 1.0
    margins = np.linspace(0, max(2.0, furthest), CURVE_POINTS + 1)[1:]
    curve: dict[str, Any] = {mode: {"duty_cycle": [], "target_coverage": []} for mode in traces}
    true_duty_cycle = []
    grid = np.arange(0.0, times[-1], STEP_S)
    for margin in margins:
        window = DistanceWindow(float(margin))
        for mode, trace in traces.items():
            found = simulated_beam(trace, window, SHOWN_LATENCY)
            curve[mode]["duty_cycle"].append(_rounded(float(is_on(found, grid).mean())))
            if case.true_moved_mm is not None:
                scores = gating_scores(found, times, case.true_moved_mm, window)
                curve[mode]["target_coverage"].append(_rounded(scores.target_coverage))
        if case.true_moved_mm is not None:
            true_duty_cycle.append(_rounded(gating_scores([], times, case.true_moved_mm, window).true_duty_cycle))
    return {
        "margin_mm": SHOWN_MARGIN_MM,
        "latency_ms": SHOWN_LATENCY.on_s * 1e3,
        "beam": [[round(start, 3), round(stop, 3)] for start, stop in beam],
        "duty_cycle": _rounded(float(is_on(beam, grid).mean())),
        "margins_mm": [round(float(margin), 3) for margin in margins],
        "curve": curve,
        "true_duty_cycle": true_duty_cycle or None,
    }


def _rounded(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None
