"""`cinetrack predict`: the container's pipeline over a case or a dataset."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from cinetrack.cli.options import add_device, add_model
from cinetrack.bundle.lookup import find_bundle
from cinetrack.cli.notes import note
from cinetrack.pipeline.model import load_model
from cinetrack.runs.failure import report_failures
from cinetrack.runs.jobs import run_jobs, unfinished
from cinetrack.runs.outputs import check_output_folder
from cinetrack.runs.prediction import PredictionJob, pending_cases
from cinetrack.runs.progress import Progress
from cinetrack.runs.shard import this_shard


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "source", type=Path, metavar="DATASET_OR_CASE", help="a data set, a case, or a folder laid out as /input"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder for each case's masks and prediction.json"
    )
    add_model(parser)
    add_device(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="track finished cases again instead of passing over them"
    )


def run(args: argparse.Namespace) -> int:
    """Track this process's share of the cases; 2 where a case was bad, 1 where we failed."""
    began = perf_counter()
    bundle = find_bundle(args.model)
    check_output_folder(args.output)
    found, shard = pending_cases(args.source), this_shard()
    jobs = [
        PredictionJob(case, args.output / case.case_id, bundle.name, bundle.fingerprint) for case in shard.of(found)
    ]
    pending = unfinished(jobs, args.overwrite)
    model = load_model(bundle, args.device)
    note(f"{bundle.description} on {model.device}, {model.chain.precision}")
    loading_s = perf_counter() - began
    with Progress() as progress:
        failures = run_jobs([replace(job, loading_s=loading_s) for job in pending], model, progress)
    code = report_failures(failures)
    share = f" ({shard}: {len(jobs)} of {len(found)} cases)" if shard.size > 1 else ""
    note(f"{len(jobs) - len(failures)} of {len(jobs)} cases are in {args.output}{share}")
    return code
