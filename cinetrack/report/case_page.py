"""Everything the report shows of one case, as plain data for the browser.

Lengths are in mm, areas in cm2. SI is the position along rows, towards the head (row 0 is the feet's side of the
published data); AP along columns. Both are relative to the first frame's target.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cinetrack.errors import InputError
from cinetrack.evaluation.case_metrics import CaseMetrics
from cinetrack.evaluation.centroid import centroids
from cinetrack.evaluation.dataset_evaluation import CasePair, evaluate_pair, observer_failures
from cinetrack.evaluation.dose import d98
from cinetrack.evaluation.metric_names import ACCURACY, DICE, DISTANCES, millimetre_key
from cinetrack.evaluation.prediction_folder import prediction_file, read_prediction
from cinetrack.evaluation.truth import read_observers, read_truth
from cinetrack.gating.dataset_gating import gated_case
from cinetrack.report.frame_sheets import frame_sheets, windowed_8bit
from cinetrack.report.gating_section import gating_section
from cinetrack.report.outlines import outlines
from cinetrack.runs.record import PredictionRecord, read_record
from cinetrack.sequence import CaseFiles
from cinetrack.sequence.image_files import image_facts, read_series

MOST_FRAMES = 600  # of a longer series the player shows every second, third, ... frame
FRAME_SERIES = (DICE.key, *(millimetre_key(metric) for metric in DISTANCES))
DOSE_MARGIN_PX = 12


@dataclass(frozen=True)
class PageRequest:
    """One case to show: its prediction and, where there is a dataset, its images and labels."""

    case_id: str
    prediction: Path
    case: CaseFiles | None
    image_budget_bytes: int


def case_page(request: PageRequest) -> dict[str, Any]:
    """Read one case and describe it for the report.

    Raises:
        InputError: a file that is missing or unusable, or shapes that differ.
    """
    labelled = request.case if request.case is not None and request.case.labels_path is not None else None
    evaluation = None if labelled is None else evaluate_pair(CasePair(request.case_id, request.prediction, labelled))
    if request.case is not None:
        _check_shape(request.case, request.prediction)
    masks, geometry = read_prediction(request.prediction)
    record = read_record(request.prediction)
    shown = np.arange(0, len(masks), math.ceil(len(masks) / MOST_FRAMES))
    series = {"prediction": masks}
    spacing_mm = geometry.spacing_mm
    if labelled is not None and evaluation is not None:
        truth = read_truth(labelled)
        series["truth"] = truth.masks
        for name, labels in read_observers(labelled, truth.masks.shape):
            if isinstance(labels, np.ndarray) and name in evaluation.observers:
                series[f"observer {name}"] = labels
        spacing_mm = truth.spacing_mm
    first = centroids(series.get("truth", masks)[:1])[0]
    page = {
        "id": request.case_id,
        "size": masks.shape[1:],
        "frames": len(masks),
        "shown": shown.tolist(),
        "spacing_mm": spacing_mm,
        "facts": _facts(request.case, record),
        "sheets": None if request.case is None else _sheets(request.case, request, shown),
        "outlines": {name: [_flat(mask) for mask in some[shown]] for name, some in series.items()},
        "traces": {name: _trace(some, first, spacing_mm) for name, some in series.items()},
        "object_score": record.object_score or None,
        "summary": _summary(masks, first, spacing_mm, record),
    }
    if request.case is not None and len(masks) > 1:
        true_masks = series.get("truth")
        rate = request.case.frame_rate_hz()
        gated = gated_case(request.case_id, masks, spacing_mm, rate, record.object_score, true_masks)
        page["gating"] = None if gated is None else gating_section(gated)
    if evaluation is not None:
        observers = list(evaluation.observers.values())
        page |= {
            "scores": {**evaluation.metrics.scores, **evaluation.metrics.millimetres},
            "scored": _scored(evaluation.metrics),
            "band": _band(observers),
            "observer_scores": [{metric.key: one.scores[metric.key] for metric in ACCURACY} for one in observers],
            "dose": _dose(evaluation.metrics),
            "left_out": [failure.error for failure in observer_failures(evaluation)],
        }
    return page


def overview_row(page: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a page that the overview's table shows."""
    keys = ("id", "frames", "facts", "summary", "scores", "observer_scores")
    return {key: page[key] for key in keys if key in page}


