"""The default bundle on a CPU, alone and beside another busy torch process, with either way of waiting for work.

Each figure is the median time of a frame, of the fastest of several runs; the runs of the variants take turns. A
neighbour is a process that runs torch's convolutions without end, on the same cores.

    python benchmarks/busy_machine.py                       # a few minutes; writes benchmarks/results/busy-machine.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import cores, device_name

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from cinetrack.process_environment import SPINS  # noqa: E402

WARM_UP = 3  # frames not timed: the first ones fill caches
SPARE_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")
# How threads wait for their next piece of work.
WAITING: dict[str, dict[str, str]] = {
    "as torch does by default": {},
    "as the commands set it": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": SPINS},
    "asleep at once": {"OMP_WAIT_POLICY": "PASSIVE"},
}
DEFAULT = "as torch does by default"
# How tracking waits, and how its neighbour does.
ROWS = [*((own, None) for own in WAITING), *((own, DEFAULT) for own in WAITING), *((own, own) for own in WAITING)]
ROWS = list(dict.fromkeys(ROWS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=3, help="runs a row; the fastest counts")
    parser.add_argument("--model", type=Path, default=ROOT / "resources" / "default")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "busy-machine.json")
    parser.add_argument("--work", choices=("track", "disturb"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work == "track":
        print(json.dumps(track(args.model, args.frames)))
        return
    if args.work == "disturb":
        disturb()
    load_before = os.getloadavg()[0]
    found: dict[tuple[str, str | None], list[float]] = {row: [] for row in ROWS}
    for _ in range(args.repeats):
        for row in ROWS:
            found[row].append(measure(args, *row))
            print(f"{describe(*row)}: {found[row][-1]:.3f} s a frame", file=sys.stderr, flush=True)
    report = {
        "device": device_name(),
        "cores": cores(),
        "model": args.model.name,
        "frames": args.frames,
        "repeats": args.repeats,
        "load_before": load_before,
        "seconds_a_frame": {describe(*row): min(values) for row, values in found.items()},
        "all_runs": {describe(*row): values for row, values in found.items()},
    }
    for name, seconds in report["seconds_a_frame"].items():
        print(f"| {name} | {seconds:.3f} |")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(report, indent=1) + "\n")


def describe(own: str, neighbours: str | None) -> str:
    """A row's name."""
    return f"waits {own}; " + ("alone" if neighbours is None else f"beside one that waits {neighbours}")


def measure(args: argparse.Namespace, own: str, neighbours: str | None) -> float:
    """Seconds a frame of one run."""
    neighbour = None if neighbours is None else start("disturb", args, neighbours)
    try:
        if neighbour is not None:
            assert neighbour.stdout is not None
            neighbour.stdout.readline()  # it is at work
        tracking = start("track", args, own)
        out, _ = tracking.communicate()
        if tracking.returncode:
            raise RuntimeError(f"tracking ended with exit code {tracking.returncode}")
        return float(json.loads(out.splitlines()[-1]))
    finally:
        if neighbour is not None:
            neighbour.kill()
            neighbour.wait()


def start(work: str, args: argparse.Namespace, waiting: str) -> subprocess.Popen[str]:
    """A process of this script, whose threads wait so."""
    environment = {name: value for name, value in os.environ.items() if name not in SPARE_VARIABLES}
    words = ["--work", work, "--model", str(args.model), "--frames", str(args.frames)]
    return subprocess.Popen(
        [sys.executable, __file__, *words], env={**environment, **WAITING[waiting]}, stdout=subprocess.PIPE, text=True
    )


def track(model: Path, frames: int) -> float:
    """Median seconds of a frame of the shipped example."""
    from cinetrack.bundle import open_bundle
    from cinetrack.pipeline.model import load_model
    from cinetrack.pipeline.track_case import track as track_case
    from cinetrack.sequence.trackrad_dataset import find_cases

    case = find_cases(ROOT / "examples" / "data")[0].read_case().case
    loaded = load_model(open_bundle(model), "cpu")
    times, began = [], time.perf_counter()
    for number, _ in enumerate(track_case(case, loaded.chain)):
        now = time.perf_counter()
        times.append(now - began)
        began = now
        if number == frames:
            break
    return statistics.median(times[WARM_UP:])


def disturb() -> None:
    """Convolve without end, in many short pieces as a network does."""
    import torch

    layer = torch.nn.Conv2d(32, 32, 3, padding=1)
    image = torch.zeros(1, 32, 96, 96)
    with torch.inference_mode():
        layer(image)
        print("at work", flush=True)
        while True:
            layer(image)


if __name__ == "__main__":
    main()
