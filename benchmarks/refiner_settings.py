"""A bundle's refiner at every pace: accuracy against time over tile step sizes, with and without mirroring.

    python benchmarks/refiner_settings.py --model BUNDLE --data DATASET [--cases N] [--device cpu] [-o FILE.json]

The tracker runs once a case; each setting refines its masks through the pipeline. Accuracy is the challenge's,
seconds are of refining (with hole filling) a frame; of a refiner within motion compensation, what it adds to that.
Sizes tell how many tiles there are: up to the patch's size there is one.
Writes json beside the table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from machine import device_name  # noqa: E402

from cinetrack.bundle import Bundle, open_bundle  # noqa: E402
from cinetrack.bundle.loading import load_refiner  # noqa: E402
from cinetrack.errors import InputError  # noqa: E402
from cinetrack.evaluation.case_metrics import case_metrics  # noqa: E402
from cinetrack.evaluation.metric_names import ACCURACY  # noqa: E402
from cinetrack.evaluation.truth import read_truth  # noqa: E402
from cinetrack.pipeline.model import load_model  # noqa: E402
from cinetrack.pipeline.track_case import track_whole  # noqa: E402
from cinetrack.refinement import refined_in_place  # noqa: E402
from cinetrack.refiner_training.masks_in_place import masks_in_place  # noqa: E402
from cinetrack.refiner_training.recorded_tracker import RecordedTracker, tracker_masks  # noqa: E402
from cinetrack.sequence import CaseFiles, find_cases  # noqa: E402
from cinetrack.sequence.atomic_write import write_text_atomically  # noqa: E402
from cinetrack.tracking import Tracker  # noqa: E402
from cinetrack.tracking.motion_compensation import MotionCompensatedTracker  # noqa: E402


def main() -> None:
    """Parse, measure, print the table and write the json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="bundle with a refiner")
    parser.add_argument("--data", type=Path, required=True, help="labelled TrackRAD2025 dataset")
    parser.add_argument("--cases", type=int, help="take the first N (default: all)")
    parser.add_argument("--tile-step-sizes", type=float, nargs="+", default=[0.05, 0.25, 0.5])
    parser.add_argument("--mirroring", nargs="+", choices=("on", "off"), default=["on", "off"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "benchmarks/results/refiner-settings.json")
    args = parser.parse_args()
    bundle = open_bundle(args.model)
    if bundle.refiner is None:
        raise InputError(f"{args.model}: expected a bundle with a refiner, found none")
    cases = [case for case in find_cases(args.data) if case.labels_path is not None][: args.cases]
    model = load_model(replace(bundle, refiner=None), args.device)
    in_place = bundle.refiner.region_px is not None
    recorded = [record(case, model.tracker, in_place) for case in tqdm(cases, desc="tracker")]
    frames = sum(len(one.masks) for one in recorded)
    rows = [measure(None, bundle, recorded, model.device)]
    rows[0]["tracking_s_per_frame"] = sum(one.tracking_s for one in recorded) / frames
    print_row(rows[0], header=True)
    for step in args.tile_step_sizes:
        for mirroring in args.mirroring:
            pace = {"tile_step_size": step, "mirroring": mirroring == "on"}
            rows.append(measure(pace, bundle, recorded, model.device))
            print_row(rows[-1])
    result = {
        "model": bundle.name,
        "cases": len(cases),
        "frames": frames,
        "sizes": sorted({"x".join(map(str, one.masks.shape[1:])) for one in recorded}),
        "device": device_name(model.device),
        "load_average": os.getloadavg()[0],  # above the number of threads the machine was shared
        "rows": rows,
    }
    write_text_atomically(args.output, json.dumps(result, indent=1) + "\n")
    print(f"wrote {args.output}", file=sys.stderr)


@dataclass(frozen=True, eq=False)
class Recorded:
    """A case's masks as the tracker alone makes them, and what plays them to a refiner.

    Attributes:
        masks: (T, H, W) bool.
        in_place: plays the stilled masks within motion compensation; None for a refiner of the frames as they are.
    """

    case: CaseFiles
    masks: np.ndarray
    tracking_s: float
    in_place: Tracker | None


def record(case: CaseFiles, tracker: Tracker, in_place: bool) -> Recorded:
    """Run the tracker on a case."""
    if not in_place:
        return Recorded(case, *tracker_masks(case.read_case().case, tracker), None)
    found = masks_in_place(case.read_case().case, case.read_labels(), tracker)
    played = MotionCompensatedTracker(RecordedTracker("recorded", found.stilled_masks))
    return Recorded(case, found.masks, found.tracking_s, played)


def measure(pace: dict[str, Any] | None, bundle: Bundle, recorded: list[Recorded], device: str) -> dict[str, Any]:
    """Mean metrics and seconds a frame at one pace; with None the tracker alone."""
    spec = bundle.refiner
    refiner = None if pace is None else load_refiner(replace(bundle, refiner=replace(spec, **pace)), device)
    scores, seconds, frames = [], 0.0, 0
    for one in tqdm(recorded, desc=str(pace), leave=False):
        case = one.case.read_case().case
        if refiner is None or one.in_place is None:
            tracked = track_whole(case, RecordedTracker("recorded", one.masks), refiner)
            seconds += tracked.stage_seconds["refining"]
        else:
            unrefined_s = track_whole(case, one.in_place).stage_seconds["tracking"]
            weights = spec.outline_weight, spec.tracker_weight
            tracked = track_whole(case, refined_in_place(one.in_place, refiner, spec.region_px, *weights))
            seconds += sum(tracked.stage_seconds.values()) - unrefined_s
        truth = read_truth(one.case)
        metrics = case_metrics(tracked.masks, truth.masks, truth.region, truth.spacing_mm, truth.number_type)
        scores.append(metrics.scores)
        frames += len(one.masks)
    means = {metric.key: float(np.mean([score[metric.key] for score in scores])) for metric in ACCURACY}
    return {**(pace or {"tile_step_size": None, "mirroring": None}), **means, "refining_s_per_frame": seconds / frames}


def print_row(row: dict[str, Any], header: bool = False) -> None:
    """One line of the Markdown table on stdout."""
    if header:
        names = ["Tile step", "Mirroring", *(metric.title for metric in ACCURACY), "Refining s/frame"]
        print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    alone = row["mirroring"] is None
    pace = ("tracker", "alone") if alone else (row["tile_step_size"], "on" if row["mirroring"] else "off")
    values = (f"{row[metric.key]:.{metric.decimals}f}" for metric in ACCURACY)
    print(f"| {' | '.join([*map(str, pace), *values])} | {row['refining_s_per_frame']:.4f} |", flush=True)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
