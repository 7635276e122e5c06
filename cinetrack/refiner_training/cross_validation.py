"""Cross-validation: on each fold's held-out patients, the tracker alone against the tracker with that fold's refiner.

What is run is the bundle that `cinetrack refiner bundle` would make of the fold with the same settings, on whole
sequences and with the challenge's metrics, as it will be in use.

The rule for choosing among checkpoints and settings (METHOD: greatest improvement on the challenge's metrics): the
improvement of `cinetrack.evaluation.improvement`, averaged over folds and trackers. The greatest wins.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cinetrack.bundle import Bundle, find_bundle, open_bundle
from cinetrack.bundle.checksum import sha256_of
from cinetrack.errors import InputError
from cinetrack.evaluation.comparison import Comparison, compare_models
from cinetrack.evaluation.dataset_evaluation import CaseEvaluation, CasePair, evaluate_pairs
from cinetrack.evaluation.improvement import improvement_percent, mean_accuracy
from cinetrack.evaluation.metrics_file import MetricsFile, metrics_document, read_metrics, write_document
from cinetrack.pipeline.model import load_model
from cinetrack.refiner_training.dataset_folders import DatasetFolders, patients_of, read_samples
from cinetrack.refiner_training.patient_folds import read_folds
from cinetrack.refiner_training.raw_dataset import labelled_cases, read_case_record
from cinetrack.refiner_training.trained_model import RefinerSettings, bundle_refiner, view_of
from cinetrack.refiner_training.trained_patients import check_unseen
from cinetrack.runs.failure import Failure
from cinetrack.runs.jobs import run_jobs, unfinished
from cinetrack.runs.prediction import PendingCase, PredictionJob
from cinetrack.runs.progress import Progress
from cinetrack.sequence import CaseFiles
from cinetrack.sequence.drafts import draft_folder, remove_dead_drafts

TRACKER_ALONE, POOLED = "tracker", "all_folds"


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
        return output / self.tracker / f"fold_{self.fold}" / self._plain_name

    def pooled_metrics(self, output: Path) -> Path:
        """Where the metrics of the same model on the held-out cases of all folds go, beside the folds'."""
        return output / self.tracker / POOLED / self._plain_name / "metrics.json"

    @property
    def _plain_name(self) -> str:
        return re.sub(r"[^\w.]+", "_", self.name)


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
    folds: Sequence[int | str] | None = None,
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
        candidate.stage((0,), view_of(models))  # raises for a setting out of range
    untrained = sorted(set(folds or ()) - set(trained), key=str)
    if untrained:
        raise InputError(f"--folds: expected trained folds ({', '.join(map(str, trained))}), found {untrained[0]}")
    names = sorted({sample["tracker"] for sample in samples.values()})
    unknown = sorted(set(trackers or ()) - set(names))
    if unknown:
        raise InputError(f"--tracker: expected names of {', '.join(names)}, found {unknown[0]}")
    planned = []
    for tracker in dict.fromkeys(trackers or names):
        for fold in (fold for fold in trained if folds is None or fold in folds):
            check_unseen(models / f"fold_{fold}", held_out[fold])
            of_fold = tuple(case for case in cases if case.patient_id in held_out[fold])
            planned += [Validation(tracker, fold, of_fold, settings) for settings in (None, *candidates)]
    return planned


class TrackerBundles:
    """The bundles that `prepare` tracked with, found by their fingerprint where they lay then, or among those given."""

    def __init__(self, raw: Path, given: Sequence[Path] = ()) -> None:
        self._raw = raw
        self._found = {bundle.fingerprint: bundle for bundle in map(find_bundle, given)}

    def of(self, validation: Validation) -> Bundle:
        """The bundle that has not seen the validation's patients.

        Raises:
            InputError: its cases were prepared with different bundles, or the bundle is gone.
        """
        records = [read_case_record(self._raw, validation.tracker, case.case_id) for case in validation.cases]
        fingerprints = {record["bundle_fingerprint"] for record in records}
        if len(fingerprints) != 1:
            names = ", ".join(case.case_id for case in validation.cases)
            raise InputError(f"fold {validation.fold}: expected {names} to be prepared with one bundle, found several")
        (wanted,) = fingerprints
        folder = records[0].get("bundle_folder")  # older records do not have it
        if wanted not in self._found and folder is not None and Path(folder).is_dir():
            bundle = open_bundle(Path(folder))
            self._found[bundle.fingerprint] = bundle
        if wanted not in self._found:
            raise InputError(
                f"--model: expected the bundle {records[0]['bundle']} with which {validation.tracker} was prepared, "
                f"found it neither there nor where it was then ({folder or 'not noted'})"
            )
        return self._found[wanted]


