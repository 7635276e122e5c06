"""`cinetrack average`: the mean of SAM2 checkpoints' weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from cinetrack.finetuning.weight_average import average_checkpoints


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "checkpoints",
        type=Path,
        nargs="+",
        metavar="CHECKPOINT",
        help="checkpoints, or bundles with a SAM2, all of one architecture",
    )
    parser.add_argument(
        "--shares",
        type=float,
        nargs="+",
        metavar="SHARE",
        help="weight of each in the mean; they are divided by their sum (default: all equal)",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="checkpoint to write")


def run(args: argparse.Namespace) -> int:
    """Write the averaged checkpoint and print its path."""
    average_checkpoints(args.checkpoints, args.shares, args.output)
    print(args.output)
    return 0
