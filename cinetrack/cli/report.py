"""`cinetrack report`: predictions as a page to look at."""

from __future__ import annotations

import argparse
from pathlib import Path

from cinetrack.cli.notes import note
from cinetrack.report.write_report import write_report
from cinetrack.runs.failure import report_failures
from cinetrack.runs.outputs import check_output_folder
from cinetrack.runs.progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("predictions", type=Path, help="folder that `cinetrack predict` or the container wrote")
    parser.add_argument(
        "--truth",
        type=Path,
        help="data set with the images, and labels where there are any (default: no images and no scores)",
    )
    parser.add_argument("--output", "-o", type=Path, required=True, help="folder to write; open index.html in it")
    parser.add_argument("--workers", type=int, help="processes that share the cases (default: one for each core)")


def run(args: argparse.Namespace) -> int:
    """Write the pages that can be written; 2 where a case was bad, 1 where we failed."""
    check_output_folder(args.output)
    with Progress() as progress:
        shown, failures = write_report(args.predictions, args.truth, args.output, args.workers, progress)
    code = report_failures(failures)
    note(f"{len(shown)} cases")
    print(args.output / "index.html")
    return code
