"""Our refiner beside nnU-Net's predictor, with the same weights on the same windows: seconds a frame and agreement.

    python benchmarks/refinement.py [--model FOLDER] [--sizes 270 350 450] [--tile-step-sizes 0.05 0.5] [--device cpu]

Without --model the network is the paper's (patch 384, 7 stages) with random weights, planned and saved by nnU-Net.
The two take turns and the best of the repeats counts. Processor seconds stand beside the clock's: on a shared machine,
with OMP_NUM_THREADS=1, they are the ones to compare. Writes json beside the table.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
# The tests make nnU-Net folders and run nnU-Net's predictor; this needs the same.
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "refinement")]

from machine import device_name  # noqa: E402
from nnunet_model_folder import drifting_disc, plan_dataset, write_model_folder  # noqa: E402
from stock_nnunet import stock_labels, stock_predictor  # noqa: E402

from cinetrack.refinement.refiner import Refiner  # noqa: E402
from cinetrack.refinement.window import FrameWindow  # noqa: E402
from cinetrack.sequence.atomic_write import write_text_atomically  # noqa: E402


def main() -> None:
    """Parse, measure, print the table and write the json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="nnU-Net trained-model folder; default: the paper's, random weights")
    parser.add_argument("--window", type=int, default=5, help="frames that the model sees")
    parser.add_argument("--sizes", type=int, nargs="+", default=[270, 350, 450], help="image sides, pixels")
    parser.add_argument("--tile-step-sizes", type=float, nargs="+", default=[0.05, 0.5])
    parser.add_argument("--no-mirroring", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16"], help="default: float16 on cuda")
    parser.add_argument("-o", "--output", type=Path, help="default: benchmarks/results/refinement-<device>.json")
    args = parser.parse_args()
    device = torch.device(args.device)
    dtype = getattr(torch, args.dtype or ("float16" if device.type == "cuda" else "float32"))
    output = args.output or ROOT / "benchmarks" / "results" / f"refinement-{device.type}.json"

    with contextlib.ExitStack() as stack:
        folder = args.model
        if folder is None:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            planned = plan_dataset(root / "planned", window=args.window).with_paper_architecture()
            folder = write_model_folder(root / "paper", planned)
        rows = []
        for step in args.tile_step_sizes:
            settings = {"tile_step_size": step, "mirroring": not args.no_mirroring}
            refiner = Refiner.load(folder, window=args.window, device=device, dtype=dtype, **settings)
            predictor = stock_predictor(folder, device=device, **settings)
            for size in args.sizes:
                row = {"size": size, **settings, **compare(refiner, predictor, size, args.repeats)}
                rows.append(row)
                print_row(row, header=len(rows) == 1)
    result = {
        "device": device_name(str(device)),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],  # above the number of threads the machine was shared
        "torch": torch.__version__,
        "dtype": str(dtype).removeprefix("torch."),
        "model": str(args.model or "paper architecture, random weights"),
        "rows": rows,
    }
    write_text_atomically(output, json.dumps(result, indent=1) + "\n")
    print(f"wrote {output}", file=sys.stderr)


def compare(refiner: Refiner, predictor: Any, size: int, repeats: int) -> dict[str, float]:
    """Seconds a frame of both and the share of pixels with equal labels, for a square image."""
    frames, masks = drifting_disc(refiner.window + 1, (size, size))
    window = FrameWindow(refiner.window, frames[0], masks[0])
    for frame, mask in zip(frames[1:], masks[1:], strict=True):
        window.append(frame, mask)
    channels = window.channels()
    refiner.labels(channels[:, :64, :64]), stock_labels(predictor, channels[:, :64, :64])  # one tile, to warm up
    ours_times, stock_times = [], []
    for _ in range(repeats):
        ours, *times = timed(lambda: refiner.labels(channels))
        ours_times.append(times)
        stock, *times = timed(lambda: stock_labels(predictor, channels))
        stock_times.append(times)
    (ours_s, ours_cpu_s), (stock_s, stock_cpu_s) = np.min(ours_times, axis=0), np.min(stock_times, axis=0)
    return {
        "ours_s": float(ours_s),
        "nnunet_s": float(stock_s),
        "ours_cpu_s": float(ours_cpu_s),
        "nnunet_cpu_s": float(stock_cpu_s),
        "equal_labels": float((ours == stock).mean()),
        "foreground": float((stock > 0).mean()),
    }


def timed(function: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    """The result, which lies on the CPU and so is complete, the seconds it took, and the processor's of all threads."""
    start, start_cpu = time.perf_counter(), time.process_time()
    result = function()
    return result, time.perf_counter() - start, time.process_time() - start_cpu


def print_row(row: dict[str, Any], header: bool) -> None:
    """One line of the table on stdout."""
    if header:
        print(" size  step mirror |  ours s nnU-Net s ratio | ours cpu s nnU-Net cpu s ratio | equal labels")
    print(
        f"{row['size']:>5} {row['tile_step_size']:>5} {str(row['mirroring']):>6} | "
        f"{row['ours_s']:>7.3f} {row['nnunet_s']:>9.3f} {row['nnunet_s'] / row['ours_s']:>5.2f} | "
        f"{row['ours_cpu_s']:>10.3f} {row['nnunet_cpu_s']:>13.3f} {row['nnunet_cpu_s'] / row['ours_cpu_s']:>5.2f} | "
        f"{row['equal_labels']:>12.6f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
