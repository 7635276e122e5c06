"""A folder of predictions: one subfolder a case, laid out as the container's /output, with the timings beside it.

    <predictions>/<case>/images/mri-linac-series-targets/output.mha
    <predictions>/<case>/prediction.json        (written by `cinetrack predict`; other tools' folders have none)

A single container output, with `images/` directly inside, is one prediction whose case the folder does not name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cinetrack.errors import InputError
from cinetrack.runs.record import read_record
from cinetrack.sequence.grand_challenge import OUTPUT_FILE
from cinetrack.sequence.image_files import ImageGeometry, only_series_in, read_masks


def find_predictions(root: Path, only_case: str | None = None) -> dict[str, Path]:
    """The prediction folders below `root` by case.

    Args:
        only_case: the case that a single container output belongs to, where that is known.
    Raises:
        InputError: there is no prediction, or a single output whose case is not known.
    """
    if not root.is_dir():
        raise InputError(f"{root}: expected a folder of predictions, found none")
    if (root / OUTPUT_FILE.parent).is_dir():
        case_id = read_record(root).case_id or only_case
        if case_id is None:
            raise InputError(
                f"{root}: expected one folder a case, found a single output; of several cases it could belong to any"
            )
        return {case_id: root}
    found = {path.name: path for path in sorted(root.iterdir()) if (path / "images").is_dir()}
    if not found:
        raise InputError(f"{root}: expected <case>/{OUTPUT_FILE}, found none")
    return found


def prediction_file(folder: Path) -> Path:
    """The file with the predicted masks. Raises InputError where there is none, or several."""
    return only_series_in(folder / OUTPUT_FILE.parent)


def read_prediction(folder: Path, shape: tuple[int, ...] | None = None) -> tuple[np.ndarray, ImageGeometry]:
    """The predicted masks, (T, H, W) bool, and their geometry. Raises InputError naming the file.

    Args:
        shape: (T, H, W) that they must have, where it is known.
    """
    return read_masks(prediction_file(folder), shape)
