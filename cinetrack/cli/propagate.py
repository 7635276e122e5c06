"""`cinetrack propagate`: from a store of labels to a folder of pseudo-labels."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import perf_counter

from cinetrack.bundle.lookup import find_bundle
from cinetrack.cli.notes import note
from cinetrack.cli.options import add_device, add_model
from cinetrack.labelling.label_book import LabelBook
from cinetrack.labelling.pseudo_labels import PropagationJob, damaged_labels, labelled_cases
from cinetrack.labelling.store import open_files
from cinetrack.pipeline.model import load_model
from cinetrack.runs.failure import report_failures
from cinetrack.runs.jobs import run_jobs, unfinished
from cinetrack.runs.outputs import check_output_folder
from cinetrack.runs.progress import Progress
from cinetrack.runs.shard import this_shard
from cinetrack.sequence import find_cases


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of the cases that were labelled")
    parser.add_argument(
        "--store",
        required=True,
        help="where the labels are: a folder, hf://datasets/OWNER/NAME, s3://... or another fsspec URL",
    )
    add_model(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="PSEUDO",
        help="folder to write; it gets a folder of pseudo-labels for each sequence",
    )
    add_device(parser)
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="track finished sequences again (default: pass over them, so that a stopped run goes on)",
    )


def run(args: argparse.Namespace) -> int:
    """Track this process's share; prints a json summary. 2 where a sequence was bad, 1 where we failed."""
    book = LabelBook(open_files(args.store, to_read=True))
    check_output_folder(args.output)
    # The dataset is what is dealt out, not the labelled part of it: labels may be added while processes start.
    share = this_shard().of(find_cases(args.dataset))
    cases = labelled_cases(share, book)
    bundle = find_bundle(args.model)
    jobs = [PropagationJob(case, book, args.output, bundle) for case in cases]
    pending = unfinished(jobs, args.overwrite)
    model = load_model(bundle, args.device)
    note(f"{bundle.description} on {model.device}, {model.chain.precision}")
    began = perf_counter()
    with Progress("sequence") as progress:
        failures = damaged_labels(share, book) + run_jobs(pending, model, progress)
    seconds = perf_counter() - began
    failed = {failure.case_id for failure in failures}
    frames = sum(job.labelled.frame_count for job in pending if job.name not in failed)
    summary = {
        "sequences": len(pending) - len(failed),
        "finished_before": len(jobs) - len(pending),
        "failed": len(failures),
        "frames": frames,
        "frames_per_second": round(frames / seconds, 2) if frames else None,
    }
    print(json.dumps(summary))
    return report_failures(failures)