def _facts(case: CaseFiles | None, record: PredictionRecord) -> dict[str, Any]:
    facts: dict[str, Any] = {"tracker": record.tracker, "bundle": record.bundle, "seconds": record.total_seconds}
    if case is not None:
        facts |= {
            "region": case.region(),
            "field_strength_t": case.field_strength_t(),
            "frame_rate_hz": case.frame_rate_hz(),
        }
    return facts


def _check_shape(case: CaseFiles, prediction: Path) -> None:
    """From the headers alone, so that what does not belong here is not inflated."""
    case.check()
    series, _ = image_facts(case.series_path, "a cine-MR series")
    found, _ = image_facts(prediction_file(prediction), "a mask")
    if series != found:
        raise InputError(
            f"{prediction}: expected a prediction of the series' {series} (frames, rows, columns), found {found}"
        )


def _sheets(case: CaseFiles, request: PageRequest, shown: np.ndarray) -> dict[str, Any]:
    frames, _ = read_series(case.series_path)
    return frame_sheets(windowed_8bit(frames[shown]), request.image_budget_bytes).as_json()


def _flat(mask: np.ndarray) -> list[list[int]]:
    return [line.ravel().tolist() for line in outlines(mask)]


def _trace(masks: np.ndarray, first: np.ndarray, spacing_mm: tuple[float, float]) -> dict[str, list[Any]]:
    moved = (centroids(masks) - first) * spacing_mm
    area = np.count_nonzero(masks, axis=(1, 2)) * spacing_mm[0] * spacing_mm[1] / 100
    return {"si": _numbers(moved[:, 0]), "ap": _numbers(moved[:, 1]), "area": _numbers(area)}


def _summary(
    masks: np.ndarray, first: np.ndarray, spacing_mm: tuple[float, float], record: PredictionRecord
) -> dict[str, float | None]:
    """What can be said of a prediction without truth, for sorting."""
    moved = (centroids(masks) - first) * spacing_mm
    known = moved[~np.isnan(moved).any(axis=1)]
    scores = [score for score in record.object_score if score is not None]
    return {
        "empty": int(len(masks) - len(known)),
        "si_range_mm": float(np.ptp(known[:, 0])) if len(known) else None,
        "ap_range_mm": float(np.ptp(known[:, 1])) if len(known) else None,
        "lowest_score": min(scores) if scores else None,
        "seconds_a_frame": record.total_seconds / len(masks) if record.total_seconds else None,
    }


def _scored(metrics: CaseMetrics) -> dict[str, list[Any]]:
    frames = metrics.frames
    return {"frame": frames.frames.tolist(), **{key: _numbers(frames.values[key]) for key in FRAME_SERIES}}


def _band(observers: list[CaseMetrics]) -> dict[str, list[Any]] | None:
    """The best and the worst observer of every labelled frame."""
    if not observers:
        return None
    together = {key: np.stack([one.frames.values[key] for one in observers]) for key in FRAME_SERIES}
    return {key: [_numbers(values.min(axis=0)), _numbers(values.max(axis=0))] for key, values in together.items()}


def _dose(metrics: CaseMetrics) -> dict[str, Any]:
    """Planned and delivered dose around the target, and their dose-volume histograms."""
    used = np.argwhere(metrics.planned | metrics.target)
    low = np.maximum(used.min(axis=0) - DOSE_MARGIN_PX, 0)
    high = np.minimum(used.max(axis=0) + DOSE_MARGIN_PX + 1, metrics.target.shape)
    window = (slice(low[0], high[0]), slice(low[1], high[1]))
    levels = np.linspace(0, 1, 101)
    planned = metrics.planned.astype(np.float32)

    def volume(dose: np.ndarray) -> list[float | None]:
        # A hair below each level: a mean of k of n frames is no exact number.
        return _numbers((dose[metrics.target][None, :] >= levels[:, None] - 1e-6).mean(axis=1))

    return {
        "origin": low.tolist(),
        "size": (high - low).tolist(),
        "planned": _bytes(planned[window]),
        "delivered": _bytes(metrics.delivered[window]),
        "target": _flat(metrics.target),
        "levels": _numbers(levels),
        "planned_volume": volume(planned),
        "delivered_volume": volume(metrics.delivered),
        "planned_d98": d98(metrics.planned.astype(np.uint8), metrics.target),
        "delivered_d98": d98(metrics.delivered, metrics.target),
    }


def _bytes(dose: np.ndarray) -> str:
    return base64.b64encode(np.rint(np.clip(dose, 0, 1) * 255).astype(np.uint8).tobytes()).decode()


def _numbers(values: np.ndarray) -> list[float | None]:
    return [round(float(value), 4) if np.isfinite(value) else None for value in values]
