"""How many phantom frames a second one core makes at 256 x 256, anatomy and all: whole cases and training clips.

    python benchmarks/phantom.py [--out benchmarks/results/phantom.json]

The fastest of several repeats counts, because other work on the machine can only slow a run down.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import scipy  # noqa: E402
from machine import cpu_name  # noqa: E402

from cinetrack.phantom.case import draw_case  # noqa: E402
from cinetrack.phantom.clips import ClipConfig, PhantomClips  # noqa: E402
from cinetrack.phantom.draws import PhantomRequest  # noqa: E402
from cinetrack.sequence.atomic_write import write_text_atomically  # noqa: E402

SIDE_PX = 256
WANTED_FRAMES_PER_S = 20


def frames_per_second(make: Callable[[int], int], repeats: int) -> list[float]:
    """`make(repeat)` returns the frames it made; rates of every repeat, fastest first."""
    rates = []
    for repeat in range(repeats):
        start = time.perf_counter()
        count = make(repeat)
        rates.append(count / (time.perf_counter() - start))
    return sorted(rates, reverse=True)


def make_cases(_repeat: int) -> int:
    """Six cases of 60 frames, the same in every repeat."""
    request = PhantomRequest(frames=60, shape=(SIDE_PX, SIDE_PX))
    return sum(len(draw_case(np.random.default_rng(seed), request).frames) for seed in range(6))


def make_clips(config: ClipConfig, _repeat: int) -> int:
    """Twenty-four clips of 8 frames, the same in every repeat."""
    return sum(len(PhantomClips(config).sample(np.random.default_rng(seed), 8, SIDE_PX)[0]) for seed in range(24))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "phantom.json")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    makers = {
        "cases_60_frames": make_cases,
        "clips_8_frames": lambda repeat: make_clips(ClipConfig(), repeat),
        "clips_8_frames_anatomy_only": lambda repeat: make_clips(ClipConfig(randomised_share=0.0), repeat),
    }
    rates = {name: frames_per_second(make, args.repeats) for name, make in makers.items()}
    result = {
        "what": f"phantom frames per second on one core, {SIDE_PX} x {SIDE_PX}, drawing the anatomy included",
        "cpu": cpu_name(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "scipy": scipy.__version__,
        "wanted": WANTED_FRAMES_PER_S,
        "fastest": {name: round(found[0], 1) for name, found in rates.items()},
        "all_repeats": {name: [round(rate, 1) for rate in found] for name, found in rates.items()},
    }
    write_text_atomically(args.out, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
