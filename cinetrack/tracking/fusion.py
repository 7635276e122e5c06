"""The sources' evidence put together as independent evidence is: one weighted sum of log-odds.

A source alone has the last word, and its logits stay as they are. Beside others none says more of a pixel than its
limit, so that no network's certainty outweighs everything else; and a source that says the target is absent says
nothing of where it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cinetrack.tracking.evidence.source import Evidence, Source


def fused(found: Sequence[tuple[Source, Evidence]]) -> Evidence:
    """The sum of what the sources say of a target on a frame.

    Args:
        found: at least one source with its evidence, all (H, W).
    Returns:
        Evidence with logits of an array of its own; the scores are those of the first source that estimates them.
    """
    if len(found) == 1:
        [(_, alone)] = found
        return Evidence(alone.logits.astype(np.float32), alone.object_score, alone.predicted_iou)
    total = np.zeros(found[0][1].logits.shape, np.float32)
    for source, evidence in found:
        total += _counted(source, evidence)
    scored = next((evidence for _, evidence in found if not math.isnan(evidence.object_score)), found[0][1])
    return Evidence(total, scored.object_score, scored.predicted_iou)


def _counted(source: Source, evidence: Evidence) -> np.ndarray | float:
    if evidence.object_score < 0:  # the logits of an absent target are a constant, which says nothing of an outline
        return 0.0
    logits = evidence.logits
    if source.limit is not None:
        logits = np.clip(logits, -source.limit, source.limit)
    return source.weight * logits
