"""Keep the tracker's mask where the refiner is not sure of a change.

A network taught on masks of several trackers, or on perturbed ones, changes a better tracker's masks too readily.
Asking for more than an even chance corrects that: with odds c / (1 - c) it is Bayes' rule for a tracker that is so many
times more often right than those of training.
"""

from __future__ import annotations

import numpy as np

EVEN = 0.5


def changed_where_sure(mask: np.ndarray, probability: np.ndarray, confidence: float) -> np.ndarray:
    """The tracker's mask, with the refiner's label where that is more probable than `confidence`.

    Args:
        mask: (H, W) bool, the tracker's.
        probability: (H, W) of being the target, by the refiner, 0 to 1.
        confidence: 0.5 for the refiner's own mask, up to 1 for the tracker's.
    Returns:
        (H, W) bool.
    """
    return np.where(mask, 1 - probability <= confidence, probability > confidence)
