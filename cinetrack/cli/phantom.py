"""`cinetrack phantom`: write synthetic cine-MR cases with exact labels."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cinetrack.errors import InputError
from cinetrack.phantom.dataset import write_phantom_cases
from cinetrack.phantom.draws import PhantomRequest
from cinetrack.phantom.interleaved import write_interleaved_cases
from cinetrack.phantom.parameters import DIFFICULTIES, FIELD_STRENGTHS_T, REGIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("out", type=Path, help="data set to write; it gets a folder for each case")
    parser.add_argument("--cases", type=int, required=True, help="number of cases")
    parser.add_argument(
        "--seed", type=int, required=True, help="number of the draw, 0 or more; the same seed gives the same files"
    )
    parser.add_argument("--frames", type=int, help="frames of each case (default: drawn for each case, 44 to 248)")
    parser.add_argument(
        "--field",
        type=float,
        choices=FIELD_STRENGTHS_T,
        help="field strength in tesla: sets contrast, resolution and noise (default: drawn)",
    )
    parser.add_argument("--region", choices=REGIONS, help="scanned region: sets anatomy and targets (default: drawn)")
    parser.add_argument(
        "--difficulty",
        choices=DIFFICULTIES,
        help="how far targets move and how well they show (default: drawn for each case)",
    )
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("ROWS", "COLUMNS"),
        help="size of the frames in px, each 125 to 400 (default: drawn for each case)",
    )
    parser.add_argument(
        "--largest-target",
        type=float,
        default=PhantomRequest.largest_target_mm,
        metavar="MM",
        help="largest diameter of a target, 15 to 90; small targets are harder (default %(default)s)",
    )
    parser.add_argument("--frame-rate", type=float, help="frames a second (default: drawn for each case)")
    parser.add_argument(
        "--randomised",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the cases, 0 to 1, that show random shapes instead of anatomy (default 0)",
    )
    parser.add_argument(
        "--interleaved",
        action="store_true",
        help="write each case as a sagittal and a coronal series imaged in turns, which share --frame-rate (default: "
        "one series)",
    )
    parser.add_argument(
        "--unlabelled", action="store_true", help="write no labels and no first mask (default: with them)"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="processes that share the work; the cases do not depend on it (default 1)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the cases; each is one line of JSON on stdout."""
    for name, value, least in (
        ("--cases", args.cases, 1),
        ("--seed", args.seed, 0),
        ("--frames", args.frames, 2),
        ("--workers", args.workers, 1),
    ):
        if value is not None and value < least:
            raise InputError(f"{name}: expected {least} or more, found {value}")
    request = PhantomRequest(
        frames=args.frames,
        field_strength_t=args.field,
        region=args.region,
        difficulty=args.difficulty,
        shape=tuple(args.size) if args.size else None,
        frame_rate_hz=args.frame_rate,
        largest_target_mm=args.largest_target,
        randomised_share=args.randomised,
    )
    if args.interleaved:
        cases = write_interleaved_cases(args.out, args.seed, args.cases, request, not args.unlabelled)
    else:
        cases = write_phantom_cases(args.out, args.seed, args.cases, request, not args.unlabelled, args.workers)
    for case in cases:
        line = {"case": str(case.folder), "target": case.target, "difficulty": case.difficulty, "frames": case.frames}
        print(json.dumps(line), file=sys.stdout, flush=True)
    return 0
