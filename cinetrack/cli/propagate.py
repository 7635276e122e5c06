"""`cinetrack propagate`: from a store of labels to a folder of pseudo-labels."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from time import perf_counter

from tqdm import tqdm

from cinetrack.bundle.lookup import find_bundle
from cinetrack.errors import InputError
from cinetrack.labelling.label_book import LabelBook
from cinetrack.labelling.pseudo_labels import is_finished, labelled_cases, propagate_case
from cinetrack.labelling.store import open_files, safe_name
from cinetrack.pipeline.model import load_model
from cinetrack.pipeline.shard import this_shard
from cinetrack.sequence import find_cases

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a TrackRAD2025 dataset folder")
    parser.add_argument("--store", required=True, help="the labels: folder, hf://datasets/OWNER/NAME, s3://..., ...")
    parser.add_argument("--model", type=Path, help="bundle folder, or the name of a shipped bundle")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PSEUDO", help="gets a folder a sequence")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--overwrite", action="store_true", help="track finished sequences again")


def run(args: argparse.Namespace) -> int:
    """Track this process's share; prints a json summary. 2 where a sequence was bad, 1 where we failed."""
    book = LabelBook(open_files(args.store))
    # The dataset is what is dealt out, not the labelled part of it: labels may be added while processes start.
    cases = labelled_cases(this_shard().of(find_cases(args.dataset)), book)
    model = load_model(find_bundle(args.model), args.device)
    print(f"{model.bundle.description} on {model.device}, {model.tracker.precision}", file=sys.stderr)
    pending = [
        case
        for case in cases
        if args.overwrite or not is_finished(args.output / safe_name(case.case.case_id), case, model)
    ]
    bad = broken = frames = 0
    began = perf_counter()
    with tqdm(total=sum(case.frame_count for case in pending), unit="frame", file=sys.stderr) as bar:
        for labelled in pending:
            bar.set_postfix_str(labelled.case.case_id)
            try:
                propagate_case(labelled, book, args.output, model, bar.update)
                frames += labelled.frame_count
            except InputError as error:
                bad += 1
                print(f"error: {labelled.case.case_id}: {error}", file=sys.stderr)
            except Exception:
                broken += 1
                logger.exception("%s: failed", labelled.case.case_id)
    seconds = perf_counter() - began
    summary = {
        "sequences": len(pending) - bad - broken,
        "finished_before": len(cases) - len(pending),
        "failed": bad + broken,
        "frames": frames,
        "frames_per_second": round(frames / seconds, 2) if frames else None,
    }
    print(json.dumps(summary))
    return 1 if broken else 2 if bad else 0
