"""Masks in memory against one case's true labels, without a folder of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cinetrack.errors import InputError
from cinetrack.evaluation.case_metrics import CaseMetrics, case_metrics
from cinetrack.evaluation.truth import read_truth
from cinetrack.sequence import CaseFiles, find_cases


def evaluate_case(predicted: np.ndarray | Sequence[np.ndarray], case: CaseFiles | Path | str) -> CaseMetrics:
    """Score masks with the TrackRAD2025 metrics; the same numbers as `cinetrack evaluate` gives for this case.

    Args:
        predicted: (T, H, W) bool, or one (H, W) mask for each frame. The first frame holds the given mask.
        case: a labelled case: one of `find_cases`, or the folder of a patient with one series.
    Returns:
        `scores` maps each metric's name to its value over the scored frames.
    Raises:
        InputError: there are no labels, the shapes differ, or nothing is left to score.

    Examples:
        >>> case = find_cases("examples/data")[0]
        >>> perfect = evaluate_case(case.read_labels(), case)
        >>> perfect.scores["dice_similarity_coefficient"]
        1.0
    """
    files = case if isinstance(case, CaseFiles) else _only_series(Path(case))
    truth = read_truth(files)
    masks = np.asarray(predicted, dtype=bool)
    try:
        return case_metrics(masks, truth.masks, truth.region, truth.spacing_mm, truth.number_type)
    except InputError as error:
        raise InputError(f"{files.folder}: {error}") from None


def _only_series(folder: Path) -> CaseFiles:
    labelled = [case for case in find_cases(folder) if case.labels_path is not None]
    if len(labelled) != 1:
        names = ", ".join(case.case_id for case in labelled) or "none"
        raise InputError(f"{folder}: expected one case with labels of every frame, found {names}")
    return labelled[0]
