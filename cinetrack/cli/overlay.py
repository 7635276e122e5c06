"""`cinetrack overlay`: a case's frames with outlines as a film, an animation or a contact sheet."""

from __future__ import annotations

import argparse
from pathlib import Path

from cinetrack.errors import InputError
from cinetrack.evaluation.prediction_folder import find_predictions, read_prediction
from cinetrack.evaluation.truth import read_truth
from cinetrack.report.overlay import WRITERS, check_ending, write_overlay
from cinetrack.runs.outputs import check_output_file
from cinetrack.sequence import CaseFiles, find_cases


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("case", type=Path, help="folder of the case")
    parser.add_argument(
        "--output", "-o", type=Path, required=True, help=f"file to write; its ending says what: {', '.join(WRITERS)}"
    )
    parser.add_argument(
        "--prediction",
        type=Path,
        help="folder of predictions to draw, or this case's in it (default: draw the labels alone)",
    )
    parser.add_argument("--series", help="which series; needed where the patient has several")


def run(args: argparse.Namespace) -> int:
    check_ending(args.output)
    check_output_file(args.output)
    case = _only_case(args.case, args.series)
    sequence, _ = case.read_sequence()
    masks = {}
    if case.labels_path is not None:
        masks["truth"] = read_truth(case, sequence.frames.shape).masks
    if args.prediction:
        found = find_predictions(args.prediction, only_case=case.case_id)
        if case.case_id not in found:
            raise InputError(f"{args.prediction}: expected a prediction of {case.case_id}, found {', '.join(found)}")
        masks["prediction"] = read_prediction(found[case.case_id], sequence.frames.shape)[0]
    write_overlay(args.output, sequence, masks)
    print(args.output)
    return 0


def _only_case(folder: Path, wanted: str | None) -> CaseFiles:
    cases = {case.case_id: case for case in find_cases(folder)}
    if wanted is None and len(cases) == 1:
        return next(iter(cases.values()))
    if wanted not in cases:
        raise InputError(f"{folder}: expected --series to name one of {', '.join(cases)}, found {wanted or 'none'}")
    return cases[wanted]