def predict(
    validation: Validation,
    tracker: Bundle,
    model_folder: Path,
    output: Path,
    device: str,
    progress: Progress,
    before: int = 0,
    after: int = 0,
) -> list[Failure]:
    """Run a validation's cases, but those that are done; returns those that failed.

    Args:
        tracker: the bundle whose tracker it is.
        before, after: cases of the same progress before these and after them.
    Raises:
        OtherModelError: the predictions there are of another model.
    """
    folder = validation.folder(output)
    weights = ""
    if validation.settings is not None:
        weights = sha256_of(model_folder / f"fold_{validation.fold}" / validation.settings.checkpoint)
    digest = hashlib.sha256(f"{tracker.fingerprint} {weights} {validation.name}".encode()).hexdigest()
    jobs = [
        PredictionJob(PendingCase(case.case_id, case.read_case), folder / case.case_id, validation.name, digest)
        for case in validation.cases
    ]
    pending = unfinished(jobs)
    if not pending:
        remove_dead_drafts(folder / "bundle")  # of a run that was killed after its last case
        return []
    with draft_folder(folder / "bundle") as draft:
        bundle = dataclasses.replace(tracker, method=tracker.method.tracker())
        if validation.settings is not None:  # what its users would make
            made = draft / "bundle"
            bundle = bundle_refiner(model_folder, [validation.fold], validation.settings, str(tracker.folder), made)
        model = load_model(bundle, device)
        named = dataclasses.replace(model.bundle, name=validation.name, fingerprint=digest)
        done = len(jobs) - len(pending)
        return run_jobs(pending, dataclasses.replace(model, bundle=named), progress, before + done, after)


def score(
    validation: Validation, output: Path, unpredicted: Sequence[Failure] = (), workers: int | None = None
) -> tuple[list[CaseEvaluation], list[Failure]]:
    """Score a validation's predictions and write its metrics.json.

    Args:
        unpredicted: its cases without prediction.
    Returns:
        The scored cases, and those that could not be scored.
    Raises:
        InputError: none could.
    """
    folder = validation.folder(output)
    missing = {failure.case_id for failure in unpredicted}
    pairs = [
        CasePair(case.case_id, folder / case.case_id, case) for case in validation.cases if case.case_id not in missing
    ]
    evaluations, unscored = evaluate_pairs(pairs, workers)
    failures = [*unpredicted, *unscored]
    if not evaluations:
        raise InputError(f"{folder}: expected a case that can be scored, found {failures[0].error}")
    write_document(folder / "metrics.json", metrics_document(evaluations, failures))
    return evaluations, failures


def write_pooled(
    scored: Mapping[Validation, tuple[list[CaseEvaluation], list[Failure]]], output: Path
) -> dict[str, list[MetricsFile]]:
    """Write one metrics.json for each tracker and model over all folds: each case once, by the fold that held it out.

    Returns:
        For each tracker, the metrics of the tracker alone and of every candidate.
    """
    pooled: dict[str, list[MetricsFile]] = {}
    for validation in scored:
        path = validation.pooled_metrics(output)
        if any(metrics.name == validation.name for metrics in pooled.get(validation.tracker, [])):
            continue
        same = [found for other, found in scored.items() if other.pooled_metrics(output) == path]
        evaluations = sorted((one for found, _ in same for one in found), key=lambda one: one.case_id)
        write_document(path, metrics_document(evaluations, [failure for _, failures in same for failure in failures]))
        pooled.setdefault(validation.tracker, []).append(read_metrics(path, validation.name))
    return pooled


def compare(pooled: Mapping[str, Sequence[MetricsFile]], seed: int = 0) -> dict[str, Comparison]:
    """For each tracker, the tracker alone and every candidate over all folds."""
    return {tracker: compare_models(list(metrics), seed) for tracker, metrics in pooled.items()}


def metrics_of(
    scored: Mapping[Validation, tuple[list[CaseEvaluation], list[Failure]]], output: Path
) -> dict[Validation, MetricsFile]:
    """What `score` wrote, fold by fold."""
    return {
        validation: read_metrics(validation.folder(output) / "metrics.json", validation.name) for validation in scored
    }


def rank_candidates(scores: Mapping[Validation, MetricsFile]) -> list[Candidate]:
    """The candidates by the rule, the best first."""
    baselines = {(v.tracker, v.fold): metrics for v, metrics in scores.items() if v.settings is None}
    gains: dict[RefinerSettings, dict[str, dict[str, float]]] = {}
    for validation, metrics in scores.items():
        if validation.settings is not None:
            baseline = baselines[validation.tracker, validation.fold].results
            both = sorted(baseline.keys() & metrics.results.keys())  # a case may have failed with one of the two
            before, after = (mean_accuracy([rows[case] for case in both]) for rows in (baseline, metrics.results))
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
            **dataclasses.asdict(candidate.settings),
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
