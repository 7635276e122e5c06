"""A simulated MR-linac: plays a case through OpenIGTLink at the scanner's pace and shows what comes back.

    python examples/simulated_mr_linac.py --port 18944 &
    cinetrack stream openigtlink://127.0.0.1:18944 --mask examples/data/P977_0001/targets/P977_0001_first_label.mha \
        --look-ahead 300 --margin 5 --stop-after 3 -o live/P977_0001

No medical device: research and simulation. The frames go out as IMAGE messages of the device "Cine", stamped with their
time of acquisition; what comes back is read with pyigtl alone, as any other program would.

Two cases of `cinetrack phantom --interleaved` are played in turns, as "Cine_sagittal" and "Cine_coronal".
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import pyigtl

from cinetrack.live.sources.source import plane_in
from cinetrack.sequence import find_cases

ROOT = Path(__file__).resolve().parent
SLICE_MM = 5.0


class Answers(dict):
    """Takes every message that pyigtl stores by device, not the last one of each alone."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[tuple[float, dict]] = []
        self.masks: list[np.ndarray] = []

    def __setitem__(self, device: str, message: pyigtl.messages.MessageBase) -> None:
        if device.startswith("Result"):
            self.results.append((time.time(), json.loads(message.string)))
        elif device.startswith("Mask"):
            self.masks.append(message.image[0].astype(bool))


class Series:
    """One plane's frames, and how they lie in the patient.

    Attributes:
        frames: (T, H, W).
        matrix: (4, 4) from (column, row, slice) to LPS, mm: rows run towards the head, columns to the back or the left.
    """

    def __init__(self, folder: Path, count: int | None, alone: bool) -> None:
        sequence, _ = find_cases(folder)[0].read_sequence()
        self.frames = sequence.frames[:count]
        plane = plane_in(folder.name, "")
        self.device = "Cine" if alone else f"Cine_{plane or folder.name}"[:20]
        across = 0 if plane == "coronal" else 1
        self.matrix = np.zeros((4, 4))
        self.matrix[across, 0], self.matrix[2, 1] = sequence.spacing_mm[1], sequence.spacing_mm[0]
        self.matrix[1 - across, 2], self.matrix[3, 3] = SLICE_MM, 1.0


def play(link: pyigtl.OpenIGTLinkServer | pyigtl.OpenIGTLinkClient, series: list[Series], rate_hz: float) -> int:
    """Send the series' frames in turns, one every 1 / rate_hz seconds; returns how many."""
    count = len(series) * min(len(one.frames) for one in series)
    began = time.time()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate_hz - time.time()))
        one = series[number % len(series)]
        frame = one.frames[number // len(series)]
        message = pyigtl.ImageMessage(frame[None], one.matrix, timestamp=time.time(), device_name=one.device)
        message.header_version, message.metadata = 2, {"FrameNumber": str(number)}
        link.send_message(message, wait=False)
    return count


def main() -> int:
    notice = "No medical device: research and simulation."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=notice)
    parser.add_argument("cases", type=Path, nargs="*", help="patient folder (default: the example), or one a plane")
    parser.add_argument("--rate", type=float, default=8.0, help="frames per second in all (default %(default)s)")
    parser.add_argument("--frames", type=int, help="how many of each case (default: all)")
    parser.add_argument("--port", type=int, default=18944, help="default %(default)s")
    parser.add_argument(
        "--connect", action="store_true", help="connect to a stream that listens, not the other way round"
    )
    args = parser.parse_args()
    cases = args.cases or [ROOT / "data" / "P977_0001"]
    series = [Series(case, args.frames, len(cases) == 1) for case in cases]
    if args.connect:
        link = pyigtl.OpenIGTLinkClient("127.0.0.1", args.port)
    else:
        link = pyigtl.OpenIGTLinkServer(port=args.port)
    answers = link.incoming_messages = Answers()
    print(f"{notice}\nwaiting for cinetrack stream", file=sys.stderr, flush=True)
    while not link.is_connected():
        time.sleep(0.02)
    sent = play(link, series, args.rate)
    patience = time.time() + 10
    while len(answers.results) < sent and time.time() < patience:
        time.sleep(0.02)
    delays = np.array([(at - result["acquired_s"]) * 1e3 for at, result in answers.results] or [np.nan])
    beam_on = [result["beam_on"] for _, result in answers.results if "beam_on" in result]
    summary = {
        "frames_sent": sent,
        "results": len(answers.results),
        "masks": len(answers.masks),
        "there_and_back_ms": {f"p{p}": round(float(np.percentile(delays, p)), 1) for p in (50, 95, 99, 100)},
        "beam_on_share": round(float(np.mean(beam_on)), 3) if beam_on else None,
    }
    print(json.dumps(summary, indent=1))
    link.stop()
    return 0 if len(answers.results) == sent else 1


if __name__ == "__main__":
    sys.exit(main())
