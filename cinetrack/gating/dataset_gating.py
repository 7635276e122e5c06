"""Gate every case of a folder of predictions, for each margin and latency, with prediction and without.

No medical device: research and simulation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cinetrack.errors import InputError
from cinetrack.evaluation.centroid import centroids
from cinetrack.evaluation.prediction_folder import find_predictions, read_prediction
from cinetrack.evaluation.truth import read_truth
from cinetrack.gating.beam import BeamLatency, is_on
from cinetrack.gating.scores import STEP_S, gating_scores
from cinetrack.gating.simulation import NO_PREDICTION, REGRESSION, PredictedTrace, simulated_beam
from cinetrack.gating.window import DistanceWindow, ShareWindow, Window
from cinetrack.runs.record import read_record
from cinetrack.sequence import CaseFiles, find_cases
from cinetrack.sequence.image_files import image_facts

PREDICTION_MODES = {"predicted": REGRESSION, "measured": NO_PREDICTION}


@dataclass(frozen=True)
class GatingRequest:
    """What is tried.

    Attributes:
        margins_mm: of the window.
        latencies: of the beam.
        least_share: the window asks for this share of the target inside the planned one grown by the margin; None asks
            for the centroid within the margin.
        frame_rate_hz: of cases that no dataset tells it of.
    """

    margins_mm: Sequence[float]
    latencies: Sequence[BeamLatency]
    least_share: float | None = None
    frame_rate_hz: float | None = None


@dataclass(frozen=True, eq=False)
class GatedCase:
    """A case's measured path and, where there is one, the true path.

    Attributes:
        planned: (H, W) bool, the target on the first frame.
        moved_mm, true_moved_mm: (T, 2) of the centroid from its place on the first frame; NaN where it was lost.
    """

    case_id: str
    planned: np.ndarray
    spacing_mm: tuple[float, float]
    frame_rate_hz: float
    moved_mm: np.ndarray
    true_moved_mm: np.ndarray | None

    @property
    def times_s(self) -> np.ndarray:
        """(T,) acquisition of each frame."""
        return np.arange(len(self.moved_mm)) / self.frame_rate_hz

    def window(self, margin_mm: float, least_share: float | None) -> Window:
        """The gating window of a margin around this case's planned target."""
        if least_share is None:
            return DistanceWindow(margin_mm)
        return ShareWindow(self.planned, self.spacing_mm, margin_mm, least_share)


def read_gated_cases(predictions: Path, dataset: Path | None, frame_rate_hz: float | None) -> list[GatedCase]:
    """Read the cases of a folder of predictions.

    Args:
        dataset: gives the frame rate and, of labelled cases, the truth.
    Raises:
        InputError: a folder or file that is missing or unusable; a case whose frame rate nobody tells.
    """
    cases = {case.case_id: case for case in find_cases(dataset)} if dataset is not None else {}
    found = find_predictions(predictions, only_case=next(iter(cases), "prediction") if len(cases) < 2 else None)
    unknown = sorted(found.keys() - cases.keys()) if dataset is not None else []
    if unknown:
        raise InputError(f"{dataset}: expected the cases of {predictions}, found no {', '.join(unknown)}")
    return [_read(name, folder, cases.get(name), frame_rate_hz) for name, folder in sorted(found.items())]


def gate_case(case: GatedCase, request: GatingRequest) -> list[dict[str, Any]]:
    """One row for each margin, latency and mode: duty cycle, and where there is a truth all of `GatingScores`."""
    rows = []
    for mode, predictor in PREDICTION_MODES.items():
        trace = PredictedTrace(case.times_s, case.moved_mm, case.frame_rate_hz, predictor)
        for margin in request.margins_mm:
            window = case.window(margin, request.least_share)
            for latency in request.latencies:
                beam = simulated_beam(trace, window, latency)
                setting = {
                    "case": case.case_id,
                    "margin_mm": margin,
                    "latency_on_ms": round(latency.on_s * 1e3, 3),
                    "latency_off_ms": round(latency.off_s * 1e3, 3),
                    "mode": mode,
                }
                if case.true_moved_mm is None:
                    grid = np.arange(0.0, case.times_s[-1], STEP_S)
                    rows.append(setting | {"duty_cycle": float(is_on(beam, grid).mean())})
                else:
                    scores = gating_scores(beam, case.times_s, case.true_moved_mm, window)
                    rows.append(setting | dataclasses.asdict(scores))
    return rows


def mean_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of all cases averaged, one for each setting; a value that no case has is NaN."""
    settings: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    keys = ("margin_mm", "latency_on_ms", "latency_off_ms", "mode")
    for row in rows:
        settings.setdefault(tuple(row[key] for key in keys), []).append(row)
    means = []
    for setting, group in settings.items():
        values = [key for key in group[0] if key not in (*keys, "case")]
        columns = {key: np.array([row[key] for row in group if key in row], dtype=np.float64) for key in values}
        averages = {
            key: float(np.nanmean(column)) if not np.isnan(column).all() else float("nan")
            for key, column in columns.items()
        }
        means.append(dict(zip(keys, setting, strict=True)) | {"cases": len(group)} | averages)
    return means


def gated_case(
    case_id: str,
    masks: np.ndarray,
    spacing_mm: tuple[float, float],
    frame_rate_hz: float,
    object_scores: Sequence[float | None],
    true_masks: np.ndarray | None = None,
) -> GatedCase | None:
    """The path of (T, H, W) bool masks; None where neither they nor the truth show a target on the first frame.

    Args:
        object_scores: the model's, one a frame; below 0 it says itself that the target is not there.
        true_masks: (T, H, W) bool.
    """
    planned = masks[0] if true_masks is None else true_masks[0]
    if not planned.any():
        return None
    moved = _moved(masks, planned, spacing_mm)
    if len(object_scores) == len(masks):
        moved[[score is not None and score < 0 for score in object_scores]] = np.nan
    true_moved = None if true_masks is None else _moved(true_masks, planned, spacing_mm)
    return GatedCase(case_id, planned, spacing_mm, frame_rate_hz, moved, true_moved)


def _read(name: str, folder: Path, case: CaseFiles | None, frame_rate_hz: float | None) -> GatedCase:
    is_labelled = case is not None and case.labels_path is not None
    # Of the truth's header, so that a file that does not belong here is not inflated.
    shape = image_facts(case.labels_file(), "a mask")[0] if case is not None and is_labelled else None
    masks, geometry = read_prediction(folder, shape)
    if len(masks) < 2:
        raise InputError(f"{folder}: expected a prediction of two frames or more, found {len(masks)}")
    spacing, rate, true_masks = geometry.spacing_mm, frame_rate_hz, None
    if case is not None:
        rate = case.frame_rate_hz()
        if is_labelled:
            truth = read_truth(case)
            spacing, true_masks = truth.spacing_mm, truth.masks
    if rate is None:
        raise InputError(f"{folder}: expected the frame rate, found none; give --truth or --frame-rate")
    found = gated_case(name, masks, spacing, rate, read_record(folder).object_score, true_masks)
    if found is None:
        raise InputError(f"{folder}: expected a target on the first frame, found an empty mask")
    return found


def _moved(masks: np.ndarray, planned: np.ndarray, spacing_mm: tuple[float, float]) -> np.ndarray:
    return np.asarray((centroids(masks) - centroids(planned[None])[0]) * spacing_mm)
