"""`cinetrack compare`: models against a baseline, with tests and ranks."""

from __future__ import annotations

import argparse
from pathlib import Path

from cinetrack.cli.notes import note
from cinetrack.errors import InputError
from cinetrack.evaluation.comparison import compare_models
from cinetrack.evaluation.comparison_tables import FORMATS, comparison_tables
from cinetrack.evaluation.metrics_file import read_metrics
from cinetrack.runs.outputs import check_output_folder
from cinetrack.sequence.atomic_write import write_text_atomically


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "baseline", type=Path, help="metrics.json of `cinetrack evaluate` that the others are compared with"
    )
    parser.add_argument("others", type=Path, nargs="+", help="metrics.json of each other model, on the same cases")
    parser.add_argument(
        "--names", nargs="+", help="names of the models in the tables, the baseline's first (default: from the paths)"
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="markdown",
        help="format in which the tables are printed (default markdown)",
    )
    parser.add_argument(
        "--output", "-o", type=Path, help="folder to write the tables into, in every format (default: only print them)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of the bootstrap's resamples; the same seed gives the same intervals (default 0)",
    )


def run(args: argparse.Namespace) -> int:
    paths = [args.baseline, *args.others]
    names = args.names or [None] * len(paths)
    if len(names) != len(paths):
        raise InputError(f"--names: expected {len(paths)} names, one a file, found {len(names)}")
    if args.output:
        check_output_folder(args.output)
    comparison = compare_models([read_metrics(path, name) for path, name in zip(paths, names, strict=True)], args.seed)
    if comparison.left_out:
        note(f"left out, not in every file: {', '.join(comparison.left_out)}")
    tables = comparison_tables(comparison)
    if args.output:
        for suffix, write in FORMATS.values():
            write_text_atomically(args.output / f"comparison{suffix}", write(tables))
    print(FORMATS[args.format][1](tables), end="")
    return 0
