"""What every predictor is: one measured position in, one predicted position out, a fixed time ahead.

No medical device: research and simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cinetrack.errors import InputError

PREDICTORS = ("regression", "kalman", "hold")
LONGEST_HORIZON_S = 2.0


@dataclass(frozen=True, eq=False)
class Prediction:
    """A position some time ahead.

    Attributes:
        position_mm: (D,), in the coordinates of the measured positions; NaN where nothing was measured.
        deviation_mm: (D,), standard deviation of the error to expect; NaN until the predictor has seen its own errors.
    """

    position_mm: np.ndarray
    deviation_mm: np.ndarray


class Predictor(Protocol):
    """Predicts one target. Made anew for each target and horizon."""

    def step(self, time_s: float, position_mm: np.ndarray) -> Prediction:
        """Take the position measured at `time_s`; predict the one at `time_s` plus the horizon.

        Args:
            time_s: later than at the step before; gaps are allowed.
            position_mm: (D,); NaN where the target was not found, which gives a prediction of NaN.
        Raises:
            InputError: time does not go forward.
        """


def make_predictor(name: str, horizon_s: float, frame_rate_hz: float) -> Predictor:
    """A predictor by its name in `PREDICTORS`.

    Args:
        horizon_s: how far ahead, 0 to 2 s; 0 gives the measured position.
        frame_rate_hz: the usual rate of the positions; its inverse is the distance of the samples that the regression
            sees.
    Raises:
        InputError: no such predictor, horizon or rate.
    """
    from cinetrack.motion_prediction.hold import HoldPredictor
    from cinetrack.motion_prediction.kalman import KalmanPredictor
    from cinetrack.motion_prediction.regression import RegressionPredictor

    if name not in PREDICTORS:
        raise InputError(f"predictor: expected one of {', '.join(PREDICTORS)}, found {name}")
    if not 0 <= horizon_s <= LONGEST_HORIZON_S:
        raise InputError(f"prediction horizon: expected 0 to {LONGEST_HORIZON_S:g} s, found {horizon_s}")
    if not 0 < frame_rate_hz < 1000:
        raise InputError(f"frame rate: expected a positive number of Hz, found {frame_rate_hz}")
    if name == "hold" or horizon_s == 0:
        return HoldPredictor(horizon_s)
    if name == "kalman":
        return KalmanPredictor(horizon_s)
    return RegressionPredictor(horizon_s, 1 / frame_rate_hz)
