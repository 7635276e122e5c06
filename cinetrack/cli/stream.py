"""`cinetrack stream`: follow a scanner live. No medical device: research and simulation."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from cinetrack.cli.options import add_device, add_model
from cinetrack.cli.notes import note
from cinetrack.errors import InputError
from cinetrack.gating import DistanceWindow, Gate
from cinetrack.live.frame import ONE_PLANE, FirstMask
from cinetrack.live.model import open_model
from cinetrack.live.planes import PLANE_AXES
from cinetrack.live.recorded_session import RecordedSession, finish
from cinetrack.live.result import LiveResult
from cinetrack.live.session import LATE_POLICIES, LiveSession
from cinetrack.live.session_log import SessionLog
from cinetrack.live.sources.source import FORMS, SESSION, STANDARD_INPUT, FrameSource, open_source
from cinetrack.live.stream import Stream
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.image_files import image_facts, read_masks

NOTICE = "No medical device: research and simulation."
SUMMARY_FILE = "summary.json"
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = NOTICE
    parser.add_argument("source", nargs="?", metavar="SOURCE", help=FORMS)
    parser.add_argument(
        "--finish",
        type=Path,
        metavar="SESSION",
        help="write the masks of a session that was killed, and stop; takes no SOURCE",
    )
    parser.add_argument("-o", "--output", type=Path, help="new folder for the session: its log, masks and summary")
    parser.add_argument(
        "--mask",
        action="append",
        metavar="[PLANE=]FILE",
        help="image file with the target's mask on the first frame; with planes in turns, given once for each plane "
        f"({', '.join(PLANE_AXES)})",
    )
    add_model(parser)
    add_device(parser)
    parser.add_argument(
        "--late",
        choices=LATE_POLICIES,
        default="newest",
        help="what happens to frames that wait because the model is slower than the scanner: newest skips to the "
        "latest one, all tracks every one (default newest)",
    )
    parser.add_argument(
        "--look-ahead",
        type=float,
        metavar="MS",
        help="also predict where the centroid is this long after the acquisition (default: no prediction)",
    )
    parser.add_argument(
        "--margin",
        type=float,
        metavar="MM",
        help="also say whether a beam may be on: while the centroid, the predicted one with --look-ahead, is within "
        "this distance of where it was on the first frame (default: no decision)",
    )
    parser.add_argument(
        "--frame-rate",
        type=float,
        metavar="HZ",
        help="frames a second of each plane; the prediction goes by it, and a frame's deadline is one interval "
        "(default: the prediction takes 8, deadlines take the measured rate)",
    )
    parser.add_argument(
        "--stop-after",
        type=float,
        metavar="S",
        help="end when no frame has come for this many seconds (default: only Ctrl-C ends it)",
    )


def run(args: argparse.Namespace) -> int:
    """Stream, then write the masks and a summary; the summary goes to stderr, a line a frame to stdout."""
    print(NOTICE, file=sys.stderr)
    if args.finish is not None:
        for path in finish(args.finish):
            print(path)
        return 0
    if args.source is None or args.output is None:
        raise InputError("stream: expected SOURCE and --output, found none; see cinetrack stream --help")
    for name, value in (
        ("--look-ahead", args.look_ahead),
        ("--frame-rate", args.frame_rate),
        ("--stop-after", args.stop_after),
    ):
        if value is not None and not value > 0:
            raise InputError(f"{name}: expected a positive number, found {value}")
    masks = _first_masks(args)
    source = open_source(args.source, next(iter(masks)), args.output / "masks")
    asyncio.run(_stream(args, source, masks))
    return 0


async def _stream(args: argparse.Namespace, source: FrameSource, masks: dict[str, FirstMask]) -> None:
    model = open_model(args.model, args.device)
    about = {
        "model": model.name,
        "fingerprint": model.fingerprint,
        "device": model.device,
        "source": args.source,
        "late": args.late,
        "look_ahead_ms": args.look_ahead,
        "margin_mm": args.margin,
        "frame_rate_hz": args.frame_rate,
    }
    session = LiveSession(
        model,
        masks,
        # A replay tracks what was tracked, no less.
        late=args.late if source.paced else "all",
        look_ahead_s=None if args.look_ahead is None else args.look_ahead / 1e3,
        frame_rate_hz=args.frame_rate or 8.0,
        gate=None if args.margin is None else Gate(DistanceWindow(args.margin)),
    )
    with SessionLog(args.output, masks, about) as log:
        stream = Stream(source, session, log, _nothing if args.source == STANDARD_INPUT else _print, args.stop_after)
        loop = asyncio.get_running_loop()

        def end() -> None:
            stream.stop.set()
            for number in ENDING_SIGNALS:  # a second Ctrl-C ends at once
                loop.remove_signal_handler(number)

        for number in ENDING_SIGNALS:
            loop.add_signal_handler(number, end)
        try:
            await stream.run()
        finally:
            end()
            # Planes in turns share the scanner: its frames come as many times as often.
            rate = None if args.frame_rate is None else args.frame_rate * len(masks)
            _finish(args.output, stream.latency.summary(rate, source.paced))


def _finish(folder: Path, summary: dict[str, Any]) -> None:
    """Write what the session gave, also where something ended it."""
    if summary["frames"]["tracked"]:
        for path in finish(folder):
            note(f"masks: {path}")
    write_text_atomically(folder / SUMMARY_FILE, json.dumps(summary, indent=1) + "\n")
    note(json.dumps(summary, indent=1))


def _first_masks(args: argparse.Namespace) -> dict[str, FirstMask]:
    """The outlined target by plane: from --mask, or as a recorded session had it."""
    if not args.mask:
        if args.source.startswith(f"{SESSION}:"):
            return RecordedSession.open(Path(args.source.removeprefix(f"{SESSION}:"))).first_masks()
        raise InputError("stream: expected --mask with the first frame's outlined target, found none")
    found: dict[str, FirstMask] = {}
    for text in args.mask:
        plane, separator, name = text.partition("=")
        if not separator:
            plane, name = ONE_PLANE, text
        if plane not in PLANE_AXES or plane in found:
            raise InputError(f"--mask: expected each of {', '.join(PLANE_AXES)} at most once before =, found {text}")
        frame_count = image_facts(Path(name), "a mask")[0][0]
        if frame_count != 1:
            raise InputError(f"{name}: expected the mask of one frame, found {frame_count}")
        masks, geometry = read_masks(Path(name))
        try:
            found[plane] = FirstMask(masks[0], geometry.spacing_mm, Path(name))
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
    return found


def _print(result: LiveResult) -> None:
    print(json.dumps(result.as_json()), flush=True)


def _nothing(_result: LiveResult) -> None:
    """Standard output carries the answers already."""
