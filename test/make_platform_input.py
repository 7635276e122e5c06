"""Lay one case of a TrackRAD2025 dataset folder out as Grand-Challenge hands it to a container.

    python test/make_platform_input.py examples/data/CASE /tmp/input

As on the platform the images are named after their database keys and, with newer versions, `inputs.json` lists the
input sockets with their slugs (the field strength's is not its file's name).
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from pathlib import Path

from cinetrack.cli.main import run_reporting_errors
from cinetrack.sequence import find_cases
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.grand_challenge import SERIES_FOLDER, TARGET_FOLDER
from cinetrack.sequence.image_files import write_masks, write_series


def make_platform_input(case_folder: Path, input_folder: Path) -> None:
    """Write the first series of the patient in `case_folder` as a platform's /input.

    Raises:
        InputError: the case is unusable, or has no first-frame mask.
    """
    loaded = find_cases(case_folder)[0].read_case()
    case, sequence = loaded.case, loaded.case.sequence
    sockets = []
    for slug, folder, write, frames in (
        ("mri-linac-series", SERIES_FOLDER, write_series, sequence.frames),
        ("mri-linac-target", TARGET_FOLDER, write_masks, case.first_mask[None]),
    ):
        name = f"{uuid.uuid5(uuid.NAMESPACE_URL, f'{case.case_id}/{slug}')}.mha"
        write(input_folder / folder / name, frames, loaded.geometry)
        sockets.append({"socket": {"slug": slug, "relative_path": folder.as_posix()}, "image": {"name": name}})
    for slug, file_name, value in (
        ("frame-rate", "frame-rate.json", sequence.frame_rate_hz),
        ("magnetic-field-strength", "b-field-strength.json", sequence.field_strength_t),
        ("scanned-region", "scanned-region.json", sequence.region),
    ):
        write_text_atomically(input_folder / file_name, json.dumps(value))
        sockets.append({"socket": {"slug": slug, "relative_path": file_name}, "value": value})
    write_text_atomically(input_folder / "inputs.json", json.dumps(sockets, indent=2))


def main() -> int:
    parser = argparse.ArgumentParser(description="Lay a dataset case out as the platform's /input.")
    parser.add_argument("case", type=Path, help="a patient's folder of a TrackRAD2025 dataset")
    parser.add_argument("output", type=Path, help="the folder to write")
    args = parser.parse_args()
    return run_reporting_errors(make_platform_input, args.case, args.output)


if __name__ == "__main__":
    sys.exit(main())
