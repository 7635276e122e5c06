"""What every source of evidence is: a loaded model or a rule that says of each pixel how likely it is the target's.

A source holds nothing of a sequence, so any number of sessions may share it; what it remembers of one target is a
`TargetEvidence`, of which a session starts one for each of its targets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cinetrack.tracking.prompts import Prompt
from cinetrack.tracking.view import View


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a source says of a target on one frame.

    Attributes:
        logits: (H, W) float32 log-odds that a pixel is the target's, of the view's shape.
        object_score, predicted_iou: as in `StepResult`; NaN where the source does not estimate them.
    """

    logits: np.ndarray
    object_score: float = math.nan
    predicted_iou: float = math.nan


class TargetEvidence(Protocol):
    """What a source remembers of one target."""

    def prompt(self, view: View, prompt: Prompt) -> Evidence | None:
        """Take a prompt on the view: the first one, or a correction. None where the source has nothing to say of it."""

    def log_odds(self, view: View) -> Evidence | None:
        """What the source says of the target on the next frame; None where it says nothing."""

    def copy(self) -> TargetEvidence:
        """One in the same state that goes on by itself."""


class Source(Protocol):
    """A loaded source.

    Attributes:
        name: for logs and for the seconds of this stage.
        weight: what its log-odds are multiplied with in the sum.
        limit: how much it may say at most of a pixel beside other sources, in log-odds; None for no limit.
        region_px: side of the target's surroundings that it is shown; None for whole frames.
        decodes: whether it makes masks of boxes and clicks.
        remembers: whether what it learnt on earlier frames still counts after a correction.
        precision: of its arithmetic, for logs.
    """

    @property
    def name(self) -> str: ...
    @property
    def weight(self) -> float: ...
    @property
    def limit(self) -> float | None: ...
    @property
    def region_px(self) -> int | None: ...
    @property
    def decodes(self) -> bool: ...
    @property
    def remembers(self) -> bool: ...
    @property
    def precision(self) -> str: ...

    def target(self) -> TargetEvidence:
        """An empty memory for one more target."""
