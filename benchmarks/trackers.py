"""Model bundles judged on the same unseen phantom cases, by difficulty, and on long sequences.

    python benchmarks/trackers.py [BUNDLE ...] [--difficulty hard] [--cases 20] [--frames 80] [--seed 70000] [--long 2]
        [--workers 2]

Without bundles: those in resources/. The first is the baseline that changes are counted from. Case n of a difficulty
is the phantom's case n of that seed (`cinetrack phantom --seed`), so a bundle trained on the phantom must not have seen
the seed. A long sequence has 500 frames; its target counts as lost where the last 100 frames' mean Dice is below 0.5.
Intervals are bootstrap intervals over cases at 95 %. `box_dice` is of the first frame's mask from the tightest box
around the target, for trackers that take boxes. Writes json beside the tables.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from machine import device_name  # noqa: E402

from cinetrack.bundle import open_bundle  # noqa: E402
from cinetrack.evaluation.case_metrics import case_metrics  # noqa: E402
from cinetrack.evaluation.comparison import compare_models  # noqa: E402
from cinetrack.evaluation.comparison_tables import as_markdown, comparison_tables  # noqa: E402
from cinetrack.evaluation.dice import dice_coefficients  # noqa: E402
from cinetrack.evaluation.metric_names import ACCURACY  # noqa: E402
from cinetrack.evaluation.metrics_file import MetricsFile  # noqa: E402
from cinetrack.phantom.case import RenderedCase, draw_case  # noqa: E402
from cinetrack.phantom.dataset import case_generator, case_id  # noqa: E402
from cinetrack.phantom.draws import PhantomRequest  # noqa: E402
from cinetrack.phantom.parameters import DIFFICULTIES  # noqa: E402
from cinetrack.pipeline.model import Model, load_model  # noqa: E402
from cinetrack.pipeline.track_case import TrackedCase, track_whole  # noqa: E402
from cinetrack.sequence import CineSequence, TrackingCase  # noqa: E402
from cinetrack.sequence.atomic_write import write_text_atomically  # noqa: E402
from cinetrack.tracking import BoxPrompt  # noqa: E402

LONG_FRAMES, LONG_TAIL, LOST_DICE = 500, 100, 0.5


def main() -> None:
    """Parse, track, print the tables and write the json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    bundled = [path.parent for path in sorted((ROOT / "resources").glob("*/bundle.json"))]
    parser.add_argument("bundles", type=Path, nargs="*", default=bundled, help="the first is the baseline")
    parser.add_argument("--difficulty", nargs="+", choices=DIFFICULTIES, default=list(DIFFICULTIES))
    parser.add_argument("--cases", type=int, default=20, help="of each difficulty")
    parser.add_argument("--frames", type=int, default=80, help="of each case")
    parser.add_argument("--seed", type=int, default=70000)
    parser.add_argument("--randomised", type=float, default=0.0, help="share of cases that leave anatomy behind")
    parser.add_argument("--long", type=int, default=2, help="sequences of 500 frames of each difficulty")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "benchmarks" / "results" / "trackers.json")
    args = parser.parse_args()
    bundles = [path.resolve() for path in args.bundles]
    names = [open_bundle(path).name for path in bundles]
    result: dict[str, Any] = {
        "device": device_name(),
        "seed": args.seed,
        "cases": args.cases,
        "frames": args.frames,
        "randomised_share": args.randomised,
        "bundles": {name: open_bundle(path).fingerprint for name, path in zip(names, bundles, strict=True)},
    }
    everything: list[MetricsFile] = [MetricsFile(name, {}) for name in names]
    with ProcessPoolExecutor(args.workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        for offset, difficulty in enumerate(DIFFICULTIES):
            if difficulty not in args.difficulty:
                continue
            request = PhantomRequest(frames=args.frames, difficulty=difficulty, randomised_share=args.randomised)
            # A seed a difficulty, so that no anatomy is shared between them.
            work = partial(score_case, bundles, request, args.seed + offset)
            scored = list(pool.map(work, range(1, args.cases + 1)))
            models = [
                MetricsFile(name, {case: of_bundle[index] for case, of_bundle in scored})
                for index, name in enumerate(names)
            ]
            result[difficulty] = summary(models)
            for gathered, model in zip(everything, models, strict=True):
                gathered.results.update(model.results)
            print(f"## {difficulty}, {args.cases} cases\n")
            print(tables(models))
        if len(args.difficulty) > 1:
            result["all"] = summary(everything)
            print(f"## all, {len(everything[0].results)} cases\n")
            print(tables(everything))
        if args.long:
            result["long"] = long_sequences(pool, bundles, names, args.seed + len(DIFFICULTIES), args.long)
            print(json.dumps(result["long"], indent=1))
    write_text_atomically(args.output, json.dumps(result, indent=1) + "\n")
    print(f"wrote {args.output}", file=sys.stderr)


def tables(models: Sequence[MetricsFile]) -> str:
    """Means and changes as Markdown; one model alone has only means."""
    if len(models) == 1:
        return json.dumps(summary(models), indent=1)
    return as_markdown(comparison_tables(compare_models(models))[:2])


def summary(models: Sequence[MetricsFile]) -> dict[str, Any]:
    """Means with intervals, changes to and paired differences from the first model, seconds a frame, every case."""
    alone = len(models) == 1
    compared = compare_models([*models, MetricsFile("", models[0].results)] if alone else models)
    found = {}
    for model, summed in zip(models, compared.models, strict=True):
        found[summed.name] = {
            "means": summed.means,
            "intervals": {key: list(interval) for key, interval in summed.intervals.items()},
            "percent_change": {change.metric.key: change.percent for change in summed.changes},
            "p_holm": {change.metric.key: change.p_holm for change in summed.changes},
            "difference": {
                change.metric.key: {
                    "mean": change.difference,
                    "interval": list(change.interval),
                    "wins": change.wins,
                    "losses": change.losses,
                }
                for change in summed.changes
            },
            "cases": model.results,
            "s_per_frame": float(np.mean([scores["s_per_frame"] for scores in model.results.values()])),
        }
        from_boxes = [scores["box_dice"] for scores in model.results.values() if scores["box_dice"] is not None]
        if from_boxes:
            found[summed.name]["box_dice"] = float(np.mean(from_boxes))
    return found


def score_case(
    bundles: Sequence[Path], request: PhantomRequest, seed: int, number: int
) -> tuple[str, list[dict[str, float]]]:
    """A case's name and every bundle's metrics on it."""
    drawn = draw_case(case_generator(seed, number), request)
    case, truth = _tracking_case(drawn, case_id(seed, number)), drawn.masks[:, 0]
    scores = []
    for bundle in bundles:
        tracked, seconds = _track(case, bundle)
        metrics = case_metrics(tracked.masks, truth, case.sequence.region, case.sequence.spacing_mm)
        keys = [metric.key for metric in ACCURACY]
        timed = {"s_per_frame": seconds / len(truth), "box_dice": box_dice(case, bundle)}
        scores.append({**{key: metrics.scores[key] for key in keys}, **timed})
    return case.case_id, scores


def box_dice(case: TrackingCase, bundle: Path) -> float | None:
    """Dice of the mask that a box around the target gives on the first frame; None where boxes are not taken."""
    model = _model(bundle)
    if model.chain.name != "sam2":
        return None
    rows, columns = np.nonzero(case.first_mask)
    box = BoxPrompt(rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    found = model.start(case.sequence.frames[0], box).results[0].mask
    return float(dice_coefficients(found[None], case.first_mask[None])[0])


def long_sequences(
    pool: ProcessPoolExecutor, bundles: Sequence[Path], names: Sequence[str], seed: int, count: int
) -> dict[str, Any]:
    """Mean Dice of long sequences' ends, and how many targets were lost, by bundle and difficulty."""
    found: dict[str, Any] = {name: {} for name in names}
    for offset, difficulty in enumerate(DIFFICULTIES):
        request = PhantomRequest(frames=LONG_FRAMES, difficulty=difficulty)
        ends = np.array(list(pool.map(partial(_ends, bundles, request, seed + offset), range(1, count + 1))))
        for index, name in enumerate(names):
            lost = int((ends[:, index] < LOST_DICE).sum())
            found[name][difficulty] = {"end_dice": ends[:, index].tolist(), "lost": lost}
    return found


def _ends(bundles: Sequence[Path], request: PhantomRequest, seed: int, number: int) -> list[float]:
    drawn = draw_case(case_generator(seed, number), request)
    case, truth = _tracking_case(drawn, case_id(seed, number)), drawn.masks[:, 0]
    shown = [frame for frame in range(LONG_FRAMES - LONG_TAIL, LONG_FRAMES) if truth[frame].any()]
    ends = []
    for bundle in bundles:
        masks = _track(case, bundle)[0].masks
        ends.append(float(dice_coefficients(masks[shown], truth[shown]).mean()) if shown else 1.0)
    return ends


def _tracking_case(drawn: RenderedCase, name: str) -> TrackingCase:
    parameters = drawn.parameters
    sequence = CineSequence(
        drawn.frames, (1.0, 1.0), parameters.frame_rate_hz, parameters.field_strength_t, parameters.region
    )
    return TrackingCase(name, sequence, drawn.masks[0, 0])


def _track(case: TrackingCase, bundle: Path) -> tuple[TrackedCase, float]:
    model = _model(bundle)
    began = perf_counter()
    return track_whole(case, model.chain), perf_counter() - began


@cache
def _model(bundle: Path) -> Model:
    return load_model(open_bundle(bundle), "cpu")


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


if __name__ == "__main__":
    main()
