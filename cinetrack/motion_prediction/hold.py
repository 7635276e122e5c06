"""The predictor to beat: the target stays where it was measured.

No medical device: research and simulation.
"""

from __future__ import annotations

import numpy as np

from cinetrack.motion_prediction.past import LONGEST_GAP_S, PastErrors, PastPositions
from cinetrack.motion_prediction.predictor import Prediction


class HoldPredictor:
    """Predicts the last measured position; implements `Predictor`."""

    def __init__(self, horizon_s: float) -> None:
        self._past = PastPositions(horizon_s + 2 * LONGEST_GAP_S)
        self._errors = PastErrors(horizon_s)

    def step(self, time_s: float, position_mm: np.ndarray) -> Prediction:
        """The position itself, with the root mean square error that it had in the past."""
        position = np.asarray(position_mm, dtype=np.float64)
        if np.isnan(position).any():
            return Prediction(np.full_like(position, np.nan), np.full_like(position, np.nan))
        self._past.add(time_s, position)
        self._errors.settle(time_s, self._past)
        self._errors.promise(time_s, position)
        return Prediction(position, self._errors.deviation(position.size))
