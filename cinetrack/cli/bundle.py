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
        "--tracker",
        required=True,
        help="what tracks: a SAM2 checkpoint, a bundle whose tracker is taken over, registration, or static",
    )
    create.add_argument(
        "--tracker-config",
        help="architecture of the checkpoint: the name of one of SAM2's own configurations, as sam2.1_hiera_s.yaml, or "
        "a "
        "yaml file of the same schema (default: by the file names that Meta publishes; needed for any other)",
    )
    Sam2Settings.add_options(create, {"region_px": "--region"})
    create.add_argument(
        "--stabilise",
        action="store_true",
        help="warp every frame onto the one on which the target was outlined before SAM2 sees it (default: frames as "
        "they are, as in the paper)",
    )
    add_outline_weight(create)
    create.add_argument(
        "--refiner", type=Path, metavar="FOLDER", help="folder of a trained nnU-Net model (default: none)"
    )
    create.add_argument(
        "--folds",
        nargs="+",
        action=FoldsAction,
        default=["0"],
        help='the refiner\'s folds, whose answers are averaged, or "all" (default 0)',
    )
    create.add_argument(
        "--refiner-checkpoint",
        default=NnunetSettings.checkpoint,
        help="the refiner's checkpoint in each fold (default %(default)s)",
    )
    NnunetSettings.add_options(create, {"window": "--window"})
    create.add_argument(
        "--refiner-region",
        type=NnunetSourceSettings.option_type("region_px"),
        metavar="PX",
        help="make the refiner a source beside the tracker, which sees a square of this side around the target; for "
        "one "
        "that was trained with `refiner prepare --region` (default: it redraws the tracker's masks, as in the paper)",
    )
    add_refiner_options(create)
    create.add_argument(
        "--box-segmenter",
        metavar="NAME",
        help=f"what turns a box into a mask in the labelling app: {', '.join(BOX_SEGMENTERS)} (default: sam2 with "
        "Meta's "
        "configurations, grabcut with any other model)",
    )
    create.add_argument("--name", help="name of the bundle, for logs (default: its folder's)")
    create.add_argument("-o", "--output", type=Path, required=True, help="folder to write; it must be new")
    check = actions.add_parser("check", help="verify a bundle's checksums and run it on a few small frames")
    check.add_argument("folder", type=Path, metavar="BUNDLE", help="folder of the bundle, or a shipped one's name")


def add_outline_weight(parser: Any) -> None:
    """Declare --outline-weight: of the prompted outline as a source beside networks."""
    parser.add_argument(
        "--outline-weight",
        type=OutlineSettings.option_type("weight"),
        metavar="W",
        help="add the given outline as a source: W log-odds for each pixel of distance from it; a larger W ties "
        "networks to "
        "the outline, which each can move by 8 / W pixels (default: the tracker's, none for SAM2 on frames as they "
        "are)",
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
