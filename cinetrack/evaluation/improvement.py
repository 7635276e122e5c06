"""How much better a model is: one number, by which checkpoints and settings are chosen.

The paper chooses what improves most on the challenge's metrics. Written down here: each metric's mean over the cases is
compared with the baseline's, the change in percent of it counts positive where it is for the better, and the mean over
the metrics is the improvement. Metrics whose baseline is 0 or no finite number are left out of the mean. Where one that
counts is no finite number now, the improvement is minus infinity, and what it belongs to is never chosen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cinetrack.evaluation.metric_names import ACCURACY


def mean_accuracy(scores: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Mean over the cases of each accuracy metric, by key; infinity and NaN count as they are.

    Args:
        scores: one case each, by key.
    """
    rows = list(scores)
    return {metric.key: float(np.mean([float(row[metric.key]) for row in rows])) for metric in ACCURACY}


def improvement_percent(baseline: Mapping[str, float], now: Mapping[str, float]) -> float:
    """Mean over the accuracy metrics of their change in percent of the baseline, positive where better.

    Source: the paper's rule, as written down at the head of this module.
    """
    changes = []
    for metric in ACCURACY:
        before, after = baseline[metric.key], now[metric.key]
        if before and math.isfinite(before):
            if not math.isfinite(after):
                return -math.inf
            change = 100 * (after - before) / abs(before)
            changes.append(change if metric.higher_is_better else -change)
    return float(np.mean(changes)) if changes else 0.0
