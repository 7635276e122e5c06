"""A live stream's latency at the scanner's pace, and its memory over an hour's frames.

    python benchmarks/live.py latency      the default bundle at 8 Hz and 256 px for a minute; on a quiet machine
    python benchmarks/live.py memory       28,800 frames (an hour at 8 Hz) as fast as they are tracked

No medical device: research and simulation. Both run what `cinetrack stream` runs: source, session, prediction, gate,
log, and the masks written at the end. A phantom case is played forwards and backwards.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import resource
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cinetrack.process_environment import settle_threads  # noqa: E402

settle_threads()  # as the command does, before anything imports torch

import numpy as np  # noqa: E402
from machine import cores, device_name  # noqa: E402

from cinetrack.gating import DistanceWindow, Gate  # noqa: E402
from cinetrack.live import FirstMask, LiveFrame, LiveResult, LiveSession, open_model  # noqa: E402
from cinetrack.live.frame import now_s  # noqa: E402
from cinetrack.live.recorded_session import finish  # noqa: E402
from cinetrack.live.session_log import SessionLog  # noqa: E402
from cinetrack.live.stream import Stream  # noqa: E402
from cinetrack.phantom.case import draw_case  # noqa: E402
from cinetrack.phantom.draws import PhantomRequest  # noqa: E402
from cinetrack.sequence.atomic_write import write_text_atomically  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
RATE_HZ = 8.0
SEED = 29
PLANE = "sagittal"


class PhantomSource:
    """Plays (T, H, W) frames forwards and backwards; at `rate_hz`, or as fast as they are taken where that is None."""

    def __init__(self, frames: np.ndarray, count: int, rate_hz: float | None) -> None:
        self._frames, self._count, self._rate_hz = frames, count, rate_hz
        self.paced = rate_hz is not None

    async def items(self) -> AsyncGenerator[LiveFrame, None]:
        """See `FrameSource`."""
        there_and_back = [*range(len(self._frames)), *range(len(self._frames) - 2, 0, -1)]
        began = now_s()
        for number, index in zip(range(self._count), itertools.cycle(there_and_back)):
            if self._rate_hz is not None:
                await asyncio.sleep(max(0.0, began + number / self._rate_hz - now_s()))
            acquired = now_s() if self._rate_hz is not None else 1000 + number / RATE_HZ
            yield LiveFrame(self._frames[index], number, acquired, now_s())

    async def send(self, result: LiveResult) -> None:
        """Nobody waits."""

    async def close(self) -> None:
        """Nothing to let go of."""


def resident_mb() -> float:
    """The process's resident memory now, MB of 10^6 bytes (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def stream(model_folder: Path, side_px: int, count: int, rate_hz: float | None, device: str) -> dict:
    """Run one stream; its latency summary, and the resident memory at every twentieth of it."""
    request = PhantomRequest(
        frames=60, shape=(side_px, side_px), region="abdomen", difficulty="middle", frame_rate_hz=RATE_HZ
    )
    case = draw_case(np.random.default_rng(SEED), request)
    first = {PLANE: FirstMask(case.masks[0, 0], (1.0, 1.0))}
    model = open_model(model_folder, device)
    memory: list[float] = []

    def watch(result: LiveResult) -> None:
        if (result.frame.number + 1) % max(1, count // 20) == 0:
            memory.append(round(resident_mb(), 1))

    folder = Path(tempfile.mkdtemp(prefix="live-benchmark-"))

    async def run() -> Stream:
        session = LiveSession(
            model,
            first,
            late="newest" if rate_hz is not None else "all",
            look_ahead_s=0.3,
            frame_rate_hz=RATE_HZ,
            gate=Gate(DistanceWindow(5.0)),
        )
        with SessionLog(folder, first, {"model": model.name, "frame_rate_hz": RATE_HZ}) as log:
            running = Stream(PhantomSource(case.frames, count, rate_hz), session, log, watch)
            await running.run()
        return running

    try:
        done = asyncio.run(run())
        disk_mb = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
        finish(folder)
    finally:
        shutil.rmtree(folder)
    # As fast as possible, on a machine that may do other work, time says nothing: memory's report has counts alone.
    summary = done.latency.summary(RATE_HZ, paced=rate_hz is not None)
    return {
        "model": model.name,
        "device": device_name(model.device) if model.device != "cpu" else device_name(),
        "cores": cores(),
        "side_px": side_px,
        "frames": count,
        "session_on_disk_mb": round(disk_mb, 1),
        "resident_mb_at_twentieths": memory,
        "resident_mb_after_finish": round(resident_mb(), 1),
        **({"latency": summary} if rate_hz is not None else {"frames_by_status": summary["frames"]}),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="No medical device: research and simulation."
    )
    parser.add_argument("what", choices=("latency", "memory"))
    parser.add_argument(
        "--model", type=Path, help="bundle folder (default: resources/default for latency, registration for memory)"
    )
    parser.add_argument("--side", type=int, help="px (default: 256 for latency, 128 for memory)")
    parser.add_argument("--frames", type=int, help="default: 480 for latency, 28800 for memory")
    parser.add_argument("--device", default="cpu", help="default %(default)s")
    parser.add_argument("--out", type=Path, help="default benchmarks/results/live-<what>.json")
    args = parser.parse_args()
    paced = args.what == "latency"
    model = args.model or ROOT / "resources" / ("default" if paced else "registration")
    side, frames = args.side or (256 if paced else 128), args.frames or (480 if paced else 28_800)
    result = stream(model, side, frames, RATE_HZ if paced else None, args.device)
    out = args.out or Path(__file__).parent / "results" / f"live-{args.what}.json"
    write_text_atomically(out, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
