"""One case from its folder, whichever of the two layouts that is."""

from __future__ import annotations

from pathlib import Path

from cinetrack.errors import InputError
from cinetrack.sequence.cine_sequence import TrackingCase
from cinetrack.sequence.grand_challenge import is_input_folder, read_input_folder
from cinetrack.sequence.trackrad_dataset import find_cases


def read_case(folder: Path | str, case_id: str | None = None) -> TrackingCase:
    """Read a cine-MR series and the target's mask on its first frame.

    Args:
        folder: a patient's folder as TrackRAD2025 publishes it, or a folder laid out as Grand-Challenge's /input.
        case_id: which case, where the folder holds several (a dataset, or a patient with several series).
    Returns:
        `case.sequence.frames` is (T, H, W) in raw intensities; `case.first_mask` is (H, W) bool.
    Raises:
        InputError: names the file that is missing or unusable, or the cases to choose from.

    Examples:
        >>> case = read_case("examples/data/P977_0001")
        >>> case.sequence.frames.shape, case.first_mask.shape
        ((60, 176, 160), (176, 160))
    """
    folder = Path(folder)
    if is_input_folder(folder):
        return read_input_folder(folder).case
    cases = {case.case_id: case for case in find_cases(folder)}
    wanted = next(iter(cases)) if case_id is None and len(cases) == 1 else case_id
    if wanted is None or wanted not in cases:
        raise InputError(f"{folder}: expected case_id to name one of {', '.join(cases)}, found {wanted or 'none'}")
    return cases[wanted].read_case().case
