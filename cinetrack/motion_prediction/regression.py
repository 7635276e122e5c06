"""Adaptive linear regression: the displacement over the horizon is a weighted sum of the recent displacements.

The weights are fitted anew at every frame to all that has been seen, the past fading exponentially, with a ridge that
pulls them to zero, which is holding still. Only what lies a horizon back can be learnt from, so nothing is used before
it is known. How much of the regression is taken is found from its own past errors, so that motion it cannot predict
costs little.

No medical device: research and simulation.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from cinetrack.motion_prediction.past import LONGEST_GAP_S, PastErrors, PastPositions
from cinetrack.motion_prediction.predictor import Prediction

# Chosen on the tuning seeds of benchmarks/prediction.py; see benchmarks/results/prediction-tuning.json.
# A history of 5 s is 2 % better there, but the regression holds still until it has one.
HISTORY_S = 3.5  # how far back the displacements reach
MEMORY_S = 60.0  # time constant with which what was learnt fades
RIDGE_MM2 = 30.0  # pull of the weights towards zero, as so many mm2 of displacement seen
TRUST_MEMORY_S = 30.0  # time constant with which past errors fade when the regression is weighed against holding still
TRUST_PRIOR_MM2 = 10.0  # errors seen before the regression is trusted


class RegressionPredictor:
    """Implements `Predictor`.

    Args:
        frame_interval_s: distance of the past samples that the regression sees.
    """

    def __init__(
        self,
        horizon_s: float,
        frame_interval_s: float,
        history_s: float = HISTORY_S,
        memory_s: float = MEMORY_S,
        ridge_mm2: float = RIDGE_MM2,
    ) -> None:
        self._horizon_s = horizon_s
        self._lags_s = frame_interval_s * np.arange(1, max(2, round(history_s / frame_interval_s)) + 1)
        self._memory_s, self._ridge = memory_s, ridge_mm2
        self._past = PastPositions(self._lags_s[-1] + horizon_s + 2 * LONGEST_GAP_S)
        self._errors = PastErrors(horizon_s)
        self._waiting: deque[tuple[float, np.ndarray, np.ndarray, np.ndarray]] = deque()
        self._moments: np.ndarray | None = None  # (F, F) of the features
        self._products: np.ndarray | None = None  # (F, D) of features and displacements
        self._trust = np.zeros(2)  # sums of predicted x true and predicted x predicted displacements
        self._learnt_s: float | None = None

    def step(self, time_s: float, position_mm: np.ndarray) -> Prediction:
        """Learn from what this position makes known, then predict."""
        position = np.asarray(position_mm, dtype=np.float64)
        if np.isnan(position).any():
            return Prediction(np.full_like(position, np.nan), np.full_like(position, np.nan))
        if not self._past.add(time_s, position):
            self._waiting.clear()
        self._errors.settle(time_s, self._past)
        self._learn(time_s)
        predicted = position + self._displacement(time_s, position)
        self._errors.promise(time_s, predicted)
        return Prediction(predicted, self._errors.deviation(position.size))

    def _displacement(self, time_s: float, position: np.ndarray) -> np.ndarray:
        if time_s - self._lags_s[-1] < self._past.first_s - 1e-9:  # the past is too short for the features
            return np.zeros_like(position)
        features = (self._past.at(time_s - self._lags_s) - position).ravel()
        raw = np.zeros_like(position)
        if self._moments is not None and self._products is not None:
            ridge = self._ridge * np.eye(len(features))
            raw = np.linalg.solve(self._moments + ridge, self._products).T @ features
        self._waiting.append((time_s, features, position, raw))
        share = np.clip(self._trust[0] / (self._trust[1] + TRUST_PRIOR_MM2), 0.0, 1.0)
        return np.asarray(share * raw)

    def _learn(self, now_s: float) -> None:
        while self._waiting and self._waiting[0][0] + self._horizon_s <= now_s + 1e-9:
            made_s, features, position, raw = self._waiting.popleft()
            moved = self._past.at(np.array([made_s + self._horizon_s]))[0] - position
            elapsed = 0.0 if self._learnt_s is None else made_s - self._learnt_s
            if self._moments is None or self._products is None:
                self._moments = np.zeros((len(features), len(features)))
                self._products = np.zeros((len(features), len(position)))
            fade = np.exp(-elapsed / self._memory_s)
            self._moments = fade * self._moments + np.outer(features, features)
            self._products = fade * self._products + np.outer(features, moved)
            fade = np.exp(-elapsed / TRUST_MEMORY_S)
            self._trust = fade * self._trust + np.array([raw @ moved, raw @ raw])
            self._learnt_s = made_s
