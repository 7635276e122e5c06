"""`cinetrack export`: predicted masks to the formats that clinics and annotation tools open."""

from __future__ import annotations

import argparse
from pathlib import Path

from cinetrack.cli.notes import note
from cinetrack.clinic.exporting.formats import FORMATS
from cinetrack.clinic.exporting.predicted_case import ExportOptions, PredictedCase, read_predicted_cases
from cinetrack.runs.outputs import check_output_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "formats:\n" + "\n".join(f"  {name:<11} {known.HELP}" for name, known in FORMATS.items())
    parser.add_argument("predictions", type=Path, metavar="PREDICTIONS", help="folder that `cinetrack predict` wrote")
    parser.add_argument(
        "--dataset",
        type=Path,
        metavar="DATASET",
        help="folder of the cases that were tracked (default: where they were then)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="folder to write the files into"
    )
    parser.add_argument(
        "--format",
        nargs="+",
        required=True,
        choices=FORMATS,
        metavar="FORMAT",
        help="one or several of the formats listed below",
    )
    parser.add_argument(
        "--target-names",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names of targets 1, 2, ... in what is written (default: target, or target 1, target 2, ... of several)",
    )
    parser.add_argument(
        "--leave-out-patient",
        action="store_true",
        help="write DICOM without the patient's details (default: with those that the import has kept)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the files and print their paths."""
    check_output_folder(args.output)
    options = ExportOptions(with_patient=not args.leave_out_patient)
    for case in read_predicted_cases(args.predictions, args.dataset, args.target_names):
        for remark in _remarks(case, args.format):
            note(f"{case.case_id}: {remark}")
        for name in args.format:
            print(FORMATS[name].write(case, args.output, options))
    return 0


def _remarks(case: PredictedCase, formats: list[str]) -> list[str]:
    remarks = []
    if {"nifti", "nrrd"} & set(formats) and not case.is_placed:
        remarks.append("where it lies in the patient is not known; written as a sagittal plane at the origin")
    record = case.record
    if {"dicom-seg", "rtstruct"} & set(formats) and record is not None and not record.identifiers:
        remarks.append("its record has no patient details; cinetrack import --keep-identifiers keeps them")
    return remarks
