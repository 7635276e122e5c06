"""The HTML report: an overview page and one data file a case, which a browser opens from disk without a network.

<report>/index.html           overview, player and plots; styles and scripts inside
<report>/cases/<case>.js      a case's frames, outlines and numbers, loaded when the case is opened
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import cinetrack
from cinetrack.errors import InputError
from cinetrack.evaluation.metric_names import ACCURACY, DISTANCES, millimetre_key
from cinetrack.evaluation.prediction_folder import find_predictions
from cinetrack.report.case_page import PageRequest, case_page, overview_row
from cinetrack.runs.failure import Failure
from cinetrack.runs.processes import in_processes
from cinetrack.sequence import find_cases
from cinetrack.sequence.atomic_write import write_text_atomically

IMAGE_BUDGET_BYTES = 50_000_000  # of all cases; a third more as base64, so that 50 cases stay below 100 MB
MOST_BYTES_A_CASE = 4_000_000

_PAGE, _STYLE, _SCRIPTS = "report.html", "report.css", ("charts.js", "player.js", "dose.js", "gate.js", "report.js")


def write_report(
    predictions: Path,
    dataset: Path | None,
    output: Path,
    workers: int | None = None,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[str], list[Failure]]:
    """Write a report of a folder of predictions.

    Args:
        dataset: the cases' images, and their labels where there are any; None shows the predictions alone.
        workers: processes; by default one for each core.
        on_case: told how many pages are written, and how many there are.
    Returns:
        The names of the cases shown, and those that could not be.
    Raises:
        InputError: a folder is missing or holds no case, or no case can be shown.
    """
    requests, failures = _requests(predictions, dataset)
    rows = []
    for request, page in in_processes(case_page, requests, lambda request: request.case_id, workers, on_case):
        if isinstance(page, Failure):
            failures.append(page)
            continue
        failures += [Failure(request.case_id, error) for error in page.pop("left_out", [])]
        write_text_atomically(output / "cases" / f"{request.case_id}.js", f"showCase({_json(page)});\n")
        rows.append(overview_row(page))
    if not rows:
        reasons = "; ".join(failure.error for failure in failures)
        raise InputError(f"{predictions}: expected at least one case that can be shown, found none ({reasons})")
    write_text_atomically(output / "index.html", _index(predictions.resolve().name, rows, failures))
    return [row["id"] for row in rows], failures


def _requests(predictions: Path, dataset: Path | None) -> tuple[list[PageRequest], list[Failure]]:
    cases = {case.case_id: case for case in find_cases(dataset)} if dataset is not None else {}
    found = find_predictions(predictions, only_case=next(iter(cases), "prediction") if len(cases) < 2 else None)
    budget = min(MOST_BYTES_A_CASE, IMAGE_BUDGET_BYTES // len(found))
    failures = [
        Failure(name, f"{predictions / name}: expected a prediction for the labelled case {name}, found none")
        for name, case in sorted(cases.items())
        if name not in found and case.labels_path is not None
    ]
    requests = []
    for name, folder in sorted(found.items()):
        if dataset is not None and name not in cases:
            failures.append(Failure(name, f"{folder}: expected case {name} in {dataset}, found none"))
        else:
            requests.append(PageRequest(name, folder, cases.get(name), budget))
    return requests, failures


def _index(title: str, rows: Sequence[dict[str, Any]], failures: Sequence[Failure]) -> str:
    metrics = [
        {**asdict(metric), "mm_key": millimetre_key(metric) if metric in DISTANCES else None} for metric in ACCURACY
    ]
    overview = {
        "title": title,
        "version": cinetrack.__version__,
        "metrics": metrics,
        "rows": rows,
        "failures": [failure.as_json() for failure in failures],
    }
    page = _asset(_PAGE)
    # The data goes in last: nothing in it is mistaken for a placeholder.
    page = page.replace("{{style}}", _asset(_STYLE)).replace("{{scripts}}", "\n".join(map(_asset, _SCRIPTS)))
    return page.replace("{{overview}}", _json(overview))


def _asset(name: str) -> str:
    return resources.files("cinetrack.report").joinpath("assets", name).read_text(encoding="utf-8")


def _json(content: Any) -> str:
    """Json that any browser takes inside a script: no NaN, no end of the script in a text."""
    text = json.dumps(_finite(content), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    return content
