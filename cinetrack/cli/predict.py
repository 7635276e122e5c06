"""`cinetrack predict`: the container's pipeline over a case or a dataset."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter

from tqdm import tqdm

from cinetrack.bundle.lookup import find_bundle
from cinetrack.pipeline.model import load_model
from cinetrack.pipeline.predict_dataset import pending_cases, predict_case
from cinetrack.pipeline.shard import this_shard
from cinetrack.sequence.grand_challenge import check_writable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("source", type=Path, metavar="DATASET_OR_CASE", help="a dataset, patient or /input folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="gets <case>/images/... and prediction.json")
    parser.add_argument("--model", type=Path, help="bundle folder, or the name of a shipped bundle")
    parser.add_argument("--preset", metavar="NAME", help="a preset of the bundle's refiner, as fast")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--overwrite", action="store_true", help="track finished cases again")


def run(args: argparse.Namespace) -> int:
    """Track this process's share of the cases; 2 where a case was bad, 1 where we failed."""
    began = perf_counter()
    bundle = find_bundle(args.model)
    if args.preset is not None:
        bundle = bundle.with_refiner_settings(args.preset)
    check_writable(args.output)
    found, shard = pending_cases(args.source), this_shard()
    cases = shard.of(found)
    model = load_model(bundle, args.device)
    print(f"{bundle.description} on {model.device}, {model.tracker.precision}", file=sys.stderr)
    loading_s = perf_counter() - began
    failures = []
    with tqdm(cases, unit="case", file=sys.stderr) as bar:
        for case in bar:

            def show(done: int, total: int, name: str = case.case_id) -> None:
                bar.set_postfix_str(f"{name} frame {done}/{total}", refresh=False)
                bar.update(0)

            failure = predict_case(case, args.output, model, loading_s, show, args.overwrite)
            failures += [failure] if failure else []
    for failure in failures:
        print(f"error: {failure.case_id}: {failure.reason}", file=sys.stderr)
    share = f" ({shard}: {len(cases)} of {len(found)} cases)" if shard.size > 1 else ""
    print(f"{len(cases) - len(failures)} of {len(cases)} cases are in {args.output}{share}", file=sys.stderr)
    if any(not failure.is_input for failure in failures):
        return 1
    return 2 if failures else 0
