"""`cinetrack import`: cine-MR from the formats that clinics have to TrackRAD2025 cases."""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections import Counter
from pathlib import Path

from cinetrack.cli.notes import note
from cinetrack.clinic.importing.case_plan import CasePlan, GivenValues, plan_cases
from cinetrack.clinic.importing.case_writer import CaseMasks, write_patients
from cinetrack.clinic.importing.dicom_masks import MaskFile, find_mask_files, read_dicom_masks, target_choice
from cinetrack.clinic.importing.given_masks import read_image_masks
from cinetrack.clinic.importing.table import table_of
from cinetrack.clinic.importing.tree import files_below, read_tree
from cinetrack.errors import InputError
from cinetrack.runs.outputs import check_output_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "source",
        type=Path,
        metavar="SOURCE",
        help="a file, or a folder that is searched with all below it, of DICOM, NIfTI, NRRD, MetaImage, PNG, TIFF or "
        "films",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DATASET",
        help="folder to write; it gets a folder for each patient (not needed with --dry-run)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what was found as a table and write nothing")
    parser.add_argument(
        "--frame-rate", type=_positive, metavar="HZ", help="frames a second (default: from the source's times)"
    )
    parser.add_argument(
        "--field-strength",
        type=_positive,
        metavar="TESLA",
        help="field strength (default: what the source says; needed where it does not)",
    )
    parser.add_argument(
        "--region",
        metavar="WORD",
        help="scanned region, as thorax, abdomen or pelvis (default: what the source says; needed where it does not)",
    )
    parser.add_argument(
        "--pixel-spacing",
        type=_spacing,
        metavar="MM",
        help="distance of pixels, one number or ROW,COLUMN (default: what the source says; needed where it does not)",
    )
    parser.add_argument(
        "--top",
        choices=("head", "feet"),
        help="which side of the patient the first row of the pictures shows (default: by the source's directions; "
        "needed where it has none)",
    )
    parser.add_argument(
        "--masks",
        type=Path,
        metavar="PATH",
        help="file or folder with the target's mask on the first frame or on every frame (default: DICOM-SEG and "
        "RTSTRUCT found in SOURCE)",
    )
    parser.add_argument(
        "--target",
        metavar="NAME",
        help="the target's name in a DICOM-SEG or RTSTRUCT, or its pixel value; needed where the masks hold several",
    )
    parser.add_argument(
        "--name", default="case", metavar="PREFIX", help="cases are called PREFIX_001, PREFIX_002, ... (default case)"
    )
    parser.add_argument(
        "--keep-identifiers",
        action="store_true",
        help="keep the patient's details in source.json, so that exported DICOM has them (default: leave them out)",
    )


def run(args: argparse.Namespace) -> int:
    """List or write the cases."""
    if args.output is None and not args.dry_run:
        raise InputError("-o DATASET: expected an output folder, or --dry-run, found neither")
    if not args.name or Path(args.name).name != args.name or args.name.startswith("."):
        raise InputError(f"--name: expected the beginning of a folder's name, found {args.name!r}")
    tree = read_tree(args.source)
    given = GivenValues(args.frame_rate, args.field_strength, args.region, args.pixel_spacing, args.top)
    plans = plan_cases(tree.series, given, args.name)
    logging.getLogger("pydicom").setLevel(logging.ERROR)  # its remarks on values that it reads all the same
    for folder, count in Counter(series.path.parent for series in tree.single_frames).items():
        note(f"{folder}: images of one frame, no cine: {count}; left out")
    if not plans:
        raise InputError(f"{args.source}: expected cine-MR series of two frames or more, found none")
    mask_files = find_mask_files(tree.files if args.masks is None else files_below(args.masks))
    undecided = {} if args.target else {plan.case_id: target_choice(mask_files, plan.series) for plan in plans}
    decided = [plan for plan in plans if not (args.dry_run and undecided.get(plan.case_id))]
    masks = _masks(args, mask_files, decided)
    for plan in plans:
        for remark in plan.notes:  # warnings, which --quiet leaves
            print(f"{plan.case_id}: {remark}", file=sys.stderr)
    origins = {case: choice for case, choice in undecided.items() if choice}
    origins |= {case: found.origin for case, found in masks.items()}
    print(table_of(plans, args.source, origins))
    if args.dry_run:
        return 0
    check_output_folder(args.output)
    folders = write_patients(args.output, plans, masks, args.keep_identifiers)
    note(f"{len(plans)} series in {len(folders)} patient folders are in {args.output}")
    return 0


def _masks(args: argparse.Namespace, mask_files: list[MaskFile], plans: list[CasePlan]) -> dict[str, CaseMasks]:
    """The masks of each case that has any, by its name."""
    if args.masks is not None and not mask_files:
        if len(plans) != 1:
            raise InputError(
                f"--masks: expected one series that they belong to, found {len(plans)}; import them one by one"
            )
        return {plans[0].case_id: read_image_masks(args.masks, plans[0].series, args.target)}
    found = {plan.case_id: read_dicom_masks(mask_files, plan.series, args.target) for plan in plans}
    masks = {case_id: masks for case_id, masks in found.items() if masks is not None}
    if args.masks is not None and plans and not masks:
        raise InputError(f"{args.masks}: expected masks that refer to the series, found masks of other images")
    return masks


def _positive(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected a positive number, found {text}")
    return value


def _spacing(text: str) -> tuple[float, float]:
    parts = [_positive(part) for part in text.split(",")]
    if len(parts) > 2:
        raise argparse.ArgumentTypeError(f"expected MM or ROW,COLUMN, found {text}")
    return parts[0], parts[-1]
