"""A gate run over a whole trace of measured positions, with prediction or without.

No medical device: research and simulation.
"""

from __future__ import annotations

import numpy as np

from cinetrack.gating.beam import BeamLatency, beam_intervals, wanted_states
from cinetrack.gating.window import Window
from cinetrack.motion_prediction import make_predictor

REGRESSION = "regression"
NO_PREDICTION = "hold"


class PredictedTrace:
    """What a predictor said at every frame of a trace, by horizon; found once and used for every window.

    Args:
        times_s: (T,) acquisition of each frame.
        moved_mm: (T, 2) measured displacement from the plan; NaN where the target was lost.
        frame_rate_hz: of the trace.
        predictor: a name of `motion_prediction.PREDICTORS`; "hold" takes the measured position for the one ahead.
    """

    def __init__(
        self, times_s: np.ndarray, moved_mm: np.ndarray, frame_rate_hz: float, predictor: str = REGRESSION
    ) -> None:
        self.times_s, self._moved_mm = times_s, moved_mm
        self._rate_hz, self._predictor = frame_rate_hz, predictor
        self._known: dict[float, np.ndarray] = {}

    def ahead(self, horizon_s: float) -> np.ndarray:
        """(T, 2) displacement predicted at each frame for `horizon_s` later."""
        if horizon_s not in self._known:
            predictor = make_predictor(self._predictor, horizon_s, self._rate_hz)
            steps = zip(self.times_s, self._moved_mm, strict=True)
            self._known[horizon_s] = np.stack([predictor.step(float(t), p).position_mm for t, p in steps])
        return self._known[horizon_s]


def simulated_beam(trace: PredictedTrace, window: Window, latency: BeamLatency) -> list[tuple[float, float]]:
    """When a beam gated by `window` is on, from the first frame to the last: (from, to) in seconds.

    To switch on, the gate looks as far ahead as switching on takes; to stay on, as far as switching off takes.
    """
    to_turn_on = window.inside(trace.ahead(latency.on_s))
    to_stay_on = window.inside(trace.ahead(latency.off_s))
    # Frame 0 is the planned one and the beam is off before it.
    wanted = wanted_states(to_turn_on, to_stay_on)
    return beam_intervals(trace.times_s, wanted, latency, float(trace.times_s[-1]))
