"""Cross-validation: on each fold's held-out patients, the tracker alone against the tracker with that fold's refiner.

Whole sequences go through our pipeline (refiner, hole filling) and the challenge's metrics, as they will in use. The
tracker's masks are those that `prepare` kept, before any perturbation.

The rule for choosing among checkpoints and settings (METHOD: greatest improvement on the challenge's metrics): the
improvement of `cinetrack.evaluation.improvement`, averaged over folds and trackers. The greatest wins.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from cinetrack.bundle import Bundle
from cinetrack.bundle.checksum import sha256_of
from cinetrack.bundle.loading import refiner_as_set
from cinetrack.errors import InputError
from cinetrack.evaluation.case_processes import in_processes
from cinetrack.evaluation.comparison import Comparison, compare_models
from cinetrack.evaluation.dataset_evaluation import CasePair, Failure, evaluate_pair
from cinetrack.evaluation.improvement import improvement_percent, mean_accuracy
from cinetrack.evaluation.metrics_file import MetricsFile, metrics_document, read_metrics, write_document
from cinetrack.pipeline.model import Model
from cinetrack.pipeline.prediction_record import RECORD_NAME, Seconds, is_done, write_record
from cinetrack.pipeline.track_case import track_whole
from cinetrack.refinement import refined_in_place
from cinetrack.refiner_training.dataset_folders import DatasetFolders, patients_of, read_samples
from cinetrack.refiner_training.patient_folds import read_folds
from cinetrack.refiner_training.raw_dataset import labelled_cases, stilled_masks_path
from cinetrack.refiner_training.recorded_tracker import RecordedTracker
from cinetrack.refiner_training.trained_model import RefinerSettings, view_of
from cinetrack.refiner_training.trained_patients import check_unseen
from cinetrack.sequence import CaseFiles
from cinetrack.sequence.grand_challenge import write_output
from cinetrack.sequence.image_files import read_masks
from cinetrack.sequence.json_files import read_json
from cinetrack.tracking.motion_compensation import MotionCompensatedTracker

TRACKER_ALONE = "tracker"


@dataclass(frozen=True)
class RecordedSpec:
    """Stands where a bundle names its tracker: masks that were kept."""

    kind: str = "recorded"


@dataclass(frozen=True, eq=False)  # a key by identity: the cases hold dictionaries
class Validation:
    """One fold's held-out cases of one tracker, to be run with one refiner or none.

    Attributes:
        tracker: name of the masks' source.
        fold: number.
        cases: held out by the fold.
        settings: of the refiner; None for the tracker alone.
    """

    tracker: str
    fold: int
    cases: tuple[CaseFiles, ...]
    settings: RefinerSettings | None

    @property
    def name(self) -> str:
        """The model's name in tables."""
        return TRACKER_ALONE if self.settings is None else str(self.settings)

    def folder(self, output: Path) -> Path:
        """Where its predictions and metrics.json go."""
        return output / self.tracker / f"fold_{self.fold}" / re.sub(r"[^\w.]+", "_", self.name)


@dataclass(frozen=True)
class Candidate:
    """A candidate's improvement by the rule, in percent, with what it is the mean of."""

    settings: RefinerSettings
    improvement: float
    by_fold: dict[str, dict[str, float]]  # tracker -> fold -> percent


