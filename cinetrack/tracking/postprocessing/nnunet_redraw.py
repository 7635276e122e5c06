"""The paper's second stage: nnU-Net redraws each mask from the last frames and the tracker's masks of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cinetrack.refinement.settings import NnunetSettings
from cinetrack.sequence.cine_sequence import Spacing
from cinetrack.tracking.postprocessing.step import PostProcessing, TargetMasks

if TYPE_CHECKING:
    from cinetrack.refinement.refiner import Refiner


@dataclass(frozen=True)
class NnunetRedrawSettings(NnunetSettings):
    """Settings of an nnU-Net that has the last word."""

    kind: ClassVar[str] = "nnunet"
    on_device: ClassVar[bool] = True

    def load(self, folder: Path, device: str) -> PostProcessing:
        """The step. Raises BundleError where the model cannot be run as set."""
        return NnunetRedraw(self.load_refiner(folder, device))


class NnunetRedraw:
    """A loaded nnU-Net."""

    name = "nnunet redraw"

    def __init__(self, refiner: Refiner) -> None:
        self._refiner = refiner

    def found(self, mask: np.ndarray) -> np.ndarray:
        """The mask as it is: the network redraws what was tracked, not what was just pointed out."""
        return mask

    def start(self, frame: np.ndarray, mask: np.ndarray, spacing_mm: Spacing) -> TargetMasks:
        """Begin with a prompted frame: it fills the window of frames until there are more."""
        return self._refiner.start(frame, mask, spacing_mm)
