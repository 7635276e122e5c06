"""`cinetrack bundle`: assemble a model bundle, or check one."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from cinetrack.bundle.assembly import check_bundle, create_bundle
from cinetrack.bundle.manifest import BOX_SEGMENTERS
from cinetrack.bundle.refiner_spec import RefinerPreset, RefinerSpec
from cinetrack.errors import InputError
from cinetrack.tracking.motion_compensation import MotionCompensation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `create` and `check`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="assemble a bundle from weights and check it")
    create.add_argument("--tracker", required=True, help="a SAM2 checkpoint, registration, static, or a bundle")
    create.add_argument("--tracker-config", help="one of sam2's own SAM2.1 configurations, or a yaml of that schema")
    create.add_argument("--region", type=int, metavar="PX", help="side of the surroundings that SAM2 is shown")
    create.add_argument("--motion-compensation", action="store_true", help="show SAM2 frames warped onto the first")
    create.add_argument("--outline-weight", type=float, metavar="W", help="of the warped outline, in log-odds a pixel")
    create.add_argument("--refiner", type=Path, metavar="FOLDER", help="an nnU-Net trained-model folder")
    create.add_argument("--folds", default="0", help='folds to average, as 0,1,2 or "all" (default 0)')
    create.add_argument("--refiner-checkpoint", default="checkpoint_final.pth", help="file name within each fold")
    create.add_argument("--window", type=int, default=5, help="frames that the refiner sees (default 5)")
    create.add_argument(
        "--refiner-region", type=int, metavar="PX", help="side of the surroundings of a refiner trained with --region"
    )
    create.add_argument("--tile-step-size", type=float, default=0.05, help="fraction of the patch (default 0.05)")
    create.add_argument("--no-mirroring", action="store_true", help="without test-time mirroring")
    add_nearness_arguments(create)
    add_preset_argument(create)
    create.add_argument("--box-segmenter", metavar="NAME", help=f"of the labelling app: {', '.join(BOX_SEGMENTERS)}")
    create.add_argument("--name", help="the bundle's name; its folder's by default")
    create.add_argument("-o", "--output", type=Path, required=True, help="the new bundle's folder")
    check = actions.add_parser("check", help="verify a bundle's checksums and run it on a few small frames")
    check.add_argument("folder", type=Path)


def run(args: argparse.Namespace) -> int:
    """Create or check a bundle, and print what it is."""
    if args.action == "check":
        bundle = check_bundle(args.folder)
    else:
        refiner = None
        if args.refiner is not None:
            refiner = RefinerSpec(
                folder="refiner",
                folds=_folds(args.folds),
                checkpoint=args.refiner_checkpoint,
                window=args.window,
                tile_step_size=args.tile_step_size,
                mirroring=not args.no_mirroring,
                reach_px=args.reach,
                confidence=args.confidence,
                region_px=args.refiner_region,
                outline_weight=args.refiner_outline_weight,
                tracker_weight=args.refiner_tracker_weight,
                presets=presets_of(args.preset),
            )
        bundle = create_bundle(
            args.output,
            args.tracker,
            args.tracker_config,
            args.refiner,
            refiner,
            args.name,
            args.box_segmenter,
            args.region,
            _motion_compensation(args),
        )
    print(f"{bundle.folder}: {bundle.description}")
    return 0


def add_nearness_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare --reach, --confidence and the weights: how close the refined mask stays to the tracker's."""
    parser.add_argument(
        "--reach",
        type=float,
        metavar="PX",
        help="how far from the tracker's outline the refined mask may differ (default: anywhere)",
    )
    parser.add_argument(
        "--confidence",
        type=float,
        default=0.5,
        metavar="P",
        help="how probable a change of the tracker's mask must be, 0.5 to below 1 (default 0.5)",
    )
    parser.add_argument(
        "--refiner-outline-weight",
        type=float,
        metavar="W",
        help="of the warped outline beside a refiner within motion compensation, in log-odds a pixel",
    )
    parser.add_argument(
        "--refiner-tracker-weight",
        type=float,
        metavar="W",
        help="of the tracker's log-odds beside that refiner's; without it, the refiner redraws the tracker's masks",
    )


def add_preset_argument(parser: argparse.ArgumentParser) -> None:
    """Declare --preset, for `presets_of`."""
    parser.add_argument(
        "--preset",
        action="append",
        default=[],
        metavar="NAME=STEP[,no-mirroring]",
        help="other refiner settings, for `predict --refiner-settings NAME`; may be repeated",
    )


def presets_of(texts: list[str]) -> dict[str, RefinerPreset]:
    """Presets written as fast=0.5,no-mirroring. Raises InputError for anything else."""
    presets = {}
    for text in texts:
        match = re.fullmatch(r"(\w[\w-]*)=([0-9.]+)(,no-mirroring)?", text)
        try:
            presets[match[1]] = RefinerPreset(float(match[2]), match[3] is None)
        except (TypeError, ValueError):
            raise InputError(f"--preset: expected NAME=STEP or NAME=STEP,no-mirroring, found {text}") from None
    return presets


def _motion_compensation(args: argparse.Namespace) -> MotionCompensation | None:
    if args.motion_compensation:
        return MotionCompensation(args.outline_weight)
    if args.outline_weight is not None:
        raise InputError(f"--outline-weight {args.outline_weight}: expected --motion-compensation with it, found none")
    return None


def _folds(text: str) -> tuple[int | str, ...]:
    try:
        return tuple("all" if fold.strip() == "all" else int(fold) for fold in text.split(","))
    except ValueError:
        raise InputError(f'--folds: expected numbers as 0,1,2 or "all", found {text}') from None