def plan_validations(
    folders: DatasetFolders,
    models: Path,
    datasets: Sequence[Path],
    candidates: Sequence[RefinerSettings],
    folds: Sequence[int] | None = None,
    trackers: Sequence[str] | None = None,
) -> list[Validation]:
    """What there is to run: for each tracker and fold the tracker alone, then every candidate.

    Args:
        models: nnU-Net's trained-model folder.
        datasets: those that were prepared.
        folds: numbers; None for all that have the candidates' checkpoints.
        trackers: names; None for all that were prepared.
    Raises:
        InputError: a prepared case is not in the datasets, a fold is not trained or has seen the patients it holds
            out, there is no tracker of a name, or a candidate's settings are out of range.
    """
    samples = read_samples(folders.raw)
    prepared = {sample["case"] for sample in samples.values()}
    cases = [case for case in labelled_cases(datasets) if case.case_id in prepared]
    absent = sorted(prepared - {case.case_id for case in cases})
    if absent:
        raise InputError(f"--data: expected every case that was prepared, found none named {absent[0]}")
    held_out = read_folds(folders.raw / "folds.json", set(patients_of(samples).values()))
    checkpoints = dict.fromkeys(candidate.checkpoint for candidate in candidates)
    trained = _trained_folds(models, len(held_out), list(checkpoints))
    for candidate in candidates:
        candidate.spec("refiner", (0,), view_of(models))  # raises for a setting out of range
    untrained = sorted(set(folds or ()) - set(trained), key=str)
    if untrained:
        raise InputError(f"--folds: expected trained folds ({', '.join(map(str, trained))}), found {untrained[0]}")
    names = sorted({sample["tracker"] for sample in samples.values()})
    unknown = sorted(set(trackers or ()) - set(names))
    if unknown:
        raise InputError(f"--model: expected names of {', '.join(names)}, found {unknown[0]}")
    planned = []
    for tracker in dict.fromkeys(trackers or names):
        for fold in dict.fromkeys(folds or trained):
            check_unseen(models / f"fold_{fold}", held_out[fold])
            of_fold = tuple(case for case in cases if case.patient_id in held_out[fold])
            planned += [Validation(tracker, fold, of_fold, settings) for settings in (None, *candidates)]
    return planned


def predict(
    validation: Validation, raw: Path, model_folder: Path, output: Path, device: torch.device, dtype: torch.dtype
) -> Iterator[str]:
    """Run a validation's cases, but those that are done; yields each case's id when it is.

    Raises:
        InputError: masks are missing or of another shape; the predictions there are of another model.
    """
    folder = validation.folder(output)
    settings, refiner, weights, spec = validation.settings, None, "", None
    if settings is not None:
        weights = sha256_of(model_folder / f"fold_{validation.fold}" / settings.checkpoint)
        spec = settings.spec("refiner", (validation.fold,), view_of(model_folder))
    for case in validation.cases:
        record_path = raw / "tracked" / validation.tracker / f"{case.case_id}.json"
        record = read_json(record_path)
        masks, _ = read_masks(record_path.with_suffix(".mha"))
        digest = hashlib.sha256(f"{record['bundle_fingerprint']} {weights} {validation.name}".encode()).hexdigest()
        bundle = Bundle(model_folder, validation.name, RecordedSpec(), None, digest)
        model = Model(bundle, RecordedTracker(validation.tracker, masks), None, str(device))
        if not is_done(folder / case.case_id, model):
            if spec is not None and refiner is None:
                refiner = refiner_as_set(model_folder, spec, device, dtype)
            if refiner is not None and spec.region_px is not None:
                stilled, _ = read_masks(stilled_masks_path(record_path))
                in_place = MotionCompensatedTracker(RecordedTracker(validation.tracker, stilled))
                tracker = refined_in_place(in_place, refiner, spec.region_px, spec.outline_weight)
                ready = replace(model, tracker=tracker)
            else:
                ready = replace(model, refiner=refiner)
            _predict_case(case, folder / case.case_id, ready, masks.shape, record["tracking_s"])
        yield case.case_id


def _predict_case(case: CaseFiles, folder: Path, model: Model, shape: tuple[int, ...], tracking_s: float) -> None:
    """Write a case's masks and record. `tracking_s`: seconds when the masks were made; playing them back takes none."""
    began = perf_counter()
    loaded = case.read_case()
    found = loaded.case.sequence.frames.shape
    if found != shape:
        raise InputError(f"{case.series_path}: expected the frames that were prepared, {shape}, found {found}")
    loading_s = perf_counter() - began
    tracked = track_whole(loaded.case, model.tracker, model.refiner)
    tracked.tracking_s = tracking_s
    (folder / RECORD_NAME).unlink(missing_ok=True)
    began = perf_counter()
    write_output(folder, tracked.masks, loaded.geometry)
    seconds = Seconds(loading_s, tracking_s, tracked.refining_s, perf_counter() - began)
    write_record(folder, case.case_id, model, tracked, seconds)


