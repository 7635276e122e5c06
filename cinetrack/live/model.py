"""The one place where a live session touches the method: load a model, start it on a frame, step it.

No medical device: research and simulation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cinetrack.bundle.lookup import find_bundle
from cinetrack.pipeline.hole_fill import fill_holes
from cinetrack.pipeline.model import Model, load_model


@dataclass(frozen=True, eq=False)
class LiveMask:
    """What a model says of one frame: `mask`, (H, W) bool, and its logit of "the target is there" (or NaN)."""

    mask: np.ndarray
    object_score: float = math.nan


class LiveSteps(Protocol):
    """A started model: one frame in, one mask out, in acquisition order."""

    def step(self, frame: np.ndarray) -> LiveMask:
        """Track the next frame, (H, W)."""


class LiveModel(Protocol):
    """Anything that can be started on an outlined frame."""

    name: str
    fingerprint: str  # tells two models apart; "" where there is none
    device: str

    def start(self, frame: np.ndarray, mask: np.ndarray, spacing_mm: tuple[float, float]) -> LiveSteps:
        """Begin with the (H, W) frame on which `mask`, (H, W) bool, outlines the target."""


def open_model(folder: Path | None, device: str = "auto") -> LiveModel:
    """Load a model bundle, by default the shipped one. Raises BundleError, InputError as loading does."""
    return _BundleModel(load_model(find_bundle(folder), device))


class _BundleModel:
    """Tracker, refiner and hole filling of a bundle as one `LiveModel`."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.name, self.fingerprint = model.bundle.name, model.bundle.fingerprint
        self.device = model.device

    def start(self, frame: np.ndarray, mask: np.ndarray, spacing_mm: tuple[float, float]) -> LiveSteps:
        """Start the tracker and, where there is one, the refiner."""
        tracking = self._model.tracker.start(frame, mask)
        refiner = self._model.refiner
        return _BundleSteps(tracking, None if refiner is None else refiner.start(frame, mask, spacing_mm))


class _BundleSteps:
    def __init__(self, tracking: Any, refining: Any) -> None:
        self._tracking, self._refining = tracking, refining

    def step(self, frame: np.ndarray) -> LiveMask:
        result = self._tracking.step(frame)
        mask = result.mask if self._refining is None else self._refining.step(frame, result.mask)
        return LiveMask(fill_holes(mask), float(result.object_score))
