"""Entry of the Grand-Challenge container: one case from --input to --output. See cinetrack/pipeline/container.py."""

import argparse
import logging
import sys
from pathlib import Path

from cinetrack.cli.main import run_reporting_errors
from cinetrack.process_environment import settle_threads


def main() -> int:
    settle_threads()  # before anything imports torch
    parser = argparse.ArgumentParser(description="Track the target of one cine-MR series.")
    parser.add_argument("--input", type=Path, default=Path("/input"), help="the platform's input folder")
    parser.add_argument("--output", type=Path, default=Path("/output"), help="the platform's output folder")
    parser.add_argument("--model", type=Path, help="a bundle; default /opt/ml/model, else the shipped one")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    args = parser.parse_args()
    # Warnings go to stdout with the rest of the log: on stderr is the one line that says what was wrong, if anything.
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stdout)
    return run_reporting_errors(_run, args)


def _run(args: argparse.Namespace) -> int:
    from cinetrack.pipeline.container import run  # within the reach of the error report

    return run(args.input, args.output, args.model, args.device)


if __name__ == "__main__":
    sys.exit(main())
