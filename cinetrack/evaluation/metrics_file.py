"""metrics.json and the per-frame table: how evaluations are written, and how the metrics are read back.

`results` and `aggregates` hold the challenge's keys and nothing else. What the challenge does not compute is in one
further entry, `cinetrack`. As in the challenge's own file, a value that is no number is written NaN or Infinity, which
Python reads and strict json parsers do not; it takes a target of a few pixels or a very wide image to get one.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cinetrack
from cinetrack.errors import InputError
from cinetrack.evaluation.aggregates import aggregate, breakdown, mean_of_each
from cinetrack.evaluation.case_metrics import CaseMetrics
from cinetrack.evaluation.dataset_evaluation import CaseEvaluation
from cinetrack.evaluation.metric_names import ACCURACY, DISTANCES, GEOMETRIC, millimetre_key
from cinetrack.runs.failure import Failure
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.json_files import read_json

ACCURACY_KEYS = tuple(metric.key for metric in ACCURACY)
MILLIMETRE_KEYS = tuple(millimetre_key(metric) for metric in DISTANCES)
FRAME_COLUMNS = (
    "case_id",
    "frame",
    "time_s",
    "prediction_empty",
    *(metric.key for metric in GEOMETRIC),
    *MILLIMETRE_KEYS,
    "displacement_si_mm",
    "displacement_ap_mm",
)


@dataclass(frozen=True)
class MetricsFile:
    """The part of a metrics.json that comparisons need: a model's name and its results by case."""

    name: str
    results: dict[str, Mapping[str, Any]]


def metrics_document(evaluations: Sequence[CaseEvaluation], failures: Sequence[Failure]) -> dict[str, Any]:
    """The content of metrics.json for at least one scored case."""
    results = [_result(evaluation) for evaluation in evaluations]
    wide_rows = [
        {**result, **evaluation.metrics.millimetres} for result, evaluation in zip(results, evaluations, strict=True)
    ]
    facts = {evaluation.case_id: evaluation for evaluation in evaluations}
    keys = (*ACCURACY_KEYS, *MILLIMETRE_KEYS)
    return {
        "results": results,
        "aggregates": aggregate(results),
        "cinetrack": {
            "version": cinetrack.__version__,
            "aggregates_mm": mean_of_each(MILLIMETRE_KEYS, wide_rows),
            "by_region": breakdown(wide_rows, lambda row: facts[row["case_id"]].region, keys),
            "by_field_strength": breakdown(
                wide_rows, lambda row: f"{facts[row['case_id']].field_strength_t:g} T", keys
            ),
            "human_ceiling": human_ceiling(evaluations),
            "cases": {evaluation.case_id: _details(evaluation) for evaluation in evaluations},
            "failures": [failure.as_json() for failure in failures],
        },
    }


def human_ceiling(evaluations: Sequence[CaseEvaluation]) -> dict[str, Any] | None:
    """How well people agree with the truth, and the model on the same cases; None where no case has more observers."""
    observed = [evaluation for evaluation in evaluations if evaluation.observers]
    if not observed:
        return None
    people = [mean_of_each(ACCURACY_KEYS, [m.scores for m in case.observers.values()]) for case in observed]
    return {
        "cases": len(observed),
        "observers": mean_of_each(ACCURACY_KEYS, people),
        "model": mean_of_each(ACCURACY_KEYS, [case.metrics.scores for case in observed]),
    }


def frame_table(evaluations: Sequence[CaseEvaluation]) -> str:
    """CSV of every labelled frame, the prompted one too; displacements are predicted minus true centroid.

    SI runs along rows towards the head (row 0 is the feet's side), AP along columns.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FRAME_COLUMNS)
    for evaluation in evaluations:
        frames = evaluation.metrics.frames
        displacements_mm = frames.displacements_px * evaluation.spacing_mm
        for i, frame in enumerate(frames.frames):
            writer.writerow(
                [
                    evaluation.case_id,
                    frame,
                    f"{frame / evaluation.frame_rate_hz:.4f}",
                    int(frames.missed[i]),
                    *(f"{frames.values[metric.key][i]:.6g}" for metric in GEOMETRIC),
                    *(f"{frames.values[key][i]:.6g}" for key in MILLIMETRE_KEYS),
                    *("" if np.isnan(value) else f"{value:.6g}" for value in displacements_mm[i]),
                ]
            )
    return text.getvalue()


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write metrics.json, atomically."""
    write_text_atomically(path, json.dumps(document, indent=2) + "\n")


def read_metrics(path: Path, name: str | None = None) -> MetricsFile:
    """Read a metrics.json of `cinetrack evaluate` or of the challenge itself.

    Args:
        name: of the model; by default the file's, or its folder's where the file is called metrics.json.
    Raises:
        InputError: no such file, no json, or entries missing.
    """
    content = read_json(path)
    if not isinstance(content, Mapping) or not isinstance(content.get("results"), list) or not content["results"]:
        raise InputError(f"{path}: expected metrics with a non-empty list of results, found none")
    results: dict[str, Mapping[str, Any]] = {}
    for row in content["results"]:
        missing = [key for key in ("case_id", *ACCURACY_KEYS) if not isinstance(row, Mapping) or row.get(key) is None]
        if missing:
            raise InputError(f"{path}: expected every result to have {', '.join(missing)}, found one without")
        wrong = [key for key in ACCURACY_KEYS if not _is_number(row[key])]
        if row.get("total_runtime") is not None:
            wrong += [key for key in ("total_runtime", "frame_count") if not _is_number(row.get(key))]
        if wrong:
            raise InputError(f"{path}: expected {wrong[0]} to be a number, found {row.get(wrong[0])!r}")
        results[str(row["case_id"])] = row
    if len(results) != len(content["results"]):
        raise InputError(f"{path}: expected each case once, found a case twice")
    return MetricsFile(name or _name_of(path), results)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _name_of(path: Path) -> str:
    return path.resolve().parent.name if path.stem == "metrics" else path.stem


def _result(evaluation: CaseEvaluation) -> dict[str, Any]:
    return {
        "case_id": evaluation.case_id,
        **evaluation.metrics.scores,
        "total_runtime": evaluation.record.total_seconds,
        "frame_count": evaluation.frame_count,
    }


def _details(evaluation: CaseEvaluation) -> dict[str, Any]:
    frames = evaluation.metrics.frames
    details: dict[str, Any] = {
        "region": evaluation.region,
        "field_strength_t": evaluation.field_strength_t,
        "frame_rate_hz": evaluation.frame_rate_hz,
        "spacing_mm": list(evaluation.spacing_mm),
        "labelled_frames": len(frames.frames),
        "empty_predictions": int(frames.missed.sum()),
        "tracker": evaluation.record.tracker,
        "bundle": evaluation.record.bundle,
        "stage_seconds": dict(evaluation.record.stage_seconds),
        **evaluation.metrics.millimetres,
    }
    if evaluation.observers:
        details["observers"] = {name: _accuracy(metrics) for name, metrics in evaluation.observers.items()}
    if evaluation.unusable_observers:
        details["unusable_observers"] = dict(evaluation.unusable_observers)
    return details


def _accuracy(metrics: CaseMetrics) -> dict[str, float]:
    return {key: metrics.scores[key] for key in ACCURACY_KEYS}
