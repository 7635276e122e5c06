"""`cinetrack bundle`: assemble a model bundle from weights, or check one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cinetrack.bundle.assembly import NnunetStage, check_bundle, create_bundle
from cinetrack.bundle.lookup import bundle_folder
from cinetrack.bundle.manifest import BOX_SEGMENTERS
from cinetrack.cli.options import FoldsAction, add_mirroring
from cinetrack.errors import InputError
from cinetrack.refinement.settings import NnunetSettings
from cinetrack.tracking.evidence.nnunet import NnunetSourceSettings
from cinetrack.tracking.evidence.outline import OutlineSettings
from cinetrack.tracking.evidence.sam2 import Sam2Settings
from cinetrack.tracking.postprocessing.nnunet_redraw import NnunetRedrawSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="copy weights and configuration into a new bundle, and check it")
    create.add_argument(
        "--tracker", required=True, help="a SAM2 checkpoint, a bundle whose tracker is taken, registration, or static"
    )
    create.add_argument(
        "--tracker-config", help="a SAM2.1 configuration's file name or a yaml; guessed for Meta's published names"
    )
    Sam2Settings.add_options(create, {"region_px": "--region"})
    create.add_argument(
        "--stabilise",
        action="store_true",
        help="warp every frame onto the one on which the target was outlined before SAM2 sees it (default: frames as "
        "they are, as in the paper)",
    )
    add_outline_weight(create)
    create.add_argument("--refiner", type=Path, metavar="FOLDER", help="an nnU-Net trained-model folder")
    create.add_argument(
        "--folds", nargs="+", action=FoldsAction, default=["0"], help='folds to average, or "all" (default 0)'
    )
    create.add_argument("--refiner-checkpoint", default=NnunetSettings.checkpoint, help="file name within each fold")
    NnunetSettings.add_options(create, {"window": "--window"})
    create.add_argument(
        "--refiner-region",
        type=NnunetSourceSettings.option_type("region_px"),
        metavar="PX",
        help="make the nnU-Net a source beside the tracker, shown a square of this side around the target; for one "
        "that was taught with `refiner prepare --region` (default: it redraws the tracker's masks, as in the paper)",
    )
    add_refiner_options(create)
    create.add_argument("--box-segmenter", metavar="NAME", help=f"of the labelling app: {', '.join(BOX_SEGMENTERS)}")
    create.add_argument("--name", help="the bundle's name; its folder's by default")
    create.add_argument("-o", "--output", type=Path, required=True, help="the new bundle's folder")
    check = actions.add_parser("check", help="verify a bundle's checksums and run it on a few small frames")
    check.add_argument("folder", type=Path)


def add_outline_weight(parser: Any) -> None:
    """Declare --outline-weight: of the prompted outline as a source beside networks."""
    parser.add_argument(
        "--outline-weight",
        type=OutlineSettings.option_type("weight"),
        metavar="W",
        help="add the prompted outline as a source: log-odds for each pixel of distance from it; a network can move it "
        "by 8 / W pixels (default: the tracker's, none for SAM2 on frames as they are)",
    )


def add_refiner_options(parser: Any) -> None:
    """Declare --tile-step-size and --mirroring: how an nnU-Net is run."""
    NnunetSettings.add_options(parser, {"tile_step_size": "--tile-step-size"})
    add_mirroring(parser)


def run(args: argparse.Namespace) -> int:
    """Create or check a bundle, and print what it is."""
    if args.action == "check":
        bundle = check_bundle(bundle_folder(args.folder))
    else:
        refiner: NnunetStage | None = None
        if args.refiner is not None:
            settings: dict[str, Any] = {
                "folds": _folds(",".join(args.folds)),
                "checkpoint": args.refiner_checkpoint,
                "window": args.window,
                "tile_step_size": args.tile_step_size,
                "mirroring": args.mirroring,
            }
            if args.refiner_region is None:
                refiner = NnunetRedrawSettings(**settings)
            else:
                refiner = NnunetSourceSettings(**settings, region_px=args.refiner_region)
        bundle = create_bundle(
            args.output,
            args.tracker,
            tracker_config=args.tracker_config,
            region_px=args.region_px,
            stabilise=args.stabilise,
            outline_weight=args.outline_weight,
            refiner_folder=args.refiner,
            refiner=refiner,
            name=args.name,
            box_segmenter=args.box_segmenter,
        )
    print(f"{bundle.folder}: {bundle.description}")
    return 0


def _folds(text: str) -> tuple[int | str, ...]:
    try:
        return tuple("all" if fold.strip() == "all" else int(fold) for fold in text.split(","))
    except ValueError:
        raise InputError(f'--folds: expected numbers as 0,1,2 or "all", found {text}') from None
