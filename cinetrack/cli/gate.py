"""`cinetrack gate`: what a beam gated by predictions would have done. No medical device: research and simulation."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from cinetrack.errors import InputError
from cinetrack.gating.beam import BeamLatency
from cinetrack.gating.dataset_gating import GatingRequest, gate_case, mean_rows, read_gated_cases
from cinetrack.runs.outputs import check_output_file
from cinetrack.sequence.atomic_write import write_text_atomically

NOTICE = "No medical device: research and simulation."
DEFAULT_MARGINS_MM = (2.0, 3.0, 5.0, 7.0)
DEFAULT_LATENCIES_MS = ("0", "300")
COLUMNS = {
    "margin_mm": ("margin [mm]", "{:g}"),
    "latency_on_ms": ("on [ms]", "{:g}"),
    "latency_off_ms": ("off [ms]", "{:g}"),
    "mode": ("position", "{}"),
    "duty_cycle": ("duty cycle", "{:.3f}"),
    "true_duty_cycle": ("of truth", "{:.3f}"),
    "target_coverage": ("coverage", "{:.3f}"),
    "false_on": ("false on", "{:.3f}"),
    "false_off": ("false off", "{:.3f}"),
    "accuracy": ("accuracy", "{:.3f}"),
    "edge_error_ms": ("edge error [ms]", "{:.0f}"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = NOTICE
    parser.add_argument(
        "predictions", type=Path, metavar="PREDICTIONS", help="folder that `cinetrack predict` or `stream` wrote"
    )
    parser.add_argument(
        "--truth",
        type=Path,
        help="data set with the frame rates, and the labels to judge the gate by (default: only the duty cycle is "
        "known)",
    )
    parser.add_argument(
        "--margins",
        type=float,
        nargs="+",
        default=DEFAULT_MARGINS_MM,
        metavar="MM",
        help="how far the target may be from where it was on the first frame; each is a gate of its own (default 2 3 5 "
        "7)",
    )
    parser.add_argument(
        "--latencies",
        nargs="+",
        default=DEFAULT_LATENCIES_MS,
        metavar="MS",
        help="time from acquisition to beam; 300:150 is 300 ms to switch on and 150 ms to switch off (default 0 300)",
    )
    parser.add_argument(
        "--share",
        type=float,
        help="the beam is on while this share of the target, 0 to 1, lies within the planned target grown by the "
        "margin (default: while the centroid is within the margin)",
    )
    parser.add_argument("--frame-rate", type=float, metavar="HZ", help="frames a second, needed without --truth")
    parser.add_argument("--output", "-o", type=Path, help="JSON file to write with every case's rows (default: none)")


def run(args: argparse.Namespace) -> int:
    """Print a table of means over the cases."""
    print(NOTICE, file=sys.stderr)
    if args.frame_rate is not None and not 0 < args.frame_rate < 1000:
        raise InputError(f"--frame-rate: expected a positive number of Hz, found {args.frame_rate}")
    if args.output is not None:
        check_output_file(args.output)
    request = GatingRequest(args.margins, [_latency(text) for text in args.latencies], args.share, args.frame_rate)
    rows = [
        row
        for case in read_gated_cases(args.predictions, args.truth, args.frame_rate)
        for row in gate_case(case, request)
    ]
    means = mean_rows(rows)
    if args.output is not None:
        document = {"notice": NOTICE, "share": args.share, "means": _finite(means), "cases": _finite(rows)}
        write_text_atomically(args.output, json.dumps(document, indent=1) + "\n")
    print(_table(means))
    return 0


def _latency(text: str) -> BeamLatency:
    on, _, off = text.partition(":")
    try:
        return BeamLatency(float(on) / 1e3, float(off or on) / 1e3)
    except ValueError:
        raise InputError(f"--latencies: expected milliseconds, or ON:OFF of both, found {text}") from None


def _table(rows: list[dict[str, Any]]) -> str:
    shown = [key for key in COLUMNS if key in rows[0]]
    lines = [[COLUMNS[key][0] for key in shown]]
    lines += [[_cell(row[key], COLUMNS[key][1]) for key in shown] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(shown))]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in lines)


def _cell(value: Any, form: str) -> str:
    return "-" if isinstance(value, float) and math.isnan(value) else form.format(value)


def _finite(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """NaN as null, so that any reader takes the file."""
    return [
        {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        for row in rows
    ]
