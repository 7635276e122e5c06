"""Sources that do as they are told, to see what a chain shows its sources and what it makes of their word."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cinetrack.tracking import Chain, Prompt
from cinetrack.tracking.evidence.outline import OutlineSource
from cinetrack.tracking.evidence.source import Evidence
from cinetrack.tracking.stabilisation import Stabiliser


class StubSource:
    """Says what `say` makes of a view's pixels, and keeps what it is shown."""

    precision = "exact"

    def __init__(
        self,
        say: Callable[[np.ndarray], Evidence | None],
        name: str = "stub",
        region_px: int | None = None,
        weight: float = 1.0,
        limit: float | None = None,
        remembers: bool = True,
        decodes: bool = True,
    ) -> None:
        self.say, self.name, self.region_px, self.weight, self.limit = say, name, region_px, weight, limit
        self.remembers, self.decodes = remembers, decodes
        self.shown: list[np.ndarray] = []
        self.prompts: list[Prompt] = []

    def target(self) -> StubTarget:
        return StubTarget(self)


class StubTarget:
    def __init__(self, source: StubSource) -> None:
        self._source = source

    def prompt(self, view, prompt):
        self._source.prompts.append(prompt)
        return self.log_odds(view)

    def log_odds(self, view):
        self._source.shown.append(view.pixels)
        return self._source.say(view.pixels)

    def copy(self) -> StubTarget:
        return StubTarget(self._source)


def brighter_than_100(pixels: np.ndarray) -> Evidence:
    return Evidence((pixels - 100.0).astype(np.float32), 3.0, 0.9)


def saying(logits: np.ndarray | float, object_score: float = 3.0) -> Callable[[np.ndarray], Evidence]:
    """The same of every frame."""
    return lambda pixels: Evidence(np.broadcast_to(np.float32(logits), pixels.shape).copy(), object_score, 0.9)


def static() -> Chain:
    return Chain("static", (OutlineSource(),))


def registration(*flows: str) -> Chain:
    return Chain("registration", (OutlineSource(),), Stabiliser(flows or ("flexible",)))
