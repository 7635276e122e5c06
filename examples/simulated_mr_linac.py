"""A simulated MR-linac: plays a case through OpenIGTLink at the scanner's pace and shows what comes back.

    python examples/simulated_mr_linac.py --port 18944 &
    cinetrack stream openigtlink://127.0.0.1:18944 --mask examples/data/P977_0001/targets/P977_0001_first_label.mha \
        --look-ahead 300 --margin 5 --stop-after 3 -o live/P977_0001

No medical device: research and simulation. The frames go out as IMAGE messages of the device "Cine", stamped with their
time of acquisition; what comes back is read with pyigtl alone, as any other program would.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import pyigtl

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
        if device == "Result":
            self.results.append((time.time(), json.loads(message.string)))
        elif device == "Mask":
            self.masks.append(message.image[0].astype(bool))


def image_to_patient(spacing_mm: tuple[float, float]) -> np.ndarray:
    """The (4, 4) matrix of a sagittal frame in LPS: columns run to the back, rows towards the head."""
    matrix = np.zeros((4, 4))
    matrix[1, 0], matrix[2, 1], matrix[0, 2], matrix[3, 3] = spacing_mm[1], spacing_mm[0], SLICE_MM, 1.0
    return matrix


def play(
    link: pyigtl.OpenIGTLinkServer | pyigtl.OpenIGTLinkClient, frames: np.ndarray, matrix: np.ndarray, rate_hz: float
) -> None:
    """Send (T, H, W) frames, one every 1 / rate_hz seconds."""
    began = time.time()
    for number, frame in enumerate(frames):
        time.sleep(max(0.0, began + number / rate_hz - time.time()))
        message = pyigtl.ImageMessage(frame[None], matrix, timestamp=time.time(), device_name="Cine")
        message.header_version, message.metadata = 2, {"FrameNumber": str(number)}
        link.send_message(message, wait=False)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="No medical device: research and simulation."
    )
    parser.add_argument(
        "case", type=Path, nargs="?", default=ROOT / "data" / "P977_0001", help="patient folder (default: the example)"
    )
    parser.add_argument("--rate", type=float, default=8.0, help="frames per second (default %(default)s)")
    parser.add_argument("--frames", type=int, help="how many (default: the whole case)")
    parser.add_argument("--port", type=int, default=18944, help="default %(default)s")
    parser.add_argument(
        "--connect",
        action="store_true",
        help="connect to `cinetrack stream openigtlink-listen://...` instead of being connected to",
    )
    args = parser.parse_args()
    sequence, _ = find_cases(args.case)[0].read_sequence()
    frames = sequence.frames[: args.frames]
    link = (
        pyigtl.OpenIGTLinkClient("127.0.0.1", args.port) if args.connect else pyigtl.OpenIGTLinkServer(port=args.port)
    )
    answers = link.incoming_messages = Answers()
    print("waiting for cinetrack stream", file=sys.stderr, flush=True)
    while not link.is_connected():
        time.sleep(0.02)
    play(link, frames, image_to_patient(sequence.spacing_mm), args.rate)
    patience = time.time() + 10
    while len(answers.results) < len(frames) and time.time() < patience:
        time.sleep(0.02)
    delays = np.array([(at - result["acquired_s"]) * 1e3 for at, result in answers.results])
    tracked = [result for _, result in answers.results if result["status"] == "tracked"]
    beam_on = [result["beam_on"] for result in tracked if "beam_on" in result]
    summary = {
        "frames_sent": len(frames),
        "results": len(answers.results),
        "masks": len(answers.masks),
        "there_and_back_ms": {f"p{p}": round(float(np.percentile(delays, p)), 1) for p in (50, 95, 99, 100)}
        if len(delays)
        else None,
        "beam_on_share": round(float(np.mean(beam_on)), 3) if beam_on else None,
    }
    print(json.dumps(summary, indent=1))
    link.stop()
    return 0 if len(answers.results) == len(frames) else 1


if __name__ == "__main__":
    sys.exit(main())
