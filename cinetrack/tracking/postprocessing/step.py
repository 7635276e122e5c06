"""What every post-processing step is: it is given each frame's mask, and gives the one that counts from there on."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from cinetrack.sequence.cine_sequence import Spacing


class TargetMasks(Protocol):
    """A step at work on one target of a sequence."""

    def step(self, frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The mask of the next (H, W) frame, (H, W) bool, in place of `mask`."""

    def copy(self) -> TargetMasks:
        """One in the same state that goes on by itself."""


class PostProcessing(Protocol):
    """A loaded step. `name` is of its stage, for logs and seconds."""

    @property
    def name(self) -> str: ...

    def found(self, mask: np.ndarray) -> np.ndarray:
        """The (H, W) bool mask of a frame that was prompted with a box or clicks, in place of what a source made of it.

        A mask that was given is not touched.
        """

    def start(self, frame: np.ndarray, mask: np.ndarray, spacing_mm: Spacing) -> TargetMasks:
        """Begin with a prompted (H, W) frame and its (H, W) bool mask, which stays as it is."""
