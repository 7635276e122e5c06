"""nnU-Net as a source: on stabilised frames it looks at the target's surroundings beside the frame of the outline.

It is shown the prompted outline, which keeps its place on stabilised frames, with each frame of its window, and the
first of them is the frame on which the target was outlined.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cinetrack.errors import InputError
from cinetrack.refinement.settings import NnunetSettings
from cinetrack.settings import setting
from cinetrack.tracking.evidence.source import Evidence, Source, TargetEvidence
from cinetrack.tracking.prompts import MaskPrompt, Prompt
from cinetrack.tracking.region import SMALLEST_REGION_PX
from cinetrack.tracking.view import View

if TYPE_CHECKING:
    from cinetrack.refinement.refiner import Refiner, RefinerSession


@dataclass(frozen=True)
class NnunetSourceSettings(NnunetSettings):
    """Settings of an nnU-Net that is one of the sources."""

    kind: ClassVar[str] = "nnunet"
    on_device: ClassVar[bool] = True

    region_px: int = setting(
        96, low=SMALLEST_REGION_PX, unit="px", help="side of the square around the target that the network is shown"
    )
    weight: float = setting(1.0, above=0, help="what the network's log-odds are multiplied with in the sum")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window < 2:
            raise InputError(f"window: expected 2 frames or more beside the outlined one, found {self.window}")

    def load(self, folder: Path, device: str) -> Source:
        """The source. Raises BundleError where the model cannot be run as set."""
        return NnunetSource(self.load_refiner(folder, device), self.region_px, self.weight)


class NnunetSource:
    """A loaded nnU-Net."""

    name = "nnunet"
    limit = 8.0
    decodes = False
    remembers = False  # a correction is from then on the first frame that it is shown

    def __init__(self, refiner: Refiner, region_px: int, weight: float = 1.0) -> None:
        self._refiner = refiner
        self.region_px, self.weight = region_px, weight
        self.precision = refiner.precision

    def target(self) -> TargetEvidence:
        """An empty memory for one more target."""
        return _Refined(self._refiner)


class _Refined:
    """One target's window of frames, beside the frame on which it was outlined."""

    def __init__(self, refiner: Refiner) -> None:
        self._refiner = refiner
        self._session: RefinerSession | None = None
        self._outline = np.zeros((0, 0), dtype=bool)

    def prompt(self, view: View, prompt: Prompt) -> Evidence | None:
        """The view is from now on the first frame that the network is shown; of a prompted frame it says nothing."""
        if not isinstance(prompt, MaskPrompt):
            raise InputError(f"nnunet: expected a mask prompt, found a {type(prompt).__name__}")
        self._outline = prompt.mask
        self._session = self._refiner.start(view.pixels, prompt.mask, keep_first=True)
        return None

    def log_odds(self, view: View) -> Evidence | None:
        if self._session is None:
            return None
        logits = self._session.log_odds(view.pixels, self._outline)
        # It redraws an outline; whether there is a target is for others to say.
        return Evidence(logits) if (logits > 0).any() else None

    def copy(self) -> _Refined:
        twin = _Refined(self._refiner)
        twin._session = None if self._session is None else self._session.copy()
        twin._outline = self._outline
        return twin
