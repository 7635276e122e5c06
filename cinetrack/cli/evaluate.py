"""`cinetrack evaluate`: score predictions as the challenge does."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from cinetrack.cli.notes import note
from cinetrack.errors import InputError
from cinetrack.evaluation.dataset_evaluation import evaluate_dataset
from cinetrack.evaluation.metric_names import ACCURACY
from cinetrack.evaluation.metrics_file import frame_table, metrics_document, write_document
from cinetrack.runs.failure import report_failures
from cinetrack.runs.outputs import check_output_file
from cinetrack.runs.progress import Progress
from cinetrack.sequence.atomic_write import write_text_atomically


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("predictions", type=Path, help="folder that `cinetrack predict` or the container wrote")
    parser.add_argument("--truth", type=Path, required=True, help="data set, or one case, with labels of every frame")
    parser.add_argument(
        "--output", "-o", type=Path, required=True, help="JSON file to write, with the challenge's keys"
    )
    parser.add_argument(
        "--frames-csv", type=Path, help="CSV file to write with the metrics of every frame (default: none)"
    )
    parser.add_argument("--workers", type=int, help="processes that share the cases (default: one for each core)")


def run(args: argparse.Namespace) -> int:
    """Score what can be scored and write it; 2 where a case was bad, 1 where we failed."""
    for path in filter(None, (args.output, args.frames_csv)):
        check_output_file(path)
    with Progress() as progress:
        evaluations, failures = evaluate_dataset(args.predictions, args.truth, args.workers, progress)
    code = report_failures(failures)
    if not evaluations:
        if code == 1:
            return code
        raise InputError(f"{args.predictions}: expected at least one case that can be scored, found none")
    document = metrics_document(evaluations, failures)
    write_document(args.output, document)
    if args.frames_csv:
        write_text_atomically(args.frames_csv, frame_table(evaluations))
    for row in document["results"]:
        scores = "  ".join(f"{metric.label} {row[metric.key]:.{metric.decimals}f}" for metric in ACCURACY)
        note(f"{row['case_id']}: {scores}")
    print(json.dumps(document["aggregates"], indent=2))
    return code
