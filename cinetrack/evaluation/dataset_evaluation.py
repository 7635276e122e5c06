"""Scores a folder of predictions against a dataset, case by case in parallel processes.

A case that cannot be scored is reported and left out; the others are scored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cinetrack.errors import InputError
from cinetrack.evaluation.case_metrics import CaseMetrics, case_metrics
from cinetrack.evaluation.frame_metrics import shapes_differ
from cinetrack.evaluation.prediction_folder import find_predictions, prediction_file, read_prediction
from cinetrack.evaluation.truth import Truth, read_observers, read_truth
from cinetrack.runs.failure import Failure
from cinetrack.runs.processes import in_processes
from cinetrack.runs.record import PredictionRecord, read_record
from cinetrack.sequence import CaseFiles, find_cases
from cinetrack.sequence.image_files import image_facts


@dataclass(frozen=True, eq=False)
class CaseEvaluation:
    """One scored case: its metrics, what the prediction's record says, and how well other observers do.

    Attributes:
        observers: scores of each further observer's labels, taken for a prediction.
        unusable_observers: why the labels of others could not be scored, by the observer's name.
    """

    case_id: str
    frame_count: int
    region: str
    field_strength_t: float
    frame_rate_hz: float
    spacing_mm: tuple[float, float]
    metrics: CaseMetrics
    record: PredictionRecord
    observers: dict[str, CaseMetrics] = field(default_factory=dict)
    unusable_observers: dict[str, str] = field(default_factory=dict)


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
    predictions: Path,
    dataset: Path,
    workers: int | None = None,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[CaseEvaluation], list[Failure]]:
    """Score every case that has both a prediction and a truth.

    Args:
        workers: processes; by default one for each core.
        on_case: told how many cases are scored, and how many there are.
    Returns:
        evaluations and failures, each in the order of the cases' names.
    Raises:
        InputError: either folder is missing or holds no case.
    """
    pairs, failures = pair_cases(predictions, dataset)
    evaluations, unscored = evaluate_pairs(pairs, workers, on_case)
    return evaluations, sorted(failures + unscored, key=lambda failure: failure.case_id)


def evaluate_pairs(
    pairs: list[CasePair], workers: int | None = None, on_case: Callable[[int, int], None] = lambda done, total: None
) -> tuple[list[CaseEvaluation], list[Failure]]:
    """Score the pairs in parallel processes; evaluations and failures in the pairs' order."""
    evaluations: list[CaseEvaluation] = []
    failures: list[Failure] = []
    for _, outcome in in_processes(evaluate_pair, pairs, lambda pair: pair.case_id, workers, on_case):
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            evaluations.append(outcome)
            failures += observer_failures(outcome)
    return evaluations, failures


def evaluate_pair(pair: CasePair) -> CaseEvaluation:
    """Read and score one case. Raises InputError naming the file or the case."""
    _check_shapes(pair)
    truth = read_truth(pair.truth)
    masks, _ = read_prediction(pair.prediction)
    observers, unusable = _observers(pair.truth, truth)
    return CaseEvaluation(
        case_id=pair.case_id,
        frame_count=len(truth.masks),
        region=truth.region,
        field_strength_t=truth.field_strength_t,
        frame_rate_hz=truth.frame_rate_hz,
        spacing_mm=truth.spacing_mm,
        metrics=_score(str(pair.prediction), masks, truth),
        record=read_record(pair.prediction),
        observers=observers,
        unusable_observers=unusable,
    )


def observer_failures(evaluation: CaseEvaluation) -> list[Failure]:
    """The observers of a scored case whose labels could not be used."""
    return [
        Failure(evaluation.case_id, f"observer {name} is left out: {reason}")
        for name, reason in evaluation.unusable_observers.items()
    ]


def _check_shapes(pair: CasePair) -> None:
    """From the headers alone, so that a file that does not belong here is not inflated."""
    truth, _ = image_facts(pair.truth.labels_file(), "a mask")
    predicted, _ = image_facts(prediction_file(pair.prediction), "a mask")
    if predicted != truth:
        raise InputError(f"{pair.prediction}: {shapes_differ(predicted, truth)}")


def _observers(case: CaseFiles, truth: Truth) -> tuple[dict[str, CaseMetrics], dict[str, str]]:
    scores: dict[str, CaseMetrics] = {}
    unusable: dict[str, str] = {}
    for name, labels in read_observers(case, truth.masks.shape):
        try:
            if isinstance(labels, InputError):
                raise labels
            scores[name] = _score(f"{case.folder}: observer {name}", labels, truth)
        except InputError as error:
            unusable[name] = str(error)
    return scores, unusable


def _score(whose: str, masks: np.ndarray, truth: Truth) -> CaseMetrics:
    try:
        return case_metrics(masks, truth.masks, truth.region, truth.spacing_mm, truth.number_type)
    except InputError as error:
        raise InputError(f"{whose}: {error}") from None
