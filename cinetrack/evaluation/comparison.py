"""Compares models on the same cases: means, changes, and whether a change is more than luck.

The paper gives means and percent changes. Added here: paired Wilcoxon signed-rank tests, corrected for their number
after Holm (1979), bootstrap intervals over cases, and which cases got better or worse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import rankdata, wilcoxon

from cinetrack.errors import InputError
from cinetrack.evaluation.aggregates import runtime_aggregates
from cinetrack.evaluation.metric_names import ACCURACY, RANKED, Metric
from cinetrack.evaluation.metrics_file import MetricsFile

RESAMPLES = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class CaseChange:
    """One case's value of a metric with the baseline and with another model."""

    case_id: str
    baseline: float
    other: float


@dataclass(frozen=True)
class MetricChange:
    """One metric of one model against the baseline, over the cases where both have a finite value.

    Attributes:
        difference, interval: mean of other minus baseline, and its bootstrap interval.
        percent: change of the mean in percent of the baseline's; NaN where that is 0.
        p, p_holm: Wilcoxon signed-rank test, two-sided; raw, and corrected for all tests of the comparison.
        wins, losses, ties: cases that got better, worse, or stayed equal.
        worse: the cases that got worse, the largest change first.
    """

    metric: Metric
    cases: int
    difference: float
    interval: tuple[float, float]
    percent: float
    p: float
    p_holm: float
    wins: int
    losses: int
    ties: int
    worse: tuple[CaseChange, ...]


@dataclass(frozen=True)
class ModelSummary:
    """One model's means over the compared cases, and its place.

    Attributes:
        means, intervals: of each accuracy metric, by key, over the cases with a finite value.
        time_per_frame: seconds; None where the predictions had no timings.
        ranks: place in each ranked metric, by key; of ties, each gets the better place.
        mean_rank: what the challenge orders submissions by.
        changes: against the baseline; empty for the baseline itself.
    """

    name: str
    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    time_per_frame: float | None
    ranks: dict[str, int]
    mean_rank: float
    changes: tuple[MetricChange, ...]


@dataclass(frozen=True)
class Comparison:
    """Several models on the same cases; the baseline comes first."""

    cases: tuple[str, ...]
    left_out: tuple[str, ...]  # cases that only some of the models have
    ranked: tuple[Metric, ...]  # runtime is left out where a model has none
    models: tuple[ModelSummary, ...]


def compare_models(models: Sequence[MetricsFile], seed: int = 0) -> Comparison:
    """Compare models with the first of them, on the cases that all have.

    Args:
        models: the baseline and at least one more, with different names.
        seed: of the bootstrap.
    Raises:
        InputError: fewer than two models, two of one name, or no case in common.
    """
    names = [model.name for model in models]
    if len(models) < 2 or len(set(names)) < len(names):
        raise InputError(f"expected at least two models with different names, found {', '.join(names)}")
    everything = set().union(*(model.results for model in models))
    cases = sorted(set(models[0].results).intersection(*(model.results for model in models[1:])))
    if not cases:
        raise InputError(f"expected {', '.join(names)} to have cases in common, found none")
    resamples = np.random.default_rng(seed).integers(0, len(cases), size=(RESAMPLES, len(cases)))
    values = {
        model.name: {
            metric.key: np.array([float(model.results[case][metric.key]) for case in cases]) for metric in ACCURACY
        }
        for model in models
    }
    changes = [_changes(cases, values[names[0]], values[name], resamples) for name in names[1:]]
    corrected = iter(holm([change.p for of_model in changes for change in of_model]))
    against_baseline: list[tuple[MetricChange, ...]] = [()]
    for of_model in changes:
        against_baseline.append(tuple(replace(change, p_holm=next(corrected)) for change in of_model))
    means = {name: {key: _finite_mean(value) for key, value in values[name].items()} for name in names}
    timings = {model.name: runtime_aggregates([model.results[case] for case in cases]) for model in models}
    ranked = RANKED if all(timing["runtime"] is not None for timing in timings.values()) else ACCURACY
    # The challenge ranks by means over all cases: an infinite distance on one of them puts a model last.
    plain = [{key: float(value.mean()) for key, value in values[name].items()} for name in names]
    ranks = rank_models([row | _finite(timings[name]) for row, name in zip(plain, names, strict=True)], ranked)
    summaries = [
        ModelSummary(
            name=model.name,
            means=means[model.name],
            intervals={key: _interval(value, resamples) for key, value in values[model.name].items()},
            time_per_frame=timings[model.name]["time_per_frame"],
            ranks=place,
            mean_rank=float(np.mean(list(place.values()))),
            changes=change,
        )
        for model, place, change in zip(models, ranks, against_baseline, strict=True)
    ]
    return Comparison(tuple(cases), tuple(sorted(everything - set(cases))), tuple(ranked), tuple(summaries))


