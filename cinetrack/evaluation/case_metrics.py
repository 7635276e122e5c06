"""One case's entry in metrics.json, as the TrackRAD2025 evaluation computes it.

The challenge drops the prompted frame in an odd way, kept here because it is what ranks: frames without truth are
dropped, empty predictions are moved to the end of the list as penalties, and then the list loses its first element.
Where frame 0 was predicted empty, the list therefore keeps that penalty and loses the first frame predicted.
The maximum alone is taken over the whole list.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cinetrack.errors import InputError
from cinetrack.evaluation.dose import delivered_dose, planned_dose, relative_d98
from cinetrack.evaluation.frame_metrics import FrameMetrics, frame_metrics
from cinetrack.evaluation.metric_names import DISTANCES, DOSE, GEOMETRIC, SPREADS, millimetre_key


@dataclass(frozen=True, eq=False)
class CaseMetrics:
    """What one case was scored.

    Attributes:
        scores: the challenge's keys: the four geometric means with std_, min_ and max_, and the relative D98.
        millimetres: mean of each distance in mm, over the same frames as the challenge's mean.
        frames: every frame's metrics.
        target, planned: (H, W) bool; true mask and planned dose of the first frame with truth.
        delivered: (H, W) float32, relative dose.
    """

    scores: dict[str, float]
    millimetres: dict[str, float]
    frames: FrameMetrics
    target: np.ndarray
    planned: np.ndarray
    delivered: np.ndarray


def case_metrics(
    predicted: np.ndarray,
    reference: np.ndarray,
    region: str,
    spacing_mm: tuple[float, float] = (1.0, 1.0),
    label_type: np.dtype | type = np.uint8,
) -> CaseMetrics:
    """Score one case.

    Args:
        predicted, reference: (T, H, W) bool.
        region: scanned region as its file says it; "lung" widens the planned dose.
        spacing_mm: (row, column), for the metrics in millimetres.
        label_type: number type of the truth's file (see `dose`).
    Raises:
        InputError: the shapes differ, or fewer than two frames have a true mask: the first is the prompt, so
            nothing would be left to score.
    """
    frames = frame_metrics(predicted, reference, spacing_mm)
    if len(frames.frames) < 2:
        raise InputError(
            "expected a true mask on at least two frames, the prompted one and one to score, "
            f"found {len(frames.frames)}"
        )
    target = reference[frames.frames[0]]
    planned = planned_dose(target, region)
    delivered = delivered_dose(planned, frames.displacements_px, label_type)
    scores: dict[str, float] = {}
    for metric in GEOMETRIC:
        everything = challenge_list(frames, metric.key)
        scored = everything[1:]
        scores[metric.key] = float(scored.mean())
        for prefix, value in zip(SPREADS, (_deviation(scored), scored.min(), everything.max()), strict=True):
            scores[f"{prefix}_{metric.key}"] = float(value)
    scores[DOSE.key] = relative_d98(planned, delivered, target)
    millimetres = {
        key: float(challenge_list(frames, key)[1:].mean()) for key in (millimetre_key(metric) for metric in DISTANCES)
    }
    return CaseMetrics(scores, millimetres, frames, target, planned, delivered)


def challenge_list(frames: FrameMetrics, key: str) -> np.ndarray:
    """The values of one metric in the challenge's order: predicted frames, then the penalties of missed ones."""
    values = frames.values[key]
    return np.concatenate([values[~frames.missed], values[frames.missed]])


def _deviation(values: np.ndarray) -> float:
    # The deviation from an infinite mean is no number; numpy would warn of it.
    return float(values.std()) if np.isfinite(values).all() else float("nan")
