"""Scores a folder of predictions against a dataset, case by case in parallel processes.

A case that cannot be scored is reported and left out; the others are scored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cinetrack.errors import InputError
from cinetrack.evaluation.case_metrics import CaseMetrics, case_metrics
from cinetrack.evaluation.case_processes import in_processes
from cinetrack.evaluation.prediction_folder import PredictionLog, find_predictions, read_log, read_prediction
from cinetrack.evaluation.truth import Truth, read_observers, read_truth
from cinetrack.sequence import CaseFiles, find_cases


@dataclass(frozen=True, eq=False)
class CaseEvaluation:
    """One scored case: its metrics, what the prediction's log says, and how well other observers do.

    Attributes:
        observers: scores of each further observer's labels, taken for a prediction.
    """

    case_id: str
    frame_count: int
    region: str
    field_strength_t: float
    frame_rate_hz: float
    spacing_mm: tuple[float, float]
    metrics: CaseMetrics
    log: PredictionLog
    observers: dict[str, CaseMetrics] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A case that could not be used and why, in one line."""

    case_id: str
    error: str


@dataclass(frozen=True)
class CasePair:
    """A case's prediction and its truth."""

    case_id: str
    prediction: Path
    truth: CaseFiles


def pair_cases(predictions: Path, dataset: Path) -> tuple[list[CasePair], list[Failure]]:
    """Match predictions and labelled cases by name.

    Returns:
        pairs, and a failure for every labelled case without prediction and every prediction without truth.
    Raises:
        InputError: either folder is missing or holds no case.
    """
    cases = {case.case_id: case for case in find_cases(dataset)}
    labelled = {name for name, case in cases.items() if case.labels_path is not None}
    found = find_predictions(predictions, only_case=next(iter(labelled)) if len(labelled) == 1 else None)
    failures = [
        Failure(name, f"{predictions / name}: expected a prediction for the labelled case {name}, found none")
        for name in sorted(labelled - found.keys())
    ] + [
        Failure(name, f"{folder}: expected labels of case {name} in {dataset}, found none")
        for name, folder in sorted(found.items())
        if name not in labelled
    ]
    return [CasePair(name, found[name], cases[name]) for name in sorted(labelled & found.keys())], failures


def evaluate_dataset(
    predictions: Path, dataset: Path, workers: int | None = None
) -> tuple[list[CaseEvaluation], list[Failure]]:
    """Score every case that has both a prediction and a truth.

    Args:
        workers: processes; by default one for each core.
    Returns:
        evaluations and failures, each in the order of the cases' names.
    Raises:
        InputError: either folder is missing or holds no case.
    """
    pairs, failures = pair_cases(predictions, dataset)
    evaluations = []
    for pair, outcome in zip(pairs, in_processes(evaluate_pair, pairs, workers), strict=True):
        if isinstance(outcome, InputError):
            failures.append(Failure(pair.case_id, str(outcome)))
        else:
            evaluations.append(outcome)
    return evaluations, sorted(failures, key=lambda failure: failure.case_id)


def evaluate_pair(pair: CasePair) -> CaseEvaluation:
    """Read and score one case. Raises InputError naming the file or the case."""
    truth = read_truth(pair.truth)
    masks, _ = read_prediction(pair.prediction)
    log = read_log(pair.prediction)
    return CaseEvaluation(
        case_id=pair.case_id,
        frame_count=len(truth.masks),
        region=truth.region,
        field_strength_t=truth.field_strength_t,
        frame_rate_hz=truth.frame_rate_hz,
        spacing_mm=truth.spacing_mm,
        metrics=_score(str(pair.prediction), masks, truth),
        log=log,
        observers={
            name: _score(f"{pair.truth.folder}: observer {name}", labels, truth)
            for name, labels in read_observers(pair.truth)
        },
    )


def _score(whose: str, masks: np.ndarray, truth: Truth) -> CaseMetrics:
    try:
        return case_metrics(masks, truth.masks, truth.region, truth.spacing_mm, truth.number_type)
    except InputError as error:
        raise InputError(f"{whose}: {error}") from None
