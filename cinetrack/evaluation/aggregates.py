"""Means over cases: the challenge's `aggregates`, and the same by region and field strength."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cinetrack.evaluation.metric_names import ACCURACY, RUNTIME_AGGREGATES


def aggregate(results: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """The challenge's aggregates of its per-case results.

    Args:
        results: at least one; `total_runtime` in seconds may be None.
    Returns:
        The five mean metrics and the four of the runtime, which are None where a case has no runtime.
    """
    means = mean_of_each([metric.key for metric in ACCURACY], results)
    return {**means, **runtime_aggregates(results)}


def mean_of_each(keys: Iterable[str], rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each key over the rows; NaN where any row's value is."""
    return {key: float(np.mean([row[key] for row in rows])) for key in keys}


def runtime_aggregates(results: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Loading time and time per frame: intercept and slope of a line through (frames, total seconds).

    With fewer than two different frame counts no line is determined; numpy.polyfit then gives the smallest
    coefficients that fit, and so does the challenge.
    """
    runtimes = [float(seconds) for result in results if (seconds := result.get("total_runtime")) is not None]
    if len(runtimes) < len(results):
        return dict.fromkeys(RUNTIME_AGGREGATES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.RankWarning)
        time_per_frame, loading_time = np.polyfit([result["frame_count"] for result in results], runtimes, 1)
    values = (np.mean(runtimes) - loading_time, loading_time, time_per_frame, sum(runtimes))
    return {key: float(value) for key, value in zip(RUNTIME_AGGREGATES, values, strict=True)}


def breakdown(
    rows: Sequence[Mapping[str, Any]], group_of: Callable[[Mapping[str, Any]], str], keys: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Number of cases and mean of each key for every group of rows, groups in alphabetical order."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(group_of(row), []).append(row)
    return {name: {"cases": len(found), **mean_of_each(keys, found)} for name, found in sorted(groups.items())}