def score(validation: Validation, output: Path, workers: int | None = None) -> tuple[MetricsFile, list[Failure]]:
    """Score a validation's predictions and write its metrics.json.

    Returns:
        The metrics, and the cases that could not be scored.
    Raises:
        InputError: none could.
    """
    folder = validation.folder(output)
    pairs = [CasePair(case.case_id, folder / case.case_id, case) for case in validation.cases]
    evaluations, failures = [], []
    for pair, outcome in zip(pairs, in_processes(evaluate_pair, pairs, workers)):
        if isinstance(outcome, InputError):
            failures.append(Failure(pair.case_id, str(outcome)))
        else:
            evaluations.append(outcome)
    if not evaluations:
        raise InputError(f"{folder}: expected a case that can be scored, found {failures[0].error}")
    write_document(folder / "metrics.json", metrics_document(evaluations, failures))
    return read_metrics(folder / "metrics.json", validation.name), failures


def compare(scores: Mapping[Validation, MetricsFile], seed: int = 0) -> dict[str, Comparison]:
    """For each tracker, the tracker alone and every candidate over all folds: each case once, by the fold that held it
    out."""
    comparisons = {}
    for tracker in dict.fromkeys(validation.tracker for validation in scores):
        pooled: dict[str, dict[str, Any]] = {}
        for validation, metrics in scores.items():
            if validation.tracker == tracker:
                pooled.setdefault(validation.name, {}).update(metrics.results)
        comparisons[tracker] = compare_models([MetricsFile(name, rows) for name, rows in pooled.items()], seed)
    return comparisons


def rank_candidates(scores: Mapping[Validation, MetricsFile]) -> list[Candidate]:
    """The candidates by the rule, the best first."""
    baselines = {(v.tracker, v.fold): metrics for v, metrics in scores.items() if v.settings is None}
    gains: dict[RefinerSettings, dict[str, dict[str, float]]] = {}
    for validation, metrics in scores.items():
        if validation.settings is not None:
            baseline = baselines[validation.tracker, validation.fold]
            before, after = (mean_accuracy(found.results.values()) for found in (baseline, metrics))
            gain = improvement_percent(before, after)
            gains.setdefault(validation.settings, {}).setdefault(validation.tracker, {})[str(validation.fold)] = gain
    ranked = []
    for settings, by_fold in gains.items():
        values = [gain for folds in by_fold.values() for gain in folds.values()]
        ranked.append(Candidate(settings, float(np.mean(values)), by_fold))
    return sorted(ranked, key=lambda candidate: -candidate.improvement)


def ranking_document(ranked: Sequence[Candidate]) -> str:
    """The ranking as json, the best settings first. None is chosen where none improves on the tracker alone."""
    rows = [
        {
            "settings": str(candidate.settings),
            "checkpoint": candidate.settings.checkpoint,
            "tile_step_size": candidate.settings.tile_step_size,
            "mirroring": candidate.settings.mirroring,
            "reach_px": candidate.settings.reach_px,
            "confidence": candidate.settings.confidence,
            "outline_weight": candidate.settings.outline_weight,
            "improvement_percent": candidate.improvement if math.isfinite(candidate.improvement) else None,
            "by_tracker_and_fold": candidate.by_fold,
        }
        for candidate in ranked
    ]
    chosen = rows[0]["settings"] if ranked[0].improvement > 0 else None
    return json.dumps({"chosen": chosen, "candidates": rows}, indent=1) + "\n"


def _trained_folds(model_folder: Path, folds: int, checkpoints: Sequence[str]) -> list[int]:
    found = [
        fold
        for fold in range(folds)
        if all((model_folder / f"fold_{fold}" / checkpoint).exists() for checkpoint in checkpoints)
    ]
    if not found:
        raise InputError(f"{model_folder}: expected a fold with {' and '.join(checkpoints)}, found none")
    return found
