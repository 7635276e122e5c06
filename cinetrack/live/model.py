"""The one place where a live session touches the method: load a model, start it on a frame, step it.

No medical device: research and simulation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from cinetrack.bundle import find_bundle
from cinetrack.pipeline.model import Model, load_model
from cinetrack.tracking import TrackingSession


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


def open_model(model: Path | str | None = None, device: str = "auto") -> LiveModel:
    """Load a model bundle: its folder, the name of a shipped one, or None for the default.

    Raises:
        BundleError, InputError: as `cinetrack.load_model`.
    """
    bundle = find_bundle(model)
    if not any(stage.on_device for stage in bundle.method.stages):
        return _BundleModel(load_model(bundle, device))
    import torch

    # A session steps in a thread of its own. Had the thread that loads computed in parallel, its sleeping helpers would
    # count as more threads than cores, and OpenMP would put the session's to sleep between any two pieces of work:
    # 126 ms a frame in place of 108 for the default on two cores.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _BundleModel(load_model(bundle, device))
    finally:
        torch.set_num_threads(threads)


class _BundleModel:
    """A bundle's whole method as a `LiveModel`."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.name, self.fingerprint = model.bundle.name, model.bundle.fingerprint
        self.device = model.device

    def start(self, frame: np.ndarray, mask: np.ndarray, spacing_mm: tuple[float, float]) -> LiveSteps:
        """Start the method on the outlined frame."""
        return _BundleSteps(self._model.start(frame, mask, spacing_mm))


class _BundleSteps:
    def __init__(self, session: TrackingSession) -> None:
        self._session = session

    def step(self, frame: np.ndarray) -> LiveMask:
        result = self._session.step(frame)
        return LiveMask(result.mask, float(result.object_score))
