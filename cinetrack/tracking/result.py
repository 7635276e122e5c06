"""What a session gives of a target on a frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class StepResult:
    """A target on one frame.

    Attributes:
        mask: (H, W) bool, the final mask, post-processing included; on a frame prompted with a mask, that mask.
        logits: (H, W) float32 at the frame's resolution, before post-processing: log-odds of the target, positive
            inside it. Of registration and the static baseline: the signed distance to the outline in pixels.
        object_score: logit of "the target is in this frame" (SAM2); NaN where no source estimates it.
        predicted_iou: SAM2's own estimate of its mask's overlap with the truth, in [0, 1]; NaN where there is no SAM2.

    Examples:
        >>> import cinetrack
        >>> case = cinetrack.read_case("examples/data/P977_0001")
        >>> session = cinetrack.load_model("registration").start(case.sequence.frames[0], case.first_mask)
        >>> result = session.step(case.sequence.frames[1])
        >>> result.mask.dtype, result.logits.shape, result.object_score
        (dtype('bool'), (176, 160), nan)
    """

    mask: np.ndarray
    logits: np.ndarray
    object_score: float = math.nan
    predicted_iou: float = math.nan
