"""`cinetrack report`: predictions as a page to look at."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cinetrack.cli.notes import note
from cinetrack.report.write_report import write_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("predictions", type=Path, help="folder with <case>/images/mri-linac-series-targets/output.mha")
    parser.add_argument("--truth", type=Path, help="dataset with the images, and the labels where there are any")
    parser.add_argument("--output", "-o", type=Path, required=True, help="folder to write; open its index.html")
    parser.add_argument("--workers", type=int, help="processes (default: one a core)")


def run(args: argparse.Namespace) -> int:
    shown, failures = write_report(args.predictions, args.truth, args.output, args.workers)
    for failure in failures:
        print(f"error: {failure.case_id}: {failure.error}", file=sys.stderr)
    note(f"{len(shown)} cases")
    print(args.output / "index.html")
    return 2 if failures else 0
