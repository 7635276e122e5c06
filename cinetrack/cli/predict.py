"""`cinetrack predict`: the container's pipeline over a case or a dataset."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter

from tqdm import tqdm

from cinetrack.bundle.lookup import find_bundle
from cinetrack.pipeline.model import load_model
from cinetrack.pipeline.predict_dataset import pending_cases, predict_cases, shard


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("source", type=Path, metavar="DATASET_OR_CASE", help="a dataset, patient or /input folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="gets <case>/images/... and prediction.json")
    parser.add_argument("--model", type=Path, help="bundle folder; default /opt/ml/model, else resources/default")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--overwrite", action="store_true", help="track finished cases again")


def run(args: argparse.Namespace) -> int:
    """Track this process's share of the cases; 2 where a case was bad, 1 where we failed."""
    began = perf_counter()
    bundle = find_bundle(args.model)
    cases = shard(pending_cases(args.source))
    model = load_model(bundle, args.device)
    print(f"{bundle.description} on {model.device}, {model.tracker.precision}", file=sys.stderr)
    loading_s = perf_counter() - began
    with tqdm(total=len(cases), unit="case", file=sys.stderr) as bar:

        def show(case_id: str, done: int, total: int) -> None:
            bar.set_postfix_str(f"{case_id} frame {done}/{total}", refresh=done == total)

        failures = []
        for case in cases:
            failures += predict_cases([case], args.output, model, loading_s, show, args.overwrite)
            bar.update()
    for failure in failures:
        print(f"error: {failure.case_id}: {failure.reason}", file=sys.stderr)
    print(f"{len(cases) - len(failures)} of {len(cases)} cases in {args.output}", file=sys.stderr)
    if any(not failure.is_input for failure in failures):
        return 1
    return 2 if failures else 0