def _finite(timings: dict[str, float | None]) -> dict[str, float]:
    return {key: value for key, value in timings.items() if value is not None}


def rank_models(means: Sequence[dict[str, float]], metrics: Sequence[Metric]) -> list[dict[str, int]]:
    """Each model's place, 1 is best, in each metric. Of ties, each gets the better place; NaN comes last."""
    ranks: list[dict[str, int]] = [{} for _ in means]
    for metric in metrics:
        values = np.array([model[metric.key] for model in means], dtype=np.float64)
        cost = np.where(np.isnan(values), np.inf, -values if metric.higher_is_better else values)
        for place, rank in zip(ranks, rankdata(cost, method="min"), strict=True):
            place[metric.key] = int(rank)
    return ranks


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the smallest of m p-values times m, the next times m - 1, never decreasing."""
    order = np.argsort(p_values)
    corrected = np.empty(len(p_values))
    reached = 0.0
    for position, index in enumerate(order):
        reached = max(reached, min(1.0, (len(p_values) - position) * p_values[index]))
        corrected[index] = reached
    return corrected.tolist()


def signed_rank_p(differences: np.ndarray) -> float:
    """Two-sided p of the paired Wilcoxon signed-rank test, zeros dropped; 1 where all are zero.

    Args:
        differences: (N,) finite.
    """
    moved = differences[differences != 0]
    return float(wilcoxon(moved).pvalue) if len(moved) else 1.0


def _changes(
    cases: Sequence[str], baseline: dict[str, np.ndarray], other: dict[str, np.ndarray], resamples: np.ndarray
) -> list[MetricChange]:
    """The change of every accuracy metric, with the p-values not yet corrected."""
    changes = []
    for metric in ACCURACY:
        before, after = baseline[metric.key], other[metric.key]
        usable = np.isfinite(before) & np.isfinite(after)
        difference = np.where(usable, after, np.nan) - np.where(usable, before, np.nan)
        # Values that went through a file and back may differ in their last digit.
        moved = usable & ~np.isclose(after, before, rtol=0, atol=1e-9)
        better = moved & ((difference > 0) == metric.higher_is_better)
        worse = np.flatnonzero(moved & ~better)
        worse = worse[np.argsort(-np.abs(difference[worse]), kind="stable")]
        mean_before = before[usable].mean() if usable.any() else math.nan
        mean_difference = _finite_mean(difference)
        p = signed_rank_p(difference[moved])
        changes.append(
            MetricChange(
                metric=metric,
                cases=int(usable.sum()),
                difference=mean_difference,
                interval=_interval(difference, resamples),
                percent=100 * mean_difference / mean_before if mean_before else math.nan,
                p=p,
                p_holm=p,
                wins=int(better.sum()),
                losses=len(worse),
                ties=int(usable.sum() - moved.sum()),
                worse=tuple(CaseChange(cases[int(i)], float(before[i]), float(after[i])) for i in worse),
            )
        )
    return changes


def _finite_mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan


def _interval(values: np.ndarray, resamples: np.ndarray) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over cases; resamples of cases are shared by all metrics."""
    drawn = values[resamples]
    usable = np.isfinite(drawn)
    counts = usable.sum(axis=1)
    means = np.where(usable, drawn, 0.0).sum(axis=1)[counts > 0] / counts[counts > 0]
    if len(means) == 0:
        return math.nan, math.nan
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)
