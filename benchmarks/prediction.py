"""How well the centroid is predicted 100 to 600 ms ahead, on phantom motion of minutes.

    python benchmarks/prediction.py                       the report: 24 traces of each motion class, 4 and 8 Hz
    python benchmarks/prediction.py --tune                the settings tried, on other seeds

No medical device: research and simulation. Positions are the true centroid with white noise, as a tracker measures
    them, and the error is against the true
position. The first 20 s, in which the regression learns, are not counted. Intervals are bootstrapped over the traces.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402

from cinetrack.motion_prediction import PREDICTORS, Predictor, make_predictor  # noqa: E402
from cinetrack.motion_prediction.kalman import KalmanPredictor  # noqa: E402
from cinetrack.motion_prediction.regression import RegressionPredictor  # noqa: E402
from cinetrack.phantom.traces import MOTION_CLASSES, TargetTrace, draw_trace  # noqa: E402
from cinetrack.sequence.atomic_write import write_text_atomically  # noqa: E402

TUNING_SEEDS = range(0, 8)
REPORT_SEEDS = range(1000, 1024)  # fixed before the settings were chosen
DURATION_S = 180.0
FINE_HZ = 40.0  # rate of the true path, from which slower ones are taken
RATES_HZ = (8.0, 4.0)
HORIZONS_MS = (100, 200, 300, 400, 500, 600)
NOISE_MM = 0.3
LEARNING_S = 20.0
BOOTSTRAPS = 2000


def traces(seeds: range, motion_class: str, duration_s: float) -> list[TargetTrace]:
    """The same traces whatever else is run."""
    number = MOTION_CLASSES.index(motion_class)
    return [
        draw_trace(np.random.default_rng([seed, number]), motion_class, duration_s + 1.0, FINE_HZ) for seed in seeds
    ]


def errors(trace: TargetTrace, predictor: Predictor, rate_hz: float, horizon_s: float, seed: int) -> Iterator[tuple]:
    """Error (SI, AP), mm, and stated deviation at every counted frame."""
    step = round(FINE_HZ / rate_hz)
    stop = len(trace.times_s) - round(FINE_HZ)
    frames = np.arange(0, stop, step)
    measured = trace.position_mm[frames] + np.random.default_rng(seed).normal(0, NOISE_MM, (len(frames), 2))
    times = trace.times_s[frames]
    due = np.stack([np.interp(times + horizon_s, trace.times_s, axis) for axis in trace.position_mm.T], axis=-1)
    for time, position, truth in zip(times, measured, due, strict=True):
        prediction = predictor.step(float(time), position)
        if time >= LEARNING_S:
            yield prediction.position_mm - truth, prediction.deviation_mm


def scored(trace: TargetTrace, make: Callable[[], Predictor], rate_hz: float, horizon_s: float, seed: int) -> dict:
    """RMSE and mean 95th percentile over the traces, the ratio to holding still, each with its interval."""
    found = list(errors(trace, make(), rate_hz, horizon_s, seed))
    error = np.stack([entry[0] for entry in found])
    deviation = np.stack([entry[1] for entry in found])
    distance = np.linalg.norm(error, axis=1)
    return {
        "mse": float(np.mean(distance**2)),
        "p95": float(np.percentile(distance, 95)),
        "within": float(np.mean(np.abs(error) <= 2 * deviation)),
    }


def summary(scores: list[dict], holding: list[dict]) -> dict[str, object]:
    """Of one trace: mean square error, 95th percentile of the distance, and share within two stated deviations."""
    mse, held = (np.array([one["mse"] for one in group]) for group in (scores, holding))
    p95 = np.array([one["p95"] for one in scores])
    drawn = np.random.default_rng(0).integers(0, len(mse), (BOOTSTRAPS, len(mse)))

    def interval(values: np.ndarray) -> list[float]:
        return [round(float(value), 3) for value in np.percentile(values, [2.5, 97.5])]

    return {
        "rmse_mm": round(float(np.sqrt(mse.mean())), 3),
        "rmse_interval": interval(np.sqrt(mse[drawn].mean(axis=1))),
        "p95_mm": round(float(p95.mean()), 3),
        "p95_interval": interval(p95[drawn].mean(axis=1)),
        "ratio_to_hold": round(float(np.sqrt(mse.mean() / held.mean())), 3),
        "ratio_interval": interval(np.sqrt(mse[drawn].mean(axis=1) / held[drawn].mean(axis=1))),
        "worst_ratio": round(float(np.sqrt(mse / held).max()), 3),
        "within_2_deviations": round(float(np.mean([one["within"] for one in scores])), 3),
    }


def report(seeds: range, duration_s: float) -> list[dict]:
    """One row for each class, rate, horizon and predictor."""
    rows = []
    for motion_class in MOTION_CLASSES:
        paths = traces(seeds, motion_class, duration_s)
        for rate, horizon in itertools.product(RATES_HZ, HORIZONS_MS):
            scores = {
                name: [
                    scored(
                        trace,
                        lambda name=name, horizon=horizon, rate=rate: make_predictor(name, horizon / 1e3, rate),
                        rate,
                        horizon / 1e3,
                        seed,
                    )
                    for seed, trace in zip(seeds, paths, strict=True)
                ]
                for name in PREDICTORS
            }
            for name in PREDICTORS:
                setting = {"class": motion_class, "rate_hz": rate, "horizon_ms": horizon, "predictor": name}
                rows.append(setting | summary(scores[name], scores["hold"]))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def tuning(seeds: range, duration_s: float) -> list[dict]:
    """The settings tried at 300 ms, averaged over classes and rates by the ratio to holding still."""
    horizon = 0.3
    tried: dict[str, Callable[[float], Predictor]] = {}
    for history, ridge, memory in itertools.product((2.0, 3.5, 5.0), (3.0, 10.0, 30.0), (30.0, 60.0, 120.0)):
        tried[f"regression history {history} s, ridge {ridge} mm2, memory {memory} s"] = (
            lambda rate, h=history, r=ridge, m=memory: RegressionPredictor(horizon, 1 / rate, h, m, r)
        )
    for noise, acceleration, fading in itertools.product((0.3, 0.6, 1.2), (6.0, 12.0, 25.0), (0.2, 0.4, 0.8)):
        tried[f"kalman noise {noise} mm, acceleration {acceleration} mm/s2, fading {fading} s"] = (
            lambda _rate, n=noise, a=acceleration, f=fading: KalmanPredictor(horizon, n, a, f)
        )
    paths = {motion_class: traces(seeds, motion_class, duration_s) for motion_class in MOTION_CLASSES}
    held = {
        (kind, rate): [
            scored(trace, lambda rate=rate: make_predictor("hold", horizon, rate), rate, horizon, seed)
            for seed, trace in zip(seeds, paths[kind], strict=True)
        ]
        for kind, rate in itertools.product(MOTION_CLASSES, RATES_HZ)
    }
    rows = []
    for name, make in tried.items():
        ratios = {}
        for (kind, rate), holding in held.items():
            scores = [
                scored(trace, lambda make=make, rate=rate: make(rate), rate, horizon, seed)
                for seed, trace in zip(seeds, paths[kind], strict=True)
            ]
            ratios[f"{kind} {rate:g} Hz"] = summary(scores, holding)["ratio_to_hold"]
        rows.append({"setting": name, "mean_ratio": round(float(np.mean(list(ratios.values()))), 4), **ratios})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return sorted(rows, key=lambda row: row["mean_ratio"])


def markdown(rows: list[dict]) -> str:
    """The report as a table: RMSE, its ratio to holding still with the interval, and the 95th percentile."""
    lines = [
        "| motion | rate | ahead | predictor | RMSE [mm] | 95th percentile [mm] | of holding still | within 2 SD |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        rmse, ratio = ("{:.2f} to {:.2f}".format(*row[key]) for key in ("rmse_interval", "ratio_interval"))
        lines.append(
            f"| {row['class']} | {row['rate_hz']:g} Hz | {row['horizon_ms']} ms | {row['predictor']} "
            f"| {row['rmse_mm']:.2f} ({rmse}) | {row['p95_mm']:.2f} | {row['ratio_to_hold']:.2f} ({ratio}) "
            f"| {row['within_2_deviations']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="No medical device: research and simulation."
    )
    parser.add_argument("--tune", action="store_true", help="try settings on the tuning seeds instead")
    parser.add_argument("--traces", type=int, help="of each class (default: all seeds)")
    parser.add_argument("--seconds", type=float, default=DURATION_S, help="of each trace (default %(default)s)")
    parser.add_argument("--out", type=Path, help="default benchmarks/results/prediction[-tuning].json")
    args = parser.parse_args()
    seeds = (TUNING_SEEDS if args.tune else REPORT_SEEDS)[: args.traces]
    rows = tuning(seeds, args.seconds) if args.tune else report(seeds, args.seconds)
    name = "prediction-tuning.json" if args.tune else "prediction.json"
    out = args.out or Path(__file__).parent / "results" / name
    about = {"seeds": [seeds.start, seeds.stop - 1], "seconds": args.seconds, "noise_mm": NOISE_MM, "rows": rows}
    write_text_atomically(out, json.dumps(about, indent=1) + "\n")
    if not args.tune:
        write_text_atomically(out.with_suffix(".md"), markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
