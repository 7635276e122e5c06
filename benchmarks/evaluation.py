"""Times the evaluation against the direct implementation of the same definitions that the parity tests use.

    python benchmarks/evaluation.py

Writes benchmarks/results/evaluation.json. One case is 100 frames of 270 x 270; times are the best of several runs, in
one process with one thread unless said otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "evaluation")]  # the direct implementation is the tests'

import numpy as np  # noqa: E402
from direct_evaluation import direct_case  # noqa: E402
from machine import cores, cpu_name  # noqa: E402

from cinetrack.evaluation import case_metrics  # noqa: E402
from cinetrack.evaluation.dataset_evaluation import evaluate_dataset, evaluate_pair, pair_cases  # noqa: E402
from cinetrack.sequence import CineSequence  # noqa: E402
from cinetrack.sequence.grand_challenge import write_output  # noqa: E402
from cinetrack.sequence.image_files import ImageGeometry  # noqa: E402
from cinetrack.sequence.trackrad_dataset import write_case  # noqa: E402

FRAMES, SIDE, CASES = 100, 270, 50


def breathing_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A target of 40 pixels' width that breathes by 10 pixels, and a prediction half a pixel to two pixels off."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    truth, predicted = np.zeros((2, FRAMES, SIDE, SIDE), dtype=bool)
    for t in range(FRAMES):
        row, column = 130 + 10 * np.sin(t / 5 + seed), 120 + 2 * np.sin(t / 9)
        truth[t] = np.hypot(rows - row, columns - column) < 20
        off = rng.normal(0, 0.8, 2)
        predicted[t] = np.hypot(rows - row - off[0], (columns - column - off[1]) * 1.05) < 20
    return predicted, truth


def best_of(runs: int, work: Callable[[], object]) -> float:
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=REPOSITORY / "benchmarks" / "results" / "evaluation.json")
    arguments = parser.parse_args()
    predicted, truth = breathing_case(0)
    ours = case_metrics(predicted, truth, "thorax").scores
    direct = direct_case(predicted.view(np.uint8), truth.view(np.uint8), "thorax")
    result: dict[str, object] = {
        "cpu": cpu_name(),
        "cores": cores(),
        "case": f"{FRAMES} frames of {SIDE} x {SIDE}",
        "largest_difference": max(abs(ours[key] - value) for key, value in direct.items()),
        "seconds_case_metrics": best_of(9, lambda: case_metrics(predicted, truth, "thorax")),
        "seconds_direct": best_of(3, lambda: direct_case(predicted.view(np.uint8), truth.view(np.uint8), "thorax")),
    }
    with tempfile.TemporaryDirectory() as folder:
        dataset, predictions = Path(folder) / "dataset", Path(folder) / "predictions"
        geometry = ImageGeometry.in_plane((1.0, 1.0))
        blank = CineSequence(np.zeros(truth.shape, dtype=np.uint8), (1.0, 1.0), 4.0, 0.35, "thorax")
        for index in range(CASES):
            predicted, truth = breathing_case(index)
            write_case(dataset, f"C_{index:03}", blank, truth)
            write_output(predictions / f"C_{index:03}", predicted, geometry)
        pair = pair_cases(predictions, dataset)[0][0]
        result["seconds_case_with_files"] = best_of(9, lambda: evaluate_pair(pair))
        result[f"seconds_{CASES}_cases_one_process"] = best_of(2, lambda: evaluate_dataset(predictions, dataset, 1))
        result[f"seconds_{CASES}_cases_all_cores"] = best_of(2, lambda: evaluate_dataset(predictions, dataset))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
