"""A folder of predictions: one subfolder a case, laid out as the container's /output, with the timings beside it.

    <predictions>/<case>/images/mri-linac-series-targets/output.mha
    <predictions>/<case>/prediction.json        (written by `cinetrack predict`; other tools' folders have none)

A single container output, with `images/` directly inside, is one prediction whose case the folder does not name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cinetrack.errors import InputError
from cinetrack.sequence.grand_challenge import OUTPUT_FILE
from cinetrack.sequence.image_files import ImageGeometry, only_series_in, read_masks
from cinetrack.sequence.json_files import read_json

LOG_FILE = "prediction.json"


@dataclass(frozen=True)
class PredictionLog:
    """What the tool that made a prediction noted of it; all unknown where it noted nothing.

    Attributes:
        total_seconds: seconds from start to written masks, with loading.
        tracker, bundle: names for people.
        object_score: tracker's score of each frame, None where it gave none.
    """

    total_seconds: float | None = None
    tracker: str | None = None
    bundle: str | None = None
    object_score: list[float | None] = field(default_factory=list)


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
        case_id = _logged_case(root) or only_case
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


def read_prediction(folder: Path) -> tuple[np.ndarray, ImageGeometry]:
    """The predicted masks, (T, H, W) bool, and their geometry. Raises InputError naming the file."""
    return read_masks(prediction_file(folder))


def read_log(folder: Path) -> PredictionLog:
    """The timings and scores beside a prediction; an empty log where there is no file.

    Raises:
        InputError: the file is not json or its entries are not of the kind expected.
    """
    path = folder / LOG_FILE
    if not path.exists():
        return PredictionLog()
    content = read_json(path)
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: expected a json object, found {type(content).__name__}")
    seconds = _mapping(path, content, "seconds").get("total")
    if seconds is not None and not (_is_number(seconds) and seconds > 0):
        raise InputError(f"{path}: expected seconds.total to be a positive number, found {seconds!r}")
    scores = _mapping(path, content, "frames").get("object_score") or []
    if not isinstance(scores, list) or not all(score is None or _is_number(score) for score in scores):
        raise InputError(f"{path}: expected frames.object_score to be a list of numbers or null")
    return PredictionLog(seconds, _text(content.get("tracker")), _text(content.get("bundle")), scores)


def _logged_case(folder: Path) -> str | None:
    path = folder / LOG_FILE
    content = read_json(path) if path.exists() else None
    case_id = _text(content.get("case_id")) if isinstance(content, Mapping) else None
    if case_id is not None and (case_id != Path(case_id).name or case_id in ("", ".", "..")):
        raise InputError(f"{path}: expected case_id to be the name of a folder, found {case_id!r}")
    return case_id


def _mapping(path: Path, content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key) or {}
    if not isinstance(value, Mapping):
        raise InputError(f"{path}: expected {key} to be a json object, found {type(value).__name__}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
