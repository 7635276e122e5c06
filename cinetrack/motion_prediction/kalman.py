"""A Kalman filter of position, speed and acceleration, each component by itself.

The acceleration fades towards zero (Singer's model), so that a prediction does not run away. Its uncertainty is the
filter's own, which holds as far as the motion is as the filter assumes.

No medical device: research and simulation.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import expm

from cinetrack.errors import InputError
from cinetrack.motion_prediction.past import LONGEST_GAP_S
from cinetrack.motion_prediction.predictor import Prediction

# Chosen on the tuning seeds of benchmarks/prediction.py; see benchmarks/results/prediction-tuning.json.
NOISE_MM = 0.3  # deviation of a measured position
ACCELERATION_MM_S2 = 25.0  # root mean square acceleration
FADING_S = 0.2  # time constant with which an acceleration fades


class KalmanPredictor:
    """Implements `Predictor`."""

    def __init__(
        self,
        horizon_s: float,
        noise_mm: float = NOISE_MM,
        acceleration: float = ACCELERATION_MM_S2,
        fading_s: float = FADING_S,
    ) -> None:
        self._horizon_s, self._noise = horizon_s, noise_mm**2
        self._acceleration, self._fading_s = acceleration, fading_s
        self._models: dict[float, tuple[np.ndarray, np.ndarray]] = {}
        self._state: np.ndarray | None = None  # (3, D): position, speed, acceleration
        self._covariance = np.zeros((3, 3))  # the same for all components
        self._time_s = 0.0

    def step(self, time_s: float, position_mm: np.ndarray) -> Prediction:
        """Correct the state with a measured position and let it run on over the horizon."""
        position = np.asarray(position_mm, dtype=np.float64)
        if self._state is not None and time_s <= self._time_s:
            raise InputError(f"prediction: expected times that go forward, found {time_s} s after {self._time_s} s")
        if np.isnan(position).any():
            return Prediction(np.full_like(position, np.nan), np.full_like(position, np.nan))
        if self._state is None or time_s - self._time_s > LONGEST_GAP_S:
            self._state = np.stack([position, 0 * position, 0 * position])
            self._covariance = np.diag([self._noise, 20.0**2, self._acceleration**2])
        else:
            self._state, self._covariance = self._ahead(time_s - self._time_s)
            gain = self._covariance[:, 0] / (self._covariance[0, 0] + self._noise)
            self._state = self._state + np.outer(gain, position - self._state[0])
            self._covariance = self._covariance - np.outer(gain, self._covariance[0])
        self._time_s = time_s
        state, covariance = self._ahead(self._horizon_s)
        deviation = np.sqrt(covariance[0, 0] + self._noise)
        return Prediction(state[0], np.full(position.size, deviation))

    def _ahead(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        transition, added = self._model(seconds)
        return transition @ self._state, transition @ self._covariance @ transition.T + added

    def _model(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Transition over a time and the covariance it adds, by Van Loan's method."""
        key = round(seconds, 4)
        if key not in self._models:
            if len(self._models) > 64:  # times that jitter
                self._models.clear()
            rate = 1 / self._fading_s
            drift = np.array([[0, 1, 0], [0, 0, 1], [0, 0, -rate]], dtype=np.float64)
            spread = np.zeros((3, 3))
            spread[2, 2] = 2 * rate * self._acceleration**2
            block = expm(np.block([[-drift, spread], [np.zeros((3, 3)), drift.T]]) * key)
            transition = block[3:, 3:].T
            self._models[key] = transition, transition @ block[:3, 3:]
        return self._models[key]
