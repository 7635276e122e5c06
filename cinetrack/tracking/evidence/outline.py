"""The prompted outline as a source: on stabilised frames it is a good guess of every frame's, the one of registration.

Its log-odds grow with the distance to the outline. Alone on frames as they are it is the challenge's static baseline,
alone on stabilised ones it is dense registration.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from cinetrack.errors import InputError
from cinetrack.settings import Settings, setting
from cinetrack.tracking.evidence.source import Evidence, Source, TargetEvidence
from cinetrack.tracking.prompts import MaskPrompt, Prompt
from cinetrack.tracking.signed_distance import signed_distance
from cinetrack.tracking.view import View


@dataclass(frozen=True)
class OutlineSettings(Settings):
    """Settings of the outline."""

    kind: ClassVar[str] = "outline"
    on_device: ClassVar[bool] = False  # nothing to place on a GPU
    files: ClassVar[tuple[str, ...]] = ()

    weight: float = setting(
        1.0,
        above=0,
        unit="log-odds/px",
        help="log-odds that the outline adds for each pixel of distance from it; networks, limited to 8 log-odds each, "
        "can move the outline by 8 / weight pixels",
    )

    def load(self, folder: Path, device: str) -> Source:
        """The source."""
        return OutlineSource(self.weight)


class OutlineSource:
    """The signed distance to the outline, in pixels, times the weight."""

    name = "outline"
    limit = None
    region_px = None
    decodes = False
    remembers = False
    precision = "float32"

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def target(self) -> TargetEvidence:
        """An empty memory for one more target."""
        return _Outline()


class _Outline:
    def __init__(self) -> None:
        self._distance: np.ndarray | None = None

    def prompt(self, view: View, prompt: Prompt) -> Evidence | None:
        if not isinstance(prompt, MaskPrompt):
            raise InputError(f"outline: expected a mask prompt, found a {type(prompt).__name__}")
        self._distance = signed_distance(prompt.mask)
        return self.log_odds(view)

    def log_odds(self, view: View) -> Evidence | None:
        return None if self._distance is None else Evidence(self._distance)

    def copy(self) -> _Outline:
        twin = _Outline()
        twin._distance = self._distance  # nothing changes it in place
        return twin
